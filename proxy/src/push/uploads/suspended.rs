//! Suspended uploads in the store: found again after a restart, resumed at first need, suspended
//! when the server stops, forgotten when no client comes back for them.
//!
//! Invariant: a session is open, suspended, or gone, never two of these; a suspended one resumes
//! only in its own repository, and at exactly the durable offset.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;
use wharf_client::runtime::party::Party;
use wharf_oci::{RepoName, UploadId};
use wharf_store::StoreError;

use super::{Session, SessionGuard, Slot, Table, Uploads};
use crate::Error;
use crate::limits::{SUSPEND_DEADLINE, UPLOAD_EMPTY_IDLE_MAX, UPLOAD_IDLE_MAX};
use crate::registries::Target;
use crate::runtime::shares::{Share, Shares};
use crate::runtime::store::Store;

/// The record of a suspended session. The list is in memory, because only this process has the
/// store: no other process can add to it.
pub(super) struct SuspendedSession {
    pub(super) repo: RepoName,
    /// The only caller allowed to resume the session, if it has an owner.
    pub(super) owner: Option<String>,
    /// The number of durable bytes.
    pub(super) offset: u64,
    /// The time of suspension, in milliseconds since 1970.
    saved_ms: u64,
    /// The owner's share; the party of a session without an owner is not known any more.
    room: Share,
}

/// Loads every suspended session of the store. Blocks.
pub(super) fn load(
    store: &dyn Store,
    shares: &Shares,
) -> Result<HashMap<UploadId, SuspendedSession>, StoreError> {
    let saved = store.saved_uploads()?.into_iter();
    let suspended = saved.map(|saved| {
        let (repo, owner) = (saved.repo, saved.owner);
        let party =
            owner.as_ref().map_or(Party::Ourselves, |name| Party::Caller(name.as_str().into()));
        let (offset, saved_ms) = (saved.offset, saved.saved_ms);
        (saved.id, SuspendedSession { repo, owner, offset, saved_ms, room: shares.join(party) })
    });
    Ok(suspended.collect())
}

/// Sessions to give up, out of the table.
#[derive(Default)]
pub(super) struct ExpiredSessions {
    open: Vec<Slot>,
    suspended: Vec<UploadId>,
}

impl ExpiredSessions {
    pub(super) fn extend(&mut self, more: Self) {
        self.open.extend(more.open);
        self.suspended.extend(more.suspended);
    }
}

/// The longest idle time of a session with this offset.
const fn idle_max(offset: u64) -> Duration {
    if offset == 0 { UPLOAD_EMPTY_IDLE_MAX } else { UPLOAD_IDLE_MAX }
}

impl SuspendedSession {
    /// The party of its share.
    pub(super) const fn owned_by(&self) -> &Party {
        self.room.owner()
    }

    /// The time since its suspension.
    pub(super) const fn idle(&self, now_ms: u64) -> Duration {
        Duration::from_millis(now_ms.saturating_sub(self.saved_ms))
    }
}

impl Table {
    /// Takes one session out to give it up; it counts no more.
    pub(super) fn take_old(&mut self, id: UploadId) -> ExpiredSessions {
        let mut old = ExpiredSessions::default();
        if let Some(mut slot) = self.open.remove(&id) {
            drop(slot.session.as_mut().and_then(|session| session.room.take()));
            old.open.push(slot);
        }
        old.suspended.extend(self.suspended.remove(&id).map(|_| id));
        old
    }

    /// Takes out all sessions idle for too long: open ones by `now`, suspended ones by `now_ms`.
    fn take_expired(&mut self, now: Instant, now_ms: u64) -> ExpiredSessions {
        let open = self.open.extract_if(|_, slot| {
            slot.session.is_some() && now.duration_since(slot.touched) >= idle_max(slot.offset)
        });
        let open = open.map(|(_, slot)| slot).collect();
        let suspended =
            self.suspended.extract_if(|_, rest| rest.idle(now_ms) >= idle_max(rest.offset));
        ExpiredSessions { open, suspended: suspended.map(|(id, _)| id).collect() }
    }
}

impl Uploads {
    /// Moves a suspended session to the open ones, where it belongs to this caller until it is
    /// resumed.
    pub(super) fn rouse(&self, repo: &RepoName, id: UploadId) -> Option<SuspendedSession> {
        let mut table = self.sessions.lock();
        // A stopping server resumes no session: this one is suspended already.
        if *self.sessions.closing.borrow() {
            return None;
        }
        if table.suspended.get(&id)?.repo != *repo {
            return None;
        }
        let suspended = table.suspended.remove(&id)?;
        let (repo, owner) = (suspended.repo.clone(), suspended.owner.clone());
        let (touched, offset) = (Instant::now(), suspended.offset);
        let slot = Slot { repo, owner, touched, offset, session: None };
        table.open.insert(id, slot);
        Some(suspended)
    }

