//! Recent answers of upstreams about the permissions of callers.
//!
//! Invariant: bounded in number and in time. An answer beyond the bound is not cached: it costs
//! another question and is never wrong. Unproven logins can cause any number of refusals, so
//! refusals take no room from granted permissions.

use std::time::Duration;

use tokio::time::Instant;
use wharf_client::caller_login::Fingerprint;
use wharf_client::runtime::mutex::Mutex;
use wharf_client::runtime::ttl_map::TtlMap;
use wharf_client::{ProbedRight, RequestedRight};

use crate::limits::{PERMIT_TIME, PERMITS_MAX, REFUSAL_TIME};

/// The key of an upstream question for a caller.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct PermissionKey {
    pub(super) caller_fingerprint: Fingerprint,
    /// The upstream's identity.
    pub(super) upstream: usize,
    pub(super) wish: RequestedRight,
}

/// Cached answers that have not expired.
pub(super) struct PermissionCache {
    granted: Mutex<Answers>,
    refused: Mutex<Answers>,
}

type Answers = TtlMap<PermissionKey, ProbedRight>;

impl Default for PermissionCache {
    fn default() -> Self {
        let [granted, refused] = [(); 2].map(|()| Mutex::new(TtlMap::new(PERMITS_MAX)));
        Self { granted, refused }
    }
}

impl PermissionCache {
    /// The cached answer to this question, until it expires.
    pub(super) fn get(&self, question: &PermissionKey) -> Option<ProbedRight> {
        let of = |answers: &Mutex<Answers>| answers.lock().get(question).copied();
        of(&self.granted).or_else(|| of(&self.refused))
    }

    /// Caches an answer, with the start of its question and its longest lifetime.
    pub(super) fn insert(
        &self,
        question: PermissionKey,
        permit: ProbedRight,
        began: Instant,
        life: Duration,
    ) {
        let (answers, others, longest) = match permit {
            ProbedRight::Granted => (&self.granted, &self.refused, PERMIT_TIME),
            ProbedRight::Denied | ProbedRight::Absent | ProbedRight::Stranger => {
                (&self.refused, &self.granted, REFUSAL_TIME)
            }
        };
        others.lock().remove(&question);
        answers.lock().insert(question, permit, began + life.min(longest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_client::ScopeAction;
    use wharf_client::caller_login::Fingerprints;

    fn question(
        prints: &Fingerprints,
        user: &str,
        repo: &str,
        access: ScopeAction,
    ) -> PermissionKey {
        let caller_fingerprint = prints.login(user, "secret").fingerprint();
        PermissionKey {
            caller_fingerprint,
            upstream: 1,
            wish: RequestedRight::Repo(repo.parse().unwrap(), access),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_for_one_login_one_repository_and_one_right() {
        let (prints, permits) = (Fingerprints::random(), PermissionCache::default());
        let asked = question(&prints, "alice", "a", ScopeAction::Pull);
        permits.insert(asked.clone(), ProbedRight::Granted, Instant::now(), PERMIT_TIME);
        assert_eq!(permits.get(&asked), Some(ProbedRight::Granted));
        for other in [
            question(&prints, "bob", "a", ScopeAction::Pull),
            question(&prints, "alice", "b", ScopeAction::Pull),
            question(&prints, "alice", "a", ScopeAction::Push),
            PermissionKey { upstream: 2, ..asked.clone() },
            PermissionKey { wish: RequestedRight::Login, ..asked.clone() },
        ] {
            assert_eq!(permits.get(&other), None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_counts_no_longer_than_it_may_and_the_last_one_counts() {
        let (prints, permits) = (Fingerprints::random(), PermissionCache::default());
        let asked = question(&prints, "alice", "a", ScopeAction::Pull);
        let hour = Duration::from_hours(1);
        for (permit, time) in
            [(ProbedRight::Granted, PERMIT_TIME), (ProbedRight::Stranger, REFUSAL_TIME)]
        {
            permits.insert(asked.clone(), permit, Instant::now(), hour);
            assert_eq!(permits.get(&asked), Some(permit));
            tokio::time::advance(time).await;
            assert_eq!(permits.get(&asked), None);
        }
        // A token that expires at once, and a question slower than its answer's lifetime.
        permits.insert(asked.clone(), ProbedRight::Granted, Instant::now(), Duration::ZERO);
        assert_eq!(permits.get(&asked), None);
        let began = Instant::now();
        tokio::time::advance(PERMIT_TIME).await;
        permits.insert(asked.clone(), ProbedRight::Granted, began, hour);
        assert_eq!(permits.get(&asked), None);
        permits.insert(asked.clone(), ProbedRight::Granted, Instant::now(), hour);
        permits.insert(asked.clone(), ProbedRight::Denied, Instant::now(), hour);
        assert_eq!(permits.get(&asked), Some(ProbedRight::Denied));
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_take_no_room_from_leaves() {
        let (prints, permits) = (Fingerprints::random(), PermissionCache::default());
        let asked = |number: usize| question(&prints, &number.to_string(), "a", ScopeAction::Pull);
        for number in 0..PERMITS_MAX + 5 {
            permits.insert(asked(number), ProbedRight::Stranger, Instant::now(), PERMIT_TIME);
        }
        assert_eq!(permits.refused.lock().len(), PERMITS_MAX);
        permits.insert(asked(0), ProbedRight::Granted, Instant::now(), PERMIT_TIME);
        assert_eq!(permits.get(&asked(0)), Some(ProbedRight::Granted));
    }
}
