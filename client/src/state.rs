//! A registry's state for metrics: its windows, its breaker, its counters.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::breaker::BreakerState;
use crate::concurrency::WindowState;

/// A snapshot of one registry's state.
#[derive(Debug, Clone, Copy)]
pub struct ClientState {
    /// The window of reading requests.
    pub reads: WindowState,
    /// The window of writing requests.
    pub writes: WindowState,
    /// The state of the circuit breaker.
    pub breaker: BreakerState,
    /// Counters since the start.
    pub counts: CounterSnapshot,
}

impl ClientState {
    /// Adds the state of another registry with the same name in metrics.
    pub fn add(&mut self, other: &Self) {
        self.reads.add(&other.reads);
        self.writes.add(&other.writes);
        self.breaker = self.breaker.max(other.breaker);
        self.counts.add(&other.counts);
    }

    /// A sample state for tests.
    #[cfg(feature = "test-util")]
    #[must_use]
    pub fn sample() -> Self {
        let lane = WindowState {
            window: 8,
            throttled: 1,
            running: 2,
            waiting: 3,
            pause_seconds: 4,
            left: Some(5),
        };
        let counts = Counts::default();
        counts.asked();
        let (reads, writes) = (lane, WindowState { left: None, ..lane });
        Self { reads, writes, breaker: BreakerState::Open, counts: counts.read(1 << 20) }
    }
}

/// A snapshot of the counters.
#[derive(Debug, Clone, Copy)]
pub struct CounterSnapshot {
    /// Requests sent, also those to redirect targets.
    pub asked: u64,
    /// Bytes of answers that were received.
    pub received_bytes: u64,
    /// Tokens, in the order of [`TokenResult::ALL`].
    pub tokens: [u64; 3],
    /// Resumed downloads.
    pub resumed: u64,
    /// Bytes of blobs sent, including those sent again.
    pub sent_bytes: u64,
    /// Uploads resumed after a failure.
    pub mended: u64,
    /// Blobs at the registry, by their way of arrival; in the order of [`Arrival::ALL`].
    pub arrived: [u64; 4],
    /// The size of an upload's chunks.
    pub chunk_bytes: u64,
}

impl CounterSnapshot {
    fn add(&mut self, other: &Self) {
        let sum = |into: &mut [u64], more: &[u64]| {
            into.iter_mut().zip(more).for_each(|(into, more)| *into += more);
        };
        self.asked += other.asked;
        self.received_bytes += other.received_bytes;
        self.resumed += other.resumed;
        self.sent_bytes += other.sent_bytes;
        self.mended += other.mended;
        self.chunk_bytes = self.chunk_bytes.max(other.chunk_bytes);
        sum(&mut self.tokens, &other.tokens);
        sum(&mut self.arrived, &other.arrived);
    }
}

/// The result of a token request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenResult {
    /// Fetched for a request that needed it.
    Fetched,
    /// Renewed near the end of the previous token.
    Renewed,
    /// Refused or unanswered.
    Failed,
}

impl TokenResult {
    /// All results.
    pub const ALL: [Self; 3] = [Self::Fetched, Self::Renewed, Self::Failed];

    /// The label in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fetched => "fetched",
            Self::Renewed => "renewed",
            Self::Failed => "failed",
        }
    }
}

/// How a pushed blob came to be at the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// Its bytes were sent.
    Sent,
    /// The registry already had it.
    Known,
    /// The registry took it from another repository of its own.
    Mounted,
    /// It was sent for another client at the same time.
    Joined,
}

impl Arrival {
    /// All ways.
    pub const ALL: [Self; 4] = [Self::Sent, Self::Known, Self::Mounted, Self::Joined];

    /// The label in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Known => "known",
            Self::Mounted => "mounted",
            Self::Joined => "joined",
        }
    }
}

/// Counters of one registry.
#[derive(Default)]
pub(crate) struct Counts {
    asked: AtomicU64,
    received_bytes: AtomicU64,
    tokens: [AtomicU64; 3],
    resumed: AtomicU64,
    sent_bytes: AtomicU64,
    mended: AtomicU64,
    arrived: [AtomicU64; 4],
}

impl Counts {
    pub(crate) fn asked(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.received_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn token(&self, result: TokenResult) {
        let [fetched, renewed, failed] = &self.tokens;
        let counter = match result {
            TokenResult::Fetched => fetched,
            TokenResult::Renewed => renewed,
            TokenResult::Failed => failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn resumed(&self) {
        self.resumed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, bytes: u64) {
        self.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn mended(&self) {
        self.mended.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn arrived(&self, arrival: Arrival) {
        let [sent, known, mounted, joined] = &self.arrived;
        let counter = match arrival {
            Arrival::Sent => sent,
            Arrival::Known => known,
            Arrival::Mounted => mounted,
            Arrival::Joined => joined,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self, chunk_bytes: u64) -> CounterSnapshot {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CounterSnapshot {
            asked: load(&self.asked),
            received_bytes: load(&self.received_bytes),
            tokens: self.tokens.each_ref().map(load),
            resumed: load(&self.resumed),
            sent_bytes: load(&self.sent_bytes),
            mended: load(&self.mended),
            arrived: self.arrived.each_ref().map(load),
            chunk_bytes,
        }
    }
}
