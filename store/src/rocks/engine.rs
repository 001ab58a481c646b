//! The open database: families, numbers, locks, writes. Knows records, not blobs.
//!
//! Invariant: a number is given out once in the life of a store, also across crashes, so the bytes
//! of a forgotten blob never belong to another.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;

use rocksdb::{BoundColumnFamily, ColumnFamilyDescriptor, DB, Options, WriteBatch, WriteOptions};
use wharf_oci::{Digest, UploadId};

use super::options::{self, RUN_OPTIONS};
use super::part_pool::PartPool;
use super::recency::Recency;
use super::records::{BlobRecord, NumberRecord, Session, Totals};
use super::schema::{self, BLOBS, FAMILIES, META, NEXT_NUMBER, NUMBERS, SESSIONS, SMALL, TOTALS};
use super::space::Space;
use super::{holder, private};
use crate::limits::NUMBERS_RESERVED;
use crate::lock::lock;
use crate::segment_cache::SegmentCache;
use crate::upkeep::StoreOptions;
use crate::{Result, StoreError};

/// Locks of digests; a lock is shared by several digests.
const DIGEST_LOCKS: usize = 64;

pub(super) struct Engine {
    db: DB,
    folder: PathBuf,
    numbers: Mutex<Numbers>,
    pub(super) space: Space,
    pub(super) recency: Recency,
    pub(super) segment_cache: Arc<SegmentCache>,
    pub(super) parts: PartPool,
    pub(super) small_blob_segments: usize,
    /// Each is held while a blob becomes visible or is forgotten, so two writers of one digest
    /// agree.
    digests: [Mutex<()>; DIGEST_LOCKS],
    /// Held during an eviction.
    evicting: Mutex<()>,
    /// Several runs may be ingested at once; a deletion of runs has the lock alone. RocksDB keeps
    /// files deleted during an ingest until the next deletion, and they would not be counted.
    runs_change: RwLock<()>,
    pub(super) evicted: Counter,
    /// Bytes of forgotten small blobs still on disk.
    small_heap_bytes: AtomicU64,
    /// Threads without another owner. They hold the engine, so the close of the store joins them.
    background: Mutex<Vec<JoinHandle<()>>>,
}

/// Blobs and bytes since the start.
#[derive(Debug, Default)]
pub(super) struct Counter {
    pub(super) blobs: AtomicU64,
    pub(super) bytes: AtomicU64,
}

impl Counter {
    pub(super) fn add(&self, bytes: u64) {
        self.blobs.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

struct Numbers {
    next: u64,
    reserved: u64,
}

impl Engine {
    /// Opens the database of a store. The engine gives out numbers after [`Engine::start_numbers`].
    pub(super) fn open(folder: &Path, how: &StoreOptions) -> Result<Self> {
        Ok(Self {
            db: open_database(folder)?,
            folder: folder.to_owned(),
            numbers: Mutex::new(Numbers { next: 0, reserved: 0 }),
            space: Space::new(how.limit_bytes),
            recency: Recency::default(),
            segment_cache: Arc::new(SegmentCache::new(how.hot_bytes)),
            parts: PartPool::default(),
            small_blob_segments: how.small_blob_segments,
            digests: std::array::from_fn(|_| Mutex::default()),
            evicting: Mutex::default(),
            runs_change: RwLock::default(),
            evicted: Counter::default(),
            small_heap_bytes: AtomicU64::new(0),
            background: Mutex::default(),
        })
    }

    /// Sets the first unused number, as recovered at the start.
    pub(super) fn start_numbers(&self, next: u64) {
        *lock(&self.numbers) = Numbers { next, reserved: next };
    }

    pub(super) const fn db(&self) -> &DB {
        &self.db
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Locks a digest.
    pub(super) fn changing(&self, digest: &Digest) -> MutexGuard<'_, ()> {
        let last = usize::from(digest.raw().last().copied().unwrap_or(0));
        let [first, ..] = &self.digests;
        lock(self.digests.get(last % DIGEST_LOCKS).unwrap_or(first))
    }

    pub(super) fn evicting(&self) -> MutexGuard<'_, ()> {
        lock(&self.evicting)
    }

    /// Adds to the bytes of forgotten small blobs still on disk; returns their sum.
    pub(super) fn small_heap(&self, bytes: u64) -> u64 {
        self.small_heap_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    /// Runs work on a thread of its own, joined by [`Engine::await_background`].
    pub(super) fn in_background(&self, work: impl FnOnce() + Send + 'static) -> Result<()> {
        let thread = std::thread::Builder::new().name("run".to_owned());
        let thread = thread
            .spawn(work)
            .map_err(|error| StoreError::io("starting a thread in", &self.folder, error))?;
        let mut threads = lock(&self.background);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Ok(())
    }

    /// Joins the background threads. A database closed during the end of the process meets
    /// RocksDB's destroyed statics, and aborts.
    pub(super) fn await_background(&self) {
        let threads = std::mem::take(&mut *lock(&self.background));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("what a blob left behind waits for the next start");
            }
        }
    }

