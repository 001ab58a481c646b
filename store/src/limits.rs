//! Every size and bound of the store, in one place.

/// Size of a segment, the value that RocksDB keeps, in bytes. Measured (design §3): 256 KiB reads
/// at 5.4 GB/s, 1 MiB at 3.1, because it leaves the second-level cache.
pub const SEGMENT_BYTES: usize = 256 * 1024;

/// A blob up to this size is kept by ordinary puts in the batch that publishes it; a larger one is
/// written as runs. A run costs two fsyncs, about as long as this many bytes take to write twice.
pub const SMALL_BLOB_BYTES_MAX: u64 = (SMALL_BLOB_SEGMENTS_MAX * SEGMENT_BYTES) as u64;

/// The same, in segments.
pub const SMALL_BLOB_SEGMENTS_MAX: usize = 2;

/// A run is ingested when it has this many segments (64 MiB).
pub const RUN_SEGMENTS_MAX: usize = 256;

/// Under memory pressure a run is ingested early, but not before it has this many segments (4 MiB).
pub const RUN_SEGMENTS_MIN: usize = 16;

/// How many runs an epoch takes before the next one opens; ingest costs 0.5 ms more per thousand
/// runs of its column family (design §3).
pub const EPOCH_RUNS_MAX: u64 = 2_000;

/// How many bytes all blobs in flight together keep in memory before they let go of segments that
/// can be read from disk, and ingest runs early.
pub const IN_FLIGHT_BYTES_MAX: u64 = 96 * 1024 * 1024;

/// How many forgotten blobs may wait to be freed; past that they stay on disk until the next start.
pub const FREEING_QUEUE_LEN_MAX: usize = 4_096;

/// How many blob numbers are reserved with one synced write.
pub const NUMBERS_RESERVED: u64 = 1_024;

/// Open file handles that RocksDB may hold; most of them are runs.
pub const OPEN_FILES_MAX: u32 = 4_096;

/// How many entries a listing reads at most in one call.
pub const PAGE_ENTRIES_MAX: usize = 1_000;
