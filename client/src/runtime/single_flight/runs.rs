//! The running work of a single flight: its parties, and which work ends when another one needs the
//! place.
//!
//! Invariant: work told to end takes no place any more, but keeps its key until it is over: a
//! caller that begins it anew finds all of the state left behind.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::sync::watch;

use super::{Answer, OnBehalfOf};
use crate::limits::{SHARES, UNWANTED_GRACE};
use crate::runtime::party::Party;
use crate::runtime::subscribers::Subscribers;

/// All work of one kind.
pub(super) struct Runs<K, V, E> {
    by_key: HashMap<K, Run<V, E>>,
    /// Places taken, by party; a party without one has no entry.
    places: HashMap<Party, usize>,
    ended: u64,
}

/// Running work.
pub(super) struct Run<V, E> {
    pub(super) answer: watch::Receiver<Answer<V, E>>,
    pub(super) on_behalf_of: OnBehalfOf,
    /// The party that began it.
    pub(super) party: Party,
    /// The callers that want its result.
    pub(super) subscribers: Subscribers,
    /// Tells it to end.
    pub(super) end: watch::Sender<bool>,
}

/// The number of places, and each party's share.
#[derive(Clone, Copy)]
pub(super) struct FlightBounds {
    pub(super) all: usize,
    pub(super) each: usize,
    /// Places kept for parties with a known name or address.
    pub(super) kept_for_known: usize,
}

impl<V, E> Run<V, E> {
    pub(super) fn is_ending(&self) -> bool {
        *self.end.borrow()
    }

    /// The time without subscribers, when it is long enough to end the work.
    fn unwanted_for(&self) -> Option<Duration> {
        let unwanted = self.subscribers.empty_for().filter(|time| *time >= UNWANTED_GRACE);
        unwanted.filter(|_| !self.is_ending())
    }
}

impl<K: Clone + Eq + Hash, V, E> Runs<K, V, E> {
    pub(super) fn new() -> Self {
        Self { by_key: HashMap::new(), places: HashMap::new(), ended: 0 }
    }

    pub(super) fn get(&self, key: &K) -> Option<&Run<V, E>> {
        self.by_key.get(key)
    }

    /// How many pieces of work take a place.
    pub(super) fn count(&self) -> usize {
        self.places.values().sum()
    }

    /// The most places of one party.
    pub(super) fn largest(&self) -> usize {
        self.places.values().copied().max().unwrap_or(0)
    }

    /// How many pieces of work were told to end.
    pub(super) const fn ended(&self) -> u64 {
        self.ended
    }

    /// Makes room for one more of this party's, if need be by ending work without subscribers: the
    /// party's own when it has its share, else of the party with the most. `false` when there is no
    /// room.
    pub(super) fn make_room(&mut self, party: &Party, bounds: FlightBounds) -> bool {
        let (has, count) = (self.of(party), self.count());
        // This program's own work is bounded at its source.
        let is_ours = *party == Party::Ourselves;
        // Beside others, no party has more places than are still free, so that a newcomer finds a
        // place, however many came before it. A larger share set by an operator counts as it is.
        let is_shared_out = bounds.each <= (bounds.all / SHARES).max(1);
        let is_beside = is_shared_out && has > 0 && count > has;
        let is_crowded = is_beside && has >= bounds.all.saturating_sub(count);
        if !is_ours && (has >= bounds.each || is_crowded) {
            return self.end_one(|run| &run.party == party);
        }
        if bounds.kept_for_known > 0 && party.is_stranger() {
            let of_strangers = self.places.iter().filter(|(who, _)| who.is_stranger());
            let taken: usize = of_strangers.map(|(_, count)| count).sum();
            if taken >= bounds.all.saturating_sub(bounds.kept_for_known) {
                return self.end_one(|run| run.party.is_stranger());
            }
        }
        count < bounds.all || self.end_one(|_| true)
    }

    pub(super) fn insert(&mut self, key: K, run: Run<V, E>) {
        *self.places.entry(run.party.clone()).or_default() += 1;
        self.by_key.insert(key, run);
    }

    /// Removes work when `is_it` is true of it.
    pub(super) fn remove(&mut self, key: &K, is_it: impl FnOnce(&Run<V, E>) -> bool) {
        if !self.by_key.get(key).is_some_and(is_it) {
            return;
        }
        if let Some(run) = self.by_key.remove(key)
            && !run.is_ending()
        {
            self.give_back(&run.party);
        }
    }

    fn of(&self, party: &Party) -> usize {
        self.places.get(party).copied().unwrap_or(0)
    }

    fn give_back(&mut self, party: &Party) {
        if let Some(count) = self.places.get_mut(party) {
            *count -= 1;
            if *count == 0 {
                self.places.remove(party);
            }
        }
    }

    /// Ends the work longest without subscribers among these, of the party with the most.
    fn end_one(&mut self, may_end: impl Fn(&Run<V, E>) -> bool) -> bool {
        let unwanted = self.by_key.iter().filter(|(_, run)| may_end(run));
        let unwanted = unwanted.filter_map(|(key, run)| {
            let time = run.unwanted_for()?;
            Some(((self.of(&run.party), time), key))
        });
        let Some(key) = unwanted.max_by_key(|(rank, _)| *rank).map(|(_, key)| key.clone()) else {
            return false;
        };
        let Some(run) = self.by_key.get(&key) else { return false };
        run.end.send_replace(true);
        let party = run.party.clone();
        self.give_back(&party);
        self.ended += 1;
        true
    }
}
