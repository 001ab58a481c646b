//! Checks a source: every blob there with its size and digest, every manifest readable, every layer
//! inflating to its diffID, every tar fit for the engines. The findings become [`ImageFacts`]; the
//! marketplace's judgement of them is in `rules`.
//!
//! Invariant: a stranger's source costs bounded memory, ends, and never panics; every damage is a
//! fault, never silence.

mod blob_fault;
mod bounded;
mod entries;
mod layers;
mod limits;
mod packing;
mod read_image;
mod room;
mod stream;
mod uses;
mod views;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use wharf_oci::{
    Algorithm, Descriptor, Digest, Digester, Manifest, ManifestKind, ParseError, Platform,
};

use self::blob_fault::{explain, kind_of};
use self::layers::CheckedLayer;
pub use self::layers::{ReadLayer, read_layer};
pub use self::limits::{Limits, RATIO_FROM_BYTES};
use self::read_image::ReadImage;
pub use self::room::ReadBudget;
use self::views::Views;
use crate::image::algorithms;
use crate::image::config::ImageConfig;
use crate::image::facts::{Fault, FaultKind, ImageFacts, IndexFacts, PlatformImage};
use crate::image::files::FileView;
use crate::source::{BlobError, Source};

/// How many manifests of one layout are looked at.
const MANIFESTS_MAX: usize = 1000;

/// How many layers all manifests of a source may have together; engines take 127 in one.
const LAYERS_MAX: usize = 100_000;

/// How deep indexes may lie in one another.
const DEPTH_MAX: usize = 4;

/// Media types of configurations for containers; artifacts have others.
pub(crate) const CONFIG_TYPES: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/// Reads and proves everything a source leads to, on `jobs` threads.
#[must_use]
pub fn check(source: &Source, jobs: NonZeroUsize, limits: &Limits) -> ImageFacts {
    let mut walk = Walk {
        source,
        facts: ImageFacts { location: source.location().to_owned(), ..ImageFacts::default() },
        seen: BTreeMap::new(),
        images: Vec::new(),
        layers_left: LAYERS_MAX,
    };
    if let Some(index) = source.partly_read() {
        let digest = Digester::digest(Algorithm::Sha256, index);
        for what in algorithms::unknown_in_manifest(index) {
            walk.fault(FaultKind::Algorithm, digest, format!("in the list of images, {what}"));
        }
    }
    for root in source.roots() {
        if !walk.facts.roots.iter().any(|seen| seen.digest == root.digest) {
            walk.facts.roots.push(root.clone());
        }
        walk.manifest(root, 0);
    }
    let Walk { mut facts, images, .. } = walk;
    facts.tags = source.tags().map(|(tag, root)| (tag, root.digest)).collect();
    uses::compare_names(source, &mut facts.faults);
    let wanted: BTreeMap<Digest, Descriptor> = images
        .iter()
        .flat_map(ReadImage::layers)
        .map(|layer| (layer.digest, layer.clone()))
        .collect();
    let wanted: Vec<Descriptor> = wanted.into_values().collect();
    let room = ReadBudget::new();
    let checked = layers::check_all(source, &wanted, jobs, *limits, &room);
    for layer in checked.values() {
        facts.faults.extend(layer.faults.iter().cloned());
    }
    let mut views = Views::new(&room, &checked);
    for image in images {
        uses::compare_uses(&image, &checked, &mut facts.faults);
        if let Some(artifact) = image.artifact() {
            facts.artifacts.push(artifact);
        }
        if image.is_artifact() {
            continue;
        }
        uses::compare_diff_ids(&image, &checked, &mut facts.faults);
        let files = image.config.is_some().then(|| views.of(image.layers()));
        if let Some(files) = &files {
            views::look(files, image.layers(), &mut facts.faults);
            facts.faults.extend(unseen(files, &image, &checked));
        }
        facts.images.push(PlatformImage { files, ..image.into_facts(&checked) });
    }
    facts.faults = bounded::bounded(facts.faults);
    facts
}

/// Why not every file of an image was looked at, where no fault of a layer says it already.
fn unseen(
    files: &FileView,
    image: &ReadImage,
    checked: &BTreeMap<Digest, CheckedLayer>,
) -> Option<Fault> {
    if files.is_complete() {
        return None;
    }
    let layers = image.layers().iter().filter_map(|layer| checked.get(&layer.digest));
    let is_told = |layer: &CheckedLayer| {
        let is_unread = !layer.is_elsewhere && layer.diff_id.is_none();
        is_unread || layer.faults.iter().any(|fault| fault.kind == FaultKind::Tar)
    };
    if layers.clone().any(is_told) {
        return None;
    }
    let elsewhere = layers.clone().find(|layer| layer.is_elsewhere);
    let (digest, message) = match elsewhere {
        Some(layer) => (layer.descriptor.digest, "it is kept elsewhere, and nobody looked into it"),
        None => (
            image.descriptor.digest,
            "it has more files, or folders that none of them lists, than are looked at",
        ),
    };
    Some(Fault::new(digest, FaultKind::Unproven, message.to_owned()))
}

struct Walk<'a> {
    source: &'a Source,
    facts: ImageFacts,
    /// Manifests already looked at, readable or not: each is reported once.
    seen: BTreeMap<Digest, Descriptor>,
    images: Vec<ReadImage>,
    layers_left: usize,
}

