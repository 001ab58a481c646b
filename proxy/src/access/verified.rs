//! What was proven a moment ago, so that a login costs its work once and not with every request.
//!
//! Invariant: bounded; keyed by what only this process can compute from credentials, which are not
//! kept; only what was proven is remembered, never a refusal.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ring::hmac;
use tokio::time::Instant;

use super::caller::Caller;
use crate::limits::{VERIFIED_MAX, VERIFIED_TIME};

/// Stands for credentials.
pub(super) type Mark = [u8; 32];

/// Callers by their credentials.
pub(super) struct Verified {
    key: hmac::Key,
    callers: Mutex<HashMap<Mark, (Caller, Instant)>>,
}

impl Verified {
    /// Nobody yet; the key is random.
    pub(super) fn new() -> std::io::Result<Self> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(std::io::Error::other)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        Ok(Self { key, callers: Mutex::default() })
    }

    /// What stands for these words together.
    pub(super) fn mark(&self, words: [&str; 3]) -> Mark {
        let mut context = hmac::Context::with_key(&self.key);
        for word in words {
            context.update(&(word.len() as u64).to_be_bytes());
            context.update(word.as_bytes());
        }
        let mut mark = [0; 32];
        mark.copy_from_slice(context.sign().as_ref());
        mark
    }

    /// Who it was.
    pub(super) fn get(&self, mark: &Mark) -> Option<Caller> {
        let callers = self.callers();
        let (caller, until) = callers.get(mark)?;
        (Instant::now() < *until).then(|| caller.clone())
    }

    /// Remembers somebody, for so long at most.
    pub(super) fn put(&self, mark: Mark, caller: &Caller, at_most: Option<Duration>) {
        let lifetime = at_most.map_or(VERIFIED_TIME, |at_most| at_most.min(VERIFIED_TIME));
        let now = Instant::now();
        let mut callers = self.callers();
        if callers.len() >= VERIFIED_MAX {
            callers.retain(|_, (_, until)| now < *until);
        }
        if callers.len() >= VERIFIED_MAX {
            // Any one goes: it costs its owner one more check.
            let any = callers.keys().next().copied();
            any.and_then(|any| callers.remove(&any));
        }
        callers.insert(mark, (caller.clone(), now + lifetime));
    }

    fn callers(&self) -> MutexGuard<'_, HashMap<Mark, (Caller, Instant)>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::caller::CallerKind;

    #[tokio::test(start_paused = true)]
    async fn somebody_is_known_for_a_while() {
        let verified = Verified::new().unwrap();
        let alice = Caller::proven("alice", CallerKind::Password);
        let mark = verified.mark(["basic", "alice", "secret"]);
        assert!(verified.get(&mark).is_none());
        verified.put(mark, &alice, None);
        assert_eq!(verified.get(&mark).unwrap().name(), alice.name());
        tokio::time::advance(VERIFIED_TIME).await;
        assert!(verified.get(&mark).is_none());
        verified.put(mark, &alice, Some(Duration::from_secs(1)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(verified.get(&mark).is_none());
    }

    #[test]
    fn words_that_read_the_same_together_have_other_marks() {
        let verified = Verified::new().unwrap();
        let mark = verified.mark(["basic", "ab", "c"]);
        assert_ne!(mark, verified.mark(["basic", "a", "bc"]));
        assert_ne!(mark, Verified::new().unwrap().mark(["basic", "ab", "c"]));
    }

    #[tokio::test]
    async fn no_more_are_remembered_than_the_bound() {
        let verified = Verified::new().unwrap();
        for n in 0..VERIFIED_MAX + 10 {
            let mark = verified.mark(["basic", "a", &n.to_string()]);
            verified.put(mark, &Caller::anonymous(), None);
            assert!(verified.get(&mark).is_some());
        }
        assert_eq!(verified.callers().len(), VERIFIED_MAX);
    }
}
