//! What the store takes on disk, and what it may take. Counts; frees nothing itself.
//!
//! Invariant: `used_bytes` is never less than what the folder takes, up to what RocksDB has deleted
//! but not yet given back; so a reservation that was granted keeps the store under its limit.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use crate::limits::{DISK_RESERVE_BYTES, EPOCH_RUNS_MAX, REWRITE_BYTES_MAX};
use crate::lock::lock;
use crate::{Result, StoreError};

/// File systems hand out space in blocks of this many bytes.
const BLOCK_BYTES: u64 = 4096;
/// The disk is asked how much is free again after so many reserved bytes.
const ASK_AGAIN_BYTES: u64 = 16 * 1024 * 1024;

/// What a file of this size takes.
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
    /// The epoch that takes runs now; zero before the first.
    epoch: u32,
    /// How many runs it took.
    epoch_runs: u64,
    /// Bytes of ingested runs, by epoch.
    epochs: BTreeMap<u32, u64>,
    /// Bytes of runs that are being written.
    open_bytes: u64,
    /// Everything else, as last measured, and at most what it grew by since.
    record_bytes: u64,
    record_growth_bytes: u64,
    /// What the disk had left when it was last asked, less what was reserved since.
    free_bytes: u64,
    reserved_since: u64,
}

/// Why a reservation was refused: so many bytes must go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShortBy(pub(super) u64);

impl Space {
    pub(super) fn new(limit_bytes: Option<u64>) -> Self {
        Self { limit_bytes, state: Mutex::default() }
    }

    pub(super) const fn limit_bytes(&self) -> Option<u64> {
        self.limit_bytes
    }

    /// What the start found: the epoch that takes runs, and the bytes of each.
    pub(super) fn found(&self, epoch: u32, epoch_runs: u64, epochs: BTreeMap<u32, u64>) {
        let mut state = self.lock();
        (state.epoch, state.epoch_runs, state.epochs) = (epoch, epoch_runs, epochs);
    }

    /// Everything that is counted.
    pub(super) fn used_bytes(&self) -> u64 {
        self.lock().used_bytes()
    }

    /// Runs, ingested or being written.
    pub(super) fn run_bytes(&self) -> u64 {
        let state = self.lock();
        state.ingested_bytes() + state.open_bytes
    }

    /// Takes room for bytes of a run. The disk is asked at times, which does not take long.
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

    /// Gives back what was reserved.
    pub(super) fn release(&self, bytes: u64) {
        let mut state = self.lock();
        state.open_bytes = state.open_bytes.saturating_sub(bytes);
    }

    /// A place for a finished run in an epoch: in `epoch` when the blob has one, else in the one
    /// that takes runs; `open` is called for a new one. The run counts there from now on, and no
    /// longer as what was reserved for it.
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

    /// Runs of an epoch are gone. `gone` is called when nothing is left of an epoch that takes no
    /// runs any more; nobody can place one there meanwhile.
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

    /// Records were written: they are in a log now, and in a table later.
    pub(super) fn wrote_records(&self, bytes: u64) {
        self.lock().record_growth_bytes += 2 * bytes;
    }

    /// Records were measured.
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
        // An eighth is left for what is written anew before the old is deleted.
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
