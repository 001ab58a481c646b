//! Clients of registries with callers' own logins, kept between requests because they hold tokens.
//!
//! Invariant: a client is found only by exactly the login that it was made with. Bounded in number
//! and, because it holds a password, in time. A login that the registry does not know has no client
//! (`access/unproven_logins.rs`).

use std::sync::Arc;

use tokio::time::Instant;
use wharf_client::caller_login::{CallerLogin, Fingerprint};
use wharf_client::runtime::mutex::Mutex;
use wharf_client::runtime::ttl_map::TtlMap;

use crate::limits::{CALLER_IDLE_MAX, CALLERS_MAX};
use crate::upstream::Upstream;

/// An upstream's identity, and the fingerprint of the caller's login.
type Key = (usize, Fingerprint);

/// All clients of callers.
pub(super) struct CallerClients(Mutex<TtlMap<Key, Arc<Upstream>>>);

impl Default for CallerClients {
    fn default() -> Self {
        Self(Mutex::new(TtlMap::new(CALLERS_MAX)))
    }
}

impl CallerClients {
    /// The client of a caller, made when there is none. When there are too many, the one that was idle
    /// for longest goes.
    pub(super) fn client(&self, upstream: &Arc<Upstream>, login: &CallerLogin) -> Arc<Upstream> {
        let key = (upstream.identity(), login.fingerprint());
        let (mut clients, expiry) = (self.0.lock(), Instant::now() + CALLER_IDLE_MAX);
        if let Some(client) = clients.renew(&key, expiry) {
            return Arc::clone(client);
        }
        clients.sweep();
        let client = Arc::new(upstream.as_caller(login));
        clients.insert_evicting(key, Arc::clone(&client), expiry);
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_client::caller_login::Fingerprints;

    fn upstream() -> Arc<Upstream> {
        Arc::new(Upstream::new(&"http://a".parse().unwrap()).unwrap())
    }

    #[test]
    fn a_login_finds_its_own_view_and_no_other() {
        let (caller_clients, prints) = (CallerClients::default(), Fingerprints::random());
        let (one, two) = (upstream(), upstream());
        let alice = caller_clients.client(&one, &prints.login("alice", "a"));
        assert!(Arc::ptr_eq(&alice, &caller_clients.client(&one, &prints.login("alice", "a"))));
        assert!(!Arc::ptr_eq(&alice, &caller_clients.client(&one, &prints.login("alice", "b"))));
        assert!(!Arc::ptr_eq(&alice, &caller_clients.client(&two, &prints.login("alice", "a"))));
        assert_eq!((alice.identity(), one.caller_fingerprint()), (one.identity(), None));
        assert_ne!(one.identity(), two.identity());
        assert_eq!(alice.caller_fingerprint(), Some(prints.login("alice", "a").fingerprint()));
    }

    #[tokio::test(start_paused = true)]
    async fn past_the_bound_whoever_was_not_seen_for_longest_goes() {
        let (caller_clients, prints, upstream) =
            (CallerClients::default(), Fingerprints::random(), upstream());
        let (alice, bob) = (prints.login("alice", "a"), prints.login("bob", "b"));
        let [first, second] = [&alice, &bob].map(|login| caller_clients.client(&upstream, login));
        for number in 2..CALLERS_MAX {
            caller_clients.client(&upstream, &prints.login("carol", &number.to_string()));
        }
        tokio::time::advance(CALLER_IDLE_MAX / 2).await;
        assert!(Arc::ptr_eq(&first, &caller_clients.client(&upstream, &alice)));
        for number in 0..CALLERS_MAX - 1 {
            caller_clients.client(&upstream, &prints.login("dave", &number.to_string()));
        }
        assert_eq!(caller_clients.0.lock().len(), CALLERS_MAX);
        assert!(Arc::ptr_eq(&first, &caller_clients.client(&upstream, &alice)));
        assert!(!Arc::ptr_eq(&second, &caller_clients.client(&upstream, &bob)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_not_seen_for_long_is_forgotten() {
        let (caller_clients, prints, upstream) =
            (CallerClients::default(), Fingerprints::random(), upstream());
        let alice = caller_clients.client(&upstream, &prints.login("alice", "a"));
        tokio::time::advance(CALLER_IDLE_MAX / 2).await;
        caller_clients.client(&upstream, &prints.login("bob", "b"));
        tokio::time::advance(CALLER_IDLE_MAX / 2).await;
        caller_clients.client(&upstream, &prints.login("carol", "c"));
        assert_eq!(caller_clients.0.lock().len(), 2);
        assert!(!Arc::ptr_eq(
            &alice,
            &caller_clients.client(&upstream, &prints.login("alice", "a"))
        ));
    }
}
