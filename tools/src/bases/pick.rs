//! Picks the image of a source for a platform: indexes are followed, referrers of other images are
//! passed over, and an error about a missing image lists the present ones.

use std::collections::BTreeSet;

use wharf_oci::{Descriptor, Digest, Manifest, ManifestKind, Platform};

use crate::image::config::ImageConfig;
use crate::image::layout::REF_NAME;
use crate::image::platform::{is_same, named};
use crate::source::{BlobError, Source};
use crate::verify::{CONFIG_TYPES, is_attestation};

/// How deep indexes may lie in one another.
const DEPTH_MAX: usize = 4;

/// How many manifests of one source are looked at.
const MANIFESTS_MAX: usize = 1000;

/// How many names or platforms a message lists.
const TOLD_MAX: usize = 20;

/// Why a source has no image for a platform.
#[derive(Debug, thiserror::Error)]
pub enum PickError {
    /// A manifest or a configuration cannot be read.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// There is none at all.
    #[error("it has no image that can be used")]
    Empty,
    /// Its names mean different images.
    #[error("it has several images, say which with its name: {there}")]
    Ambiguous {
        /// How each can be named.
        there: String,
    },
    /// It has none for this platform.
    #[error("it has no image for {wanted}; it has: {there}")]
    NoPlatform { wanted: String, there: String },
    /// It has several, with different versions of Windows, and the offer names none.
    #[error("it has several images for {wanted}, say which with `osVersion`: {there}")]
    SeveralVersions { wanted: String, there: String },
    /// It is for another platform than its index says.
    #[error("its index says {stated}, its configuration {own}; it was put together wrongly")]
    Contradiction { stated: String, own: String },
    /// It is another image than the pinned one.
    #[error(
        "its digest is {actual}, and the offer says {expected}; take the new one over, or name the \
         old one by its digest"
    )]
    Digest { expected: Digest, actual: Digest },
    /// Its layers cannot be told apart.
    #[error("its manifest has {layers} layers, its configuration {diff_ids} diffIDs")]
    DiffIds {
        /// Layers of the manifest.
        layers: usize,
        /// Of the configuration.
        diff_ids: usize,
    },
    /// Its configuration is none.
    #[error("its configuration cannot be read: {0}")]
    Config(String),
    /// It is too large to be looked through.
    #[error("it has more than {MANIFESTS_MAX} manifests, or indexes more than {DEPTH_MAX} deep")]
    TooMany,
}

/// The picked image.
pub(super) struct Picked {
    /// The source's descriptor at its top.
    pub(super) root: Descriptor,
    /// How the image is pointed at, with the platform its index says.
    pub(super) descriptor: Descriptor,
    pub(super) manifest: Manifest,
    /// How many manifests are about images, without being one.
    pub(super) attached: usize,
}

/// Finds the image for a platform.
pub(super) fn pick(source: &Source, wanted: &Platform) -> Result<Picked, PickError> {
    let mut walk = Walk { source, seen: BTreeSet::new(), found: Vec::new(), attached: 0 };
    let root = walk.top()?;
    walk.manifest(&root, 0)?;
    let Walk { found, attached, .. } = walk;
    let fits = |one: &&Candidate| one.platform.os.is_empty() || is_same(&one.platform, wanted);
    let there = |of: &mut dyn Iterator<Item = &Candidate>| {
        let names: BTreeSet<String> = of.map(|one| named(&one.platform)).collect();
        names.into_iter().take(TOLD_MAX).collect::<Vec<_>>().join(", ")
    };
    let mut fitting: Vec<&Candidate> = found.iter().filter(fits).collect();
    if let Some(version) = &wanted.os_version {
        let says = |one: &&Candidate| one.platform.os_version.as_ref().is_none_or(|v| v == version);
        fitting.retain(says);
    }
    // An image with the same spelling of the variant goes before an equivalent one.
    if fitting.iter().any(|one| one.platform.variant == wanted.variant) {
        fitting.retain(|one| one.platform.variant == wanted.variant);
    }
    let versions: BTreeSet<_> = fitting.iter().map(|one| &one.platform.os_version).collect();
    if versions.len() > 1 && wanted.os_version.is_none() {
        let there = there(&mut fitting.iter().copied());
        return Err(PickError::SeveralVersions { wanted: named(wanted), there });
    }
    let Some(meant) = fitting.first() else {
        if found.is_empty() {
            return Err(PickError::Empty);
        }
        let there = there(&mut found.iter());
        return Err(PickError::NoPlatform { wanted: named(wanted), there });
    };
    let descriptor = meant.descriptor.clone();
    let manifest = source.manifest(&descriptor)?;
    Ok(Picked { root, descriptor, manifest, attached })
}

/// Compares a pinned digest with the found image: with its index, its manifest, or its
/// configuration (docker's image ID).
pub(super) fn compare_digest(pinned: Option<&Digest>, picked: &Picked) -> Result<(), PickError> {
    let Some(expected) = pinned else { return Ok(()) };
    let config = match picked.manifest.kind() {
        ManifestKind::Image { config, .. } => config.as_ref().map(|config| config.digest),
        ManifestKind::Index { .. } | ManifestKind::Opaque => None,
    };
    let known = [Some(picked.root.digest), Some(picked.descriptor.digest), config];
    if known.contains(&Some(*expected)) {
        return Ok(());
    }
    Err(PickError::Digest { expected: *expected, actual: picked.root.digest })
}

