//! The memory of whole answers. The program has the budget; the client reserves before it reads.
//!
//! Invariant: each byte of a collected body in memory was reserved before.

use std::fmt;

use bytes::Bytes;

use crate::limits::COLLECT_STEP_BYTES;

/// A program's memory for whole answers.
pub trait MemoryBudget: Sync {
    /// Reserved bytes, given back when dropped.
    type Reservation: MemoryReservation;

    /// Reserves bytes before they are read.
    fn take(&self, bytes: u64) -> Result<Self::Reservation, MemoryFull>;
}

/// Reserved bytes.
pub trait MemoryReservation: Send + 'static {
    /// Grows to this many bytes, or refuses and stays as it was.
    fn grow_to(&mut self, bytes: u64) -> Result<(), MemoryFull>;
}

/// There is no memory for one more body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MemoryFull(pub MemoryOwner);

/// The owner of the memory share that is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryOwner {
    /// All callers together.
    All,
    /// One caller's, or one address's.
    Party,
    /// One connection's.
    Connection,
}

impl fmt::Display for MemoryOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => {
                "bodies on their way take all the memory that there is for them; try again in a moment"
            }
            Self::Party => {
                "bodies on their way to you, or from you, take your share of the memory; read the answers \
                 that wait and end the requests that are open, or send fewer at once, then try again"
            }
            Self::Connection => {
                "too many bytes wait on this connection; read the answers that wait on it, then try again"
            }
        })
    }
}

/// The budget of a program that bounds its answers by their number alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unbounded;

impl MemoryBudget for Unbounded {
    type Reservation = Self;

    fn take(&self, _bytes: u64) -> Result<Self, MemoryFull> {
        Ok(Self)
    }
}

impl MemoryReservation for Unbounded {
    fn grow_to(&mut self, _bytes: u64) -> Result<(), MemoryFull> {
        Ok(())
    }
}

/// A body collected from its pieces.
#[derive(Debug)]
pub struct CollectedBytes(Vec<u8>);

impl CollectedBytes {
    /// With room for this many reserved bytes.
    #[must_use]
    pub fn with_room(bytes: u64) -> Self {
        Self(Vec::with_capacity(usize::try_from(bytes).unwrap_or(0)))
    }

    /// The number of bytes so far.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no byte yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the next piece; the reservation grows first where needed. `most` is the body's bound.
    pub fn push(
        &mut self,
        piece: &Bytes,
        most: usize,
        reservation: &mut impl MemoryReservation,
    ) -> Result<(), MemoryFull> {
        let size = self.len() + piece.len();
        if size > self.0.capacity() {
            // Doubled each time, so that it is seldom copied.
            let room = size.max(self.0.capacity().saturating_mul(2));
            let room = room.next_multiple_of(COLLECT_STEP_BYTES).min(most.max(size));
            reservation.grow_to(room as u64)?;
            self.0.reserve_exact(room - self.len());
        }
        self.0.extend_from_slice(piece);
        Ok(())
    }

    /// The whole body.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reservation with a bound.
    struct Bounded {
        bytes: u64,
        most: u64,
    }

    impl MemoryReservation for Bounded {
        fn grow_to(&mut self, bytes: u64) -> Result<(), MemoryFull> {
            if bytes > self.most {
                return Err(MemoryFull(MemoryOwner::Connection));
            }
            self.bytes = self.bytes.max(bytes);
            Ok(())
        }
    }

    #[test]
    fn what_has_no_length_is_reserved_in_steps_before_it_is_there() {
        let mut reservation = Bounded { bytes: 0, most: 300_000 };
        let mut collected = CollectedBytes::with_room(0);
        let piece = Bytes::from(vec![7; 10_000]);
        let mut seen = Vec::new();
        let refused = loop {
            match collected.push(&piece, 10_000_000, &mut reservation) {
                Ok(()) => assert!(collected.0.capacity() as u64 <= reservation.bytes),
                Err(error) => break error,
            }
            seen.push(reservation.bytes);
        };
        assert_eq!(refused, MemoryFull(MemoryOwner::Connection));
        seen.dedup();
        assert_eq!(seen, [65_536, 131_072, 262_144]);
        assert_eq!(collected.len() % 10_000, 0);
    }

    #[test]
    fn the_last_step_goes_no_further_than_the_body_may() {
        let mut reservation = Bounded { bytes: 0, most: 1 << 20 };
        let mut collected = CollectedBytes::with_room(0);
        collected.push(&Bytes::from(vec![7; 1_000]), 1_500, &mut reservation).unwrap();
        collected.push(&Bytes::from(vec![7; 500]), 1_500, &mut reservation).unwrap();
        assert_eq!((reservation.bytes, collected.into_bytes().len()), (1_500, 1_500));
    }
}
