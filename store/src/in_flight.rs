//! A blob in flight: an append-only run of segments with one writer and any number of readers.
//!
//! Readers join at any offset, at any time, and never slow the writer. Segments stay in memory
//! until they are stored and memory is short. With a known size of the content, bytes can be shown
//! before their segment is full, for readers of a slow writer.
//! Invariants: the last segment is visible only after the digest of the content is proven; a drop
//! of the writer before the proof is an error at every reader, never an end.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::Result;
use crate::limits::SEGMENT_BYTES;
use crate::segment_cache::{Pressure, SegmentCache};
use crate::source::Source;

/// A reader's view of a blob in flight; cheap to clone, every clone sees the same bytes.
#[derive(Clone)]
pub struct InFlight(Arc<Shared>);

struct Shared {
    /// Written by the writer alone, read by every reader; the lock is held for a few instructions
    /// only.
    state: Mutex<State>,
    /// The stored segments.
    source: Arc<dyn Source>,
    cache: Arc<SegmentCache>,
}

struct State {
    /// Segments in memory, the first with index `first_segment`.
    segments: VecDeque<Bytes>,
    first_segment: u64,
    /// The number of segments in the source.
    stored_segments: u64,
    /// Offset of the last segment, once the size of the content is known.
    held_from: Option<u64>,
    /// Shown bytes of unfinished segments, without a gap up to `shown_bytes`.
    shown: VecDeque<Bytes>,
    shown_bytes: u64,
    /// Bytes open to readers.
    visible_bytes: u64,
    outcome: Outcome,
    wakers: Vec<Waker>,
}

enum Outcome {
    Open,
    Proven,
    Abandoned(String),
}

/// The state of the blob at a reader's offset.
#[derive(Debug)]
pub enum Tail {
    /// The bytes from the offset to the end of a segment.
    Bytes(Bytes),
    /// On disk: call the blocking [`InFlight::read_stored`].
    Stored,
    /// The content is proven, and the offset is its end.
    End,
    /// The writer was dropped; no more bytes will come.
    Abandoned(String),
}

impl InFlight {
    pub(crate) fn new(source: Arc<dyn Source>, cache: Arc<SegmentCache>) -> Self {
        Self::resumed(source, cache, 0)
    }

    /// A blob with stored segments; its last one is held back.
    pub(crate) fn resumed(source: Arc<dyn Source>, cache: Arc<SegmentCache>, stored: u64) -> Self {
        let state = State {
            segments: VecDeque::new(),
            first_segment: stored,
            stored_segments: stored,
            held_from: None,
            shown: VecDeque::new(),
            shown_bytes: 0,
            visible_bytes: stored.saturating_sub(1) * SEGMENT_BYTES as u64,
            outcome: Outcome::Open,
            wakers: Vec::new(),
        };
        Self(Arc::new(Shared { state: Mutex::new(state), source, cache }))
    }

    /// The state at `offset`; pending until the writer gets there.
    pub fn poll_read(&self, offset: u64, context: &mut Context<'_>) -> Poll<Tail> {
        let mut state = self.lock();
        let tail = state.at(offset);
        if tail.is_none() {
            state.register(context.waker());
        }
        tail.map_or(Poll::Pending, Poll::Ready)
    }

    /// The state at `offset`, or `None` until the writer gets there.
    #[must_use]
    pub fn try_read(&self, offset: u64) -> Option<Tail> {
        self.lock().at(offset)
    }

    /// The bytes from `offset` to the end of its segment, from disk. Blocks.
    pub fn read_stored(&self, offset: u64) -> Result<Bytes> {
        self.0.source.read(offset)
    }

    /// The number of bytes open to readers.
    #[must_use]
    pub fn visible_bytes(&self) -> u64 {
        self.lock().visible_bytes
    }

    /// The size of the content, once its digest is proven.
    #[must_use]
    pub fn size_bytes(&self) -> Option<u64> {
        let state = self.lock();
        matches!(state.outcome, Outcome::Proven).then_some(state.visible_bytes)
    }

    /// Reads appended bytes, visible to readers or not.
    pub(crate) fn read_back(&self, offset: u64) -> Result<Bytes> {
        if let Some(bytes) = self.lock().in_memory(offset) {
            return Ok(bytes);
        }
        self.read_stored(offset)
    }

