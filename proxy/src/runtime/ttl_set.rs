//! Facts from a moment ago, believed for a while: absent names, tags whose upstream did not answer,
//! blobs that the store refused.
//!
//! Invariant: bounded. A fact without room is not remembered, which costs a request, never a wrong
//! answer.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

use crate::runtime::mutex::Mutex;

/// Keys with their time of expiry.
pub(crate) struct TtlSet<K> {
    limit: usize,
    state: Mutex<State<K>>,
}

struct State<K> {
    until: HashMap<K, Instant>,
    /// Raised by every `forget`: an answer from before it does not count after.
    epoch: u64,
    swept: Instant,
}

/// Taken before a request; the set takes its answer only without a `forget` in between.
#[derive(Clone, Copy)]
pub(crate) struct Epoch(u64);

impl<K: Eq + Hash> TtlSet<K> {
    pub(crate) fn new(limit: usize) -> Self {
        let state = State { until: HashMap::new(), epoch: 0, swept: Instant::now() };
        Self { limit, state: Mutex::new(state) }
    }

    pub(crate) fn holds(&self, key: &K) -> bool {
        let state = self.state.lock();
        !state.until.is_empty() && state.until.get(key).is_some_and(|until| Instant::now() < *until)
    }

    /// The time until the key expires.
    pub(crate) fn left(&self, key: &K) -> Option<Duration> {
        let until = self.state.lock().until.get(key).copied()?;
        Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.state.lock().epoch)
    }

    /// Inserts a key from a request begun at `epoch`.
    pub(crate) fn note(&self, key: K, lifetime: Duration, epoch: Epoch) {
        let (mut state, now) = (self.state.lock(), Instant::now());
        if state.epoch != epoch.0 || lifetime.is_zero() {
            return;
        }
        if state.until.len() >= self.limit && now.duration_since(state.swept).as_secs() > 0 {
            state.swept = now;
            state.until.retain(|_, until| now < *until);
        }
        if state.until.len() < self.limit {
            state.until.insert(key, now + lifetime);
        }
    }

    /// Removes fitting keys, and discards answers on their way.
    pub(crate) fn forget(&self, mut fits: impl FnMut(&K) -> bool) {
        let mut state = self.state.lock();
        state.epoch += 1;
        state.until.retain(|key, _| !fits(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHILE: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn a_note_holds_for_its_time_and_not_past_a_forget() {
        let lately = TtlSet::new(2);
        lately.note(1, WHILE, lately.epoch());
        assert!(lately.holds(&1) && !lately.holds(&2));
        assert_eq!((lately.left(&1), lately.left(&2)), (Some(WHILE), None));
        tokio::time::advance(WHILE).await;
        assert!(!lately.holds(&1) && lately.left(&1).is_none());
        let asked = lately.epoch();
        lately.forget(|_| true);
        lately.note(1, WHILE, asked);
        assert!(!lately.holds(&1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_fit_is_not_remembered_until_there_is_room() {
        let lately = TtlSet::new(2);
        for key in 0..3 {
            lately.note(key, WHILE, lately.epoch());
        }
        assert!(lately.holds(&1) && !lately.holds(&2));
        tokio::time::advance(WHILE).await;
        lately.note(3, WHILE, lately.epoch());
        assert!(lately.holds(&3));
    }
}
