//! What differs between two images, or between the images of two releases: platforms,
//! configuration, layers, packages and files. Works on facts that were read before; the words for
//! people are in `text`.
//!
//! Invariant: lists are bounded unless somebody asks for all, and say how many are left out. Equal
//! means the manifests are the same bytes; whatever else is compared only explains a difference.

mod configuration;
mod files;
mod layers;
mod listed;
mod packages;
mod platforms;
pub mod text;

use std::collections::BTreeMap;

use serde::Serialize;
use wharf_oci::Digest;

pub use self::configuration::ValueChange;
use self::files::complete;
pub use self::files::{FileChange, FileSummary, FilesDiff};
pub use self::layers::{LayerSummary, LayersDiff};
pub use self::listed::{BoundedList, LISTED_MAX, ListBounds};
pub use self::packages::{PackageChange, PackageChangeKind};
use crate::image::facts::{ImageFacts, PlatformImage};
use crate::image::packages as installed;

/// What two releases differ in: each image of a plan against the one of the same plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseDiff {
    /// Where the first one was read.
    pub before: String,
    /// Where the second one was read.
    pub after: String,
    /// Plans that only the first has.
    pub plans_removed: Vec<String>,
    /// Plans that only the second has.
    pub plans_added: Vec<String>,
    pub images: Vec<ImageDiff>,
}

impl ReleaseDiff {
    /// Whether both hold the same manifests.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.plans_removed.is_empty()
            && self.plans_added.is_empty()
            && self.images.iter().all(ImageDiff::is_equal)
    }
}

/// What two images differ in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageDiff {
    /// The plan, when releases are compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Where the first one was read.
    pub before: String,
    /// Where the second one was read.
    pub after: String,
    /// Platforms that only the first has.
    pub platforms_removed: Vec<PlatformSummary>,
    /// Platforms that only the second has.
    pub platforms_added: Vec<PlatformSummary>,
    pub platforms: Vec<PlatformDiff>,
    /// What could not be compared, in words.
    pub not_compared: Vec<String>,
}

impl ImageDiff {
    /// Whether both are the same manifests.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.platforms_removed.is_empty()
            && self.platforms_added.is_empty()
            && self.platforms.iter().all(PlatformDiff::is_equal)
    }
}

/// The image of one platform, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlatformSummary {
    /// `os/architecture`, or the digest when nothing says it.
    pub platform: String,
    /// The digest of its manifest.
    pub digest: Digest,
    /// Bytes a registry stores for it.
    pub stored_bytes: u64,
    /// Bytes of its layers unpacked, when all were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncompressed_bytes: Option<u64>,
}

impl PlatformSummary {
    fn of(image: &PlatformImage) -> Self {
        Self {
            platform: image.name(),
            digest: image.descriptor.digest,
            stored_bytes: image.stored_bytes(),
            uncompressed_bytes: image.uncompressed_bytes(),
        }
    }
}

/// What the images of one platform differ in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlatformDiff {
    /// The first one.
    pub before: PlatformSummary,
    /// The second one.
    pub after: PlatformSummary,
    /// Values of the configuration that came, went or changed.
    pub configuration: BoundedList<ValueChange>,
    /// Layers that both have, and others.
    pub layers: LayersDiff,
    /// Packages that came, went or changed; `None` when the files were not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packages: Option<BoundedList<PackageChange>>,
    /// Files that came, went or changed; `None` when they were not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<FilesDiff>,
}

impl PlatformDiff {
    /// Whether both are the same manifest.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.before.digest == self.after.digest
    }
}

/// Compares two images, platform by platform.
#[must_use]
pub fn images(before: &ImageFacts, after: &ImageFacts, bounds: ListBounds) -> ImageDiff {
    let pairs = platforms::pairs(&before.images, &after.images);
    let summaries = |images: &[&PlatformImage]| {
        images.iter().map(|image| PlatformSummary::of(image)).collect::<Vec<_>>()
    };
    let mut not_compared = Vec::new();
    for facts in [before, after] {
        if !facts.faults.is_empty() {
            let count = facts.faults.len();
            not_compared.push(format!(
                "{} is damaged or incomplete ({count} faults); `wharf verify` says what is wrong",
                facts.location
            ));
        }
    }
    ImageDiff {
        plan: None,
        before: before.location.clone(),
        after: after.location.clone(),
        platforms_removed: summaries(&pairs.only_before),
        platforms_added: summaries(&pairs.only_after),
        platforms: pairs.both.iter().map(|(one, other)| platform(one, other, bounds)).collect(),
        not_compared,
    }
}

/// A release that was read.
#[derive(Debug, Clone, Copy)]
pub struct Release<'a> {
    /// Where it was read.
    pub location: &'a str,
    /// Its images by plan.
    pub images: &'a BTreeMap<String, ImageFacts>,
}

/// Compares the images of two releases.
#[must_use]
pub fn releases(before: Release<'_>, after: Release<'_>, bounds: ListBounds) -> ReleaseDiff {
    let (old, new) = (before.images, after.images);
    let only = |of: &BTreeMap<String, ImageFacts>, other: &BTreeMap<String, ImageFacts>| {
        of.keys().filter(|plan| !other.contains_key(*plan)).cloned().collect()
    };
    let both = old.iter().filter_map(|(plan, one)| {
        let image = images(one, new.get(plan)?, bounds);
        Some(ImageDiff { plan: Some(plan.clone()), ..image })
    });
    ReleaseDiff {
        before: before.location.to_owned(),
        after: after.location.to_owned(),
        plans_removed: only(old, new),
        plans_added: only(new, old),
        images: both.collect(),
    }
}

fn platform(before: &PlatformImage, after: &PlatformImage, bounds: ListBounds) -> PlatformDiff {
    let (before_files, after_files) = (complete(before), complete(after));
    PlatformDiff {
        before: PlatformSummary::of(before),
        after: PlatformSummary::of(after),
        configuration: configuration::compare(before, after, bounds),
        layers: layers::compare(before, after, bounds),
        packages: before_files.zip(after_files).map(|(before, after)| {
            let (before, after) = (installed::of_files(before), installed::of_files(after));
            packages::compare(&before, &after, bounds)
        }),
        files: files::compare(before, after, bounds),
    }
}

#[cfg(test)]
mod tests;