    /// Subtracts from the bytes of forgotten small blobs, after a rewrite of their table.
    pub(super) fn small_heap_gone(&self, bytes: u64) {
        self.small_heap_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn family(&self, name: &str) -> Result<Arc<BoundColumnFamily<'_>>> {
        self.db.cf_handle(name).ok_or_else(|| StoreError::Corrupt {
            operation: "opening",
            key: name.to_owned(),
            reason: "the column family is missing".to_owned(),
        })
    }

    /// One value, copied; `key` names it in an error.
    pub(super) fn get(&self, family: &str, raw_key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.db
            .get_cf(&self.family(family)?, raw_key)
            .map_err(|error| StoreError::database("reading", family, error))
    }

    /// Writes a batch, durable across power loss.
    pub(super) fn write(
        &self,
        batch: WriteBatch,
        operation: &'static str,
        key: impl FnOnce() -> String,
    ) -> Result<()> {
        self.write_batch(batch, true, operation, key)
    }

    /// Writes a batch, durable across the end of this process; power loss may take it until
    /// [`Engine::sync`].
    pub(super) fn write_soon(
        &self,
        batch: WriteBatch,
        operation: &'static str,
        key: impl FnOnce() -> String,
    ) -> Result<()> {
        self.write_batch(batch, false, operation, key)
    }

    fn write_batch(
        &self,
        batch: WriteBatch,
        sync: bool,
        operation: &'static str,
        key: impl FnOnce() -> String,
    ) -> Result<()> {
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        self.space.wrote_records(batch.size_in_bytes() as u64);
        self.db
            .write_opt(batch, &options)
            .map_err(|error| StoreError::database(operation, key(), error))
    }

    /// Makes every earlier write durable across power loss.
    pub(super) fn sync(&self) -> Result<()> {
        let key = || self.folder.display().to_string();
        self.db.flush_wal(true).map_err(|error| StoreError::database("syncing", key(), error))
    }

    pub(super) fn blob_record(&self, digest: &Digest) -> Result<Option<BlobRecord>> {
        match self.get(BLOBS, &schema::digest_key(digest))? {
            None => Ok(None),
            Some(value) => match BlobRecord::decode(&value) {
                Some(blob) => Ok(Some(blob)),
                None => Err(StoreError::undecodable("reading", digest.to_string())),
            },
        }
    }

    /// The record of a number.
    pub(super) fn number_record(&self, number: u64) -> Result<Option<NumberRecord>> {
        match self.get(NUMBERS, &number.to_be_bytes())? {
            None => Ok(None),
            Some(value) => match NumberRecord::decode(&value) {
                Some(numbered) => Ok(Some(numbered)),
                None => Err(StoreError::undecodable("reading", format!("blob number {number}"))),
            },
        }
    }

    pub(super) fn totals(&self) -> Result<Totals> {
        match self.get(META, TOTALS)? {
            None => Ok(Totals::default()),
            Some(value) => Totals::decode(&value)
                .ok_or_else(|| StoreError::undecodable("reading", "the totals")),
        }
    }

