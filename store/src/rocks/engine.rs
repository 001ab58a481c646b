//! The open database: options, column families, numbers, epochs. Knows records, not blobs.
//!
//! Invariant: a number is given out once in the life of a store, also across crashes, so bytes of a
//! forgotten blob can never be taken for those of another.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use rocksdb::{
    BlockBasedOptions, BoundColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType,
    IngestExternalFileOptions, Options, ReadOptions, WriteBatch, WriteOptions,
};
use wharf_oci::Digest;

use super::schema::{self, BLOBS, FAMILIES, Located, META, NEXT_NUMBER};
use super::undecodable;
use crate::limits::{EPOCH_RUNS_MAX, NUMBERS_RESERVED, OPEN_FILES_MAX};
use crate::{Result, StoreError};

/// Options of runs and of the families that hold them. A writer of a run borrows them for as long
/// as it lives, hence static.
pub(super) static RUN_OPTIONS: LazyLock<Options> = LazyLock::new(run_options);

/// Write buffer of a run file: the default of 1 MiB would copy every segment once more.
const RUN_WRITE_BUFFER_BYTES: u64 = 64 * 1024;
/// Memory for the blocks of small records: digests, tags, manifests.
const RECORD_CACHE_BYTES: usize = 16 * 1024 * 1024;
/// The log that lets small records survive a crash may grow to this before it is folded in.
const LOG_BYTES_MAX: u64 = 64 * 1024 * 1024;

pub(super) struct Engine {
    db: DB,
    folder: PathBuf,
    numbers: Mutex<Numbers>,
    epoch: Mutex<Epoch>,
    /// Held while a digest is made visible or forgotten, so that two writers of one digest agree.
    publishing: Mutex<()>,
}

struct Numbers {
    next: u64,
    reserved: u64,
}

/// The epoch that takes runs at this moment.
pub(super) struct Epoch {
    pub(super) id: u32,
    pub(super) runs: u64,
}

