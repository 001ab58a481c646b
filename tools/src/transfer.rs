//! Images onto a registry: blobs first, then manifests from the inside out, tags never before their
//! targets. Where the bytes come from (a layout, another registry) is the caller's.
//!
//! Invariant: before a manifest is put, its children and blobs were put or found there; a registry
//! in disagreement is given everything once more.

mod known;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use http::StatusCode;
use serde::Serialize;
use tokio::sync::Semaphore;
use wharf_oci::{Descriptor, Digest, Manifest, ManifestKind, Reference, RepoName, Tag};

pub use self::known::KnownBlobs;
use crate::registry::{
    BlobSource, KeptSession, Registry, RegistryError, UploadHints, UploadOutcome, UploadWatch,
};

/// How many blobs of one image are looked after at once.
const BLOBS_AT_ONCE: usize = 16;

/// How many of all blobs are on their way at once, when the caller does not say.
const ON_THE_WAY: usize = 4;

/// How many manifests of one image are put at once.
const MANIFESTS_AT_ONCE: usize = 8;

/// A larger blob is looked for before it is sent, even where it is not expected.
const SENT_UNASKED_BYTES: u64 = 16 * 1024 * 1024;

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

    /// The manifests in groups: those of one group list only those of earlier ones.
    fn levels(&self) -> Vec<Vec<&Manifest>> {
        let mut levels: Vec<Vec<&Manifest>> = Vec::new();
        let mut below: BTreeSet<Digest> = BTreeSet::new();
        let mut level = Vec::new();
        for manifest in &self.manifests {
            let lists_new = match manifest.kind() {
                ManifestKind::Index { manifests } => {
                    manifests.iter().any(|child| !below.contains(&child.digest))
                }
                ManifestKind::Image { .. } | ManifestKind::Opaque => false,
            };
            if lists_new && !level.is_empty() {
                below.extend(level.iter().map(|at: &&Manifest| at.digest()));
                levels.push(std::mem::take(&mut level));
            }
            level.push(manifest);
        }
        levels.push(level);
        levels
    }

    /// Bytes of all blobs.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.blobs.iter().fold(0, |sum, blob| sum.saturating_add(blob.size))
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
    /// Sent once more, because a chunk or a session was lost.
    pub resent_bytes: u64,
}

impl TransferBytes {
    /// Adds the bytes of another transfer.
    pub const fn add(&mut self, other: Self) {
        self.sent_bytes = self.sent_bytes.saturating_add(other.sent_bytes);
        self.mounted_bytes = self.mounted_bytes.saturating_add(other.mounted_bytes);
        self.skipped_bytes = self.skipped_bytes.saturating_add(other.skipped_bytes);
        self.resent_bytes = self.resent_bytes.saturating_add(other.resent_bytes);
    }

    /// Takes in what a second try had to bring: it had been counted as there.
    const fn correct(&mut self, again: Self) {
        let late = again.sent_bytes.saturating_add(again.mounted_bytes);
        self.skipped_bytes = self.skipped_bytes.saturating_sub(late);
        self.add(Self { skipped_bytes: 0, ..again });
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
    /// The upload of a blob goes on here, should it be interrupted.
    Session(&'a Descriptor, &'a KeptSession),
    /// So many bytes of blobs were sent.
    Sent(u64),
}

/// Opens the source of a blob.
pub type Open<'a> = dyn Fn(&Descriptor) -> Result<BlobSource, RegistryError> + Sync + 'a;

/// Told each step; an error of it ends the transfer.
pub type Tell<'a, E> = dyn Fn(TransferStep<'_>) -> Result<(), E> + Sync + 'a;

/// How a tree is put.
pub struct TransferTerms<'a, E> {
    /// Which blobs need no look.
    pub skip: &'a (dyn Fn(&Digest) -> bool + Sync),
    /// The sessions of an earlier run.
    pub kept: &'a (dyn Fn(&Digest) -> Option<KeptSession> + Sync),
    /// Whether the repository may have parts of the tree.
    pub may_have_parts: bool,
    /// Whether a blob of an earlier transfer into this repository needs no look.
    pub trusts: bool,
    /// The manifests to be put later, by their tags.
    pub later: &'a [Digest],
    /// How many blobs of all transfers are on their way at once.
    pub slots: &'a Semaphore,
    pub tell: &'a Tell<'a, E>,
}

