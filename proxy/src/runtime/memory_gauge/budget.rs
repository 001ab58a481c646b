//! Who holds what a request takes: reserving it, and giving it back.
//!
//! Invariant: what a hold says that it holds is what the counters have of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{MemoryBounds, Part};
use crate::Error;
use crate::error::MemoryOwner;
use crate::limits::CONNECTION_BYTES_PART;
use crate::runtime::party::Party;

/// Who holds what a request takes, and how much that may be. Found once for each request.
#[derive(Clone)]
pub(crate) struct MemoryBudget {
    part: Arc<Part>,
    bounds: MemoryBounds,
    /// Of the connection that the request came on.
    connection: Arc<AtomicU64>,
}

/// What a whole body holds.
pub(crate) struct Reservation {
    budget: MemoryBudget,
    /// In all.
    pool: u64,
    /// Of its party and its connection.
    own: u64,
}

/// What a body holds that goes on piece by piece.
pub(crate) struct StreamReservation {
    budget: MemoryBudget,
    own: u64,
    /// Of that, what no store counts.
    passing: u64,
}

impl MemoryBudget {
    pub(super) fn new(part: Arc<Part>, bounds: MemoryBounds) -> Self {
        Self { part, bounds, connection: Arc::default() }
    }

    /// Whose it is.
    #[must_use]
    pub(crate) fn party(&self) -> &Party {
        &self.part.party
    }

    /// The same for a request of this connection.
    #[must_use]
    pub(crate) fn on(self, connection: &Arc<AtomicU64>) -> Self {
        Self { connection: Arc::clone(connection), ..self }
    }

    /// The same on the connection of another one.
    #[must_use]
    pub(crate) fn beside(self, other: &Self) -> Self {
        self.on(&other.connection)
    }

    /// So many bytes of a whole body, before they are there.
    pub(crate) fn take(&self, bytes: u64) -> Result<Reservation, Error> {
        let mut hold = self.nothing();
        hold.grow_to(bytes)?;
        Ok(hold)
    }

    /// Nothing yet.
    #[must_use]
    pub(crate) fn nothing(&self) -> Reservation {
        Reservation { budget: self.clone(), pool: 0, own: 0 }
    }

    /// So many bytes that are there anyway.
    #[must_use]
    pub(crate) fn note(&self, bytes: u64) -> Reservation {
        let mut hold = self.nothing();
        hold.set(bytes, bytes);
        hold
    }

    /// So many bytes that many may share: in all only, or for this party only.
    pub(crate) fn take_shared(&self, bytes: u64) -> Result<Reservation, Error> {
        let mut hold = self.nothing();
        hold.reserve(bytes, 0)?;
        Ok(hold)
    }

    /// See above.
    pub(crate) fn take_own(&self, bytes: u64) -> Result<Reservation, Error> {
        // However many of its requests wait for them, they are not the connection's alone.
        let mut hold = self.clone().on(&Arc::default()).nothing();
        hold.reserve(0, bytes)?;
        Ok(hold)
    }

    /// A body that goes on piece by piece, of which nothing is held yet.
    #[must_use]
    pub(crate) fn pieces(&self) -> StreamReservation {
        StreamReservation { budget: self.clone(), own: 0, passing: 0 }
    }

    /// Whether such a body may begin: not when everything is taken, and past the party's share only
    /// while no more than half is.
    pub(crate) fn may_begin(&self) -> Result<(), Error> {
        let (all, part) = (self.part.held.bytes(), &self.part);
        if all >= self.bounds.most {
            return Err(Error::TooManyBytes(MemoryOwner::All));
        }
        let own = part.whole.load(Ordering::Relaxed) + part.pieces.load(Ordering::Relaxed);
        if own > self.bounds.share && all > self.bounds.most / 2 {
            return Err(Error::TooManyBytes(MemoryOwner::Party));
        }
        Ok(())
    }

    /// How much is taken of one of its bounds.
    pub(crate) fn taken(&self, of: MemoryOwner) -> u64 {
        match of {
            MemoryOwner::All => self.part.held.bytes(),
            MemoryOwner::Party => self.part.whole.load(Ordering::Relaxed),
            MemoryOwner::Connection => self.connection.load(Ordering::Relaxed),
        }
    }

    /// A number that is the same for all purses of a party, while it has one.
    #[must_use]
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.part).addr()
    }
}

impl Reservation {
    /// So many bytes from now on, or the refusal; then it holds what it held.
    pub(crate) fn grow_to(&mut self, bytes: u64) -> Result<(), Error> {
        let (pool, own) = (bytes.saturating_sub(self.pool), bytes.saturating_sub(self.own));
        self.reserve(pool, own)
    }

    /// So many more. Whoever holds nothing else may take one body, however large it is.
    fn reserve(&mut self, pool: u64, own: u64) -> Result<(), Error> {
        let MemoryBudget { part, bounds, connection } = &self.budget;
        let of_connection = bounds.share / CONNECTION_BYTES_PART;
        let refused = |of| Err(Error::TooManyBytes(of));
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

impl StreamReservation {
    /// So much from now on; `passing` when it is nothing of a store's.
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

/// Adds, unless that is more than there is room for beside what is `mine`.
fn add(counter: &AtomicU64, more: u64, mine: u64, most: u64) -> bool {
    more == 0
        || counter
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
                let sum = now.saturating_add(more);
                (now <= mine || sum <= most).then_some(sum)
            })
            .is_ok()
}

/// The difference, also downwards: the sum of all wraps back to what it is.
fn change(counter: &AtomicU64, before: u64, after: u64) {
    counter.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
}
