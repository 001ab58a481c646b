//! A cache of proven logins, so that a login is checked once and not with every request.
//!
//! Invariant: bounded; keyed by keyed hashes of credentials (`cache_key.rs`), never by the
//! credentials; holds proven logins only, never a refusal.

use std::time::Duration;

use tokio::time::Instant;
use wharf_client::runtime::mutex::Mutex;
use wharf_client::runtime::ttl_map::TtlMap;

use super::cache_key::CacheKey;
use super::caller::Caller;
use crate::limits::{VERIFIED_MAX, VERIFIED_TIME};

/// Callers by their credentials.
pub(super) struct LoginCache {
    callers: Mutex<TtlMap<CacheKey, Caller>>,
}

impl Default for LoginCache {
    fn default() -> Self {
        Self { callers: Mutex::new(TtlMap::new(VERIFIED_MAX)) }
    }
}

impl LoginCache {
    /// The cached caller.
    pub(super) fn get(&self, mark: &CacheKey) -> Option<Caller> {
        self.callers.lock().get(mark).cloned()
    }

    /// Caches a caller, for at most the given time. In a full cache another login makes room, at the
    /// cost of one more check for its owner.
    pub(super) fn insert(&self, mark: CacheKey, caller: &Caller, at_most: Option<Duration>) {
        let lifetime = at_most.map_or(VERIFIED_TIME, |at_most| at_most.min(VERIFIED_TIME));
        let expiry = Instant::now() + lifetime;
        self.callers.lock().insert_evicting(mark, caller.clone(), expiry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::caller::CallerKind;

    #[tokio::test(start_paused = true)]
    async fn somebody_is_known_for_a_while() {
        let verified = LoginCache::default();
        let alice = Caller::proven("alice", CallerKind::Password);
        let mark = [1; 32];
        assert!(verified.get(&mark).is_none());
        verified.insert(mark, &alice, None);
        assert_eq!(verified.get(&mark).unwrap().name(), "alice");
        tokio::time::advance(VERIFIED_TIME).await;
        assert!(verified.get(&mark).is_none());
        verified.insert(mark, &alice, Some(Duration::from_secs(1)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(verified.get(&mark).is_none());
    }

    #[tokio::test]
    async fn no_more_are_remembered_than_the_bound() {
        let verified = LoginCache::default();
        for n in 0..VERIFIED_MAX + 10 {
            let mut mark = [0; 32];
            mark[..8].copy_from_slice(&(n as u64).to_be_bytes());
            verified.insert(mark, &Caller::anonymous(), None);
            assert!(verified.get(&mark).is_some());
        }
        assert_eq!(verified.callers.lock().len(), VERIFIED_MAX);
    }
}
