//! The store's size on disk, and its limit. Counts; frees nothing itself.
//!
//! Invariant: `used_bytes` is at least the size of the folder, apart from deleted files RocksDB has
//! not freed yet. So a granted reservation keeps the store under its limit.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use crate::limits::{DISK_RESERVE_BYTES, EPOCH_RUNS_MAX, REWRITE_BYTES_MAX};
use crate::lock::lock;
use crate::{Result, StoreError};

/// Block size of file systems, in bytes.
const BLOCK_BYTES: u64 = 4096;
/// Reserved bytes between two measurements of the free space.
const ASK_AGAIN_BYTES: u64 = 16 * 1024 * 1024;

/// The size of a file on disk, in bytes.
pub(super) const fn on_disk(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK_BYTES) * BLOCK_BYTES
}

#[derive(Debug)]
pub(super) struct Space {
    limit_bytes: Option<u64>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The epoch of the next runs; zero before the first.
    epoch: u32,
    /// The number of runs in that epoch.
    epoch_runs: u64,
    /// Bytes of ingested runs, by epoch.
    epochs: BTreeMap<u32, u64>,
    /// Bytes of unfinished runs.
    open_bytes: u64,
    /// Bytes of everything else at the last measurement, and their greatest growth since.
    record_bytes: u64,
    record_growth_bytes: u64,
    /// Free space at the last measurement, less the reservations since.
    free_bytes: u64,
    reserved_since: u64,
}

/// A refused reservation: the missing bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShortBy(pub(super) u64);

impl Space {
    pub(super) fn new(limit_bytes: Option<u64>) -> Self {
        Self { limit_bytes, state: Mutex::default() }
    }

    pub(super) const fn limit_bytes(&self) -> Option<u64> {
        self.limit_bytes
    }

    /// Sets the result of the recovery: the epoch of the next runs, and the bytes of each.
    pub(super) fn found(&self, epoch: u32, epoch_runs: u64, epochs: BTreeMap<u32, u64>) {
        let mut state = self.lock();
        (state.epoch, state.epoch_runs, state.epochs) = (epoch, epoch_runs, epochs);
    }

    /// Bytes of everything counted.
    pub(super) fn used_bytes(&self) -> u64 {
        self.lock().used_bytes()
    }

    /// Bytes of runs, ingested or unfinished.
    pub(super) fn run_bytes(&self) -> u64 {
        let state = self.lock();
        state.ingested_bytes() + state.open_bytes
    }

    /// Reserves space for a run. Measures the free space at times; that is quick.
    pub(super) fn reserve(
        &self,
        folder: &Path,
        bytes: u64,
    ) -> Result<std::result::Result<(), ShortBy>> {
        let mut state = self.lock();
        if state.reserved_since >= ASK_AGAIN_BYTES || state.free_bytes < DISK_RESERVE_BYTES + bytes
        {
            state.free_bytes = free_bytes(folder)?;
            state.reserved_since = 0;
        }
        let wanted = state.used_bytes() + bytes;
        let over_limit = self.limit_bytes.map_or(0, |limit| {
            let headroom = (limit / 8).min(REWRITE_BYTES_MAX);
            wanted.saturating_sub(limit - headroom)
        });
        let over_disk = (DISK_RESERVE_BYTES + bytes).saturating_sub(state.free_bytes);
        let short = over_limit.max(over_disk);
        if short > 0 {
            return Ok(Err(ShortBy(short)));
        }
        state.open_bytes += bytes;
        state.free_bytes -= bytes;
        state.reserved_since += bytes;
        Ok(Ok(()))
    }

    /// Releases a reservation.
    pub(super) fn release(&self, bytes: u64) {
        let mut state = self.lock();
        state.open_bytes = state.open_bytes.saturating_sub(bytes);
    }

