//! Images onto a registry: blobs first, then manifests from the inside out, tags never before their
//! targets. Where the bytes come from (a layout, another registry) is the caller's.
//!
//! Invariant: before a manifest is put, its children and blobs were put or found there; a registry
//! in disagreement is given everything once more.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use http::StatusCode;
use serde::Serialize;
use wharf_oci::{Descriptor, Digest, Manifest, Reference, RepoName, Tag};

use crate::registry::{BlobSource, Registry, RegistryError, UploadOutcome};

/// How many blobs of one image are on their way at once.
const BLOBS_AT_ONCE: usize = 4;

/// The content below some manifests.
#[derive(Debug, Default)]
pub struct ManifestTree {
    /// The manifests, each after those it lists.
    pub manifests: Vec<Manifest>,
    /// Configurations and layers, each once.
    pub blobs: Vec<Descriptor>,
}

impl ManifestTree {
    /// Adds a manifest after its children.
    pub fn add(&mut self, manifest: Manifest) {
        for blob in manifest.blobs() {
            let seen = self.blobs.iter().any(|seen| seen.digest == blob.digest);
            if !seen && !blob.stays_elsewhere() {
                self.blobs.push(blob.clone());
            }
        }
        self.manifests.push(manifest);
    }

    /// Whether a manifest is in it.
    #[must_use]
    pub fn manifest(&self, digest: &Digest) -> Option<&Manifest> {
        self.manifests.iter().find(|manifest| manifest.digest() == *digest)
    }

    /// Bytes of all blobs.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.blobs.iter().fold(0, |sum, blob| sum.saturating_add(blob.size))
    }
}

/// The repositories of a registry with a known blob, for others to mount it from.
#[derive(Debug, Default)]
pub struct KnownBlobs(Mutex<BTreeMap<Digest, RepoName>>);

impl KnownBlobs {
    /// Takes note a repository has a blob.
    pub fn add(&self, digest: Digest, repo: &RepoName) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(digest).or_insert_with(|| repo.clone());
    }

    /// A repository to mount from, other than the written one.
    #[must_use]
    pub fn of(&self, digest: &Digest, but: &RepoName) -> Option<RepoName> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(digest).filter(|repo| *repo != but).cloned()
    }
}

/// How many bytes of blobs were sent, mounted or skipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TransferBytes {
    pub sent_bytes: u64,
    /// Mounted from another repository.
    pub mounted_bytes: u64,
    pub skipped_bytes: u64,
}

impl TransferBytes {
    /// Adds the bytes of another transfer.
    pub const fn add(&mut self, other: Self) {
        self.sent_bytes = self.sent_bytes.saturating_add(other.sent_bytes);
        self.mounted_bytes = self.mounted_bytes.saturating_add(other.mounted_bytes);
        self.skipped_bytes = self.skipped_bytes.saturating_add(other.skipped_bytes);
    }

    fn count(&mut self, how: UploadOutcome, size_bytes: u64) {
        let counter = match how {
            UploadOutcome::Sent => &mut self.sent_bytes,
            UploadOutcome::Mounted => &mut self.mounted_bytes,
            UploadOutcome::Existed => &mut self.skipped_bytes,
        };
        *counter = counter.saturating_add(size_bytes);
    }
}

/// Where an image goes.
pub struct TransferDestination<'a> {
    pub registry: &'a Registry,
    pub repo: &'a RepoName,
    /// The known blobs of the registry.
    pub known: &'a KnownBlobs,
}

/// An event of a transfer.
#[derive(Debug, Clone, Copy)]
pub enum TransferStep<'a> {
    /// A blob is there.
    Blob(&'a Descriptor, UploadOutcome),
    /// A manifest is there, by its digest.
    Manifest(&'a Digest),
}

/// Opens the source of a blob.
pub type Open<'a> = dyn Fn(&Descriptor) -> Result<BlobSource, RegistryError> + Sync + 'a;

/// Told each step; an error of it ends the transfer.
pub type Tell<'a, E> = dyn Fn(TransferStep<'_>) -> Result<(), E> + Sync + 'a;

