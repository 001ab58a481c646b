//! Upload sessions over HTTP (distribution-spec end-4, end-5, end-6, end-11, end-13, end-14).

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::{HeaderMap, StatusCode, header};
use hyper::body::Incoming;
use wharf_oci::{ChunkRange, Digest, Endpoint, RepoName, UploadId};

use super::App;
use super::arriving::Arriving;
use crate::Error;
use crate::admission::Share;
use crate::body::Body;
use crate::response::{self, Answer};
use crate::route::{UploadStart, upload_path};
use crate::uploads::{Beyond, Session};
use crate::upstream::{Haste, Push, Started};
use crate::upstreams::{Remote, Site};

/// Which upload begins, for whom.
pub(super) struct Start {
    pub(super) repo: RepoName,
    pub(super) how: UploadStart,
    pub(super) share: Share,
}

/// Which upload ends as what.
pub(super) struct End {
    pub(super) repo: RepoName,
    pub(super) id: UploadId,
    pub(super) digest: Digest,
}

pub(super) async fn start(
    app: &App,
    Start { repo, how, share }: Start,
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Result<Answer, Error> {
    let repo = &repo;
    match how {
        UploadStart::Session(algorithm) => {
            let beyond = app.uploads.open_upstream(repo).await?;
            let id = app.uploads.open(repo, algorithm, beyond).await?;
            app.uploads.count_for(id, share);
            Ok(response::opened(repo, id))
        }
        UploadStart::Whole(digest) => {
            // The upstream is asked for the digest first, so there is no session yet.
            let beyond = match app.cache.upstreams.site(repo)? {
                Site::Local => None,
                Site::Remote(remote) => Some(Beyond { remote, open: None, expected: Some(digest) }),
            };
            let mut session = app.uploads.anonymous(digest.algorithm(), beyond).await?;
            receive(app, &mut session, headers, body).await?;
            app.uploads.finish(repo, session, digest).await?;
            Ok(created(repo, &digest))
        }
        UploadStart::Mount { digest, from } => mount(app, repo, digest, from, share).await,
    }
}

/// Takes a blob from another repository; when that cannot be, opens a session instead.
async fn mount(
    app: &App,
    repo: &RepoName,
    digest: Digest,
    from: Option<RepoName>,
    share: Share,
) -> Result<Answer, Error> {
    let beyond = match app.cache.upstreams.site(repo)? {
        Site::Local => {
            if is_here(app, &digest, from.as_ref()).await? {
                app.cache.link(repo, &digest).await?;
                return Ok(created(repo, &digest));
            }
            None
        }
        Site::Remote(remote) if remote.is_staged() => {
            app.deliveries.room()?;
            if app.deliveries.mount(repo, &remote, digest, from).await? {
                return Ok(created(repo, &digest));
            }
            None
        }
        Site::Remote(remote) => {
            let from = from.and_then(|from| app.cache.upstreams.beside(&remote, &from));
            match mount_beyond(&remote, &digest, from.as_ref()).await? {
                None => {
                    app.cache.link(repo, &digest).await?;
                    return Ok(created(repo, &digest));
                }
                Some(push) => Some(Beyond { remote, open: Some(push), expected: Some(digest) }),
            }
        }
    };
    let id = app.uploads.open(repo, Some(digest.algorithm()), beyond).await?;
    app.uploads.count_for(id, share);
    Ok(response::opened(repo, id))
}

/// Has the upstream take the blob from another repository of its own; when it does not, a session.
/// Without a source it is asked only whether the repository has the blob: that somebody names a
/// digest does not mean that they may have it.
async fn mount_beyond(
    remote: &Remote,
    digest: &Digest,
    from: Option<&RepoName>,
) -> Result<Option<Push>, Error> {
    let Remote { upstream, repo } = remote;
    if from.is_none()
        && !upstream.lately_missed(repo, digest)
        && upstream.blob_size(repo, digest).await?.is_some()
    {
        return Ok(None);
    }
    let wanted = from.map(|from| (digest, Some(from)));
    Ok(match upstream.start_upload(repo, wanted, Haste::Long).await? {
        Started::Mounted => None,
        Started::Session(push) => Some(push),
    })
}

/// Whether `from` has the blob, or any repository when none is named.
async fn is_here(app: &App, digest: &Digest, from: Option<&RepoName>) -> Result<bool, Error> {
    let (store, digest, from) = (Arc::clone(&app.cache.store), *digest, from.cloned());
    let here = app.cache.bridge.run(move || {
        let linked = from.map_or(Ok(true), |from| store.has_blob(&from, &digest))?;
        Ok::<_, wharf_store::StoreError>(linked && store.stat(&digest)?.is_some())
    });
    Ok(here.await?)
}

pub(super) fn status(app: &App, repo: &RepoName, id: UploadId) -> Result<Answer, Error> {
    let offset = app.uploads.offset(repo, id)?;
    Ok(response::upload(StatusCode::NO_CONTENT, repo, id, offset))
}

pub(super) async fn patch(
    app: &App,
    repo: &RepoName,
    id: UploadId,
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Result<Answer, Error> {
    let mut checkout = app.uploads.check_out(repo, id).await?;
    let session = checkout.session();
    let chunk = check_chunk(session, headers, &upload_path(repo, id))?;
    let before = session.offset();
    receive(app, session, headers, body).await?;
    let offset = session.offset();
    if let Some(chunk) = chunk.filter(|chunk| chunk.size_bytes() != offset - before) {
        let (declared, actual) = (chunk.size_bytes(), offset - before);
        return Err(Error::ChunkSize { declared, actual });
    }
    Ok(response::upload(StatusCode::ACCEPTED, repo, id, offset))
}

pub(super) async fn finish(
    app: &App,
    end: End,
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Result<Answer, Error> {
    let End { repo, id, digest } = end;
    let mut checkout = app.uploads.check_out(&repo, id).await?;
    let session = checkout.session();
    check_chunk(session, headers, &upload_path(&repo, id))?;
    session.expect(digest);
    receive(app, session, headers, body).await?;
    app.uploads.finish(&repo, checkout.take(), digest).await?;
    Ok(created(&repo, &digest))
}

pub(super) async fn cancel(app: &App, repo: &RepoName, id: UploadId) -> Result<Answer, Error> {
    app.uploads.cancel(repo, id).await?;
    Ok(response::answer(StatusCode::NO_CONTENT, &[], Body::empty()))
}

/// A chunk that says where it belongs must belong at the end of what is here; nothing of another
/// one is taken.
fn check_chunk(
    session: &Session,
    headers: &HeaderMap,
    location: &str,
) -> Result<Option<ChunkRange>, Error> {
    let Some(value) = headers.get(header::CONTENT_RANGE) else {
        return Ok(None);
    };
    let chunk: ChunkRange = value.to_str().unwrap_or_default().parse()?;
    let offset = session.offset();
    if chunk.first != offset {
        return Err(Error::ChunkOutOfOrder { offset, location: location.to_owned() });
    }
    let announced: Option<u64> =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if let Some(actual) = announced.filter(|length| *length != chunk.size_bytes()) {
        return Err(Error::ChunkSize { declared: chunk.size_bytes(), actual });
    }
    Ok(Some(chunk))
}

/// The body into the session. What arrived before a break stays, and the session says how much.
async fn receive(
    app: &App,
    session: &mut Session,
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Result<(), Error> {
    let announced: Option<u64> =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let limits = Arc::clone(&app.live.rules().limits);
    let limit_bytes = limits.blob_bytes;
    if announced.is_some_and(|length| session.offset().saturating_add(length) > limit_bytes) {
        return Err(Error::BlobTooLarge { limit_bytes });
    }
    let mut closing = pin!(app.uploads.closing());
    let mut arriving = Arriving::new(body, limits.floor);
    loop {
        let next = tokio::select! {
            next = arriving.next() => next?,
            // The session goes to rest with what it has.
            () = &mut closing => return Err(Error::BodyBroken),
        };
        let Some(bytes) = next else { return Ok(()) };
        app.metrics.received_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if session.offset().saturating_add(bytes.len() as u64) > limit_bytes {
            return Err(Error::BlobTooLarge { limit_bytes });
        }
        session.append(bytes).await?;
    }
}

fn created(repo: &RepoName, digest: &Digest) -> Answer {
    let location = Endpoint::Blob { repo: repo.clone(), digest: *digest };
    response::created(location.to_string(), digest)
}
