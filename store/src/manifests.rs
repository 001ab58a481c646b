//! The seam for what repositories say: manifests by digest, tags, which blobs are theirs, and who
//! refers to whom. Content itself is in `blob.rs`.
//!
//! Invariant: nothing here is shared between repositories. That a blob is in the store does not
//! mean a repository has it; its link does.

use wharf_oci::{Digest, Manifest, MediaType, Referrer, RepoName, Tag};

use bytes::Bytes;

use crate::Result;

/// A manifest as it was put: exact bytes and the type to serve them as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredManifest {
    /// The digest it is known by here.
    pub digest: Digest,
    /// For `Content-Type`.
    pub media_type: MediaType,
    /// Exactly what was put.
    pub bytes: Bytes,
}

/// Where a tag points, and since when we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TagRecord {
    /// The manifest.
    pub digest: Digest,
    /// When that was last known to be true, in milliseconds since 1970.
    pub checked_ms: u64,
}

/// Part of a sorted listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// Whether there are more after them.
    pub more: bool,
}

/// What repositories know. Every write is durable when it returns.
pub trait ManifestStore: Send + Sync {
    /// A manifest of this repository.
    fn manifest(&self, repo: &RepoName, digest: &Digest) -> Result<Option<StoredManifest>>;

    /// Keeps a manifest under `digest` (of any algorithm) and points the tags at it, at once.
    fn put_manifest(
        &self,
        repo: &RepoName,
        manifest: &Manifest,
        digest: &Digest,
        tags: &[(Tag, TagRecord)],
    ) -> Result<()>;

    /// Forgets a manifest and every tag that points at it; `false` when it was not here.
    fn remove_manifest(&self, repo: &RepoName, digest: &Digest) -> Result<bool>;

    /// Where a tag points.
    fn tag(&self, repo: &RepoName, tag: &Tag) -> Result<Option<TagRecord>>;

    /// Points a tag at a manifest.
    fn set_tag(&self, repo: &RepoName, tag: &Tag, record: TagRecord) -> Result<()>;

    /// Forgets a tag; `false` when it was not here.
    fn remove_tag(&self, repo: &RepoName, tag: &Tag) -> Result<bool>;

    /// At most `limit` tags after `last`, in byte order; `None` when the repository is not known.
    fn tags(&self, repo: &RepoName, last: Option<&str>, limit: usize) -> Result<Option<Page<Tag>>>;

    /// At most `limit` repositories after `last`, in byte order.
    fn repos(&self, last: Option<&str>, limit: usize) -> Result<Page<RepoName>>;

    /// The manifests whose subject is `subject`, after one of them, in the order of their digests; as
    /// many as have at most `bytes_max` of JSON with their commas, perhaps none.
    fn referrers(
        &self,
        repo: &RepoName,
        subject: &Digest,
        after: Option<&Digest>,
        bytes_max: usize,
    ) -> Result<Page<Referrer>>;

    /// At most `limit` manifests of this repository after one of them, in the order of their digests,
    /// that name `digest`: as a child, a configuration or a layer. What a manifest refers to
    /// (its subject) it does not name.
    fn parents(
        &self,
        repo: &RepoName,
        digest: &Digest,
        after: Option<&Digest>,
        limit: usize,
    ) -> Result<Page<Digest>>;

    /// Says a blob belongs to a repository, whether it is here or not.
    fn link_blob(&self, repo: &RepoName, digest: &Digest) -> Result<()>;

    /// Says a blob belongs to a repository; `false` when it is not here, and then nothing
    /// changes. A removal comes before or after it, never in between.
    fn link_if_here(&self, repo: &RepoName, digest: &Digest) -> Result<bool>;

    /// Takes a blob from a repository, and its content with the last repository that had it;
    /// `false` when it was not linked.
    fn unlink_blob(&self, repo: &RepoName, digest: &Digest) -> Result<bool>;

    /// Whether a blob belongs to a repository.
    fn has_blob(&self, repo: &RepoName, digest: &Digest) -> Result<bool>;
}
