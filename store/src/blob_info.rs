//! What is known of a blob besides its bytes.

use wharf_oci::Digest;

/// What is known of a published blob without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobInfo {
    /// Its address.
    pub digest: Digest,
    /// Its size.
    pub size_bytes: u64,
}

/// What keeps a blob from being evicted when space is short; of two, the later one wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Retention {
    /// It can be fetched again: it may be evicted.
    Cached,
    /// It is owed to an upstream, as a record of the journal says. Only
    /// [`ReadyBlob::publish_pending`](crate::ReadyBlob::publish_pending) and
    /// [`DeliveryStore::owe`](crate::DeliveryStore::owe) make it so; published so otherwise, it is kept.
    Pending,
    /// It is nowhere else: only an explicit removal takes it.
    Kept,
}
