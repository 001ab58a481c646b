//! The only file that moves work to blocking threads. Bounded: past the bound, jobs wait, in rounds
//! between parties (`runtime/blocking/job_queue.rs`). Content goes to the store through
//! `runtime/blocking/blob_feed.rs`, within the write slots of `runtime/blocking/write_slots.rs`.
//!
//! Invariant: a job waits for the disk and for locks of the store, never for a client, an upstream
//! or another job; so every job ends, and the next one starts.

mod blob_feed;
mod job_queue;
mod write_slots;

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinHandle};
use wharf_client::Offload;
use wharf_client::runtime::party;
use wharf_client::runtime::party::Party;

use crate::limits::{
    BATCHES_AHEAD_MAX, BLOCKING_JOBS_MAX, MANIFEST_READS_MAX, PARTY_BLOCKING_JOBS_MAX,
    READ_HERE_BYTES, WRITERS_MAX,
};
use crate::runtime::memory_gauge::{MemoryGauge, ReadReservation};

pub(crate) use blob_feed::BlobFeed;
use job_queue::{JobPermit, JobQueue};
use write_slots::WriteSlots;
pub(crate) use write_slots::{WriteOwner, WriteSlotsState};

/// Runs store calls off the async threads.
#[derive(Clone)]
pub(crate) struct BlockingPool {
    jobs: Arc<JobQueue>,
    ahead: Arc<Semaphore>,
    places: Arc<WriteSlots>,
    held: Arc<MemoryGauge>,
    manifests: Arc<JobQueue>,
    /// The party charged for the jobs; without one, the party of the current task.
    owner: Option<Party>,
}

/// The jobs of a moment; for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JobsState {
    /// Running jobs.
    pub running: usize,
    /// Jobs waiting for a permit.
    pub waiting: usize,
    /// Batches read ahead for their clients, complete or in reading.
    pub ahead: usize,
}

/// A permit for a job ahead of the need for its result, and for the result.
pub(crate) struct ReadAheadPermit {
    job: JobPermit,
    result: OwnedSemaphorePermit,
}

impl Default for BlockingPool {
    fn default() -> Self {
        Self {
            jobs: Arc::new(JobQueue::new(BLOCKING_JOBS_MAX, PARTY_BLOCKING_JOBS_MAX)),
            ahead: Arc::new(Semaphore::new(BATCHES_AHEAD_MAX)),
            places: Arc::new(WriteSlots::new(WRITERS_MAX)),
            held: Arc::default(),
            manifests: Arc::new(JobQueue::new(MANIFEST_READS_MAX, MANIFEST_READS_MAX)),
            owner: None,
        }
    }
}

impl BlockingPool {
    /// The same pool, charged to the party of the current task even where other tasks use it.
    #[must_use]
    pub(crate) fn for_whom_asks(self) -> Self {
        Self { owner: Some(party::at_work()), ..self }
    }

    /// Runs a job and waits for it. When the caller goes away the job still runs to its end.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        unwind(self.start(job).await.await)
    }

    /// Runs a job over this many bytes: here when they are few, since parsing and hashing megabytes
    /// would hold up the other requests of this thread.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        bytes: usize,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        if bytes < READ_HERE_BYTES { job() } else { self.run(job).await }
    }

    /// Starts a job once it has a permit.
    pub(crate) async fn start<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        spawn(self.room().await, job)
    }

    /// A permit for a job ahead of its need; `None` when there is none at this moment.
    pub(crate) fn room_ahead(&self) -> Option<ReadAheadPermit> {
        let result = Arc::clone(&self.ahead).try_acquire_owned().ok()?;
        let job = self.jobs.try_take(&self.owner())?;
        Some(ReadAheadPermit { job, result })
    }

    /// Starts a job; its permit is returned when the result is taken or dropped.
    pub(crate) fn begin<T: Send + 'static>(
        room: ReadAheadPermit,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send {
        let ReadAheadPermit { job: permit, result } = room;
        let running = spawn(permit, job);
        async move {
            let value = unwind(running.await);
            drop(result);
            value
        }
    }

    /// The state of the write slots.
    pub(crate) fn places(&self) -> WriteSlotsState {
        self.places.state()
    }

    /// The bytes in memory for clients.
    pub(crate) fn held(&self) -> Arc<MemoryGauge> {
        Arc::clone(&self.held)
    }

    /// Reserves bytes for a read; keep the reservation until the read is over.
    pub(crate) fn reading(&self, bytes: usize) -> ReadReservation {
        self.held.reading(bytes)
    }

    /// The permit to read a manifest, whose size is not known before; keep it until the manifest is
    /// counted.
    pub(crate) async fn manifest_turn(&self) -> JobPermit {
        self.manifests.take(&self.owner()).await
    }

    /// Whether memory is so short that no request should read far ahead.
    pub(crate) fn is_short(&self) -> bool {
        self.held.is_short()
    }

    /// The numbers of running and waiting jobs.
    pub(crate) fn jobs(&self) -> JobsState {
        JobsState {
            running: self.jobs.taken(),
            waiting: self.jobs.waiting(),
            ahead: BATCHES_AHEAD_MAX.saturating_sub(self.ahead.available_permits()),
        }
    }

    /// A permit for one job.
    async fn room(&self) -> JobPermit {
        self.jobs.take(&self.owner()).await
    }

    fn owner(&self) -> Party {
        self.owner.clone().unwrap_or_else(party::at_work)
    }
}

impl Offload for BlockingPool {
    async fn read<T: Send + 'static>(
        &self,
        bytes: usize,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        self.read(bytes, job).await
    }
}

fn spawn<T: Send + 'static>(
    room: JobPermit,
    job: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    #[expect(clippy::disallowed_methods, reason = "this is the bridge")]
    tokio::task::spawn_blocking(move || {
        let _room = room;
        job()
    })
}

/// The result of a job; a panic in it goes on in the caller. Jobs are never cancelled.
fn unwind<T>(result: Result<T, JoinError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests;
