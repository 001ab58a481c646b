//! The sink of a blob: segments go into runs as they arrive; one synced batch makes the digest
//! visible. A sink dropped before that leaves nothing.
//!
//! Invariant: a segment is durable before its record, for a blob and for an upload.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use rocksdb::WriteBatch;
use wharf_oci::{HashResult, HashState};

use super::blob_records::{add_records, retain};
use super::engine::Engine;
use super::lease::{Lease, Leases};
use super::part_pool::Part;
use super::read::SegmentSource;
use super::reaper::Reaper;
use super::recency::now_ms;
use super::records::{BlobRecord, Session};
use super::runs::Runs;
use super::schema::{self, Place, SESSIONS, SMALL};
use super::space::on_disk;
use super::{journal, links, parts};
use crate::blob_info::{BlobInfo, Retention};
use crate::limits::{RUN_SEGMENTS_MAX, RUN_SEGMENTS_SEVERE, RUN_SEGMENTS_SHORT, SEGMENT_BYTES};
use crate::part_key::PartKey;
use crate::segment_cache::Pressure;
use crate::sessions::NewUpload;
use crate::sink::{PublishAs, Published, Sink};
use crate::source::Source;
use crate::{Result, StoreError};

pub(super) struct RocksSink {
    engine: Arc<Engine>,
    leases: Arc<Leases>,
    number: u64,
    source: Arc<SegmentSource>,
    /// Set for an upload across restarts of the process.
    upload: Option<NewUpload>,
    /// The segments of a perhaps small blob; empty after the start of the first run.
    waiting: Vec<Bytes>,
    runs: Runs,
    /// Whether the bytes on disk survive the drop of the sink.
    stays: bool,
}

impl RocksSink {
    pub(super) fn begin(
        engine: Arc<Engine>,
        reaper: &Reaper,
        upload: Option<NewUpload>,
    ) -> Result<Self> {
        let number = engine.take_number()?;
        Ok(Self::new(engine, Arc::clone(reaper.leases()), reaper.lease(number), upload))
    }

    /// Continues a saved upload.
    pub(super) fn resume(
        engine: Arc<Engine>,
        reaper: &Reaper,
        lease: Lease,
        saved: &Session,
    ) -> Self {
        let (repo, owner) = (saved.repo.clone(), saved.owner.clone());
        let upload = Some(NewUpload { id: saved.id, repo, owner });
        let mut sink = Self::new(engine, Arc::clone(reaper.leases()), lease, upload);
        let epoch = saved.place.and_then(|place| match place {
            Place::Small => None,
            Place::Epoch(epoch) => Some(epoch),
        });
        sink.runs.go_on(epoch, saved.segments, saved.run_bytes);
        sink
    }

    /// Continues a part.
    pub(super) fn take_up(engine: Arc<Engine>, leases: Arc<Leases>, part: Part) -> Self {
        let mut sink = Self::new(engine, leases, part.lease, None);
        sink.runs.go_on(Some(part.epoch), part.segments, part.run_bytes);
        sink
    }

    fn new(
        engine: Arc<Engine>,
        leases: Arc<Leases>,
        lease: Lease,
        upload: Option<NewUpload>,
    ) -> Self {
        let number = lease.number();
        let source = Arc::new(SegmentSource::in_flight(Arc::clone(&engine), lease));
        let runs = Runs::new(Arc::clone(&engine), number, Arc::clone(&source));
        let waiting = Vec::new();
        Self { engine, leases, number, source, upload, waiting, runs, stays: false }
    }

    /// Makes all written segments readable.
    fn end_all(&mut self) -> Result<()> {
        self.runs.end(None)?;
        self.runs.wait()
    }

    /// Writes the segments of a perhaps small blob into a run.
    fn put_waiting(&mut self) -> Result<()> {
        for waiting in std::mem::take(&mut self.waiting) {
            self.runs.put(&self.leases, &waiting)?;
        }
        Ok(())
    }

