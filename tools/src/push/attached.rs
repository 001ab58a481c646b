//! The referrers beside a pushed image: SBOM, provenance, signatures. They go along, so that a
//! client with the tag finds them. From a registry the tags of cosign's signatures come too.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use wharf_oci::{Descriptor, Digest, Manifest};

use super::{Push, PushError, PushOrigin, tree_of};
use crate::promote::companions::{Companion, CompanionAction, Copying, RegistryPair, TagLists};
use crate::registry::RegistryError;
use crate::source::Source;
use crate::transfer::{
    ManifestTree, TransferBytes, TransferDestination, TransferStep, TransferTerms, transfer_slots,
};

/// How many are pushed with one image.
const REFERRERS_MAX: usize = 1000;

/// The prefix of some programs' tags for lists of referrers in a layout.
const LIST_TAG: &str = "sha256-";

/// How many referrers an image has, with the referrers of those.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Referrers {
    /// They were put.
    pub pushed: usize,
    /// They were there.
    pub already: usize,
    /// They stand under a tag with other content at the destination, or are listed and gone.
    pub left: usize,
}

/// A manifest with a subject.
struct Referrer {
    descriptor: Descriptor,
    manifest: Manifest,
}

impl Push<'_> {
    /// Puts the referrers of a tree's manifests.
    pub(super) async fn attach(
        &self,
        tree: &ManifestTree,
        destination: &TransferDestination<'_>,
        tell: &(dyn Fn(TransferStep<'_>) + Sync),
    ) -> Result<(Referrers, TransferBytes), PushError> {
        match &self.origin {
            PushOrigin::Disk(source) => {
                self.attach_from_disk(source, tree, destination, tell).await
            }
            PushOrigin::Registry { manifests: from, repo: source } => {
                let manifests: Vec<Descriptor> =
                    tree.manifests.iter().map(Manifest::descriptor).collect();
                let tags = &TagLists::new(from.registry().clone());
                let (to, destination_repo) = (self.registry, self.repo);
                let pair = RegistryPair { from, tags, source, to, destination: destination_repo };
                let companions = pair.find(&manifests).await?;
                let told = |step: TransferStep<'_>| {
                    tell(step);
                    Ok::<(), RegistryError>(())
                };
                let slots = transfer_slots();
                let (to, terms) =
                    (TransferDestination { ..*destination }, TransferTerms::usual(&slots, &told));
                attach_companions(&Copying { from, source, to, terms }, companions).await
            }
        }
    }

    async fn attach_from_disk(
        &self,
        source: &Source,
        tree: &ManifestTree,
        destination: &TransferDestination<'_>,
        tell: &(dyn Fn(TransferStep<'_>) + Sync),
    ) -> Result<(Referrers, TransferBytes), PushError> {
        let (mut count, mut moved) = (Referrers::default(), TransferBytes::default());
        let told = |step: TransferStep<'_>| {
            tell(step);
            Ok::<(), RegistryError>(())
        };
        for (subject, referrers) in of_tree(source, tree)? {
            let there = self.registry.referrers(self.repo, &subject).await?;
            for referrer in referrers {
                let part = tree_of(source, &[&referrer.descriptor])?;
                if there.contains(&referrer.descriptor.digest) {
                    count.already += 1;
                    moved.skipped_bytes = moved.skipped_bytes.saturating_add(part.size_bytes());
                    continue;
                }
                let open = |blob: &Descriptor| self.origin.open(blob);
                moved.add(destination.put(&part, &open, &|_| false, &told).await?);
                self.registry.list_referrer(self.repo, &subject, &referrer.manifest).await?;
                count.pushed += 1;
            }
        }
        Ok((count, moved))
    }
}

/// Copies companions from a registry. A tag under which the destination has other signatures is left,
/// and counted.
async fn attach_companions(
    copying: &Copying<'_, RegistryError>,
    companions: Vec<Companion>,
) -> Result<(Referrers, TransferBytes), PushError> {
    let (mut count, mut moved) = (Referrers::default(), TransferBytes::default());
    for companion in companions {
        match companion.action {
            CompanionAction::UpToDate | CompanionAction::Copied => count.already += 1,
            CompanionAction::Left => count.left += 1,
            CompanionAction::Copy => {
                // A client that deletes a referrer may leave it in the list under the tag.
                let Some((manifest, sent)) = copying.put(&companion).await? else {
                    count.left += 1;
                    continue;
                };
                if let Some(tag) = &companion.tag {
                    copying.to.tag(tag, &manifest).await?;
                }
                moved.add(sent);
                count.pushed += 1;
            }
        }
    }
    Ok((count, moved))
}

/// A source's referrers of a tree's manifests, by subject; each after its subject.
fn of_tree(
    source: &Source,
    tree: &ManifestTree,
) -> Result<Vec<(Digest, Vec<Referrer>)>, PushError> {
    let mut by_subject: BTreeMap<Digest, Vec<Referrer>> = BTreeMap::new();
    let mut met: BTreeSet<Digest> = tree.manifests.iter().map(Manifest::digest).collect();
    let mut count = 0;
    for descriptor in candidates(source)? {
        if !met.insert(descriptor.digest) {
            continue;
        }
        let manifest = source.manifest(&descriptor)?;
        let Some(subject) = manifest.subject().map(|subject| subject.digest) else { continue };
        count += 1;
        if count > REFERRERS_MAX {
            break;
        }
        by_subject.entry(subject).or_default().push(Referrer { descriptor, manifest });
    }
    let mut found = Vec::new();
    let mut subjects: Vec<Digest> = tree.manifests.iter().map(Manifest::digest).collect();
    while let Some(subject) = subjects.pop() {
        let Some(referrers) = by_subject.remove(&subject) else { continue };
        // A signature may itself be signed.
        subjects.extend(referrers.iter().map(|referrer| referrer.descriptor.digest));
        found.push((subject, referrers));
    }
    Ok(found)
}

/// The possible referrers: the descriptors at the top, and those in lists of referrers there.
fn candidates(source: &Source) -> Result<Vec<Descriptor>, PushError> {
    let mut all = source.roots().to_vec();
    for (name, root) in source.names() {
        if name.starts_with(LIST_TAG) && root.media_type.is_index() {
            all.extend(source.manifest(root)?.children().iter().cloned());
        }
    }
    Ok(all)
}