    /// Sets the expected size of the content. From now on only its last segment is held back.
    pub fn expect(&self, size_bytes: u64) {
        let wakers = {
            let mut state = self.lock();
            let last = size_bytes.saturating_sub(1) / SEGMENT_BYTES as u64;
            state.held_from = Some(last * SEGMENT_BYTES as u64);
            state.see()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Shows future bytes of the writer from offset `at`, as far as they follow the known bytes and
    /// precede the last segment. The bytes are copied: they may be part of a larger buffer. Does
    /// nothing before [`InFlight::expect`].
    pub fn show(&self, at: u64, bytes: &[u8]) {
        let wakers = {
            let mut state = self.lock();
            let from = state.pushed_bytes().max(state.shown_bytes);
            let end = (at + bytes.len() as u64).min(state.held_from.unwrap_or(0));
            let within = |offset: u64| usize::try_from(offset.checked_sub(at)?).ok();
            let (Some(first), Some(last)) = (within(from), within(end)) else { return };
            let Some(news) = bytes.get(first..last).filter(|news| !news.is_empty()) else { return };
            self.0.cache.take(news.len());
            state.shown.push_back(Bytes::copy_from_slice(news));
            state.shown_bytes = end;
            state.see()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Appends a segment. The segment before it becomes visible, because it is no longer the last.
    pub(crate) fn push(&self, segment: Bytes) {
        self.0.cache.take(segment.len());
        let wakers = {
            let mut state = self.lock();
            state.segments.push_back(segment);
            self.0.cache.give_back(state.forget_shown());
            state.see()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Sets the number of stored segments, and frees their memory when memory is short.
    pub(crate) fn stored(&self, segments: u64) {
        let mut state = self.lock();
        state.stored_segments = segments;
        while self.0.cache.pressure() > Pressure::None
            && state.first_segment < state.stored_segments
        {
            let Some(segment) = state.segments.pop_front() else {
                break;
            };
            state.first_segment += 1;
            self.0.cache.give_back(segment.len());
        }
    }

    /// The memory pressure of all blobs in flight.
    pub(crate) fn pressure(&self) -> Pressure {
        self.0.cache.pressure()
    }

    /// The bytes from `offset` to the end of its segment, from memory. Does not block.
    #[must_use]
    pub fn read_hot(&self, offset: u64) -> Option<Bytes> {
        self.0.source.hot(offset)
    }

    /// Moves stored segments from memory to their source, for its cache. They no longer count as
    /// bytes of a blob in flight.
    pub(crate) fn hand_over(&self) {
        let (first, segments) = {
            let mut state = self.lock();
            let first = state.first_segment;
            let stored = state.stored_segments.saturating_sub(first);
            let count = state.segments.len().min(usize::try_from(stored).unwrap_or(usize::MAX));
            state.first_segment += count as u64;
            (first, state.segments.drain(..count).collect::<Vec<_>>())
        };
        for (index, segment) in (first..).zip(segments) {
            self.0.cache.give_back(segment.len());
            self.0.source.keep(index, segment);
        }
    }

    /// Proves the digest: everything becomes visible.
    pub(crate) fn prove(&self, size_bytes: u64) {
        self.end(Outcome::Proven, Some(size_bytes));
    }

    /// Ends the blob without a proof.
    pub(crate) fn abandon(&self, reason: impl Into<String>) {
        self.end(Outcome::Abandoned(reason.into()), None);
    }

    fn end(&self, outcome: Outcome, size_bytes: Option<u64>) {
        let wakers = {
            let mut state = self.lock();
            if !matches!(state.outcome, Outcome::Open) {
                return;
            }
            state.outcome = outcome;
            state.visible_bytes = size_bytes.unwrap_or(state.visible_bytes);
            std::mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// A panic elsewhere leaves the state whole: each change is one assignment.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn at(&self, offset: u64) -> Option<Tail> {
        if offset < self.visible_bytes {
            return Some(self.in_memory(offset).map_or(Tail::Stored, Tail::Bytes));
        }
        match &self.outcome {
            Outcome::Open => None,
            Outcome::Proven => Some(Tail::End),
            Outcome::Abandoned(reason) => Some(Tail::Abandoned(reason.clone())),
        }
    }

    fn in_memory(&self, offset: u64) -> Option<Bytes> {
        self.in_segment(offset).or_else(|| self.in_shown(offset))
    }

    fn in_segment(&self, offset: u64) -> Option<Bytes> {
        let index = (offset / SEGMENT_BYTES as u64).checked_sub(self.first_segment)?;
        let within = usize::try_from(offset % SEGMENT_BYTES as u64).ok()?;
        let segment = self.segments.get(usize::try_from(index).ok()?)?;
        (within < segment.len()).then(|| segment.slice(within..))
    }

    fn in_shown(&self, offset: u64) -> Option<Bytes> {
        let mut end = self.shown_bytes;
        for piece in self.shown.iter().rev() {
            let start = end - piece.len() as u64;
            if (start..end).contains(&offset) {
                return Some(piece.slice(usize::try_from(offset - start).ok()?..));
            }
            end = start;
        }
        None
    }

    /// The bytes of all segments, with the last one counted as full.
    fn pushed_bytes(&self) -> u64 {
        (self.first_segment + self.segments.len() as u64) * SEGMENT_BYTES as u64
    }

    /// Updates the visible bytes; returns the wakers of waiting readers.
    fn see(&mut self) -> Vec<Waker> {
        let pushed = self.pushed_bytes();
        let before_last = pushed.saturating_sub(SEGMENT_BYTES as u64);
        let visible = match self.held_from {
            Some(held_from) => pushed.max(self.shown_bytes).min(held_from).max(before_last),
            None => before_last,
        };
        self.visible_bytes = self.visible_bytes.max(visible);
        std::mem::take(&mut self.wakers)
    }

    /// Drops shown bytes now in segments; returns their number.
    fn forget_shown(&mut self) -> usize {
        let (pushed, mut forgotten) = (self.pushed_bytes(), 0);
        let all: usize = self.shown.iter().map(Bytes::len).sum();
        let mut end = self.shown_bytes - all as u64;
        while let Some(piece) = self.shown.front() {
            end += piece.len() as u64;
            if end > pushed {
                break;
            }
            forgotten += piece.len();
            self.shown.pop_front();
        }
        forgotten
    }

    /// Keeps one waker per reader, so a task with two polls is woken once.
    fn register(&mut self, waker: &Waker) {
        if !self.wakers.iter().any(|kept| kept.will_wake(waker)) {
            self.wakers.push(waker.clone());
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let in_memory = state.segments.iter().chain(&state.shown);
        self.cache.give_back(in_memory.map(Bytes::len).sum());
    }
}
