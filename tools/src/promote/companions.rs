//! The companions of an image, outside its own content: signatures, attestations, bills of
//! material. They refer to their manifest by `subject` (distribution-spec, "Referrers"), or stand
//! under tags made of its digest (cosign). Both kinds go along with the image.
//!
//! Invariant: the destination's own companions are never taken away. A list of referrers under a
//! tag is merged, and a tag with other signatures than the source's is left and named.

mod tag_lists;

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use wharf_oci::{Descriptor, Digest, Manifest, ManifestKind, Reference, RepoName, Tag};

pub use self::tag_lists::TagLists;
use super::manifests::{Fetched, Manifests};
use crate::registry::{BlobSource, Registry, RegistryError};
use crate::transfer::{TransferBytes, TransferDestination, TransferTerms};

/// How many manifests of one image are asked about at once.
const SUBJECTS_AT_ONCE: usize = 16;

/// The endings of cosign's tags beside an image.
const TAG_SUFFIXES: [&str; 3] = ["sig", "att", "sbom"];

/// How many are looked for per image.
const COMPANIONS_MAX: usize = 1000;

/// One signature, attestation or the like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Companion {
    /// The manifest it belongs to.
    pub subject: Digest,
    /// The tag it stands under; nothing when it refers to its subject itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Tag>,
    pub digest: Digest,
    /// The tag's digest on the other side, when the plan was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Digest>,
    /// The planned action.
    pub action: CompanionAction,
    /// Why, when it is left.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// The action for a companion, planned or done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CompanionAction {
    Copy,
    /// It was copied.
    Copied,
    /// Nothing: it is there.
    #[serde(rename = "already")]
    UpToDate,
    /// Nothing: the other side has other content under its tag.
    Left,
}

impl CompanionAction {
    /// The word for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Copied => "copied",
            Self::UpToDate => "already",
            Self::Left => "left",
        }
    }
}

impl Companion {
    /// The same once every planned copy is in place.
    #[must_use]
    pub fn in_place(&self) -> Self {
        let action = match self.action {
            CompanionAction::Copy | CompanionAction::Copied => CompanionAction::UpToDate,
            action => action,
        };
        Self { action, ..self.clone() }
    }
}

impl std::fmt::Display for Companion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(tag) = &self.tag {
            write!(f, "{tag}: {}", self.action.as_str())?;
        } else {
            let (digest, subject) = (self.digest.short(), self.subject.short());
            write!(f, "{digest}, which refers to {subject}: {}", self.action.as_str())?;
        }
        if self.reason.is_empty() { Ok(()) } else { write!(f, ": {}", self.reason) }
    }
}

/// Where images are, and where they go.
#[derive(Clone, Copy)]
pub struct RegistryPair<'a> {
    /// The registry they are on, its manifests and its lists of tags.
    pub from: &'a Manifests,
    pub tags: &'a TagLists,
    /// The repository there.
    pub source: &'a RepoName,
    /// The registry they go to.
    pub to: &'a Registry,
    /// The repository there.
    pub destination: &'a RepoName,
}

