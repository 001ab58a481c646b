//! What checks look at.

use super::evidence::Evidence;
use crate::image::facts::ImageFacts;
use crate::offer::OfferFile;
use crate::offer::content::Content;
use crate::offer::model::{Offer, PlanImage};
use crate::waivers::{Waiver, WaiverFile};

/// The input of an offer rule.
pub struct OfferView<'a> {
    /// The file with its places.
    pub file: &'a OfferFile,
    pub offer: &'a Offer,
    /// Its texts and pictures.
    pub content: &'a Content,
    /// The input given besides the offer.
    pub evidence: &'a Evidence,
}

/// The input of an image rule.
pub struct ImageView<'a> {
    pub facts: &'a ImageFacts,
    /// The image's entry in the offer, if an offer is at hand.
    pub plan: Option<&'a PlanImage>,
    /// The input given besides the image.
    pub evidence: &'a Evidence,
}

/// The input of the rules about waivers.
pub struct WaiverView<'a> {
    pub(super) file: &'a WaiverFile,
    pub(super) fates: Vec<Fate>,
}

impl WaiverView<'_> {
    pub(super) fn waivers(&self) -> impl Iterator<Item = (&Waiver, Fate)> {
        self.file.waivers.iter().zip(self.fates.iter().copied())
    }
}

/// The outcome of a waiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Used,
    Unused,
    /// Its rule was not looked at in this run.
    Unknown,
    Expired,
    /// The waiver does not count: the reason, and the key at fault below the waiver.
    Refused(&'static str, &'static str),
}
