//! An image of any form onto a registry: proven before the first byte leaves, tags last, `latest`
//! after all. One of another registry is proven by its digests on its way.
//!
//! Invariant: nothing of a damaged image is sent, a tag is written only after its whole content was
//! accepted, and no tag with another digest is moved without permission.

mod attached;
mod origin;

use std::num::NonZeroUsize;
use std::path::Path;

use serde::Serialize;
use wharf_oci::{Descriptor, Digest, ManifestKind, Reference, RepoName, Tag};

pub use self::attached::Referrers;
pub use self::origin::{PushOrigin, find};
use crate::image::facts::{Fault, Weight};
use crate::image::layout::REF_NAME;
use crate::moves::Write;
use crate::registry::{Registry, RegistryError};
use crate::source::{BlobError, Source, SourceError};
use crate::transfer::{KnownBlobs, ManifestTree, TransferBytes, TransferDestination, TransferStep};
use crate::verify::{self, Limits};

/// Why an image was not pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// There is nothing to push.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It is damaged, or no engine takes it.
    #[error("{location} cannot be used and nothing of it was sent: {}", first(.faults))]
    Faults { location: String, faults: Vec<Fault> },
    /// It lacks the image to push.
    #[error("{location} has no {missing}; run `wharf package` again")]
    Absent { location: String, missing: String },
    /// The registry lacks the image to push, or a part of it.
    #[error("{location} has no {missing}")]
    NotThere { location: String, missing: String },
    /// It has several images, and none is named.
    #[error(
        "{location} holds {count} images ({names}); push with the tag of one of these names, or \
             copy one into a layout of its own"
    )]
    Ambiguous {
        location: String,
        count: usize,
        /// Their names there.
        names: String,
    },
    /// It was made from another version of the offer's image part.
    #[error(
        "{location} was not made from what the offer says now of this image; run `wharf package`"
    )]
    Outdated { location: String },
    /// A move of tags others may rely on, without permission.
    #[error("{}", .reasons.join("; "))]
    TagMoves {
        /// Why not, tag by tag.
        reasons: Vec<String>,
    },
    /// An earlier blob has been lost.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// It is there, and not locked.
    #[error("it was pushed and is not locked")]
    Lock(#[source] RegistryError),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

fn first(faults: &[Fault]) -> String {
    let Some(fault) = faults.first() else { return String::new() };
    match faults.len() - 1 {
        0 => fault.to_string(),
        more => format!("{fault} (and {more} more)"),
    }
}

/// The image of a push, and its destination.
pub struct Push<'a> {
    pub origin: PushOrigin<'a>,
    pub registry: &'a Registry,
    pub repo: &'a RepoName,
    /// The tags in the order of writing, each with its descriptor.
    pub tags: Vec<(Tag, Descriptor)>,
    /// The known blobs of the registry.
    pub known: &'a KnownBlobs,
    /// Whether tags with another digest may be moved.
    pub allow_tag_move: bool,
}

/// The result of a push.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PushReport {
    /// The digest of the last tag.
    pub digest: Digest,
    /// Whether every tag had this digest before, with all its referrers.
    pub unchanged: bool,
    /// Its referrers: SBOM, provenance, signatures.
    pub referrers: Referrers,
    /// The tags, in the order of writing.
    pub tags: Vec<PushedTag>,
    /// Bytes of blobs.
    #[serde(flatten)]
    pub moved: TransferBytes,
    /// Every manifest of the image, each after those it lists.
    #[serde(skip)]
    pub manifests: Vec<Digest>,
}

/// A tag after a push.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PushedTag {
    pub tag: Tag,
    pub digest: Digest,
    /// Its old digest, if it was another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<Digest>,
}

/// Proves an open source. A fault for only some engines, or an unproven part, does not keep it from
/// being pushed; such faults are returned as remarks.
pub fn prove(source: Source, jobs: NonZeroUsize) -> Result<(Source, Vec<Fault>), PushError> {
    let facts = verify::check(&source, jobs, &Limits::default());
    let (faults, remarks): (Vec<Fault>, Vec<Fault>) =
        facts.faults.into_iter().partition(|fault| fault.kind.weight() >= Weight::Unusable);
    if faults.is_empty() {
        return Ok((source, remarks));
    }
    Err(PushError::Faults { location: source.location().to_owned(), faults })
}

/// The same for a path.
pub fn open_proven(path: &Path, jobs: NonZeroUsize) -> Result<(Source, Vec<Fault>), PushError> {
    prove(Source::open_path(path)?, jobs)
}

/// The image of a source for a reference with this tag: the tag's own, or the only one.
pub fn image_for(source: &Source, tag: Option<&Tag>) -> Result<Descriptor, PushError> {
    let location = || source.location().to_owned();
    if let Some((_, named)) = source.tags().find(|(name, _)| Some(name) == tag) {
        return Ok(named.clone());
    }
    let mut tops: Vec<&Descriptor> = Vec::new();
    let mut listed = Vec::new();
    for root in source.roots() {
        let manifest = source.manifest(root)?;
        // A referrer of an image is no image.
        if manifest.subject().is_some() {
            continue;
        }
        listed.extend(manifest.children().iter().map(|child| child.digest));
        if !tops.iter().any(|seen| seen.digest == root.digest) {
            tops.push(root);
        }
    }
    tops.retain(|top| !listed.contains(&top.digest));
    match tops.as_slice() {
        [] => Err(PushError::Absent { location: location(), missing: "image".to_owned() }),
        [only] => Ok((*only).clone()),
        several => {
            let names = several.iter().map(|top| match top.annotations.get(REF_NAME) {
                Some(name) => name.clone(),
                None => top.digest.to_string(),
            });
            let names = names.collect::<Vec<_>>().join(", ");
            Err(PushError::Ambiguous { location: location(), count: several.len(), names })
        }
    }
}

