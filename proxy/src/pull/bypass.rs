//! Bytes that pass by the store: a part far ahead of its download, and a blob that the store cannot
//! take.
//!
//! Invariants: a whole blob is verified on its way, and its last piece is sent only afterwards; the
//! parts beside one download have a common bound, so that they never amount to a second download. A
//! piece counts as in flight from its arrival until its client took it. A bypassed part cannot be
//! verified, as with any registry: the client has the digest of the whole blob.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use wharf_client::Download;
use wharf_client::runtime::party::Party;
use wharf_oci::{Digest, Digester, Span};

use super::{Cache, unknown};
use crate::Error;
use crate::bound::Bound;
use crate::limits::{BYPASSES_MAX, RELAY_QUEUE, SHARES};
use crate::registries::UpstreamRepo;
use crate::runtime::body::RelayFrame;
use crate::runtime::memory_gauge::{MemoryBounds, MemoryBudget, MemoryGauge, cover};
use crate::runtime::shares::{Share, Shares};

/// A blob, or a part of one, past the store.
pub(crate) struct Bypassed {
    /// The size of the whole blob, when the upstream announced it.
    pub(crate) size_bytes: Option<u64>,
    /// The bytes.
    pub(crate) pieces: mpsc::Receiver<RelayFrame>,
}

/// Limits bypasses of whole blobs: they are not shared, so each takes a request at the upstream.
pub(super) struct BypassLimit {
    room: Arc<Semaphore>,
    shares: Shares,
}

/// The right to one bypass; returned when dropped.
pub(super) struct BypassPermit {
    _permit: OwnedSemaphorePermit,
    share: Share,
}

impl Default for BypassLimit {
    fn default() -> Self {
        Self { room: Arc::new(Semaphore::new(BYPASSES_MAX)), shares: Shares::default() }
    }
}

impl BypassLimit {
    pub(super) fn take(&self, party: &Party) -> Option<BypassPermit> {
        let share = self.shares.take(party.clone(), BYPASSES_MAX / SHARES)?;
        let permit = Arc::clone(&self.room).try_acquire_owned().ok()?;
        Some(BypassPermit { _permit: permit, share })
    }

    /// The number of bypasses.
    pub(super) fn count(&self) -> usize {
        BYPASSES_MAX.saturating_sub(self.room.available_permits())
    }
}

impl Cache {
    /// A whole blob past the store.
    pub(super) async fn relay_whole(
        &self,
        (upstream_repo, party): (&UpstreamRepo, &Party),
        digest: &Digest,
    ) -> Result<Bypassed, Error> {
        let room = self.bypass_limit.take(party).ok_or(Error::TooMany(Bound::RelayedDownloads))?;
        let download = upstream_repo.upstream.client.blob(&upstream_repo.repo, digest).await?;
        let download = download.ok_or_else(|| unknown(&upstream_repo.repo, digest))?;
        let digester = Digester::new(digest.algorithm());
        let what = What::Whole { digester, digest: *digest };
        Ok(start(download, what, room, &self.blocking.held()))
    }

    /// A part past the store; `None` when the upstream sends no parts.
    pub(super) async fn relay_part(
        &self,
        upstream_repo: &UpstreamRepo,
        digest: &Digest,
        part: Span,
        room: BypassPermit,
    ) -> Result<Option<Bypassed>, Error> {
        let download =
            upstream_repo.upstream.client.blob_part(&upstream_repo.repo, digest, part).await?;
        Ok(download.map(|download| start(download, What::Part, room, &self.blocking.held())))
    }
}

/// A part, or a whole blob.
enum What {
    Part,
    /// A blob with its expected digest.
    Whole {
        digester: Digester,
        digest: Digest,
    },
}

/// Forwards at the pace of the client; ends with the client, even while the upstream is silent.
fn start(download: Download, what: What, room: BypassPermit, held: &Arc<MemoryGauge>) -> Bypassed {
    let (sender, pieces) = mpsc::channel(RELAY_QUEUE);
    let size_bytes = download.size_bytes();
    let budget = held.budget(room.share.owner().clone(), MemoryBounds::NONE);
    tokio::spawn(async move {
        let _room = room;
        let handed_on = tokio::select! {
            biased;
            () = sender.closed() => return,
            handed_on = hand_on(download, what, &sender, &budget) => handed_on,
        };
        let last = match handed_on {
            Ok(()) => RelayFrame::End,
            Err(error) => {
                tracing::warn!(%error, "a relayed blob broke off");
                RelayFrame::Broken(error.to_string())
            }
        };
        let _ = sender.send(last).await;
    });
    Bypassed { size_bytes, pieces }
}

async fn hand_on(
    mut download: Download,
    what: What,
    sender: &mpsc::Sender<RelayFrame>,
    budget: &MemoryBudget,
) -> Result<(), Error> {
    let What::Whole { mut digester, digest } = what else {
        while let Some(bytes) = download.next().await? {
            if sender.send(RelayFrame::Bytes(counted(budget, bytes))).await.is_err() {
                return Ok(());
            }
        }
        return Ok(());
    };
    let mut held: Option<Bytes> = None;
    while let Some(bytes) = download.next().await? {
        digester.update(&bytes);
        let before = held.replace(counted(budget, bytes)).map(RelayFrame::Bytes);
        if let Some(before) = before
            && sender.send(before).await.is_err()
        {
            return Ok(());
        }
    }
    digester.finish().expect(&digest).map_err(Error::UpstreamLied)?;
    if let Some(last) = held {
        let _ = sender.send(RelayFrame::Bytes(last)).await;
    }
    Ok(())
}

/// Counts bytes in the memory budget for as long as any part of them lives.
fn counted(budget: &MemoryBudget, bytes: Bytes) -> Bytes {
    let mut held = budget.pieces();
    held.set(bytes.len() as u64, true);
    cover(bytes, held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_waits_for_a_client_is_counted_until_it_took_it() {
        let (held, bounds) =
            (Arc::new(MemoryGauge::default()), MemoryBounds { most: 300, share: 300 });
        let budget = held.budget(Party::Ourselves, bounds);
        let (sender, mut pieces) = mpsc::channel(RELAY_QUEUE);
        for _ in 0..RELAY_QUEUE {
            let bytes = counted(&budget, Bytes::from(vec![7; 300]));
            sender.send(RelayFrame::Bytes(bytes)).await.unwrap();
        }
        assert_eq!(held.bytes(), 300 * RELAY_QUEUE as u64);
        assert!(budget.may_begin().is_err(), "others do not begin beside it");
        let Some(RelayFrame::Bytes(mut first)) = pieces.recv().await else {
            panic!("there is one")
        };
        drop(first.split_to(200));
        assert_eq!(held.bytes(), 300 * RELAY_QUEUE as u64, "its connection has a part of it");
        drop((first, pieces));
        assert_eq!(held.bytes(), 0);
    }
}
