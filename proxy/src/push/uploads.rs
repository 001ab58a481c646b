//! Open upload sessions: the next writer of each, and its end. Knows no HTTP. Sessions from before
//! a restart are in `push/uploads/suspended.rs`, their side at the upstream in
//! `push/uploads/upstream_side.rs`, bounds and displacement in `push/uploads/session_permit.rs`, of
//! idle bytes in `push/uploads/idle_bytes.rs`, a session's content in `push/uploads/session.rs`.
//!
//! Invariant: a session is written by one request at a time, and after a broken request it holds
//! exactly the bytes of its reported offset.

mod commits;
mod idle_bytes;
mod session;
mod session_permit;
mod suspended;
mod upstream_side;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tracing::Instrument as _;
use wharf_client::runtime::party::Party;
use wharf_client::{UploadSession, Urgency};
use wharf_oci::{Algorithm, Digest, Mismatch, RepoName, UploadId};
use wharf_store::{BlobInfo, BlobWriter, NewUpload, ReadyBlob, Retention, StoreError};

use crate::Error;
use crate::bound::Bound;
use crate::context::RequestContext;
use crate::push::change_locks::ChangeGuard;
use crate::push::outbox::Outbox;
use crate::push::transfer::Transfers;
use crate::registries::{Target, UpstreamRepo};
use crate::runtime::blocking::{BlobFeed, BlockingPool};
use crate::runtime::detached::DetachedTasks;
use crate::runtime::shares::{Share, Shares};
use crate::runtime::spans;
use crate::runtime::store::Store;

use commits::Commits;
use session::SessionBytes;
pub(crate) use session::{CompletedUpload, Session, SessionGuard};
pub(crate) use session_permit::{NoSessionPermit, SessionBounds};
use suspended::SuspendedSession;
use upstream_side::UpstreamSide;

/// All sessions, open and suspended.
#[derive(Clone)]
pub(crate) struct Uploads {
    blocking: BlockingPool,
    store: Arc<dyn Store>,
    transfers: Arc<Transfers>,
    outbox: Outbox,
    detached: DetachedTasks,
    sessions: Arc<Sessions>,
    /// The most bytes of idle sessions.
    idle_bytes_max: u64,
}

#[derive(Default)]
struct Sessions {
    /// Sessions by party, also those without a name.
    shares: Shares,
    /// One lock for both lists, so that a session is always in one of them.
    table: Mutex<Table>,
    /// Notified when a request returns its session.
    returned: Notify,
    /// True once sessions are being suspended.
    closing: watch::Sender<bool>,
    /// Running and finished commits.
    commits: Commits,
}

#[derive(Default)]
struct Table {
    open: HashMap<UploadId, Slot>,
    suspended: HashMap<UploadId, SuspendedSession>,
}

struct Slot {
    repo: RepoName,
    /// The only caller allowed to continue the session, if it has an owner.
    owner: Option<String>,
    touched: Instant,
    /// The session's offset, readable while a request writes to it.
    offset: u64,
    /// Absent while a request writes to it.
    session: Option<Session>,
}

/// An upload's destination at an upstream.
pub(crate) struct UploadDestination {
    pub(crate) upstream_repo: UpstreamRepo,
    /// The session there, when it is open already.
    pub(crate) open: Option<UploadSession>,
    /// The digest announced by the client.
    pub(crate) expected: Option<Digest>,
}

/// A session to open, with the permit for it.
pub(crate) struct NewSession<'a> {
    pub(crate) repo: &'a RepoName,
    /// The algorithm of its digest, if the client announced it.
    pub(crate) algorithm: Option<Algorithm>,
    /// None when the content is kept here, or delivered later.
    pub(crate) destination: Option<UploadDestination>,
    pub(crate) room: Share,
}

impl Uploads {
    /// Loads the sessions that the store kept; idle ones have a share of the store's limit. Blocks.
    pub(crate) fn load(
        store: Arc<dyn Store>,
        transfers: Arc<Transfers>,
        outbox: Outbox,
        detached: DetachedTasks,
        store_limit: Option<u64>,
    ) -> Result<Self, StoreError> {
        let (shares, blocking) = (Shares::default(), transfers.blocking().clone());
        let suspended = suspended::load(&*store, &shares)?;
        let table = Mutex::new(Table { suspended, ..Table::default() });
        let sessions = Arc::new(Sessions { shares, table, ..Sessions::default() });
        let idle_bytes_max = idle_bytes::bound(store_limit);
        Ok(Self { blocking, store, transfers, outbox, detached, sessions, idle_bytes_max })
    }

