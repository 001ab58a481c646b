//! The sink of a blob: segments into runs as they arrive, then one synced batch that makes the
//! digest visible. Dropped before that, it leaves nothing.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use rocksdb::{SstFileWriter, WriteBatch};
use wharf_oci::Hashed;

use super::engine::{Engine, RUN_OPTIONS};
use super::lease::Reaper;
use super::read::SegmentSource;
use super::schema::{self, BLOBS, Located, NUMBERS, Place, SMALL};
use crate::blob::{BlobInfo, Sink, Source};
use crate::limits::{RUN_SEGMENTS_MAX, RUN_SEGMENTS_MIN, SMALL_BLOB_SEGMENTS_MAX};
use crate::{Result, StoreError};

pub(super) struct RocksSink {
    engine: Arc<Engine>,
    number: u64,
    source: Arc<SegmentSource>,
    /// The segments of a blob that may be small; empty once the first run was begun.
    waiting: Vec<Bytes>,
    run: Option<Run>,
    /// Set with the first run; all runs of a blob are in one epoch.
    epoch: Option<u32>,
    runs_begun: u64,
    /// Segments written into runs, and of those the ones that were ingested.
    written: u64,
    ingested: u64,
    published: bool,
}

/// A run that is being written; its file is removed when it is dropped without being ingested.
struct Run {
    writer: SstFileWriter<'static>,
    file: PathBuf,
    segments: usize,
}

impl RocksSink {
    pub(super) fn begin(engine: Arc<Engine>, reaper: &Reaper) -> Result<Self> {
        let number = engine.take_number()?;
        let lease = reaper.lease(number);
        let source = Arc::new(SegmentSource::in_flight(Arc::clone(&engine), lease));
        Ok(Self {
            engine,
            number,
            source,
            waiting: Vec::new(),
            run: None,
            epoch: None,
            runs_begun: 0,
            written: 0,
            ingested: 0,
            published: false,
        })
    }

    fn write(&mut self, segment: &Bytes) -> Result<()> {
        let mut run = match self.run.take() {
            Some(run) => run,
            None => self.begin_run()?,
        };
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
        Ok(Run { writer, file, segments: 0 })
    }

    /// Ends the run that is being written, if any, and makes it readable.
    fn ingest(&mut self) -> Result<()> {
        let Some(mut run) = self.run.take() else {
            return Ok(());
        };
        run.writer.finish().map_err(|error| {
            StoreError::database("finishing", run.file.display().to_string(), error)
        })?;
        let epoch = match self.epoch {
            Some(epoch) => epoch,
            None => self.engine.take_epoch()?,
        };
        self.epoch = Some(epoch);
        self.engine.ingest(epoch, &run.file)?;
        self.source.settle(Place::Epoch(epoch));
        self.ingested = self.written;
        Ok(())
    }

    /// One batch, synced: from here on the digest is visible and survives.
    fn commit(&mut self, hashed: Hashed) -> Result<BlobInfo> {
        let info = BlobInfo { digest: hashed.digest, size_bytes: hashed.size_bytes };
        let place = self.epoch.map_or(Place::Small, Place::Epoch);
        let located = Located { number: self.number, size_bytes: hashed.size_bytes, place };
        let _publishing = self.engine.publishing();
        if self.engine.located(&hashed.digest)?.is_some() {
            return Ok(info);
        }
        let mut batch = WriteBatch::default();
        let small = self.engine.family(SMALL)?;
        for (index, segment) in (0_u64..).zip(&self.waiting) {
            batch.put_cf(&small, schema::segment_key(self.number, index), segment);
        }
        let digest = schema::digest_key(&hashed.digest);
        batch.put_cf(&self.engine.family(BLOBS)?, &digest, located.encode());
        batch.put_cf(&self.engine.family(NUMBERS)?, self.number.to_be_bytes(), &digest);
        self.engine.write(batch, "publishing", || hashed.digest.to_string())?;
        self.published = true;
        self.source.settle(place);
        Ok(info)
    }
}

impl Sink for RocksSink {
    fn put(&mut self, segment: Bytes, hurry: bool) -> Result<()> {
        if self.runs_begun == 0 && self.waiting.len() < SMALL_BLOB_SEGMENTS_MAX {
            self.waiting.push(segment);
            return Ok(());
        }
        for waiting in std::mem::take(&mut self.waiting) {
            self.write(&waiting)?;
        }
        self.write(&segment)?;
        let segments = self.run.as_ref().map_or(0, |run| run.segments);
        if segments >= RUN_SEGMENTS_MAX || (hurry && segments >= RUN_SEGMENTS_MIN) {
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

    fn publish(mut self: Box<Self>, hashed: Hashed) -> Result<BlobInfo> {
        self.ingest()?;
        self.commit(hashed)
    }
}

impl Drop for RocksSink {
    fn drop(&mut self) {
        if let (false, Some(epoch)) = (self.published, self.epoch) {
            self.source.lease().doom(Place::Epoch(epoch));
        }
    }
}

impl Drop for Run {
    /// Ingesting moved the file away; what is still here belongs to a run that was given up.
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}
