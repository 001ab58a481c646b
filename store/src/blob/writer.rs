//! Incoming content: the writer, and the blob with a proven digest. The same for all backends; a
//! backend sees segments only (`Sink`).
//!
//! Invariant: every byte is hashed, and only content with the expected digest is published.

use std::sync::Arc;

use bytes::Bytes;
use wharf_oci::{Algorithm, Digest, Digester, HashResult, HashState, Mismatch, RepoName};

use crate::blob_info::{BlobInfo, Retention};
use crate::buffers::SegmentBuffer;
use crate::hashing::{Digesters, Hashing};
use crate::in_flight::InFlight;
use crate::journal::{Delivery, Errand};
use crate::limits::SEGMENT_BYTES;
use crate::part_key::PartKey;
use crate::segment_cache::{Pressure, SegmentCache};
use crate::sink::{PublishAs, Published, Sink};
use crate::source::Source;
use crate::{Result, StoreError};

/// The writer of a blob. A drop forgets the content and fails every reader.
pub struct BlobWriter {
    /// The hash of whole segments; `filling` is hashed when it is full, or at the end.
    hashing: Hashing,
    size_bytes: u64,
    sink: Box<dyn Sink>,
    in_flight: InFlight,
    /// The unfinished segment.
    filling: SegmentBuffer,
    /// Set by `verify`, so the drop does not abandon the blob.
    done: bool,
}

impl BlobWriter {
    pub(crate) fn new(sink: Box<dyn Sink>, cache: Arc<SegmentCache>) -> Self {
        let in_flight = InFlight::new(sink.source(), cache);
        let first = Digester::new(Algorithm::Sha256);
        let hashing = Hashing::new(Digesters { first, second: None });
        let filling = SegmentBuffer::new();
        Self { hashing, size_bytes: 0, sink, in_flight, filling, done: false }
    }

    /// Continues a saved writer: the segments of the sink hash to `first`, and `tail` follows them.
    pub(crate) fn resumed(
        sink: Box<dyn Sink>,
        cache: Arc<SegmentCache>,
        first: Digester,
        tail: &[u8],
    ) -> Self {
        let in_flight = InFlight::resumed(sink.source(), cache, sink.stored_segments());
        let mut filling = SegmentBuffer::new();
        filling.extend_from_slice(tail);
        let size_bytes = first.size_bytes() + tail.len() as u64;
        let hashing = Hashing::new(Digesters { first, second: None });
        Self { hashing, size_bytes, sink, in_flight, filling, done: false }
    }

    /// Sets the hash algorithm instead of SHA-256. After the first byte this is ignored, and
    /// `verify` reads everything again.
    #[must_use]
    pub fn hashing(mut self, algorithm: Algorithm) -> Self {
        if self.size_bytes == 0 {
            self.hashing.finished().first = Digester::new(algorithm);
        }
        self
    }

    /// Adds a second hash algorithm, so `verify` accepts either without another read. Works before
    /// the first byte only; costs a second hash of everything.
    #[must_use]
    pub fn also_hashing(mut self, algorithm: Algorithm) -> Self {
        let digesters = self.hashing.finished();
        if self.size_bytes == 0 && digesters.of(algorithm).is_none() {
            digesters.second = Some(Digester::new(algorithm));
        }
        self
    }

    /// Reserves disk space for the rest of content of this size, after an eviction if there is none.
    /// From now on no append of it ends with [`StoreError::Full`], unless others fill the disk.
    /// [`StoreError::Full`] when there is no room: nothing is appended, and the writer works on as
    /// before. Blocks on the disk.
    pub fn make_room(&mut self, size_bytes: u64) -> Result<()> {
        let appended = self.size_bytes - self.filling.len() as u64;
        self.sink.make_room(size_bytes.saturating_sub(appended))
    }

    /// The number of appended bytes.
    #[must_use]
    pub const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// A handle for readers, from any thread, at any time.
    #[must_use]
    pub fn in_flight(&self) -> InFlight {
        self.in_flight.clone()
    }

    /// Appends bytes. Blocks on the disk.
    pub fn append(&mut self, mut bytes: Bytes) -> Result<()> {
        while !bytes.is_empty() {
            let room = SEGMENT_BYTES - self.filling.len();
            let part = bytes.split_to(bytes.len().min(room));
            self.size_bytes += part.len() as u64;
            if part.len() == SEGMENT_BYTES {
                self.push(part)?;
                continue;
            }
            self.filling.extend_from_slice(&part);
            if self.filling.len() == SEGMENT_BYTES {
                let segment = self.take_filled();
                self.push(segment)?;
            }
        }
        Ok(())
    }

