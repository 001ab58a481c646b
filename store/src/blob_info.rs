//! Digest, size and retention of a blob.

use wharf_oci::Digest;

/// Digest and size of a published blob, known without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobInfo {
    /// The digest of the content.
    pub digest: Digest,
    /// The size, in bytes.
    pub size_bytes: u64,
}

/// The protection of a blob from eviction; of two, the later one wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Retention {
    /// Evictable: an upstream has the blob.
    Cached,
    /// Protected until its delivery to an upstream; a record of the journal exists. Only
    /// [`ReadyBlob::publish_pending`](crate::ReadyBlob::publish_pending) and
    /// [`DeliveryStore::owe`](crate::DeliveryStore::owe) set it. Any other publication with it
    /// keeps the blob as [`Self::Kept`].
    Pending,
    /// Protected: no other copy exists. Only an explicit removal takes the blob.
    Kept,
}
