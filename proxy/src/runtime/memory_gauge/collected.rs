//! A body collected from its pieces.
//!
//! Invariant: each byte of it in memory was reserved before.

use bytes::Bytes;

use super::Reservation;
use crate::Error;
use crate::limits::COLLECT_STEP_BYTES;

/// The bytes so far.
pub(crate) struct CollectedBytes(Vec<u8>);

impl CollectedBytes {
    /// With room for this many reserved bytes.
    pub(crate) fn with_room(bytes: u64) -> Self {
        Self(Vec::with_capacity(usize::try_from(bytes).unwrap_or(0)))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds the next piece; the reservation grows first where needed. `most` is the body's bound.
    pub(crate) fn push(
        &mut self,
        piece: &Bytes,
        most: usize,
        hold: &mut Reservation,
    ) -> Result<(), Error> {
        let size = self.len() + piece.len();
        if size > self.0.capacity() {
            // Doubled each time, so that it is seldom copied.
            let room = size.max(self.0.capacity().saturating_mul(2));
            let room = room.next_multiple_of(COLLECT_STEP_BYTES).min(most.max(size));
            hold.grow_to(room as u64)?;
            self.0.reserve_exact(room - self.len());
        }
        self.0.extend_from_slice(piece);
        Ok(())
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::MemoryOwner;
    use crate::runtime::memory_gauge::{MemoryBounds, MemoryGauge};
    use crate::runtime::party::Party;
    use std::sync::Arc;

    #[test]
    fn what_has_no_length_is_reserved_in_steps_before_it_is_there() {
        let pool = Arc::new(MemoryGauge::default());
        let bounds = MemoryBounds { most: u64::MAX, share: 600_000 };
        let budget = pool.budget(Party::Ourselves, bounds);
        let (mut hold, mut collected) = (budget.take(0).unwrap(), CollectedBytes::with_room(0));
        let piece = Bytes::from(vec![7; 10_000]);
        let mut seen = Vec::new();
        let _other = budget.take_anyway(1);
        let refused = loop {
            match collected.push(&piece, 10_000_000, &mut hold) {
                Ok(()) => assert!(collected.0.capacity() as u64 <= pool.bytes()),
                Err(error) => break error,
            }
            seen.push(pool.bytes() - 1);
        };
        assert!(matches!(refused, Error::TooManyBytes(MemoryOwner::Connection)));
        seen.dedup();
        assert_eq!(seen, [65_536, 131_072, 262_144]);
        assert_eq!(collected.len() % 10_000, 0);
    }

    #[test]
    fn the_last_step_goes_no_further_than_the_body_may() {
        let pool = Arc::new(MemoryGauge::default());
        let budget = pool.budget(Party::Ourselves, MemoryBounds { most: 1 << 20, share: 1 << 20 });
        let (mut hold, mut collected) = (budget.take(0).unwrap(), CollectedBytes::with_room(0));
        collected.push(&Bytes::from(vec![7; 1_000]), 1_500, &mut hold).unwrap();
        collected.push(&Bytes::from(vec![7; 500]), 1_500, &mut hold).unwrap();
        assert_eq!((pool.bytes(), collected.into_bytes().len()), (1_500, 1_500));
    }
}
