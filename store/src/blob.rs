//! The seam for content: `BlobStore`, its reader and its writer. No backend and no HTTP here.
//!
//! Invariant: a backend never hashes and never sees bytes that were not hashed. The writer is not a
//! backend's to write: it hashes each byte, cuts segments, and hands them to the backend's `Sink`.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use wharf_oci::{Algorithm, Digest, Digester, Hashed, Mismatch, Span};

use crate::in_flight::{InFlight, MemoryBudget};
use crate::limits::{SEGMENT_BYTES, SMALL_BLOB_BYTES_MAX};
use crate::{Result, StoreError};

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

/// Where a backend keeps segments, as readers see it.
pub(crate) trait Source: Send + Sync {
    /// The bytes from `offset` to the end of the segment that holds it; never empty for an offset
    /// within the content.
    fn read(&self, offset: u64) -> Result<Bytes>;
}

/// Where a backend takes segments; all but the last have exactly [`SEGMENT_BYTES`].
pub(crate) trait Sink: Send {
    /// Takes the next segment. `hurry` asks to make what it has readable soon: memory is short.
    fn put(&mut self, segment: Bytes, hurry: bool) -> Result<()>;

    /// How many segments the source of [`Sink::source`] can give.
    fn stored_segments(&self) -> u64;

    /// How readers get at stored segments.
    fn source(&self) -> Arc<dyn Source>;

    /// Makes everything durable and visible under `digest`, at once or not at all.
    fn publish(self: Box<Self>, hashed: Hashed) -> Result<BlobInfo>;
}

/// Published content, or a part of it, from the first byte to the last.
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

    /// The next bytes, at most a segment; `None` at the end. Blocks.
    pub fn next_segment(&mut self) -> Result<Option<Bytes>> {
        if self.at >= self.end {
            return Ok(None);
        }
        let mut bytes = self.source.read(self.at)?;
        if bytes.is_empty() {
            return Err(StoreError::Corrupt {
                operation: "reading",
                key: self.info.digest.to_string(),
                reason: format!("a segment is empty at byte {}", self.at),
            });
        }
        let left = self.left_bytes();
        if bytes.len() as u64 > left {
            bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        }
        self.at += bytes.len() as u64;
        Ok(Some(bytes))
    }
}

/// Content that arrives. Dropping it forgets everything and tells every reader so.
pub struct BlobWriter {
    digester: Digester,
    sink: Box<dyn Sink>,
    in_flight: InFlight,
    /// The segment that is being filled.
    filling: BytesMut,
    /// Set once the writer was used up by `verify`, so that the drop does not abandon.
    done: bool,
}

impl BlobWriter {
    pub(crate) fn new(sink: Box<dyn Sink>, budget: Arc<MemoryBudget>) -> Self {
        let in_flight = InFlight::new(sink.source(), budget);
        Self {
            digester: Digester::new(Algorithm::Sha256),
            sink,
            in_flight,
            filling: BytesMut::new(),
            done: false,
        }
    }

    /// Hashes by another algorithm than SHA-256. Only before the first byte; later it is ignored
    /// and `verify` reads everything again.
    #[must_use]
    pub fn hashing(mut self, algorithm: Algorithm) -> Self {
        if self.size_bytes() == 0 {
            self.digester = Digester::new(algorithm);
        }
        self
    }

    /// How many bytes were appended.
    #[must_use]
    pub const fn size_bytes(&self) -> u64 {
        self.digester.size_bytes()
    }

    /// For readers, from any thread, at any time.
    #[must_use]
    pub fn in_flight(&self) -> InFlight {
        self.in_flight.clone()
    }

    /// Takes the next bytes. Blocks on the disk.
    pub fn append(&mut self, mut bytes: Bytes) -> Result<()> {
        self.digester.update(&bytes);
        while !bytes.is_empty() {
            if self.filling.is_empty() && bytes.len() >= SEGMENT_BYTES {
                let segment = bytes.split_to(SEGMENT_BYTES);
                self.push(segment)?;
                continue;
            }
            if self.filling.capacity() == 0 {
                self.filling.reserve(SEGMENT_BYTES);
            }
            let part = bytes.split_to(bytes.len().min(SEGMENT_BYTES - self.filling.len()));
            self.filling.extend_from_slice(&part);
            if self.filling.len() == SEGMENT_BYTES {
                let segment = std::mem::take(&mut self.filling).freeze();
                self.push(segment)?;
            }
        }
        Ok(())
    }

