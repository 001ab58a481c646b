//! The seam for content: `BlobStore`, what a backend gives to it, and the reader. The writer is in
//! `blob/writer.rs`. No backend and no HTTP here.
//!
//! Invariant: a backend never hashes and never sees bytes that were not hashed.

mod writer;

use std::sync::Arc;

use bytes::Bytes;
use wharf_oci::{Digest, HashState, Hashed, RepoName, Span};

use crate::hot::Pressure;
use crate::journal::Errand;
use crate::parts::PartKey;
use crate::{Result, StoreError};

pub use writer::{BlobWriter, ReadyBlob};

/// Content by digest. Four methods; everything else is built on them.
pub trait BlobStore: Send + Sync {
    /// Whether the blob is here, and how large.
    fn stat(&self, digest: &Digest) -> Result<Option<BlobInfo>>;

    /// A reader at the first byte. It stays good when the blob is removed meanwhile.
    fn open(&self, digest: &Digest) -> Result<Option<BlobReader>>;

    /// A writer of content whose digest need not be known yet. Nothing of it is kept unless it is
    /// verified and published.
    fn begin(&self) -> Result<BlobWriter>;

    /// Forgets the blob; `false` when it was not here.
    fn remove(&self, digest: &Digest) -> Result<bool>;
}

/// What is known of a published blob without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobInfo {
    /// Its address.
    pub digest: Digest,
    /// Its size.
    pub size_bytes: u64,
}

/// What may happen to a blob when space is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Retention {
    /// It can be fetched again: it may be evicted.
    Cached,
    /// It is nowhere else: only an explicit removal takes it. Wins when a blob is published as both.
    Kept,
}

/// How a blob is published.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate<'a> {
    /// As the retention says; linked to the repository, when there is one.
    Retained(Retention, Option<&'a RepoName>),
    /// Owed to an upstream: linked, and kept until it is delivered.
    Pending(&'a Errand),
}

/// What publishing came to.
pub(crate) struct Published {
    pub(crate) info: BlobInfo,
    /// Whether the bytes of this writer are the ones that are kept; `false` when another writer
    /// published the same content first.
    pub(crate) own: bool,
}

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

/// Where a backend takes segments; all but the last have exactly [`SEGMENT_BYTES`](crate::limits::SEGMENT_BYTES).
pub(crate) trait Sink: Send {
    /// Takes the next segment.
    fn put(&mut self, segment: Bytes) -> Result<()>;

    /// Whether what it took should be made readable now; under pressure sooner.
    fn is_full(&self, _pressure: Pressure) -> bool {
        false
    }

    /// Begins to make readable what it took. `hash` is asked by the sink of an upload that outlives
    /// the process: what everything taken hashes to is durable with it.
    fn end_run(&mut self, _hash: &mut dyn FnMut() -> HashState) -> Result<()> {
        Ok(())
    }

    /// Makes readable all it took and keeps no memory for it. `size_bytes` is that of the whole
    /// content, once everything is here.
    fn settle(
        &mut self,
        _hash: &mut dyn FnMut() -> HashState,
        _size_bytes: Option<u64>,
    ) -> Result<()> {
        Ok(())
    }

    /// How many segments the source of [`Sink::source`] can give.
    fn stored_segments(&self) -> u64;

    /// How readers get at stored segments.
    fn source(&self) -> Arc<dyn Source>;

    /// Makes everything durable and visible under its digest, at once or not at all.
    fn publish(self: Box<Self>, hashed: Hashed, fate: Fate<'_>) -> Result<Published>;

    /// Makes everything taken, and `tail` after it, durable for an upload that is to rest. The sink is
    /// dropped next, and what it saved stays.
    fn suspend(&mut self, _hash: HashState, _tail: &[u8]) -> Result<()> {
        Ok(())
    }

    /// Makes readable all it took, of which `hash` is, and keeps it for whoever takes up `key`, with
    /// the size of the whole. The sink is dropped next.
    fn lay_down(&mut self, _hash: HashState, _key: PartKey, _size_bytes: u64) -> Result<()> {
        Ok(())
    }

    /// The sink is dropped next, and what is durable of an upload that is to rest stays as it is.
    fn leave(&mut self) {}
}

/// Published content, or a part of it, from the first byte to the last. A clone reads for itself.
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

    /// What is read.
    #[must_use]
    pub const fn info(&self) -> BlobInfo {
        self.info
    }

    /// Only this part; a span past the end is cut to it.
    #[must_use]
    pub const fn narrow(mut self, span: Span) -> Self {
        let size = self.info.size_bytes;
        self.at = if span.start() < size { span.start() } else { size };
        self.end = if span.end() < size { span.end() } else { size };
        self
    }

    /// How many bytes are still to come.
    #[must_use]
    pub const fn left_bytes(&self) -> u64 {
        self.end - self.at
    }

    /// The next bytes when they are in memory; `None` when they are not, and at the end. Does not
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

    /// Cuts what was read to the part, and goes on behind it.
    fn take(&mut self, mut bytes: Bytes) -> Bytes {
        let left = self.left_bytes();
        if bytes.len() as u64 > left {
            bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        }
        self.at += bytes.len() as u64;
        bytes
    }
}
