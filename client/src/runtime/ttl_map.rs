//! A bounded map whose entries expire: cached answers, proven logins, overrides, idle clients.
//!
//! Invariant: never more entries than the limit, and an expired entry is never found.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

/// The shortest time between two searches for expired entries in a full map: a flood of keys must not
/// make every insert read all of them.
const SWEEP_PERIOD: Duration = Duration::from_secs(1);

/// Values with their time of expiry. Its owner holds the lock.
#[derive(Debug)]
pub struct TtlMap<K, V> {
    limit: usize,
    entries: HashMap<K, Entry<V>>,
    swept: Option<Instant>,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    expiry: Instant,
}

impl<V> Entry<V> {
    fn is_valid(&self) -> bool {
        Instant::now() < self.expiry
    }
}

impl<K: Eq + Hash, V> TtlMap<K, V> {
    /// Empty, for at most this many entries.
    pub fn new(limit: usize) -> Self {
        Self { limit, entries: HashMap::new(), swept: None }
    }

    /// The value, until it expires.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        // Most maps are empty most of the time: no hash, no clock.
        if self.entries.is_empty() {
            return None;
        }
        self.entries.get(key).filter(|entry| entry.is_valid()).map(|entry| &entry.value)
    }

    /// Whether it has the key, and the key has not expired.
    pub fn contains(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// The time until the key expires.
    pub fn time_left(&self, key: &K) -> Option<Duration> {
        let left = self.entries.get(key)?.expiry.saturating_duration_since(Instant::now());
        Some(left).filter(|left| !left.is_zero())
    }

    /// The value, which from here on expires at `expiry`.
    pub fn renew(&mut self, key: &K, expiry: Instant) -> Option<&V> {
        let entry = self.entries.get_mut(key).filter(|entry| entry.is_valid())?;
        entry.expiry = expiry;
        Some(&entry.value)
    }

    /// Inserts a value, in place of the key's former one. `false` when other entries take all room.
    pub fn insert(&mut self, key: K, value: V, expiry: Instant) -> bool {
        let now = Instant::now();
        if self.entries.len() >= self.limit
            && self.swept.is_none_or(|swept| now.duration_since(swept) >= SWEEP_PERIOD)
        {
            self.swept = Some(now);
            self.sweep();
        }
        let has_room = self.entries.len() < self.limit || self.entries.contains_key(&key);
        if has_room {
            self.entries.insert(key, Entry { value, expiry });
        }
        has_room
    }

    /// Inserts a value. In a full map the entry with the earliest expiry makes room.
    pub fn insert_evicting(&mut self, key: K, value: V, expiry: Instant)
    where
        K: Clone,
    {
        if self.entries.len() >= self.limit && !self.entries.contains_key(&key) {
            let first = self.entries.iter().min_by_key(|(_, entry)| entry.expiry);
            let first = first.map(|(key, _)| key.clone());
            first.and_then(|first| self.entries.remove(&first));
        }
        self.entries.insert(key, Entry { value, expiry });
    }

    /// Takes out a value that has not expired.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.entries.remove(key).filter(Entry::is_valid).map(|entry| entry.value)
    }

    /// Removes the fitting keys.
    pub fn remove_if(&mut self, mut fits: impl FnMut(&K) -> bool) {
        self.entries.retain(|key, _| !fits(key));
    }

    /// Removes every expired entry.
    pub fn sweep(&mut self) {
        let now = Instant::now();
        self.entries.retain(|_, entry| now < entry.expiry);
    }

    /// The number of entries; an expired one counts until it is removed.
    #[cfg(any(test, feature = "test-util"))]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry; an expired one counts until it is removed.
    #[must_use]
    #[cfg(any(test, feature = "test-util"))]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(9);

    fn soon() -> Instant {
        Instant::now() + LIFETIME
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_is_found_until_it_expires() {
        let mut map = TtlMap::new(2);
        assert!(map.insert("a", 1, soon()));
        assert_eq!((map.get("a"), map.get("b")), (Some(&1), None));
        assert_eq!((map.time_left(&"a"), map.time_left(&"b")), (Some(LIFETIME), None));
        tokio::time::advance(LIFETIME / 2).await;
        assert_eq!(map.renew(&"a", soon()), Some(&1));
        assert_eq!(map.renew(&"b", soon()), None);
        tokio::time::advance(LIFETIME / 2).await;
        assert!(map.contains(&"a"));
        tokio::time::advance(LIFETIME / 2).await;
        assert!(!map.contains(&"a") && map.time_left(&"a").is_none());
        assert_eq!(map.renew(&"a", soon()), None);
        assert_eq!(map.remove(&"a"), None);
        assert!(map.insert("a", 2, soon()));
        assert_eq!((map.remove(&"a"), map.remove(&"a")), (Some(2), None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_map_takes_a_known_key_and_no_other_until_an_entry_expires() {
        let mut map = TtlMap::new(2);
        let taken: Vec<_> = [1, 2, 3, 1].map(|key| map.insert(key, (), soon())).into();
        assert_eq!(taken, [true, true, false, true]);
        tokio::time::advance(LIFETIME).await;
        assert!(map.insert(3, (), soon()) && map.len() == 1);
        map.remove_if(|key| *key == 3);
        assert_eq!(map.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_expiry_makes_room_for_a_new_key() {
        let mut map = TtlMap::new(2);
        for key in ["a", "b", "c"] {
            map.insert_evicting(key, (), soon());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(!map.contains(&"a") && map.contains(&"b") && map.contains(&"c"));
        map.insert_evicting("b", (), soon());
        map.insert_evicting("d", (), soon());
        assert!(map.contains(&"b") && !map.contains(&"c") && map.contains(&"d"));
    }
}
