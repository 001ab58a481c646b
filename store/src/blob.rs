//! The seam for content: `BlobStore`, and the reader. The writer is in `blob/writer.rs`; the traits
//! of a backend are in `sink.rs` and `source.rs`. No backend and no HTTP here.
//!
//! Invariant: a backend never hashes, and gets hashed bytes only.

mod writer;

use std::sync::Arc;

use bytes::Bytes;
use wharf_oci::{Digest, Span};

use crate::blob_info::BlobInfo;
use crate::source::Source;
use crate::{Result, StoreError};

pub use writer::{BlobWriter, ReadyBlob};

/// Content by digest. Four methods; everything else builds on them.
pub trait BlobStore: Send + Sync {
    /// The size of the blob; `None` when it is not here.
    fn stat(&self, digest: &Digest) -> Result<Option<BlobInfo>>;

    /// A reader at the first byte. It stays valid after a removal of the blob.
    fn open(&self, digest: &Digest) -> Result<Option<BlobReader>>;

    /// A writer of content with or without a known digest. Only verified and published content is
    /// kept.
    fn begin(&self) -> Result<BlobWriter>;

    /// Forgets the blob; `false` when it was not here.
    fn remove(&self, digest: &Digest) -> Result<bool>;
}

/// A reader of published content, or of a span of it. A clone reads independently.
#[derive(Clone)]
pub struct BlobReader {
    info: BlobInfo,
    source: Arc<dyn Source>,
    at: u64,
    end: u64,
}

impl BlobReader {
    pub(crate) const fn new(info: BlobInfo, source: Arc<dyn Source>) -> Self {
        Self { info, source, at: 0, end: info.size_bytes }
    }

    /// Digest and size of the blob.
    #[must_use]
    pub const fn info(&self) -> BlobInfo {
        self.info
    }

    /// Limits the reader to a span; the span is cut at the end of the blob.
    #[must_use]
    pub const fn narrow(mut self, span: Span) -> Self {
        let size = self.info.size_bytes;
        self.at = if span.start() < size { span.start() } else { size };
        self.end = if span.end() < size { span.end() } else { size };
        self
    }

    /// The number of bytes left.
    #[must_use]
    pub const fn left_bytes(&self) -> u64 {
        self.end - self.at
    }

    /// The next bytes from memory; `None` when they are not in memory, and at the end. Does not
    /// block.
    pub fn next_hot(&mut self) -> Option<Bytes> {
        if self.at >= self.end {
            return None;
        }
        let bytes = self.source.hot(self.at).filter(|bytes| !bytes.is_empty())?;
        Some(self.take(bytes))
    }

    /// The next bytes, at most a segment; `None` at the end. Blocks.
    pub fn next_segment(&mut self) -> Result<Option<Bytes>> {
        if self.at >= self.end {
            return Ok(None);
        }
        let bytes = self.source.read(self.at)?;
        if bytes.is_empty() {
            return Err(StoreError::Corrupt {
                operation: "reading",
                key: self.info.digest.to_string(),
                reason: format!("a segment is empty at byte {}", self.at),
            });
        }
        Ok(Some(self.take(bytes)))
    }

    /// Cuts the bytes at the end of the span, and advances.
    fn take(&mut self, mut bytes: Bytes) -> Bytes {
        let left = self.left_bytes();
        if bytes.len() as u64 > left {
            bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        }
        self.at += bytes.len() as u64;
        bytes
    }
}
