//! An image on a registry. Its blobs are streamed into their readers, each requested once.
//!
//! Readers are threads without a runtime of their own: every read waits for the runtime of the
//! program. Invariant: none of this is called on a thread the runtime runs tasks on.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf as _, Bytes};
use tokio::runtime::Handle;
use wharf_oci::{Descriptor, Digest, Reference, RepoName};

use super::error::{BlobError, SourceError};
use crate::image::layout::REF_NAME;
use crate::registry::{BlobDownload, ImageRef, Registry};

/// Most bytes of manifests and configurations kept of one image, so that none is requested twice.
const KEPT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How much is taken from a download at once.
const PIECE_BYTES: usize = 1024 * 1024;

/// A repository, and the bytes read from it.
pub(super) struct Remote {
    registry: Arc<Registry>,
    repo: RepoName,
    runtime: Handle,
    kept: Mutex<BTreeMap<Digest, Bytes>>,
}

/// A blob, read during its download.
#[derive(Debug)]
pub struct RemoteBlob {
    download: BlobDownload,
    runtime: Handle,
    size_bytes: Option<u64>,
    ahead: Bytes,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote({}/{})", self.registry.host(), self.repo)
    }
}

impl Remote {
    /// Reads the manifest a reference leads to; gives back how it is pointed at.
    pub(super) fn open(
        registry: Arc<Registry>,
        image: &ImageRef,
        runtime: &Handle,
    ) -> Result<(Self, Descriptor), SourceError> {
        let location = || image.to_string();
        let reference = image
            .reference()
            .map_err(|source| SourceError::Reference { text: location(), source })?;
        let found = runtime
            .block_on(registry.manifest(&image.repository, &reference))
            .map_err(|source| SourceError::Registry { location: location(), source })?;
        let manifest = found.ok_or_else(|| SourceError::NotOnRegistry { location: location() })?;
        let mut root = manifest.descriptor();
        if let Reference::Digest(digest) = reference {
            root.digest = digest;
        }
        let kept = Mutex::new(BTreeMap::from([(root.digest, manifest.bytes().clone())]));
        if let Some(tag) = &image.tag {
            root.annotations.insert(REF_NAME.to_owned(), tag.to_string());
        }
        let (repo, runtime) = (image.repository.clone(), runtime.clone());
        Ok((Self { registry, repo, runtime, kept }, root))
    }

    /// The bytes of a manifest, as the registry has them, proven by the registry's client.
    pub(super) fn manifest(&self, descriptor: &Descriptor) -> Result<Bytes, BlobError> {
        let digest = descriptor.digest;
        if let Some(bytes) = self.kept(&digest) {
            return Ok(bytes);
        }
        let reference = Reference::Digest(digest);
        let asked = self.runtime.block_on(self.registry.manifest(&self.repo, &reference));
        let manifest = asked.map_err(|error| BlobError::of_registry(digest, error))?;
        let bytes = manifest.ok_or(BlobError::Missing { digest })?.bytes().clone();
        self.keep(digest, &bytes);
        Ok(bytes)
    }

    /// The kept bytes of a small blob.
    pub(super) fn kept(&self, digest: &Digest) -> Option<Bytes> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    /// Keeps a small blob.
    pub(super) fn keep(&self, digest: Digest, bytes: &Bytes) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let sum: usize = kept.values().map(Bytes::len).sum();
        if sum.saturating_add(bytes.len()) <= KEPT_BYTES_MAX {
            kept.insert(digest, bytes.clone());
        }
    }

    /// Asks for a blob.
    pub(super) fn open_blob(&self, descriptor: &Descriptor) -> Result<RemoteBlob, BlobError> {
        let digest = descriptor.digest;
        let (registry, repo) = (Arc::clone(&self.registry), self.repo.clone());
        let mut download = BlobDownload::new(registry, repo, descriptor.clone());
        let begun = self.runtime.block_on(download.begin());
        let size_bytes = begun
            .map_err(|error| BlobError::of_registry(digest, error))?
            .ok_or(BlobError::Missing { digest })?;
        let runtime = self.runtime.clone();
        Ok(RemoteBlob { download, runtime, size_bytes, ahead: Bytes::new() })
    }
}

impl RemoteBlob {
    /// The size the registry says, if it says one.
    pub(super) const fn size_bytes(&self) -> Option<u64> {
        self.size_bytes
    }
}

impl Read for RemoteBlob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.ahead.is_empty() {
            let next = self.runtime.block_on(self.download.next(PIECE_BYTES));
            self.ahead = next.map_err(io::Error::other)?;
        }
        let length = self.ahead.len().min(buffer.len());
        let (filled, _) = buffer.split_at_mut(length);
        self.ahead.copy_to_slice(filled);
        Ok(length)
    }
}
