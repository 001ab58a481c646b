//! The sink of a blob: segments into runs as they arrive, then one synced batch that makes the
//! digest visible. Dropped before that, it leaves nothing.
//!
//! Invariant: a segment is durable before a record says so, of a blob as of an upload.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use rocksdb::{SstFileWriter, WriteBatch};
use wharf_oci::{HashState, Hashed, RepoName, UploadId};

use super::engine::Engine;
use super::lease::{Lease, Leases, Reaper};
use super::options::RUN_OPTIONS;
use super::order::now_ms;
use super::read::SegmentSource;
use super::records::{Doomed, Located, Numbered, Session, Totals};
use super::schema::{self, BLOBS, META, NUMBERS, Place, RECENCY, SESSIONS, SMALL, TOTALS};
use super::space::on_disk;
use super::{evict, forget};
use crate::blob::{BlobInfo, Published, Retention, Sink, Source};
use crate::hot::Pressure;
use crate::limits::{RUN_SEGMENTS_MAX, RUN_SEGMENTS_SEVERE, RUN_SEGMENTS_SHORT};
use crate::{Result, StoreError};

pub(super) struct RocksSink {
    engine: Arc<Engine>,
    leases: Arc<Leases>,
    number: u64,
    source: Arc<SegmentSource>,
    /// Set for an upload that outlives the process.
    upload: Option<(UploadId, RepoName)>,
    /// The segments of a blob that may be small; empty once the first run was begun.
    waiting: Vec<Bytes>,
    run: Option<Run>,
    /// Set with the first run; all runs of a blob are in one epoch.
    epoch: Option<u32>,
    runs_begun: u64,
    /// What the ingested runs take on disk.
    run_bytes: u64,
    /// Segments written into runs, and of those the ones that were ingested.
    written: u64,
    ingested: u64,
    /// Whether what is on disk stays when this is dropped.
    stays: bool,
}

/// A run that is being written; its file is removed when it is dropped without being ingested.
struct Run {
    engine: Arc<Engine>,
    writer: SstFileWriter<'static>,
    file: PathBuf,
    segments: usize,
    reserved_bytes: u64,
}

impl RocksSink {
    pub(super) fn begin(
        engine: Arc<Engine>,
        reaper: &Reaper,
        upload: Option<(UploadId, RepoName)>,
    ) -> Result<Self> {
        let number = engine.take_number()?;
        let source = SegmentSource::in_flight(Arc::clone(&engine), reaper.lease(number));
        Ok(Self {
            engine,
            leases: Arc::clone(reaper.leases()),
            number,
            source: Arc::new(source),
            upload,
            waiting: Vec::new(),
            run: None,
            epoch: None,
            runs_begun: 0,
            run_bytes: 0,
            written: 0,
            ingested: 0,
            stays: false,
        })
    }

    /// Goes on with a saved upload.
    pub(super) fn resume(
        engine: Arc<Engine>,
        reaper: &Reaper,
        lease: Lease,
        saved: &Session,
    ) -> Self {
        let source = SegmentSource::in_flight(Arc::clone(&engine), lease);
        let epoch = saved.place.and_then(|place| match place {
            Place::Small => None,
            Place::Epoch(epoch) => {
                source.settle(place);
                Some(epoch)
            }
        });
        Self {
            engine,
            leases: Arc::clone(reaper.leases()),
            number: saved.number,
            source: Arc::new(source),
            upload: Some((saved.id, saved.repo.clone())),
            waiting: Vec::new(),
            run: None,
            epoch,
            // Only names files, and those of runs before are gone.
            runs_begun: saved.segments,
            run_bytes: saved.run_bytes,
            written: saved.segments,
            ingested: saved.segments,
            stays: false,
        }
    }

    fn write(&mut self, segment: &Bytes) -> Result<()> {
        let mut run = match self.run.take() {
            Some(run) => run,
            None => self.begin_run()?,
        };
        let bytes = on_disk(segment.len() as u64);
        evict::reserve(&self.engine, &self.leases, bytes, &self.name())?;
        run.reserved_bytes += bytes;
        run.writer.put(schema::segment_key(self.number, self.written), segment).map_err(
            |error| StoreError::database("writing", run.file.display().to_string(), error),
        )?;
        run.segments += 1;
        self.written += 1;
        self.run = Some(run);
        Ok(())
    }

