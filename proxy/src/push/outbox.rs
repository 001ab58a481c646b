//! Staged pushes: blobs that were answered 201 because they are durable here, and are pending for
//! their upstream. Pending entries are in `push/outbox/table.rs` (their bounds in
//! `push/outbox/pool.rs`), workers in `push/outbox/worker.rs`, the transfer of one blob in
//! `push/transfer.rs`; manifests wait in `push/outbox/barrier.rs`, operators look through
//! `push/outbox/report.rs`.
//!
//! Invariant: a pending entry is in the store's journal before any client hears of it, and leaves
//! it only when the upstream confirmed the blob, or a client or operator deleted or gave up the
//! blob.

mod barrier;
mod holds;
mod pool;
pub(crate) mod report;
mod table;
mod worker;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::task::JoinSet;
use wharf_client::runtime::party;
use wharf_client::runtime::party::Party;
use wharf_oci::{Digest, RepoName};
use wharf_store::{Destination, Errand, ReadyBlob, StoreError};

use crate::Error;
use crate::config::active::ActiveConfig;
use crate::limits::PENDING_BYTES_MAX;
use crate::push::transfer::Transfers;
use crate::registries::UpstreamRepo;
use crate::runtime::blocking::BlockingPool;
use crate::runtime::clock::now_ms;
use crate::runtime::shares::Shares;
use crate::runtime::store::Store;

use table::OutboxTable;

/// All blobs pending for upstreams, and their workers.
#[derive(Clone)]
pub(crate) struct Outbox {
    blocking: BlockingPool,
    store: Arc<dyn Store>,
    config: Arc<ActiveConfig>,
    transfers: Arc<Transfers>,
    shared: Arc<Shared>,
}

struct Shared {
    table: Mutex<OutboxTable>,
    /// Raised by every change of the table, and by sent bytes.
    changed: watch::Sender<u64>,
    /// True once the server stops.
    stopping: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
    /// Shares of manifests waiting for their blobs.
    waiting: Shares,
    delivered: AtomicU64,
    failures: AtomicU64,
}

/// For metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct OutboxState {
    /// Pending blobs, once for each repository.
    pub blobs: u64,
    /// The sum of their sizes.
    pub bytes: u64,
    /// The age of the oldest pending blob.
    pub oldest_seconds: u64,
    /// The number of them that their upstreams refused.
    pub refused: u64,
    /// Delivered since the start.
    pub delivered: u64,
    /// Failed tries since the start.
    pub failures: u64,
}

impl Outbox {
    /// Reads pending entries from the store; sends none before [`Outbox::start`]. Blocks.
    pub(crate) fn load(
        store: Arc<dyn Store>,
        config: Arc<ActiveConfig>,
        transfers: Arc<Transfers>,
        store_limit: Option<u64>,
    ) -> Result<Self, StoreError> {
        // Half of a limited store stays free for the cache.
        let bytes_max = store_limit.map_or(PENDING_BYTES_MAX, |l| PENDING_BYTES_MAX.min(l / 2));
        let mut table = OutboxTable::new(bytes_max);
        for delivery in store.deliveries()? {
            table.restore(delivery);
        }
        let shared = Shared {
            table: Mutex::new(table),
            changed: watch::Sender::default(),
            stopping: watch::Sender::default(),
            tasks: Mutex::default(),
            waiting: Shares::default(),
            delivered: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        };
        let blocking = transfers.blocking().clone();
        Ok(Self { blocking, store, config, transfers, shared: Arc::new(shared) })
    }

    /// Resumes pending deliveries.
    pub(crate) fn start(&self) {
        let state = self.state();
        if state.blobs > 0 {
            tracing::info!(blobs = state.blobs, bytes = state.bytes, "blobs are owed to upstreams");
        }
        let lanes = self.table().lanes();
        for upstream in lanes {
            self.wake(&upstream);
        }
    }

    /// Applies another configuration: a delivery that failed under the old one gets another try at
    /// once.
    pub(crate) fn reconfigured(&self) {
        let lanes = self.table().resume_all();
        for upstream in lanes {
            self.wake(&upstream);
        }
    }

    /// An error when this party has no room for another pending blob; asked before a client sends
    /// its bytes.
    pub(crate) fn room(&self, party: &Party) -> Result<(), Error> {
        self.table().room(party, 1, now_ms())
    }

    /// Publishes a blob as pending. When it returns, the blob is durable, linked to its repository,
    /// and on its way. To be run to its end.
    pub(crate) async fn publish(
        &self,
        ready: ReadyBlob,
        repo: &RepoName,
        upstream_repo: &UpstreamRepo,
        reserved: OutboxReservation<'_>,
    ) -> Result<(), Error> {
        let party = reserved.party.clone();
        let errand = errand(repo, upstream_repo, None)?;
        let delivery = self.blocking.run(move || ready.publish_pending(&errand)).await?;
        drop(reserved);
        self.table().add(delivery, party);
        self.changed(upstream_repo.upstream.address());
        Ok(())
    }