    /// Commits one synced batch: from now on the digest is visible and durable.
    fn commit(&mut self, hashed: HashResult, how: PublishAs<'_>) -> Result<Published> {
        let digest = hashed.digest;
        let info = BlobInfo { digest, size_bytes: hashed.size_bytes };
        let _changing = self.engine.changing(&digest);
        let known = match self.engine.blob_record(&digest) {
            // An unreadable record is replaced; the new one comes before the damaged one.
            Err(StoreError::Corrupt { reason, .. }) => {
                tracing::error!(%digest, reason, "the record of a blob is damaged; it is replaced");
                None
            }
            known => known?,
        };
        if let Some(known) = known {
            self.keep_known(info, known, how)?;
            return Ok(Published { info, own: false });
        }
        let place = self.runs.epoch().map_or(Place::Small, Place::Epoch);
        let blob = BlobRecord {
            number: self.number,
            size_bytes: hashed.size_bytes,
            place,
            run_bytes: self.runs.bytes(),
            retention: how.retention(),
        };
        let mut batch = WriteBatch::default();
        let small = self.engine.family(SMALL)?;
        for (index, segment) in (0_u64..).zip(&self.waiting) {
            batch.put_cf(&small, schema::segment_key(self.number, index), segment);
        }
        add_records(&self.engine, &mut batch, &digest, &blob)?;
        add_names(&self.engine, &mut batch, info, how)?;
        if let Some(NewUpload { id, .. }) = &self.upload {
            batch.delete_cf(&self.engine.family(SESSIONS)?, id.as_u128().to_be_bytes());
        }
        self.engine.write(batch, "publishing", || digest.to_string())?;
        self.stays = true;
        self.source.publish(place, hashed.size_bytes);
        Ok(Published { info, own: true })
    }

    /// Another writer was first. A stronger retention replaces the stored one.
    fn keep_known(&self, info: BlobInfo, known: BlobRecord, how: PublishAs<'_>) -> Result<()> {
        let mut batch = WriteBatch::default();
        if known.retention < how.retention() {
            retain(&self.engine, &mut batch, &info.digest, &known, how.retention())?;
        } else {
            self.engine.recency.touch(known.number);
        }
        add_names(&self.engine, &mut batch, info, how)?;
        if batch.is_empty() {
            return Ok(());
        }
        self.engine.write(batch, "keeping", || info.digest.to_string())
    }

    /// The record of the upload, if the sink has one.
    fn session(&self, hash: HashState, tail: &[u8]) -> Option<Session> {
        let NewUpload { id, repo, owner } = self.upload.clone()?;
        Some(Session {
            id,
            repo,
            owner,
            number: self.number,
            place: self.runs.epoch().map(Place::Epoch),
            run_bytes: self.runs.bytes(),
            segments: self.runs.ingested(),
            saved_ms: now_ms(),
            hash,
            tail: tail.to_vec(),
        })
    }

    /// Saves an upload without bytes. Power loss may take the record: no byte is lost with it.
    pub(super) fn save_empty(&self, hash: HashState) -> Result<()> {
        let session = self.session(hash, &[]);
        session.map_or(Ok(()), |session| self.engine.save_session(&session, false))
    }
}

/// Adds the link and the delivery of a blob to `batch`. The caller holds the lock of the digest.
fn add_names(
    engine: &Engine,
    batch: &mut WriteBatch,
    info: BlobInfo,
    how: PublishAs<'_>,
) -> Result<()> {
    match how {
        PublishAs::Retained(_, None) => Ok(()),
        PublishAs::Retained(_, Some(repo)) => links::link_anew(engine, batch, repo, &info.digest),
        PublishAs::Pending(errand) => journal::owe(engine, batch, &errand.of(info)),
    }
}

impl Sink for RocksSink {
    fn put(&mut self, segment: Bytes) -> Result<()> {
        if self.runs.written() == 0 && self.waiting.len() < self.engine.small_blob_segments {
            self.waiting.push(segment);
            return Ok(());
        }
        self.put_waiting()?;
        self.runs.put(&self.leases, &segment)?;
        self.runs.look()
    }

