//! The reaper: the thread for freeing bytes without a reader, and for the periodic upkeep.
//!
//! Invariant: the bytes of a number are freed only when it is doomed and has no lease.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::engine::Engine;
use super::freeing::free;
use super::lease::{Lease, Leases, Remains, enqueue};
use super::{recency_records, upkeep};
use crate::limits::{FREEING_QUEUE_LEN_MAX, UPKEEP_PERIOD_MS};
use crate::{Result, StoreError};

pub(super) struct Reaper {
    leases: Arc<Leases>,
    queue: Option<SyncSender<Remains>>,
    thread: Option<JoinHandle<()>>,
}

impl Reaper {
    pub(super) fn start(engine: Arc<Engine>) -> Result<Self> {
        let (queue, doomed) = sync_channel(FREEING_QUEUE_LEN_MAX);
        let leases = Arc::new(Leases::default());
        let known = Arc::clone(&leases);
        let thread = std::thread::Builder::new()
            .name("reaper".to_owned())
            .spawn(move || reap(&engine, &known, &doomed))
            .map_err(|error| StoreError::io("starting the reaper of", "the store", error))?;
        Ok(Self { leases, queue: Some(queue), thread: Some(thread) })
    }

    pub(super) const fn leases(&self) -> &Arc<Leases> {
        &self.leases
    }

    pub(super) fn lease(&self, number: u64) -> Lease {
        self.leases.lease(number, self.queue())
    }

    /// The only lease on a number; `None` when there is another.
    pub(super) fn try_lease(&self, number: u64) -> Option<Lease> {
        self.leases.try_lease(number, self.queue())
    }

    fn queue(&self) -> SyncSender<Remains> {
        self.queue.clone().expect("the queue exists until the reaper is dropped")
    }

    /// Frees bytes after their last lease.
    pub(super) fn doom(&self, remains: Remains) {
        if let (true, Some(queue)) = (self.leases.doom(remains), &self.queue) {
            enqueue(queue, remains);
        }
    }
}

impl Drop for Reaper {
    /// Each lease has a sender of its own, so the thread ends after the last of them. The join
    /// makes sure a store without readers is closed at the return.
    fn drop(&mut self) {
        self.queue = None;
        let idle = self.leases.is_idle();
        if let (true, Some(thread)) = (idle, self.thread.take()) {
            let _ = thread.join();
        }
    }
}

/// Frees doomed bytes, and runs the upkeep in between.
fn reap(engine: &Engine, leases: &Leases, doomed: &Receiver<Remains>) {
    let period = Duration::from_millis(UPKEEP_PERIOD_MS);
    let mut next = Instant::now() + period;
    // Bytes a full disk could not free: freeing writes records.
    let mut left = Vec::new();
    loop {
        match doomed.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(remains) => free_or_keep(engine, remains, &mut left),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if Instant::now() >= next {
            for remains in std::mem::take(&mut left) {
                free_or_keep(engine, remains, &mut left);
            }
            if let Err(error) = upkeep::look_after(engine, leases) {
                tracing::error!(%error, "the upkeep of the store failed");
            }
            next = Instant::now() + period;
        }
    }
    if let Err(error) = recency_records::write_touched(engine) {
        tracing::error!(%error, "the order of use could not be written");
    }
}

/// Frees bytes; after a failure a later round or the next start frees them.
fn free_or_keep(engine: &Engine, remains: Remains, left: &mut Vec<Remains>) {
    // The deletion of their records must be durable first.
    if let Err(error) = engine.sync().and_then(|()| free(engine, &remains)) {
        let number = remains.number;
        tracing::error!(number, %error, "bytes of a forgotten blob were not freed");
        if left.len() < FREEING_QUEUE_LEN_MAX {
            left.push(remains);
        }
    }
}