    /// The number of deletions in the tables and in the memory of a family, still above their
    /// deleted entries.
    pub(super) fn deletions(&self, family: &str) -> Result<u64> {
        let handle = self.family(family)?;
        let failed = |error| StoreError::database("measuring", family, error);
        let in_memory = |property: &rocksdb::properties::PropName| {
            let value = self.db.property_int_value_cf(&handle, property).map_err(failed)?;
            Ok::<u64, StoreError>(value.unwrap_or(0))
        };
        let tables = self
            .db
            .property_value_cf(&handle, rocksdb::properties::AGGREGATED_TABLE_PROPERTIES)
            .map_err(failed)?;
        // `# entries=5; # deletions=2; …`
        let tables = tables.unwrap_or_default();
        let counted = tables.split(';').find_map(|property| {
            property.trim().strip_prefix("# deletions=")?.trim().parse::<u64>().ok()
        });
        Ok(counted.unwrap_or(0)
            + in_memory(rocksdb::properties::NUM_DELETES_ACTIVE_MEM_TABLE)?
            + in_memory(rocksdb::properties::NUM_DELETES_IMM_MEM_TABLES)?)
    }

    /// An unused number.
    pub(super) fn take_number(&self) -> Result<u64> {
        let mut numbers = lock(&self.numbers);
        if numbers.next >= numbers.reserved {
            let reserved = numbers.next + NUMBERS_RESERVED;
            let mut batch = WriteBatch::default();
            batch.put_cf(&self.family(META)?, NEXT_NUMBER, reserved.to_be_bytes());
            self.write(batch, "reserving", || "blob numbers".to_owned())?;
            numbers.reserved = reserved;
        }
        numbers.next += 1;
        Ok(numbers.next - 1)
    }

    /// The file of a run before its ingest.
    pub(super) fn incoming(&self, number: u64, run: u64) -> PathBuf {
        self.folder.join("incoming").join(format!("{number}-{run}.sst"))
    }

    /// Ingests a finished file into an epoch: visible to readers and durable, without a copy. From
    /// now on the run counts with its size instead of its reservation.
    pub(super) fn ingest(
        &self,
        epoch: Option<u32>,
        file: &Path,
        run_bytes: u64,
        reserved_bytes: u64,
    ) -> Result<u32> {
        let open = |epoch| self.open_epoch(epoch);
        let epoch = self.space.place_run(epoch, run_bytes, reserved_bytes, open)?;
        let family = schema::epoch_family(epoch);
        let _coming = self.runs_change.read().unwrap_or_else(PoisonError::into_inner);
        let ingested = self.db.ingest_external_file_cf_opts(
            &self.family(&family)?,
            &options::ingest_options(),
            vec![file],
        );
        ingested.map_err(|error| {
            // The run is not counted; a start drops an epoch without runs.
            let _ = self.space.freed(epoch, run_bytes, || Ok(()));
            StoreError::database("ingesting", file.display().to_string(), error)
        })?;
        Ok(epoch)
    }

    /// Deletes the files of a number from `first_segment` on. They are off the disk at the return.
    pub(super) fn delete_runs(&self, epoch: u32, number: u64, first_segment: u64) -> Result<()> {
        let family = schema::epoch_family(epoch);
        // The files went with their dropped epoch.
        let Some(handle) = self.db.cf_handle(&family) else {
            return Ok(());
        };
        let _going = self.runs_change.write().unwrap_or_else(PoisonError::into_inner);
        let first = schema::segment_key(number, first_segment);
        self.db
            .delete_file_in_range_cf(&handle, first, schema::segment_key(number, u64::MAX))
            .map_err(|error| StoreError::database("freeing", family.clone(), error))
    }

    fn open_epoch(&self, epoch: u32) -> Result<()> {
        let family = schema::epoch_family(epoch);
        self.db
            .create_cf(&family, &RUN_OPTIONS)
            .map_err(|error| StoreError::database("opening", family, error))
    }

    /// Saves the durable state of an upload.
    pub(super) fn save_session(&self, session: &Session, sync: bool) -> Result<()> {
        let mut batch = WriteBatch::default();
        let key = session.id.as_u128().to_be_bytes();
        batch.put_cf(&self.family(SESSIONS)?, key, session.encode());
        self.write_batch(batch, sync, "saving", || format!("upload {}", session.id))
    }

