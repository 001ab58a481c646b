//! The rules of the marketplace: each has its text, its source, its fix and its check. A rule and
//! its check stand together, so the catalogue lists exactly the rules in force.
//!
//! Invariant: checks only look. They read no file and no network, only the views given to them, so
//! a run over the same input gives the same findings.

mod application;
mod application_manifest;
mod application_template;
mod application_ui;
mod chart;
mod chart_images;
mod chart_rendered;
mod chart_runtime;
mod chart_shared;
mod claims;
mod deployment;
mod end_of_life;
pub mod evidence;
pub mod finding;
mod findings;
pub mod html;
mod identity;
pub mod image;
mod image_claims;
mod image_config;
mod image_content;
mod image_files;
mod image_machine;
mod image_origin;
mod image_packages;
mod image_runtime;
mod image_secrets;
mod image_start;
mod image_supply;
mod libraries;
mod listing;
mod listing_fields;
mod listing_names;
mod listing_pictures;
mod listing_texts;
mod market;
mod market_languages;
mod market_payload;
mod market_plans;
mod markup;
mod networks;
mod plans;
mod published;
mod published_tree;
pub(crate) mod registry;
mod registry_state;
mod resources;
mod roots;
mod rule;
mod secret_files;
mod severity;
mod start;
mod tags;
mod texts;
pub mod urls;
mod view;
mod vulnerabilities;
pub mod waiving;

use std::collections::BTreeMap;

use wharf_oci::Digest;

use self::evidence::Evidence;
pub use self::finding::{
    AffectedPackage, AppliedWaiver, Finding, Gap, Judgement, NamedPlace, Outcome, Place, Section,
    Subject,
};
use self::findings::FindingScope;
pub use self::findings::{Findings, Site};
pub use self::rule::{Check, Rule};
pub use self::severity::{Profile, Severity};
pub use self::view::{ImageView, OfferView, WaiverView};
use crate::image::facts::ImageFacts;
use crate::offer::OfferFile;
use crate::offer::content::Content;

/// Every rule, in the order of the catalogue.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    [
        identity::RULES,
        market::RULES,
        listing_texts::RULES,
        listing::RULES,
        listing_pictures::RULES,
        listing_names::RULES,
        texts::RULES,
        market_languages::RULES,
        plans::RULES,
        chart_images::RULES,
        chart::RULES,
        chart_rendered::RULES,
        chart_runtime::RULES,
        market_plans::RULES,
        market_payload::RULES,
        registry::RULES,
        registry_state::RULES,
        published::RULES,
        published_tree::RULES,
        tags::RULES,
        image_content::RULES,
        image_config::RULES,
        image_origin::RULES,
        image_runtime::RULES,
        image_start::RULES,
        image_machine::RULES,
        image_files::RULES,
        image_secrets::RULES,
        image_packages::RULES,
        image_claims::RULES,
        image_supply::RULES,
        vulnerabilities::RULES,
        waiving::RULES,
        resources::RULES,
        application::RULES,
        application_manifest::RULES,
        application_template::RULES,
        application_ui::RULES,
        deployment::RULES,
    ]
    .into_iter()
    .flatten()
}

/// The rule with this ID, in any case.
#[must_use]
pub fn find(id: &str) -> Option<&'static Rule> {
    all().find(|rule| rule.id.eq_ignore_ascii_case(id))
}

/// The findings of the offer rules, in the order of the catalogue.
#[must_use]
pub fn judge_offer(
    file: &OfferFile,
    content: &Content,
    evidence: &Evidence,
    profile: Profile,
) -> Judgement {
    let view = OfferView { file, offer: &file.offer, content, evidence };
    let mut judgement = Judgement::default();
    for rule in all() {
        if let Check::Offer(check) = rule.check {
            let mut judge = rule.judge(profile, FindingScope::Offer(file));
            check(&view, &mut judge);
            judgement.join(judge.finish());
        }
    }
    judgement
}

