//! Segments in memory: those of blobs in flight are counted, and those that were just written or
//! read are kept, all against one limit.
//!
//! Invariant: what is kept never takes memory that blobs in flight need; it is let go of first.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// How short memory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pressure {
    /// Blobs in flight fit.
    None,
    /// They take more than the limit: let go of what can be read from disk.
    Short,
    /// They take half as much again: make more of it readable from disk.
    Severe,
}

/// The memory of one store for segments.
#[derive(Debug)]
pub(crate) struct HotSegments {
    limit_bytes: u64,
    in_flight_bytes: AtomicU64,
    kept: Mutex<Kept>,
}

/// Least recently used first.
#[derive(Debug, Default)]
struct Kept {
    segments: HashMap<(u64, u64), (u64, Bytes)>,
    by_use: BTreeMap<u64, (u64, u64)>,
    bytes: u64,
    clock: u64,
}

impl HotSegments {
    pub(crate) fn new(limit_bytes: u64) -> Self {
        Self { limit_bytes, in_flight_bytes: AtomicU64::new(0), kept: Mutex::default() }
    }

    /// Counts bytes of a blob in flight; what is kept makes room.
    pub(crate) fn take(&self, bytes: usize) {
        let before = self.in_flight_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let room = self.limit_bytes.saturating_sub(before + bytes as u64);
        self.lock().shrink_to(room);
    }

    /// Bytes of a blob in flight that left memory.
    pub(crate) fn give_back(&self, bytes: usize) {
        self.in_flight_bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn pressure(&self) -> Pressure {
        let bytes = self.in_flight_bytes();
        if bytes > self.limit_bytes + self.limit_bytes / 2 {
            Pressure::Severe
        } else if bytes > self.limit_bytes {
            Pressure::Short
        } else {
            Pressure::None
        }
    }

    pub(crate) fn in_flight_bytes(&self) -> u64 {
        self.in_flight_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn kept_bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// Whether a blob of this size may be kept when it is read: one that is large against the limit
    /// would push out everything else and itself.
    pub(crate) const fn is_worth_keeping(&self, size_bytes: u64) -> bool {
        size_bytes <= self.limit_bytes / 4
    }

    /// A kept segment of a blob.
    pub(crate) fn get(&self, number: u64, index: u64) -> Option<Bytes> {
        self.lock().get((number, index))
    }

    /// Keeps a segment as long as there is room.
    pub(crate) fn keep(&self, number: u64, index: u64, segment: Bytes) {
        let room = self.limit_bytes.saturating_sub(self.in_flight_bytes());
        let mut kept = self.lock();
        if segment.len() as u64 <= room {
            kept.insert((number, index), segment);
        }
        kept.shrink_to(room);
    }

    /// Lets go of a blob.
    pub(crate) fn forget(&self, number: u64) {
        let mut kept = self.lock();
        let keys: Vec<_> = kept.segments.keys().filter(|key| key.0 == number).copied().collect();
        for key in keys {
            kept.remove(key);
        }
    }

    /// A panic elsewhere leaves at worst a segment that is counted and not found.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn get(&mut self, key: (u64, u64)) -> Option<Bytes> {
        self.clock += 1;
        let clock = self.clock;
        let (used, segment) = self.segments.get_mut(&key)?;
        let before = std::mem::replace(used, clock);
        let segment = segment.clone();
        self.by_use.remove(&before);
        self.by_use.insert(clock, key);
        Some(segment)
    }

    fn insert(&mut self, key: (u64, u64), segment: Bytes) {
        self.remove(key);
        self.clock += 1;
        self.bytes += segment.len() as u64;
        self.by_use.insert(self.clock, key);
        self.segments.insert(key, (self.clock, segment));
    }

    fn remove(&mut self, key: (u64, u64)) {
        if let Some((used, segment)) = self.segments.remove(&key) {
            self.by_use.remove(&used);
            self.bytes -= segment.len() as u64;
        }
    }

    fn shrink_to(&mut self, bytes: u64) {
        while self.bytes > bytes {
            let Some((_, key)) = self.by_use.pop_first() else {
                return;
            };
            self.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment() -> Bytes {
        Bytes::from_static(&[7; 100])
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let hot = HotSegments::new(300);
        for index in 0..3 {
            hot.keep(1, index, segment());
        }
        assert!(hot.get(1, 0).is_some());
        hot.keep(2, 0, segment());
        assert!(hot.get(1, 1).is_none());
        assert!(hot.get(1, 0).is_some() && hot.get(1, 2).is_some() && hot.get(2, 0).is_some());
        assert_eq!(hot.kept_bytes(), 300);
        hot.forget(1);
        assert_eq!(hot.kept_bytes(), 100);
    }

    #[test]
    fn blobs_in_flight_push_out_what_is_kept() {
        let hot = HotSegments::new(300);
        hot.keep(1, 0, segment());
        hot.keep(1, 1, segment());
        hot.take(200);
        assert_eq!(hot.kept_bytes(), 100);
        hot.take(200);
        assert_eq!((hot.kept_bytes(), hot.pressure()), (0, Pressure::Short));
        hot.keep(1, 0, segment());
        assert_eq!(hot.kept_bytes(), 0);
        hot.take(100);
        assert_eq!(hot.pressure(), Pressure::Severe);
        hot.give_back(300);
        assert_eq!(hot.pressure(), Pressure::None);
    }
}
