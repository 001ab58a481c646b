//! The only file that moves work to blocking threads. Bounded: past the bound, jobs wait, in rounds
//! between parties (`runtime/blocking/job_queue.rs`). Content goes to the store through `runtime/blocking/blob_feed.rs`, in the turns of `runtime/blocking/write_slots.rs`.
//!
//! Invariant: a job waits for the disk and for locks of the store, never for a client, an upstream or
//! another job; so every job ends, and the next one starts.

mod blob_feed;
mod job_queue;
mod write_slots;

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinHandle};

use crate::limits::{
    BATCHES_AHEAD_MAX, BLOCKING_JOBS_MAX, MANIFEST_READS_MAX, PARTY_BLOCKING_JOBS_MAX,
    READ_HERE_BYTES, WRITERS_MAX,
};
use crate::runtime::memory_gauge::{MemoryGauge, ReadReservation};
use crate::runtime::party;
use crate::runtime::party::Party;

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
    /// For whom it is used; none for whoever is at work where it is used.
    owner: Option<Party>,
}

/// Jobs at one moment; for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JobsState {
    /// Jobs that run.
    pub running: usize,
    /// Jobs that wait for room.
    pub waiting: usize,
    /// Batches that were read ahead and wait for their clients, or are being read.
    pub ahead: usize,
}

/// Room for a job whose result nobody waits for yet, and for that result.
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
    /// The same for whoever is at work here, also where it is used by others.
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

    /// Runs what reads so many bytes: here when they are few, since parsing and hashing megabytes would
    /// hold up whoever else this thread serves.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        bytes: usize,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        if bytes < READ_HERE_BYTES { job() } else { self.run(job).await }
    }

    /// Starts a job once there is room for it.
    pub(crate) async fn start<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        spawn(self.room().await, job)
    }

    /// Room for a job ahead of its need; `None` when there is none at this moment.
    pub(crate) fn room_ahead(&self) -> Option<ReadAheadPermit> {
        let result = Arc::clone(&self.ahead).try_acquire_owned().ok()?;
        let job = self.jobs.try_take(&self.owner())?;
        Some(ReadAheadPermit { job, result })
    }

    /// Starts a job; its room is free again when the result is taken, or nobody can take it.
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

    /// Who writes content, and who waits for that.
    pub(crate) fn places(&self) -> WriteSlotsState {
        self.places.state()
    }

    /// What waits in memory for clients.
    pub(crate) fn held(&self) -> Arc<MemoryGauge> {
        Arc::clone(&self.held)
    }

    /// So many bytes will be read: to be kept until they are.
    pub(crate) fn reading(&self, bytes: usize) -> ReadReservation {
        self.held.reading(bytes)
    }

    /// The turn to read a manifest, whose size is not known before: to be kept until it is counted.
    pub(crate) async fn manifest_turn(&self) -> JobPermit {
        self.manifests.take(&self.owner()).await
    }

    /// Whether that is so much that nobody should read far ahead.
    pub(crate) fn is_short(&self) -> bool {
        self.held.is_short()
    }

    /// What runs, and what waits for room.
    pub(crate) fn jobs(&self) -> JobsState {
        JobsState {
            running: self.jobs.taken(),
            waiting: self.jobs.waiting(),
            ahead: BATCHES_AHEAD_MAX.saturating_sub(self.ahead.available_permits()),
        }
    }

    /// Room for one job, kept until it is used.
    async fn room(&self) -> JobPermit {
        self.jobs.take(&self.owner()).await
    }

    fn owner(&self) -> Party {
        self.owner.clone().unwrap_or_else(party::at_work)
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
