//! Connections that are open, by where they come from.
//!
//! Invariant: what is counted is what lives: a seat that is dropped is free. The table has an entry for
//! each party that has a connection, so it is never longer than there are connections.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Limit;
use crate::limits::REFUSALS_MAX;
use crate::party::Party;

/// All connections of one kind.
#[derive(Default, Clone)]
pub(crate) struct Connections(Arc<Inner>);

#[derive(Default)]
struct Inner {
    table: Mutex<Table>,
    left: Notify,
}

#[derive(Default)]
struct Table {
    open: usize,
    /// Those that are only told that there is no room.
    refused: usize,
    by_party: HashMap<Party, usize>,
}

/// One connection; it is over when this is dropped.
pub(crate) struct Seat {
    connections: Connections,
    kind: Kind,
}

enum Kind {
    Counted(Party),
    /// Of somebody who speaks for many.
    Trusted,
    Refused,
}

impl Connections {
    /// One more, unless there are `most`, or its party has `most_each`; `None` for that is no bound.
    pub(crate) fn enter(
        &self,
        party: Party,
        most: usize,
        most_each: Option<usize>,
    ) -> Result<Seat, Limit> {
        let mut table = self.lock();
        if table.open >= most {
            return Err(Limit::Connections);
        }
        let kind = match most_each {
            None => Kind::Trusted,
            Some(most) => {
                let has = table.by_party.get(&party).copied().unwrap_or(0);
                if has >= most {
                    return Err(Limit::AddressConnections);
                }
                table.by_party.insert(party.clone(), has + 1);
                Kind::Counted(party)
            }
        };
        table.open += 1;
        Ok(Seat { connections: self.clone(), kind })
    }

    /// For telling somebody that there is no room; `None` when too many are told that already.
    pub(crate) fn refuse(&self) -> Option<Seat> {
        let mut table = self.lock();
        if table.refused >= REFUSALS_MAX {
            return None;
        }
        table.refused += 1;
        Some(Seat { connections: self.clone(), kind: Kind::Refused })
    }

    /// How many there are, and the most of one party.
    pub(crate) fn state(&self) -> (usize, usize) {
        let table = self.lock();
        (table.open, table.by_party.values().copied().max().unwrap_or(0))
    }

    /// Resolves when all are over.
    pub(crate) async fn all_gone(&self) {
        loop {
            let left = self.0.left.notified();
            {
                let table = self.lock();
                if table.open == 0 && table.refused == 0 {
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

impl Drop for Seat {
    fn drop(&mut self) {
        let mut table = self.connections.lock();
        match &self.kind {
            Kind::Refused => table.refused -= 1,
            Kind::Trusted => table.open -= 1,
            Kind::Counted(party) => {
                table.open -= 1;
                let left = table.by_party.get_mut(party).map(|count| {
                    *count -= 1;
                    *count
                });
                if left == Some(0) {
                    table.by_party.remove(party);
                }
            }
        }
        drop(table);
        self.connections.0.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Party {
        Party::behind([10, 0, 0, last].into())
    }

    #[test]
    fn past_a_bound_nobody_is_let_in_until_somebody_leaves() {
        let connections = Connections::default();
        let enter = |last, most, each| connections.enter(address(last), most, each);
        let first = enter(1, 3, Some(2)).unwrap();
        let _second = enter(1, 3, Some(2)).unwrap();
        assert_eq!(enter(1, 3, Some(2)).err(), Some(Limit::AddressConnections));
        let _other = enter(2, 3, Some(2)).unwrap();
        assert_eq!(enter(3, 3, Some(2)).err(), Some(Limit::Connections));
        assert_eq!(connections.state(), (3, 2));
        drop(first);
        assert!(enter(1, 3, Some(2)).is_ok());
    }

    #[test]
    fn who_speaks_for_many_is_bound_by_the_whole_only() {
        let connections = Connections::default();
        let seats: Vec<_> =
            (0..5).map(|_| connections.enter(address(1), 5, None).unwrap()).collect();
        assert_eq!(connections.enter(address(1), 5, None).err(), Some(Limit::Connections));
        drop(seats);
        assert_eq!(connections.state(), (0, 0));
        assert!(connections.lock().by_party.is_empty());
    }

    #[tokio::test]
    async fn the_end_comes_when_the_last_has_left() {
        let connections = Connections::default();
        let seat = connections.enter(address(1), 5, Some(5)).unwrap();
        let refused = connections.refuse().unwrap();
        let mut gone = std::pin::pin!(connections.all_gone());
        tokio::select! {
            biased;
            () = &mut gone => panic!("two are there"),
            () = std::future::ready(()) => {}
        }
        drop(seat);
        drop(refused);
        gone.await;
    }
}
