//! The rules of the marketplace: what each says, where that is written, how to satisfy it, and the
//! check itself. A rule and its check stand together, so the catalogue lists exactly what is checked.
//!
//! Invariant: checks only look. They read no file and no network; what they need is in the views
//! that they get, so a run over the same input gives the same findings.

pub mod html;
mod identity;
pub mod image;
mod image_config;
mod image_content;
mod listing;
mod listing_pictures;
mod listing_texts;
mod plans;
mod registry;
pub mod report;
pub mod report_formats;
mod resources;
mod secret_patterns;
mod tags;
pub mod urls;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;
use wharf_oci::Digest;

use crate::image::facts::ImageFacts;
use crate::offer::OfferFile;
use crate::offer::content::Content;
use crate::offer::model::{Offer, Plan};

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// May be refused, or could be better
    Warning,
    /// Will be refused, or breaks customers
    Error,
}

impl Severity {
    /// The word that people and reports read.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Which value counts where Microsoft's pages contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// Warn by the narrower value, fail by the wider one
    Strict,
    /// Only the wider value counts
    Lenient,
}

/// A rule.
pub struct Rule {
    /// Its name for good: never renumbered, never used again.
    pub id: &'static str,
    /// What must hold, in a few words.
    pub title: &'static str,
    /// The most that a finding of it weighs.
    pub severity: Severity,
    /// Where it is written: keys and pages of Microsoft's documentation, or INFERENCE.
    pub source: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// What to do about a finding.
    pub fix: &'static str,
    /// The check.
    pub check: Check,
}

/// A check, by what it looks at.
pub enum Check {
    /// The offer file.
    Offer(fn(&OfferView<'_>, &mut Judge<'_>)),
    /// One image.
    Image(fn(&ImageView<'_>, &mut Judge<'_>)),
}

/// What an offer rule looks at.
pub struct OfferView<'a> {
    /// The file with its places.
    pub file: &'a OfferFile,
    /// What it says.
    pub offer: &'a Offer,
    /// Its texts and pictures.
    pub content: &'a Content,
}

/// What an image rule looks at.
pub struct ImageView<'a> {
    /// The image.
    pub facts: &'a ImageFacts,
    /// The plan that it belongs to, if an offer is at hand.
    pub plan: Option<&'a Plan>,
}

/// Something that a rule found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The rule.
    pub rule: &'static str,
    /// What it weighs.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// Whether the rule could not be decided: neither kept nor broken.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub not_proven: bool,
    /// What to do.
    pub fix: &'static str,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
}

/// Where a finding is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The offer file, or the layout when there is no offer.
    pub file: PathBuf,
    /// The line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// The key (`plans[0].name`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The image, when the finding is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// Takes the findings of one rule at a time.
pub struct Judge<'a> {
    profile: Profile,
    rule: &'static Rule,
    scope: Scope<'a>,
    findings: Vec<Finding>,
}

/// What the places of findings are relative to.
#[derive(Clone, Copy)]
enum Scope<'a> {
    Offer(&'a OfferFile),
    /// An image; with the offer and the key of its plan when they are known.
    Image {
        location: &'a str,
        offer: Option<(&'a OfferFile, usize)>,
    },
}

impl Judge<'_> {
    /// Something that will be refused; `key` is its path in the offer.
    pub fn error(&mut self, key: &str, message: impl Into<String>) {
        self.add(Severity::Error, key, message.into());
    }

    /// Something that may be refused.
    pub fn warning(&mut self, key: &str, message: impl Into<String>) {
        self.add(Severity::Warning, key, message.into());
    }

    /// Something that only the narrower of two contradicting pages refuses.
    pub fn narrow(&mut self, key: &str, message: impl Into<String>) {
        if self.profile == Profile::Strict {
            self.add(Severity::Warning, key, message.into());
        }
    }

    /// Something that could not be decided.
    pub fn not_proven(&mut self, key: &str, message: impl Into<String>) {
        self.add(Severity::Warning, key, message.into());
        if let Some(finding) = self.findings.last_mut() {
            finding.not_proven = true;
        }
    }

    fn add(&mut self, severity: Severity, key: &str, message: String) {
        let place = match self.scope {
            Scope::Offer(file) => place_of(file, key, None),
            Scope::Image { location, offer: Some((file, plan)) } => {
                let key =
                    format!("plans[{plan}].image{}{key}", if key.is_empty() { "" } else { "." });
                place_of(file, &key, Some(location.to_owned()))
            }
            Scope::Image { location, offer: None } => Place {
                file: PathBuf::from(location),
                line: None,
                column: None,
                key: None,
                image: Some(location.to_owned()),
            },
        };
        let Rule { id, fix, .. } = self.rule;
        let not_proven = false;
        self.findings.push(Finding { rule: id, severity, message, not_proven, fix, place });
    }
}