    /// A session at the upstream, before there is one here: when the upstream refuses, the client
    /// sends no bytes in vain. `None` when the repository lives here, or the push is delivered
    /// later.
    pub(crate) async fn open_upstream(
        &self,
        target: Target,
        algorithm: Option<Algorithm>,
        party: &Party,
    ) -> Result<Option<UploadDestination>, Error> {
        let Target::Upstream(upstream_repo) = target else { return Ok(None) };
        if upstream_repo.is_staged() {
            self.outbox.room(party)?;
            return Ok(None);
        }
        let push = upstream_repo
            .upstream
            .client
            .open_upload(&upstream_repo.repo, algorithm, Urgency::Long)
            .await?;
        Ok(Some(UploadDestination { upstream_repo, open: Some(push), expected: None }))
    }

    /// The destination of complete content: a session is opened there with the first bytes sent.
    /// `None` as with [`Uploads::open_upstream`].
    fn onward(target: Target) -> Option<UploadDestination> {
        let Target::Upstream(upstream_repo) = target else { return None };
        let destination = UploadDestination { upstream_repo, open: None, expected: None };
        (!destination.upstream_repo.is_staged()).then_some(destination)
    }

    /// The destination of content with a digest announced first: the transfer asks the upstream for
    /// the digest first, so there is no session yet. `None` as with [`Uploads::open_upstream`].
    pub(crate) fn destination(
        &self,
        target: Target,
        digest: Digest,
        party: &Party,
    ) -> Result<Option<UploadDestination>, Error> {
        let Target::Upstream(upstream_repo) = target else { return Ok(None) };
        if upstream_repo.is_staged() {
            self.outbox.room(party)?;
            return Ok(None);
        }
        Ok(Some(UploadDestination { upstream_repo, open: None, expected: Some(digest) }))
    }

    /// A session without a name; for content of a single request.
    pub(crate) async fn anonymous(
        &self,
        room: Share,
        algorithm: Algorithm,
        destination: Option<UploadDestination>,
    ) -> Result<Session, Error> {
        let store = Arc::clone(&self.store);
        let writer = self.blocking.run(move || store.begin()).await?;
        Ok(self.session(writer.hashing(algorithm), destination, room))
    }

    /// Opens a session, which only its owner may continue, if it has one; the store keeps it from here
    /// on.
    pub(crate) async fn open(
        &self,
        NewSession { repo, algorithm, destination, room }: NewSession<'_>,
        owner: Option<&str>,
    ) -> Result<UploadId, Error> {
        let (id, owner) = (new_id()?, owner.map(str::to_owned));
        let upload = NewUpload { id, repo: repo.clone(), owner: owner.clone() };
        let store = Arc::clone(&self.store);
        let writer = self.blocking.run(move || store.begin_upload(upload)).await?;
        let writer = writer.hashing(algorithm.unwrap_or(Algorithm::Sha256));
        let mut table = self.sessions.lock();
        // The server may stop meanwhile; a dropped writer leaves nothing.
        if *self.sessions.closing.borrow() {
            return Err(Error::TooMany(Bound::Uploads));
        }
        let session = Some(self.session(writer, destination, room));
        let (touched, repo) = (Instant::now(), repo.clone());
        table.open.insert(id, Slot { repo, owner, touched, offset: 0, session });
        Ok(id)
    }

    /// The target of a session's end: a session begun at an upstream continues there, even after a
    /// change of the configuration.
    pub(crate) fn target_of(
        session: &Session,
        context: &RequestContext,
        repo: &RepoName,
    ) -> Result<Target, Error> {
        match &session.side {
            Some(side) => Ok(Target::Upstream(side.upstream_repo().clone())),
            None => context.target(repo).cloned(),
        }
    }

    fn session(
        &self,
        writer: BlobWriter,
        destination: Option<UploadDestination>,
        room: Share,
    ) -> Session {
        let blob = writer.in_flight();
        let side = destination.map(|UploadDestination { upstream_repo, open, expected }| {
            let mut side = UpstreamSide::start(&self.transfers, upstream_repo, blob, open);
            if let Some(digest) = expected {
                side.expect(digest);
            }
            side
        });
        Session::new(BlobFeed::new(self.blocking.clone(), writer), side, room)
    }

