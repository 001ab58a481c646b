//! What came of a plan: its image, its platforms, their layers, and what refers to them.

use serde::Serialize;
use wharf_oci::{Descriptor, Digest, Platform};

use super::attestations::Attested;
use crate::image::layer::Note;
use crate::image::layout_write::{Counted, Outcome};

/// An image in its layout.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BuiltImage {
    /// The index over all platforms.
    pub index: Descriptor,
    /// The platforms in the order of the offer.
    pub platforms: Vec<BuiltPlatform>,
    /// What the layout lists: one descriptor per tag, then what refers to the platforms and to the
    /// index.
    #[serde(skip)]
    pub roots: Vec<Descriptor>,
    /// What refers to the platforms and to the index.
    #[serde(skip)]
    pub referrers: Vec<Referrer>,
    /// What became of the layout; nothing when it was only counted.
    pub outcome: Option<Outcome>,
    /// What is known of one that was only counted.
    #[serde(skip)]
    pub counted: Counted,
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
    /// What a person should know of its layers, with the number of each, from 1.
    #[serde(skip)]
    pub notes: Vec<(usize, Note)>,
    /// What is said of it.
    #[serde(skip)]
    pub(super) attested: Option<Attested>,
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
    /// What it is made of, in one line.
    pub source: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a layer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Origin {
    /// It was made.
    Made,
    /// It was made earlier: for another platform or plan, or by a run before.
    Reused,
    /// It is a layer of the base, or of the image that was adopted.
    Base,
}

/// A manifest that refers to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrer {
    /// As the layout lists it.
    pub descriptor: Descriptor,
    /// The manifest it is about.
    pub subject: Digest,
    /// What it holds besides itself.
    pub content_bytes: u64,
}

/// Platforms are shown as people type them.
fn as_text<S: serde::Serializer>(platform: &Platform, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(platform)
}