    /// Assigns a finished run to an epoch: to `epoch` when the blob has one, else to the current
    /// one; `open` creates a new one. The run counts there from now on, instead of its reservation.
    pub(super) fn place_run(
        &self,
        epoch: Option<u32>,
        run_bytes: u64,
        reserved_bytes: u64,
        open: impl FnOnce(u32) -> Result<()>,
    ) -> Result<u32> {
        let mut state = self.lock();
        state.open_bytes = state.open_bytes.saturating_sub(reserved_bytes);
        if epoch.is_none() && (state.epoch == 0 || state.epoch_runs >= EPOCH_RUNS_MAX) {
            open(state.epoch + 1)?;
            state.epoch += 1;
            state.epoch_runs = 0;
        }
        let epoch = epoch.unwrap_or(state.epoch);
        if epoch == state.epoch {
            state.epoch_runs += 1;
        }
        *state.epochs.entry(epoch).or_default() += run_bytes;
        Ok(epoch)
    }

    /// Subtracts deleted runs of an epoch. Calls `gone` when an epoch besides the current one is
    /// empty, under the lock, so no run is assigned to it meanwhile.
    pub(super) fn freed(
        &self,
        epoch: u32,
        run_bytes: u64,
        gone: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let mut state = self.lock();
        let current = state.epoch;
        let left = state.epochs.entry(epoch).or_default();
        *left = left.saturating_sub(run_bytes);
        if *left == 0 && epoch != current {
            state.epochs.remove(&epoch);
            return gone();
        }
        Ok(())
    }

    /// Counts written records: in a log now, and in a table later.
    pub(super) fn wrote_records(&self, bytes: u64) {
        self.lock().record_growth_bytes += 2 * bytes;
    }

    /// Sets the measured size of records.
    pub(super) fn measured_records(&self, bytes: u64) {
        let mut state = self.lock();
        state.record_bytes = bytes;
        state.record_growth_bytes = 0;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn ingested_bytes(&self) -> u64 {
        self.epochs.values().sum()
    }

    fn used_bytes(&self) -> u64 {
        self.ingested_bytes() + self.open_bytes + self.record_bytes + self.record_growth_bytes
    }
}

pub(super) fn free_bytes(folder: &Path) -> Result<u64> {
    let about = rustix::fs::statvfs(folder)
        .map_err(|error| StoreError::io("asking for the free space of", folder, error.into()))?;
    Ok(about.f_bavail.saturating_mul(about.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn reserve(space: &Space, bytes: u64) -> std::result::Result<(), ShortBy> {
        space.reserve(Path::new("/"), bytes).unwrap()
    }

    #[test]
    fn a_reservation_is_refused_by_what_is_missing() {
        // An eighth is left for rewritten files before their old version is deleted.
        let space = Space::new(Some(80_000));
        space.measured_records(60_000);
        reserve(&space, 6_000).unwrap();
        assert_eq!(reserve(&space, 6_000), Err(ShortBy(2_000)));
        space.release(6_000);
        reserve(&space, 6_000).unwrap();
        assert_eq!(space.used_bytes(), 66_000);
        assert!(reserve(&Space::new(None), u64::MAX / 4).is_err(), "the disk is not that large");
    }

    #[test]
    fn an_epoch_is_gone_when_it_is_full_and_empty() {
        let space = Space::new(None);
        let opened = RefCell::new(Vec::new());
        let note = |epoch| {
            opened.borrow_mut().push(epoch);
            Ok(())
        };
        for _ in 0..=EPOCH_RUNS_MAX {
            space.place_run(None, 10, 0, note).unwrap();
        }
        assert_eq!(opened.take(), [1, 2]);
        space.freed(2, 10, || note(2)).unwrap();
        space.freed(1, 10 * EPOCH_RUNS_MAX - 10, || note(1)).unwrap();
        assert!(opened.borrow().is_empty());
        space.freed(1, 10, || note(1)).unwrap();
        assert_eq!((opened.take(), space.run_bytes()), (vec![1], 0));
    }
}