    /// The only caller allowed to continue the session, if it has an owner.
    pub(crate) fn owner(&self, repo: &RepoName, id: UploadId) -> Result<Option<String>, Error> {
        let table = self.sessions.lock();
        let open = table.open.get(&id).map(|slot| (&slot.repo, &slot.owner));
        let found = open.or_else(|| table.suspended.get(&id).map(|rest| (&rest.repo, &rest.owner)));
        let found = found.filter(|(of, _)| *of == repo);
        let found = found.map(|(_, owner)| owner.clone());
        found.or_else(|| self.sessions.commits.owner(repo, id)).ok_or(Error::UploadUnknown)
    }

    /// Whether an earlier end of this upload, finished or running, committed this digest, and the
    /// repository still has it. After a failed end the upload is ended anew.
    pub(crate) async fn has_ended(
        &self,
        repo: &RepoName,
        id: UploadId,
        digest: &Digest,
    ) -> Result<bool, Error> {
        if !matches!(self.sessions.commits.outcome(repo, id, digest).await, Some(Ok(()))) {
            return Ok(false);
        }
        let (store, repo, digest) = (Arc::clone(&self.store), repo.clone(), *digest);
        Ok(self.blocking.run(move || store.has_blob(&repo, &digest)).await?)
    }

    /// The offset of a session; of a suspended one, the number of durable bytes.
    pub(crate) fn offset(&self, repo: &RepoName, id: UploadId) -> Result<u64, Error> {
        let table = self.sessions.lock();
        let open = table.open.get(&id).map(|slot| (&slot.repo, slot.offset));
        let found = open.or_else(|| table.suspended.get(&id).map(|rest| (&rest.repo, rest.offset)));
        let found = found.filter(|(of, _)| *of == repo);
        found.map(|(_, offset)| offset).ok_or_else(|| self.unknown())
    }

    /// Takes a session for one request; resumes a suspended one.
    pub(crate) async fn lock_session(
        &self,
        context: &RequestContext,
        repo: &RepoName,
        id: UploadId,
    ) -> Result<SessionGuard, Error> {
        let mut guard = match self.rouse(repo, id) {
            Some(suspended) => match context.target_for_party(repo) {
                Ok(target) => self.resume(id, suspended, context.party(), target).await?,
                Err(error) => {
                    self.rest_again(id, suspended);
                    return Err(error);
                }
            },
            None => self.take_open(repo, id)?,
        };
        guard.session().write_for(&context.caller);
        Ok(guard)
    }

    fn take_open(&self, repo: &RepoName, id: UploadId) -> Result<SessionGuard, Error> {
        let mut table = self.sessions.lock();
        let slot = table.open.get_mut(&id).filter(|slot| slot.repo == *repo);
        let slot = slot.ok_or_else(|| self.unknown())?;
        let session = slot.session.take().ok_or(Error::UploadBusy)?;
        slot.touched = Instant::now();
        Ok(SessionGuard { id, sessions: Arc::clone(&self.sessions), session: Some(session) })
    }

    /// Gives up a session, with its bytes here and its session at the upstream.
    pub(crate) async fn cancel(&self, repo: &RepoName, id: UploadId) -> Result<(), Error> {
        if self.forget_resting(repo, id).await? {
            return Ok(());
        }
        let session = self.take_open(repo, id)?.take();
        // Dropping the writer forgets the session in the store.
        self.blocking.run(move || drop(session)).await;
        Ok(())
    }

    /// The numbers of open and suspended sessions.
    #[must_use]
    pub(crate) fn count(&self) -> (usize, usize) {
        let table = self.sessions.lock();
        (table.open.len(), table.suspended.len())
    }

    /// Ends an upload: verified, at the upstream, and kept here, in this order. Continues to its
    /// end when the caller goes away, with its write slot for so long; an end still at the upstream
    /// when the server stops is suspended.
    pub(crate) async fn finish(
        &self,
        repo: &RepoName,
        target: Target,
        ending: CompletedUpload,
        digest: Digest,
        turn: ChangeGuard,
    ) -> Result<(), Error> {
        let (uploads, repo) = (self.clone(), repo.clone());
        let work = async move {
            let CompletedUpload { session, mut name } = ending;
            let commit = name.as_ref().map(|name| name.commit(digest));
            let done = uploads.end(&repo, target, session, digest, &mut name).await;
            if let Some(commit) = commit {
                commit.ended(&done);
            }
            drop((name, turn));
            done
        };
        self.detached.run(work.in_current_span()).await
    }

