//! Bytes in memory that bodies hold, counted over all of them, for each party, and for each connection.
//!
//! Whole bodies are reserved before they are read, and refused past a bound. Of bodies that go on piece
//! by piece, the segments are the store's: however many readers share one, it is one memory, counted
//! where it is made. What a party has of such only decides who is refused first.
//!
//! Invariant: what is counted is held by somebody; a hold that is dropped counts nothing.

mod budget;
mod collected;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use bytes::Bytes;

use crate::limits::BYTES_IN_FLIGHT_SHORT;
use crate::runtime::party::Party;

pub(crate) use budget::{MemoryBudget, Reservation, StreamReservation};
pub(crate) use collected::CollectedBytes;

/// What all hold together.
#[derive(Default)]
pub(crate) struct MemoryGauge {
    /// Whole bodies, and pieces that pass by.
    bytes: AtomicU64,
    /// Segments of the store that nobody has any more but readers.
    segments: OnceLock<Box<dyn Fn() -> u64 + Send + Sync>>,
    /// What is being read: enough to see that everyone should hold less, and nobody has it yet.
    reading: AtomicU64,
    parties: Mutex<HashMap<Party, Weak<Part>>>,
}

/// What is being read.
pub(crate) struct ReadReservation {
    held: Arc<MemoryGauge>,
    bytes: u64,
}

/// What one party holds.
struct Part {
    held: Arc<MemoryGauge>,
    party: Party,
    /// Whole bodies.
    whole: AtomicU64,
    /// Pieces of bodies that go on.
    pieces: AtomicU64,
}

/// How much there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemoryBounds {
    /// In all.
    pub(crate) most: u64,
    /// Of one party.
    pub(crate) share: u64,
}

impl MemoryBounds {
    /// For what is counted, and refused elsewhere.
    pub(crate) const NONE: Self = Self { most: u64::MAX, share: u64::MAX };
}

/// Bytes with what they are counted as, for as long as anybody has a part of them.
struct Covered<H> {
    bytes: Bytes,
    _hold: H,
}

impl<H> AsRef<[u8]> for Covered<H> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// These bytes; the hold ends with the last part of them.
#[must_use]
pub(crate) fn cover<H: Send + 'static>(bytes: Bytes, hold: H) -> Bytes {
    Bytes::from_owner(Covered { bytes, _hold: hold })
}

impl MemoryGauge {
    /// All of it.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed) + self.segments()
    }

    /// Whether it is so much that everyone should hold less.
    #[must_use]
    pub(crate) fn is_short(&self) -> bool {
        self.bytes() + self.reading.load(Ordering::Relaxed) >= BYTES_IN_FLIGHT_SHORT
    }

    /// So many bytes will be read: those who begin at the same time see each other.
    #[must_use]
    pub(crate) fn reading(self: &Arc<Self>, bytes: usize) -> ReadReservation {
        let bytes = bytes as u64;
        self.reading.fetch_add(bytes, Ordering::Relaxed);
        ReadReservation { held: Arc::clone(self), bytes }
    }

    /// Who says how much of the store's segments only readers have.
    pub(crate) fn watch(&self, segments: impl Fn() -> u64 + Send + Sync + 'static) {
        let _ = self.segments.set(Box::new(segments));
    }

    /// What this party holds, and may hold.
    #[must_use]
    pub(crate) fn budget(self: &Arc<Self>, party: Party, bounds: MemoryBounds) -> MemoryBudget {
        let mut parties = self.parties.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// The most whole bytes that one party has.
    #[must_use]
    pub(crate) fn largest(&self) -> u64 {
        let parties = self.parties.lock().unwrap_or_else(PoisonError::into_inner);
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
        let mut parties = self.held.parties.lock().unwrap_or_else(PoisonError::into_inner);
        // Another one of the same party may have begun since.
        if parties.get(&self.party).is_some_and(|part| part.strong_count() == 0) {
            parties.remove(&self.party);
        }
    }
}

#[cfg(test)]
mod tests;
