//! Reused memory for segments: fresh memory costs a page fault for every 4 KiB, more than a copy
//! into it.
//!
//! Invariant: a buffer is in one place: being filled, shared as `Bytes`, or in the free
//! list. The list is bounded. A segment counts once, from its creation to the drop of its last reference.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::limits::{SEGMENT_BUFFERS_MAX, SEGMENT_BYTES};

static FREE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Bytes of live segments, of every store of the process.
static MADE: AtomicU64 = AtomicU64::new(0);

/// Bytes of live segments; a shared segment counts once.
pub(crate) fn made_bytes() -> u64 {
    MADE.load(Ordering::Relaxed)
}

/// A segment, counted for as long as a reference to it lives.
struct CountedSegment<B>(B, u64);

impl<B: AsRef<[u8]>> CountedSegment<B> {
    fn new(buffer: B) -> Self {
        let bytes = buffer.as_ref().len() as u64;
        MADE.fetch_add(bytes, Ordering::Relaxed);
        Self(buffer, bytes)
    }
}

impl<B: AsRef<[u8]>> AsRef<[u8]> for CountedSegment<B> {
    fn as_ref(&self) -> &[u8] {
        self.0.as_ref()
    }
}

impl<B> Drop for CountedSegment<B> {
    fn drop(&mut self) {
        MADE.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// Memory for one segment; it returns to the free list on drop, also as `Bytes`.
#[derive(Debug)]
pub(crate) struct SegmentBuffer(Vec<u8>);

impl SegmentBuffer {
    /// An empty buffer; it has no memory before its first byte.
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Appends bytes; the caller keeps to the size of a segment.
    pub(crate) fn extend_from_slice(&mut self, bytes: &[u8]) {
        if self.0.capacity() == 0 {
            let free = FREE.lock().unwrap_or_else(PoisonError::into_inner).pop();
            self.0 = free.unwrap_or_else(|| Vec::with_capacity(SEGMENT_BYTES));
        } else if self.0.capacity() - self.0.len() < bytes.len() {
            self.0.reserve_exact(SEGMENT_BYTES.saturating_sub(self.0.len()));
        }
        self.0.extend_from_slice(bytes);
    }

    /// Shrinks the memory to the content, until the next append.
    pub(crate) fn compact(&mut self) {
        if self.0.len() < SEGMENT_BYTES / 2 {
            *self = Self(self.0.as_slice().to_vec());
        }
    }

    /// The content as `Bytes`. Short content gets memory of its own, so it holds no whole buffer.
    pub(crate) fn freeze(self) -> Bytes {
        if self.0.len() < SEGMENT_BYTES / 2 {
            let few: Box<[u8]> = self.0.as_slice().into();
            return Bytes::from_owner(CountedSegment::new(few));
        }
        Bytes::from_owner(CountedSegment::new(self))
    }
}

impl AsRef<[u8]> for SegmentBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for SegmentBuffer {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.0);
        if buffer.capacity() < SEGMENT_BYTES {
            return;
        }
        buffer.clear();
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < SEGMENT_BUFFERS_MAX {
            free.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_not_used_again_while_someone_has_its_bytes() {
        let mut first = SegmentBuffer::new();
        first.extend_from_slice(&vec![1; SEGMENT_BYTES]);
        let bytes = first.freeze();
        let part = bytes.slice(7..9);
        drop(bytes);
        let mut second = SegmentBuffer::new();
        assert_eq!(second.len(), 0);
        second.extend_from_slice(&vec![2; SEGMENT_BYTES]);
        assert_eq!(part, [1, 1].as_slice());
        second.compact();
        assert_eq!(second.len(), SEGMENT_BYTES);
        let mut few = SegmentBuffer::new();
        few.extend_from_slice(b"f");
        few.compact();
        assert_eq!(few.0.capacity(), 1);
        few.extend_from_slice(b"ew");
        assert_eq!(few.0.capacity(), SEGMENT_BYTES);
        assert_eq!(few.freeze(), b"few".as_slice());
    }
}
