//! Recent successful logins, and their networks.
//!
//! Invariant: bounded in number and in time. Beyond the bound the entry with the earliest expiry
//! goes; its owner is then subject to the failures of others again, and no login is wrongly
//! admitted.

use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

use wharf_client::runtime::mutex::Mutex;
use wharf_client::runtime::ttl_map::TtlMap;

/// Keys that expire after the same time.
pub(super) struct RecentLogins<K> {
    lifetime: Duration,
    keys: Mutex<TtlMap<K, ()>>,
}

impl<K: Clone + Eq + Hash> RecentLogins<K> {
    pub(super) fn new(most: usize, lifetime: Duration) -> Self {
        Self { lifetime, keys: Mutex::new(TtlMap::new(most)) }
    }

    pub(super) fn contains(&self, key: &K) -> bool {
        self.keys.lock().contains(key)
    }

    pub(super) fn insert(&self, key: K) {
        self.keys.lock().insert_evicting(key, (), Instant::now() + self.lifetime);
    }

    pub(super) fn remove(&self, key: &K) {
        self.keys.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(9);

    #[tokio::test(start_paused = true)]
    async fn a_login_counts_for_its_time_and_each_time_anew() {
        let known = RecentLogins::new(2, LIFETIME);
        known.insert("a");
        assert!(known.contains(&"a") && !known.contains(&"b"));
        tokio::time::advance(LIFETIME / 2).await;
        known.insert("a");
        tokio::time::advance(LIFETIME / 2).await;
        assert!(known.contains(&"a"));
        tokio::time::advance(LIFETIME / 2).await;
        assert!(!known.contains(&"a"));
        known.insert("a");
        known.remove(&"a");
        assert!(!known.contains(&"a"));
    }

    #[tokio::test(start_paused = true)]
    async fn past_the_bound_the_oldest_goes_and_the_youngest_stays() {
        let known = RecentLogins::new(2, LIFETIME);
        for key in ["a", "b", "c"] {
            known.insert(key);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(!known.contains(&"a") && known.contains(&"b") && known.contains(&"c"));
    }
}
