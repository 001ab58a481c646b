//! Whether a source is what it says: every blob there with its size and digest, every manifest
//! readable, every layer inflating to its diffID, every tar one that engines unpack. What was found becomes
//! [`ImageFacts`]; what the marketplace thinks of it is in `rules`.
//!
//! Invariant: a source of a stranger costs bounded memory, ends, and never panics; what is broken is
//! a fault, never silence.

mod layers;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use wharf_oci::{Descriptor, Digest, Manifest, ManifestKind, Platform};

use self::layers::CheckedLayer;
pub use self::layers::Limits;
use crate::image::config::ImageConfig;
use crate::image::facts::{
    Fault, FaultKind, ImageFacts, IndexFacts, LayerFacts, PlatformImage, Refusal,
};
use crate::source::{BlobError, Source};

/// How many manifests of one layout are looked at.
const MANIFESTS_MAX: usize = 1000;

/// How deep indexes may lie in one another.
const DEPTH_MAX: usize = 4;

/// Media types of configurations that say how a container starts; artifacts have others.
const CONFIG_TYPES: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/// Reads and proves everything that a source leads to, on `jobs` threads.
#[must_use]
pub fn check(source: &Source, jobs: NonZeroUsize, limits: &Limits) -> ImageFacts {
    let mut walk = Walk {
        source,
        facts: ImageFacts { location: source.location().to_owned(), ..ImageFacts::default() },
        seen: BTreeSet::new(),
        images: Vec::new(),
    };
    for root in source.roots() {
        if !walk.facts.roots.iter().any(|seen| seen.digest == root.digest) {
            walk.facts.roots.push(root.clone());
        }
        walk.manifest(root, 0);
    }
    let Walk { mut facts, images, .. } = walk;
    facts.tags = source.tags().map(|(tag, root)| (tag, root.digest)).collect();
    let wanted: BTreeMap<Digest, Descriptor> = images
        .iter()
        .flat_map(ReadImage::layers)
        .map(|layer| (layer.digest, layer.clone()))
        .collect();
    let wanted: Vec<Descriptor> = wanted.into_values().collect();
    let checked = layers::check_all(source, &wanted, jobs, *limits);
    for layer in checked.values() {
        facts.faults.extend(layer.faults.iter().cloned());
    }
    for image in images {
        compare_uses(&image, &checked, &mut facts.faults);
        if image.is_attestation {
            continue;
        }
        compare_diff_ids(&image, &checked, &mut facts.faults);
        facts.images.push(image.into_facts(&checked));
    }
    facts
}

/// An image manifest that could be read.
struct ReadImage {
    descriptor: Descriptor,
    manifest: Manifest,
    config: Option<ImageConfig>,
    is_attestation: bool,
}

impl ReadImage {
    fn layers(&self) -> &[Descriptor] {
        match self.manifest.kind() {
            ManifestKind::Image { layers, .. } => layers,
            ManifestKind::Index { .. } | ManifestKind::Opaque => &[],
        }
    }

    fn config_descriptor(&self) -> Option<&Descriptor> {
        match self.manifest.kind() {
            ManifestKind::Image { config, .. } => config.as_ref(),
            ManifestKind::Index { .. } | ManifestKind::Opaque => None,
        }
    }

    fn into_facts(self, checked: &BTreeMap<Digest, CheckedLayer>) -> PlatformImage {
        let layers = self.layers().iter().map(|descriptor| LayerFacts {
            descriptor: descriptor.clone(),
            uncompressed_bytes: checked
                .get(&descriptor.digest)
                .filter(|layer| layer.diff_id.is_some())
                .map(|layer| layer.inflated_bytes),
        });
        PlatformImage {
            layers: layers.collect(),
            config_descriptor: self.config_descriptor().cloned(),
            descriptor: self.descriptor,
            config: self.config,
            files: None,
        }
    }
}

struct Walk<'a> {
    source: &'a Source,
    facts: ImageFacts,
    /// Manifests that were looked at, readable or not: each is reported once.
    seen: BTreeSet<Digest>,
    images: Vec<ReadImage>,
}

