//! What differs between two images, or between the images of two releases: platforms,
//! configuration, layers, packages and files. Works on facts that were read before; the words for
//! people are in `text`.
//!
//! Invariant: lists are bounded unless somebody asks for all, and say how many are left out. Equal
//! means the manifests are the same bytes; whatever else is compared only explains a difference.

mod configuration;
mod files;
mod layers;
mod packages;
mod platforms;
pub mod text;

use std::collections::BTreeMap;

use serde::Serialize;
use wharf_oci::Digest;

pub use self::files::{FileChange, FileSummary, FilesDiff};
pub use self::layers::{LayerSummary, LayersDiff};
pub use self::packages::{PackageChange, PackageChangeKind};
use crate::image::facts::{ImageFacts, PlatformImage};
use crate::image::files::FileView;
use crate::image::packages as installed;

/// How many entries of a list are kept: enough to see what a release changed, in a page or two.
pub const LISTED_MAX: usize = 50;

/// How much is listed.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How many entries each list has at most.
    pub listed_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { listed_max: LISTED_MAX }
    }
}

impl Bounds {
    /// Everything is listed; what was read is bounded itself.
    pub const ALL: Self = Self { listed_max: usize::MAX };
}

/// A list with an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed<T> {
    /// The first ones.
    pub items: Vec<T>,
    /// How many more there are.
    pub left_out: usize,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { items: Vec::new(), left_out: 0 }
    }
}

impl<T> Listed<T> {
    /// How many there are, listed or not.
    #[must_use]
    pub fn total(&self) -> usize {
        self.items.len().saturating_add(self.left_out)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.total() == 0
    }

    /// Adds one more, which is made only when it is listed.
    fn push(&mut self, bounds: Bounds, item: impl FnOnce() -> T) {
        if self.items.len() < bounds.listed_max {
            self.items.push(item());
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
    }
}

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
    pub configuration: Listed<ValueChange>,
    /// Layers that both have, and others.
    pub layers: LayersDiff,
    /// Packages that came, went or changed; `None` when the files were not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packages: Option<Listed<PackageChange>>,
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

/// A value that came (`before` is missing), went (`after` is missing) or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ValueChange {
    /// Which: `user`, `env.PATH`, `ports.80/tcp`, `labels.version`.
    pub key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Compares two images, platform by platform.
#[must_use]
pub fn images(before: &ImageFacts, after: &ImageFacts, bounds: Bounds) -> ImageDiff {
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

/// Compares the images of two releases, each with where it was read and its images by plan.
#[must_use]
pub fn releases(
    (before, old): (&str, &BTreeMap<String, ImageFacts>),
    (after, new): (&str, &BTreeMap<String, ImageFacts>),
    bounds: Bounds,
) -> ReleaseDiff {
    let only = |of: &BTreeMap<String, ImageFacts>, other: &BTreeMap<String, ImageFacts>| {
        of.keys().filter(|plan| !other.contains_key(*plan)).cloned().collect()
    };
    let both = old.iter().filter_map(|(plan, one)| {
        let image = images(one, new.get(plan)?, bounds);
        Some(ImageDiff { plan: Some(plan.clone()), ..image })
    });
    ReleaseDiff {
        before: before.to_owned(),
        after: after.to_owned(),
        plans_removed: only(old, new),
        plans_added: only(new, old),
        images: both.collect(),
    }
}

fn platform(before: &PlatformImage, after: &PlatformImage, bounds: Bounds) -> PlatformDiff {
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

/// The files of an image, when all of them are known.
fn complete(image: &PlatformImage) -> Option<&FileView> {
    image.files.as_deref().filter(|files| files.is_complete())
}

#[cfg(test)]
mod tests;
