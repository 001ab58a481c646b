//! The memory budget of a request: reserving bytes for its party and connection, and giving them
//! back.
//!
//! Invariant: a reservation's own number agrees with the counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wharf_client::runtime::party::Party;
use wharf_client::{MemoryFull, MemoryOwner, MemoryReservation};

use super::{MemoryBounds, Part};
use crate::limits::CONNECTION_BYTES_PART;

/// The party and connection charged for a request, and their bounds. Found once for each request.
#[derive(Clone)]
pub(crate) struct MemoryBudget {
    part: Arc<Part>,
    bounds: MemoryBounds,
    /// The counter of the request's connection.
    connection: Arc<AtomicU64>,
}

/// The reservation of a whole body.
pub(crate) struct Reservation {
    budget: MemoryBudget,
    /// Bytes counted in all.
    pool: u64,
    /// Bytes counted for its party and its connection.
    own: u64,
}

/// The reservation of a streamed body.
pub(crate) struct StreamReservation {
    budget: MemoryBudget,
    own: u64,
    /// The part of it that no store counts.
    passing: u64,
}

impl MemoryBudget {
    pub(super) fn new(part: Arc<Part>, bounds: MemoryBounds) -> Self {
        Self { part, bounds, connection: Arc::default() }
    }

    /// The party of the budget.
    #[must_use]
    pub(crate) fn party(&self) -> &Party {
        &self.part.party
    }

    /// The same budget for a request of this connection.
    #[must_use]
    pub(crate) fn on(self, connection: &Arc<AtomicU64>) -> Self {
        Self { connection: Arc::clone(connection), ..self }
    }

    /// The same budget on the connection of another one.
    #[must_use]
    pub(crate) fn beside(self, other: &Self) -> Self {
        self.on(&other.connection)
    }

    /// Reserves bytes of a whole body, before they are read.
    pub(crate) fn take(&self, bytes: u64) -> Result<Reservation, MemoryFull> {
        let mut hold = self.nothing();
        hold.grow_to(bytes)?;
        Ok(hold)
    }

    /// An empty reservation.
    #[must_use]
    pub(crate) fn nothing(&self) -> Reservation {
        Reservation { budget: self.clone(), pool: 0, own: 0 }
    }

    /// A reservation for bytes that exist anyway: never refused.
    #[must_use]
    pub(crate) fn take_anyway(&self, bytes: u64) -> Reservation {
        let mut hold = self.nothing();
        hold.set(bytes, bytes);
        hold
    }

    /// Reserves bytes that many requests may share: in all only.
    pub(crate) fn take_shared(&self, bytes: u64) -> Result<Reservation, MemoryFull> {
        let mut hold = self.nothing();
        hold.reserve(bytes, 0)?;
        Ok(hold)
    }

    /// Reserves shared bytes for this party only.
    pub(crate) fn take_own(&self, bytes: u64) -> Result<Reservation, MemoryFull> {
        // However many of the party's requests wait for the bytes, they are not one connection's.
        let mut hold = self.clone().on(&Arc::default()).nothing();
        hold.reserve(0, bytes)?;
        Ok(hold)
    }

    /// An empty reservation of a streamed body.
    #[must_use]
    pub(crate) fn pieces(&self) -> StreamReservation {
        StreamReservation { budget: self.clone(), own: 0, passing: 0 }
    }

    /// Whether a streamed body may begin: not when all memory is taken, and past the party's share
    /// only while at most half is.
    pub(crate) fn may_begin(&self) -> Result<(), MemoryFull> {
        let (all, part) = (self.part.held.bytes(), &self.part);
        if all >= self.bounds.most {
            return Err(MemoryFull(MemoryOwner::All));
        }
        let own = part.whole.load(Ordering::Relaxed) + part.pieces.load(Ordering::Relaxed);
        if own > self.bounds.share && all > self.bounds.most / 2 {
            return Err(MemoryFull(MemoryOwner::Party));
        }
        Ok(())
    }

    /// The bytes taken of one of the bounds.
    pub(crate) fn taken(&self, of: MemoryOwner) -> u64 {
        match of {
            MemoryOwner::All => self.part.held.bytes(),
            MemoryOwner::Party => self.part.whole.load(Ordering::Relaxed),
            MemoryOwner::Connection => self.connection.load(Ordering::Relaxed),
        }
    }

    /// A number equal for all budgets of a party, while the party has one.
    #[must_use]
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.part).addr()
    }
}

impl Reservation {
    /// Grows the reservation to this many bytes, or refuses and leaves it as it was.
    pub(crate) fn grow_to(&mut self, bytes: u64) -> Result<(), MemoryFull> {
        let (pool, own) = (bytes.saturating_sub(self.pool), bytes.saturating_sub(self.own));
        self.reserve(pool, own)
    }

    /// Reserves more. A party or connection with no other reservation may take one body, however
    /// large it is.
    fn reserve(&mut self, pool: u64, own: u64) -> Result<(), MemoryFull> {
        let MemoryBudget { part, bounds, connection } = &self.budget;
        let of_connection = bounds.share / CONNECTION_BYTES_PART;
        let refused = |of| Err(MemoryFull(of));
        if !add(connection, own, self.own, of_connection) {
            return refused(MemoryOwner::Connection);
        }
        if !add(&part.whole, own, self.own, bounds.share) {
            connection.fetch_sub(own, Ordering::Relaxed);
            return refused(MemoryOwner::Party);
        }
        let room = bounds.most.saturating_sub(part.held.segments());
        if !add(&part.held.bytes, pool, self.pool, room) {
            connection.fetch_sub(own, Ordering::Relaxed);
            part.whole.fetch_sub(own, Ordering::Relaxed);
            return refused(MemoryOwner::All);
        }
        self.pool += pool;
        self.own += own;
        Ok(())
    }

    fn set(&mut self, pool: u64, own: u64) {
        let MemoryBudget { part, connection, .. } = &self.budget;
        change(&part.held.bytes, self.pool, pool);
        change(&part.whole, self.own, own);
        change(connection, self.own, own);
        (self.pool, self.own) = (pool, own);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.set(0, 0);
    }
}

impl wharf_client::MemoryBudget for MemoryBudget {
    type Reservation = Reservation;

    fn take(&self, bytes: u64) -> Result<Reservation, MemoryFull> {
        self.take(bytes)
    }
}

impl MemoryReservation for Reservation {
    fn grow_to(&mut self, bytes: u64) -> Result<(), MemoryFull> {
        self.grow_to(bytes)
    }
}

impl StreamReservation {
    /// Sets the bytes in memory; `passing` when no store counts them.
    pub(crate) fn set(&mut self, bytes: u64, passing: bool) {
        let part = &self.budget.part;
        change(&part.pieces, self.own, bytes);
        self.own = bytes;
        let passing = if passing { bytes } else { 0 };
        if passing != self.passing {
            change(&part.held.bytes, self.passing, passing);
            self.passing = passing;
        }
    }
}

impl Drop for StreamReservation {
    fn drop(&mut self) {
        self.set(0, false);
    }
}

/// Adds within `most`, or when the counter has nothing beside `mine`.
fn add(counter: &AtomicU64, more: u64, mine: u64, most: u64) -> bool {
    more == 0
        || counter
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
                let sum = now.saturating_add(more);
                (now <= mine || sum <= most).then_some(sum)
            })
            .is_ok()
}

/// Adds the difference, also downwards: the sum of all wraps back to the right value.
fn change(counter: &AtomicU64, before: u64, after: u64) {
    counter.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
}