impl Engine {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        schema::claim(folder)?;
        let path = folder.join("db");
        let mut families: Vec<String> = FAMILIES.iter().map(ToString::to_string).collect();
        if path.join("CURRENT").exists() {
            let known = DB::list_cf(&Options::default(), &path).map_err(|error| {
                StoreError::database("listing", path.display().to_string(), error)
            })?;
            families.extend(known.into_iter().filter(|name| schema::parse_epoch(name).is_some()));
        }
        let record_options = record_options();
        let descriptors = families.into_iter().map(|name| {
            let is_epoch = schema::parse_epoch(&name).is_some();
            let options = if is_epoch { RUN_OPTIONS.clone() } else { record_options.clone() };
            ColumnFamilyDescriptor::new(name, options)
        });
        let db = DB::open_cf_descriptors(&database_options(), &path, descriptors)
            .map_err(|error| open_error(folder, error))?;
        let engine = Self {
            db,
            folder: folder.to_owned(),
            numbers: Mutex::new(Numbers { next: 0, reserved: 0 }),
            epoch: Mutex::new(Epoch { id: 0, runs: 0 }),
            publishing: Mutex::new(()),
        };
        let next = engine.stored_next_number()?;
        *lock(&engine.numbers) = Numbers { next, reserved: next };
        engine.clear_incoming()?;
        Ok(engine)
    }

    pub(super) const fn db(&self) -> &DB {
        &self.db
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn publishing(&self) -> MutexGuard<'_, ()> {
        lock(&self.publishing)
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

    /// Writes a batch so that it survives power loss.
    pub(super) fn write(
        &self,
        batch: WriteBatch,
        operation: &'static str,
        key: impl FnOnce() -> String,
    ) -> Result<()> {
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.db
            .write_opt(batch, &options)
            .map_err(|error| StoreError::database(operation, key(), error))
    }

    pub(super) fn located(&self, digest: &Digest) -> Result<Option<Located>> {
        match self.get(BLOBS, &schema::digest_key(digest))? {
            None => Ok(None),
            Some(value) => match Located::decode(&value) {
                Some(located) => Ok(Some(located)),
                None => Err(undecodable("reading", digest.to_string())),
            },
        }
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

    /// The epoch for the next blob; opens one when there is none or it is full.
    pub(super) fn take_epoch(&self) -> Result<u32> {
        let mut epoch = lock(&self.epoch);
        if epoch.id == 0 || epoch.runs >= EPOCH_RUNS_MAX {
            let id = epoch.id + 1;
            let family = schema::epoch_family(id);
            self.db
                .create_cf(&family, &RUN_OPTIONS)
                .map_err(|error| StoreError::database("opening", family, error))?;
            *epoch = Epoch { id, runs: 0 };
        }
        Ok(epoch.id)
    }

    pub(super) fn set_epoch(&self, epoch: Epoch) {
        *lock(&self.epoch) = epoch;
    }

    /// Where a run is written before it is ingested.
    pub(super) fn incoming(&self, number: u64, run: u64) -> PathBuf {
        self.folder.join("incoming").join(format!("{number}-{run}.sst"))
    }

    /// Makes a finished file part of an epoch: visible to readers and durable, without a copy.
    pub(super) fn ingest(&self, epoch: u32, file: &Path) -> Result<()> {
        let family = schema::epoch_family(epoch);
        let mut options = IngestExternalFileOptions::default();
        options.set_move_files(true);
        options.set_snapshot_consistency(false);
        self.db
            .ingest_external_file_cf_opts(&self.family(&family)?, &options, vec![file])
            .map_err(|error| {
                StoreError::database("ingesting", file.display().to_string(), error)
            })?;
        let mut current = lock(&self.epoch);
        if current.id == epoch {
            current.runs += 1;
        }
        Ok(())
    }

    fn stored_next_number(&self) -> Result<u64> {
        match self.get(META, NEXT_NUMBER)? {
            None => Ok(1),
            Some(value) => match value.try_into() {
                Ok(number) => Ok(u64::from_be_bytes(number)),
                Err(_) => Err(undecodable("reading", "the next blob number")),
            },
        }
    }

    /// Runs that were never ingested belong to a process that is gone: the lock of the database is
    /// ours by now.
    fn clear_incoming(&self) -> Result<()> {
        let incoming = self.folder.join("incoming");
        if incoming.exists() {
            fs::remove_dir_all(&incoming)
                .map_err(|error| StoreError::io("clearing", &incoming, error))?;
        }
        fs::create_dir(&incoming).map_err(|error| StoreError::io("creating", &incoming, error))
    }
}

/// Reads of segments leave the block cache alone: a segment is as large as what it would evict.
pub(super) fn segment_read_options() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.fill_cache(false);
    options.set_verify_checksums(true);
    options
}

fn database_options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_writable_file_max_buffer_size(RUN_WRITE_BUFFER_BYTES);
    options.set_max_total_wal_size(LOG_BYTES_MAX);
    options.set_keep_log_file_num(2);
    options.set_max_open_files(i32::try_from(open_files()).unwrap_or(i32::MAX));
    options
}

/// Half of what the process may open, so that connections keep the other half.
fn open_files() -> u32 {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let half = limit.map_or(OPEN_FILES_MAX, |limit| u32::try_from(limit / 2).unwrap_or(u32::MAX));
    half.min(OPEN_FILES_MAX)
}

fn record_options() -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&rocksdb::Cache::new_lru_cache(RECORD_CACHE_BYTES));
    table.set_bloom_filter(10.0, false);
    let mut options = Options::default();
    options.set_compression_type(DBCompressionType::None);
    options.set_block_based_table_factory(&table);
    options
}

fn run_options() -> Options {
    let mut table = BlockBasedOptions::default();
    table.disable_cache();
    let mut options = Options::default();
    options.set_compression_type(DBCompressionType::None);
    options.set_writable_file_max_buffer_size(RUN_WRITE_BUFFER_BYTES);
    options.set_disable_auto_compactions(true);
    options.set_block_based_table_factory(&table);
    options
}

fn open_error(folder: &Path, error: rocksdb::Error) -> StoreError {
    let text: &str = error.as_ref();
    if text.contains("lock") && text.contains("LOCK") {
        return StoreError::Locked { path: folder.to_owned() };
    }
    StoreError::database("opening", folder.display().to_string(), error)
}

/// A panic elsewhere leaves these values whole: each is changed after the step that can fail.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
