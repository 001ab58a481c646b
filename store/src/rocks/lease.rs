//! Leases on blob numbers, and the thread that frees bytes once nobody reads them.
//!
//! Invariant: the bytes of a number are freed only when it is doomed and no lease is left; readers
//! never free anything themselves, because they may be on a thread that must not block.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rocksdb::WriteBatch;

use super::engine::{Engine, lock};
use super::schema::{self, DOOMED, Place};
use crate::limits::FREEING_QUEUE_LEN_MAX;
use crate::{Result, StoreError};

pub(super) struct Reaper {
    leases: Arc<Mutex<Leases>>,
    queue: Option<SyncSender<(u64, Place)>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Leases {
    held: HashMap<u64, u32>,
    /// Doomed while held; freed with the last lease.
    doomed: HashMap<u64, Place>,
}

/// Keeps the bytes of one number.
pub(super) struct Lease {
    number: u64,
    leases: Arc<Mutex<Leases>>,
    queue: SyncSender<(u64, Place)>,
}

impl Reaper {
    pub(super) fn start(engine: Arc<Engine>) -> Result<Self> {
        let (queue, doomed) = sync_channel(FREEING_QUEUE_LEN_MAX);
        let thread = std::thread::Builder::new()
            .name("reaper".to_owned())
            .spawn(move || free_all(&engine, &doomed))
            .map_err(|error| StoreError::io("starting the reaper of", "the store", error))?;
        Ok(Self { leases: Arc::default(), queue: Some(queue), thread: Some(thread) })
    }

    pub(super) fn lease(&self, number: u64) -> Lease {
        *lock(&self.leases).held.entry(number).or_default() += 1;
        let queue = self.queue.clone().expect("the queue exists until the reaper is dropped");
        Lease { number, leases: Arc::clone(&self.leases), queue }
    }

    /// Frees the bytes of a number as soon as no lease is left.
    pub(super) fn doom(&self, number: u64, place: Place) {
        let mut leases = lock(&self.leases);
        if leases.held.contains_key(&number) {
            leases.doomed.insert(number, place);
        } else if let Some(queue) = &self.queue {
            enqueue(queue, number, place);
        }
    }
}

impl Lease {
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Frees the bytes when this and every other lease are gone.
    pub(super) fn doom(&self, place: Place) {
        lock(&self.leases).doomed.insert(self.number, place);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut leases = lock(&self.leases);
        let Some(count) = leases.held.get_mut(&self.number) else {
            return;
        };
        *count -= 1;
        if *count > 0 {
            return;
        }
        leases.held.remove(&self.number);
        if let Some(place) = leases.doomed.remove(&self.number) {
            enqueue(&self.queue, self.number, place);
        }
    }
}

impl Drop for Reaper {
    /// Leases hold senders of their own; the thread ends when the last of them is gone. Waiting for
    /// it here makes sure that a store which nobody reads is closed when this returns.
    fn drop(&mut self) {
        self.queue = None;
        let idle = lock(&self.leases).held.is_empty();
        if let (true, Some(thread)) = (idle, self.thread.take()) {
            let _ = thread.join();
        }
    }
}

fn enqueue(queue: &SyncSender<(u64, Place)>, number: u64, place: Place) {
    if queue.try_send((number, place)).is_err() {
        tracing::warn!(number, "too many blobs to free at once; this one waits for the next start");
    }
}

fn free_all(engine: &Engine, doomed: &Receiver<(u64, Place)>) {
    while let Ok((number, place)) = doomed.recv() {
        if let Err(error) = free(engine, number, place) {
            tracing::error!(number, %error, "bytes of a forgotten blob could not be freed");
        }
    }
}

/// Gives the bytes of a number back to the disk.
pub(super) fn free(engine: &Engine, number: u64, place: Place) -> Result<()> {
    let family = place.family();
    let handle = engine.family(&family)?;
    let (first, last) = (schema::segment_key(number, 0), schema::segment_key(number, u64::MAX));
    let mut batch = WriteBatch::default();
    match place {
        Place::Epoch(_) => engine
            .db()
            .delete_file_in_range_cf(&handle, first, last)
            .map_err(|error| StoreError::database("freeing", family.clone(), error))?,
        Place::Small => batch.delete_range_cf(&handle, first, last),
    }
    batch.delete_cf(&engine.family(DOOMED)?, number.to_be_bytes());
    engine.write(batch, "freeing", || family.clone())
}
