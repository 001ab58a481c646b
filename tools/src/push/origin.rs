//! Where a pushed image comes from: this disk, or another registry.

use wharf_oci::{Descriptor, Digest, Reference, RepoName};

use super::{PushError, tree_of};
use crate::promote::manifests::{Fetched, Manifests};
use crate::registry::{BlobSource, Registry, RegistryError};
use crate::source::{Blob, Source};
use crate::transfer::{ManifestTree, TransferDestination};

/// The origin of an image.
pub enum PushOrigin<'a> {
    /// A proven source on this disk.
    Disk(&'a Source),
    /// A repository. Each manifest and blob is proven by its digest on its way; nobody looks into the
    /// layers.
    Registry { manifests: Manifests, repo: RepoName },
}

impl PushOrigin<'_> {
    /// Where it is, for messages.
    #[must_use]
    pub fn location(&self) -> String {
        match self {
            Self::Disk(source) => source.location().to_owned(),
            Self::Registry { manifests, repo } => {
                format!("{}/{repo}", manifests.registry().host())
            }
        }
    }

    /// The tree below some descriptors.
    pub(super) async fn tree(&self, roots: &[&Descriptor]) -> Result<ManifestTree, PushError> {
        match self {
            Self::Disk(source) => tree_of(source, roots),
            Self::Registry { manifests, repo } => {
                let roots: Vec<Digest> = roots.iter().map(|root| root.digest).collect();
                match manifests.tree(repo, &roots).await? {
                    Fetched::Tree(tree) => Ok(tree),
                    Fetched::Missing(missing) => {
                        Err(PushError::NotThere { location: self.location(), missing })
                    }
                }
            }
        }
    }

    /// Within one registry, blobs are mounted from the image's own repository.
    pub(super) fn know_blobs(&self, tree: &ManifestTree, destination: &TransferDestination<'_>) {
        if let Self::Registry { manifests, repo } = self
            && manifests.registry().host() == destination.registry.host()
        {
            tree.blobs.iter().for_each(|blob| destination.known.add(blob.digest, repo));
        }
    }

    /// The bytes of a blob.
    pub(super) fn open(&self, blob: &Descriptor) -> Result<BlobSource, RegistryError> {
        let failed = |reason: String| RegistryError::Source {
            digest: blob.digest,
            source: std::io::Error::other(reason),
        };
        match self {
            Self::Disk(source) => {
                match source.open_blob(blob).map_err(|error| failed(error.to_string()))? {
                    Blob::File(file) => {
                        let (file, start) = file.into_parts();
                        Ok(BlobSource::file(file, start, blob.clone()))
                    }
                    Blob::Remote(_) => Err(failed("it is on a registry".to_owned())),
                }
            }
            Self::Registry { manifests, repo } => {
                Ok(BlobSource::remote(manifests.registry().clone(), repo.clone(), blob.clone()))
            }
        }
    }
}

/// The image of a reference on a registry.
pub async fn find(
    registry: &Registry,
    repo: &RepoName,
    reference: &Reference,
) -> Result<Descriptor, PushError> {
    let found = registry.head_manifest(repo, reference).await?;
    found.ok_or_else(|| PushError::NotThere {
        location: format!("{}/{repo}", registry.host()),
        missing: reference.to_string(),
    })
}