    /// Resumes a session, with a new one at the upstream, which gets all bytes again from here; an
    /// outage of the upstream is hidden from the client. Runs to its end when the caller goes away:
    /// an abandoned writer would be dropped, and forgotten.
    pub(super) async fn resume(
        &self,
        id: UploadId,
        suspended: SuspendedSession,
        party: Party,
        target: Target,
    ) -> Result<SessionGuard, Error> {
        let uploads = self.clone();
        let work = async move {
            let resumed = uploads.try_resume(id, &suspended.repo, party, target).await;
            if !matches!(resumed, Ok(_) | Err(Error::UploadUnknown)) {
                uploads.rest_again(id, suspended);
            }
            resumed
        };
        match tokio::spawn(work.in_current_span()).await {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    async fn try_resume(
        &self,
        id: UploadId,
        repo: &RepoName,
        party: Party,
        target: Target,
    ) -> Result<SessionGuard, Error> {
        let upstream = Self::onward(target);
        let store = Arc::clone(&self.store);
        let Some(writer) = self.blocking.run(move || store.resume_upload(id)).await? else {
            self.sessions.lock().open.remove(&id);
            self.sessions.returned.notify_one();
            return Err(Error::UploadUnknown);
        };
        let offset = writer.size_bytes();
        tracing::info!(%repo, %id, offset, "an upload goes on after a restart");
        // The resuming caller gets the session, also past its share: the session exists already.
        let room = self.sessions.shares.join(party);
        let session = self.session(writer, upstream, room);
        Ok(SessionGuard { id, sessions: Arc::clone(&self.sessions), session: Some(session) })
    }

    pub(super) fn rest_again(&self, id: UploadId, suspended: SuspendedSession) {
        let mut table = self.sessions.lock();
        table.open.remove(&id);
        table.suspended.insert(id, suspended);
        self.sessions.returned.notify_one();
    }

    /// Forgets a suspended session; `false` when there is none in this repository.
    pub(super) async fn forget_resting(
        &self,
        repo: &RepoName,
        id: UploadId,
    ) -> Result<bool, Error> {
        {
            let mut table = self.sessions.lock();
            if table.suspended.get(&id).is_none_or(|rest| rest.repo != *repo) {
                return Ok(false);
            }
            table.suspended.remove(&id);
        }
        let store = Arc::clone(&self.store);
        self.blocking.run(move || store.forget_upload(id)).await?;
        Ok(true)
    }

    /// Gives up sessions idle for too long, and idle ones past their bytes on disk: open ones by `now`,
    /// suspended ones by `now_ms`. Returns the number of those given up for their bytes.
    pub(crate) async fn expire(&self, now: Instant, now_ms: u64) -> usize {
        let (old, displaced) = {
            let mut table = self.sessions.lock();
            let mut old = table.take_expired(now, now_ms);
            let (surplus, displaced) = table.take_past(self.idle_bytes_max, now, now_ms);
            old.extend(surplus);
            (old, displaced)
        };
        self.give_up(old).await;
        displaced
    }

    /// Forgets sessions taken out of the table, with their sessions at the upstream.
    pub(super) async fn give_up(&self, old: ExpiredSessions) {
        if old.open.is_empty() && old.suspended.is_empty() {
            return;
        }
        let store = Arc::clone(&self.store);
        let forget = move || {
            // Dropping a writer forgets its session in the store.
            drop(old.open);
            for id in old.suspended {
                if let Err(error) = store.forget_upload(id) {
                    tracing::warn!(%id, %error, "an upload at rest was not forgotten");
                }
            }
        };
        self.blocking.run(forget).await;
    }

    /// Resolves when sessions are being suspended: a writing request has to let go of its session.
    pub(crate) async fn closing(&self) {
        let mut closing = self.sessions.closing.subscribe();
        // The sender lives as long as `self`.
        let _ = closing.wait_for(|closing| *closing).await;
    }

    /// Suspends every session, with all of its bytes. The last operation on uploads.
    pub(crate) async fn suspend(&self) {
        self.sessions.closing.send_replace(true);
        let deadline = Instant::now() + SUSPEND_DEADLINE;
        let mut suspended = JoinSet::new();
        loop {
            let (idle, busy) = self.take_idle();
            for (id, session) in idle {
                suspended.spawn(async move {
                    if let Err(error) = session.suspend().await {
                        tracing::error!(%id, %error, "an upload was lost");
                    }
                });
            }
            if busy == 0 {
                break;
            }
            if timeout_at(deadline, self.sessions.returned.notified()).await.is_err() {
                tracing::warn!(busy, "uploads were cut off by the stop");
                break;
            }
        }
        let count = suspended.len();
        suspended.join_all().await;
        if count > 0 {
            tracing::info!(count, "uploads rest in the store");
        }
    }

    /// Every session in no request's hands, and how many are left.
    fn take_idle(&self) -> (Vec<(UploadId, Session)>, usize) {
        let mut table = self.sessions.lock();
        let idle = table.open.extract_if(|_, slot| slot.session.is_some());
        let idle = idle.filter_map(|(id, slot)| Some((id, slot.session?))).collect();
        (idle, table.open.len())
    }
}
