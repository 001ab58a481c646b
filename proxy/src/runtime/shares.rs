//! Counts of a resource by party: how many uploads each party has open.
//!
//! Invariant: each count has a live [`Share`]; a party without shares has no entry.

use std::collections::HashMap;
use std::sync::Arc;

use wharf_client::runtime::mutex::Mutex;
use wharf_client::runtime::party::Party;

/// All shares of one resource.
#[derive(Default, Clone)]
pub(crate) struct Shares(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    counts: HashMap<Party, usize>,
    /// The sum of all, kept for each request's check.
    total: usize,
}

/// How much of a resource is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SharesUsage {
    /// By all parties.
    pub(crate) total: usize,
    /// The most of one party, besides this program.
    pub(crate) largest: usize,
}

/// One share of a party; returned when dropped.
pub(crate) struct Share {
    shares: Shares,
    owner: Party,
}

impl Shares {
    /// One more share; `None` when the owner has `most`.
    pub(crate) fn take(&self, owner: Party, most: usize) -> Option<Share> {
        self.take_within(owner, most, usize::MAX)
    }

    /// Like [`Self::take`], and `None` when all parties have `most_of_all` together.
    pub(crate) fn take_within(
        &self,
        owner: Party,
        most: usize,
        most_of_all: usize,
    ) -> Option<Share> {
        let mut table = self.0.lock();
        let has = table.counts.get(&owner).copied().unwrap_or(0);
        if has >= most || table.total >= most_of_all {
            return None;
        }
        table.add(&owner);
        drop(table);
        Some(Share { shares: self.clone(), owner })
    }

    /// One more share without a bound: the caller has checked, or the resource exists already.
    pub(crate) fn join(&self, owner: Party) -> Share {
        self.0.lock().add(&owner);
        Share { shares: self.clone(), owner }
    }

    /// The shares of one party.
    pub(crate) fn of(&self, owner: &Party) -> usize {
        self.0.lock().counts.get(owner).copied().unwrap_or(0)
    }

    /// The shares of all parties.
    pub(crate) fn total(&self) -> usize {
        self.0.lock().total
    }

    /// The shares of all parties, and the most of one.
    pub(crate) fn usage(&self) -> SharesUsage {
        SharesUsage { total: self.total(), largest: self.largest() }
    }

    /// The most shares of one party, besides this program.
    pub(crate) fn largest(&self) -> usize {
        let table = self.0.lock();
        let others = table.counts.iter().filter(|(owner, _)| **owner != Party::Ourselves);
        others.map(|(_, count)| *count).max().unwrap_or(0)
    }
}

impl Table {
    fn add(&mut self, owner: &Party) {
        self.total += 1;
        if let Some(count) = self.counts.get_mut(owner) {
            *count += 1;
        } else {
            self.counts.insert(owner.clone(), 1);
        }
    }
}

impl Share {
    /// The party of the share.
    pub(crate) const fn owner(&self) -> &Party {
        &self.owner
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut table = self.shares.0.lock();
        table.total -= 1;
        if let Some(count) = table.counts.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                table.counts.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_so_many_and_gets_back_what_is_over() {
        let shares = Shares::default();
        let (alice, bob) = (Party::Caller("alice".into()), Party::Caller("bob".into()));
        let first = shares.take(alice.clone(), 1).unwrap();
        assert!(shares.take(alice.clone(), 1).is_none());
        let _other = shares.take(bob, 1).unwrap();
        assert_eq!((shares.largest(), shares.total(), shares.of(&alice)), (1, 2, 1));
        let ours: Vec<_> = (0..3).map(|_| shares.join(Party::Ourselves)).collect();
        assert_eq!((ours[0].owner(), shares.largest()), (&Party::Ourselves, 1));
        drop(ours);
        drop(first);
        assert!(!shares.0.lock().counts.contains_key(&alice));
        assert!(shares.take(alice, 1).is_some());
    }
}
