//! Segments in memory, against one limit: those of blobs in flight count, and recently written or
//! read ones are cached.
//!
//! Invariant: cached segments yield their memory to blobs in flight first.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// The shortage of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pressure {
    /// Blobs in flight fit into the limit.
    None,
    /// Blobs in flight exceed the limit: stored segments leave memory.
    Short,
    /// Blobs in flight exceed the limit by half: runs end early.
    Severe,
}

/// The segments of one store in memory.
#[derive(Debug)]
pub(crate) struct SegmentCache {
    limit_bytes: u64,
    in_flight_bytes: AtomicU64,
    /// The bytes of `kept`, readable without its lock.
    kept_bytes: AtomicU64,
    kept: Mutex<KeptSegments>,
}

#[derive(Debug, Default)]
struct KeptSegments {
    segments: HashMap<Key, Entry>,
    /// Segments of small blobs, least recently used first.
    lasting: BTreeMap<u64, Key>,
    /// Segments of large blobs, for concurrent readers of the same blob.
    passing: BTreeMap<u64, Key>,
    bytes: u64,
    passing_bytes: u64,
    clock: u64,
}

/// Blob number and segment index.
type Key = (u64, u64);

#[derive(Debug)]
struct Entry {
    used: u64,
    priority: Priority,
    segment: Bytes,
}

/// The order of eviction from the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Priority {
    Lasting,
    Passing,
}

impl SegmentCache {
    pub(crate) fn new(limit_bytes: u64) -> Self {
        Self {
            limit_bytes,
            in_flight_bytes: AtomicU64::new(0),
            kept_bytes: AtomicU64::new(0),
            kept: Mutex::default(),
        }
    }

    /// Counts bytes of a blob in flight; cached segments make room.
    pub(crate) fn take(&self, bytes: usize) {
        let before = self.in_flight_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let room = self.limit_bytes.saturating_sub(before + bytes as u64);
        let mut kept = self.lock();
        kept.shrink_to(room);
        self.kept_bytes.store(kept.bytes, Ordering::Relaxed);
    }

    /// Subtracts bytes of a blob in flight from the count.
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
        self.kept_bytes.load(Ordering::Relaxed)
    }

    /// A cached segment of a blob.
    pub(crate) fn get(&self, number: u64, index: u64) -> Option<Bytes> {
        self.lock().get((number, index))
    }

    /// Caches a segment after its write, as long as there is room.
    pub(crate) fn keep(&self, number: u64, index: u64, segment: Bytes) {
        self.insert((number, index), segment, Priority::Lasting);
    }

    /// Caches a segment after its read. A blob large against the limit would evict all other
    /// segments and then its own, so its segments stay for a moment only.
    pub(crate) fn keep_read(&self, number: u64, index: u64, segment: Bytes, size_bytes: u64) {
        let large = size_bytes > self.limit_bytes / 4;
        let priority = if large { Priority::Passing } else { Priority::Lasting };
        self.insert((number, index), segment, priority);
    }

    fn insert(&self, key: Key, segment: Bytes, priority: Priority) {
        let room = self.limit_bytes.saturating_sub(self.in_flight_bytes());
        let mut kept = self.lock();
        if segment.len() as u64 <= room {
            kept.insert(key, segment, priority);
        }
        kept.shrink_passing_to(self.limit_bytes / 3);
        kept.shrink_to(room);
        self.kept_bytes.store(kept.bytes, Ordering::Relaxed);
    }

    /// Removes the segments of a blob.
    pub(crate) fn forget(&self, number: u64) {
        let mut kept = self.lock();
        let keys: Vec<_> = kept.segments.keys().filter(|key| key.0 == number).copied().collect();
        for key in keys {
            kept.remove(key);
        }
        self.kept_bytes.store(kept.bytes, Ordering::Relaxed);
    }

    /// After a panic elsewhere the cache may count a segment it does not find, at worst.
    fn lock(&self) -> MutexGuard<'_, KeptSegments> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeptSegments {
    fn get(&mut self, key: Key) -> Option<Bytes> {
        self.clock += 1;
        let clock = self.clock;
        let entry = self.segments.get_mut(&key)?;
        let before = std::mem::replace(&mut entry.used, clock);
        let segment = entry.segment.clone();
        // Segments of large blobs leave in the order of arrival, for any number of reads.
        if entry.priority == Priority::Lasting {
            self.lasting.remove(&before);
            self.lasting.insert(clock, key);
        } else {
            entry.used = before;
        }
        Some(segment)
    }

    fn insert(&mut self, key: Key, segment: Bytes, priority: Priority) {
        self.remove(key);
        self.clock += 1;
        let bytes = segment.len() as u64;
        self.bytes += bytes;
        if priority == Priority::Passing {
            self.passing_bytes += bytes;
        }
        let used = self.clock;
        self.order(priority).insert(used, key);
        self.segments.insert(key, Entry { used, priority, segment });
    }

    fn remove(&mut self, key: Key) {
        if let Some(Entry { used, priority, segment }) = self.segments.remove(&key) {
            let bytes = segment.len() as u64;
            self.order(priority).remove(&used);
            self.bytes -= bytes;
            if priority == Priority::Passing {
                self.passing_bytes -= bytes;
            }
        }
    }

    const fn order(&mut self, priority: Priority) -> &mut BTreeMap<u64, Key> {
        match priority {
            Priority::Lasting => &mut self.lasting,
            Priority::Passing => &mut self.passing,
        }
    }

    fn shrink_passing_to(&mut self, bytes: u64) {
        while self.passing_bytes > bytes {
            let Some((_, key)) = self.passing.first_key_value() else { return };
            let key = *key;
            self.remove(key);
        }
    }

    fn shrink_to(&mut self, bytes: u64) {
        while self.bytes > bytes {
            let first = self.passing.first_key_value().or_else(|| self.lasting.first_key_value());
            let Some((_, key)) = first else { return };
            let key = *key;
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
        let hot = SegmentCache::new(300);
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
    fn what_passes_takes_a_third_and_leaves_what_lasts_alone() {
        let hot = SegmentCache::new(900);
        hot.keep_read(1, 0, segment(), 200);
        for index in 0..50 {
            hot.keep_read(2, index, segment(), 5_000);
        }
        assert!(hot.get(1, 0).is_some() && hot.get(2, 49).is_some() && hot.get(2, 46).is_none());
        assert_eq!(hot.kept_bytes(), 400);
        hot.take(600);
        assert!(hot.get(1, 0).is_some());
        assert_eq!(hot.kept_bytes(), 300);
        hot.forget(2);
        assert_eq!(hot.kept_bytes(), 100);
    }

    #[test]
    fn blobs_in_flight_push_out_what_is_kept() {
        let hot = SegmentCache::new(300);
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
