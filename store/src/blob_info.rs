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

/// What may happen to a blob when space is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Retention {
    /// It can be fetched again: it may be evicted.
    Cached,
    /// It is nowhere else: only an explicit removal takes it. Wins when a blob is published as both.
    Kept,
}
