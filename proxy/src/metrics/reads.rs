//! Reads by how they were answered.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::cache::Outcome;

/// Counters, one for each outcome.
#[derive(Default)]
pub(crate) struct Reads([AtomicU64; Outcome::ALL.len()]);

impl Reads {
    /// One more.
    pub(crate) fn count(&self, outcome: Outcome) {
        let found = Outcome::ALL.iter().zip(&self.0).find(|(known, _)| **known == outcome);
        if let Some((_, counter)) = found {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All of them.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (Outcome, u64)> {
        let counts = self.0.iter().map(|counter| counter.load(Ordering::Relaxed));
        Outcome::ALL.into_iter().zip(counts)
    }

    /// All of them, in the order of [`Outcome::ALL`].
    pub(crate) fn snapshot(&self) -> [u64; Outcome::ALL.len()] {
        self.0.each_ref().map(|counter| counter.load(Ordering::Relaxed))
    }
}