/// The tree below some descriptors of a source.
pub fn tree_of(source: &Source, roots: &[&Descriptor]) -> Result<ManifestTree, PushError> {
    fn add(
        source: &Source,
        descriptor: &Descriptor,
        tree: &mut ManifestTree,
    ) -> Result<(), PushError> {
        if tree.manifest(&descriptor.digest).is_some() {
            return Ok(());
        }
        let manifest = source.manifest(descriptor)?;
        if let ManifestKind::Index { manifests } = manifest.kind() {
            for child in manifests {
                add(source, child, tree)?;
            }
        }
        tree.add(manifest);
        Ok(())
    }
    let mut tree = ManifestTree::default();
    for root in roots {
        add(source, root, &mut tree)?;
    }
    Ok(tree)
}

impl Push<'_> {
    /// Sends the missing blobs, then writes the tags. `tell` gets each step.
    pub async fn run(
        &self,
        tell: &(dyn Fn(TransferStep<'_>) + Sync),
    ) -> Result<PushReport, PushError> {
        let mut tags = Vec::new();
        for (tag, target) in &self.tags {
            tags.push((tag, target, self.points_at(tag).await?));
        }
        let writes = tags.iter().map(|(tag, target, before)| Write {
            tag,
            before: *before,
            after: target.digest,
        });
        self.refuse_moves(writes)?;
        let are_there =
            tags.iter().all(|(_, target, before)| before.as_ref() == Some(&target.digest));
        let roots: Vec<&Descriptor> = self.tags.iter().map(|(_, target)| target).collect();
        let tree = self.origin.tree(&roots).await?;
        let destination =
            TransferDestination { registry: self.registry, repo: self.repo, known: self.known };
        let mut moved =
            TransferBytes { skipped_bytes: tree.size_bytes(), ..TransferBytes::default() };
        if !are_there {
            let told = |step: TransferStep<'_>| {
                tell(step);
                Ok::<(), RegistryError>(())
            };
            let open = |blob: &Descriptor| self.origin.open(blob);
            self.origin.know_blobs(&tree, &destination);
            moved = destination.put(&tree, &open, &|_| false, &told).await?;
        }
        let (referrers, sent) = self.attach(&tree, &destination, tell).await?;
        moved.add(sent);
        let unchanged = are_there && referrers.pushed == 0;
        let mut pushed = Vec::new();
        for (tag, target, before) in tags {
            let manifest = tree.manifest(&target.digest).ok_or_else(|| PushError::Absent {
                location: self.origin.location(),
                missing: format!("manifest for the tag {tag}"),
            })?;
            if before != Some(target.digest) {
                self.write_tag(&destination, tag, manifest, before).await?;
            }
            let moved_from = before.filter(|before| *before != target.digest);
            pushed.push(PushedTag { tag: tag.clone(), digest: target.digest, moved_from });
        }
        for blob in &tree.blobs {
            self.known.add(blob.digest, self.repo);
        }
        let digest = pushed.last().map(|tag| tag.digest).ok_or_else(|| PushError::Absent {
            location: self.origin.location(),
            missing: "tag".to_owned(),
        })?;
        let manifests = tree.manifests.iter().map(wharf_oci::Manifest::digest).collect();
        Ok(PushReport { digest, unchanged, referrers, tags: pushed, moved, manifests })
    }

    /// Writes a tag, if it is still where it was at the start.
    async fn write_tag(
        &self,
        destination: &TransferDestination<'_>,
        tag: &Tag,
        manifest: &wharf_oci::Manifest,
        before: Option<Digest>,
    ) -> Result<(), PushError> {
        // Layers may have taken long: another client may have written the tag meanwhile.
        let now = self.points_at(tag).await?;
        if now != before {
            self.refuse_moves([Write { tag, before: now, after: manifest.digest() }])?;
        }
        Ok(destination.tag(tag, manifest).await?)
    }

    async fn points_at(&self, tag: &Tag) -> Result<Option<Digest>, RegistryError> {
        let reference = Reference::Tag(tag.clone());
        let found = self.registry.head_manifest(self.repo, &reference).await?;
        Ok(found.map(|found| found.digest))
    }

    fn refuse_moves<'w>(
        &self,
        writes: impl IntoIterator<Item = Write<'w>>,
    ) -> Result<(), PushError> {
        let place = format!("{}/{}", self.registry.host(), self.repo);
        let refused = |write: Write<'_>| write.refusal(&place, self.allow_tag_move);
        let reasons: Vec<String> = writes.into_iter().filter_map(refused).collect();
        if reasons.is_empty() { Ok(()) } else { Err(PushError::TagMoves { reasons }) }
    }
}

#[cfg(test)]
mod tests;