fn place_of(file: &OfferFile, key: &str, image: Option<String>) -> Place {
    let spot = file.spot(key);
    Place {
        file: file.path().to_owned(),
        line: Some(spot.line),
        column: Some(spot.column),
        key: Some(key.to_owned()),
        image,
    }
}

/// Every rule, in the order of the catalogue.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    [
        identity::RULES,
        listing_texts::RULES,
        listing::RULES,
        listing_pictures::RULES,
        plans::RULES,
        registry::RULES,
        tags::RULES,
        image_content::RULES,
        image_config::RULES,
        resources::RULES,
    ]
    .into_iter()
    .flatten()
}

/// The rule with this ID, in any case.
#[must_use]
pub fn find(id: &str) -> Option<&'static Rule> {
    all().find(|rule| rule.id.eq_ignore_ascii_case(id))
}

/// What the offer rules find, in the order of the catalogue.
#[must_use]
pub fn judge_offer(file: &OfferFile, content: &Content, profile: Profile) -> Vec<Finding> {
    let view = OfferView { file, offer: &file.offer, content };
    run(profile, Scope::Offer(file), |check, judge| {
        if let Check::Offer(check) = check {
            check(&view, judge);
        }
    })
}

/// What the image rules find. `offer` is the file with the place of the image's plan in it.
#[must_use]
pub fn judge_image(
    facts: &ImageFacts,
    offer: Option<(&OfferFile, usize)>,
    profile: Profile,
) -> Vec<Finding> {
    let plan = offer.and_then(|(file, place)| file.offer.plans.get(place));
    let view = ImageView { facts, plan };
    let scope = Scope::Image { location: &facts.location, offer };
    run(profile, scope, |check, judge| {
        if let Check::Image(check) = check {
            check(&view, judge);
        }
    })
}

/// What PLN-006 finds between images: a manifest that two plans share. Each image comes with the
/// place of its plan, if it has one.
#[must_use]
pub fn judge_difference(file: &OfferFile, images: &[(Option<usize>, ImageFacts)]) -> Vec<Finding> {
    let Some(rule) = find("PLN-006") else { return Vec::new() };
    let scope = Scope::Offer(file);
    let mut judge = Judge { profile: Profile::Strict, rule, scope, findings: Vec::new() };
    let mut owners: BTreeMap<Digest, usize> = BTreeMap::new();
    for (place, facts) in images {
        let Some(place) = *place else { continue };
        for image in &facts.images {
            let digest = image.descriptor.digest;
            let owner = *owners.entry(digest).or_insert(place);
            if let Some(other) = file.offer.plans.get(owner).filter(|_| owner != place) {
                let message = format!("the plan `{}` has the image {digest} too", other.id);
                judge.error(&format!("plans[{place}].image"), message);
            }
        }
    }
    judge.findings
}

fn run(profile: Profile, scope: Scope<'_>, check: impl Fn(&Check, &mut Judge<'_>)) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in all() {
        let mut judge = Judge { profile, rule, scope, findings };
        check(&rule.check, &mut judge);
        findings = judge.findings;
    }
    findings
}

#[cfg(test)]
mod image_tests;
#[cfg(test)]
mod tests;
