//! The read-through decision: is it here (hit), on its way (join), or to be fetched (fill)? Returns
//! plain values, knows no HTTP.
//!
//! Invariant: content is served to a repository only when that repository is known to have it: by
//! a link here, or by asking its upstream. Being in the store is not enough.

mod fill;
mod manifests;
mod stored;
mod tags;

use std::sync::Arc;

use wharf_oci::{ByteRange, Digest, RepoName};
use wharf_store::{BlobInfo, InFlight, ManifestStore, UploadStore};

use crate::Error;
use crate::bridge::Bridge;
use crate::flights::Flights;
use crate::limits::{FILLS_MAX, QUESTIONS_MAX};
use crate::upstreams::{Remote, Site, Upstreams};

pub(crate) use stored::StoredBlob;
pub(crate) use tags::now_ms;

use stored::Found;

/// All parts of a store.
pub(crate) trait Store: UploadStore + ManifestStore {}
impl<S: UploadStore + ManifestStore> Store for S {}

/// How an answer came about; the same words in headers, logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    /// It was here.
    Hit,
    /// It was on its way for someone else.
    Join,
    /// It was fetched for this request.
    Fill,
    /// It was asked of the upstream and not kept.
    Bypass,
    /// It was here, perhaps too old, and the upstream could not say.
    Stale,
}

impl Outcome {
    /// The word.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Join => "join",
            Self::Fill => "fill",
            Self::Bypass => "bypass",
            Self::Stale => "stale",
        }
    }
}

/// Reads through the store to the upstreams.
pub(crate) struct Cache {
    pub(crate) bridge: Bridge,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) upstreams: Arc<Upstreams>,
    fills: Flights<Digest, fill::Filling>,
    manifests: Flights<(RepoName, Digest), manifests::Stored>,
    tags: Flights<(RepoName, wharf_oci::Tag), tags::Resolved>,
}

/// A blob that can be sent.
pub(crate) enum ServedBlob {
    /// From the store.
    Stored(StoredBlob),
    /// While it arrives; with its size when the upstream announced one.
    Arriving(InFlight, Option<u64>),
}

impl Cache {
    /// A cache over this store.
    #[must_use]
    pub(crate) fn new(bridge: Bridge, store: Arc<dyn Store>, upstreams: Arc<Upstreams>) -> Self {
        Self {
            bridge,
            store,
            upstreams,
            fills: Flights::new(FILLS_MAX, "downloads"),
            manifests: Flights::new(QUESTIONS_MAX, "manifest requests"),
            tags: Flights::new(QUESTIONS_MAX, "tag requests"),
        }
    }

    /// How many blobs are being fetched.
    #[must_use]
    pub(crate) fn fills(&self) -> usize {
        self.fills.count()
    }

    /// What is known of a blob without its content.
    pub(crate) async fn blob_info(
        &self,
        repo: &RepoName,
        digest: &Digest,
    ) -> Result<(BlobInfo, Outcome), Error> {
        let site = self.upstreams.site(repo)?;
        let (linked, info) = self.look_up(repo, digest).await?;
        if let (true, Some(info)) = (linked, info) {
            return Ok((info, Outcome::Hit));
        }
        let Site::Remote(remote) = site else {
            return Err(unknown(repo, digest));
        };
        let size_bytes = remote.upstream.blob_size(&remote.repo, digest).await?;
        let size_bytes = size_bytes.ok_or_else(|| unknown(repo, digest))?;
        Ok((BlobInfo { digest: *digest, size_bytes }, Outcome::Bypass))
    }

    /// A blob's content; of one that is in the store, the part that `range` names.
    pub(crate) async fn blob(
        &self,
        repo: &RepoName,
        digest: &Digest,
        range: Option<ByteRange>,
    ) -> Result<(ServedBlob, Outcome), Error> {
        let site = self.upstreams.site(repo)?;
        let mut found = self.find(Some(repo), digest, range).await?;
        let Site::Remote(remote) = site else {
            return match found {
                Found::Stored(stored) => Ok((ServedBlob::Stored(stored), Outcome::Hit)),
                Found::Outside { size_bytes } => Err(Error::RangeUnsatisfiable { size_bytes }),
                // Corrupt content is as good as absent: whoever has it can push it again.
                Found::Foreign | Found::Absent | Found::Corrupt => Err(unknown(repo, digest)),
            };
        };
        if matches!(found, Found::Foreign) && self.is_stored(digest).await? {
            self.ask_whether_theirs(repo, digest, &remote).await?;
            self.link(repo, digest).await?;
            found = self.find(None, digest, range).await?;
        }
        match found {
            Found::Stored(stored) => Ok((ServedBlob::Stored(stored), Outcome::Hit)),
            Found::Outside { size_bytes } => Err(Error::RangeUnsatisfiable { size_bytes }),
            Found::Foreign | Found::Absent | Found::Corrupt => {
                self.fill(repo, digest, &remote).await
            }
        }
    }

    /// Content that another repository brought here, or is bringing, is served only after the
    /// upstream of this one said that it has it.
    async fn ask_whether_theirs(
        &self,
        repo: &RepoName,
        digest: &Digest,
        remote: &Remote,
    ) -> Result<(), Error> {
        let size = remote.upstream.blob_size(&remote.repo, digest).await?;
        size.map(|_| ()).ok_or_else(|| unknown(repo, digest))
    }

    async fn is_stored(&self, digest: &Digest) -> Result<bool, Error> {
        let (store, digest) = (Arc::clone(&self.store), *digest);
        Ok(self.bridge.run(move || store.stat(&digest)).await?.is_some())
    }

    /// Says that a repository has a blob.
    pub(crate) async fn link(&self, repo: &RepoName, digest: &Digest) -> Result<(), Error> {
        let (store, repo, digest) = (Arc::clone(&self.store), repo.clone(), *digest);
        Ok(self.bridge.run(move || store.link_blob(&repo, &digest)).await?)
    }

    /// Whether the repository has the blob, and what the store knows of it.
    pub(crate) async fn look_up(
        &self,
        repo: &RepoName,
        digest: &Digest,
    ) -> Result<(bool, Option<BlobInfo>), Error> {
        let (store, repo, digest) = (Arc::clone(&self.store), repo.clone(), *digest);
        let found = self.bridge.run(move || {
            let linked = store.has_blob(&repo, &digest)?;
            let info = if linked { store.stat(&digest)? } else { None };
            Ok::<_, wharf_store::StoreError>((linked, info))
        });
        Ok(found.await?)
    }
}

fn unknown(repo: &RepoName, digest: &Digest) -> Error {
    Error::BlobUnknown { repo: repo.clone(), digest: *digest }
}
