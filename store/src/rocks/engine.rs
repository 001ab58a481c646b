//! The open database: families, numbers, locks, writes. Knows records, not blobs.
//!
//! Invariant: a number is given out once in the life of a store, also across crashes, so bytes of a
//! forgotten blob can never be taken for those of another.

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

/// Digests share locks; this many can be made visible or forgotten at once.
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
    /// Each held while one of its digests is made visible or forgotten, so that two writers of one
    /// digest agree.
    digests: [Mutex<()>; DIGEST_LOCKS],
    /// Held by whoever evicts.
    evicting: Mutex<()>,
    /// Runs come with others, and go alone: RocksDB keeps files that went while some came, until
    /// files go again, and nobody would count them.
    runs_change: RwLock<()>,
    pub(super) evicted: Counter,
    /// Bytes of forgotten small blobs the disk has not back yet.
    small_heap_bytes: AtomicU64,
    /// Threads that nobody else waits for. They hold the engine, so whoever closes the store does.
    background: Mutex<Vec<JoinHandle<()>>>,
}

/// Blobs and their bytes, since the start.
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
    /// Opens the database of a folder that is a store. Numbers are given out once the start says from where.
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

    /// The first number that was never given out, as the start found it.
    pub(super) fn start_numbers(&self, next: u64) {
        *lock(&self.numbers) = Numbers { next, reserved: next };
    }

    pub(super) const fn db(&self) -> &DB {
        &self.db
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The lock of a digest.
    pub(super) fn changing(&self, digest: &Digest) -> MutexGuard<'_, ()> {
        let last = usize::from(digest.raw().last().copied().unwrap_or(0));
        let [first, ..] = &self.digests;
        lock(self.digests.get(last % DIGEST_LOCKS).unwrap_or(first))
    }

    pub(super) fn evicting(&self) -> MutexGuard<'_, ()> {
        lock(&self.evicting)
    }

    /// Adds to the forgotten small blobs that wait to be given back; how many bytes they are.
    pub(super) fn small_heap(&self, bytes: u64) -> u64 {
        self.small_heap_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    /// Has another thread do what nobody waits for before [`Engine::await_background`].
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

    /// Waits for all of that. A database that closes while the process ends finds RocksDB's statics
    /// destroyed, and aborts.
    pub(super) fn await_background(&self) {
        let threads = std::mem::take(&mut *lock(&self.background));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("what a blob left behind waits for the next start");
            }
        }
    }

    /// So many of them were given back.
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

    /// Writes a batch so it survives power loss.
    pub(super) fn write(
        &self,
        batch: WriteBatch,
        operation: &'static str,
        key: impl FnOnce() -> String,
    ) -> Result<()> {
        self.write_batch(batch, true, operation, key)
    }

    /// Writes a batch so it survives the end of this process; power loss may take it until
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

    /// Everything written before survives power loss from here on.
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

    /// Whose a number is.
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

    /// How many deletions of a family still lie over what they delete, in its tables and in memory.
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

    /// A number that was never given out before.
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

    /// Where a run is written before it is ingested.
    pub(super) fn incoming(&self, number: u64, run: u64) -> PathBuf {
        self.folder.join("incoming").join(format!("{number}-{run}.sst"))
    }

    /// Makes a finished file part of an epoch: visible to readers and durable, without a copy. It is
    /// counted by its size from here on, and no longer by what was reserved.
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
            // It is counted nowhere; an epoch that stays empty for it is dropped at a start.
            let _ = self.space.freed(epoch, run_bytes, || Ok(()));
            StoreError::database("ingesting", file.display().to_string(), error)
        })?;
        Ok(epoch)
    }

    /// Deletes the files of a number from `first_segment` on. They are off the disk when this returns.
    pub(super) fn delete_runs(&self, epoch: u32, number: u64, first_segment: u64) -> Result<()> {
        let family = schema::epoch_family(epoch);
        // An epoch that is gone took the files along.
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

    /// Keeps what is durable of an upload.
    pub(super) fn save_session(&self, session: &Session, sync: bool) -> Result<()> {
        let mut batch = WriteBatch::default();
        let key = session.id.as_u128().to_be_bytes();
        batch.put_cf(&self.family(SESSIONS)?, key, session.encode());
        self.write_batch(batch, sync, "saving", || format!("upload {}", session.id))
    }

    /// Nothing is left to resume of an upload.
    pub(super) fn forget_session(&self, id: UploadId) -> Result<()> {
        let mut batch = WriteBatch::default();
        batch.delete_cf(&self.family(SESSIONS)?, id.as_u128().to_be_bytes());
        self.write_soon(batch, "forgetting", || format!("upload {id}"))
    }

    /// Takes stock of what is not a run: tables of records, logs, RocksDB's own files.
    pub(super) fn measure_records(&self) -> Result<()> {
        let mut bytes = 0;
        for family in FAMILIES {
            let tables = self
                .db
                .property_int_value_cf(&self.family(family)?, "rocksdb.total-sst-files-size")
                .map_err(|error| StoreError::database("measuring", family, error))?;
            bytes += tables.unwrap_or(0);
        }
        // Files of runs that went and are not deleted yet, whatever keeps them.
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

    /// Runs that were never ingested belong to a process that is gone: the lock of the database is
    /// ours by now.
    pub(super) fn clear_incoming(&self) -> Result<()> {
        let incoming = self.folder.join("incoming");
        // The folder itself stays: on a full disk there may be no room for another.
        private::make(&incoming)?;
        let failed = |error| StoreError::io("clearing", &incoming, error);
        for entry in fs::read_dir(&incoming).map_err(failed)? {
            fs::remove_file(entry.map_err(failed)?.path()).map_err(failed)?;
        }
        Ok(())
    }
}

/// Opens the database. One that is damaged is opened all the same, so that what is whole can be
/// read: each damaged table shows when it is read, and says so then.
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

/// What the files of a folder take, without tables and without folders in it.
fn other_files(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "sst") {
            continue;
        }
        // RocksDB may delete an old log between the two looks.
        if let Ok(about) = entry.metadata() {
            bytes += about.blocks() * 512;
        }
    }
    Ok(bytes)
}

fn open_error(folder: &Path, error: rocksdb::Error) -> StoreError {
    // Of a lock that cannot be had at all (no permission, a file system that is read-only) the system
    // says why.
    let text: &str = error.as_ref();
    let is_held = text.to_ascii_lowercase().contains("while lock file")
        && text.contains("Resource temporarily unavailable");
    if is_held || text.contains("lock hold by current process") {
        let holder = holder::of(&folder.join("db/LOCK"));
        return StoreError::Locked { path: folder.to_owned(), holder };
    }
    StoreError::database("opening", folder.display().to_string(), error)
}
