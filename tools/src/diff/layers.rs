//! The shared layers of two images.

use serde::Serialize;
use wharf_oci::Digest;

use super::listed::{BoundedList, ListBounds};
use crate::image::facts::PlatformImage;
use crate::secret_patterns::masked;

/// Longest command of a layer's history, in characters.
const COMMAND_CHARS_MAX: usize = 300;

/// The layers of two images.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayersDiff {
    /// How many both have, byte for byte.
    pub shared: usize,
    /// The size of these in a registry, in bytes.
    pub shared_bytes: u64,
    /// Layers of the first image alone.
    pub removed: BoundedList<LayerSummary>,
    /// Layers of the second image alone.
    pub added: BoundedList<LayerSummary>,
    /// The size of the second image's upload to a registry with the first, in bytes.
    pub added_bytes: u64,
    /// Layers with the same tar and another compression: first, then second.
    pub recompressed: BoundedList<(LayerSummary, LayerSummary)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerSummary {
    /// Its number, from 1 at the bottom.
    pub number: usize,
    pub digest: Digest,
    /// Its size in a registry, in bytes.
    pub size_bytes: u64,
    /// Its size unpacked, when it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncompressed_bytes: Option<u64>,
    /// The history's step for the layer, if the history can be assigned to layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
}

/// Matches layers by digest, the rest by the digest of the tar inside.
pub(super) fn compare(
    before: &PlatformImage,
    after: &PlatformImage,
    bounds: ListBounds,
) -> LayersDiff {
    let mut left: Vec<usize> = (0..after.layers.len()).collect();
    let mut diff = LayersDiff::default();
    let mut removed = Vec::new();
    for (place, layer) in before.layers.iter().enumerate() {
        let digest = layer.descriptor.digest;
        let same = |other: &usize| digest_at(after, *other) == Some(digest);
        match left.iter().position(same) {
            Some(found) => {
                left.remove(found);
                diff.shared += 1;
                diff.shared_bytes = diff.shared_bytes.saturating_add(layer.descriptor.size);
            }
            None => removed.push(place),
        }
    }
    for place in removed {
        let tar = diff_id(before, place);
        let same = |other: &usize| tar.is_some() && diff_id(after, *other) == tar;
        let Some(one) = summary(before, place) else { continue };
        match left.iter().position(same).map(|found| left.remove(found)) {
            Some(other) => {
                let Some(other) = summary(after, other) else { continue };
                diff.added_bytes = diff.added_bytes.saturating_add(other.size_bytes);
                diff.recompressed.push(bounds, || (one, other));
            }
            None => diff.removed.push(bounds, || one),
        }
    }
    for place in left {
        let Some(other) = summary(after, place) else { continue };
        diff.added_bytes = diff.added_bytes.saturating_add(other.size_bytes);
        diff.added.push(bounds, || other);
    }
    diff
}

fn digest_at(image: &PlatformImage, place: usize) -> Option<Digest> {
    image.layers.get(place).map(|layer| layer.descriptor.digest)
}

fn diff_id(image: &PlatformImage, place: usize) -> Option<Digest> {
    image.config.as_ref()?.rootfs.diff_ids.get(place).copied()
}

fn summary(image: &PlatformImage, place: usize) -> Option<LayerSummary> {
    let layer = image.layers.get(place)?;
    Some(LayerSummary {
        number: place + 1,
        digest: layer.descriptor.digest,
        size_bytes: layer.descriptor.size,
        uncompressed_bytes: layer.uncompressed_bytes,
        created_by: command(image, place),
    })
}

/// The history can be assigned to layers only if it has one step for each.
fn command(image: &PlatformImage, place: usize) -> Option<String> {
    let history = &image.config.as_ref()?.history;
    let steps: Vec<_> = history.iter().filter(|step| !step.empty_layer).collect();
    if steps.len() != image.layers.len() {
        return None;
    }
    let command = masked(None, steps.get(place)?.created_by.as_ref()?);
    Some(command.chars().take(COMMAND_CHARS_MAX).collect())
}
