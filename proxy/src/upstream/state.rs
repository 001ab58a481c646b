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
    /// Bytes of blobs that were sent, those that were sent again included.
    pub sent_bytes: u64,
    /// Uploads that went on after a failure.
    pub mended: u64,
    /// Blobs that the upstream has now, by how it got them; in the order of [`Arrival::ALL`].
    pub arrived: [u64; 4],
    /// Size of the chunks that it is sent.
    pub chunk_bytes: u64,
}

/// How a pushed blob came to be at the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Its bytes were sent.
    Sent,
    /// It was there.
    Known,
    /// The upstream took it from another repository of its own.
    Mounted,
    /// It was sent for another client at the same time.
    Joined,
}

impl Arrival {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Sent, Self::Known, Self::Mounted, Self::Joined];

    /// The word.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Known => "known",
            Self::Mounted => "mounted",
            Self::Joined => "joined",
        }
    }
}

/// Counters of one upstream.
#[derive(Default)]
pub(super) struct Counts {
    asked: AtomicU64,
    resumed: AtomicU64,
    sent_bytes: AtomicU64,
    mended: AtomicU64,
    arrived: [AtomicU64; 4],
}

impl Counts {
    pub(super) fn asked(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn resumed(&self) {
        self.resumed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sent(&self, bytes: u64) {
        self.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn mended(&self) {
        self.mended.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn arrived(&self, arrival: Arrival) {
        let [sent, known, mounted, joined] = &self.arrived;
        let counter = match arrival {
            Arrival::Sent => sent,
            Arrival::Known => known,
            Arrival::Mounted => mounted,
            Arrival::Joined => joined,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self, chunk_bytes: u64) -> Counted {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counted {
            asked: load(&self.asked),
            resumed: load(&self.resumed),
            sent_bytes: load(&self.sent_bytes),
            mended: load(&self.mended),
            arrived: self.arrived.each_ref().map(load),
            chunk_bytes,
        }
    }
}
