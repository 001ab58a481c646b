//! Verified blobs, manifests and tags, kept in RocksDB. Synchronous: no async runtime in here.
//!
//! The seam is two traits. [`BlobStore`] keeps content by digest and has four methods;
//! [`ManifestStore`] keeps the manifests, tags and links of repositories. Three stores implement
//! the first: [`RocksStore`], and for tests `MemoryStore` and `FaultStore` (feature `test-util`),
//! all held to one contract suite.
//!
//! Stored bytes are hashed bytes: [`BlobWriter::append`] hashes each byte, only
//! [`BlobWriter::verify`] makes a [`ReadyBlob`], and only a [`ReadyBlob`] can be published. Readers
//! may follow a blob in flight through [`InFlight`], up to its last segment.
//!
//! | to change | look in |
//! | --- | --- |
//! | the contract of a blob store | `blob.rs`, and its proof `contract.rs` |
//! | the contract of a backend | `sink.rs`, `source.rs` |
//! | readers of a blob in flight | `in_flight.rs` |
//! | manifests, tags and links of repositories | `manifests.rs` |
//! | uploads that outlive the process | `sessions.rs` |
//! | the first part of interrupted content | `parts.rs` |
//! | pending deliveries to upstreams | `journal.rs` |
//! | operations of an operator | `upkeep.rs` |
//! | keys and families on disk, their values | `rocks/schema.rs`, `rocks/records.rs` |
//! | eviction: its order and its trigger | `rocks/evict.rs`, `rocks/space.rs` |
//! | bounds | `limits.rs` |

#![warn(missing_docs)]

mod blob;
mod blob_info;
mod buffers;
#[cfg(any(test, feature = "test-util"))]
pub mod contract;
mod error;
#[cfg(any(test, feature = "test-util"))]
mod fault;
mod hashing;
mod in_flight;
mod journal;
pub mod limits;
mod lock;
mod manifests;
#[cfg(any(test, feature = "test-util"))]
mod memory;
mod part_key;
mod parts;
mod rocks;
mod segment_cache;
mod sessions;
mod sink;
mod source;
mod upkeep;

pub use blob::{BlobReader, BlobStore, BlobWriter, ReadyBlob};
pub use blob_info::{BlobInfo, Retention};
pub use error::{Result, StoreError};
#[cfg(any(test, feature = "test-util"))]
pub use fault::{FaultStore, Operation};
pub use in_flight::{InFlight, Tail};
pub use journal::{Delivery, DeliveryStore, Destination, Errand, LastError, Refusal};
pub use manifests::{ManifestStore, Page, StoredManifest, TagRecord};
#[cfg(any(test, feature = "test-util"))]
pub use memory::MemoryStore;
pub use part_key::PartKey;
pub use parts::{PartStore, ResumedPart};
pub use rocks::RocksStore;
pub use sessions::{NewUpload, SavedUpload, UploadStore};
pub use upkeep::{
    CopyReport, Damage, Eviction, EvictionReport, Progress, ScrubPlan, ScrubReport, StoreOptions,
    Usage, Watch,
};

/// Decodes bytes as every record of the store in turn; a decoded record must encode to the same
/// bytes. For fuzz targets and their corpus.
#[cfg(any(test, feature = "test-util"))]
pub fn decode_anything(key: &[u8], value: &[u8]) {
    rocks::decode_anything(key, value);
}
