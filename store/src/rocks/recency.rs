//! The order of use of blobs, for eviction. A read is noted in memory and written later with
//! others, so it costs no write.
//!
//! Invariant: a cached blob has exactly one entry in the order on disk; a kept one has none.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::limits::TOUCHED_LEN_MAX;
use crate::lock::lock;

#[derive(Debug, Default)]
pub(super) struct Recency {
    last: AtomicU64,
    /// Number -> unwritten time of its last read.
    touched: Mutex<HashMap<u64, u64>>,
}

impl Recency {
    /// A moment later than all moments before: microseconds since 1970, unless the clock went back.
    pub(super) fn now(&self) -> u64 {
        let clock = now_ms().saturating_mul(1000);
        let next = |last: u64| clock.max(last + 1);
        let before =
            self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |l| Some(next(l)));
        next(before.unwrap_or_else(|last| last))
    }

    /// Notes a read of a number; whether it is time to write the notes.
    pub(super) fn touch(&self, number: u64) -> bool {
        let now = self.now();
        let mut touched = lock(&self.touched);
        touched.insert(number, now);
        touched.len() >= TOUCHED_LEN_MAX
    }

    /// Takes the noted reads, to write them.
    pub(super) fn take_touched(&self) -> HashMap<u64, u64> {
        std::mem::take(&mut *lock(&self.touched))
    }
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The position in the order of use of a time in milliseconds since 1970.
pub(super) const fn of_ms(ms: u64) -> u64 {
    ms.saturating_mul(1000)
}
