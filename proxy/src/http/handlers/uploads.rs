//! Upload sessions over HTTP (distribution-spec end-4, end-5, end-6, end-11, end-13, end-14).

use std::pin::pin;
use std::sync::atomic::Ordering;

use http::{HeaderMap, StatusCode, header};
use hyper::body::Incoming;
use tracing::Instrument as _;
use wharf_client::runtime::party;
use wharf_oci::{Algorithm, ChunkRange, Digest, Endpoint, RepoName, UploadId};

use super::request_body::{IncomingBody, RequestBody};
use super::{App, Call};
use crate::Error;
use crate::bound::Bound;
use crate::context::RequestContext;
use crate::http::admission::Limit;
use crate::http::response;
use crate::http::response::Answer;
use crate::http::route::{UploadStart, upload_path};
use crate::push;
use crate::push::change_locks::{ChangeGuard, LockSet};
use crate::push::mount::MountRequest;
use crate::push::uploads::{
    NewSession, NoSessionPermit, Session, SessionBounds, UploadDestination, Uploads,
};
use crate::registries::Target;
use crate::runtime::body::Body;
use crate::runtime::shares::Share;

/// The upload and its final digest.
pub(super) struct UploadEnd {
    pub(super) repo: RepoName,
    pub(super) id: UploadId,
    pub(super) digest: Digest,
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
            let request = MountRequest { digest, from };
            match push::mount::permitted(&app.cache, context, repo, request).await? {
                Some(request) => mount(app, context, repo, request, room).await,
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

/// Takes a blob from another repository; when that cannot be, opens a session instead.
async fn mount(
    app: &App,
    context: &RequestContext,
    repo: &RepoName,
    request: MountRequest,
    mut room: Share,
) -> Result<Answer, Error> {
    let (target, digest) = (context.target_for_party(repo)?, request.digest);
    let _turn = linking(app, context, &target, repo, digest).await?;
    let destination = match target {
        Target::Local(_) => {
            if push::mount::link(&app.cache, repo, &request).await? {
                return Ok(created(repo, &digest));
            }
            None
        }
        Target::Upstream(upstream_repo) if upstream_repo.is_staged() => {
            let party = context.party();
            app.outbox.room(&party)?;
            if app.outbox.mount((repo, party), &upstream_repo, digest, request.from).await? {
                return Ok(created(repo, &digest));
            }
            None
        }
        Target::Upstream(upstream_repo) => {
            let from = push::mount::source_beside(&upstream_repo, &request);
            let there = upstream_repo.clone();
            let asking =
                async move { push::mount::at_upstream(&there, &digest, from.as_ref()).await };
            let session;
            (session, room) = keeping(room, asking).await?;
            if session.is_none() {
                app.cache.link(repo, &digest).await?;
                return Ok(created(repo, &digest));
            }
            Some(UploadDestination { upstream_repo, open: session, expected: Some(digest) })
        }
    };
    let algorithm = Some(digest.algorithm());
    open(app, context, NewSession { repo, algorithm, destination, room }).await
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
