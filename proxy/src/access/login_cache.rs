//! A cache of proven logins, so that a login is checked once and not with every request.
//!
//! Invariant: bounded; keyed by keyed hashes of credentials (`cache_key.rs`), never by the
//! credentials; holds proven logins only, never a refusal.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::cache_key::CacheKey;
use super::caller::Caller;
use crate::limits::{VERIFIED_MAX, VERIFIED_TIME};
use crate::runtime::mutex::Mutex;

/// Callers by their credentials.
#[derive(Default)]
pub(super) struct LoginCache {
    callers: Mutex<HashMap<CacheKey, (Caller, Instant)>>,
}

impl LoginCache {
    /// The cached caller.
    pub(super) fn get(&self, mark: &CacheKey) -> Option<Caller> {
        let callers = self.callers.lock();
        let (caller, until) = callers.get(mark)?;
        (Instant::now() < *until).then(|| caller.clone())
    }

    /// Caches a caller, for at most the given time.
    pub(super) fn put(&self, mark: CacheKey, caller: &Caller, at_most: Option<Duration>) {
        let lifetime = at_most.map_or(VERIFIED_TIME, |at_most| at_most.min(VERIFIED_TIME));
        let now = Instant::now();
        let mut callers = self.callers.lock();
        if callers.len() >= VERIFIED_MAX {
            callers.retain(|_, (_, until)| now < *until);
        }
        if callers.len() >= VERIFIED_MAX {
            // Evicts an arbitrary entry, at the cost of one more check for its owner.
            let any = callers.keys().next().copied();
            any.and_then(|any| callers.remove(&any));
        }
        callers.insert(mark, (caller.clone(), now + lifetime));
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
        verified.put(mark, &alice, None);
        assert_eq!(verified.get(&mark).unwrap().name(), "alice");
        tokio::time::advance(VERIFIED_TIME).await;
        assert!(verified.get(&mark).is_none());
        verified.put(mark, &alice, Some(Duration::from_secs(1)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(verified.get(&mark).is_none());
    }

    #[tokio::test]
    async fn no_more_are_remembered_than_the_bound() {
        let verified = LoginCache::default();
        for n in 0..VERIFIED_MAX + 10 {
            let mut mark = [0; 32];
            mark[..8].copy_from_slice(&(n as u64).to_be_bytes());
            verified.put(mark, &Caller::anonymous(), None);
            assert!(verified.get(&mark).is_some());
        }
        assert_eq!(verified.callers.lock().len(), VERIFIED_MAX);
    }
}
