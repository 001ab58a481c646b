//! What one session has: bytes on their way in, or bytes that were proven while their upstream did not take
//! them.
//!
//! Invariant: bytes that were proven stay until their client or its time ends them: its client need not
//! send them again, and most cannot.

use bytes::Bytes;
use wharf_oci::Digest;
use wharf_store::ReadyBlob;

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
    /// Counted for whoever opened it or went on with it, until it is over.
    pub(super) room: Option<Share>,
}

/// Its bytes.
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

    /// Says what it will be, which may spare sending it. Only of use before the first byte.
    pub(crate) fn expect(&mut self, digest: Digest) {
        if let (0, Some(side)) = (self.offset(), &mut self.side) {
            side.expect(digest);
        }
    }

    /// From now on it waits for its turn among the writers of this caller.
    pub(crate) fn write_for(&mut self, caller: &Caller) {
        if let SessionBytes::Arriving(pump) = &mut self.held {
            pump.write_for(caller.party());
        }
    }

    /// Takes bytes; fails as soon as the upstream has refused them. Of what was proven there is nothing to
    /// take: a client that ends it again may send its last bytes again.
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

    /// How many bytes it has.
    #[must_use]
    pub(crate) fn offset(&self) -> u64 {
        match &self.held {
            SessionBytes::Arriving(pump) => pump.taken_bytes(),
            SessionBytes::Proven(ready, _) => ready.info().size_bytes,
        }
    }

    /// Whether it was ended before, and takes no more bytes.
    #[must_use]
    pub(crate) const fn is_proven(&self) -> bool {
        matches!(self.held, SessionBytes::Proven(..))
    }

    /// Lets its bytes rest in the store, and ends what is under way to the upstream.
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
