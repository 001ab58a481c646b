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
use crate::access::Permission;
use crate::bound::Bound;
use crate::client::{Arrival, StartedUpload, UploadSession, Upstream, Urgency};
use crate::context::RequestContext;
use crate::http::admission::Limit;
use crate::http::response;
use crate::http::response::Answer;
use crate::http::route::{UploadStart, upload_path};
use crate::limits::MOUNT_SOURCES_MAX;
use crate::push::change_locks::{ChangeGuard, LockSet};
use crate::push::uploads::{
    NewSession, NoSessionPermit, Session, SessionBounds, UploadDestination, Uploads,
};
use crate::registries::{Target, UpstreamRepo};
use crate::runtime::body::Body;
use crate::runtime::party;
use crate::runtime::shares::Share;

/// The upload and its final digest.
pub(super) struct UploadEnd {
    pub(super) repo: RepoName,
    pub(super) id: UploadId,
    pub(super) digest: Digest,
}

/// A mount: of this blob, from the named repository, or from any.
struct MountRequest {
    digest: Digest,
    from: Option<RepoName>,
}

pub(super) async fn start(
    app: &App,
    call: &Call,
    repo: &RepoName,
    start: UploadStart,
    body: &mut RequestBody,
) -> Result<Answer, Error> {
    let context = &call.context;
    let room = room(app, context).await?;
    let body = body.pieces();
    match start {
        UploadStart::Session(algorithm) => session(app, context, repo, algorithm, room).await,
        UploadStart::Whole(digest) => {
            let target = context.target_for_party(repo)?;
            let destination = app.uploads.destination(target, digest, &context.party())?;
            let mut session = app.uploads.anonymous(room, digest.algorithm(), destination).await?;
            session.write_for(&context.caller);
            receive(app, call, &mut session, body).await?;
            let target = Uploads::target_of(&session, context, repo)?;
            let turn = linking(app, context, &target, repo, digest).await?;
            app.uploads.finish(repo, target, session.into(), digest, turn).await?;
            Ok(created(repo, &digest))
        }
        UploadStart::Mount { digest, from } => {
            match source(app, context, repo, &digest, from).await? {
                Some(from) => mount(app, context, repo, MountRequest { digest, from }, room).await,
                // As if the source did not have the blob.
                None => session(app, context, repo, Some(digest.algorithm()), room).await,
            }
        }
    }
}

/// A permit for one more upload of this caller.
async fn room(app: &App, context: &RequestContext) -> Result<Share, Error> {
    let limits = &context.config.limits;
    let bounds = SessionBounds { most: limits.uploads, share: limits.uploads_per_user };
    let counts = &app.admission.counts;
    match app.uploads.room(context.party(), bounds).await {
        Ok((room, others_left)) => {
            if others_left {
                counts.refuse(Limit::DisplacedUploads);
            }
            Ok(room)
        }
        Err(NoSessionPermit::Whole) => Err(Error::TooMany(Bound::Uploads)),
        Err(NoSessionPermit::Share) => Err(Error::TooMany(Bound::UserUploads)),
    }
}

/// The lock for linking a blob to this repository: no deletion takes it there meanwhile.
async fn linking(
    app: &App,
    context: &RequestContext,
    target: &Target,
    repo: &RepoName,
    digest: Digest,
) -> Result<ChangeGuard, Error> {
    app.turns.take(&context.party(), LockSet::to_link(target, repo, digest)).await
}

async fn session(
    app: &App,
    context: &RequestContext,
    repo: &RepoName,
    algorithm: Option<Algorithm>,
    room: Share,
) -> Result<Answer, Error> {
    let (uploads, party) = (app.uploads.clone(), context.party());
    let target = context.target_for_party(repo)?;
    let asking = async move { uploads.open_upstream(target, algorithm, &party).await };
    let (destination, room) = keeping(room, asking).await?;
    open(app, context, NewSession { repo, algorithm, destination, room }).await
}