    /// Deletes the record of an upload.
    pub(super) fn forget_session(&self, id: UploadId) -> Result<()> {
        let mut batch = WriteBatch::default();
        batch.delete_cf(&self.family(SESSIONS)?, id.as_u128().to_be_bytes());
        self.write_soon(batch, "forgetting", || format!("upload {id}"))
    }

    /// Measures everything besides runs: tables of records, logs, RocksDB's own files.
    pub(super) fn measure_records(&self) -> Result<()> {
        let mut bytes = 0;
        for family in FAMILIES {
            let tables = self
                .db
                .property_int_value_cf(&self.family(family)?, "rocksdb.total-sst-files-size")
                .map_err(|error| StoreError::database("measuring", family, error))?;
            bytes += tables.unwrap_or(0);
        }
        // Files of deleted runs still on disk.
        let obsolete = self.db.property_int_value("rocksdb.obsolete-sst-files-size");
        bytes += obsolete
            .map_err(|error| StoreError::database("measuring", "obsolete files", error))?
            .unwrap_or(0);
        for folder in [self.folder.clone(), self.folder.join("db")] {
            bytes += other_files(&folder)
                .map_err(|error| StoreError::io("measuring", &folder, error))?;
        }
        self.space.measured_records(bytes);
        Ok(())
    }

    /// Removes runs without an ingest. Their process is gone: this process holds the lock of the
    /// database.
    pub(super) fn clear_incoming(&self) -> Result<()> {
        let incoming = self.folder.join("incoming");
        // The folder itself stays: a full disk may have no room for another.
        private::make(&incoming)?;
        let failed = |error| StoreError::io("clearing", &incoming, error);
        for entry in fs::read_dir(&incoming).map_err(failed)? {
            fs::remove_file(entry.map_err(failed)?.path()).map_err(failed)?;
        }
        Ok(())
    }
}

/// Opens the database, even a damaged one, so its whole tables can be read. A read of a damaged
/// table reports the damage.
fn open_database(folder: &Path) -> Result<DB> {
    match try_open(folder, true) {
        Err(StoreError::Corrupt { reason, .. }) => {
            tracing::error!(reason, "the store is damaged; what is whole is served");
            try_open(folder, false)
        }
        opened => opened,
    }
}

fn try_open(folder: &Path, strict: bool) -> Result<DB> {
    let path = folder.join("db");
    let mut families: Vec<String> = FAMILIES.iter().map(ToString::to_string).collect();
    if path.join("CURRENT").exists() {
        let known = DB::list_cf(&Options::default(), &path)
            .map_err(|error| StoreError::database("listing", path.display().to_string(), error))?;
        families.extend(known.into_iter().filter(|name| schema::parse_epoch(name).is_some()));
    }
    let (record_options, small_options) = (options::record_options(), options::small_options());
    let descriptors = families.into_iter().map(|name| {
        let options = match name.as_str() {
            SMALL => small_options.clone(),
            epoch if schema::parse_epoch(epoch).is_some() => RUN_OPTIONS.clone(),
            _ => record_options.clone(),
        };
        ColumnFamilyDescriptor::new(name, options)
    });
    DB::open_cf_descriptors(&options::database_options(strict)?, &path, descriptors)
        .map_err(|error| open_error(folder, error))
}

/// The size of the files of a folder, without tables and without subfolders.
fn other_files(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "sst") {
            continue;
        }
        // RocksDB may delete an old log after it was listed.
        if let Ok(about) = entry.metadata() {
            bytes += about.blocks() * 512;
        }
    }
    Ok(bytes)
}

fn open_error(folder: &Path, error: rocksdb::Error) -> StoreError {
    // For a lock out of reach (no permission, a read-only file system) the error of the system has
    // the reason.
    let text: &str = error.as_ref();
    let is_held = text.to_ascii_lowercase().contains("while lock file")
        && text.contains("Resource temporarily unavailable");
    if is_held || text.contains("lock hold by current process") {
        let holder = holder::of(&folder.join("db/LOCK"));
        return StoreError::Locked { path: folder.to_owned(), holder };
    }
    StoreError::database("opening", folder.display().to_string(), error)
}
