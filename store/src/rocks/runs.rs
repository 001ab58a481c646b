//! The runs of one blob: written one after the other, each ended and ingested on a thread of its own
//! while the next is written, because that waits for the disk.
//!
//! Invariant: at most one run is being ended; runs are ingested in the order of their segments.

use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use bytes::Bytes;
use rocksdb::SstFileWriter;
use wharf_oci::UploadId;

use super::engine::Engine;
use super::evict;
use super::lease::Leases;
use super::options::RUN_OPTIONS;
use super::read::SegmentSource;
use super::records::{DoomedRecord, Session};
use super::schema::{self, Place};
use super::space::on_disk;
use crate::limits::{RUN_FILES_ALL_MAX, RUN_FILES_MAX};
use crate::{Result, StoreError};

pub(super) struct Runs {
    engine: Arc<Engine>,
    number: u64,
    source: Arc<SegmentSource>,
    open: Option<Run>,
    ending: Option<EndingRun>,
    /// Set with the first run; all runs of a blob are in one epoch.
    epoch: Option<u32>,
    begun: u64,
    /// What the ingested runs take on disk.
    bytes: u64,
    /// Segments written into runs, and of those the ones that were ingested.
    written: u64,
    ingested: u64,
    /// The last runs, for [`Runs::expect_readers`].
    files: VecDeque<KeptFile>,
}

/// A run that stays open until its blob is published: so many of all blobs, however many uploads there are.
struct KeptFile(File);

static KEPT_FILES: AtomicUsize = AtomicUsize::new(0);

impl KeptFile {
    /// `None` when all are taken.
    fn new(file: File) -> Option<Self> {
        let one_more = |kept| (kept < RUN_FILES_ALL_MAX).then_some(kept + 1);
        let taken = KEPT_FILES.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        taken.is_ok().then_some(Self(file))
    }
}