/// Begins an upload at an upstream, which goes on although the client goes away: its permit is held
/// for as long.
async fn keeping<T: Send + 'static>(
    room: Share,
    asking: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<(T, Share), Error> {
    let asking = async move { asking.await.map(|begun| (begun, room)) };
    match tokio::spawn(party::hand_on(asking.in_current_span())).await {
        Ok(begun) => begun,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

async fn open(
    app: &App,
    context: &RequestContext,
    session: NewSession<'_>,
) -> Result<Answer, Error> {
    let (repo, owner) = (session.repo, context.caller.somebody());
    let id = app.uploads.open(session, owner).await?;
    Ok(response::opened(repo, id))
}

/// An upload of another caller is answered like an unknown one.
pub(super) fn require_own(
    app: &App,
    call: &Call,
    repo: &RepoName,
    id: UploadId,
) -> Result<(), Error> {
    if call.context.config.access.is_open() {
        return Ok(());
    }
    let owner = app.uploads.owner(repo, id)?;
    let is_own = call.context.config.access.may_go_on(&call.context.caller, owner.as_deref(), repo);
    if is_own { Ok(()) } else { Err(Error::UploadUnknown) }
}

/// The permitted source of a mount: the named one, or any that has the blob, if the caller may pull
/// it; `None` when there is none. Where everyone may do everything, any source stays unnamed.
async fn source(
    app: &App,
    context: &RequestContext,
    repo: &RepoName,
    digest: &Digest,
    from: Option<RepoName>,
) -> Result<Option<Option<RepoName>>, Error> {
    let (access, caller) = (&context.config.access, &context.caller);
    if access.is_open() {
        return Ok(Some(from));
    }
    let may_pull =
        async |repo: &RepoName| access.authorize(caller, &Permission::pull(repo)).await.is_ok();
    if let Some(from) = from {
        return Ok(may_pull(&from).await.then_some(Some(from)));
    }
    if let Target::Upstream(_) = context.target(repo)? {
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
    context: &RequestContext,
    repo: &RepoName,
    MountRequest { digest, from }: MountRequest,
    mut room: Share,
) -> Result<Answer, Error> {
    let target = context.target_for_party(repo)?;
    let _turn = linking(app, context, &target, repo, digest).await?;
    let destination = match target {
        Target::Local(_) => {
            if lend(app, repo, &digest, from.as_ref()).await? {
                return Ok(created(repo, &digest));
            }
            None
        }
        Target::Upstream(upstream_repo) if upstream_repo.is_staged() => {
            let party = context.party();
            app.outbox.room(&party)?;
            if app.outbox.mount((repo, party), &upstream_repo, digest, from).await? {
                return Ok(created(repo, &digest));
            }
            None
        }
        Target::Upstream(upstream_repo) => {
            let from = from.filter(|_| Upstream::mounts(&digest));
            let from = from.and_then(|from| upstream_repo.beside(&from));
            let there = upstream_repo.clone();
            let asking = async move { mount_beyond(&there, &digest, from.as_ref()).await };
            let push;
            (push, room) = keeping(room, asking).await?;
            if push.is_none() {
                app.cache.link(repo, &digest).await?;
                return Ok(created(repo, &digest));
            }
            Some(UploadDestination { upstream_repo, open: push, expected: Some(digest) })
        }
    };
    let algorithm = Some(digest.algorithm());
    open(app, context, NewSession { repo, algorithm, destination, room }).await
}

/// Has the upstream mount the blob from another repository of its own; if the upstream refuses,
/// opens a session. Without a source the upstream is asked only whether the repository has the
/// blob: a caller that names a digest need not have access to it. A login that may not read there
/// can still push.
async fn mount_beyond(
    upstream_repo: &UpstreamRepo,
    digest: &Digest,
    from: Option<&RepoName>,
) -> Result<Option<UploadSession>, Error> {
    let UpstreamRepo { upstream, repo, .. } = upstream_repo;
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

/// A refused mount only means that the bytes are sent; other errors stay errors.
fn not_so(upstream: &str, error: Error) -> Result<(), Error> {
    match error {
        Error::UpstreamDenied { .. } => {}
        Error::UpstreamRefused { status, .. } if status.is_client_error() => {}
        error => return Err(error),
    }
    tracing::debug!(upstream, %error, "not mounted");
    Ok(())
}

/// Links a blob of `from` to a repository, or of any repository when none is named; `false` when
/// the blob is not here.
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
        // Checked and linked at once: its last repository may be letting it go.
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
    call: &Call,
    repo: &RepoName,
    id: UploadId,
    body: &mut RequestBody,
) -> Result<Answer, Error> {
    let mut guard = app.uploads.lock_session(&call.context, repo, id).await?;
    let session = guard.session();
    let chunk = check_chunk(session, &call.headers, &upload_path(repo, id))?;
    let before = session.offset();
    if session.is_proven() {
        // All bytes are here: the session waits for its end.
        let location = upload_path(repo, id);
        return Err(Error::ChunkOutOfOrder { offset: before, location });
    }
    receive(app, call, session, body.pieces()).await?;
    let offset = session.offset();
    if let Some(chunk) = chunk.filter(|chunk| chunk.size_bytes() != offset - before) {
        let (declared, actual) = (chunk.size_bytes(), offset - before);
        return Err(Error::ChunkSize { declared, actual });
    }
    Ok(response::upload(StatusCode::ACCEPTED, repo, id, offset))
}

pub(super) async fn finish(
    app: &App,
    call: &Call,
    end: UploadEnd,
    body: &mut RequestBody,
) -> Result<Answer, Error> {
    let Call { context, headers, .. } = call;
    let UploadEnd { repo, id, digest } = end;
    if app.uploads.has_ended(&repo, id, &digest).await? {
        return Ok(created(&repo, &digest));
    }
    let mut guard = app.uploads.lock_session(context, &repo, id).await?;
    let session = guard.session();
    check_chunk(session, headers, &upload_path(&repo, id))?;
    session.expect(digest);
    receive(app, call, session, body.pieces()).await?;
    let target = Uploads::target_of(session, context, &repo)?;
    let turn = linking(app, context, &target, &repo, digest).await?;
    app.uploads.finish(&repo, target, guard.end(), digest, turn).await?;
    Ok(created(&repo, &digest))
}

pub(super) async fn cancel(app: &App, repo: &RepoName, id: UploadId) -> Result<Answer, Error> {
    app.uploads.cancel(repo, id).await?;
    Ok(response::answer(StatusCode::NO_CONTENT, &[], Body::empty()))
}

/// A chunk with a `Content-Range` must belong at the end of the session; nothing of another one is
/// taken.
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

/// Writes the body into the session. Bytes received before a break stay, and the session says how
/// many.
async fn receive(
    app: &App,
    Call { context, headers, .. }: &Call,
    session: &mut Session,
    body: &mut Incoming,
) -> Result<(), Error> {
    let limits = &context.config.limits;
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
            // The session is suspended with its bytes.
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
