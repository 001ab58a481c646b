//! The bytes that bodies hold in memory, counted over all of them, for each party, and for each
//! connection.
//!
//! Whole bodies are reserved before they are read, and refused past a bound. The segments of
//! streamed bodies are the store's: however many readers share one, it is in memory once, and
//! counted at its creation. A party's share of segments only decides the order of refusals.
//!
//! Invariant: counted bytes belong to a live reservation; a dropped reservation counts nothing.

mod budget;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use wharf_client::runtime::mutex::Mutex;
use wharf_client::runtime::party::Party;

use crate::limits::BYTES_IN_FLIGHT_SHORT;

pub(crate) use budget::{MemoryBudget, Reservation, StreamReservation};

/// The memory of all parties together.
#[derive(Default)]
pub(crate) struct MemoryGauge {
    /// Whole bodies, and bypassed pieces.
    bytes: AtomicU64,
    /// Segments of the store with readers as their only owners.
    segments: OnceLock<Box<dyn Fn() -> u64 + Send + Sync>>,
    /// Bytes in reading, before any reservation: enough to see that every body should hold less.
    /// The sum of [`ReadReservation`]s.
    reading: AtomicU64,
    parties: Mutex<HashMap<Party, Weak<Part>>>,
}

/// Bytes in reading.
pub(crate) struct ReadReservation {
    held: Arc<MemoryGauge>,
    bytes: u64,
}

/// The memory of one party.
struct Part {
    held: Arc<MemoryGauge>,
    party: Party,
    /// Whole bodies.
    whole: AtomicU64,
    /// Pieces of streamed bodies.
    pieces: AtomicU64,
}

/// The bounds of a party.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemoryBounds {
    /// In all.
    pub(crate) most: u64,
    /// For the party.
    pub(crate) share: u64,
}

impl MemoryBounds {
    /// For bytes counted here and bounded elsewhere.
    pub(crate) const NONE: Self = Self { most: u64::MAX, share: u64::MAX };
}

/// Bytes with their reservation, which lives as long as any part of them.
struct Covered<H> {
    bytes: Bytes,
    _hold: H,
}

impl<H> AsRef<[u8]> for Covered<H> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The same bytes with a reservation, which ends with their last part.
#[must_use]
pub(crate) fn cover<H: Send + 'static>(bytes: Bytes, hold: H) -> Bytes {
    Bytes::from_owner(Covered { bytes, _hold: hold })
}

impl MemoryGauge {
    /// All bytes in memory.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed) + self.segments()
    }

    /// Whether memory is so short that every body should hold less.
    #[must_use]
    pub(crate) fn is_short(&self) -> bool {
        self.bytes() + self.reading.load(Ordering::Relaxed) >= BYTES_IN_FLIGHT_SHORT
    }

    /// Reserves bytes for a read: readers that begin at the same time see each other.
    #[must_use]
    pub(crate) fn reading(self: &Arc<Self>, bytes: usize) -> ReadReservation {
        let bytes = bytes as u64;
        self.reading.fetch_add(bytes, Ordering::Relaxed);
        ReadReservation { held: Arc::clone(self), bytes }
    }

    /// Sets the source for the bytes of the segments with only readers left.
    pub(crate) fn watch(&self, segments: impl Fn() -> u64 + Send + Sync + 'static) {
        let _ = self.segments.set(Box::new(segments));
    }

    /// The budget of a party within these bounds.
    #[must_use]
    pub(crate) fn budget(self: &Arc<Self>, party: Party, bounds: MemoryBounds) -> MemoryBudget {
        let mut parties = self.parties.lock();
        let known = parties.get(&party).and_then(Weak::upgrade);
        let part = known.unwrap_or_else(|| {
            let (held, key) = (Arc::clone(self), party.clone());
            let (whole, pieces) = (AtomicU64::new(0), AtomicU64::new(0));
            let part = Arc::new(Part { held, party, whole, pieces });
            parties.insert(key, Arc::downgrade(&part));
            part
        });
        drop(parties);
        MemoryBudget::new(part, bounds)
    }

    /// The most whole bytes of one party.
    #[must_use]
    pub(crate) fn largest(&self) -> u64 {
        let parties = self.parties.lock();
        let parts: Vec<_> = parties.values().filter_map(Weak::upgrade).collect();
        drop(parties);
        parts.iter().map(|part| part.whole.load(Ordering::Relaxed)).max().unwrap_or(0)
    }

    fn segments(&self) -> u64 {
        self.segments.get().map_or(0, |segments| segments())
    }
}

impl Drop for ReadReservation {
    fn drop(&mut self) {
        self.held.reading.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let mut parties = self.held.parties.lock();
        // Another budget of the same party may have begun since.
        if parties.get(&self.party).is_some_and(|part| part.strong_count() == 0) {
            parties.remove(&self.party);
        }
    }
}

#[cfg(test)]
mod tests;
