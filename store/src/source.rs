//! The seam for reading: the segments of a backend.

use bytes::Bytes;

use crate::Result;

/// A reader's view of the segments of one blob.
pub(crate) trait Source: Send + Sync {
    /// The bytes from `offset` to the end of its segment; never empty within the content.
    fn read(&self, offset: u64) -> Result<Bytes>;

    /// The same from memory, else `None`. Does not block.
    fn hot(&self, _offset: u64) -> Option<Bytes> {
        None
    }

    /// Offers a segment from memory for the segment cache.
    fn keep(&self, _index: u64, _segment: Bytes) {}
}
