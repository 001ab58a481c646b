//! The images of a report: a line for each verified platform.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::image::facts::{ImageFacts, PlatformImage, Weight};

/// The proof of an image's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Proof {
    /// Every one is as its digest says, compressed and inflated.
    Proven,
    /// The same, except for layers that were not inflated.
    NotProven,
    /// Some are missing, or others than they should be.
    Damaged,
}

/// A verified image.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageSummary {
    /// The plan, when an offer is at hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    pub location: String,
    /// The platform, or the digest when it is not known.
    pub platform: String,
    pub digest: String,
    /// How many layers it has.
    pub layers: usize,
    /// Bytes a registry stores.
    pub stored_bytes: u64,
    /// Whether every byte is proven to fit its digest.
    pub intact: bool,
    /// The same in three words.
    pub proof: Proof,
}

/// The platforms of an image as lines of a report.
#[must_use]
pub fn summarise(facts: &ImageFacts, plan: Option<&str>) -> Vec<ImageSummary> {
    let with = |weight| {
        let faults = facts.faults.iter().filter(move |fault| fault.kind.weight() == weight);
        faults.map(|fault| fault.digest).collect::<BTreeSet<_>>()
    };
    let (damaged, unproven) = (with(Weight::Damage), with(Weight::Unproven));
    let proof = |image: &PlatformImage| {
        let config = image.config_descriptor.iter().map(|at| at.digest);
        let layers = image.layers.iter().map(|layer| layer.descriptor.digest);
        let digests: Vec<_> = config.chain(layers).chain([image.descriptor.digest]).collect();
        let is_unread = image.config.is_some()
            && image.layers.iter().any(|layer| layer.uncompressed_bytes.is_none());
        if digests.iter().any(|digest| damaged.contains(digest)) {
            Proof::Damaged
        } else if is_unread || digests.iter().any(|digest| unproven.contains(digest)) {
            Proof::NotProven
        } else {
            Proof::Proven
        }
    };
    let line = |image: &PlatformImage| ImageSummary {
        plan: plan.map(ToOwned::to_owned),
        location: facts.location.clone(),
        platform: image.name(),
        digest: image.descriptor.digest.to_string(),
        layers: image.layers.len(),
        stored_bytes: image.stored_bytes(),
        intact: proof(image) == Proof::Proven,
        proof: proof(image),
    };
    facts.images.iter().map(line).collect()
}
