//! Recent successful logins, and their networks.
//!
//! Invariant: bounded in number and in time. Beyond the bound the entry with the earliest expiry
//! goes; its owner is then subject to the failures of others again, and no login is wrongly
//! admitted.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

use crate::runtime::mutex::Mutex;

/// Keys with their expiry.
pub(super) struct RecentLogins<K> {
    most: usize,
    lifetime: Duration,
    until: Mutex<HashMap<K, Instant>>,
}

impl<K: Clone + Eq + Hash> RecentLogins<K> {
    pub(super) fn new(most: usize, lifetime: Duration) -> Self {
        Self { most, lifetime, until: Mutex::default() }
    }

    /// Whether the key was recorded recently.
    pub(super) fn holds(&self, key: &K) -> bool {
        self.until.lock().get(key).is_some_and(|until| Instant::now() < *until)
    }

    /// Records a key, which expires after the fixed time.
    pub(super) fn note(&self, key: K) {
        let (mut all, now) = (self.until.lock(), Instant::now());
        if all.len() >= self.most && !all.contains_key(&key) {
            let first = all.iter().min_by_key(|(_, until)| **until).map(|(key, _)| key.clone());
            first.and_then(|first| all.remove(&first));
        }
        all.insert(key, now + self.lifetime);
    }

    /// Removes a key.
    pub(super) fn forget(&self, key: &K) {
        self.until.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHILE: Duration = Duration::from_secs(9);

    #[tokio::test(start_paused = true)]
    async fn what_is_noted_counts_for_its_time_and_is_noted_again() {
        let known = RecentLogins::new(2, WHILE);
        known.note("a");
        assert!(known.holds(&"a") && !known.holds(&"b"));
        tokio::time::advance(WHILE / 2).await;
        known.note("a");
        tokio::time::advance(WHILE / 2).await;
        assert!(known.holds(&"a"));
        tokio::time::advance(WHILE / 2).await;
        assert!(!known.holds(&"a"));
        known.note("a");
        known.forget(&"a");
        assert!(!known.holds(&"a"));
    }

    #[tokio::test(start_paused = true)]
    async fn past_the_bound_the_oldest_goes_and_the_youngest_stays() {
        let known = RecentLogins::new(2, WHILE);
        for key in ["a", "b", "c"] {
            known.note(key);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(!known.holds(&"a") && known.holds(&"b") && known.holds(&"c"));
        known.note("b");
        known.note("d");
        assert!(known.holds(&"b") && !known.holds(&"c") && known.holds(&"d"));
    }
}