impl RegistryPair<'_> {
    /// The companions of these manifests, each after its subject.
    pub async fn find(&self, manifests: &[Descriptor]) -> Result<Vec<Companion>, RegistryError> {
        let mut found: Vec<Companion> = Vec::new();
        let mut met: BTreeSet<Digest> = manifests.iter().map(|manifest| manifest.digest).collect();
        let mut wave: Vec<Digest> = met.iter().copied().collect();
        while !wave.is_empty() && found.len() < COMPANIONS_MAX {
            let asked = stream::iter(wave).map(|subject| self.of_subject(subject));
            let answers: Vec<Vec<Companion>> =
                asked.buffered(SUBJECTS_AT_ONCE).try_collect().await?;
            wave = Vec::new();
            for companion in answers.into_iter().flatten() {
                if companion.tag.is_none() {
                    if !met.insert(companion.digest) {
                        continue;
                    }
                    // A signature may itself be signed.
                    wave.push(companion.digest);
                }
                found.push(companion);
            }
            found.truncate(COMPANIONS_MAX);
        }
        Ok(found)
    }

    /// The companions of one manifest.
    async fn of_subject(&self, subject: Digest) -> Result<Vec<Companion>, RegistryError> {
        let registry = self.from.registry();
        let mut found = Vec::new();
        let mut referrers = registry.listed_by_api(self.source, &subject).await?;
        let listed = referrers.get_or_insert_default();
        if self.tags.may_have(self.source, &list_tag(&subject)).await? {
            listed.extend(registry.listed_under_tag(self.source, &subject).await?);
        }
        let there = match listed.as_slice() {
            [] => Vec::new(),
            _ => self.to.referrers(self.destination, &subject).await?,
        };
        for digest in listed.iter().copied() {
            let is_there = there.contains(&digest);
            let action = if is_there { CompanionAction::UpToDate } else { CompanionAction::Copy };
            let (tag, before, reason) = (None, None, String::new());
            found.push(Companion { subject, tag, digest, before, action, reason });
        }
        for suffix in TAG_SUFFIXES {
            found.extend(self.tagged(subject, suffix).await?);
        }
        Ok(found)
    }

    /// The companion under a tag made of a digest.
    async fn tagged(
        &self,
        subject: Digest,
        suffix: &str,
    ) -> Result<Option<Companion>, RegistryError> {
        let name = format!("{}.{suffix}", list_tag(&subject));
        let Ok(tag) = name.parse::<Tag>() else { return Ok(None) };
        if !self.tags.may_have(self.source, &name).await? {
            return Ok(None);
        }
        let reference = Reference::Tag(tag.clone());
        let registry = self.from.registry();
        let Some(found) = registry.head_manifest(self.source, &reference).await? else {
            return Ok(None);
        };
        let before = self.to.head_manifest(self.destination, &reference).await?;
        let before = before.map(|before| before.digest);
        let mut reason = String::new();
        let action = match before {
            None => CompanionAction::Copy,
            Some(before) if before == found.digest => CompanionAction::UpToDate,
            Some(before) if self.is_extended(before, found.digest).await? => CompanionAction::Copy,
            Some(before) => {
                reason = format!("the destination has others there ({before})");
                CompanionAction::Left
            }
        };
        let (tag, digest) = (Some(tag), found.digest);
        Ok(Some(Companion { subject, tag, digest, before, action, reason }))
    }

    /// Whether the source's signatures are the destination's and more: each one is a layer.
    async fn is_extended(&self, before: Digest, after: Digest) -> Result<bool, RegistryError> {
        let before = self.to.manifest(self.destination, &Reference::Digest(before)).await?;
        let after = self.from.by_digest(self.source, after).await?;
        let layers = |manifest: Option<&Manifest>| match manifest.map(Manifest::kind) {
            Some(ManifestKind::Image { layers, .. }) => {
                Some(layers.iter().map(|layer| layer.digest).collect::<BTreeSet<_>>())
            }
            _ => None,
        };
        let both = layers(before.as_ref()).zip(layers(after.as_ref()));
        Ok(both.is_some_and(|(before, after)| before.is_subset(&after)))
    }
}

/// The tag under which clients list the referrers of a manifest.
fn list_tag(subject: &Digest) -> String {
    format!("{}-{}", subject.algorithm(), subject.hex())
}

/// Copies companions of one image.
pub(crate) struct Copying<'a, E> {
    pub(crate) from: &'a Manifests,
    /// The repository there.
    pub(crate) source: &'a RepoName,
    pub(crate) to: TransferDestination<'a>,
    pub(crate) terms: TransferTerms<'a, E>,
}

impl<E: From<RegistryError>> Copying<'_, E> {
    /// Puts the content of a companion, and lists it among its subject's referrers. A tag is still
    /// to be written. `None` if the source has lost it.
    pub(crate) async fn put(
        &self,
        companion: &Companion,
    ) -> Result<Option<(Manifest, TransferBytes)>, E> {
        let fetched = self.from.tree(self.source, &[companion.digest]).await?;
        let Fetched::Tree(tree) = fetched else { return Ok(None) };
        let from = self.from.registry();
        if from.host() == self.to.registry.host() {
            tree.blobs.iter().for_each(|blob| self.to.known.add(blob.digest, self.source));
        }
        let open = |blob: &Descriptor| {
            Ok(BlobSource::remote(from.clone(), self.source.clone(), blob.clone()))
        };
        let moved = self.to.put_on(&tree, &open, &self.terms).await?;
        let Some(manifest) = tree.manifest(&companion.digest) else { return Ok(None) };
        if companion.tag.is_none() {
            let (registry, repo) = (self.to.registry, self.to.repo);
            registry.list_referrer(repo, &companion.subject, manifest).await?;
        }
        Ok(Some((manifest.clone(), moved)))
    }
}