    async fn end(
        &self,
        repo: &RepoName,
        target: Target,
        session: Session,
        digest: Digest,
        name: &mut Option<SessionGuard>,
    ) -> Result<(), Error> {
        let Session { held, mut side, room } = session;
        let ready = match held {
            SessionBytes::Arriving(pump) => {
                pump.verify(digest).await?.map_err(Error::DigestMismatch)?
            }
            SessionBytes::Proven(ready, _) => *ready,
        };
        if let Err(mismatch) = is(&ready, digest) {
            self.keep(name, ready, side, room).await;
            return Err(Error::DigestMismatch(mismatch));
        }
        let of = repo.clone();
        let Some(way) = &mut side else {
            return match target {
                Target::Upstream(upstream_repo) => {
                    let party = room.as_ref().map_or(Party::Ourselves, |room| room.owner().clone());
                    let reserved = self.outbox.reserve(party, ready.info().size_bytes).await;
                    match reserved {
                        Ok(reserved) => {
                            self.outbox.publish(ready, repo, &upstream_repo, reserved).await
                        }
                        // Refused for its bytes: here they would take the room of others too.
                        Err(error @ Error::PendingFull { .. }) => Err(error),
                        Err(error) => {
                            self.keep(name, ready, side, room).await;
                            Err(error)
                        }
                    }
                }
                // Content that is only here is never evicted.
                Target::Local(_) => {
                    let publish = move || ready.publish_into(Retention::Kept, &of);
                    self.blocking.run(publish).instrument(spans::step("publish")).await?;
                    Ok(())
                }
            };
        };
        let arrived = tokio::select! {
            // An answer already here counts.
            biased;
            arrived = way.finish(digest) => Some(arrived),
            () = self.closing() => None,
        };
        match arrived {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                // The upstream may take the blob later, and its client need not send it again.
                if error.is_outage() {
                    self.keep(name, ready, side, room).await;
                }
                return Err(error);
            }
            None => {
                self.blocking.run(move || ready.suspend()).await?;
                return Err(Error::Stopping);
            }
        }
        // The blob can be fetched from the upstream again, so a failure of the store is not the
        // client's.
        let publish = move || ready.publish_into(Retention::Cached, &of);
        let kept = self.blocking.run(publish).instrument(spans::step("publish")).await;
        if let Err(error) = kept {
            let error = wharf_client::chain(&error);
            tracing::error!(%repo, %digest, error, "a blob was pushed and is not kept here");
        }
        Ok(())
    }

    /// Keeps verified content under its name, on disk, for another end of it. Content without a
    /// name is forgotten: no client can come back for it.
    async fn keep(
        &self,
        name: &mut Option<SessionGuard>,
        mut ready: ReadyBlob,
        side: Option<UpstreamSide>,
        room: Option<Share>,
    ) {
        let Some(name) = name else { return };
        let settled = self.blocking.run(move || ready.flush_run().map(|()| ready)).await;
        match settled {
            Ok(ready) => {
                let held = SessionBytes::Proven(Box::new(ready), self.blocking.clone());
                name.session = Some(Session { held, side, room });
            }
            Err(error) => {
                let error = wharf_client::chain(&error);
                tracing::error!(error, "an upload that its upstream did not take was lost");
            }
        }
    }

    /// The error for a session that is not here, or is being suspended.
    fn unknown(&self) -> Error {
        if *self.sessions.closing.borrow() { Error::Stopping } else { Error::UploadUnknown }
    }
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the verified content has the expected digest. A digest by another algorithm does not
/// match.
fn is(ready: &ReadyBlob, expected: Digest) -> Result<(), Mismatch> {
    let BlobInfo { digest: actual, size_bytes } = ready.info();
    let same = actual == expected;
    if same { Ok(()) } else { Err(Mismatch { expected, actual, size_bytes }) }
}

/// Hard to guess: the name of a session grants the right to write to it.
fn new_id() -> Result<UploadId, Error> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| Error::NoRandomness(error.to_string()))?;
    Ok(UploadId::from_u128(u128::from_ne_bytes(bytes)))
}

#[cfg(test)]
mod tests;
