//! Open upload sessions: who may write next, and what happens at the end. Knows no HTTP.
//!
//! Invariant: a session is written by one request at a time, and after a request that broke off it
//! holds exactly the bytes that it says it holds.

mod through;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::time::Instant;
use wharf_oci::{Algorithm, Digest, RepoName, UploadId};

use crate::Error;
use crate::bridge::{Bridge, Pump};
use crate::cache::Store;
use crate::limits::{BLOB_BYTES_MAX, UPLOAD_IDLE_MAX, UPLOADS_MAX};
use crate::upstream::Push;
use crate::upstreams::Remote;

use through::Through;

/// All open sessions.
pub(crate) struct Uploads {
    bridge: Bridge,
    store: Arc<dyn Store>,
    sessions: Sessions,
}

type Sessions = Arc<Mutex<HashMap<UploadId, Slot>>>;

struct Slot {
    repo: RepoName,
    touched: Instant,
    /// Bytes that the session has, readable while a request writes to it.
    offset: u64,
    /// Absent while a request writes to it.
    session: Option<Session>,
}

/// Content on its way in.
pub(crate) struct Session {
    pump: Pump,
    through: Option<Through>,
}

/// A session in the hands of one request; goes back when dropped.
pub(crate) struct Checkout {
    id: UploadId,
    sessions: Sessions,
    session: Option<Session>,
}

impl Uploads {
    /// No sessions yet.
    #[must_use]
    pub(crate) fn new(bridge: Bridge, store: Arc<dyn Store>) -> Self {
        Self { bridge, store, sessions: Sessions::default() }
    }

    /// A session that nobody can name; for content that comes in one request.
    pub(crate) async fn anonymous(
        &self,
        algorithm: Option<Algorithm>,
        upstream: Option<(Remote, Push)>,
    ) -> Result<Session, Error> {
        let store = Arc::clone(&self.store);
        let writer = self.bridge.run(move || store.begin()).await?;
        let writer = writer.hashing(algorithm.unwrap_or(Algorithm::Sha256));
        let blob = writer.in_flight();
        let through =
            upstream.map(|(remote, push)| Through::start(self.bridge.clone(), remote, push, blob));
        Ok(Session { pump: Pump::new(self.bridge.clone(), writer), through })
    }

    /// Opens a session.
    pub(crate) async fn open(
        &self,
        repo: &RepoName,
        algorithm: Option<Algorithm>,
        upstream: Option<(Remote, Push)>,
    ) -> Result<UploadId, Error> {
        let session = self.anonymous(algorithm, upstream).await?;
        let mut sessions = lock(&self.sessions);
        if sessions.len() >= UPLOADS_MAX {
            return Err(Error::TooMany("uploads"));
        }
        let id = new_id()?;
        let slot =
            Slot { repo: repo.clone(), touched: Instant::now(), offset: 0, session: Some(session) };
        sessions.insert(id, slot);
        Ok(id)
    }

    /// How many bytes a session has.
    pub(crate) fn offset(&self, repo: &RepoName, id: UploadId) -> Result<u64, Error> {
        let sessions = lock(&self.sessions);
        let slot = sessions.get(&id).filter(|slot| slot.repo == *repo);
        slot.map(|slot| slot.offset).ok_or(Error::UploadUnknown)
    }

    /// Takes a session for one request.
    pub(crate) fn check_out(&self, repo: &RepoName, id: UploadId) -> Result<Checkout, Error> {
        let mut sessions = lock(&self.sessions);
        let slot = sessions.get_mut(&id).filter(|slot| slot.repo == *repo);
        let slot = slot.ok_or(Error::UploadUnknown)?;
        let session = slot.session.take().ok_or(Error::UploadBusy)?;
        slot.touched = Instant::now();
        Ok(Checkout { id, sessions: Arc::clone(&self.sessions), session: Some(session) })
    }

    /// Gives a session up; its bytes here and its session at the upstream go.
    pub(crate) fn cancel(&self, repo: &RepoName, id: UploadId) -> Result<(), Error> {
        self.check_out(repo, id)?.take();
        Ok(())
    }

    /// Gives up sessions that at `now` nobody touched for long.
    pub(crate) fn expire(&self, now: Instant) {
        lock(&self.sessions).retain(|_, slot| {
            slot.session.is_none() || now.duration_since(slot.touched) < UPLOAD_IDLE_MAX
        });
    }

    /// How many sessions are open.
    #[must_use]
    pub(crate) fn count(&self) -> usize {
        lock(&self.sessions).len()
    }

