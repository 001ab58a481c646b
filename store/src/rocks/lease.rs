//! Leases on blob numbers, and the thread that frees bytes once nobody reads them.
//!
//! Invariant: the bytes of a number are freed only when it is doomed and no lease is left; readers
//! never free anything themselves, because they may be on a thread that must not block.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rocksdb::WriteBatch;

use super::engine::{Engine, lock};
use super::evict;
use super::records::Doomed;
use super::schema::{self, DOOMED, Place, SMALL};
use crate::limits::{FREEING_QUEUE_LEN_MAX, SMALL_BLOB_SEGMENTS_MAX, UPKEEP_PERIOD_MS};
use crate::{Result, StoreError};

/// Bytes to free.
#[derive(Debug, Clone, Copy)]
pub(super) struct Remains {
    pub(super) number: u64,
    pub(super) doomed: Doomed,
}

pub(super) struct Reaper {
    leases: Arc<Leases>,
    queue: Option<SyncSender<Remains>>,
    thread: Option<JoinHandle<()>>,
}

/// Who holds which number.
#[derive(Debug, Default)]
pub(super) struct Leases(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    held: HashMap<u64, u32>,
    /// Doomed while held; freed with the last lease.
    doomed: HashMap<u64, Remains>,
}

/// Keeps the bytes of one number.
pub(super) struct Lease {
    number: u64,
    leases: Arc<Leases>,
    queue: SyncSender<Remains>,
}

impl Leases {
    pub(super) fn is_held(&self, number: u64) -> bool {
        lock(&self.0).held.contains_key(&number)
    }

    /// Whether the caller is to free the bytes now; else the last lease does.
    pub(super) fn doom(&self, remains: Remains) -> bool {
        let mut state = lock(&self.0);
        let held = state.held.contains_key(&remains.number);
        if held {
            state.doomed.insert(remains.number, remains);
        }
        !held
    }
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
        *lock(&self.leases.0).held.entry(number).or_default() += 1;
        let queue = self.queue.clone().expect("the queue exists until the reaper is dropped");
        Lease { number, leases: Arc::clone(&self.leases), queue }
    }

    /// A lease on a number that nobody holds.
    pub(super) fn try_lease(&self, number: u64) -> Option<Lease> {
        let mut state = lock(&self.leases.0);
        let held = state.held.entry(number).or_default();
        if *held > 0 {
            return None;
        }
        *held = 1;
        drop(state);
        let queue = self.queue.clone().expect("the queue exists until the reaper is dropped");
        Some(Lease { number, leases: Arc::clone(&self.leases), queue })
    }

    /// Frees bytes as soon as no lease is left.
    pub(super) fn doom(&self, remains: Remains) {
        if let (true, Some(queue)) = (self.leases.doom(remains), &self.queue) {
            enqueue(queue, remains);
        }
    }
}

impl Lease {
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Another lease on the same number.
    pub(super) fn again(&self) -> Self {
        *lock(&self.leases.0).held.entry(self.number).or_default() += 1;
        Self { number: self.number, leases: Arc::clone(&self.leases), queue: self.queue.clone() }
    }

    /// Frees the bytes when this and every other lease are gone.
    pub(super) fn doom(&self, doomed: Doomed) {
        let number = self.number;
        lock(&self.leases.0).doomed.insert(number, Remains { number, doomed });
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = lock(&self.leases.0);
        let Some(count) = state.held.get_mut(&self.number) else {
            return;
        };
        *count -= 1;
        if *count > 0 {
            return;
        }
        state.held.remove(&self.number);
        if let Some(remains) = state.doomed.remove(&self.number) {
            enqueue(&self.queue, remains);
        }
    }
}

impl Drop for Reaper {
    /// Leases hold senders of their own; the thread ends when the last of them is gone. Waiting for
    /// it here makes sure a store which nobody reads is closed when this returns.
    fn drop(&mut self) {
        self.queue = None;
        let idle = lock(&self.leases.0).held.is_empty();
        if let (true, Some(thread)) = (idle, self.thread.take()) {
            let _ = thread.join();
        }
    }
}

fn enqueue(queue: &SyncSender<Remains>, remains: Remains) {
    if queue.try_send(remains).is_err() {
        let number = remains.number;
        tracing::warn!(number, "too many blobs to free at once; this one waits for the next start");
    }
}

/// Frees what is doomed, and between that looks after the store.
fn reap(engine: &Engine, leases: &Leases, doomed: &Receiver<Remains>) {
    let period = Duration::from_millis(UPKEEP_PERIOD_MS);
    let mut next = Instant::now() + period;
    // What a full disk had no room to free: freeing writes records.
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
            if let Err(error) = evict::look_after(engine, leases) {
                tracing::error!(%error, "the upkeep of the store failed");
            }
            next = Instant::now() + period;
        }
    }
    if let Err(error) = super::order::write_touched(engine) {
        tracing::error!(%error, "the order of use could not be written");
    }
}

/// Frees bytes; what that fails for is tried again later, or by the next start.
fn free_or_keep(engine: &Engine, remains: Remains, left: &mut Vec<Remains>) {
    // What led to the bytes must be gone for good before they are.
    if let Err(error) = engine.sync().and_then(|()| free(engine, &remains)) {
        let number = remains.number;
        tracing::error!(number, %error, "bytes of a forgotten blob were not freed");
        if left.len() < FREEING_QUEUE_LEN_MAX {
            left.push(remains);
        }
    }
}

/// Gives the bytes of a number back to the disk. May be done again after it failed: what is counted
/// is counted last.
pub(super) fn free(engine: &Engine, remains: &Remains) -> Result<()> {
    let Remains { number, doomed } = *remains;
    engine.hot.forget(number);
    let mut batch = WriteBatch::default();
    match doomed.place {
        Place::Epoch(epoch) => engine.delete_runs(epoch, number, 0)?,
        Place::Small => {
            let family = engine.family(SMALL)?;
            for index in 0..engine.small_blob_segments.max(SMALL_BLOB_SEGMENTS_MAX) as u64 {
                batch.delete_cf(&family, schema::segment_key(number, index));
            }
        }
    }
    batch.delete_cf(&engine.family(DOOMED)?, number.to_be_bytes());
    engine.write_soon(batch, "freeing", || format!("blob number {number}"))?;
    match doomed.place {
        Place::Epoch(epoch) => freed_runs(engine, epoch, doomed.bytes),
        Place::Small => {
            // Not before: whoever gives the heap back would find nothing deleted yet.
            engine.small_heap(doomed.bytes);
            Ok(())
        }
    }
}

/// Counts runs that are gone, and drops their epoch when nothing is left of that.
fn freed_runs(engine: &Engine, epoch: u32, run_bytes: u64) -> Result<()> {
    let family = schema::epoch_family(epoch);
    engine.space.freed(epoch, run_bytes, || {
        let dropped = engine.db().drop_cf(&family);
        dropped.map_err(|error| StoreError::database("dropping", family.clone(), error))
    })
}