/// The findings of the image rules. `offer` is the file with the place of the image among its
/// images.
#[must_use]
pub fn judge_image(
    facts: &ImageFacts,
    offer: Option<(&OfferFile, usize)>,
    evidence: &Evidence,
    profile: Profile,
) -> Judgement {
    let plan = offer.and_then(|(file, place)| file.image(place));
    let view = ImageView { facts, plan, evidence };
    let scope = FindingScope::Image { location: &facts.location, offer };
    let mut judgement = Judgement::default();
    for rule in all() {
        if let Check::Image(check) = rule.check {
            let mut judge = rule.judge(profile, scope);
            check(&view, &mut judge);
            judgement.join(judge.finish());
        }
    }
    judgement
}

/// The findings of PLN-006 between images: a manifest shared by two plans. Each image comes with
/// its place among those of the offer, if it has one.
#[must_use]
pub fn judge_difference(file: &OfferFile, images: &[(Option<usize>, ImageFacts)]) -> Judgement {
    let Some(rule) = find("PLN-006") else { return Judgement::default() };
    let mut judge = rule.judge(Profile::Strict, FindingScope::Offer(file));
    let mut owners: BTreeMap<Digest, usize> = BTreeMap::new();
    for (place, facts) in images {
        let Some(place) = *place else { continue };
        for image in &facts.images {
            let digest = image.descriptor.digest;
            let owner = *owners.entry(digest).or_insert(place);
            let (Some(at), Some(other)) = (file.image(place), file.image(owner)) else { continue };
            // Plans of images are sold by their images; charts may share images.
            if owner != place && at.name.is_none() && other.name.is_none() {
                let message = format!("the plan `{}` has the image {digest} too", other.id);
                judge.error(&at.key, message);
            }
        }
    }
    judge.finish()
}

/// The findings of IMG-048 between texts and images. Each image comes with its place among those of
/// the offer.
#[must_use]
pub fn judge_claims(
    file: &OfferFile,
    content: &Content,
    images: &[(Option<usize>, ImageFacts)],
) -> Judgement {
    let Some(rule) = find(image_claims::ID) else { return Judgement::default() };
    let mut judge = rule.judge(Profile::Strict, FindingScope::Offer(file));
    image_claims::compare(file, content, images, &mut judge);
    judge.finish()
}

/// The findings of TEC-017 between images and the ledger: a live version tag with another digest.
/// Each image comes with its place among those of the offer.
#[must_use]
pub fn judge_published(
    file: &OfferFile,
    evidence: &Evidence,
    images: &[(Option<usize>, ImageFacts)],
) -> Judgement {
    let (Some(rule), Some(published)) = (find(tags::MOVED_ID), &evidence.published) else {
        return Judgement::default();
    };
    let mut judge = rule.judge(Profile::Strict, FindingScope::Offer(file));
    published::moved_tags(file, &published.state, images, &mut judge);
    judge.finish()
}

/// The findings about scanner reports that belong to none of the images.
#[must_use]
pub fn judge_scans(
    evidence: &Evidence,
    images: &[(Option<usize>, ImageFacts)],
    profile: Profile,
) -> Judgement {
    let facts: Vec<&ImageFacts> = images.iter().map(|(_, facts)| facts).collect();
    let mut judgement = Judgement::default();
    for scan in &evidence.scans {
        for (id, check) in vulnerabilities::GIVEN {
            let Some(rule) = find(id) else { continue };
            let mut judge = rule.judge(profile, FindingScope::Given(&scan.file));
            judge.not_applicable();
            check(scan, &facts, &mut judge);
            judgement.join(judge.finish());
        }
    }
    judgement
}

#[cfg(test)]
mod application_tests;
#[cfg(test)]
mod file_fixture;
#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod image_fixture;
#[cfg(test)]
mod image_tests;
#[cfg(test)]
mod tests;
