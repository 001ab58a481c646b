//! Generations tell answers of upstreams from before a change of the repository here.
//!
//! Invariant: the result of a fetch from before a removal or a push of its repository is not kept
//! after it: no deleted content comes back, and no tag goes back to an old digest. Every change of
//! a repository in the store runs inside [`Generations::keep`] or [`Generations::change`]. Bounded:
//! repositories share counters, which costs a fetch without a kept result, never a wrong one.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::{PoisonError, RwLock};

use wharf_oci::RepoName;

use crate::limits::GENERATIONS;

/// Counters of the changes of repositories.
pub(super) struct Generations {
    counters: Box<[RwLock<Generation>]>,
    hasher: RandomState,
}

/// A moment in the life of a repository. Taken before the fetch begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Generation {
    /// Raised by every removal.
    removed: u64,
    /// Raised by every push of a tag.
    tagged: u64,
}

impl Generation {
    /// Whether a removal came between the two.
    pub(super) const fn is_past_a_removal_since(&self, before: &Self) -> bool {
        self.removed != before.removed
    }
}

/// A client's change of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Adds content that no fetch contradicts: a manifest by digest.
    Addition,
    /// Tags are put.
    Tagging,
    /// Removes content.
    Removal,
}

/// How much of an answer may still be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Validity {
    /// All of it.
    All,
    /// Content by digest, but not the digest of a tag.
    Content,
    /// Nothing.
    Nothing,
}

impl Default for Generations {
    fn default() -> Self {
        let counters = (0..GENERATIONS).map(|_| RwLock::default()).collect();
        Self { counters, hasher: RandomState::new() }
    }
}

impl Generations {
    /// The current generation.
    pub(super) fn now(&self, repo: &RepoName) -> Generation {
        *self.counter(repo).read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an answer from a fetch that began in generation `since`. Only one call at a time keeps
    /// the digest of a tag.
    pub(super) fn keep<T>(
        &self,
        repo: &RepoName,
        since: &Generation,
        with_tag: bool,
        keep: impl FnOnce(Validity) -> T,
    ) -> T {
        let still = |now: &Generation| match now {
            now if now.removed != since.removed => Validity::Nothing,
            now if now.tagged != since.tagged => Validity::Content,
            _ => Validity::All,
        };
        if with_tag {
            let now = self.counter(repo).write().unwrap_or_else(PoisonError::into_inner);
            keep(still(&now))
        } else {
            let now = self.counter(repo).read().unwrap_or_else(PoisonError::into_inner);
            keep(still(&now))
        }
    }

    /// Makes a change. A failed change counts too: it may have gone any part of the way.
    pub(super) fn change<T>(&self, repo: &RepoName, change: Change, make: impl FnOnce() -> T) -> T {
        if change == Change::Addition {
            let _now = self.counter(repo).read().unwrap_or_else(PoisonError::into_inner);
            return make();
        }
        let mut now = self.counter(repo).write().unwrap_or_else(PoisonError::into_inner);
        match change {
            Change::Removal => now.removed += 1,
            Change::Tagging | Change::Addition => now.tagged += 1,
        }
        make()
    }

    fn counter(&self, repo: &RepoName) -> &RwLock<Generation> {
        let place = self.hasher.hash_one(repo) % self.counters.len() as u64;
        let counter = usize::try_from(place).ok().and_then(|place| self.counters.get(place));
        counter.expect("the remainder of a division by the number of counters")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_unless_something_was_changed_since_its_question() {
        let (generations, repo) = (Generations::default(), "a/b".parse().unwrap());
        let asked = generations.now(&repo);
        let still = || generations.keep(&repo, &asked, true, |still| still);
        assert_eq!(still(), Validity::All);
        generations.change(&repo, Change::Addition, || ());
        assert_eq!(still(), Validity::All);
        generations.change(&repo, Change::Tagging, || ());
        assert_eq!(still(), Validity::Content);
        assert!(!generations.now(&repo).is_past_a_removal_since(&asked));
        generations.change(&repo, Change::Removal, || ());
        assert_eq!(still(), Validity::Nothing);
        assert_eq!(generations.keep(&repo, &asked, false, |still| still), Validity::Nothing);
        assert!(generations.now(&repo).is_past_a_removal_since(&asked));
        let asked = generations.now(&repo);
        assert_eq!(generations.keep(&repo, &asked, true, |still| still), Validity::All);
    }

    #[test]
    fn a_removal_waits_until_what_is_being_kept_is_kept() {
        let (generations, repo) = (Generations::default(), "a/b".parse().unwrap());
        let asked = generations.now(&repo);
        let order = std::sync::Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            let (begun, begins) = std::sync::mpsc::channel();
            let (generations, repo, order) = (&generations, &repo, &order);
            scope.spawn(move || {
                generations.keep(repo, &asked, false, |still| {
                    begun.send(()).unwrap();
                    // The removal may try to come between; it cannot.
                    for _ in 0..1_000 {
                        std::thread::yield_now();
                    }
                    order.lock().unwrap().push(still);
                });
            });
            begins.recv().unwrap();
            generations
                .change(repo, Change::Removal, || order.lock().unwrap().push(Validity::Nothing));
        });
        assert_eq!(*order.lock().unwrap(), [Validity::All, Validity::Nothing]);
    }
}