    /// Proves that everything appended is `digest`. On success readers get the last segment; on a
    /// mismatch all is forgotten.
    pub fn verify(mut self, digest: &Digest) -> Result<std::result::Result<ReadyBlob, Mismatch>> {
        if !self.filling.is_empty() {
            let segment = std::mem::take(&mut self.filling).freeze();
            self.push(segment)?;
        }
        let hashed = self.hash_by(digest.algorithm())?;
        if let Err(mismatch) = hashed.expect(digest) {
            self.in_flight.abandon(mismatch.to_string());
            return Ok(Err(mismatch));
        }
        self.in_flight.prove(hashed.size_bytes);
        Ok(Ok(ReadyBlob { writer: self, hashed }))
    }

    /// The digest of everything by `algorithm`; read again only when another one ran.
    fn hash_by(&self, algorithm: Algorithm) -> Result<Hashed> {
        if self.digester.algorithm() == algorithm {
            return Ok(self.digester.clone().finish());
        }
        let mut digester = Digester::new(algorithm);
        while digester.size_bytes() < self.size_bytes() {
            digester.update(&self.in_flight.read_back(digester.size_bytes())?);
        }
        Ok(digester.finish())
    }

    /// The bare sink, for a store that wraps another.
    #[cfg(any(test, feature = "test-util"))]
    pub(crate) fn into_sink(mut self) -> Box<dyn Sink> {
        self.done = true;
        std::mem::replace(&mut self.sink, Box::new(Spent))
    }

    fn push(&mut self, segment: Bytes) -> Result<()> {
        self.in_flight.push(segment.clone());
        self.sink.put(segment, self.in_flight.memory_is_short())?;
        self.in_flight.stored(self.sink.stored_segments());
        Ok(())
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        if !self.done {
            self.in_flight.abandon("its writer stopped before the end");
        }
    }
}

/// Content whose digest is proven. Dropping it forgets the bytes; readers that are under way still
/// get all that is in memory.
pub struct ReadyBlob {
    writer: BlobWriter,
    hashed: Hashed,
}

impl ReadyBlob {
    /// What was proven.
    #[must_use]
    pub const fn info(&self) -> BlobInfo {
        BlobInfo { digest: self.hashed.digest, size_bytes: self.hashed.size_bytes }
    }

    /// Keeps it: durable when this returns. Blocks.
    pub fn publish(mut self) -> Result<BlobInfo> {
        self.writer.done = true;
        let sink = std::mem::replace(&mut self.writer.sink, Box::new(Spent));
        let info = sink.publish(self.hashed)?;
        // A small blob that another writer published first has no bytes of its own on disk, so its
        // readers keep those in memory.
        if self.hashed.size_bytes > SMALL_BLOB_BYTES_MAX {
            self.writer.in_flight.stored(self.hashed.size_bytes.div_ceil(SEGMENT_BYTES as u64));
        }
        Ok(info)
    }
}

/// What is left in a writer whose sink was published.
struct Spent;

impl Sink for Spent {
    fn put(&mut self, _: Bytes, _: bool) -> Result<()> {
        Err(StoreError::Abandoned { reason: "the blob was published".to_owned() })
    }

    fn stored_segments(&self) -> u64 {
        0
    }

    fn source(&self) -> Arc<dyn Source> {
        Arc::new(Self)
    }

    fn publish(self: Box<Self>, _: Hashed) -> Result<BlobInfo> {
        Err(StoreError::Abandoned { reason: "the blob was published".to_owned() })
    }
}

impl Source for Spent {
    fn read(&self, _: u64) -> Result<Bytes> {
        Err(StoreError::Abandoned { reason: "the blob was published".to_owned() })
    }
}
