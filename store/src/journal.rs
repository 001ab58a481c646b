//! The seam for pending deliveries: blobs promised to a client, stored here, and not yet at their
//! upstream. The proxy delivers them at its own time.
//!
//! Invariant: one synced batch writes a blob, its link and its delivery, so the blob of a delivery
//! is here and is not evicted. The batch for the end of the last delivery of a blob also makes the
//! blob evictable.

use wharf_oci::{Digest, RepoName};

use crate::Result;
use crate::blob_info::BlobInfo;
use crate::manifests::ManifestStore;

/// The target of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The address of the registry.
    pub upstream: String,
    /// The repository at the upstream.
    pub repo: RepoName,
    /// Another repository at the upstream, perhaps with the blob already.
    pub from: Option<RepoName>,
}

/// The order to deliver a blob, before its digest is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errand {
    /// The repository here.
    pub repo: RepoName,
    /// The identifier of the errand among those of one blob.
    pub id: u64,
    /// The time of the errand, in milliseconds since 1970.
    pub since_ms: u64,
    /// The target of the blob.
    pub to: Destination,
}

/// A pending delivery: one for each blob of each repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The errand.
    pub errand: Errand,
    /// The digest of the blob.
    pub digest: Digest,
    /// The size of the blob, in bytes.
    pub size_bytes: u64,
    /// The last failure; `None` before the first one.
    pub trouble: Option<LastError>,
}

/// The last failure of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    /// Its time, in milliseconds since 1970.
    pub at_ms: u64,
    /// The number of tries so far.
    pub tries: u32,
    /// The reason, for people.
    pub reason: String,
    /// Set when the upstream refused the blob: another try will not help by itself.
    pub refused: Option<Refusal>,
}

/// A refusal of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the answer.
    pub status: u16,
    /// The error code of the answer.
    pub code: String,
}

impl Errand {
    /// The delivery of a blob after this errand.
    #[must_use]
    pub fn of(&self, info: BlobInfo) -> Delivery {
        Delivery {
            errand: self.clone(),
            digest: info.digest,
            size_bytes: info.size_bytes,
            trouble: None,
        }
    }
}

/// A store with pending deliveries.
/// [`ReadyBlob::publish_pending`](crate::ReadyBlob::publish_pending) adds one;
/// [`ManifestStore::unlink_blob`] removes one, with the link.
pub trait DeliveryStore: ManifestStore {
    /// Every pending delivery.
    fn deliveries(&self) -> Result<Vec<Delivery>>;

    /// Adds a delivery of a stored blob: links the blob and protects it until the delivery ends. It
    /// replaces another delivery of the same blob and repository. `None` when the blob is not here.
    fn owe(&self, digest: &Digest, errand: &Errand) -> Result<Option<Delivery>>;

    /// Records a failure; `false` when this delivery is no longer pending. Power loss may take the
    /// record.
    fn note_trouble(&self, delivery: &Delivery, trouble: &LastError) -> Result<bool>;

    /// Ends a delivery: the upstream has the blob. `false`, without a change, when this delivery is
    /// no longer pending.
    fn delivered(&self, delivery: &Delivery) -> Result<bool>;

    /// The repositories with the blob and without a pending delivery of it: their upstreams have
    /// it.
    fn settled_holders(&self, digest: &Digest) -> Result<Vec<RepoName>>;
}