/// The platform of a configuration.
pub(super) fn platform_of(config: &ImageConfig) -> Platform {
    Platform {
        os: config.os.clone(),
        architecture: config.architecture.clone(),
        variant: config.variant.clone(),
        os_version: config.os_version.clone(),
        os_features: Vec::new(),
    }
}

/// Checks the configuration's platform against the wanted one, and against the index. A field
/// missing in one of them is taken from the other.
pub(super) fn compare_platforms(
    wanted: &Platform,
    stated: Option<&Platform>,
    own: &Platform,
) -> Result<(), PickError> {
    if own.os.is_empty() && own.architecture.is_empty() {
        return Ok(());
    }
    let agree = |one: &Platform, other: &Platform| {
        let cut = |at: &Platform| Platform { variant: None, ..at.clone() };
        let versions = one.os_version.is_none()
            || other.os_version.is_none()
            || one.os_version == other.os_version;
        let variants = if own.variant.is_none() {
            is_same(&cut(one), &cut(other))
        } else {
            is_same(one, other)
        };
        versions && variants
    };
    match stated {
        Some(stated) if !agree(stated, own) => {
            Err(PickError::Contradiction { stated: named(stated), own: named(own) })
        }
        None if !agree(wanted, own) => {
            Err(PickError::NoPlatform { wanted: named(wanted), there: named(own) })
        }
        _ => Ok(()),
    }
}

/// A found image.
struct Candidate {
    descriptor: Descriptor,
    platform: Platform,
}

struct Walk<'a> {
    source: &'a Source,
    seen: BTreeSet<Digest>,
    found: Vec<Candidate>,
    attached: usize,
}

impl Walk<'_> {
    /// The one root above everything else.
    fn top(&mut self) -> Result<Descriptor, PickError> {
        let mut roots: Vec<&Descriptor> = Vec::new();
        let mut listed = BTreeSet::new();
        for root in self.source.roots() {
            if roots.iter().any(|seen| seen.digest == root.digest) {
                continue;
            }
            if roots.len() >= MANIFESTS_MAX {
                return Err(PickError::TooMany);
            }
            let manifest = self.source.manifest(root)?;
            listed.extend(manifest.children().iter().map(|child| child.digest));
            if manifest.subject().is_some() && !is_image(&manifest) {
                self.attached += 1;
            } else {
                roots.push(root);
            }
        }
        roots.retain(|root| !listed.contains(&root.digest));
        match roots.as_slice() {
            [] => Err(PickError::Empty),
            [only] => Ok((*only).clone()),
            several => {
                let names = several.iter().take(TOLD_MAX).map(|root| {
                    let name = root.annotations.get(REF_NAME);
                    name.cloned().unwrap_or_else(|| format!("@{}", root.digest))
                });
                Err(PickError::Ambiguous { there: names.collect::<Vec<_>>().join(", ") })
            }
        }
    }

    fn manifest(&mut self, descriptor: &Descriptor, depth: usize) -> Result<(), PickError> {
        if !self.seen.insert(descriptor.digest) {
            return Ok(());
        }
        if self.seen.len() > MANIFESTS_MAX || depth > DEPTH_MAX {
            return Err(PickError::TooMany);
        }
        if is_attestation(descriptor) {
            self.attached += 1;
            return Ok(());
        }
        // An index's platform of a child is enough to choose: a save of one platform lists them
        // all.
        if let Some(platform) = &descriptor.platform
            && !descriptor.media_type.is_index()
            && depth > 0
        {
            let platform = platform.clone();
            self.found.push(Candidate { descriptor: descriptor.clone(), platform });
            return Ok(());
        }
        let manifest = self.source.manifest(descriptor)?;
        match manifest.kind() {
            ManifestKind::Index { manifests } => {
                for child in manifests {
                    self.manifest(child, depth + 1)?;
                }
            }
            ManifestKind::Image { config: Some(config), .. } if is_image(&manifest) => {
                let bytes = self.source.small_blob(config)?;
                let config: ImageConfig = serde_json::from_slice(&bytes)
                    .map_err(|error| PickError::Config(error.to_string()))?;
                let platform = platform_of(&config);
                let descriptor = Descriptor { platform: None, ..descriptor.clone() };
                self.found.push(Candidate { descriptor, platform });
            }
            ManifestKind::Image { .. } => self.attached += 1,
            ManifestKind::Opaque => {}
        }
        Ok(())
    }
}

/// Whether a manifest is of a runnable image.
fn is_image(manifest: &Manifest) -> bool {
    match manifest.kind() {
        ManifestKind::Image { config: Some(config), .. } => {
            CONFIG_TYPES.contains(&config.media_type.as_str())
        }
        _ => false,
    }
}