    /// Makes all whole segments readable from disk, and frees their memory. Blocks on the disk.
    pub fn flush_run(&mut self) -> Result<()> {
        let hash = self.hash_state();
        self.sink.flush_run(hash, None)?;
        // Segments in the hashing queue take memory too, and so does unused room for the next
        // bytes.
        let _ = self.hashing.finished();
        self.filling.compact();
        self.let_go();
        Ok(())
    }

    /// The state after all whole segments, for a resumable sink; `None` for any other, without waiting
    /// for the hash.
    fn hash_state(&mut self) -> Option<HashState> {
        self.sink.is_resumable().then(|| self.hashing.finished().first.save())
    }

    fn let_go(&self) {
        self.in_flight.stored(self.sink.stored_segments());
        self.in_flight.hand_over();
    }

    /// Proves the digest of the content. Readers get the last segment; after a mismatch everything
    /// is forgotten.
    pub fn verify(mut self, digest: &Digest) -> Result<std::result::Result<ReadyBlob, Mismatch>> {
        let hashed = self.hash_by(digest.algorithm())?;
        if let Err(mismatch) = hashed.expect(digest) {
            self.in_flight.abandon(mismatch.to_string());
            return Ok(Err(mismatch));
        }
        // Readers get the last segment now; the sink gets it at the publication.
        let last = (self.filling.len() > 0).then(|| self.take_filled());
        if let Some(last) = &last {
            self.in_flight.push(last.clone());
        }
        self.in_flight.prove(hashed.size_bytes);
        let short = self.in_flight.pressure() > Pressure::None;
        let mut ready = ReadyBlob { writer: self, hashed, last, flushed: false };
        if short {
            ready.flush_run()?;
        }
        Ok(Ok(ready))
    }

    /// Suspends an upload of [`UploadStore`](crate::UploadStore): all bytes are durable, and the
    /// upload can be resumed, by another process too. Any other writer is dropped.
    pub fn suspend(mut self) -> Result<()> {
        self.in_flight.abandon("the upload rests until it is resumed");
        let hash = self.hashing.finished().first.save();
        self.sink.suspend(hash, self.filling.as_ref())
    }

    /// Keeps the whole segments as a part ([`PartStore`](crate::PartStore)) and forgets the rest.
    /// `size_bytes` is the size of the whole content. Blocks on the disk.
    pub fn lay_down(mut self, key: PartKey, size_bytes: u64) -> Result<()> {
        self.in_flight.abandon("its writer stopped before the end");
        let hash = self.hashing.finished().first.save();
        self.sink.lay_down(hash, key, size_bytes)
    }

    /// The digest of everything by `algorithm`; another read when only another algorithm ran.
    fn hash_by(&mut self, algorithm: Algorithm) -> Result<HashResult> {
        let running = self.hashing.finished().of(algorithm).cloned();
        let mut digester = match running {
            Some(digester) => digester,
            None => self.read_again(algorithm)?,
        };
        digester.update(self.filling.as_ref());
        Ok(digester.finish())
    }

    /// The hash of whole segments, by another read.
    fn read_again(&self, algorithm: Algorithm) -> Result<Digester> {
        let mut digester = Digester::new(algorithm);
        let whole_segments = self.size_bytes - self.filling.len() as u64;
        while digester.size_bytes() < whole_segments {
            digester.update(&self.in_flight.read_back(digester.size_bytes())?);
        }
        Ok(digester)
    }

    /// Puts another sink around the sink, for a store around another.
    #[cfg(any(test, feature = "test-util"))]
    pub(crate) fn wrap(mut self, around: impl FnOnce(Box<dyn Sink>) -> Box<dyn Sink>) -> Self {
        let sink = std::mem::replace(&mut self.sink, Box::new(Consumed));
        self.sink = around(sink);
        self
    }

    /// Appends a whole segment: it is hashed while it is stored.
    fn push(&mut self, segment: Bytes) -> Result<()> {
        self.hashing.push(segment.clone());
        self.store(segment)?;
        if self.sink.is_full(self.in_flight.pressure()) {
            let hash = self.hash_state();
            self.sink.end_run(hash)?;
            self.in_flight.stored(self.sink.stored_segments());
        }
        Ok(())
    }

