//! One session: its content, bytes on their way in or verified bytes while their upstream did not take
//! them, and its guard, while one request has it.
//!
//! Invariants: a session returns to the table however its request ends, unless it was taken for good.
//! Verified bytes stay until their client or their time ends them: the client need not
//! send them again, and most clients cannot.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;
use wharf_oci::{Digest, UploadId};
use wharf_store::ReadyBlob;

use super::Sessions;
use super::commits::Committing;
use super::upstream_side::UpstreamSide;
use crate::Error;
use crate::access::Caller;
use crate::limits::BLOB_BYTES_MAX;
use crate::runtime::blocking::{BlobFeed, BlockingPool};
use crate::runtime::shares::Share;

/// Content of one upload.
pub(crate) struct Session {
    pub(super) held: SessionBytes,
    pub(super) side: Option<UpstreamSide>,
    /// The share of the session's latest party, until the session is over.
    pub(super) room: Option<Share>,
}

/// The session's bytes.
pub(super) enum SessionBytes {
    /// On their way in.
    Arriving(BlobFeed),
    /// All here; the end at the upstream failed, and may be tried again.
    Proven(Box<ReadyBlob>, BlockingPool),
}

impl Session {
    pub(super) const fn new(pump: BlobFeed, side: Option<UpstreamSide>, room: Share) -> Self {
        Self { held: SessionBytes::Arriving(pump), side, room: Some(room) }
    }

    /// Announces the digest, which may skip the transfer. Only of use before the first byte.
    pub(crate) fn expect(&mut self, digest: Digest) {
        if let (0, Some(side)) = (self.offset(), &mut self.side) {
            side.expect(digest);
        }
    }

    /// From here on the session takes write slots for this caller.
    pub(crate) fn write_for(&mut self, caller: &Caller) {
        if let SessionBytes::Arriving(pump) = &mut self.held {
            pump.write_for(caller.party());
        }
    }

    /// Takes bytes; fails as soon as the upstream has refused them. Verified content takes none: a
    /// client ending it again may send its last bytes again.
    pub(crate) async fn append(&mut self, bytes: Bytes) -> Result<(), Error> {
        let SessionBytes::Arriving(pump) = &mut self.held else { return Ok(()) };
        pump.append(bytes).await?;
        if let Some(side) = &mut self.side {
            side.check().await?;
        }
        if self.offset() > BLOB_BYTES_MAX {
            return Err(Error::BlobTooLarge { limit_bytes: BLOB_BYTES_MAX });
        }
        Ok(())
    }

    /// The number of its bytes.
    #[must_use]
    pub(crate) fn offset(&self) -> u64 {
        match &self.held {
            SessionBytes::Arriving(pump) => pump.taken_bytes(),
            SessionBytes::Proven(ready, _) => ready.info().size_bytes,
        }
    }

    /// Whether the session was ended before, and takes no more bytes.
    #[must_use]
    pub(crate) const fn is_proven(&self) -> bool {
        matches!(self.held, SessionBytes::Proven(..))
    }

    /// Suspends the session's bytes in the store, and ends the transfer to the upstream.
    pub(super) async fn suspend(self) -> Result<(), Error> {
        let rested = match self.held {
            SessionBytes::Arriving(pump) => pump.suspend().await,
            SessionBytes::Proven(ready, blocking) => {
                blocking.run(move || ready.suspend()).await.map_err(Error::from)
            }
        };
        if let Some(side) = self.side {
            side.cancelled().await;
        }
        rested
    }
}

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
