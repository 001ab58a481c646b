//! The runs of one blob, in sequence. A thread of its own ends and ingests each run while the next
//! is written, because an ingest waits for the disk.
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
use super::lease::Leases;
use super::options::RUN_OPTIONS;
use super::read::SegmentSource;
use super::records::{DoomedRecord, Session};
use super::room::Room;
use super::schema::{self, Place};
use super::space::on_disk;
use crate::limits::{RUN_FILES_ALL_MAX, RUN_FILES_MAX};
use crate::{Result, StoreError};

pub(super) struct Runs {
    engine: Arc<Engine>,
    number: u64,
    source: Arc<SegmentSource>,
    room: Room,
    open: Option<Run>,
    ending: Option<EndingRun>,
    /// Set with the first run; all runs of a blob are in one epoch.
    epoch: Option<u32>,
    begun: u64,
    /// The size of the ingested runs on disk, in bytes.
    bytes: u64,
    /// The number of segments in runs, and of those in ingested runs.
    written: u64,
    ingested: u64,
    /// The last runs, for [`Runs::expect_readers`].
    files: VecDeque<KeptFile>,
}

/// An open file of a run, kept until its blob is published; their number is bounded over all blobs.
struct KeptFile(File);

static KEPT_FILES: AtomicUsize = AtomicUsize::new(0);

impl KeptFile {
    /// `None` past the bound.
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

/// An unfinished run; a drop removes its file, unless it was ingested.
struct Run {
    engine: Arc<Engine>,
    writer: SstFileWriter<'static>,
    file: PathBuf,
    segments: usize,
    reserved_bytes: u64,
}

/// A run on its way to an epoch.
struct EndingRun {
    thread: JoinHandle<Result<IngestedRun>>,
    /// The number of readable segments after its ingest.
    segments: u64,
}

struct IngestedRun {
    epoch: u32,
    bytes: u64,
    file: Option<File>,
}

impl Runs {
    pub(super) fn new(engine: Arc<Engine>, number: u64, source: Arc<SegmentSource>) -> Self {
        let room = Room::none(Arc::clone(&engine));
        Self {
            engine,
            number,
            source,
            room,
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

    /// Continues after so many segments, with `bytes` of runs in `epoch`.
    pub(super) fn go_on(&mut self, epoch: Option<u32>, segments: u64, bytes: u64) {
        (self.epoch, self.bytes) = (epoch, bytes);
        (self.written, self.ingested) = (segments, segments);
        // Only for the names of files, and the files of earlier runs are gone.
        self.begun = segments;
        if let Some(epoch) = epoch {
            self.source.set_place(Place::Epoch(epoch));
        }
    }

    /// The epoch of the blob, once it has runs.
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

    /// The number of segments in the unfinished run.
    pub(super) fn open_segments(&self) -> usize {
        self.open.as_ref().map_or(0, |run| run.segments)
    }

    /// Writes a segment into the unfinished run.
    pub(super) fn put(&mut self, leases: &Leases, segment: &Bytes) -> Result<()> {
        let mut run = match self.open.take() {
            Some(run) => run,
            None => self.begin()?,
        };
        let bytes = on_disk(segment.len() as u64);
        self.take_room(leases, bytes)?;
        run.reserved_bytes += bytes;
        run.writer.put(schema::segment_key(self.number, self.written), segment).map_err(
            |error| StoreError::database("writing", run.file.display().to_string(), error),
        )?;
        run.segments += 1;
        self.written += 1;
        self.open = Some(run);
        Ok(())
    }

    /// Reserves disk space for so many bytes to come, after an eviction if there is none.
    pub(super) fn make_room(&mut self, leases: &Leases, bytes: u64) -> Result<()> {
        self.room.make(leases, bytes, &format!("blob number {}", self.number))
    }

    /// Space for bytes that are written now; counted as those of an unfinished run.
    pub(super) fn take_room(&mut self, leases: &Leases, bytes: u64) -> Result<()> {
        self.room.take(leases, bytes, &format!("blob number {}", self.number))
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

    /// Starts to end the unfinished run, after the run before it is readable. `upload` is the
    /// record to save once the run is readable, for an upload resumable after the process.
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

    /// Updates the state after a finished ingest, without waiting.
    pub(super) fn look(&mut self) -> Result<()> {
        if self.ending.as_ref().is_some_and(|ending| ending.thread.is_finished()) {
            return self.wait();
        }
        Ok(())
    }

    /// Waits for the running ingest.
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

    /// Asks the kernel to read the runs back: `SstFileWriter` drops each file from the page cache,
    /// and readers follow soon. Measured, 1 GiB: the first read at 1.5 to 2.3 GB/s instead of 0.9
    /// to 1.2. Does not wait.
    pub(super) fn expect_readers(&mut self) {
        let files = std::mem::take(&mut self.files);
        let advise = move || {
            for file in files {
                // Advice only: a file system that does not take it serves as before.
                let _ = rustix::fs::fadvise(&file.0, 0, None, rustix::fs::Advice::WillNeed);
            }
        };
        // Without a thread the first reader waits for the disk, as before.
        let _ = std::thread::Builder::new().name("run".to_owned()).spawn(advise);
    }

    /// Leaves the ingested runs as they are. A background thread waits for a running ingest.
    pub(super) fn leave(&mut self) {
        drop(self.open.take());
        if let Some(ending) = self.ending.take()
            && let Err(error) = self.engine.in_background(move || drop(joined(ending.thread)))
        {
            tracing::error!(%error, "a run becomes readable while its store is closed");
        }
    }

    /// Gives up all runs, and the record of an upload. A background thread waits for a running
    /// ingest.
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

/// The rest of a blob without a publication.
struct AbandonedBlob {
    engine: Arc<Engine>,
    source: Arc<SegmentSource>,
    upload: Option<UploadId>,
    epoch: Option<u32>,
    bytes: u64,
}

impl AbandonedBlob {
    /// The record goes before the lease: without the lease the upload would count as at rest.
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
    /// Makes the run durable and readable.
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
    /// An ingest moves the file away; a file still here belongs to an abandoned run.
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
        self.engine.space.release(self.reserved_bytes);
    }
}