    fn begin_run(&mut self) -> Result<Run> {
        let file = self.engine.incoming(self.number, self.runs_begun);
        let writer = SstFileWriter::create(&RUN_OPTIONS);
        writer
            .open(&file)
            .map_err(|error| StoreError::database("creating", file.display().to_string(), error))?;
        self.runs_begun += 1;
        let engine = Arc::clone(&self.engine);
        Ok(Run { engine, writer, file, segments: 0, reserved_bytes: 0 })
    }

    /// Ends the run that is being written, if any, and makes it readable.
    fn ingest(&mut self) -> Result<()> {
        let Some(mut run) = self.run.take() else {
            return Ok(());
        };
        run.writer.finish().map_err(|error| {
            StoreError::database("finishing", run.file.display().to_string(), error)
        })?;
        let run_bytes = on_disk(run.writer.file_size());
        let epoch = self.engine.ingest(self.epoch, &run.file, run_bytes)?;
        self.epoch = Some(epoch);
        self.run_bytes += run_bytes;
        self.source.settle(Place::Epoch(epoch));
        self.ingested = self.written;
        Ok(())
    }

    /// One batch, synced: from here on the digest is visible and survives.
    fn commit(&mut self, hashed: Hashed, retention: Retention) -> Result<Published> {
        let digest = hashed.digest;
        let info = BlobInfo { digest, size_bytes: hashed.size_bytes };
        let _changing = self.engine.changing(&digest);
        let known = match self.engine.located(&digest) {
            // A record that cannot be read is written anew, and is found before the damaged one.
            Err(StoreError::Corrupt { reason, .. }) => {
                tracing::error!(%digest, reason, "the record of a blob is damaged; it is replaced");
                None
            }
            known => known?,
        };
        if let Some(known) = known {
            self.keep_known(&digest, known, retention)?;
            return Ok(Published { info, own: false });
        }
        let place = self.epoch.map_or(Place::Small, Place::Epoch);
        let located = Located {
            number: self.number,
            size_bytes: hashed.size_bytes,
            place,
            run_bytes: self.run_bytes,
            retention,
        };
        let mut batch = WriteBatch::default();
        let small = self.engine.family(SMALL)?;
        for (index, segment) in (0_u64..).zip(&self.waiting) {
            batch.put_cf(&small, schema::segment_key(self.number, index), segment);
        }
        self.add_records(&mut batch, &digest, &located)?;
        if let Some((upload, _)) = &self.upload {
            batch.delete_cf(&self.engine.family(SESSIONS)?, upload.as_u128().to_be_bytes());
        }
        self.engine.write(batch, "publishing", || digest.to_string())?;
        self.stays = true;
        self.source.publish(place, hashed.size_bytes);
        Ok(Published { info, own: true })
    }

    fn add_records(
        &self,
        batch: &mut WriteBatch,
        digest: &wharf_oci::Digest,
        located: &Located,
    ) -> Result<()> {
        let key = schema::digest_key(digest);
        let used = match located.retention {
            Retention::Cached => self.engine.order.now(),
            Retention::Kept => 0,
        };
        if used > 0 {
            let order = schema::recency_key(used, located.number);
            batch.put_cf(&self.engine.family(RECENCY)?, order, &key);
        }
        let numbered = Numbered { used, digest: *digest };
        let number = located.number.to_be_bytes();
        batch.put_cf(&self.engine.family(NUMBERS)?, number, numbered.encode());
        batch.put_cf(&self.engine.family(BLOBS)?, &key, located.encode());
        batch.merge_cf(&self.engine.family(META)?, TOTALS, Totals::of(located).encode());
        Ok(())
    }

    /// Another writer was first. A blob that is published as kept is kept from now on.
    fn keep_known(
        &self,
        digest: &wharf_oci::Digest,
        known: Located,
        retention: Retention,
    ) -> Result<()> {
        if retention == Retention::Cached || known.retention == Retention::Kept {
            self.engine.order.touch(known.number);
            return Ok(());
        }
        let mut batch = WriteBatch::default();
        forget::unpublish(&self.engine, &mut batch, digest, &known)?;
        self.add_records(&mut batch, digest, &Located { retention, ..known })?;
        self.engine.write(batch, "keeping", || digest.to_string())
    }

