//! An image manifest while its layers are checked.

use std::collections::{BTreeMap, BTreeSet};

use wharf_oci::{Descriptor, Digest, Manifest, ManifestKind};

use super::layers::CheckedLayer;
use crate::image::config::ImageConfig;
use crate::image::facts::{ArtifactFacts, LayerFacts, PlatformImage};

/// A readable image manifest.
pub(super) struct ReadImage {
    pub(super) descriptor: Descriptor,
    pub(super) manifest: Manifest,
    pub(super) config: Option<ImageConfig>,
    /// Whether its diffIDs are by an algorithm unknown to this program.
    pub(super) has_unknown_diff_ids: bool,
    pub(super) is_attestation: bool,
}

impl ReadImage {
    /// Whether it is a manifest about an image, and no image itself.
    pub(super) fn is_artifact(&self) -> bool {
        self.is_attestation || (self.manifest.subject().is_some() && self.config.is_none())
    }

    /// What it says of which image.
    pub(super) fn artifact(&self) -> Option<ArtifactFacts> {
        const PREDICATE: [&str; 2] =
            ["in-toto.io/predicate-type", "dev.sigstore.bundle.predicateType"];
        if !self.is_attestation && self.manifest.subject().is_none() {
            return None;
        }
        let stated = self.descriptor.annotations.get("vnd.docker.reference.digest");
        let subject = self.manifest.subject().map(|subject| subject.digest);
        let annotations = self
            .layers()
            .iter()
            .map(|layer| &layer.annotations)
            .chain([self.manifest.annotations()]);
        let types = annotations.flat_map(|at| PREDICATE.iter().filter_map(|key| at.get(*key)));
        Some(ArtifactFacts {
            descriptor: self.descriptor.clone(),
            subject: subject.or_else(|| stated?.parse().ok()),
            artifact_type: self.manifest.artifact_type().map(ToOwned::to_owned),
            layers: self.layers().to_vec(),
            predicate_types: types.cloned().collect::<BTreeSet<_>>().into_iter().collect(),
        })
    }

    pub(super) fn layers(&self) -> &[Descriptor] {
        match self.manifest.kind() {
            ManifestKind::Image { layers, .. } => layers,
            ManifestKind::Index { .. } | ManifestKind::Opaque => &[],
        }
    }

    pub(super) fn config_descriptor(&self) -> Option<&Descriptor> {
        match self.manifest.kind() {
            ManifestKind::Image { config, .. } => config.as_ref(),
            ManifestKind::Index { .. } | ManifestKind::Opaque => None,
        }
    }

    pub(super) fn into_facts(self, checked: &BTreeMap<Digest, CheckedLayer>) -> PlatformImage {
        let layers = self.layers().iter().map(|descriptor| LayerFacts {
            descriptor: descriptor.clone(),
            uncompressed_bytes: checked
                .get(&descriptor.digest)
                .filter(|layer| layer.diff_id.is_some())
                .map(|layer| layer.inflated_bytes),
        });
        PlatformImage {
            annotations: self.manifest.annotations().clone(),
            layers: layers.collect(),
            config_descriptor: self.config_descriptor().cloned(),
            descriptor: self.descriptor,
            config: self.config,
            files: None,
        }
    }
}
