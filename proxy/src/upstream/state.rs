//! What is known of an upstream's state, for metrics: its windows, its breaker, counters.

use std::sync::atomic::{AtomicU64, Ordering};

use super::breaker::BreakerState;
use super::quota::LaneState;

/// A look at one upstream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UpstreamState {
    /// Of requests that read.
    pub reads: LaneState,
    /// Of requests that write.
    pub writes: LaneState,
    /// Whether it is asked.
    pub breaker: BreakerState,
    /// Since the start.
    pub counts: Counted,
}

/// Counters at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted {
    /// Requests that were sent, also to where redirects lead.
    pub asked: u64,
    /// Downloads that were taken up again.
    pub resumed: u64,
}

/// Counters of one upstream.
#[derive(Default)]
pub(super) struct Counts {
    asked: AtomicU64,
    resumed: AtomicU64,
}

impl Counts {
    pub(super) fn asked(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn resumed(&self) {
        self.resumed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Counted {
        Counted {
            asked: self.asked.load(Ordering::Relaxed),
            resumed: self.resumed.load(Ordering::Relaxed),
        }
    }
}
