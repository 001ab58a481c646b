//! The chunk size of one registry: learned from accepted and refused chunks, and used by every
//! upload to it.
//!
//! Invariant: a size between `CHUNK_BYTES_MIN`, or the registry's own minimum, and
//! `CHUNK_BYTES_MAX`; a refused size is not tried again for a while, and only one upload at a time
//! tries a larger one.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits::{
    CHUNK_BYTES, CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, CHUNK_REFUSED_TIME, CHUNK_TIME_MAX,
};
use crate::runtime::mutex::Mutex;

/// The chunk sizes of one registry.
pub(crate) struct ChunkSizes {
    state: Mutex<State>,
}

struct State {
    size_bytes: u64,
    /// The registry's minimum; only the last chunk may be shorter.
    floor_bytes: u64,
    /// A refused size, and until when the refusal counts.
    refused: Option<(u64, Instant)>,
    probing: bool,
}

/// A chunk of an upload, to be sent next.
pub(crate) struct Chunk<'a> {
    chunks: &'a ChunkSizes,
    /// The size of the chunk.
    pub(crate) bytes: u64,
    probe: bool,
}

impl Default for ChunkSizes {
    fn default() -> Self {
        let state =
            State { size_bytes: CHUNK_BYTES, floor_bytes: 0, refused: None, probing: false };
        Self { state: Mutex::new(state) }
    }
}

impl ChunkSizes {
    /// The largest chunk without a probe for a larger size.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.state.lock().size_bytes
    }

    /// Records the minimum announced by the registry.
    pub(crate) fn announced(&self, floor_bytes: u64) {
        let mut state = self.state.lock();
        state.floor_bytes = floor_bytes.min(CHUNK_BYTES_MAX);
        state.size_bytes = state.size_bytes.max(state.floor_bytes);
    }

    pub(crate) fn floor_bytes(&self) -> u64 {
        self.state.lock().floor_bytes
    }

    /// The next chunk of the bytes ready to be sent, no more than `most`. A larger size is probed
    /// only when enough bytes are ready: a slow client would gain nothing from it.
    pub(crate) fn next(&self, there_bytes: u64, most: u64) -> Chunk<'_> {
        let mut state = self.state.lock();
        let most = most.max(state.floor_bytes);
        let larger = state.size_bytes * 2;
        let allowed = match state.refused {
            Some((bytes, until)) if Instant::now() < until => larger < bytes,
            _ => true,
        };
        let probe = allowed
            && !state.probing
            && larger <= CHUNK_BYTES_MAX
            && larger <= most.min(there_bytes);
        state.probing |= probe;
        let bytes = if probe { larger } else { state.size_bytes.min(there_bytes).min(most) };
        Chunk { chunks: self, bytes, probe }
    }
}

impl Chunk<'_> {
    /// The registry accepted the chunk, in this time.
    pub(crate) fn taken(self, time: Duration) {
        if self.probe && time <= CHUNK_TIME_MAX {
            self.chunks.state.lock().size_bytes = self.bytes;
        }
    }

    /// The registry refused the chunk as too large.
    pub(crate) fn too_large(self) {
        let mut state = self.chunks.state.lock();
        state.refused = Some((self.bytes, Instant::now() + CHUNK_REFUSED_TIME));
        if state.size_bytes >= self.bytes {
            state.size_bytes = (self.bytes / 2).max(CHUNK_BYTES_MIN).max(state.floor_bytes);
        }
    }

    /// The chunk did not arrive. A larger size than usual may be the reason: some registries just
    /// hang up.
    pub(crate) fn lost(self) {
        if self.probe {
            self.chunks.state.lock().refused =
                Some((self.bytes, Instant::now() + CHUNK_REFUSED_TIME));
        }
    }
}

impl Drop for Chunk<'_> {
    fn drop(&mut self) {
        if self.probe {
            self.chunks.state.lock().probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_secs(1);
    const ALL: u64 = u64::MAX;

    #[tokio::test(start_paused = true)]
    async fn what_is_taken_quickly_becomes_the_size_and_what_is_refused_the_bound() {
        let chunks = ChunkSizes::default();
        assert_eq!(chunks.next(CHUNK_BYTES, ALL).bytes, CHUNK_BYTES);
        assert_eq!(chunks.next(5, ALL).bytes, 5);
        let probe = chunks.next(ALL, ALL);
        assert_eq!(probe.bytes, CHUNK_BYTES * 2);
        // One at a time.
        assert_eq!(chunks.next(ALL, ALL).bytes, CHUNK_BYTES);
        probe.taken(QUICK);
        let refused = chunks.next(ALL, ALL);
        assert_eq!(refused.bytes, CHUNK_BYTES * 4);
        refused.too_large();
        assert_eq!(chunks.size_bytes(), CHUNK_BYTES * 2);
        assert_eq!(chunks.next(ALL, ALL).bytes, CHUNK_BYTES * 2);
        tokio::time::advance(CHUNK_REFUSED_TIME).await;
        assert_eq!(chunks.next(ALL, ALL).bytes, CHUNK_BYTES * 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_size_shrinks_to_what_is_taken_and_never_below_the_least() {
        let chunks = ChunkSizes::default();
        for _ in 0..20 {
            chunks.next(CHUNK_BYTES, ALL).too_large();
        }
        assert_eq!(chunks.size_bytes(), CHUNK_BYTES_MIN);
        // The double of the least was refused: it is not tried.
        assert!(chunks.next(ALL, ALL).bytes == CHUNK_BYTES_MIN);
    }

    #[tokio::test(start_paused = true)]
    async fn slow_and_lost_ones_do_not_make_it_larger() {
        let chunks = ChunkSizes::default();
        chunks.next(ALL, ALL).taken(CHUNK_TIME_MAX * 2);
        assert_eq!(chunks.size_bytes(), CHUNK_BYTES);
        chunks.next(ALL, ALL).lost();
        assert_eq!(chunks.next(ALL, ALL).bytes, CHUNK_BYTES);
        // A smaller limit of this upload holds.
        assert_eq!(chunks.next(ALL, 7).bytes, 7);
    }

    #[tokio::test(start_paused = true)]
    async fn no_chunk_is_shorter_than_the_upstream_wants() {
        let (chunks, floor) = (ChunkSizes::default(), CHUNK_BYTES + 5);
        chunks.announced(floor);
        assert_eq!(chunks.floor_bytes(), floor);
        for _ in 0..20 {
            // The minimum wins over the upload's limit and over a refused size.
            let chunk = chunks.next(floor + 1, 7);
            assert_eq!(chunk.bytes, floor);
            chunk.too_large();
        }
        // The last one is as long as it is.
        assert_eq!(chunks.next(3, ALL).bytes, 3);
        chunks.announced(u64::MAX);
        assert_eq!(chunks.size_bytes(), CHUNK_BYTES_MAX);
        chunks.announced(0);
        assert_eq!(chunks.floor_bytes(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn sizes_stay_between_their_bounds() {
        let chunks = ChunkSizes::default();
        for _ in 0..20 {
            chunks.next(ALL, ALL).taken(QUICK);
        }
        assert_eq!(chunks.size_bytes(), CHUNK_BYTES_MAX);
    }
}