impl TransferDestination<'_> {
    /// Puts a whole tree, without tags. `skip` decides which blobs need no look.
    pub async fn put<E: From<RegistryError>>(
        &self,
        tree: &ManifestTree,
        open: &Open<'_>,
        skip: &(dyn Fn(&Digest) -> bool + Sync),
        tell: &Tell<'_, E>,
    ) -> Result<TransferBytes, E> {
        let mut moved = self.put_blobs(tree, open, skip, tell).await?;
        let mut healed = false;
        let mut place = 0;
        while let Some(manifest) = tree.manifests.get(place) {
            let reference = Reference::Digest(manifest.digest());
            match self.registry.put_manifest(self.repo, &reference, manifest).await {
                Ok(()) => {
                    tell(TransferStep::Manifest(&manifest.digest()))?;
                    place += 1;
                }
                Err(error) if !healed && is_incomplete(&error) => {
                    // It said a part is there and does not find it: everything once more.
                    healed = true;
                    place = 0;
                    let again = self.put_blobs(tree, open, &|_| false, tell).await?;
                    // The missing blobs had been counted as there.
                    let late = again.sent_bytes.saturating_add(again.mounted_bytes);
                    moved.skipped_bytes = moved.skipped_bytes.saturating_sub(late);
                    moved.add(TransferBytes { skipped_bytes: 0, ..again });
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(moved)
    }

    async fn put_blobs<E: From<RegistryError>>(
        &self,
        tree: &ManifestTree,
        open: &Open<'_>,
        skip: &(dyn Fn(&Digest) -> bool + Sync),
        tell: &Tell<'_, E>,
    ) -> Result<TransferBytes, E> {
        let (skipped, wanted): (Vec<&Descriptor>, Vec<&Descriptor>) =
            tree.blobs.iter().partition(|blob| skip(&blob.digest));
        let mut before = TransferBytes::default();
        for blob in skipped {
            before.count(UploadOutcome::Existed, blob.size);
        }
        let uploads = stream::iter(wanted).map(|blob| async move {
            let mut source = open(blob)?;
            let from = self.known.of(&blob.digest, self.repo);
            let how = self.registry.upload(self.repo, &mut source, from.as_slice()).await?;
            self.known.add(blob.digest, self.repo);
            tell(TransferStep::Blob(blob, how))?;
            Ok::<_, E>((how, blob.size))
        });
        let counted = uploads.buffer_unordered(BLOBS_AT_ONCE).try_fold(
            before,
            |mut moved, (how, size_bytes)| async move {
                moved.count(how, size_bytes);
                Ok(moved)
            },
        );
        counted.await
    }

    /// Points a tag at an existing manifest, and checks the result.
    pub async fn tag(&self, tag: &Tag, manifest: &Manifest) -> Result<(), RegistryError> {
        let reference = Reference::Tag(tag.clone());
        self.registry.put_manifest(self.repo, &reference, manifest).await?;
        let found = self.registry.head_manifest(self.repo, &reference).await?;
        match found {
            Some(found) if found.digest == manifest.digest() => Ok(()),
            found => Err(RegistryError::Content {
                url: self.registry.manifest_url(self.repo, &reference),
                expected: manifest.digest(),
                reason: found.map_or_else(
                    || "the tag is not there after it was written".to_owned(),
                    |found| format!("the tag points at {} after it was written", found.digest),
                ),
            }),
        }
    }
}

/// Whether a registry refused a manifest because it misses a part of it.
fn is_incomplete(error: &RegistryError) -> bool {
    match error {
        RegistryError::Refused { status, message, .. } => {
            matches!(*status, StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST)
                && message.contains("UNKNOWN")
        }
        _ => false,
    }
}
