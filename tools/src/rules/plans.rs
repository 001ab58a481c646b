//! Rules PLN: the plans, each by itself and against the others.

use std::collections::{BTreeMap, BTreeSet};

use super::identity::id_fault;
use super::listing_texts::{LengthLimits, length};
use super::texts::one_line;
use super::{Check, Findings, OfferView, Rule, Severity, html, urls};
use crate::offer::model::Visibility;

const CERTIFICATIONS_MAX: usize = 100;
/// Share of common word triples, in percent, from which two texts count as copies.
const COPY_PERCENT: usize = 80;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "PLN-001",
        title: "plan IDs have 3 to 50 lowercase letters, digits, `-` and `_`",
        severity: Severity::Error,
        source: "AC-plan-overview; CLI-M",
        why: "The ID can never change once the plan is created.",
        fix: "write 3 to 50 lowercase letters, digits, `-` and `_`, starting with a letter or digit",
        check: Check::Offer(|view, judge| {
            for (place, plan) in view.offer.plans.iter().enumerate() {
                if let Some(fault) = id_fault(plan.id.as_str()) {
                    let message = format!("the plan ID `{}` {fault}", plan.id);
                    judge.error(&format!("plans[{place}].id"), message);
                }
            }
        }),
    },
    Rule {
        id: "PLN-003",
        title: "plan names differ and have 1 to 200 characters, better at most 50",
        severity: Severity::Error,
        source: "AC-plan-listing (200) against PCP (50)",
        why: "Customers choose by the name.",
        fix: "give each plan a name of its own of at most 50 characters",
        check: Check::Offer(|view, judge| {
            let mut names = BTreeSet::new();
            for (place, plan) in view.offer.plans.iter().enumerate() {
                let key = format!("plans[{place}].name");
                length(judge, &key, "the name", &plan.name, LengthLimits::or_narrower(200, 50));
                if !names.insert(plan.name.trim().to_lowercase()) {
                    judge.error(&key, format!("two plans have the name `{}`", plan.name));
                }
            }
        }),
    },
    Rule {
        id: "PLN-004",
        title: "a plan has a plain summary of 1 to 100 and a description of 1 to 3,000 characters",
        severity: Severity::Error,
        source: "AC-plan-listing (3,000) against PCP (2,000)",
        why: "Longer texts are refused; 2,000 passes by all pages.",
        fix: "shorten the summary to 100 and the description to 2,000 characters",
        check: Check::Offer(|view, judge| {
            let texts = view.offer.plans.iter().zip(&view.content.plan_descriptions);
            for (place, (plan, description)) in texts.enumerate() {
                let key = format!("plans[{place}].summary");
                length(judge, &key, "the summary", &plan.summary, LengthLimits::of(100));
                one_line(judge, &key, "the summary", &plan.summary);
                let key = format!("plans[{place}].description");
                length(
                    judge,
                    &key,
                    "the description",
                    description,
                    LengthLimits::or_narrower(3_000, 2_000),
                );
            }
        }),
    },
    Rule {
        id: "PLN-005",
        title: "a plan's text is not a copy of the offer's",
        severity: Severity::Warning,
        source: "PCP",
        why: "The plan's text should say how the plan differs.",
        fix: "describe what this plan has that others have not",
        check: Check::Offer(|view, judge| {
            for (place, text) in view.content.plan_descriptions.iter().enumerate() {
                if is_copy(text, &view.content.description) {
                    let message = "the description repeats the one of the offer";
                    judge.warning(&format!("plans[{place}].description"), message);
                }
            }
        }),
    },
    Rule {
        id: "PLN-006",
        title: "each plan has an image of its own",
        severity: Severity::Error,
        source: "SEED step 3",
        why: "Each published image belongs to exactly one plan.",
        fix: "give each plan its own repository",
        check: Check::Offer(|view, judge| {
            let mut seen = BTreeMap::new();
            for (_, plan, kind) in view.offer.image_plans() {
                let repository = &kind.image.image.repository;
                if let Some(first) = seen.insert(repository, &plan.id) {
                    let message =
                        format!("the plan `{first}` has the repository `{repository}` too");
                    judge.error(&format!("{}.repository", kind.image.key), message);
                }
            }
        }),
    },
    Rule {
        id: "PLN-009",
        title: "there are at most 100 government certifications, each with a name and an address",
        severity: Severity::Error,
        source: "AC-plan-setup",
        why: "Each one is a link that government customers follow.",
        fix: "give each certification a name and an http(s) address",
        check: Check::Offer(certifications),
    },
    Rule {
        id: "PLN-010",
        title: "at least one plan can be found",
        severity: Severity::Warning,
        source: "AC-plan-availability",
        why: "Hidden plans are for tests and special deals; an offer of only them cannot be found.",
        fix: "make one plan visible",
        check: Check::Offer(|view, judge| {
            if view.offer.plans.iter().all(|plan| plan.visibility == Visibility::Hidden) {
                judge.warning("plans", "every plan is hidden");
            }
        }),
    },
];

fn certifications(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    for (place, plan) in view.offer.plans.iter().enumerate() {
        let key = format!("plans[{place}].governmentCertifications");
        let count = plan.government_certifications.len();
        if count > CERTIFICATIONS_MAX {
            let message =
                format!("there are {count} certifications; {CERTIFICATIONS_MAX} is the most");
            judge.error(&key, message);
        }
        for (number, certification) in plan.government_certifications.iter().enumerate() {
            if certification.name.trim().is_empty() {
                judge.error(&format!("{key}[{number}].name"), "the name is empty");
            }
            if let Some(fault) = urls::fault(&certification.url) {
                judge.error(&format!("{key}[{number}].url"), fault);
            }
        }
    }
}

/// Whether most runs of three words of one text stand in the other.
fn is_copy(text: &str, original: &str) -> bool {
    let words = |html: &str| -> Vec<String> {
        html::plain_text(html).split_whitespace().map(str::to_lowercase).collect()
    };
    let (text, original) = (words(text), words(original));
    if text == original {
        return !text.is_empty();
    }
    let known: BTreeSet<&[String]> = original.windows(3).collect();
    let count = text.windows(3).count();
    let common = text.windows(3).filter(|triple| known.contains(triple)).count();
    count > 0 && common * 100 >= count * COPY_PERCENT
}

#[cfg(test)]
mod tests {
    use super::is_copy;

    #[test]
    fn copies_are_found_whatever_their_tags() {
        let offer = "<p>One two three four five six seven eight nine ten.</p>";
        assert!(is_copy("one two three four five six seven eight nine ten.", offer));
        assert!(is_copy("<b>two three four five six seven</b>", offer));
        assert!(!is_copy("one two and something else about this plan alone", offer));
        assert!(!is_copy("", ""));
    }
}
