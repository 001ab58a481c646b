//! Reads of segments from disk, for published blobs and blobs in flight.
//!
//! Invariant: bytes with a wrong checksum are never returned; their blob is put into quarantine.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::engine::Engine;
use super::forget;
use super::lease::Lease;
use super::options::segment_read_options;
use super::records::BlobRecord;
use super::schema::{self, Place};
use crate::buffers::SegmentBuffer;
use crate::limits::SEGMENT_BYTES;
use crate::source::Source;
use crate::{Result, StoreError};

/// The segments of one number; the source holds a lease on them.
pub(super) struct SegmentSource {
    engine: Arc<Engine>,
    lease: Lease,
    /// Set after the ingest of the first run, or at once for a published blob.
    place: OnceLock<Place>,
    /// Set after the write of the last segment.
    size_bytes: OnceLock<u64>,
    access: Access,
}

/// The purpose of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// A client: reads from the cache first; damage puts the blob into quarantine.
    Client,
    /// A check: reads from disk only; the caller handles damage.
    Check,
}

impl SegmentSource {
    pub(super) fn in_flight(engine: Arc<Engine>, lease: Lease) -> Self {
        let (place, size_bytes) = (OnceLock::new(), OnceLock::new());
        Self { engine, lease, place, size_bytes, access: Access::Client }
    }

    pub(super) fn published(engine: Arc<Engine>, blob: BlobRecord, lease: Lease) -> Self {
        let (place, size) = (OnceLock::from(blob.place), OnceLock::from(blob.size_bytes));
        Self { engine, lease, place, size_bytes: size, access: Access::Client }
    }

    pub(super) fn checked(engine: Arc<Engine>, blob: BlobRecord, lease: Lease) -> Self {
        Self { access: Access::Check, ..Self::published(engine, blob, lease) }
    }

    /// Sets the place of the segments; the first call counts.
    pub(super) fn set_place(&self, place: Place) {
        let _ = self.place.set(place);
    }

    /// Sets the size of the content: its last segment may be short.
    pub(super) fn sized(&self, size_bytes: u64) {
        let _ = self.size_bytes.set(size_bytes);
    }

    /// Sets place and size at the publication.
    pub(super) fn publish(&self, place: Place, size_bytes: u64) {
        self.set_place(place);
        self.sized(size_bytes);
    }

    pub(super) const fn lease(&self) -> &Lease {
        &self.lease
    }

    fn key(&self, index: u64) -> String {
        format!("segment {index} of blob number {}", self.lease.number())
    }

    /// Reads a whole segment from disk.
    fn fetch(&self, index: u64) -> Result<Bytes> {
        let missing = |reason: &str| StoreError::Corrupt {
            operation: "reading",
            key: self.key(index),
            reason: reason.to_owned(),
        };
        let place = self.place.get().ok_or_else(|| missing("nothing was stored yet"))?;
        let family = self.engine.family(&place.family())?;
        let key = schema::segment_key(self.lease.number(), index);
        let value = self
            .engine
            .db()
            .get_pinned_cf_opt(&family, key, &segment_read_options())
            .map_err(|error| StoreError::database("reading", self.key(index), error))?
            .ok_or_else(|| missing("it is missing"))?;
        // A blob in flight has only whole segments on disk.
        let size = self.size_bytes.get().copied().unwrap_or(u64::MAX);
        let whole = size.saturating_sub(index * SEGMENT_BYTES as u64).min(SEGMENT_BYTES as u64);
        if value.len() as u64 != whole {
            return Err(missing("it has the wrong size"));
        }
        let mut segment = SegmentBuffer::new();
        segment.extend_from_slice(&value);
        Ok(segment.freeze())
    }

    fn segment(&self, index: u64) -> Result<Bytes> {
        if self.access == Access::Check {
            return self.fetch(index);
        }
        let number = self.lease.number();
        if let Some(segment) = self.engine.segment_cache.get(number, index) {
            return Ok(segment);
        }
        let fetched = self.fetch(index);
        match (&fetched, self.size_bytes.get()) {
            (Ok(segment), Some(size)) => {
                self.engine.segment_cache.keep_read(number, index, segment.clone(), *size);
            }
            (Err(StoreError::Corrupt { reason, .. }), Some(_)) => {
                if let Err(error) = forget::quarantine(&self.engine, number, reason) {
                    tracing::error!(number, %error, "a damaged blob is not in quarantine");
                }
            }
            _ => {}
        }
        fetched
    }
}

impl Source for SegmentSource {
    fn read(&self, offset: u64) -> Result<Bytes> {
        let index = offset / SEGMENT_BYTES as u64;
        let within = usize::try_from(offset % SEGMENT_BYTES as u64).unwrap_or(usize::MAX);
        let segment = self.segment(index)?;
        if within >= segment.len() {
            return Err(StoreError::Corrupt {
                operation: "reading",
                key: self.key(index),
                reason: "it is too short".to_owned(),
            });
        }
        Ok(segment.slice(within..))
    }

    fn hot(&self, offset: u64) -> Option<Bytes> {
        if self.access == Access::Check {
            return None;
        }
        let index = offset / SEGMENT_BYTES as u64;
        let within = usize::try_from(offset % SEGMENT_BYTES as u64).ok()?;
        let segment = self.engine.segment_cache.get(self.lease.number(), index)?;
        (within < segment.len()).then(|| segment.slice(within..))
    }

    fn keep(&self, index: u64, segment: Bytes) {
        self.engine.segment_cache.keep(self.lease.number(), index, segment);
    }
}
