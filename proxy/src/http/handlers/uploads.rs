//! Upload sessions over HTTP (distribution-spec end-4, end-5, end-6, end-11, end-13, end-14).

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::{HeaderMap, StatusCode, header};
use hyper::body::Incoming;
use tracing::Instrument as _;
use wharf_oci::{Algorithm, ChunkRange, Digest, Endpoint, RepoName, UploadId};

use super::rated_body::IncomingBody;
use super::request_body::RequestBody;
use super::{App, Call};
use crate::Error;
use crate::access::{Caller, Permission};
use crate::client::{Arrival, StartedUpload, UploadSession, Upstream, Urgency};
use crate::config::active::RuntimeConfig;
use crate::http::admission::{Limit, UPLOADS, USER_UPLOADS};
use crate::http::response;
use crate::http::response::Answer;
use crate::http::route::{UploadStart, upload_path};
use crate::limits::MOUNT_SOURCES_MAX;
use crate::push::change_locks::{ChangeGuard, LockSet};
use crate::push::uploads::{NoSessionPermit, Session, UploadDestination};
use crate::registries::{Target, UpstreamRepo};
use crate::runtime::body::Body;
use crate::runtime::party;
use crate::runtime::shares::Share;
use crate::settings::limits::Limits;

/// Who opens an upload where.
#[derive(Clone, Copy)]
pub(super) struct UploadOpening<'a> {
    pub(super) repo: &'a RepoName,
    pub(super) caller: &'a Caller,
    pub(super) rules: &'a RuntimeConfig,
}

/// Which upload ends as what.
pub(super) struct UploadEnd {
    pub(super) repo: RepoName,
    pub(super) id: UploadId,
    pub(super) digest: Digest,
}

pub(super) async fn start(
    app: &App,
    opening: UploadOpening<'_>,
    (start, room): (UploadStart, Share),
    (headers, body): (&HeaderMap, &mut Incoming),
) -> Result<Answer, Error> {
    let repo = opening.repo;
    match start {
        UploadStart::Session(algorithm) => session(app, opening, algorithm, room).await,
        UploadStart::Whole(digest) => {
            let destination = app.uploads.destination(repo, digest, opening.caller)?;
            let mut session = app.uploads.anonymous(room, digest.algorithm(), destination).await?;
            session.write_for(opening.caller);
            receive(app, &mut session, headers, (body, &opening.rules.limits)).await?;
            let target = app.uploads.target_of(&session, repo)?;
            let turn = linking(app, opening.caller, &target, (repo, digest)).await?;
            app.uploads.finish(repo, session.into(), digest, turn).await?;
            Ok(created(repo, &digest))
        }
        UploadStart::Mount { digest, from } => match source(app, opening, &digest, from).await? {
            Some(from) => mount(app, opening, (digest, from), room).await,
            // As if the source did not have it.
            None => session(app, opening, Some(digest.algorithm()), room).await,
        },
    }
}

/// Room for one more upload of this caller.
pub(super) async fn room(app: &App, caller: &Caller, limits: &Limits) -> Result<Share, Error> {
    let bounds = (limits.uploads, limits.uploads_per_user);
    let counts = &app.admission.counts;
    match app.uploads.room(caller.party(), bounds).await {
        Ok((room, others_left)) => {
            if others_left {
                counts.refuse(Limit::DisplacedUploads);
            }
            Ok(room)
        }
        Err(NoSessionPermit::Whole) => Err(Error::TooMany(UPLOADS)),
        Err(NoSessionPermit::Share) => Err(Error::TooMany(USER_UPLOADS)),
    }
}

/// The turn to make a blob this repository's: nobody deletes it there meanwhile.
async fn linking(
    app: &App,
    caller: &Caller,
    target: &Target,
    (repo, digest): (&RepoName, Digest),
) -> Result<ChangeGuard, Error> {
    app.turns.take(&caller.party(), LockSet::to_link(target, repo, digest)).await
}

async fn session(
    app: &App,
    opening: UploadOpening<'_>,
    algorithm: Option<Algorithm>,
    room: Share,
) -> Result<Answer, Error> {
    let (uploads, repo) = (app.uploads.clone(), opening.repo.clone());
    let caller = opening.caller.clone();
    let asking = async move { uploads.open_upstream(&repo, algorithm, &caller).await };
    let (destination, room) = keeping(app, room, asking).await?;
    open(app, opening, room, (algorithm, destination)).await
}

