//! Every size and bound of the store, in one place.

use std::time::Duration;

/// Size of a segment, the value RocksDB keeps, in bytes. Measured (design §3): 256 KiB reads
/// at 5.4 GB/s, 1 MiB at 3.1, because it leaves the second-level cache.
pub const SEGMENT_BYTES: usize = 256 * 1024;

/// A blob of at most this many segments (512 KiB) is kept by ordinary puts in the batch that
/// publishes it; a larger one is written as runs. `make bench-store` on two cores and ext4, time to
/// publish and bytes written per byte: 64 KiB 0.9 ms, 2.07 by puts, 7.0 ms, 1.28 as a run; 512 KiB
/// 3.1 ms, 2.01 and 7.3 ms, 1.04; 1 MiB 5.1 ms, 2.01 and 8.4 ms, 1.02. Past this border the second
/// copy costs the disk more than the wait for it is worth.
pub const SMALL_BLOB_SEGMENTS_MAX: usize = 2;

/// Buffers of a segment that are kept to be used again (16 MiB).
pub const SEGMENT_BUFFERS_MAX: usize = 64;

/// Segments of one blob that may wait to be hashed while others are; then the writer waits.
pub const HASHING_SEGMENTS_MAX: usize = 8;

/// Threads of the process that hash beside writers, at most one for each core.
pub const HASHING_THREADS_MAX: usize = 16;

/// A run is ingested when it has this many segments (32 MiB), while the next is written: of 64 MiB,
/// two would not leave room for anything else in memory.
pub const RUN_SEGMENTS_MAX: usize = 128;

/// So many of its last runs are read back into the page cache when a cached blob is published (1 GiB).
pub const RUN_FILES_MAX: usize = 32;
/// Files of runs that are kept open for that by all blobs together; past it they are not read back.
pub const RUN_FILES_ALL_MAX: usize = 1_024;

/// Under memory pressure a run is ingested early, but not before it has this many segments (4 MiB).
pub const RUN_SEGMENTS_SHORT: usize = 16;

/// The same under severe pressure (1 MiB).
pub const RUN_SEGMENTS_SEVERE: usize = 4;

/// How many runs an epoch takes before the next one opens; ingest costs 0.5 ms more per thousand
/// runs of its column family (design §3).
pub const EPOCH_RUNS_MAX: u64 = 2_000;

/// How many bytes of segments are in memory, of blobs in flight and of those kept for readers. Past
/// it, kept ones go first, then segments in flight that can be read from disk, and runs are ingested
/// early.
pub const HOT_BYTES_MAX: u64 = 96 * 1024 * 1024;

/// The smallest limit on disk a store accepts, in bytes: below it, logs take more than blobs.
pub const LIMIT_BYTES_MIN: u64 = 256 * 1024 * 1024;

/// The log that lets records survive a crash is folded in when it has this many bytes.
pub const LOG_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Records in memory that are not folded in yet, in bytes.
pub const RECORD_BUFFER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What a store leaves free on the disk, in bytes, so that records can still be written when no blob
/// can: a log and what it is folded into.
pub const DISK_RESERVE_BYTES: u64 = 2 * LOG_BYTES_MAX;

/// What a start may need when others have filled the disk, and a store holds for it, in bytes: the log is
/// folded in before it is deleted, and RocksDB begins its own files.
pub const BALLAST_BYTES: u64 = LOG_BYTES_MAX + 8 * 1024 * 1024;

/// A store of which that would be more than such a share holds none.
pub const BALLAST_SHARE: u64 = 16;

/// What RocksDB writes anew at most before it deletes the old, in bytes; so far, but no more than an
/// eighth of it, a store stays under its limit.
pub const REWRITE_BYTES_MAX: u64 = 48 * 1024 * 1024;

/// Small blobs are gathered in memory to tables of this size before they are written, in bytes.
pub const SMALL_TABLE_BYTES: usize = 8 * 1024 * 1024;

/// How much more than needed is evicted at once, in bytes, so that not every segment evicts.
pub const EVICTION_EXTRA_BYTES: u64 = 32 * 1024 * 1024;

/// How many blobs an eviction looks at in one go.
pub const EVICTION_PAGE_LEN: usize = 256;

/// How often an eviction tries again to make the room that is needed.
pub const EVICTION_ROUNDS_MAX: usize = 8;

/// How many reads are remembered in memory before the order of use is written.
pub const TOUCHED_LEN_MAX: usize = 16_384;

/// How often the order of use is written and the disk is looked at, in milliseconds.
pub const UPKEEP_PERIOD_MS: u64 = 2_000;

/// Evicted small blobs are given back to the disk in heaps of this many bytes: that takes a rewrite
/// of what lies around them.
pub const SMALL_HEAP_BYTES: u64 = 16 * 1024 * 1024;

/// How many damages a scrub reports one by one.
pub const DAMAGE_LEN_MAX: usize = 1_000;

/// After this many bytes a scrub remembers where it is.
pub const SCRUB_CURSOR_BYTES: u64 = 64 * 1024 * 1024;

/// How many uploads at rest are listed at most; more than a server keeps open.
pub const UPLOADS_MAX: usize = 65_536;

/// Parts of blobs that are kept for whoever goes on with them.
pub const PARTS_MAX: usize = 256;

/// What they may take on disk, in bytes.
pub const PARTS_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;

/// The same as a share of the store's limit.
pub const PARTS_SHARE: u64 = 8;

/// How long a part waits for that.
pub const PART_TIME: Duration = Duration::from_hours(1);

/// How many blobs may be owed to upstreams at once; whoever adds to them keeps to it.
pub const DELIVERIES_MAX: usize = 16_384;

/// How many forgotten blobs may wait to be freed; past they stay on disk until the next start.
pub const FREEING_QUEUE_LEN_MAX: usize = 4_096;

/// How many blob numbers are reserved with one synced write.
pub const NUMBERS_RESERVED: u64 = 1_024;

/// Open file handles RocksDB may hold; most of them are runs.
pub const OPEN_FILES_MAX: u32 = 4_096;

/// How many entries a listing reads at most in one call.
pub const PAGE_ENTRIES_MAX: usize = 1_000;

/// Folders of a store that are looked at for who may read them; it has three.
pub const STORE_FOLDERS_MAX: u32 = 64;