impl Walk<'_> {
    fn fault(&mut self, kind: FaultKind, digest: Digest, message: String) {
        self.facts.faults.push(Fault { digest, kind, message });
    }

    fn manifest(&mut self, descriptor: &Descriptor, depth: usize) {
        let digest = descriptor.digest;
        if !self.seen.insert(digest) {
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
        if self.seen.len() > MANIFESTS_MAX || depth > DEPTH_MAX {
            let message = format!(
                "not looked at: there are more than {MANIFESTS_MAX} manifests, or indexes more \
                 than {DEPTH_MAX} deep"
            );
            return self.fault(FaultKind::Manifest, digest, message);
        }
        if !descriptor.media_type.is_manifest() {
            let message = format!("{} is not a type of manifest", descriptor.media_type);
            return self.fault(FaultKind::Manifest, digest, message);
        }
        let manifest = match self.source.manifest(descriptor) {
            Ok(manifest) => manifest,
            Err(error) => return self.fault(kind_of(&error), digest, explain(&error)),
        };
        match manifest.kind() {
            ManifestKind::Index { manifests } => {
                let children = manifests.clone();
                for child in &children {
                    self.manifest(child, depth + 1);
                }
                let descriptor = descriptor.clone();
                self.facts.indexes.push(IndexFacts { descriptor, children });
            }
            // One that is not interpreted is not parsed.
            ManifestKind::Opaque => {}
            ManifestKind::Image { config, .. } => {
                let config = config.clone().and_then(|config| self.config(&config));
                self.images.push(ReadImage {
                    is_attestation: is_attestation(descriptor),
                    descriptor: descriptor.clone(),
                    manifest,
                    config,
                });
            }
        }
    }

    fn config(&mut self, descriptor: &Descriptor) -> Option<ImageConfig> {
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
        match serde_json::from_slice(&bytes) {
            Ok(config) => Some(config),
            Err(error) => {
                let message = format!("the configuration cannot be read: {error}");
                self.fault(FaultKind::Config, descriptor.digest, message);
                None
            }
        }
    }
}

/// `BuildKit` lists attestations beside the images, with a platform that nothing runs on.
fn is_attestation(descriptor: &Descriptor) -> bool {
    descriptor.platform.as_ref().is_some_and(Platform::is_unknown)
        || descriptor.annotations.contains_key("vnd.docker.reference.type")
}

/// Several manifests may use one blob, which was checked as one of them describes it; the others
/// have to agree.
fn compare_uses(
    image: &ReadImage,
    checked: &BTreeMap<Digest, CheckedLayer>,
    faults: &mut Vec<Fault>,
) {
    for used in image.layers() {
        let Some(first) = checked.get(&used.digest).map(|layer| &layer.descriptor) else {
            continue;
        };
        let mut differs = |kind, message| {
            faults.push(Fault { digest: used.digest, kind, message });
        };
        if first.size != used.size {
            let (one, other) = (first.size, used.size);
            let message = format!("one manifest gives it {one} bytes, another {other}");
            differs(FaultKind::Size, message);
        }
        if !layers::same_packing(&first.media_type, &used.media_type) {
            let (one, other) = (&first.media_type, &used.media_type);
            let message = format!("one manifest calls it {one}, another {other}");
            differs(FaultKind::Packing(Refusal::Some), message);
        }
    }
}

fn compare_diff_ids(
    image: &ReadImage,
    checked: &BTreeMap<Digest, CheckedLayer>,
    faults: &mut Vec<Fault>,
) {
    let Some(config) = &image.config else { return };
    let (layers, diff_ids) = (image.layers(), &config.rootfs.diff_ids);
    let mut fault = |message| {
        let digest = image.descriptor.digest;
        faults.push(Fault { digest, kind: FaultKind::DiffId, message });
    };
    if diff_ids.len() != layers.len() {
        let (layers, count) = (layers.len(), diff_ids.len());
        fault(format!("the manifest has {layers} layers, the configuration has {count} diffIDs"));
        return;
    }
    let mut unread = Vec::new();
    for (place, (layer, expected)) in layers.iter().zip(diff_ids).enumerate() {
        let found = checked.get(&layer.digest);
        if let Some(found) = found.filter(|found| found.is_unread()) {
            let message = format!("{} is not inflated here", found.descriptor.media_type);
            unread.push(Fault { digest: layer.digest, kind: FaultKind::Unproven, message });
        }
        let actual = found.and_then(|layer| layer.diff_id);
        if let Some(actual) = actual.filter(|actual| actual != expected) {
            let number = place + 1;
            fault(format!("layer {number} inflates to {actual}, its diffID is {expected}"));
        }
    }
    unread.retain(|fault| !faults.contains(fault));
    faults.extend(unread);
}

fn kind_of(error: &BlobError) -> FaultKind {
    match error {
        BlobError::Missing { .. }
        | BlobError::MissingPlatform { .. }
        | BlobError::MissingMember { .. }
        | BlobError::NotAFile { .. }
        | BlobError::Read { .. } => FaultKind::Missing,
        BlobError::Registry { .. } => FaultKind::Unproven,
        BlobError::Size { .. } => FaultKind::Size,
        BlobError::Mismatch(_) | BlobError::Content { .. } => FaultKind::Digest,
        BlobError::Manifest { .. } => FaultKind::Manifest,
    }
}

/// The message with its cause, for tables that have one line per fault.
fn explain(error: &BlobError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
