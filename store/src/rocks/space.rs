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
    /// Bytes reserved for segments still to come.
    ahead_bytes: u64,
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

/// What a reservation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reserve {
    /// Bytes to be written at once.
    Written,
    /// Bytes of a blob whose segments are still to come; [`Space::spend`] when they are.
    Ahead,
}

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

    /// Reserves space. Measures the free space at times; that is quick.
    pub(super) fn reserve(
        &self,
        folder: &Path,
        bytes: u64,
        what: Reserve,
    ) -> Result<std::result::Result<(), ShortBy>> {
        let mut state = self.lock();
        let needed = DISK_RESERVE_BYTES.saturating_add(state.ahead_bytes).saturating_add(bytes);
        if state.reserved_since >= ASK_AGAIN_BYTES || state.free_bytes < needed {
            state.free_bytes = free_bytes(folder)?;
            state.reserved_since = 0;
        }
        let wanted = (state.used_bytes() + state.ahead_bytes).saturating_add(bytes);
        let over_limit = self.most_bytes().map_or(0, |most| wanted.saturating_sub(most));
        let over_disk = needed.saturating_sub(state.free_bytes);
        let short = over_limit.max(over_disk);
        if short > 0 {
            return Ok(Err(ShortBy(short)));
        }
        match what {
            Reserve::Written => state.open(bytes),
            Reserve::Ahead => state.ahead_bytes += bytes,
        }
        Ok(Ok(()))
    }

    /// Whether so many bytes would have no room in a store without a blob. An eviction for them
    /// would be in vain.
    pub(super) fn is_hopeless(&self, bytes: u64) -> bool {
        let state = self.lock();
        let records = state.record_bytes + state.record_growth_bytes;
        let is_over = |most: u64| records.saturating_add(bytes) > most;
        let emptied = state.free_bytes + state.ingested_bytes();
        self.most_bytes().is_some_and(is_over) || emptied < DISK_RESERVE_BYTES.saturating_add(bytes)
    }

    /// Turns a reservation for later bytes into one for bytes written now.
    pub(super) fn spend(&self, bytes: u64) {
        let mut state = self.lock();
        state.ahead_bytes = state.ahead_bytes.saturating_sub(bytes);
        state.open(bytes);
    }

    /// Releases a reservation for bytes that never came.
    pub(super) fn release_ahead(&self, bytes: u64) {
        let mut state = self.lock();
        state.ahead_bytes = state.ahead_bytes.saturating_sub(bytes);
    }

    /// The limit, less the room for rewritten files.
    fn most_bytes(&self) -> Option<u64> {
        self.limit_bytes.map(|limit| limit - (limit / 8).min(REWRITE_BYTES_MAX))
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
    fn open(&mut self, bytes: u64) {
        self.open_bytes += bytes;
        self.free_bytes = self.free_bytes.saturating_sub(bytes);
        self.reserved_since += bytes;
    }

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
        space.reserve(Path::new("/"), bytes, Reserve::Written).unwrap()
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
    fn bytes_to_come_take_room_from_others_until_they_are_written_or_given_up() {
        let space = Space::new(Some(80_000));
        space.reserve(Path::new("/"), 60_000, Reserve::Ahead).unwrap().unwrap();
        assert_eq!((space.used_bytes(), reserve(&space, 20_000)), (0, Err(ShortBy(10_000))));
        space.spend(40_000);
        assert_eq!((space.used_bytes(), reserve(&space, 20_000)), (40_000, Err(ShortBy(10_000))));
        space.release_ahead(20_000);
        reserve(&space, 20_000).unwrap();
    }

    #[test]
    fn an_empty_store_is_too_small_for_some() {
        let space = Space::new(Some(80_000));
        space.measured_records(10_000);
        reserve(&space, 60_000).unwrap();
        assert!(!space.is_hopeless(60_000), "an eviction may help");
        assert!(space.is_hopeless(60_001));
        let disk = Space::new(None);
        reserve(&disk, 1).unwrap();
        assert!(disk.is_hopeless(u64::MAX / 4));
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
