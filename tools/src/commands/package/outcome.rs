//! The result of `wharf package`, for its JSON.

use std::path::PathBuf;

use serde::Serialize;
use wharf_oci::Digest;

use super::notes::ToldNote;
use crate::compare::Difference;
use crate::explain::Explanation;
use crate::image::build::{BuiltImage, BuiltLayer, BuiltPlatform, LayerOrigin, Referrer};
use crate::offer::model::PlanImage;
use crate::output::Style;

/// The built or compared layouts.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Packaged {
    pub(super) output: PathBuf,
    pub(super) plans: Vec<PackagedPlan>,
    /// Remarks about the inputs, each once.
    pub(super) notes: Vec<ToldNote>,
    /// `--explain`: the shared and the own bytes of plans.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) explained: Option<Explanation>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PackagedPlan {
    pub(super) plan: String,
    pub(super) layout: PathBuf,
    pub(super) state: State,
    pub(super) tags: Vec<String>,
    /// The index over all platforms; nothing where nothing was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) digest: Option<Digest>,
    pub(super) platforms: Vec<PackagedPlatform>,
    /// The referrers of the index and the images.
    pub(super) attestations: Vec<AttestationOutcome>,
    /// `--check`: the layout's differences from a new build.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) differences: Vec<Difference>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PackagedPlatform {
    pub(super) platform: String,
    pub(super) digest: Digest,
    /// Configuration and layers, as a registry holds them.
    pub(super) size_bytes: u64,
    pub(super) layers: Vec<PackagedLayer>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PackagedLayer {
    /// The layer's input in the offer.
    source: String,
    origin: LayerOrigin,
    pub(super) digest: Digest,
    #[serde(rename = "diffID")]
    diff_id: Digest,
    pub(super) size_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    uncompressed_bytes: Option<u64>,
    media_type: String,
    codec: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AttestationOutcome {
    digest: Digest,
    size_bytes: u64,
    media_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    /// The manifest or index it is about.
    subject: Digest,
    /// The subject's platform; none for the index.
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<String>,
}

/// How a layout came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum State {
    Created,
    Replaced,
    Unchanged,
    /// `--check`: the layout equals a new build.
    Same,
    /// `--check`: it is not.
    Differs,
    /// `--check`: nothing is there.
    Missing,
    /// `--dry-run`: nothing is there.
    WouldCreate,
    /// `--dry-run`: another layout is there.
    WouldReplace,
}

impl State {
    pub(super) const fn text(self) -> (Style, &'static str) {
        match self {
            Self::Created => (Style::Good, "created"),
            Self::Replaced => (Style::Good, "replaced"),
            Self::Unchanged => (Style::Plain, "unchanged"),
            Self::Same => (Style::Good, "same"),
            Self::Differs => (Style::Error, "differs"),
            Self::Missing => (Style::Error, "missing"),
            Self::WouldCreate => (Style::Plain, "would be created"),
            Self::WouldReplace => (Style::Warning, "would be replaced"),
        }
    }
}

impl PackagedPlan {
    pub(super) fn new(plan: &PlanImage, layout: PathBuf, built: &BuiltImage, state: State) -> Self {
        Self {
            digest: Some(built.index.digest),
            platforms: built.platforms.iter().map(platform).collect(),
            attestations: built.referrers.iter().map(|at| attestation(at, built)).collect(),
            ..Self::without_image(plan, layout, state)
        }
    }

    /// A plan without a built image.
    pub(super) fn without_image(plan: &PlanImage, layout: PathBuf, state: State) -> Self {
        let tags = plan.image.expanded_tags.iter().map(|expanded| expanded.tag.to_string());
        Self {
            plan: plan.id.to_string(),
            layout,
            state,
            tags: tags.collect(),
            digest: None,
            platforms: Vec::new(),
            attestations: Vec::new(),
            differences: Vec::new(),
        }
    }
}

fn platform(built: &BuiltPlatform) -> PackagedPlatform {
    PackagedPlatform {
        platform: built.platform.to_string(),
        digest: built.manifest.digest,
        size_bytes: built.size_bytes,
        layers: built.layers.iter().map(layer).collect(),
    }
}

fn layer(built: &BuiltLayer) -> PackagedLayer {
    let media_type = built.descriptor.media_type.as_str().to_owned();
    let codec = match media_type.rsplit(['+', '.']).next() {
        Some("gzip") => "gzip",
        Some("zstd") => "zstd",
        _ => "none",
    };
    PackagedLayer {
        source: built.source.clone(),
        origin: built.origin,
        digest: built.descriptor.digest,
        diff_id: built.diff_id,
        size_bytes: built.descriptor.size,
        uncompressed_bytes: built.tar_bytes,
        media_type,
        codec,
    }
}

fn attestation(referrer: &Referrer, built: &BuiltImage) -> AttestationOutcome {
    let Referrer { descriptor, subject, .. } = referrer;
    let platform = built.platforms.iter().find(|platform| platform.manifest.digest == *subject);
    AttestationOutcome {
        digest: descriptor.digest,
        size_bytes: descriptor.size,
        media_type: descriptor.media_type.as_str().to_owned(),
        artifact_type: descriptor.artifact_type.clone(),
        subject: *subject,
        platform: platform.map(|platform| platform.platform.to_string()),
    }
}
