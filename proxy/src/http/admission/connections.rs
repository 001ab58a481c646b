//! Open connections, by their address. When all permits are taken, the longest idle connection of
//! the party with the most makes room for a party with fewer.
//!
//! Invariant: the count is that of live connections: a dropped permit is free. The tables have an
//! entry for each party with a connection, so they are never longer than the number of connections.
//! No connection with a request in progress is displaced.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;
use wharf_client::runtime::party::Party;

use super::Limit;
use crate::limits::{PARTY_REFUSALS_MAX, REFUSALS_MAX};
use crate::runtime::shares::{Share, Shares};

/// The holder of a permit, as far as displacement needs it.
pub(crate) trait Occupant: Send + Sync {
    /// Since when the connection has no request; `None` while a request is answered.
    fn idle_since(&self) -> Option<Instant>;
    /// Another connection has its permit: it is to end.
    fn leave(&self);
}

/// All connections of one kind.
#[derive(Default, Clone)]
pub(crate) struct Connections(Arc<Inner>);

#[derive(Default)]
struct Inner {
    table: Mutex<Table>,
    /// Connections that only receive a refusal.
    refused: Shares,
    left: Notify,
}

#[derive(Default)]
struct Table {
    taken: HashMap<u64, Taken>,
    /// The number of the next permit.
    next: u64,
    by_party: HashMap<Party, usize>,
    /// Connections asked to leave that are not gone yet.
    leaving: usize,
}

struct Taken {
    /// `None` for a peer that forwards for many clients.
    party: Option<Party>,
    occupant: Arc<dyn Occupant>,
}

/// The permit of one connection; the connection is over when this is dropped.
pub(crate) struct ConnectionPermit {
    connections: Connections,
    kind: Kind,
}

enum Kind {
    Taken(u64),
    Refused { _share: Share },
    Over,
}

/// The most connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionBounds {
    /// Of all parties.
    pub(crate) most: usize,
    /// Of each party; `None` is no bound.
    pub(crate) share: Option<usize>,
}

impl Connections {
    /// One more connection, within the bounds. When all are taken, an idle connection of a party with
    /// more makes room.
    pub(crate) fn enter(
        &self,
        party: Party,
        ConnectionBounds { most, share }: ConnectionBounds,
        occupant: Arc<dyn Occupant>,
    ) -> Result<ConnectionPermit, Limit> {
        let mut table = self.lock();
        let party = share.map(|_| party);
        let has = party.as_ref().map_or(0, |party| table.of(party));
        if share.is_some_and(|most| has >= most) {
            return Err(Limit::AddressConnections);
        }
        if table.taken.len() >= most && !table.make_room(has, most) {
            return Err(Limit::Connections);
        }
        let number = table.sit(Taken { party, occupant });
        Ok(ConnectionPermit { connections: self.clone(), kind: Kind::Taken(number) })
    }

    /// A permit to refuse a client; `None` when too many clients are being refused already.
    pub(crate) fn refuse(&self, party: Party) -> Option<ConnectionPermit> {
        // The lock makes the check and the increment one step.
        let _table = self.lock();
        if self.0.refused.total() >= REFUSALS_MAX {
            return None;
        }
        let share = self.0.refused.take(party, PARTY_REFUSALS_MAX)?;
        Some(ConnectionPermit { connections: self.clone(), kind: Kind::Refused { _share: share } })
    }

    /// The number of connections, and the most of one party.
    pub(crate) fn state(&self) -> (usize, usize) {
        let table = self.lock();
        (table.taken.len(), table.by_party.values().copied().max().unwrap_or(0))
    }