    fn take_filled(&mut self) -> Bytes {
        std::mem::replace(&mut self.filling, SegmentBuffer::new()).freeze()
    }

    fn store(&mut self, segment: Bytes) -> Result<()> {
        self.in_flight.push(segment.clone());
        self.sink.put(segment)?;
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

/// Content with a proven digest. A drop forgets the bytes; current readers still get the bytes in
/// memory.
pub struct ReadyBlob {
    writer: BlobWriter,
    hashed: HashResult,
    /// The last segment, when it is short and not in the sink yet.
    last: Option<Bytes>,
    flushed: bool,
}

impl ReadyBlob {
    /// Digest and size of the content.
    #[must_use]
    pub const fn info(&self) -> BlobInfo {
        BlobInfo { digest: self.hashed.digest, size_bytes: self.hashed.size_bytes }
    }

    /// Makes the whole content readable from disk before its publication, so it takes no memory
    /// meanwhile. Blocks.
    pub fn flush_run(&mut self) -> Result<()> {
        self.flushed = true;
        self.put_last()?;
        self.writer.sink.flush_run(None, Some(self.hashed.size_bytes))?;
        self.writer.let_go();
        Ok(())
    }

    /// Publishes the blob: durable when this returns. Blocks.
    pub fn publish(self, retention: Retention) -> Result<BlobInfo> {
        self.publish_as(PublishAs::Retained(retention, None))
    }

    /// Publishes the blob with a link of a repository: both are durable when this returns, or
    /// neither, so no blob is without a link. Blocks.
    pub fn publish_into(self, retention: Retention, repo: &RepoName) -> Result<BlobInfo> {
        self.publish_as(PublishAs::Retained(retention, Some(repo)))
    }

    /// Publishes the blob until its delivery: the blob, its link to the errand's repository and the
    /// delivery are durable when this returns, or none of them. Blocks.
    pub fn publish_pending(self, errand: &Errand) -> Result<Delivery> {
        self.publish_as(PublishAs::Pending(errand)).map(|info| errand.of(info))
    }

    /// Suspends the upload of [`UploadStore`](crate::UploadStore) after all: it can be resumed and
    /// proven again. After [`Self::flush_run`] it resumes at the end of its last run. Any other
    /// blob is dropped. Blocks.
    pub fn suspend(mut self) -> Result<()> {
        if self.flushed {
            self.writer.sink.leave();
            return Ok(());
        }
        let hash = self.writer.hashing.finished().first.save();
        let last = self.last.take().unwrap_or_default();
        self.writer.sink.suspend(hash, &last)
    }

    fn put_last(&mut self) -> Result<()> {
        if let Some(last) = self.last.take() {
            self.writer.sink.put(last)?;
            self.writer.in_flight.stored(self.writer.sink.stored_segments());
        }
        Ok(())
    }

    fn publish_as(mut self, how: PublishAs<'_>) -> Result<BlobInfo> {
        self.put_last()?;
        self.writer.done = true;
        let sink = std::mem::replace(&mut self.writer.sink, Box::new(Consumed));
        let published = sink.publish(self.hashed, how)?;
        // When another writer was first the sink drops these bytes, so their readers keep them in
        // memory.
        if published.own {
            let segments = self.hashed.size_bytes.div_ceil(SEGMENT_BYTES as u64);
            self.writer.in_flight.stored(segments);
            self.writer.in_flight.hand_over();
        }
        Ok(published.info)
    }
}

/// The sink of a published writer.
struct Consumed;

impl Sink for Consumed {
    fn put(&mut self, _: Bytes) -> Result<()> {
        Err(StoreError::Abandoned { reason: "the blob was published".to_owned() })
    }

    fn stored_segments(&self) -> u64 {
        0
    }

    fn source(&self) -> Arc<dyn Source> {
        Arc::new(Self)
    }

    fn publish(self: Box<Self>, _: HashResult, _: PublishAs<'_>) -> Result<Published> {
        Err(StoreError::Abandoned { reason: "the blob was published".to_owned() })
    }
}

impl Source for Consumed {
    fn read(&self, _: u64) -> Result<Bytes> {
        Err(StoreError::Abandoned { reason: "the blob was published".to_owned() })
    }
}