impl<'a, E> TransferTerms<'a, E> {
    /// The terms of a first run onto a registry that may have everything already.
    #[must_use]
    pub const fn usual(slots: &'a Semaphore, tell: &'a Tell<'a, E>) -> Self {
        let (skip, kept, later) = (&|_: &Digest| false, &|_: &Digest| None, &[]);
        Self { skip, kept, may_have_parts: true, trusts: true, later, slots, tell }
    }
}

/// As many blobs on their way at once as usual.
#[must_use]
pub const fn transfer_slots() -> Semaphore {
    Semaphore::const_new(ON_THE_WAY)
}

/// Passes on what an upload says.
struct Watch<'a, E> {
    blob: &'a Descriptor,
    tell: &'a Tell<'a, E>,
}

impl<E> UploadWatch for Watch<'_, E> {
    fn session(&self, session: &KeptSession) {
        // An error here meets the next step again.
        let _ = (self.tell)(TransferStep::Session(self.blob, session));
    }

    fn sent(&self, bytes: u64) {
        let _ = (self.tell)(TransferStep::Sent(bytes));
    }
}

impl TransferDestination<'_> {
    /// Puts a whole tree, without tags. `skip` decides which blobs need no look.
    pub async fn put<E: From<RegistryError>>(
        &self,
        tree: &ManifestTree,
        open: &Open<'_>,
        skip: &(dyn Fn(&Digest) -> bool + Sync),
        tell: &Tell<'_, E>,
    ) -> Result<TransferBytes, E> {
        let slots = transfer_slots();
        let terms = TransferTerms { skip, ..TransferTerms::usual(&slots, tell) };
        self.put_on(tree, open, &terms).await
    }

    /// The same on these terms.
    pub async fn put_on<E: From<RegistryError>>(
        &self,
        tree: &ManifestTree,
        open: &Open<'_>,
        terms: &TransferTerms<'_, E>,
    ) -> Result<TransferBytes, E> {
        let mut moved = self.put_blobs(tree, open, terms).await?;
        if let Err(error) = self.put_manifests(tree, terms).await? {
            if !is_incomplete(&error) {
                return Err(error.into());
            }
            // It said a part is there and does not find it: everything once more.
            let skip = &|_: &Digest| false;
            let again = TransferTerms { skip, may_have_parts: true, trusts: false, ..*terms };
            let late = self.put_blobs(tree, open, &again).await?;
            moved.correct(late);
            self.put_manifests(tree, &again).await??;
        }
        Ok(moved)
    }

    async fn put_blobs<E: From<RegistryError>>(
        &self,
        tree: &ManifestTree,
        open: &Open<'_>,
        terms: &TransferTerms<'_, E>,
    ) -> Result<TransferBytes, E> {
        let (skipped, wanted): (Vec<&Descriptor>, Vec<&Descriptor>) =
            tree.blobs.iter().partition(|blob| (terms.skip)(&blob.digest));
        let mut before = TransferBytes::default();
        for blob in skipped {
            before.count(UploadOutcome::Existed, blob.size);
        }
        // After an error no blob is begun any more. Those on their way come to their end: others may
        // wait for them, and an upload that is left stays open for days.
        let is_stopped = &AtomicBool::new(false);
        let uploads = stream::iter(wanted).map(|blob| async move {
            if is_stopped.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let how = self.put_blob(blob, open, terms).await;
            let how = how.inspect_err(|_| is_stopped.store(true, Ordering::Relaxed))?;
            (terms.tell)(TransferStep::Blob(blob, how))?;
            Ok::<_, E>(Some((how, blob.size)))
        });
        let ended: Vec<Result<Option<(UploadOutcome, u64)>, E>> =
            uploads.buffer_unordered(BLOBS_AT_ONCE).collect().await;
        let mut moved = before;
        for ended in ended {
            if let Some((how, size_bytes)) = ended? {
                moved.count(how, size_bytes);
            }
        }
        Ok(moved)
    }

    /// Puts one blob. Of all who need a blob that the registry has nowhere, one brings it, and the
    /// others mount it.
    async fn put_blob<E: From<RegistryError>>(
        &self,
        blob: &Descriptor,
        open: &Open<'_>,
        terms: &TransferTerms<'_, E>,
    ) -> Result<UploadOutcome, E> {
        let claim = self.known.claim(blob.digest).await;
        let place = claim.place().cloned();
        if terms.trusts && place.as_ref() == Some(self.repo) {
            return Ok(UploadOutcome::Existed);
        }
        let claim = if place.is_some() { None } else { Some(claim) };
        let mount_from = place.filter(|place| place != self.repo);
        let slot = terms.slots.acquire().await.expect("the semaphore is never closed");
        let mut source = open(blob)?;
        let kept = (terms.kept)(&blob.digest);
        let is_asked = terms.may_have_parts || blob.size > SENT_UNASKED_BYTES;
        let hints = UploadHints {
            mount_from: mount_from.as_slice(),
            may_exist: mount_from.is_none() && (is_asked || kept.is_some()),
            kept: kept.as_ref(),
            watch: &Watch { blob, tell: terms.tell },
        };
        let how = self.registry.upload_with(self.repo, &mut source, &hints).await?;
        drop(slot);
        if let Some(claim) = claim {
            claim.brought(self.repo);
        }
        Ok(how)
    }

    /// Puts the manifests, each after those it lists. The inner error is a refusal, perhaps of an
    /// incomplete one.
    async fn put_manifests<E: From<RegistryError>>(
        &self,
        tree: &ManifestTree,
        terms: &TransferTerms<'_, E>,
    ) -> Result<Result<(), RegistryError>, E> {
        for level in tree.levels() {
            let wanted = level.into_iter().filter(|at| !terms.later.contains(&at.digest()));
            let puts = stream::iter(wanted).map(|manifest| async move {
                let digest = manifest.digest();
                let reference = Reference::Digest(digest);
                let put = self.registry.put_manifest(self.repo, &reference, manifest).await;
                // What is locked cannot be put again, and need not be when it is there.
                let put = match put {
                    Err(error @ RegistryError::Locked { .. }) => {
                        let found = self.registry.head_manifest(self.repo, &reference).await?;
                        if found.is_some() { Ok(()) } else { Err(error) }
                    }
                    put => put,
                };
                match put {
                    Ok(()) => (terms.tell)(TransferStep::Manifest(&digest)).map(Ok),
                    Err(error) => Ok(Err(error)),
                }
            });
            let put: Vec<Result<(), RegistryError>> =
                puts.buffer_unordered(MANIFESTS_AT_ONCE).try_collect().await?;
            if let Err(error) = put.into_iter().collect::<Result<(), _>>() {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    /// Points a tag at a manifest whose parts are there, and checks the result.
    pub async fn tag(&self, tag: &Tag, manifest: &Manifest) -> Result<(), RegistryError> {
        let reference = Reference::Tag(tag.clone());
        self.registry.put_manifest(self.repo, &reference, manifest).await?;
        self.check_tag(tag, &manifest.digest()).await
    }

    /// Checks where a written tag points.
    pub async fn check_tag(&self, tag: &Tag, expected: &Digest) -> Result<(), RegistryError> {
        let reference = Reference::Tag(tag.clone());
        let found = self.registry.head_manifest(self.repo, &reference).await?;
        match found {
            Some(found) if found.digest == *expected => Ok(()),
            found => Err(RegistryError::Content {
                url: self.registry.manifest_url(self.repo, &reference),
                expected: *expected,
                reason: found.map_or_else(
                    || "the tag is not there after it was written".to_owned(),
                    |found| format!("the tag points at {} after it was written", found.digest),
                ),
            }),
        }
    }
}

/// Whether a registry refused a manifest because it misses a part of it.
#[must_use]
pub fn is_incomplete(error: &RegistryError) -> bool {
    match error {
        RegistryError::Refused { status, message, .. } => {
            matches!(*status, StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST)
                && message.contains("UNKNOWN")
        }
        _ => false,
    }
}
