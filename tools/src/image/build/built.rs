//! The result of a plan: its image, its platforms, their layers, and their referrers.

use serde::Serialize;
use wharf_oci::{Descriptor, Digest, Platform};

use crate::image::attest::description::{SbomPart, StatementSubject, System};
use crate::image::attest::provenance::BuildDependency;
use crate::image::layer::Note;
use crate::image::layout_write::{LayoutCount, LayoutOutcome};

/// An image in its layout.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BuiltImage {
    /// The index over all platforms.
    pub index: Descriptor,
    /// The platforms in the order of the offer.
    pub platforms: Vec<BuiltPlatform>,
    /// The layout's own list: one descriptor per tag, then the referrers of the platforms and of
    /// the index.
    #[serde(skip)]
    pub roots: Vec<Descriptor>,
    /// The referrers of the platforms and of the index.
    #[serde(skip)]
    pub referrers: Vec<Referrer>,
    /// The outcome for the layout; `None` for a counted image.
    pub outcome: Option<LayoutOutcome>,
    /// The manifests of a counted image.
    #[serde(skip)]
    pub counted: LayoutCount,
}

/// The image of one platform.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BuiltPlatform {
    #[serde(serialize_with = "as_text")]
    pub platform: Platform,
    pub manifest: Descriptor,
    /// Configuration and layers together, compressed.
    pub size_bytes: u64,
    /// Its layers, bottom first.
    pub layers: Vec<BuiltLayer>,
    /// Remarks for a person about its layers, each with the layer's number, from 1.
    #[serde(skip)]
    pub notes: Vec<(usize, Note)>,
    /// The statements about it.
    #[serde(skip)]
    pub(super) attested: Option<Attested>,
}

/// The statements about one platform, and the facts the index repeats.
#[derive(Debug, Clone)]
pub(super) struct Attested {
    pub(super) subject: StatementSubject,
    pub(super) system: Option<System>,
    pub(super) packages: Vec<SbomPart>,
    pub(super) dependencies: Vec<BuildDependency>,
    /// The manifests of the statements.
    pub(super) referrers: Vec<Referrer>,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BuiltLayer {
    /// As the manifest lists it.
    pub descriptor: Descriptor,
    /// The digest of its tar.
    #[serde(rename = "diffID")]
    pub diff_id: Digest,
    /// The size of its tar, where the layer was made here.
    pub tar_bytes: Option<u64>,
    /// Its inputs, in one line.
    pub source: String,
    /// Where it comes from.
    pub origin: LayerOrigin,
}

/// Where a layer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LayerOrigin {
    /// It was made.
    Made,
    /// It was made earlier: for another platform or plan, or by a run before.
    Reused,
    /// It is a layer of the base, or of the adopted image.
    Base,
}

/// A manifest with a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrer {
    /// As the layout lists it.
    pub descriptor: Descriptor,
    /// The manifest it is about.
    pub subject: Digest,
    /// The size of its blobs, without the manifest itself.
    pub content_bytes: u64,
}

/// Platforms are shown as people type them.
fn as_text<S: serde::Serializer>(platform: &Platform, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(platform)
}
