//! Every size and bound of the store, in one place.

use std::time::Duration;

/// Size of a segment, the value RocksDB keeps, in bytes. Measured (design §3): 256 KiB reads
/// at 5.4 GB/s, 1 MiB at 3.1, because it leaves the second-level cache.
pub const SEGMENT_BYTES: usize = 256 * 1024;

/// Most segments of a small blob (512 KiB). A small blob is stored by ordinary puts in the batch of
/// its publication; a larger one is written as runs. `make bench-store` on two cores and ext4, time
/// to publish and bytes written per byte: 64 KiB 0.9 ms, 2.07 by puts, 7.0 ms, 1.28 as a run; 512
/// KiB 3.1 ms, 2.01 and 7.3 ms, 1.04; 1 MiB 5.1 ms, 2.01 and 8.4 ms, 1.02. Past this border the
/// second copy costs the disk more than the saved wait is worth.
pub const SMALL_BLOB_SEGMENTS_MAX: usize = 2;

/// Free segment buffers kept for reuse (16 MiB).
pub const SEGMENT_BUFFERS_MAX: usize = 64;

/// Segments of one blob in the queue of a busy hashing thread; past it the writer waits.
pub const HASHING_SEGMENTS_MAX: usize = 8;

/// Hashing threads of the process, at most one for each core.
pub const HASHING_THREADS_MAX: usize = 16;

/// Segments of a full run (32 MiB). A full run is ingested while the next one is written; two runs
/// of 64 MiB would leave no room for anything else in memory.
pub const RUN_SEGMENTS_MAX: usize = 128;

/// Last runs of a cached blob, read back into the page cache at its publication (1 GiB).
pub const RUN_FILES_MAX: usize = 32;
/// Run files of all blobs held open for the read-back; past it the rest is not read back.
pub const RUN_FILES_ALL_MAX: usize = 1_024;

/// Least segments of a run ingested early under memory pressure (4 MiB).
pub const RUN_SEGMENTS_SHORT: usize = 16;

/// Least segments of a run ingested early under severe pressure (1 MiB).
pub const RUN_SEGMENTS_SEVERE: usize = 4;

/// Runs of an epoch before the next one opens. An ingest costs 0.5 ms more per thousand runs of its
/// column family (design §3).
pub const EPOCH_RUNS_MAX: u64 = 2_000;

/// Memory for segments, in bytes: of blobs in flight, and in the cache for readers. Past it cached
/// segments go first, then stored segments of blobs in flight, and runs are ingested early.
pub const HOT_BYTES_MAX: u64 = 96 * 1024 * 1024;

/// The smallest limit on disk a store accepts, in bytes: below it, logs take more than blobs.
pub const LIMIT_BYTES_MIN: u64 = 256 * 1024 * 1024;

/// Size of the write-ahead log before RocksDB flushes its records, in bytes.
pub const LOG_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Unflushed records in memory, in bytes.
pub const RECORD_BUFFER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Free space left by the store on its disk, in bytes, so records can be written when no blob can:
/// a log and the tables of its flush.
pub const DISK_RESERVE_BYTES: u64 = 2 * LOG_BYTES_MAX;

/// Room of a start on a full disk, in bytes, held by the ballast: the log is flushed before its
/// deletion, and RocksDB begins its own files.
pub const BALLAST_BYTES: u64 = LOG_BYTES_MAX + 8 * 1024 * 1024;

/// A store has a ballast only when its size is at most this share of the limit (1/16).
pub const BALLAST_SHARE: u64 = 16;

/// Most bytes RocksDB writes before it deletes their old version. The store stays so far under its
/// limit, but no more than an eighth of it.
pub const REWRITE_BYTES_MAX: u64 = 48 * 1024 * 1024;

/// Write buffer of small blobs, and size of their tables, in bytes.
pub const SMALL_TABLE_BYTES: usize = 8 * 1024 * 1024;

/// Extra bytes of each eviction, so not every segment evicts.
pub const EVICTION_EXTRA_BYTES: u64 = 32 * 1024 * 1024;

/// Blobs of one page of an eviction.
pub const EVICTION_PAGE_LEN: usize = 256;

/// Rounds of an eviction for one reservation.
pub const EVICTION_ROUNDS_MAX: usize = 8;

/// Reads noted in memory before they are written to the order of use.
pub const TOUCHED_LEN_MAX: usize = 16_384;

/// Period of the upkeep, in milliseconds: the order of use is written, and the disk is measured.
pub const UPKEEP_PERIOD_MS: u64 = 2_000;

/// Size of a heap of evicted small blobs, in bytes: the table around them is rewritten for each
/// heap.
pub const SMALL_HEAP_BYTES: u64 = 16 * 1024 * 1024;

/// Damages of one scrub with a report of their own.
pub const DAMAGE_LEN_MAX: usize = 1_000;

/// Bytes between two saves of the scrub's cursor.
pub const SCRUB_CURSOR_BYTES: u64 = 64 * 1024 * 1024;

/// Most uploads at rest in a listing; more than a server keeps open.
pub const UPLOADS_MAX: usize = 65_536;

/// Parts of interrupted blobs in a store.
pub const PARTS_MAX: usize = 256;

/// Bytes of all parts on disk.
pub const PARTS_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;

/// Share of the store's limit for parts (1/8).
pub const PARTS_SHARE: u64 = 8;

/// Lifetime of a part.
pub const PART_TIME: Duration = Duration::from_hours(1);

/// Pending deliveries of a store; the proxy keeps to it.
pub const DELIVERIES_MAX: usize = 16_384;

/// Forgotten blobs in the queue of the reaper; past it they stay on disk until the next start.
pub const FREEING_QUEUE_LEN_MAX: usize = 4_096;

/// Blob numbers reserved with one synced write.
pub const NUMBERS_RESERVED: u64 = 1_024;

/// Open file handles of RocksDB; most of them are runs.
pub const OPEN_FILES_MAX: u32 = 4_096;

/// Most entries of a listing in one call.
pub const PAGE_ENTRIES_MAX: usize = 1_000;

/// Folders of a store in the check of their modes; it has three.
pub const STORE_FOLDERS_MAX: u32 = 64;
