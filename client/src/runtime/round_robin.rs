//! A queue in rounds between parties: thousands of keys of one party do not make the next party
//! wait for all of them.
//!
//! Invariant: a key is in the queue of one party, once; a party is in the round for as long as it
//! has a queue.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use crate::runtime::party::Party;

/// All waiting keys.
pub struct RoundRobin<K> {
    queues: HashMap<Party, VecDeque<K>>,
    /// The order of the parties; the first one is next.
    round: VecDeque<Party>,
    /// The party of each key.
    queued: HashMap<K, Party>,
}

impl<K> Default for RoundRobin<K> {
    fn default() -> Self {
        Self { queues: HashMap::new(), round: VecDeque::new(), queued: HashMap::new() }
    }
}

/// Whether a waiting key may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eligibility {
    /// The key may go.
    Free,
    /// The key stays, and another one goes first.
    Busy,
    /// The key waits no longer.
    Gone,
}

impl<K: Clone + Eq + Hash> RoundRobin<K> {
    /// Puts a key at the end of a party's queue, unless it waits already.
    pub fn push(&mut self, party: &Party, key: K) {
        if self.queued.contains_key(&key) {
            return;
        }
        self.queued.insert(key.clone(), party.clone());
        if let Some(queue) = self.queues.get_mut(party) {
            queue.push_back(key);
        } else {
            self.queues.insert(party.clone(), VecDeque::from([key]));
            self.round.push_back(party.clone());
        }
    }

    /// Takes a key out, wherever it is.
    pub fn remove(&mut self, key: &K) {
        let Some(party) = self.queued.remove(key) else { return };
        let Some(queue) = self.queues.get_mut(&party) else { return };
        queue.retain(|queued| queued != key);
        if queue.is_empty() {
            self.queues.remove(&party);
            self.round.retain(|other| *other != party);
        }
    }

    /// The next free key, of the next party in the round.
    pub fn pop(
        &mut self,
        may: impl Fn(&Party) -> bool,
        stand: impl Fn(&K) -> Eligibility,
    ) -> Option<(Party, K)> {
        for _ in 0..self.round.len() {
            let party = self.round.pop_front()?;
            let found = if may(&party) { self.pop_of(&party, &stand) } else { None };
            if self.queues.contains_key(&party) {
                self.round.push_back(party.clone());
            }
            if let Some(key) = found {
                return Some((party, key));
            }
        }
        None
    }

    fn pop_of(&mut self, party: &Party, stand: impl Fn(&K) -> Eligibility) -> Option<K> {
        let queue = self.queues.get_mut(party)?;
        let mut found = None;
        for _ in 0..queue.len() {
            let key = queue.pop_front()?;
            match stand(&key) {
                Eligibility::Busy => queue.push_back(key),
                Eligibility::Gone => drop(self.queued.remove(&key)),
                Eligibility::Free => {
                    self.queued.remove(&key);
                    found = Some(key);
                    break;
                }
            }
        }
        if queue.is_empty() {
            self.queues.remove(party);
        }
        found
    }

    /// The number of one party's waiting keys.
    pub fn of(&self, party: &Party) -> usize {
        self.queues.get(party).map_or(0, VecDeque::len)
    }

    /// The number of waiting keys.
    pub fn len(&self) -> usize {
        self.queued.len()
    }

    /// Whether no key waits.
    pub fn is_empty(&self) -> bool {
        self.queued.is_empty()
    }

    /// Each party with its queue.
    pub fn each(&self) -> impl Iterator<Item = (&Party, &VecDeque<K>)> {
        self.queues.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(last: u8) -> Party {
        Party::behind([127, 0, 0, last].into())
    }

    #[test]
    fn each_party_has_its_turn_and_in_it_what_came_first() {
        let mut rounds = RoundRobin::default();
        for seed in 0..100 {
            rounds.push(&party(2 + seed % 2), seed);
        }
        rounds.push(&party(4), 200);
        rounds.push(&party(2), 200);
        let mut order = Vec::new();
        while let Some((party, key)) = rounds.pop(|_| true, |_| Eligibility::Free) {
            order.push((party, key));
        }
        assert_eq!(order[..3], [(party(2), 0), (party(3), 1), (party(4), 200)]);
        assert_eq!(order[3], (party(2), 2));
        assert_eq!(order.len(), 101);
        assert!(rounds.is_empty() && rounds.queues.is_empty() && rounds.round.is_empty());
    }

    #[test]
    fn who_may_not_and_what_is_busy_is_passed_over_and_what_is_gone_goes() {
        let mut rounds = RoundRobin::default();
        for (of, seed) in [(2, 1), (2, 2), (3, 3), (4, 4)] {
            rounds.push(&party(of), seed);
        }
        let stand = |key: &u8| match key {
            1 => Eligibility::Busy,
            4 => Eligibility::Gone,
            _ => Eligibility::Free,
        };
        assert_eq!(rounds.pop(|of| *of != party(3), stand), Some((party(2), 2)));
        assert_eq!(rounds.pop(|of| *of != party(3), stand), None);
        assert_eq!(rounds.pop(|_| true, stand), Some((party(3), 3)));
        assert_eq!(rounds.each().count(), 1);
        rounds.remove(&1);
        rounds.remove(&1);
        assert!(rounds.is_empty() && rounds.round.is_empty());
    }
}
