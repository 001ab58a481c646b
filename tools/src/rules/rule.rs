//! What a rule is: its texts, how much it weighs, and its check.

use super::findings::{FindingScope, Findings};
use super::severity::{Profile, Severity};
use super::view::{ImageView, OfferView, WaiverView};

pub struct Rule {
    /// Its name for good: never renumbered, never used again.
    pub id: &'static str,
    /// The requirement, in a few words.
    pub title: &'static str,
    /// The highest severity of its findings.
    pub severity: Severity,
    /// Where it is written: keys and pages of Microsoft's documentation, or INFERENCE.
    pub source: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// The advice for a finding.
    pub fix: &'static str,
    pub check: Check,
}

impl Rule {
    /// Takes what the check of this rule finds.
    pub(super) fn judge<'a>(&self, profile: Profile, scope: FindingScope<'a>) -> Findings<'a> {
        Findings::new(profile, self.id, self.severity, self.fix, scope)
    }
}

/// A check, by its input.
pub enum Check {
    /// The offer file.
    Offer(fn(&OfferView<'_>, &mut Findings<'_>)),
    /// One image.
    Image(fn(&ImageView<'_>, &mut Findings<'_>)),
    /// The waivers.
    Waivers(fn(&WaiverView<'_>, &mut Findings<'_>)),
}
