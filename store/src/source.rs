//! The seam for reading: segments as a backend gives them back.

use bytes::Bytes;

use crate::Result;

/// Where a backend keeps segments, as readers see it.
pub(crate) trait Source: Send + Sync {
    /// The bytes from `offset` to the end of the segment that holds it; never empty for an offset
    /// within the content.
    fn read(&self, offset: u64) -> Result<Bytes>;

    /// The same when they are in memory. Does not block.
    fn hot(&self, _offset: u64) -> Option<Bytes> {
        None
    }

    /// Offers a segment that is in memory, to be served from there.
    fn keep(&self, _index: u64, _segment: Bytes) {}
}
