//! A blob in flight: an append-only run of segments with one writer and any number of readers.
//!
//! Readers join at any offset, at any time, and never slow the writer. Segments are kept in memory
//! until they can be read from disk and memory is short. Where it is known how large the whole will be,
//! bytes can be shown before their segment is full, so that readers of a slow writer get something.
//! Invariants: the last segment is visible only once the digest of the whole is proven; a writer that
//! goes away without that is an error at every reader, never an end.

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
    /// Written by the writer alone, read by every reader, held for a few instructions only.
    state: Mutex<State>,
    /// Where segments are found that have left memory.
    source: Arc<dyn Source>,
    cache: Arc<SegmentCache>,
}

struct State {
    /// Segments in memory; the first one has index `first_segment`.
    segments: VecDeque<Bytes>,
    first_segment: u64,
    /// Segments below this index can be read from the source.
    stored_segments: u64,
    /// Where the last segment begins, once the size of the whole is known.
    held_from: Option<u64>,
    /// What is shown before its segment is full, without a gap up to `shown_bytes`.
    shown: VecDeque<Bytes>,
    shown_bytes: u64,
    /// Bytes that readers may have.
    visible_bytes: u64,
    outcome: Outcome,
    wakers: Vec<Waker>,
}

enum Outcome {
    Open,
    Proven,
    Abandoned(String),
}

/// What a reader finds at its offset.
#[derive(Debug)]
pub enum Tail {
    /// The bytes from the offset to the end of a segment.
    Bytes(Bytes),
    /// They are on disk: call [`InFlight::read_stored`], which blocks.
    Stored,
    /// The blob is whole and proven, and the offset is its end.
    End,
    /// The writer went away; no more bytes will come.
    Abandoned(String),
}

impl InFlight {
    pub(crate) fn new(source: Arc<dyn Source>, cache: Arc<SegmentCache>) -> Self {
        Self::resumed(source, cache, 0)
    }

    /// A blob whose first segments are stored already; the last of them is held back.
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

    /// What is at `offset`; pending until the writer gets there.
    pub fn poll_read(&self, offset: u64, context: &mut Context<'_>) -> Poll<Tail> {
        let mut state = self.lock();
        let tail = state.at(offset);
        if tail.is_none() {
            state.register(context.waker());
        }
        tail.map_or(Poll::Pending, Poll::Ready)
    }

    /// What is at `offset`, or `None` when the writer has not got there.
    #[must_use]
    pub fn try_read(&self, offset: u64) -> Option<Tail> {
        self.lock().at(offset)
    }

    /// The bytes from `offset` to the end of its segment, from disk. Blocks.
    pub fn read_stored(&self, offset: u64) -> Result<Bytes> {
        self.0.source.read(offset)
    }

    /// How many bytes readers may have at this moment.
    #[must_use]
    pub fn visible_bytes(&self) -> u64 {
        self.lock().visible_bytes
    }

    /// The whole size, once the digest is proven.
    #[must_use]
    pub fn size_bytes(&self) -> Option<u64> {
        let state = self.lock();
        matches!(state.outcome, Outcome::Proven).then_some(state.visible_bytes)
    }

    /// Reads bytes the writer appended, whether visible to readers or not.
    pub(crate) fn read_back(&self, offset: u64) -> Result<Bytes> {
        if let Some(bytes) = self.lock().in_memory(offset) {
            return Ok(bytes);
        }
        self.read_stored(offset)
    }

    /// Says how large the whole will be. From now on no more than its last segment is held back.
    pub fn expect(&self, size_bytes: u64) {
        let wakers = {
            let mut state = self.lock();
            let last = size_bytes.saturating_sub(1) / SEGMENT_BYTES as u64;
            state.held_from = Some(last * SEGMENT_BYTES as u64);
            state.see()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Shows bytes from `at` on that the writer is going to append, as far as they follow what there is
    /// and are not of the last segment. Copied: they may be pieces of something larger. Does nothing
    /// as long as nobody knows which segment that is.
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

    /// Adds a segment. The one before it becomes visible, because it is no longer the last.
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

    /// Says how many segments the source has, and lets go of them when memory is short.
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

    /// Whether all blobs in flight together keep too much.
    pub(crate) fn pressure(&self) -> Pressure {
        self.0.cache.pressure()
    }

    /// The same when they are in memory. Does not block.
    #[must_use]
    pub fn read_hot(&self, offset: u64) -> Option<Bytes> {
        self.0.source.hot(offset)
    }

    /// Segments that are stored go over from memory to their source, which may keep them for the next
    /// readers. Counted once: they are no longer those of a blob in flight.
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

    /// The digest is proven: everything becomes visible.
    pub(crate) fn prove(&self, size_bytes: u64) {
        self.end(Outcome::Proven, Some(size_bytes));
    }

    /// The writer goes away.
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

    /// A panic elsewhere cannot leave the state half changed: each change is one assignment.
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

    /// How many bytes the segments have; the last one may be shorter than it counts here.
    fn pushed_bytes(&self) -> u64 {
        (self.first_segment + self.segments.len() as u64) * SEGMENT_BYTES as u64
    }

    /// What readers may have by now; those who are to be told.
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

    /// Lets go of what is in segments by now; its bytes.
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

    /// Keeps one waker per reader: a task that polls twice is woken once.
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
