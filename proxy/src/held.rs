//! Bytes in memory that wait for clients, counted over all of them.
//!
//! Invariant: what is counted is held by somebody; a hold that is dropped counts nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits::BYTES_IN_FLIGHT_SHORT;

/// What all hold together.
#[derive(Debug, Default)]
pub(crate) struct Held(AtomicU64);

/// What one holds.
#[derive(Debug)]
pub(crate) struct Hold {
    held: Arc<Held>,
    bytes: u64,
}

impl Held {
    /// All of it.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether it is so much that everyone should hold less.
    #[must_use]
    pub(crate) fn is_short(&self) -> bool {
        self.bytes() > BYTES_IN_FLIGHT_SHORT
    }
}

impl Hold {
    /// Nothing yet.
    #[must_use]
    pub(crate) const fn new(held: Arc<Held>) -> Self {
        Self { held, bytes: 0 }
    }

    /// So much from now on.
    pub(crate) fn set(&mut self, bytes: u64) {
        // The difference, also downwards: the sum of all wraps back to what it is.
        self.held.0.fetch_add(bytes.wrapping_sub(self.bytes), Ordering::Relaxed);
        self.bytes = bytes;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_what_all_hold_and_nothing_of_who_is_gone() {
        let held = Arc::new(Held::default());
        let (mut one, mut other) = (Hold::new(Arc::clone(&held)), Hold::new(Arc::clone(&held)));
        one.set(100);
        other.set(50);
        one.set(30);
        assert_eq!(held.bytes(), 80);
        drop(other);
        assert_eq!((held.bytes(), held.is_short()), (30, false));
        one.set(BYTES_IN_FLIGHT_SHORT + 1);
        assert!(held.is_short());
    }
}