/// Has an upstream begin something, which goes on although the client goes away: its room is taken for as
/// long.
async fn keeping<T: Send + 'static>(
    app: &App,
    room: Share,
    asking: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<(T, Share), Error> {
    let asking = app.cache.upstreams.still_seen(asking);
    let asking = async move { asking.await.map(|begun| (begun, room)) };
    match tokio::spawn(party::hand_on(asking.in_current_span())).await {
        Ok(begun) => begun,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

async fn open(
    app: &App,
    UploadOpening { repo, caller, .. }: UploadOpening<'_>,
    room: Share,
    (algorithm, destination): (Option<Algorithm>, Option<UploadDestination>),
) -> Result<Answer, Error> {
    let owner = caller.somebody().map(str::to_owned);
    let id = app.uploads.open(room, (repo, owner), algorithm, destination).await?;
    Ok(response::opened(repo, id))
}

/// An upload of somebody else is like one that is not there.
pub(super) fn require_own(
    app: &App,
    call: &Call,
    repo: &RepoName,
    id: UploadId,
) -> Result<(), Error> {
    if call.rules.access.is_open() {
        return Ok(());
    }
    let owner = app.uploads.owner(repo, id)?;
    let is_own = call.rules.access.may_go_on(&call.caller, owner.as_deref(), repo);
    if is_own { Ok(()) } else { Err(Error::UploadUnknown) }
}

/// The source that a mount may have: the one that is named, or any that has the blob, if the caller may
/// pull it; `None` when there is none. Where everyone may do everything, any source stays unnamed.
async fn source(
    app: &App,
    UploadOpening { repo, caller, rules }: UploadOpening<'_>,
    digest: &Digest,
    from: Option<RepoName>,
) -> Result<Option<Option<RepoName>>, Error> {
    if rules.access.is_open() {
        return Ok(Some(from));
    }
    let may_pull = async |repo: &RepoName| {
        rules.access.authorize(caller, &Permission::pull(repo)).await.is_ok()
    };
    if let Some(from) = from {
        return Ok(may_pull(&from).await.then_some(Some(from)));
    }
    if let Target::Upstream(_) = app.cache.upstreams.target(repo)? {
        // Without a source, upstreams are asked about the repository itself.
        return Ok(may_pull(repo).await.then_some(None));
    }
    let (store, digest) = (Arc::clone(&app.cache.store), *digest);
    let holders = app.cache.blocking.run(move || store.settled_holders(&digest)).await?;
    for holder in holders.into_iter().take(MOUNT_SOURCES_MAX) {
        if may_pull(&holder).await {
            return Ok(Some(Some(holder)));
        }
    }
    Ok(None)
}

/// Takes a blob from another repository; when that cannot be, opens a session instead.
async fn mount(
    app: &App,
    opening: UploadOpening<'_>,
    (digest, from): (Digest, Option<RepoName>),
    mut room: Share,
) -> Result<Answer, Error> {
    let repo = opening.repo;
    let target = app
        .cache
        .upstreams
        .target_for(repo, opening.caller.login())?
        .for_party(opening.caller.party());
    let _turn = linking(app, opening.caller, &target, (repo, digest)).await?;
    let destination = match target {
        Target::Local => {
            if lend(app, repo, &digest, from.as_ref()).await? {
                return Ok(created(repo, &digest));
            }
            None
        }
        Target::Upstream(upstream_repo) if upstream_repo.is_staged() => {
            let party = opening.caller.party();
            app.outbox.room(&party)?;
            if app.outbox.mount((repo, party), &upstream_repo, digest, from).await? {
                return Ok(created(repo, &digest));
            }
            None
        }
        Target::Upstream(upstream_repo) => {
            let from = from.filter(|_| Upstream::mounts(&digest));
            let from = from.and_then(|from| app.cache.upstreams.beside(&upstream_repo, &from));
            let there = upstream_repo.clone();
            let asking = async move { mount_beyond(&there, &digest, from.as_ref()).await };
            let push;
            (push, room) = keeping(app, room, asking).await?;
            if push.is_none() {
                app.cache.link(repo, &digest).await?;
                return Ok(created(repo, &digest));
            }
            Some(UploadDestination { upstream_repo, open: push, expected: Some(digest) })
        }
    };
    open(app, opening, room, (Some(digest.algorithm()), destination)).await
}

/// Has the upstream take the blob from another repository of its own; when it does not, a session.
/// Without a source it is asked only whether the repository has the blob: that somebody names a
/// digest does not mean that they may have it. A login that may not read there can still push.
async fn mount_beyond(
    upstream_repo: &UpstreamRepo,
    digest: &Digest,
    from: Option<&RepoName>,
) -> Result<Option<UploadSession>, Error> {
    let UpstreamRepo { upstream, repo } = upstream_repo;
    if from.is_none() && !upstream.recently_missed(repo, digest) {
        match upstream.blob_size(repo, digest).await {
            Ok(Some(_)) => return Ok(None),
            Ok(None) => {}
            Err(error) => not_so(upstream.address(), error)?,
        }
    }
    if let Some(from) = from {
        match upstream.mount(repo, digest, from, Urgency::Long).await {
            Ok(StartedUpload::Mounted) => {
                upstream.arrived(repo, digest, Arrival::Mounted);
                return Ok(None);
            }
            Ok(StartedUpload::Session(push)) => return Ok(Some(push)),
            Err(error) => not_so(upstream.address(), error)?,
        }
    }
    upstream.open_upload(repo, Some(digest.algorithm()), Urgency::Long).await.map(Some)
}

/// A refusal to spare the bytes only means that they are sent; trouble stays trouble.
fn not_so(upstream: &str, error: Error) -> Result<(), Error> {
    match error {
        Error::UpstreamDenied { .. } => {}
        Error::UpstreamRefused { status, .. } if status.is_client_error() => {}
        error => return Err(error),
    }
    tracing::debug!(upstream, %error, "not mounted");
    Ok(())
}

/// Gives a repository a blob that `from` has, or any repository when none is named; `false` when it
/// is not here.
async fn lend(
    app: &App,
    repo: &RepoName,
    digest: &Digest,
    from: Option<&RepoName>,
) -> Result<bool, Error> {
    let (store, repo) = (Arc::clone(&app.cache.store), repo.clone());
    let (digest, from) = (*digest, from.cloned());
    let lent = app.cache.blocking.run(move || {
        let linked = from.map_or(Ok(true), |from| store.has_blob(&from, &digest))?;
        // Asked and linked at once: its last repository may be letting it go.
        Ok::<_, wharf_store::StoreError>(linked && store.link_if_here(&repo, &digest)?)
    });
    Ok(lent.await?)
}

pub(super) fn status(app: &App, repo: &RepoName, id: UploadId) -> Result<Answer, Error> {
    let offset = app.uploads.offset(repo, id)?;
    Ok(response::upload(StatusCode::NO_CONTENT, repo, id, offset))
}

pub(super) async fn patch(
    app: &App,
    (repo, id): (&RepoName, UploadId),
    (caller, rules): (&Caller, &RuntimeConfig),
    (headers, body): (&HeaderMap, &mut RequestBody),
) -> Result<Answer, Error> {
    let mut guard = app.uploads.lock_session(repo, id, caller).await?;
    let session = guard.session();
    let chunk = check_chunk(session, headers, &upload_path(repo, id))?;
    let before = session.offset();
    if session.is_proven() {
        // All of it is here: it waits for its end.
        let location = upload_path(repo, id);
        return Err(Error::ChunkOutOfOrder { offset: before, location });
    }
    receive(app, session, headers, (body.pieces(), &rules.limits)).await?;
    let offset = session.offset();
    if let Some(chunk) = chunk.filter(|chunk| chunk.size_bytes() != offset - before) {
        let (declared, actual) = (chunk.size_bytes(), offset - before);
        return Err(Error::ChunkSize { declared, actual });
    }
    Ok(response::upload(StatusCode::ACCEPTED, repo, id, offset))
}

pub(super) async fn finish(
    app: &App,
    end: UploadEnd,
    (caller, rules): (&Caller, &RuntimeConfig),
    (headers, body): (&HeaderMap, &mut RequestBody),
) -> Result<Answer, Error> {
    let UploadEnd { repo, id, digest } = end;
    if app.uploads.has_ended(&repo, id, &digest).await? {
        return Ok(created(&repo, &digest));
    }
    let mut guard = app.uploads.lock_session(&repo, id, caller).await?;
    let session = guard.session();
    check_chunk(session, headers, &upload_path(&repo, id))?;
    session.expect(digest);
    receive(app, session, headers, (body.pieces(), &rules.limits)).await?;
    let target = app.uploads.target_of(session, &repo)?;
    let turn = linking(app, caller, &target, (&repo, digest)).await?;
    app.uploads.finish(&repo, guard.end(), digest, turn).await?;
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
    (body, limits): (&mut Incoming, &Limits),
) -> Result<(), Error> {
    let announced: Option<u64> =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let limit_bytes = limits.blob_bytes;
    if announced.is_some_and(|length| session.offset().saturating_add(length) > limit_bytes) {
        return Err(Error::BlobTooLarge { limit_bytes });
    }
    let mut closing = pin!(app.uploads.closing());
    let mut arriving = IncomingBody::new(body, limits.min_rate);
    loop {
        let next = tokio::select! {
            next = arriving.next() => next?,
            // The session goes to rest with what it has.
            () = &mut closing => return Err(Error::Stopping),
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