    /// Ends an upload: proven, at the upstream, and kept here, in this order. Goes on to its end
    /// when the caller goes away.
    pub(crate) async fn finish(
        &self,
        repo: &RepoName,
        session: Session,
        digest: Digest,
    ) -> Result<(), Error> {
        let (bridge, store, repo) = (self.bridge.clone(), Arc::clone(&self.store), repo.clone());
        let work = tokio::spawn(async move {
            let ready = session.pump.verify(digest).await?.map_err(Error::DigestMismatch)?;
            if let Some(through) = session.through {
                through.finish(digest).await?;
            }
            let kept = bridge.run(move || {
                ready.publish()?;
                store.link_blob(&repo, &digest)
            });
            Ok(kept.await?)
        });
        match work.await {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

impl Session {
    /// Takes bytes.
    pub(crate) async fn append(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.pump.append(bytes).await?;
        if self.offset() > BLOB_BYTES_MAX {
            return Err(Error::BlobTooLarge { limit_bytes: BLOB_BYTES_MAX });
        }
        Ok(())
    }

    /// How many bytes it has.
    #[must_use]
    pub(crate) const fn offset(&self) -> u64 {
        self.pump.taken_bytes()
    }
}

impl Checkout {
    /// The session.
    pub(crate) fn session(&mut self) -> &mut Session {
        self.session.as_mut().expect("only `take`, which consumes this, leaves it empty")
    }

    /// Takes it for good: the name is free of it.
    pub(crate) fn take(mut self) -> Session {
        self.session.take().expect("only this call, which consumes this, leaves it empty")
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        let mut sessions = lock(&self.sessions);
        match self.session.take() {
            None => {
                sessions.remove(&self.id);
            }
            Some(session) => {
                if let Some(slot) = sessions.get_mut(&self.id) {
                    slot.offset = session.offset();
                    slot.touched = Instant::now();
                    slot.session = Some(session);
                }
            }
        }
    }
}

/// Hard to guess: the name of a session is what lets one write to it.
fn new_id() -> Result<UploadId, Error> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|_| Error::TooMany("random numbers"))?;
    Ok(UploadId::from_u128(u128::from_ne_bytes(bytes)))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_oci::Digester;
    use wharf_store::{BlobStore, MemoryStore, contract::noise};

    fn uploads() -> (MemoryStore, Uploads, RepoName) {
        let store = MemoryStore::default();
        let uploads = Uploads::new(Bridge::default(), Arc::new(store.clone()));
        (store, uploads, "a/b".parse().unwrap())
    }

    #[tokio::test]
    async fn a_session_is_written_by_one_request_at_a_time_and_keeps_its_offset() {
        let (_, uploads, repo) = uploads();
        let id = uploads.open(&repo, None, None).await.unwrap();
        let mut first = uploads.check_out(&repo, id).unwrap();
        assert!(matches!(uploads.check_out(&repo, id), Err(Error::UploadBusy)));
        first.session().append(Bytes::from_static(b"12345")).await.unwrap();
        drop(first);
        assert_eq!(uploads.offset(&repo, id).unwrap(), 5);
        let other: RepoName = "c".parse().unwrap();
        assert!(matches!(uploads.offset(&other, id), Err(Error::UploadUnknown)));
        uploads.cancel(&repo, id).unwrap();
        assert_eq!(uploads.count(), 0);
    }

    #[tokio::test]
    async fn a_finished_upload_is_kept_and_a_wrong_one_is_not() {
        let (store, uploads, repo) = uploads();
        let content = noise(3_000_000, 1);
        let digest = Digester::digest(Algorithm::Sha256, &content);
        for expected in [digest, Digester::digest(Algorithm::Sha256, b"other")] {
            let mut session = uploads.anonymous(None, None).await.unwrap();
            for start in (0..content.len()).step_by(70_000) {
                let part = content.slice(start..(start + 70_000).min(content.len()));
                session.append(part).await.unwrap();
            }
            let ended = uploads.finish(&repo, session, expected).await;
            assert_eq!(ended.is_ok(), expected == digest);
        }
        assert!(store.stat(&digest).unwrap().is_some());
    }

    #[tokio::test]
    async fn an_idle_session_expires_and_one_in_use_does_not() {
        let (_, uploads, repo) = uploads();
        let id = uploads.open(&repo, None, None).await.unwrap();
        let opened = Instant::now();
        uploads.expire(opened + UPLOAD_IDLE_MAX / 2);
        assert_eq!(uploads.count(), 1);
        let in_use = uploads.check_out(&repo, id).unwrap();
        uploads.expire(opened + UPLOAD_IDLE_MAX * 2);
        assert_eq!(uploads.count(), 1);
        drop(in_use);
        uploads.expire(Instant::now() + UPLOAD_IDLE_MAX);
        assert_eq!(uploads.count(), 0);
    }
}
