//! A session taken by one request, and a complete upload on its way to its end.
//!
//! Invariant: a session returns to the table however its request ends, unless it was taken for good.

use std::sync::Arc;

use tokio::time::Instant;
use wharf_oci::{Digest, UploadId};

use super::Sessions;
use super::commits::Committing;
use super::session::Session;

/// A session in the hands of one request; returned when dropped.
pub(crate) struct SessionGuard {
    pub(super) id: UploadId,
    pub(super) sessions: Arc<Sessions>,
    pub(super) session: Option<Session>,
}

/// Complete content. Its name, when it has one, belongs to it until this is dropped.
pub(crate) struct CompletedUpload {
    pub(super) session: Session,
    pub(super) name: Option<SessionGuard>,
}

impl From<Session> for CompletedUpload {
    fn from(session: Session) -> Self {
        Self { session, name: None }
    }
}

impl SessionGuard {
    pub(crate) fn session(&mut self) -> &mut Session {
        self.session.as_mut().expect("only `take`, which consumes this, leaves it empty")
    }

    /// The session is committing as this digest.
    pub(super) fn commit(&self, digest: Digest) -> Committing {
        let table = self.sessions.lock();
        let slot = table.open.get(&self.id);
        let of = slot.map(|slot| (slot.repo.clone(), slot.owner.clone()));
        drop(table);
        self.sessions.commits.begin(self.id, of, digest)
    }

    /// Takes the session to end it; until the end no other request has its name.
    pub(crate) fn end(mut self) -> CompletedUpload {
        let session = self.session.take();
        let session =
            session.expect("only this call and `take`, which consume this, leave it empty");
        if let Some(slot) = self.sessions.lock().open.get_mut(&self.id) {
            slot.offset = session.offset();
        }
        CompletedUpload { session, name: Some(self) }
    }

    /// Takes the session for good: its name is free.
    pub(crate) fn take(mut self) -> Session {
        self.session.take().expect("only this call, which consumes this, leaves it empty")
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        let mut table = self.sessions.lock();
        match self.session.take() {
            None => {
                table.open.remove(&self.id);
            }
            Some(session) => {
                if let Some(slot) = table.open.get_mut(&self.id) {
                    slot.offset = session.offset();
                    slot.touched = Instant::now();
                    slot.session = Some(session);
                }
            }
        }
        self.sessions.returned.notify_one();
    }
}
