//! The seam for what is owed to upstreams: blobs that are here, promised to a client, and not yet
//! where they belong. Who delivers them, and when, is not the store's affair.
//!
//! Invariant: a blob, its link and what is owed for it come by one synced batch, so a blob that is
//! owed is here, and is not evicted. When nothing is owed for it any more it is cached like any
//! other, in the same batch that says so.

use wharf_oci::{Digest, RepoName};

use crate::Result;
use crate::blob_info::BlobInfo;
use crate::manifests::ManifestStore;

/// Where a blob belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The address of the registry.
    pub upstream: String,
    /// The repository's name there.
    pub repo: RepoName,
    /// Another repository there that is said to have the blob.
    pub from: Option<RepoName>,
}

/// What is owed for a blob that has no digest yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errand {
    /// The repository here it was pushed into.
    pub repo: RepoName,
    /// Tells this errand from every other for the same blob.
    pub id: u64,
    /// Since when it is owed, in milliseconds since 1970.
    pub since_ms: u64,
    /// Where the blob belongs.
    pub to: Destination,
}

/// A blob that is owed to an upstream: one for each blob of each repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What is owed.
    pub errand: Errand,
    /// The blob.
    pub digest: Digest,
    /// Its size.
    pub size_bytes: u64,
    /// Why it is not there yet, when it was tried.
    pub trouble: Option<LastError>,
}

/// The last thing that went wrong with a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// How often it was tried until then.
    pub tries: u32,
    /// What went wrong, for people.
    pub reason: String,
    /// Set when the upstream does not want the blob: trying again will not help by itself.
    pub refused: Option<Refusal>,
}

/// A refusal in the words of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its status.
    pub status: u16,
    /// Its error code.
    pub code: String,
}

impl Errand {
    /// The delivery of this blob.
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

/// What is owed to upstreams. [`ReadyBlob::publish_pending`](crate::ReadyBlob::publish_pending) adds
/// to it; [`ManifestStore::unlink_blob`] takes from it, with the link.
pub trait DeliveryStore: ManifestStore {
    /// Everything that is owed.
    fn deliveries(&self) -> Result<Vec<Delivery>>;

    /// Owes a blob that is here already: links it and keeps it until it is delivered. A delivery of
    /// the same blob of the same repository is replaced. `None` when the blob is not here.
    fn owe(&self, digest: &Digest, errand: &Errand) -> Result<Option<Delivery>>;

    /// Notes why a delivery failed; `false` when this one is not owed any more. Power loss may take
    /// the note.
    fn note_trouble(&self, delivery: &Delivery, trouble: &LastError) -> Result<bool>;

    /// The upstream has the blob: nothing is owed any more. `false` when this delivery was not owed
    /// any more, which changes nothing.
    fn delivered(&self, delivery: &Delivery) -> Result<bool>;

    /// Repositories here that have the blob and owe it to nobody: where their upstreams have it.
    fn settled_holders(&self, digest: &Digest) -> Result<Vec<RepoName>>;
}
