//! The options of RocksDB: the database, families of records, families of runs, reads.

use std::sync::LazyLock;

use rocksdb::{
    BlockBasedOptions, DBCompressionType, IngestExternalFileOptions, MergeOperands, Options,
    ReadOptions,
};

use super::records::Totals;
use crate::limits::{LOG_BYTES_MAX, OPEN_FILES_MAX, RECORD_BUFFER_BYTES_MAX, SMALL_TABLE_BYTES};
use crate::{Result, StoreError};

/// Options of runs and of their families. The writer of a run borrows them for its life, so they
/// are static.
pub(super) static RUN_OPTIONS: LazyLock<Options> = LazyLock::new(run_options);

/// Write buffer of a run file: the default of 1 MiB would copy every segment once more.
const RUN_WRITE_BUFFER_BYTES: u64 = 64 * 1024;
/// Memory for the blocks of small records: digests, tags, manifests.
const RECORD_CACHE_BYTES: usize = 32 * 1024 * 1024;
/// Small blocks: a look-up among a million digests reads one from the page cache half of the time.
const RECORD_BLOCK_BYTES: usize = 1024;
/// RocksDB's own log of events; two of these are kept.
const DIARY_BYTES_MAX: usize = 1024 * 1024;

/// `strict` refuses a database with any unreadable table.
pub(super) fn database_options(strict: bool) -> Result<Options> {
    // Preallocated space could not be counted: a log would take 32 MiB at once.
    let mut options = Options::default()
        .get_options_from_string("allow_fallocate=false")
        .map_err(|error| StoreError::database("setting up", "the database", error))?;
    options.create_if_missing(true);
    options.set_paranoid_checks(strict);
    options.create_missing_column_families(true);
    options.set_writable_file_max_buffer_size(RUN_WRITE_BUFFER_BYTES);
    options.set_max_total_wal_size(LOG_BYTES_MAX);
    options.set_db_write_buffer_size(RECORD_BUFFER_BYTES_MAX);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(DIARY_BYTES_MAX);
    options.set_max_open_files(i32::try_from(open_files()).unwrap_or(i32::MAX));
    options.set_skip_stats_update_on_db_open(true);
    Ok(options)
}

/// Half of the process's file descriptors, so connections keep the other half.
fn open_files() -> u32 {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let half = limit.map_or(OPEN_FILES_MAX, |limit| u32::try_from(limit / 2).unwrap_or(u32::MAX));
    half.min(OPEN_FILES_MAX)
}

pub(super) fn record_options() -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&rocksdb::Cache::new_lru_cache(RECORD_CACHE_BYTES));
    table.set_bloom_filter(10.0, false);
    table.set_block_size(RECORD_BLOCK_BYTES);
    let mut options = Options::default();
    options.set_compression_type(DBCompressionType::None);
    options.set_block_based_table_factory(&table);
    options.set_merge_operator_associative("totals", add_totals);
    options
}

/// Small blobs: small tables, rewritten a few at a time, so a rewrite takes little room.
pub(super) fn small_options() -> Options {
    let mut options = record_options();
    options.set_write_buffer_size(SMALL_TABLE_BYTES);
    options.set_target_file_size_base(SMALL_TABLE_BYTES as u64);
    options.set_max_compaction_bytes(2 * SMALL_TABLE_BYTES as u64);
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

/// Sums changes of [`Totals`]. A malformed change fails the merge, and the reader gets a corruption
/// error.
fn add_totals(_: &[u8], before: Option<&[u8]>, changes: &MergeOperands) -> Option<Vec<u8>> {
    let mut sum = match before {
        Some(bytes) => Totals::decode(bytes)?,
        None => Totals::default(),
    };
    for change in changes {
        sum = sum.plus(Totals::decode(change)?);
    }
    Some(sum.encode())
}

pub(super) fn ingest_options() -> IngestExternalFileOptions {
    let mut options = IngestExternalFileOptions::default();
    options.set_move_files(true);
    options.set_snapshot_consistency(false);
    options
}

/// Reads of segments leave the block cache alone: a segment would evict as much as it adds.
pub(super) fn segment_read_options() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.fill_cache(false);
    options.set_verify_checksums(true);
    options
}

/// For one pass over records.
pub(super) fn scan_options() -> ReadOptions {
    let mut options = segment_read_options();
    options.set_readahead_size(1024 * 1024);
    options
}