    /// Resolves when all are over.
    pub(crate) async fn all_gone(&self) {
        loop {
            let left = self.0.left.notified();
            {
                let table = self.lock();
                let open = table.taken.len() + table.leaving + self.0.refused.total();
                if open == 0 {
                    return;
                }
            }
            left.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn of(&self, party: &Party) -> usize {
        self.by_party.get(party).copied().unwrap_or(0)
    }

    fn sit(&mut self, taken: Taken) -> u64 {
        if let Some(party) = &taken.party {
            *self.by_party.entry(party.clone()).or_default() += 1;
        }
        self.next += 1;
        self.taken.insert(self.next, taken);
        self.next
    }

    fn rise(&mut self, number: u64) -> Option<Taken> {
        let taken = self.taken.remove(&number)?;
        if let Some(party) = &taken.party
            && let Some(count) = self.by_party.get_mut(party)
        {
            *count -= 1;
            if *count == 0 {
                self.by_party.remove(party);
            }
        }
        Some(taken)
    }

    /// Asks the longest idle connection of the party with the most to leave, for a party with
    /// `has`. Peers that forward for many clients come last. Of `most`, a quarter may be on their
    /// way out.
    fn make_room(&mut self, has: usize, most: usize) -> bool {
        if self.leaving >= most.div_ceil(4) {
            return false;
        }
        let mut found: Option<((usize, Reverse<Instant>), u64)> = None;
        for (number, taken) in &self.taken {
            let count = taken.party.as_ref().map_or(0, |party| self.of(party));
            let is_more = taken.party.is_none() || count > has;
            if !is_more || found.as_ref().is_some_and(|((best, _), _)| count < *best) {
                continue;
            }
            let Some(since) = taken.occupant.idle_since() else { continue };
            let rank = (count, Reverse(since));
            if found.as_ref().is_none_or(|(best, _)| rank > *best) {
                found = Some((rank, *number));
            }
        }
        let Some(taken) = found.and_then(|(_, number)| self.rise(number)) else { return false };
        self.leaving += 1;
        taken.occupant.leave();
        true
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.kind, Kind::Over) {
            Kind::Taken(number) => {
                let mut table = self.connections.lock();
                if table.rise(number).is_none() {
                    table.leaving -= 1;
                }
            }
            Kind::Refused { .. } | Kind::Over => {}
        }
        self.connections.0.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    /// Idle since a time, or busy; and whether it was asked to leave.
    struct Sitting(Option<Instant>, AtomicBool);

    const fn bounds(most: usize, share: Option<usize>) -> ConnectionBounds {
        ConnectionBounds { most, share }
    }

    impl Occupant for Sitting {
        fn idle_since(&self) -> Option<Instant> {
            self.0
        }

        fn leave(&self) {
            self.1.store(true, Ordering::SeqCst);
        }
    }

    impl Sitting {
        fn has_left(&self) -> bool {
            self.1.load(Ordering::SeqCst)
        }
    }

    fn busy() -> Arc<Sitting> {
        Arc::new(Sitting(None, AtomicBool::new(false)))
    }

    /// Idle since this many seconds after `begin`.
    fn idle(begin: Instant, seconds: u64) -> Arc<Sitting> {
        Arc::new(Sitting(Some(begin + Duration::from_secs(seconds)), AtomicBool::new(false)))
    }

    fn address(last: u8) -> Party {
        Party::behind([127, 0, 0, last].into())
    }

    #[test]
    fn past_a_bound_nobody_is_let_in_until_somebody_leaves() {
        let connections = Connections::default();
        let enter = |last, bounds| connections.enter(address(last), bounds, busy());
        let first = enter(1, bounds(3, Some(2))).unwrap();
        let _second = enter(1, bounds(3, Some(2))).unwrap();
        assert_eq!(enter(1, bounds(3, Some(2))).err(), Some(Limit::AddressConnections));
        let _other = enter(2, bounds(3, Some(2))).unwrap();
        assert_eq!(enter(3, bounds(3, Some(2))).err(), Some(Limit::Connections));
        assert_eq!(connections.state(), (3, 2));
        drop(first);
        assert!(enter(1, bounds(3, Some(2))).is_ok());
    }

    #[test]
    fn two_who_take_all_they_can_leave_room_for_a_third_busy_or_idle() {
        for occupant in [busy(), idle(Instant::now(), 0)] {
            let connections = Connections::default();
            let bounds = bounds(2_048, Some(512));
            let mut subscribers = Vec::new();
            for last in [2, 3] {
                while let Ok(subscription) =
                    connections.enter(address(last), bounds, occupant.clone())
                {
                    subscribers.push(subscription);
                }
            }
            assert_eq!((subscribers.len(), connections.state()), (1_024, (1_024, 512)));
            assert!(connections.enter(address(4), bounds, busy()).is_ok());
        }
    }

    #[test]
    fn the_longest_idle_of_whoever_has_most_makes_room_for_who_has_fewer() {
        let (connections, now) = (Connections::default(), Instant::now());
        let enter = |last, occupant: &Arc<Sitting>| {
            connections.enter(address(last), bounds(6, Some(6)), occupant.clone())
        };
        let most = [busy(), idle(now, 20), idle(now, 10)];
        let fewer = [idle(now, 0), idle(now, 1)];
        let one = idle(now, 0);
        let mut subscribers: Vec<_> = most.iter().map(|it| enter(2, it).unwrap()).collect();
        subscribers.extend(fewer.iter().map(|it| enter(3, it).unwrap()));
        subscribers.push(enter(4, &one).unwrap());
        assert_eq!(enter(2, &busy()).err(), Some(Limit::Connections), "who has most waits");
        subscribers.push(enter(5, &busy()).unwrap());
        assert!(most[2].has_left() && !most[1].has_left() && !one.has_left());
        // Now two have two: the longest idle of both.
        subscribers.push(enter(6, &busy()).unwrap());
        assert!(fewer[0].has_left() && !fewer[1].has_left() && !most[1].has_left());
        assert_eq!(connections.state(), (6, 2));
        drop(subscribers);
        assert_eq!(connections.state(), (0, 0));
        let table = connections.lock();
        assert!(table.by_party.is_empty() && table.taken.is_empty() && table.leaving == 0);
    }

    #[test]
    fn who_is_busy_stays_and_so_many_only_are_on_their_way_out() {
        let (connections, now) = (Connections::default(), Instant::now());
        let enter = |last, occupant: Arc<Sitting>| {
            connections.enter(address(last), bounds(8, Some(8)), occupant)
        };
        let mut subscribers: Vec<_> = (0..8).map(|_| enter(2, idle(now, 0)).unwrap()).collect();
        for last in [3, 4] {
            subscribers.push(enter(last, busy()).unwrap());
        }
        assert_eq!(enter(5, busy()).err(), Some(Limit::Connections), "two of eight are leaving");
        subscribers.truncate(0);
        let _busy: Vec<_> = (0..8).map(|_| enter(2, busy()).unwrap()).collect();
        assert_eq!(enter(5, busy()).err(), Some(Limit::Connections));
    }

    #[test]
    fn who_speaks_for_many_is_bound_by_the_whole_and_leaves_last() {
        let (connections, now) = (Connections::default(), Instant::now());
        let trusted = idle(now, 0);
        let mut subscribers: Vec<_> = (0..5)
            .map(|_| connections.enter(address(1), bounds(5, None), busy()).unwrap())
            .collect();
        assert_eq!(
            connections.enter(address(1), bounds(5, None), busy()).err(),
            Some(Limit::Connections)
        );
        subscribers.truncate(3);
        subscribers.push(connections.enter(address(1), bounds(5, None), trusted.clone()).unwrap());
        let other = idle(now, 5);
        subscribers.push(connections.enter(address(2), bounds(5, Some(2)), other.clone()).unwrap());
        subscribers.push(connections.enter(address(3), bounds(5, Some(2)), busy()).unwrap());
        assert!(other.has_left() && !trusted.has_left());
        subscribers.push(connections.enter(address(4), bounds(5, Some(2)), busy()).unwrap());
        assert!(trusted.has_left());
        drop(subscribers);
        assert_eq!(connections.state(), (0, 0));
    }

    #[test]
    fn two_who_are_told_that_there_is_no_room_leave_some_of_that_for_a_third() {
        let connections = Connections::default();
        let mut told = Vec::new();
        for last in [2, 3] {
            while let Some(subscription) = connections.refuse(address(last)) {
                told.push(subscription);
            }
        }
        assert_eq!(told.len(), 2 * PARTY_REFUSALS_MAX);
        assert!(connections.refuse(address(4)).is_some());
    }

    #[tokio::test]
    async fn the_end_comes_when_the_last_has_left() {
        let connections = Connections::default();
        let subscription =
            connections.enter(address(1), bounds(1, Some(5)), idle(Instant::now(), 0)).unwrap();
        let pushed_out = connections.enter(address(2), bounds(1, Some(5)), busy());
        assert_eq!(pushed_out.err(), None);
        let seat_of_two = connections.enter(address(1), bounds(5, Some(5)), busy()).unwrap();
        let refused = connections.refuse(address(1)).unwrap();
        let mut gone = std::pin::pin!(connections.all_gone());
        tokio::select! {
            biased;
            () = &mut gone => panic!("three are there"),
            () = std::future::ready(()) => {}
        }
        drop(seat_of_two);
        drop(refused);
        tokio::select! {
            biased;
            () = &mut gone => panic!("one is on its way out"),
            () = std::future::ready(()) => {}
        }
        drop(subscription);
        gone.await;
    }
}