impl Drop for KeptFile {
    fn drop(&mut self) {
        KEPT_FILES.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A run that is being written; its file is removed when it is dropped without being ingested.
struct Run {
    engine: Arc<Engine>,
    writer: SstFileWriter<'static>,
    file: PathBuf,
    segments: usize,
    reserved_bytes: u64,
}

/// A run that is becoming readable.
struct EndingRun {
    thread: JoinHandle<Result<IngestedRun>>,
    /// How many segments are readable then.
    segments: u64,
}

struct IngestedRun {
    epoch: u32,
    bytes: u64,
    file: Option<File>,
}

impl Runs {
    pub(super) const fn new(engine: Arc<Engine>, number: u64, source: Arc<SegmentSource>) -> Self {
        Self {
            engine,
            number,
            source,
            open: None,
            ending: None,
            epoch: None,
            begun: 0,
            bytes: 0,
            written: 0,
            ingested: 0,
            files: VecDeque::new(),
        }
    }

    /// Goes on after so many segments, which take `bytes` in `epoch`.
    pub(super) fn go_on(&mut self, epoch: Option<u32>, segments: u64, bytes: u64) {
        (self.epoch, self.bytes) = (epoch, bytes);
        (self.written, self.ingested) = (segments, segments);
        // Only names files, and those of runs before are gone.
        self.begun = segments;
        if let Some(epoch) = epoch {
            self.source.set_place(Place::Epoch(epoch));
        }
    }

    /// Where the blob is, when it has runs.
    pub(super) const fn epoch(&self) -> Option<u32> {
        self.epoch
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    pub(super) const fn ingested(&self) -> u64 {
        self.ingested
    }

    /// Segments of the run that is being written.
    pub(super) fn open_segments(&self) -> usize {
        self.open.as_ref().map_or(0, |run| run.segments)
    }

    /// Writes the next segment.
    pub(super) fn put(&mut self, leases: &Leases, segment: &Bytes) -> Result<()> {
        let mut run = match self.open.take() {
            Some(run) => run,
            None => self.begin()?,
        };
        let bytes = on_disk(segment.len() as u64);
        evict::reserve(&self.engine, leases, bytes, &format!("blob number {}", self.number))?;
        run.reserved_bytes += bytes;
        run.writer.put(schema::segment_key(self.number, self.written), segment).map_err(
            |error| StoreError::database("writing", run.file.display().to_string(), error),
        )?;
        run.segments += 1;
        self.written += 1;
        self.open = Some(run);
        Ok(())
    }

    fn begin(&mut self) -> Result<Run> {
        let file = self.engine.incoming(self.number, self.begun);
        let writer = SstFileWriter::create(&RUN_OPTIONS);
        writer
            .open(&file)
            .map_err(|error| StoreError::database("creating", file.display().to_string(), error))?;
        self.begun += 1;
        let engine = Arc::clone(&self.engine);
        Ok(Run { engine, writer, file, segments: 0, reserved_bytes: 0 })
    }

    /// Begins to end the run that is written, once the one before is readable. `upload` says what is
    /// to be saved of an upload that outlives the process, as soon as the run is readable.
    pub(super) fn end(&mut self, upload: Option<Session>) -> Result<()> {
        self.wait()?;
        let Some(run) = self.open.take() else {
            return Ok(());
        };
        let (epoch, before, segments) = (self.epoch, self.bytes, self.written);
        let engine = Arc::clone(&self.engine);
        let work = move || {
            let ingested = run.ingest(epoch)?;
            if let Some(upload) = upload {
                let place = Some(Place::Epoch(ingested.epoch));
                let run_bytes = before + ingested.bytes;
                engine.save_session(&Session { place, run_bytes, segments, ..upload }, true)?;
            }
            Ok(ingested)
        };
        let thread = std::thread::Builder::new().name("run".to_owned());
        let thread = thread
            .spawn(work)
            .map_err(|error| StoreError::io("starting a thread in", self.engine.folder(), error))?;
        self.ending = Some(EndingRun { thread, segments });
        Ok(())
    }

    /// Takes note when the run that is ended became readable.
    pub(super) fn look(&mut self) -> Result<()> {
        if self.ending.as_ref().is_some_and(|ending| ending.thread.is_finished()) {
            return self.wait();
        }
        Ok(())
    }

    /// Waits until the run that is ended is readable.
    pub(super) fn wait(&mut self) -> Result<()> {
        let Some(ending) = self.ending.take() else {
            return Ok(());
        };
        let ingested = joined(ending.thread)?;
        self.epoch = Some(ingested.epoch);
        self.bytes += ingested.bytes;
        self.ingested = ending.segments;
        self.files.extend(ingested.file.and_then(KeptFile::new));
        if self.files.len() > RUN_FILES_MAX {
            self.files.pop_front();
        }
        self.source.set_place(Place::Epoch(ingested.epoch));
        Ok(())
    }

    /// Has the kernel read back what was written: `SstFileWriter` drops each file from the page cache,
    /// and others will want it soon. Measured, 1 GiB: the first read at 1.5 to 2.3 GB/s instead of
    /// 0.9 to 1.2. Not waited for.
    pub(super) fn expect_readers(&mut self) {
        let files = std::mem::take(&mut self.files);
        let advise = move || {
            for file in files {
                // Advice only: a file system that does not take it serves as before.
                let _ = rustix::fs::fadvise(&file.0, 0, None, rustix::fs::Advice::WillNeed);
            }
        };
        // Without a thread for it the first reader waits for the disk, as it would have.
        let _ = std::thread::Builder::new().name("run".to_owned()).spawn(advise);
    }

    /// Leaves what is written as it is. When a run is just becoming readable, another thread waits for
    /// that.
    pub(super) fn leave(&mut self) {
        drop(self.open.take());
        if let Some(ending) = self.ending.take()
            && let Err(error) = self.engine.in_background(move || drop(joined(ending.thread)))
        {
            tracing::error!(%error, "a run becomes readable while its store is closed");
        }
    }

    /// Gives up everything, also the record of an upload. When a run is just becoming readable,
    /// another thread waits for that.
    pub(super) fn give_up(&mut self, upload: Option<UploadId>) {
        drop(self.open.take());
        let mut rest = AbandonedBlob {
            engine: Arc::clone(&self.engine),
            source: Arc::clone(&self.source),
            upload,
            epoch: self.epoch,
            bytes: self.bytes,
        };
        let Some(ending) = self.ending.take() else {
            return rest.forget();
        };
        let forgotten = self.engine.in_background(move || {
            if let Ok(ingested) = joined(ending.thread) {
                rest.epoch = Some(ingested.epoch);
                rest.bytes += ingested.bytes;
            }
            rest.forget();
        });
        if let Err(error) = forgotten {
            tracing::error!(%error, "bytes of a blob that was given up wait for the next start");
        }
    }
}

/// What is left of a blob that was given up.
struct AbandonedBlob {
    engine: Arc<Engine>,
    source: Arc<SegmentSource>,
    upload: Option<UploadId>,
    epoch: Option<u32>,
    bytes: u64,
}

impl AbandonedBlob {
    /// The record goes before the lease: from then on the upload would count as at rest.
    fn forget(self) {
        if let Some(id) = self.upload
            && let Err(error) = self.engine.forget_session(id)
        {
            tracing::error!(%id, %error, "an upload that ended is not forgotten");
        }
        if let Some(epoch) = self.epoch {
            let (place, bytes) = (Place::Epoch(epoch), self.bytes);
            self.source.lease().doom(DoomedRecord { place, bytes });
        }
    }
}

fn joined(thread: JoinHandle<Result<IngestedRun>>) -> Result<IngestedRun> {
    match thread.join() {
        Ok(ingested) => ingested,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

impl Run {
    /// Makes it durable and readable.
    fn ingest(mut self, epoch: Option<u32>) -> Result<IngestedRun> {
        self.writer.finish().map_err(|error| {
            StoreError::database("finishing", self.file.display().to_string(), error)
        })?;
        let bytes = on_disk(self.writer.file_size());
        let file = File::open(&self.file).ok();
        let reserved = std::mem::take(&mut self.reserved_bytes);
        let epoch = self.engine.ingest(epoch, &self.file, bytes, reserved)?;
        Ok(IngestedRun { epoch, bytes, file })
    }
}

impl Drop for Run {
    /// Ingesting moved the file away; what is still here belongs to a run that was given up.
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
        self.engine.space.release(self.reserved_bytes);
    }
}