    fn is_full(&self, pressure: Pressure) -> bool {
        let enough = match pressure {
            Pressure::None => RUN_SEGMENTS_MAX,
            Pressure::Short => RUN_SEGMENTS_SHORT,
            Pressure::Severe => RUN_SEGMENTS_SEVERE,
        };
        self.runs.open_segments() >= enough
    }

    fn make_room(&mut self, bytes: u64) -> Result<()> {
        let segments = usize::try_from(bytes.div_ceil(SEGMENT_BYTES as u64)).unwrap_or(usize::MAX);
        let is_small = self.runs.written() == 0
            && self.waiting.len().saturating_add(segments) <= self.engine.small_blob_segments;
        // A small blob is a record: first in the log, then in a table.
        let bytes = if is_small { 2 * bytes } else { on_disk(bytes) };
        self.runs.make_room(&self.leases, bytes)
    }

    fn is_resumable(&self) -> bool {
        self.upload.is_some()
    }

    fn end_run(&mut self, hash: Option<HashState>) -> Result<()> {
        let upload = hash.and_then(|hash| self.session(hash, &[]));
        self.runs.end(upload)
    }

    fn flush_run(&mut self, hash: Option<HashState>, size_bytes: Option<u64>) -> Result<()> {
        self.put_waiting()?;
        if self.runs.open_segments() > 0 {
            match size_bytes {
                None => self.end_run(hash)?,
                // The hash is complete: there is no state to resume from.
                Some(size_bytes) => {
                    self.source.sized(size_bytes);
                    self.runs.end(None)?;
                }
            }
        }
        self.runs.wait()
    }

    fn stored_segments(&self) -> u64 {
        self.runs.ingested()
    }

    fn source(&self) -> Arc<dyn Source> {
        Arc::clone(&self.source) as Arc<dyn Source>
    }

    fn publish(mut self: Box<Self>, hashed: HashResult, how: PublishAs<'_>) -> Result<Published> {
        self.end_all()?;
        // Small blobs are records: their space is reserved here, and counted by the write.
        let waiting: u64 = self.waiting.iter().map(|segment| segment.len() as u64).sum();
        self.runs.take_room(&self.leases, 2 * waiting)?;
        let published = self.commit(hashed, how);
        self.engine.space.release(2 * waiting);
        // A cached blob usually has many readers.
        let own = published.as_ref().is_ok_and(|done| done.own);
        if own && how.retention() == Retention::Cached && self.runs.written() > 0 {
            self.runs.expect_readers();
        }
        published
    }

    fn suspend(&mut self, hash: HashState, tail: &[u8]) -> Result<()> {
        if self.upload.is_none() {
            return Ok(());
        }
        self.put_waiting()?;
        self.end_all()?;
        if let Some(session) = self.session(hash, tail) {
            self.engine.save_session(&session, true)?;
        }
        self.stays = true;
        Ok(())
    }

    fn lay_down(&mut self, hash: HashState, key: PartKey, size_bytes: u64) -> Result<()> {
        self.put_waiting()?;
        self.end_all()?;
        let Some(epoch) = self.runs.epoch() else { return Ok(()) };
        self.stays = true;
        let part = Part {
            key,
            size_bytes,
            lease: self.source.lease().again(),
            epoch,
            run_bytes: self.runs.bytes(),
            segments: self.runs.ingested(),
            hash,
            since: Instant::now(),
        };
        parts::keep(&self.engine, &self.leases, part)
    }

    fn leave(&mut self) {
        // As after a kill: the next start frees the bytes past the last run.
        self.stays = self.upload.is_some();
    }
}

impl Drop for RocksSink {
    fn drop(&mut self) {
        if self.stays {
            self.runs.leave();
        } else {
            self.runs.give_up(self.upload.as_ref().map(|upload| upload.id));
        }
    }
}
