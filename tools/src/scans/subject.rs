//! A scan's subject: the digests a report names an image by, and the image they match.

use std::collections::BTreeSet;

use wharf_oci::Digest;

use super::text::short;
use crate::image::facts::{ImageFacts, PlatformImage};

/// How many digests of one report are kept.
const DIGESTS_MAX: usize = 1000;

/// A scan's subject, as a report names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScanSubject {
    /// Its name there: a reference, a path.
    pub name: String,
    /// Digests of its manifest, its index and its configuration; tools differ in their names for
    /// them.
    pub digests: BTreeSet<Digest>,
    /// The digests of its layers, inflated, in their order.
    pub diff_ids: Vec<Digest>,
    /// Its operating system and architecture.
    pub platform: Option<(String, String)>,
}

/// The part of an image a report is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cover {
    /// The image is another one.
    Nothing,
    /// The images of these platforms, by their places.
    Platforms(Vec<usize>),
    /// One of its platforms, without a name: the report names only the index.
    SomePlatform,
}

impl ScanSubject {
    /// Whether the subject has a unique name.
    #[must_use]
    pub fn has_digest(&self) -> bool {
        !self.digests.is_empty() || !self.diff_ids.is_empty()
    }

    /// All digests it is named by, as people read them.
    #[must_use]
    pub fn words(&self) -> String {
        let all: Vec<String> = self.digests.iter().take(3).map(ToString::to_string).collect();
        match (all.is_empty(), self.diff_ids.last()) {
            (false, _) => all.join(", "),
            (true, Some(layer)) => format!("an image with the last layer {layer}"),
            (true, None) => "no digest".to_owned(),
        }
    }

    /// The matching part of the image.
    #[must_use]
    pub fn cover(&self, facts: &ImageFacts) -> Cover {
        let named = places(facts, |image| {
            let config = image.config_descriptor.as_ref().map(|config| config.digest);
            [Some(image.descriptor.digest), config]
                .into_iter()
                .flatten()
                .any(|digest| self.digests.contains(&digest))
        });
        if !named.is_empty() {
            return Cover::Platforms(named);
        }
        let roots = facts.roots.iter().map(|root| root.digest);
        let indexes = facts.indexes.iter().map(|index| index.descriptor.digest);
        if roots.chain(indexes).any(|digest| self.digests.contains(&digest)) {
            return self.of_index(facts);
        }
        // The same layers are the same files; a tool with a manifest of its own keeps them.
        let same_layers = places(facts, |image| {
            !self.diff_ids.is_empty()
                && image.config.as_ref().is_some_and(|at| at.rootfs.diff_ids == self.diff_ids)
        });
        if same_layers.is_empty() { Cover::Nothing } else { Cover::Platforms(same_layers) }
    }

    fn of_index(&self, facts: &ImageFacts) -> Cover {
        if facts.images.len() == 1 {
            return Cover::Platforms(vec![0]);
        }
        let Some((os, architecture)) = &self.platform else { return Cover::SomePlatform };
        let fitting = places(facts, |image| {
            let platform = image.platform();
            platform.is_some_and(|at| at.os == *os && at.architecture == *architecture)
        });
        // Variants (arm/v6, arm/v7) are not told apart by reports.
        if fitting.len() == 1 { Cover::Platforms(fitting) } else { Cover::SomePlatform }
    }

    /// Adds a digest: alone, behind the `@` of a reference, or in a package URL.
    pub(super) fn add_digest(&mut self, text: &str) {
        let text = text.rsplit('@').next().unwrap_or(text);
        let text = text.split(['?', '#']).next().unwrap_or(text);
        let text = percent_encoding::percent_decode_str(text).decode_utf8_lossy();
        if let Ok(digest) = text.parse()
            && self.digests.len() < DIGESTS_MAX
        {
            self.digests.insert(digest);
        }
    }

    /// Adds the digest of an inflated layer.
    pub(super) fn add_diff_id(&mut self, text: &str) {
        if let Ok(digest) = text.parse()
            && self.diff_ids.len() < DIGESTS_MAX
        {
            self.diff_ids.push(digest);
        }
    }

    /// Sets the platform.
    pub(super) fn set_platform(&mut self, os: &str, architecture: &str) {
        if !os.is_empty() && !architecture.is_empty() {
            self.platform = Some((short(os), short(architecture)));
        }
    }
}

/// The places of the matching images.
fn places(facts: &ImageFacts, is_it: impl Fn(&PlatformImage) -> bool) -> Vec<usize> {
    let images = facts.images.iter().enumerate();
    images.filter(|(_, image)| is_it(image)).map(|(place, _)| place).collect()
}
