//! What an operator asks of a store, and what the answers are. The work is done in `rocks/`.

use std::ops::ControlFlow;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use wharf_oci::{Digest, RepoName};

use crate::limits::{HOT_BYTES_MAX, SMALL_BLOB_SEGMENTS_MAX};

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The most the store may take on disk, in bytes. Cached blobs are evicted to stay under
    /// it; what cannot be evicted is refused with [`StoreError::Full`](crate::StoreError::Full).
    pub limit_bytes: Option<u64>,
    /// The most that segments may take in memory, in bytes.
    pub hot_bytes: u64,
    /// Blobs of at most so many segments are kept by ordinary puts.
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

/// What a store holds and takes. Bytes on disk are counted in blocks, as `du` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Version of the format on disk.
    pub format: u32,
    /// Everything in the folder of the store.
    pub disk_bytes: u64,
    /// The limit on that, when there is one.
    pub limit_bytes: Option<u64>,
    /// Runs: the segments of large blobs, also of those still in flight.
    pub run_bytes: u64,
    /// Everything else: small blobs, manifests, tags, records, logs.
    pub record_bytes: u64,
    /// Published blobs.
    pub blobs: u64,
    /// The sum of their sizes.
    pub blob_bytes: u64,
    /// Of those, the ones that may be evicted.
    pub cached_blobs: u64,
    /// The sum of their sizes.
    pub cached_bytes: u64,
    /// Blobs that were found to be wrong, and are kept for a look.
    pub quarantined_blobs: u64,
    /// The sum of their sizes.
    pub quarantined_bytes: u64,
    /// Uploads at rest or open.
    pub uploads: u64,
    /// Parts of blobs that are kept for whoever goes on with them.
    pub parts: u64,
    /// What they take on disk; counted in `run_bytes`.
    pub part_bytes: u64,
    /// Segments of blobs in flight in memory.
    pub in_flight_bytes: u64,
    /// Segments kept in memory for readers.
    pub hot_bytes: u64,
    /// Blobs evicted since the store was opened.
    pub evicted_blobs: u64,
    /// The sum of their sizes.
    pub evicted_bytes: u64,
}

/// What to evict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Eviction {
    /// Cached blobs, least recently used first, until the store takes at most this on disk.
    DownTo {
        /// Bytes on disk.
        disk_bytes: u64,
    },
    /// Cached blobs that nobody read since this moment.
    UnusedSince {
        /// Milliseconds since 1970.
        ms: u64,
    },
    /// What this repository cached, unless another repository has it too.
    Repository(RepoName),
    /// What was found to be wrong.
    Quarantined,
}

/// What an eviction took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvictionReport {
    /// Blobs.
    pub blobs: u64,
    /// The sum of their sizes.
    pub bytes: u64,
    /// Links of repositories.
    pub links: u64,
}

/// How a scrub goes about it.
#[derive(Debug, Clone, Copy, Default)]
pub struct ScrubPlan {
    /// The most that is read in a second, in bytes.
    pub bytes_per_second: Option<u64>,
    /// Begin with the first blob instead of where the last scrub stopped.
    pub from_start: bool,
    /// Put what lies into quarantine; else it is reported only.
    pub quarantine: bool,
}

/// How far a long operation is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Blobs or files that are done.
    pub done: u64,
    /// Of how many.
    pub total: u64,
    /// Bytes that are done.
    pub done_bytes: u64,
    /// Of how many.
    pub total_bytes: u64,
}

/// Told how far an operation is; `Break` stops it at once, and the next one goes on from there.
pub type Watch<'a> = &'a mut dyn FnMut(&Progress) -> ControlFlow<()>;

/// Stored bytes that are not what was stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// The blob, when it is one.
    pub digest: Option<Digest>,
    /// What is damaged otherwise: a family of records.
    pub records: Option<String>,
    /// How it shows.
    pub reason: String,
    /// Whether the blob was put into quarantine.
    pub quarantined: bool,
}

/// What a scrub or a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubReport {
    /// Blobs that were read.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether every blob was read; `false` when it was stopped.
    pub complete: bool,
    /// What lies.
    pub damage: Vec<Damage>,
    /// Damage past the first of these is counted only.
    pub more_damage: u64,
}

/// What a backup or a restore wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyReport {
    /// Where to.
    pub folder: PathBuf,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}
