//! Segments back from disk, one at a time, for published blobs and for those still in flight.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::engine::{Engine, segment_read_options};
use super::lease::Lease;
use super::schema::{self, Located, Place};
use crate::blob::Source;
use crate::limits::SEGMENT_BYTES;
use crate::{Result, StoreError};

/// The segments of one number; holding it keeps them.
pub(super) struct SegmentSource {
    engine: Arc<Engine>,
    lease: Lease,
    /// Set when the first run is ingested, or at once for a published blob.
    place: OnceLock<Place>,
}

impl SegmentSource {
    pub(super) const fn in_flight(engine: Arc<Engine>, lease: Lease) -> Self {
        Self { engine, lease, place: OnceLock::new() }
    }

    pub(super) fn published(engine: Arc<Engine>, located: Located, lease: Lease) -> Self {
        Self { engine, lease, place: OnceLock::from(located.place) }
    }

    /// Says where the segments are; the first answer stands.
    pub(super) fn settle(&self, place: Place) {
        let _ = self.place.set(place);
    }

    pub(super) const fn lease(&self) -> &Lease {
        &self.lease
    }

    fn key(&self, index: u64) -> String {
        format!("segment {index} of blob number {}", self.lease.number())
    }
}

impl Source for SegmentSource {
    fn read(&self, offset: u64) -> Result<Bytes> {
        let index = offset / SEGMENT_BYTES as u64;
        let within = usize::try_from(offset % SEGMENT_BYTES as u64).unwrap_or(usize::MAX);
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
        let bytes = value.get(within..).ok_or_else(|| missing("it is too short"))?;
        Ok(Bytes::copy_from_slice(bytes))
    }
}
