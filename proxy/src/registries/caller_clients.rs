//! Clients of registries with callers' own logins, kept between requests because they hold tokens.
//!
//! Invariant: a client is found only by exactly the login that it was made with. Bounded in number
//! and, because it holds a password, in time. A login that the registry does not know has no client
//! (`access/unproven_logins.rs`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::caller_login::{CallerLogin, Fingerprint};
use crate::client::Upstream;
use crate::limits::{CALLER_IDLE_MAX, CALLERS_MAX};

/// An upstream's identity, and the fingerprint of the caller's login.
type Key = (usize, Fingerprint);

/// All clients of callers.
#[derive(Default)]
pub(super) struct CallerClients(Mutex<HashMap<Key, View>>);

struct View {
    upstream: Arc<Upstream>,
    used: Instant,
}

impl CallerClients {
    /// The client of a caller, made when there is none.
    pub(super) fn view(&self, upstream: &Arc<Upstream>, login: &CallerLogin) -> Arc<Upstream> {
        let key = (upstream.identity(), login.fingerprint());
        let (mut caller_clients, now) = (self.caller_clients(), Instant::now());
        if let Some(view) = caller_clients.get_mut(&key) {
            view.used = now;
            return Arc::clone(&view.upstream);
        }
        caller_clients.retain(|_, view| now.duration_since(view.used) < CALLER_IDLE_MAX);
        if caller_clients.len() >= CALLERS_MAX {
            let oldest = caller_clients.iter().min_by_key(|(_, view)| view.used);
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                caller_clients.remove(&oldest);
            }
        }
        let view = Arc::new(upstream.as_caller(login));
        let kept = View { upstream: Arc::clone(&view), used: now };
        caller_clients.insert(key, kept);
        view
    }

    fn caller_clients(&self) -> MutexGuard<'_, HashMap<Key, View>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller_login::Fingerprints;

    fn upstream() -> Arc<Upstream> {
        Arc::new(Upstream::new(&"http://a".parse().unwrap()).unwrap())
    }

    #[test]
    fn a_login_finds_its_own_view_and_no_other() {
        let (caller_clients, prints) = (CallerClients::default(), Fingerprints::new());
        let (one, two) = (upstream(), upstream());
        let alice = caller_clients.view(&one, &prints.login("alice", "a"));
        assert!(Arc::ptr_eq(&alice, &caller_clients.view(&one, &prints.login("alice", "a"))));
        assert!(!Arc::ptr_eq(&alice, &caller_clients.view(&one, &prints.login("alice", "b"))));
        assert!(!Arc::ptr_eq(&alice, &caller_clients.view(&two, &prints.login("alice", "a"))));
        assert_eq!((alice.identity(), one.caller_fingerprint()), (one.identity(), None));
        assert_ne!(one.identity(), two.identity());
        assert_eq!(alice.caller_fingerprint(), Some(prints.login("alice", "a").fingerprint()));
    }

    #[tokio::test(start_paused = true)]
    async fn past_the_bound_whoever_was_not_seen_for_longest_goes() {
        let (caller_clients, prints, upstream) =
            (CallerClients::default(), Fingerprints::new(), upstream());
        let (alice, bob) = (prints.login("alice", "a"), prints.login("bob", "b"));
        let [first, second] = [&alice, &bob].map(|login| caller_clients.view(&upstream, login));
        for number in 2..CALLERS_MAX {
            caller_clients.view(&upstream, &prints.login("carol", &number.to_string()));
        }
        tokio::time::advance(CALLER_IDLE_MAX / 2).await;
        assert!(Arc::ptr_eq(&first, &caller_clients.view(&upstream, &alice)));
        for number in 0..CALLERS_MAX - 1 {
            caller_clients.view(&upstream, &prints.login("dave", &number.to_string()));
        }
        assert_eq!(caller_clients.caller_clients().len(), CALLERS_MAX);
        assert!(Arc::ptr_eq(&first, &caller_clients.view(&upstream, &alice)));
        assert!(!Arc::ptr_eq(&second, &caller_clients.view(&upstream, &bob)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_not_seen_for_long_is_forgotten() {
        let (caller_clients, prints, upstream) =
            (CallerClients::default(), Fingerprints::new(), upstream());
        let alice = caller_clients.view(&upstream, &prints.login("alice", "a"));
        tokio::time::advance(CALLER_IDLE_MAX / 2).await;
        caller_clients.view(&upstream, &prints.login("bob", "b"));
        tokio::time::advance(CALLER_IDLE_MAX / 2).await;
        caller_clients.view(&upstream, &prints.login("carol", "c"));
        assert_eq!(caller_clients.caller_clients().len(), 2);
        assert!(!Arc::ptr_eq(&alice, &caller_clients.view(&upstream, &prints.login("alice", "a"))));
    }
}
