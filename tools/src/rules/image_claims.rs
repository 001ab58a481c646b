//! IMG-048: whether the texts of an offer agree with its images. It is about all images together,
//! because the offer's own texts are true when one of them keeps them.

use std::collections::BTreeSet;

use super::claims::{Claims, claims};
use super::html::plain_text;
use super::{Check, Findings, Rule, Severity};
use crate::image::facts::ImageFacts;
use crate::offer::OfferFile;
use crate::offer::content::Content;
use crate::offer::values::ExposedPort;

pub(super) const ID: &str = "IMG-048";

pub(super) const RULES: &[Rule] = &[Rule {
    id: ID,
    title: "ports, platforms and versions in the texts are those of the images",
    severity: Severity::Warning,
    source: "policy 100.1 (accurate description); INFERENCE",
    why: "Customers configure by the text, and reviewers compare.",
    fix: "correct the text, or expose the port and build the platform",
    check: Check::Offer(|_, judge| judge.not_applicable()),
}];

/// The properties of one plan's images.
#[derive(Default)]
struct Has {
    ports: BTreeSet<u16>,
    architectures: BTreeSet<String>,
    version: String,
}

/// Compares every text with the images of its plan, and the offer's own texts with all of them. An
/// offer with missing images gets no findings.
pub(super) fn compare(
    file: &OfferFile,
    content: &Content,
    images: &[(Option<usize>, ImageFacts)],
    judge: &mut Findings<'_>,
) {
    let offer = &file.offer;
    let title = offer.listing.title.as_str();
    let mut plans = Vec::new();
    for (place, plan) in offer.plans.iter().enumerate() {
        let of_plan = images.iter().filter_map(|(of, facts)| {
            let image = file.image((*of)?).filter(|image| image.plan == place)?;
            let is_readable = !facts.images.is_empty();
            is_readable.then(|| has(facts, image.image.version.as_str()))
        });
        let of_plan: Vec<Has> = of_plan.collect();
        let whose = match of_plan.len() {
            0 => continue,
            1 => "the plan's image",
            _ => "no image of the plan",
        };
        let all: Vec<&Has> = of_plan.iter().collect();
        let names = [title, plan.name.as_str()];
        let description = content.plan_descriptions.get(place).map(String::as_str);
        for (key, text) in
            [("summary", plan.summary.as_str()), ("description", description.unwrap_or_default())]
        {
            let claims = claims(&plain_text(text), &names);
            differ(judge, &format!("plans[{place}].{key}"), &claims, &all, whose);
        }
        plans.extend(of_plan);
    }
    if plans.is_empty() {
        return judge.not_applicable();
    }
    if plans.len() < offer.plans.len() {
        return;
    }
    let all: Vec<&Has> = plans.iter().collect();
    let listing = &offer.listing;
    for (key, text) in [
        ("listing.searchSummary", listing.search_summary.as_str()),
        ("listing.shortDescription", listing.short_description.as_str()),
        ("listing.description", content.description.as_str()),
    ] {
        differ(judge, key, &claims(&plain_text(text), &[title]), &all, "no image of the offer");
    }
}

fn has(facts: &ImageFacts, version: &str) -> Has {
    let configs = || facts.images.iter().filter_map(|image| image.config.as_ref());
    let ports = configs().flat_map(|config| config.config.exposed_ports.keys());
    Has {
        ports: ports.filter_map(|at| at.parse::<ExposedPort>().ok()).map(|at| at.number).collect(),
        architectures: configs().map(|config| config.architecture.clone()).collect(),
        version: version.to_owned(),
    }
}

fn differ(judge: &mut Findings<'_>, key: &str, claims: &Claims, images: &[&Has], whose: &str) {
    let none = whose.starts_with("no ");
    for port in &claims.ports {
        if !images.iter().any(|image| image.ports.contains(port)) {
            let what = if none { "exposes it" } else { "does not expose it" };
            judge.warning(key, format!("the text says port {port}; {whose} {what}"));
        }
    }
    for (architecture, word) in &claims.architectures {
        if !images.iter().any(|image| image.architectures.contains(*architecture)) {
            let what = if none { "is for it" } else { "is not for it" };
            judge.warning(key, format!("the text says {word}; {whose} {what}"));
        }
    }
    for version in &claims.versions {
        let same = |image: &&Has| {
            image.version == *version
                || image
                    .version
                    .strip_prefix(version.as_str())
                    .is_some_and(|at| at.starts_with('.'))
        };
        if !images.iter().any(same) {
            let what = if none { "has it" } else { "has another" };
            judge.warning(key, format!("the text says version {version}; {whose} {what}"));
        }
    }
}