    /// Takes a blob from another repository of the same upstream, or finds that this one has it
    /// already; `false` when the client has to send it.
    pub(crate) async fn mount(
        &self,
        (repo, party): (&RepoName, Party),
        upstream_repo: &UpstreamRepo,
        digest: Digest,
        from: Option<RepoName>,
    ) -> Result<bool, Error> {
        let (outbox, repo, upstream_repo) = (self.clone(), repo.clone(), upstream_repo.clone());
        let work = tokio::spawn(party::hand_on(async move {
            outbox.try_mount(&repo, party, &upstream_repo, digest, from).await
        }));
        match work.await {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    async fn try_mount(
        &self,
        repo: &RepoName,
        party: Party,
        upstream_repo: &UpstreamRepo,
        digest: Digest,
        from: Option<RepoName>,
    ) -> Result<bool, Error> {
        // A repository of another upstream does not tell whether this one may have the blob.
        let beside = from.and_then(|from| Some((upstream_repo.beside(&from)?, from)));
        let (store, here) = (Arc::clone(&self.store), repo.clone());
        let found = self.blocking.run(move || {
            let linked = match &beside {
                Some((_, from)) => store.has_blob(from, &digest)?,
                None => false,
            };
            if !linked && !store.has_blob(&here, &digest)? {
                return Ok::<_, StoreError>(None);
            }
            let there = beside.filter(|_| linked).map(|(there, _)| there);
            Ok(store.stat(&digest)?.map(|info| (info, there)))
        });
        let Some((info, there)) = found.await? else {
            return Ok(false);
        };
        let reserved = self.reserve(party.clone(), info.size_bytes).await?;
        let (store, errand) = (Arc::clone(&self.store), errand(repo, upstream_repo, there)?);
        let owed = self.blocking.run(move || store.owe(&digest, &errand)).await?;
        drop(reserved);
        let Some(delivery) = owed else {
            return Ok(false);
        };
        self.table().add(delivery, party);
        self.changed(upstream_repo.upstream.address());
        Ok(true)
    }

    /// Whether a repository has the blob pending for its upstream.
    pub(crate) fn owes(&self, repo: &RepoName, digest: &Digest) -> bool {
        self.table().owes(&(repo.clone(), *digest))
    }

    /// The outbox in numbers.
    pub(crate) fn state(&self) -> OutboxState {
        let state = self.table().state(now_ms());
        OutboxState {
            delivered: self.shared.delivered.load(Ordering::Relaxed),
            failures: self.shared.failures.load(Ordering::Relaxed),
            ..state
        }
    }

    /// Ends all sending; pending entries stay in the journal.
    pub(crate) async fn stop(&self) {
        self.shared.stopping.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks());
        tasks.join_all().await;
    }

    /// The most pending blobs of one party.
    pub(crate) fn largest(&self) -> usize {
        self.table().largest()
    }

    /// Room for one more. Blobs refused long ago give way.
    pub(crate) async fn reserve(
        &self,
        party: Party,
        bytes: u64,
    ) -> Result<OutboxReservation<'_>, Error> {
        loop {
            let in_the_way = self.table().reserve(&party, bytes, now_ms())?;
            let Some(delivery) = in_the_way else {
                return Ok(OutboxReservation { outbox: self, party, bytes });
            };
            if self.forget(&delivery.errand.repo, &delivery.digest).await? {
                report::note_given_up(&delivery, "a blob that was refused made room for others");
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, OutboxTable> {
        self.shared.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.shared.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the waiting manifests, and the workers.
    fn changed(&self, upstream: &str) {
        self.shared.changed.send_modify(|count| *count += 1);
        self.wake(upstream);
    }
}

/// Room for a blob about to be pending; given back when dropped.
pub(crate) struct OutboxReservation<'a> {
    outbox: &'a Outbox,
    party: Party,
    bytes: u64,
}

impl Drop for OutboxReservation<'_> {
    fn drop(&mut self) {
        self.outbox.table().release(&self.party, self.bytes);
    }
}

fn errand(
    repo: &RepoName,
    upstream_repo: &UpstreamRepo,
    from: Option<RepoName>,
) -> Result<Errand, Error> {
    let mut id = [0_u8; 8];
    getrandom::fill(&mut id).map_err(|error| Error::NoRandomness(error.to_string()))?;
    let to = Destination {
        upstream: upstream_repo.upstream.address().to_owned(),
        repo: upstream_repo.repo.clone(),
        from: from.filter(|from| *from != upstream_repo.repo),
    };
    Ok(Errand { repo: repo.clone(), id: u64::from_ne_bytes(id), since_ms: now_ms(), to })
}

#[cfg(test)]
mod tests;