impl Walk<'_> {
    fn fault(&mut self, kind: FaultKind, digest: Digest, message: String) {
        self.facts.faults.push(Fault::new(digest, kind, message));
    }

    fn manifest(&mut self, descriptor: &Descriptor, depth: usize) {
        let digest = descriptor.digest;
        if let Some(first) = self.seen.get(&digest) {
            self.facts.faults.extend(uses::compare_pointers(first, descriptor));
            // A tag may name a child before its index does; the index knows the platform.
            let seen = self.images.iter_mut().find(|seen| seen.descriptor.digest == digest);
            if let Some(seen) = seen
                && depth > 0
            {
                seen.is_attestation |= is_attestation(descriptor);
                seen.descriptor = descriptor.clone();
            }
            return;
        }
        if self.seen.len() >= MANIFESTS_MAX || depth > DEPTH_MAX {
            let message = format!(
                "not looked at, nor the others: there are more than {MANIFESTS_MAX} manifests, or \
                 indexes more than {DEPTH_MAX} deep"
            );
            // One is told of; an index may list ten thousand more.
            let is_told = self.facts.faults.iter().any(|fault| fault.message == message);
            if !is_told {
                self.fault(FaultKind::Manifest, digest, message);
            }
            return;
        }
        self.seen.insert(digest, descriptor.clone());
        if !descriptor.media_type.is_manifest() {
            let message = format!("{} is not a type of manifest", descriptor.media_type);
            return self.fault(FaultKind::Manifest, digest, message);
        }
        let Some(manifest) = self.read(descriptor) else { return };
        match manifest.kind() {
            ManifestKind::Index { manifests } => {
                let children = manifests.clone();
                let annotations = manifest.annotations().clone();
                for child in &children {
                    self.manifest(child, depth + 1);
                }
                let descriptor = descriptor.clone();
                self.facts.indexes.push(IndexFacts { descriptor, children, annotations });
            }
            // Opaque content is not parsed.
            ManifestKind::Opaque => {}
            ManifestKind::Image { config, layers } => {
                let Some(left) = self.layers_left.checked_sub(layers.len()) else {
                    let message =
                        format!("not looked at: all manifests have more than {LAYERS_MAX} layers");
                    return self.fault(FaultKind::Manifest, digest, message);
                };
                self.layers_left = left;
                let config = config.clone().and_then(|config| self.config(&config));
                let has_unknown_diff_ids = config.as_ref().is_some_and(|(_, unknown)| *unknown);
                self.images.push(ReadImage {
                    is_attestation: is_attestation(descriptor),
                    descriptor: descriptor.clone(),
                    manifest,
                    config: config.map(|(config, _)| config),
                    has_unknown_diff_ids,
                });
            }
        }
    }

    /// Reads a manifest. An index with some faulty children still gives the others.
    fn read(&mut self, descriptor: &Descriptor) -> Option<Manifest> {
        let digest = descriptor.digest;
        let error = match self.source.manifest(descriptor) {
            Ok(manifest) => return Some(manifest),
            Err(error) => error,
        };
        let is_malformed =
            matches!(&error, BlobError::Manifest { source: ParseError::Manifest { .. }, .. });
        let bytes = self.source.small_blob(descriptor).ok().filter(|_| is_malformed);
        let Some(bytes) = bytes else {
            self.fault(kind_of(&error), digest, explain(&error));
            return None;
        };
        let unknown = algorithms::unknown_in_manifest(&bytes);
        if unknown.is_empty() {
            self.fault(kind_of(&error), digest, explain(&error));
        }
        for what in unknown {
            self.fault(FaultKind::Algorithm, digest, format!("of the manifest {digest}, {what}"));
        }
        let manifest = Manifest::read(bytes, Some(&descriptor.media_type)).ok()?;
        // An image needs all its parts: a faulty one is a missing layer.
        matches!(manifest.kind(), ManifestKind::Index { .. }).then_some(manifest)
    }

    /// A configuration, and whether its diffIDs are by an algorithm unknown to this program.
    fn config(&mut self, descriptor: &Descriptor) -> Option<(ImageConfig, bool)> {
        let bytes = match self.source.small_blob(descriptor) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.fault(kind_of(&error), descriptor.digest, explain(&error));
                return None;
            }
        };
        if !CONFIG_TYPES.contains(&descriptor.media_type.as_str()) {
            return None;
        }
        match algorithms::read_config(&bytes) {
            Ok((config, unknown)) => {
                for what in &unknown {
                    self.fault(FaultKind::Algorithm, descriptor.digest, what.clone());
                }
                Some((config, !unknown.is_empty()))
            }
            Err(error) => {
                let message = format!("the configuration cannot be read: {error}");
                self.fault(FaultKind::Config, descriptor.digest, message);
                None
            }
        }
    }
}

/// `BuildKit` lists attestations beside the images, with a platform nothing runs on.
pub(crate) fn is_attestation(descriptor: &Descriptor) -> bool {
    let kind = descriptor.annotations.get("vnd.docker.reference.type");
    descriptor.platform.as_ref().is_some_and(Platform::is_unknown)
        || kind.is_some_and(|kind| kind == "attestation-manifest")
}

#[cfg(test)]
mod tests;
