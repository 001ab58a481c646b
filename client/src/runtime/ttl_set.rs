//! Facts from a moment ago, believed for a while: absent names, tags whose upstream did not answer,
//! blobs that the store refused.
//!
//! Invariant: bounded. A fact without room is not remembered, which costs a request, never a wrong
//! answer.

use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

use crate::runtime::mutex::Mutex;
use crate::runtime::ttl_map::TtlMap;

/// Keys that expire.
pub struct TtlSet<K>(Mutex<Keys<K>>);

struct Keys<K> {
    map: TtlMap<K, ()>,
    /// Raised by every removal: an answer from before it does not count after.
    epoch: u64,
}

/// Taken before a request; the set takes its answer only without a removal in between.
#[derive(Clone, Copy)]
pub struct Epoch(u64);

impl<K: Eq + Hash> TtlSet<K> {
    /// Empty, for at most this many keys.
    pub fn new(limit: usize) -> Self {
        Self(Mutex::new(Keys { map: TtlMap::new(limit), epoch: 0 }))
    }

    /// Whether it has the key, and the key has not expired.
    pub fn contains(&self, key: &K) -> bool {
        self.0.lock().map.contains(key)
    }

    /// The time until the key expires.
    pub fn time_left(&self, key: &K) -> Option<Duration> {
        self.0.lock().map.time_left(key)
    }

    /// The current epoch, to be taken before a request.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.0.lock().epoch)
    }

    /// Inserts a key, whatever was removed before.
    pub fn insert(&self, key: K, lifetime: Duration) {
        if !lifetime.is_zero() {
            self.0.lock().map.insert(key, (), Instant::now() + lifetime);
        }
    }

    /// Inserts a key from a request begun at `epoch`.
    pub fn insert_since(&self, epoch: Epoch, key: K, lifetime: Duration) {
        let mut keys = self.0.lock();
        if keys.epoch == epoch.0 && !lifetime.is_zero() {
            keys.map.insert(key, (), Instant::now() + lifetime);
        }
    }

    /// Removes the fitting keys, and discards answers on their way.
    pub fn remove_if(&self, fits: impl FnMut(&K) -> bool) {
        let mut keys = self.0.lock();
        keys.epoch += 1;
        keys.map.remove_if(fits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn a_key_is_believed_for_its_time_and_not_past_a_removal() {
        let set = TtlSet::new(2);
        set.insert(1, LIFETIME);
        assert!(set.contains(&1) && !set.contains(&2));
        assert_eq!((set.time_left(&1), set.time_left(&2)), (Some(LIFETIME), None));
        tokio::time::advance(LIFETIME).await;
        assert!(!set.contains(&1) && set.time_left(&1).is_none());
        let asked = set.epoch();
        set.remove_if(|_| true);
        set.insert_since(asked, 1, LIFETIME);
        assert!(!set.contains(&1));
        set.insert_since(set.epoch(), 1, LIFETIME);
        assert!(set.contains(&1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_without_room_is_not_remembered_until_there_is_room() {
        let set = TtlSet::new(2);
        for key in 0..3 {
            set.insert(key, LIFETIME);
        }
        assert!(set.contains(&1) && !set.contains(&2));
        tokio::time::advance(LIFETIME).await;
        set.insert(3, LIFETIME);
        assert!(set.contains(&3));
    }
}
