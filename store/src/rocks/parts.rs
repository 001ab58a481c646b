//! Parts of blobs that somebody may go on with: their segments are on disk, their hashes here.
//!
//! Invariants: a part keeps a lease on its number, so its bytes are nobody else's and counted as any
//! run; no record names it, so the next start frees it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wharf_oci::{Digester, HashState};

use super::RocksStore;
use super::engine::{Engine, lock};
use super::lease::{self, Lease, Leases, Remains};
use super::records::Doomed;
use super::schema::Place;
use super::write::RocksSink;
use crate::Result;
use crate::blob::BlobWriter;
use crate::limits::{PART_TIME, PARTS_BYTES_MAX, PARTS_MAX, PARTS_SHARE, SEGMENT_BYTES};
use crate::parts::{PartKey, PartStore, TakenUp};

/// All parts, the oldest first. They hold leases: whoever closes the store takes them all.
#[derive(Default)]
pub(super) struct Parts(Mutex<VecDeque<Part>>);

/// The begin of a blob.
pub(super) struct Part {
    pub(super) key: PartKey,
    pub(super) size_bytes: u64,
    pub(super) lease: Lease,
    pub(super) epoch: u32,
    /// What its runs take on disk.
    pub(super) run_bytes: u64,
    pub(super) segments: u64,
    /// Of all of them.
    pub(super) hash: HashState,
    pub(super) since: Instant,
}

impl Parts {
    /// How many there are, and what they take on disk.
    pub(super) fn usage(&self) -> (u64, u64) {
        let parts = lock(&self.0);
        (parts.len() as u64, bytes_of(&parts))
    }

    fn take(&self, key: &PartKey) -> Option<Part> {
        let mut parts = lock(&self.0);
        let index = parts.iter().position(|part| part.key == *key)?;
        parts.remove(index)
    }

    /// Those of the oldest about which `more` is still true.
    fn take_while(&self, mut more: impl FnMut(&VecDeque<Part>) -> bool) -> Vec<Part> {
        let (mut parts, mut taken) = (lock(&self.0), Vec::new());
        while more(&parts)
            && let Some(part) = parts.pop_front()
        {
            taken.push(part);
        }
        taken
    }
}

fn bytes_of(parts: &VecDeque<Part>) -> u64 {
    parts.iter().map(|part| part.run_bytes).sum()
}

/// Keeps a part, and forgets what is too much with it.
pub(super) fn keep(engine: &Engine, leases: &Leases, part: Part) -> Result<()> {
    let before = engine.parts.take(&part.key);
    lock(&engine.parts.0).push_back(part);
    let share = engine.space.limit_bytes().map_or(PARTS_BYTES_MAX, |limit| limit / PARTS_SHARE);
    let most = share.min(PARTS_BYTES_MAX);
    let over = |parts: &VecDeque<Part>| parts.len() > PARTS_MAX || bytes_of(parts) > most;
    let gone = engine.parts.take_while(over);
    free_all(engine, leases, before.into_iter().chain(gone)).map(|_| ())
}

/// Forgets what nobody went on with for long.
pub(super) fn forget_old(engine: &Engine, leases: &Leases, time: Duration) -> Result<()> {
    let old = engine
        .parts
        .take_while(|parts| parts.front().is_some_and(|part| part.since.elapsed() >= time));
    free_all(engine, leases, old).map(|_| ())
}

/// Forgets the oldest until they were so many bytes; how many they were.
pub(super) fn forget(engine: &Engine, leases: &Leases, bytes: u64) -> Result<u64> {
    let all = engine.parts.usage().1;
    let gone = engine.parts.take_while(|parts| all.saturating_sub(bytes_of(parts)) < bytes);
    free_all(engine, leases, gone)
}

/// Forgets all: a store is closed.
pub(super) fn forget_all(engine: &Engine, leases: &Leases) -> Result<u64> {
    forget(engine, leases, u64::MAX)
}

/// What they gave back.
fn free_all(
    engine: &Engine,
    leases: &Leases,
    parts: impl IntoIterator<Item = Part>,
) -> Result<u64> {
    let mut freed = 0;
    for Part { lease, epoch, run_bytes, .. } in parts {
        let doomed = Doomed { place: Place::Epoch(epoch), bytes: run_bytes };
        let remains = Remains { number: lease.number(), doomed };
        drop(lease);
        // Whoever still reads it frees it later.
        if leases.doom(remains) {
            lease::free(engine, &remains)?;
        }
        freed += run_bytes;
    }
    Ok(freed)
}

impl PartStore for RocksStore {
    fn take_up(&self, key: &PartKey) -> Result<Option<TakenUp>> {
        let Some(part) = self.engine.parts.take(key) else { return Ok(None) };
        let stored = part.segments * SEGMENT_BYTES as u64;
        let digester = Digester::restore(&part.hash).filter(|known| known.size_bytes() == stored);
        let leases = self.reaper.leases();
        let Some(digester) = digester.filter(|_| part.since.elapsed() < PART_TIME) else {
            free_all(&self.engine, leases, [part])?;
            return Ok(None);
        };
        let size_bytes = part.size_bytes;
        let sink = RocksSink::take_up(Arc::clone(&self.engine), Arc::clone(leases), part);
        let hot = Arc::clone(&self.engine.hot);
        let writer = BlobWriter::resumed(Box::new(sink), hot, digester, &[]);
        Ok(Some(TakenUp { writer, size_bytes }))
    }
}
