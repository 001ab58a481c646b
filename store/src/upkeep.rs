//! The requests of an operator to a store, and their reports. The work is done in `rocks/`.

use std::ops::ControlFlow;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use wharf_oci::{Digest, RepoName};

use crate::limits::{HOT_BYTES_MAX, SMALL_BLOB_SEGMENTS_MAX};

/// The options of an opened store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The most bytes of the store on disk. Cached blobs are evicted to stay under it; past it a
    /// write is refused with [`StoreError::Full`](crate::StoreError::Full).
    pub limit_bytes: Option<u64>,
    /// The most bytes of segments in memory.
    pub hot_bytes: u64,
    /// The most segments of a small blob, stored by ordinary puts.
    pub small_blob_segments: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            limit_bytes: None,
            hot_bytes: HOT_BYTES_MAX,
            small_blob_segments: SMALL_BLOB_SEGMENTS_MAX,
        }
    }
}

/// Contents and size of a store. Bytes on disk are counted in blocks, as `du` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Version of the format on disk.
    pub format: u32,
    /// Bytes of the store's folder.
    pub disk_bytes: u64,
    /// The limit on disk in bytes, when there is one.
    pub limit_bytes: Option<u64>,
    /// Bytes of runs: the segments of large blobs, also of those in flight.
    pub run_bytes: u64,
    /// Bytes of everything else: small blobs, manifests, tags, records, logs.
    pub record_bytes: u64,
    /// Published blobs.
    pub blobs: u64,
    /// The sum of the sizes of published blobs, in bytes.
    pub blob_bytes: u64,
    /// Evictable blobs.
    pub cached_blobs: u64,
    /// The sum of the sizes of evictable blobs, in bytes.
    pub cached_bytes: u64,
    /// Damaged blobs in quarantine.
    pub quarantined_blobs: u64,
    /// The sum of the sizes of blobs in quarantine, in bytes.
    pub quarantined_bytes: u64,
    /// Uploads at rest or open.
    pub uploads: u64,
    /// Parts of interrupted blobs.
    pub parts: u64,
    /// Bytes of parts on disk; also counted in `run_bytes`.
    pub part_bytes: u64,
    /// Bytes of segments of blobs in flight, in memory.
    pub in_flight_bytes: u64,
    /// Bytes of cached segments, in memory.
    pub hot_bytes: u64,
    /// Blobs evicted since the store was opened.
    pub evicted_blobs: u64,
    /// The sum of their sizes, in bytes.
    pub evicted_bytes: u64,
}

/// The target of an eviction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Eviction {
    /// Cached blobs, least recently used first, down to this size of the store on disk.
    DownTo {
        /// Bytes on disk.
        disk_bytes: u64,
    },
    /// Cached blobs without a read since this moment.
    UnusedSince {
        /// Milliseconds since 1970.
        ms: u64,
    },
    /// The cached blobs of this repository, unless another repository has them too.
    Repository(RepoName),
    /// The damaged blobs in quarantine.
    Quarantined,
}

/// The result of an eviction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvictionReport {
    /// Evicted blobs.
    pub blobs: u64,
    /// The sum of their sizes, in bytes.
    pub bytes: u64,
    /// Removed links of repositories.
    pub links: u64,
}

/// The options of a scrub.
#[derive(Debug, Clone, Copy, Default)]
pub struct ScrubPlan {
    /// The most bytes read in a second.
    pub bytes_per_second: Option<u64>,
    /// Start with the first blob instead of the cursor of the last scrub.
    pub from_start: bool,
    /// Put damaged blobs into quarantine; else only report them.
    pub quarantine: bool,
}

/// The progress of a long operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Finished blobs or files.
    pub done: u64,
    /// All blobs or files.
    pub total: u64,
    /// Finished bytes.
    pub done_bytes: u64,
    /// All bytes.
    pub total_bytes: u64,
}

/// A callback for the progress of an operation. `Break` stops the operation at once; the next one
/// continues from there.
pub type Watch<'a> = &'a mut dyn FnMut(&Progress) -> ControlFlow<()>;

/// Damaged content or records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// The digest of the damaged blob.
    pub digest: Option<Digest>,
    /// The column family of the damaged records.
    pub records: Option<String>,
    /// The symptom.
    pub reason: String,
    /// Whether the blob was put into quarantine.
    pub quarantined: bool,
}

/// The report of a scrub or a verification.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubReport {
    /// Checked blobs.
    pub blobs: u64,
    /// Bytes of the checked blobs.
    pub bytes: u64,
    /// Whether every blob was checked; `false` after a stop.
    pub complete: bool,
    /// The damages.
    pub damage: Vec<Damage>,
    /// The number of damages past the bound of `damage`.
    pub more_damage: u64,
}

/// The report of a backup or a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyReport {
    /// The target folder.
    pub folder: PathBuf,
    /// Written files.
    pub files: u64,
    /// Bytes of the files.
    pub bytes: u64,
}