    fn save_as(&self, hash: HashState, tail: &[u8], sync: bool) -> Result<()> {
        let Some((id, repo)) = self.upload.clone() else {
            return Ok(());
        };
        let session = Session {
            id,
            repo,
            number: self.number,
            place: self.epoch.map(Place::Epoch),
            run_bytes: self.run_bytes,
            segments: self.ingested,
            saved_ms: now_ms(),
            hash,
            tail: tail.to_vec(),
        };
        let mut batch = WriteBatch::default();
        let key = id.as_u128().to_be_bytes();
        batch.put_cf(&self.engine.family(SESSIONS)?, key, session.encode());
        let name = || format!("upload {id}");
        if sync {
            self.engine.write(batch, "saving", name)
        } else {
            self.engine.write_soon(batch, "saving", name)
        }
    }

    /// Remembers an upload that has no bytes yet. Power loss may take it: nobody sent anything.
    pub(super) fn save_empty(&self, hash: HashState) -> Result<()> {
        self.save_as(hash, &[], false)
    }

    fn forget_upload(&self, id: UploadId) -> Result<()> {
        let mut batch = WriteBatch::default();
        batch.delete_cf(&self.engine.family(SESSIONS)?, id.as_u128().to_be_bytes());
        self.engine.write_soon(batch, "forgetting", || format!("upload {id}"))
    }

    fn name(&self) -> String {
        format!("blob number {}", self.number)
    }
}

impl Sink for RocksSink {
    fn put(&mut self, segment: Bytes, pressure: Pressure) -> Result<()> {
        if self.written == 0 && self.waiting.len() < self.engine.small_blob_segments {
            self.waiting.push(segment);
            return Ok(());
        }
        for waiting in std::mem::take(&mut self.waiting) {
            self.write(&waiting)?;
        }
        self.write(&segment)?;
        let enough = match pressure {
            Pressure::None => RUN_SEGMENTS_MAX,
            Pressure::Short => RUN_SEGMENTS_SHORT,
            Pressure::Severe => RUN_SEGMENTS_SEVERE,
        };
        if self.run.as_ref().is_some_and(|run| run.segments >= enough) {
            self.ingest()?;
        }
        Ok(())
    }

    fn stored_segments(&self) -> u64 {
        self.ingested
    }

    fn source(&self) -> Arc<dyn Source> {
        Arc::clone(&self.source) as Arc<dyn Source>
    }

    fn publish(mut self: Box<Self>, hashed: Hashed, retention: Retention) -> Result<Published> {
        self.ingest()?;
        // Small blobs are records: room for them is made before, and counted when they are written.
        let waiting: u64 = self.waiting.iter().map(|segment| segment.len() as u64).sum();
        evict::reserve(&self.engine, &self.leases, 2 * waiting, &hashed.digest.to_string())?;
        let published = self.commit(hashed, retention);
        self.engine.space.release(2 * waiting);
        published
    }

    fn save(&mut self, hash: HashState, tail: &[u8]) -> Result<()> {
        self.save_as(hash, tail, true)
    }

    fn suspend(&mut self, hash: HashState, tail: &[u8]) -> Result<()> {
        if self.upload.is_none() {
            return Ok(());
        }
        for waiting in std::mem::take(&mut self.waiting) {
            self.write(&waiting)?;
        }
        self.ingest()?;
        self.save_as(hash, tail, true)?;
        self.stays = true;
        Ok(())
    }
}

impl Drop for RocksSink {
    fn drop(&mut self) {
        if self.stays {
            return;
        }
        // Before the lease goes: from then on the upload would count as at rest.
        if let Some((id, _)) = &self.upload
            && let Err(error) = self.forget_upload(*id)
        {
            tracing::error!(%id, %error, "an upload that ended is not forgotten");
        }
        if let Some(epoch) = self.epoch {
            self.source.lease().doom(Doomed { place: Place::Epoch(epoch), bytes: self.run_bytes });
        }
    }
}

impl Drop for Run {
    /// Ingesting moved the file away; what is still here belongs to a run that was given up.
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
        self.engine.space.release(self.reserved_bytes);
    }
}
