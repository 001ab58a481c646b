//! The seam for parts: the first segments of interrupted content, kept while there is room.
//!
//! Invariant: a resumed part has exactly its stored bytes, and their hash; it is resumed once.

use crate::Result;
use crate::blob::{BlobStore, BlobWriter};
use crate::part_key::PartKey;

/// A resumed part.
pub struct ResumedPart {
    /// A writer with the bytes of the part; it appends after them.
    pub writer: BlobWriter,
    /// The expected size of the whole content, in bytes.
    pub size_bytes: u64,
}

/// A blob store with parts: see [`BlobWriter::lay_down`]. Parts are forgotten at the end of the
/// process, past a bound on their number, after a time, and before any blob when space is short.
pub trait PartStore: BlobStore {
    /// Resumes a part; `None` when there is none with this key.
    fn take_up(&self, _key: &PartKey) -> Result<Option<ResumedPart>> {
        Ok(None)
    }
}
