//! The only file that moves work to blocking threads. Bounded: past the bound, jobs wait. Content
//! goes to the store through `bridge/pump.rs`, in the turns of `bridge/places.rs`.
//!
//! Invariant: a job waits for the disk and for locks of the store, never for a client, an upstream or
//! another job; so every job ends, and the next one starts.

mod places;
mod pump;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinHandle};

use crate::held::{Held, Reading};
use crate::limits::{
    BATCHES_AHEAD_MAX, BLOCKING_JOBS_MAX, MANIFEST_READS_MAX, READ_HERE_BYTES, WRITERS_MAX,
};

use places::Places;
pub(crate) use places::{ForWhom, PlacesState};
pub(crate) use pump::Pump;

/// Runs store calls off the async threads.
#[derive(Clone)]
pub(crate) struct Bridge {
    permits: Arc<Semaphore>,
    /// How many wait for a permit.
    waiting: Arc<AtomicUsize>,
    ahead: Arc<Semaphore>,
    places: Arc<Places>,
    held: Arc<Held>,
    manifests: Arc<Semaphore>,
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

/// One that waits, as long as it does.
struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Room for a job whose result nobody waits for yet, and for that result.
pub(crate) struct RoomAhead {
    job: OwnedSemaphorePermit,
    result: OwnedSemaphorePermit,
}

impl Default for Bridge {
    fn default() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(BLOCKING_JOBS_MAX)),
            waiting: Arc::default(),
            ahead: Arc::new(Semaphore::new(BATCHES_AHEAD_MAX)),
            places: Arc::new(Places::new(WRITERS_MAX)),
            held: Arc::default(),
            manifests: Arc::new(Semaphore::new(MANIFEST_READS_MAX)),
        }
    }
}

impl Bridge {
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
    pub(crate) fn room_ahead(&self) -> Option<RoomAhead> {
        let result = Arc::clone(&self.ahead).try_acquire_owned().ok()?;
        let job = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        Some(RoomAhead { job, result })
    }

    /// Starts a job; its room is free again when the result is taken, or nobody can take it.
    pub(crate) fn begin<T: Send + 'static>(
        room: RoomAhead,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send {
        let RoomAhead { job: permit, result } = room;
        let running = spawn(permit, job);
        async move {
            let value = unwind(running.await);
            drop(result);
            value
        }
    }

    /// Who writes content, and who waits for that.
    pub(crate) fn places(&self) -> PlacesState {
        self.places.state()
    }

    /// What waits in memory for clients.
    pub(crate) fn held(&self) -> Arc<Held> {
        Arc::clone(&self.held)
    }

    /// So many bytes will be read: to be kept until they are.
    pub(crate) fn reading(&self, bytes: usize) -> Reading {
        self.held.reading(bytes)
    }

    /// The turn to read a manifest, whose size is not known before: to be kept until it is counted.
    pub(crate) async fn manifest_turn(&self) -> OwnedSemaphorePermit {
        let turn = Arc::clone(&self.manifests).acquire_owned().await;
        turn.expect("the semaphore is never closed")
    }

    /// Whether that is so much that nobody should read far ahead.
    pub(crate) fn is_short(&self) -> bool {
        self.held.is_short()
    }

    /// What runs, and what waits for room.
    pub(crate) fn jobs(&self) -> JobsState {
        JobsState {
            running: BLOCKING_JOBS_MAX.saturating_sub(self.permits.available_permits()),
            waiting: self.waiting.load(Ordering::Relaxed),
            ahead: BATCHES_AHEAD_MAX.saturating_sub(self.ahead.available_permits()),
        }
    }

    /// Room for one job, kept until it is used.
    async fn room(&self) -> OwnedSemaphorePermit {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return permit;
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let waits = Waits(&self.waiting);
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        drop(waits);
        permit.expect("the semaphore is never closed")
    }
}

fn spawn<T: Send + 'static>(
    room: OwnedSemaphorePermit,
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
