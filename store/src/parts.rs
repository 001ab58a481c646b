//! The seam for the begin of content that broke off, kept while there is room for it.
//!
//! Invariant: what is taken up is exactly the first bytes that were laid down, and their hash; it is
//! taken up once.

use crate::Result;
use crate::blob::{BlobStore, BlobWriter};
use crate::part_key::PartKey;

/// A part that is gone on with.
pub struct ResumedPart {
    /// It has the bytes of the part, and takes those that follow them.
    pub writer: BlobWriter,
    /// How large the whole was said to be.
    pub size_bytes: u64,
}

/// A blob store that keeps parts: see [`BlobWriter::lay_down`]. They are forgotten when the process
/// ends, when there are too many, after a time, and before anything else when space is short.
pub trait PartStore: BlobStore {
    /// Goes on with a part; `None` when there is none.
    fn take_up(&self, _key: &PartKey) -> Result<Option<ResumedPart>> {
        Ok(None)
    }
}
