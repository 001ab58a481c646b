//! The outcomes of reads, as headers, logs and metrics name them, and their counters.

use std::sync::atomic::{AtomicU64, Ordering};

/// How an answer came about; the same words in headers, logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    /// The content was here.
    Hit,
    /// The content was on its way for another request.
    Join,
    /// The content was fetched for this request.
    Fill,
    /// The content came from the upstream and was not kept.
    Bypass,
    /// The content was here, perhaps too old, and the upstream could not answer.
    Stale,
}

impl Outcome {
    pub(crate) const ALL: [Self; 5] =
        [Self::Hit, Self::Join, Self::Fill, Self::Bypass, Self::Stale];

    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Join => "join",
            Self::Fill => "fill",
            Self::Bypass => "bypass",
            Self::Stale => "stale",
        }
    }
}

/// Counters, one for each outcome.
#[derive(Default)]
pub(crate) struct OutcomeCounts([AtomicU64; Outcome::ALL.len()]);

impl OutcomeCounts {
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
