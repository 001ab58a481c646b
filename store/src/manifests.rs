//! The seam for repositories: manifests by digest, tags, links to blobs, and referrers. Content
//! itself is in `blob.rs`.
//!
//! Invariant: repositories share nothing here. A repository has a blob by its link only, never by
//! the blob's presence in the store.

use wharf_oci::{Digest, Manifest, MediaType, Referrer, RepoName, Tag};

use bytes::Bytes;

use crate::Result;

/// A stored manifest: exact bytes and media type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredManifest {
    /// The digest of the manifest in this repository.
    pub digest: Digest,
    /// The media type, for `Content-Type`.
    pub media_type: MediaType,
    /// The exact bytes of the put.
    pub bytes: Bytes,
}

/// The target of a tag, and the time of the last check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TagRecord {
    /// The digest of the manifest.
    pub digest: Digest,
    /// The time of the last check, in milliseconds since 1970.
    pub checked_ms: u64,
}

/// Part of a sorted listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// Whether the listing continues after them.
    pub more: bool,
}

/// Manifests, tags and links of repositories. Every write is durable when it returns.
pub trait ManifestStore: Send + Sync {
    /// A manifest of this repository.
    fn manifest(&self, repo: &RepoName, digest: &Digest) -> Result<Option<StoredManifest>>;

    /// Keeps a manifest under `digest` (of any algorithm) and points the tags at it, in one step.
    fn put_manifest(
        &self,
        repo: &RepoName,
        manifest: &Manifest,
        digest: &Digest,
        tags: &[(Tag, TagRecord)],
    ) -> Result<()>;

    /// Forgets a manifest and all tags of it; `false` when it was not here.
    fn remove_manifest(&self, repo: &RepoName, digest: &Digest) -> Result<bool>;

    /// The target of a tag.
    fn tag(&self, repo: &RepoName, tag: &Tag) -> Result<Option<TagRecord>>;

    /// Points a tag at a manifest.
    fn set_tag(&self, repo: &RepoName, tag: &Tag, record: TagRecord) -> Result<()>;

    /// Forgets a tag; `false` when it was not here.
    fn remove_tag(&self, repo: &RepoName, tag: &Tag) -> Result<bool>;

    /// At most `limit` tags after `last`, in byte order; `None` when the repository is not known.
    fn tags(&self, repo: &RepoName, last: Option<&str>, limit: usize) -> Result<Option<Page<Tag>>>;

    /// At most `limit` repositories after `last`, in byte order.
    fn repos(&self, last: Option<&str>, limit: usize) -> Result<Page<RepoName>>;

    /// The manifests with this subject, after `after`, in the order of their digests; as many as
    /// fit into `bytes_max` of JSON with their commas, perhaps none.
    fn referrers(
        &self,
        repo: &RepoName,
        subject: &Digest,
        after: Option<&Digest>,
        bytes_max: usize,
    ) -> Result<Page<Referrer>>;

    /// At most `limit` manifests of this repository after `after`, in the order of their digests,
    /// with `digest` among their children, configuration or layers. A subject does not count.
    fn parents(
        &self,
        repo: &RepoName,
        digest: &Digest,
        after: Option<&Digest>,
        limit: usize,
    ) -> Result<Page<Digest>>;

    /// Links a blob to a repository, here or not.
    fn link_blob(&self, repo: &RepoName, digest: &Digest) -> Result<()>;

    /// Links a blob to a repository; `false`, without a change, when the blob is not here. No
    /// removal of the blob comes in between.
    fn link_if_here(&self, repo: &RepoName, digest: &Digest) -> Result<bool>;

    /// Removes a link, and with the last link of a blob its content; `false` when there was no
    /// link.
    fn unlink_blob(&self, repo: &RepoName, digest: &Digest) -> Result<bool>;

    /// Whether a repository has a link to the blob.
    fn has_blob(&self, repo: &RepoName, digest: &Digest) -> Result<bool>;
}
