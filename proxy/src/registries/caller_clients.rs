//! Registries as callers with logins of their own use them, kept from one request to the next because
//! tokens are in them.
//!
//! Invariant: a view is found by exactly the login that it was made with. Bounded in number and, because
//! passwords are in them too, in time. Whom the registry does not know has none (`access/unproven_logins.rs`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::client::{CallerLogin, Fingerprint, Upstream};
use crate::limits::{CALLER_IDLE_MAX, CALLERS_MAX};

/// An upstream's identity, and who uses it.
type Key = (usize, Fingerprint);

/// All views.
#[derive(Default)]
pub(super) struct CallerClients(Mutex<HashMap<Key, View>>);

struct View {
    upstream: Arc<Upstream>,
    used: Instant,
}

impl CallerClients {
    /// The view of a caller, made when there is none.
    pub(super) fn view(&self, upstream: &Arc<Upstream>, login: &CallerLogin) -> Arc<Upstream> {
        let key = (upstream.identity(), login.fingerprint());
        let (mut views, now) = (self.views(), Instant::now());
        if let Some(view) = views.get_mut(&key) {
            view.used = now;
            return Arc::clone(&view.upstream);
        }
        views.retain(|_, view| now.duration_since(view.used) < CALLER_IDLE_MAX);
        if views.len() >= CALLERS_MAX {
            let oldest = views.iter().min_by_key(|(_, view)| view.used);
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                views.remove(&oldest);
            }
        }
        let view = Arc::new(upstream.as_caller(login));
        let kept = View { upstream: Arc::clone(&view), used: now };
        views.insert(key, kept);
        view
    }

    fn views(&self) -> MutexGuard<'_, HashMap<Key, View>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Fingerprints;

    fn upstream() -> Arc<Upstream> {
        Arc::new(Upstream::new(&"http://a".parse().unwrap()).unwrap())
    }

    #[test]
    fn a_login_finds_its_own_view_and_no_other() {
        let (views, prints) = (CallerClients::default(), Fingerprints::new());
        let (one, two) = (upstream(), upstream());
        let alice = views.view(&one, &prints.login("alice", "a"));
        assert!(Arc::ptr_eq(&alice, &views.view(&one, &prints.login("alice", "a"))));
        assert!(!Arc::ptr_eq(&alice, &views.view(&one, &prints.login("alice", "b"))));
        assert!(!Arc::ptr_eq(&alice, &views.view(&two, &prints.login("alice", "a"))));
        assert_eq!((alice.identity(), one.whose()), (one.identity(), None));
        assert_ne!(one.identity(), two.identity());
        assert_eq!(alice.whose(), Some(prints.login("alice", "a").fingerprint()));
    }

    #[tokio::test(start_paused = true)]
    async fn past_the_bound_whoever_was_not_seen_for_longest_goes() {
        let (views, prints, upstream) = (CallerClients::default(), Fingerprints::new(), upstream());
        let (alice, bob) = (prints.login("alice", "a"), prints.login("bob", "b"));
        let [first, second] = [&alice, &bob].map(|login| views.view(&upstream, login));
        for number in 2..CALLERS_MAX {
            views.view(&upstream, &prints.login("carol", &number.to_string()));
        }
        tokio::time::advance(CALLER_IDLE_MAX / 2).await;
        assert!(Arc::ptr_eq(&first, &views.view(&upstream, &alice)));
        for number in 0..CALLERS_MAX - 1 {
            views.view(&upstream, &prints.login("dave", &number.to_string()));
        }
        assert_eq!(views.views().len(), CALLERS_MAX);
        assert!(Arc::ptr_eq(&first, &views.view(&upstream, &alice)));
        assert!(!Arc::ptr_eq(&second, &views.view(&upstream, &bob)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_not_seen_for_long_is_forgotten() {
        let (views, prints, upstream) = (CallerClients::default(), Fingerprints::new(), upstream());
        let alice = views.view(&upstream, &prints.login("alice", "a"));
        tokio::time::advance(CALLER_IDLE_MAX / 2).await;
        views.view(&upstream, &prints.login("bob", "b"));
        tokio::time::advance(CALLER_IDLE_MAX / 2).await;
        views.view(&upstream, &prints.login("carol", "c"));
        assert_eq!(views.views().len(), 2);
        assert!(!Arc::ptr_eq(&alice, &views.view(&upstream, &prints.login("alice", "a"))));
    }
}
