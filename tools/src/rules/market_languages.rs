//! Rules of languages: the known ones, and every text in all of them.

use std::collections::BTreeSet;

use super::listing_fields::languages;
use super::listing_texts::{LengthLimits, length};
use super::texts::one_line;
use super::{Check, Findings, OfferView, Rule, Severity};
use crate::marketplace::payload::is_language;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "LST-028",
        title: "each language is a known form of code, and stands once",
        severity: Severity::Error,
        source: "AC-offer-listing; PIAC (languageId)",
        why: "The code is part of the ID of each listing; two of one language overwrite each other.",
        fix: "write a code in small letters, as `de-de` or `ja-jp`, and each language once",
        check: Check::Offer(|view, judge| {
            let mut known = BTreeSet::new();
            for texts in languages(view) {
                let (key, language) = (texts.key("language"), texts.language);
                if !is_language(language) {
                    judge.error(&key, format!("`{language}` is no code of a language"));
                } else if !known.insert(language) {
                    judge.error(&key, format!("the listing is in `{language}` twice"));
                }
            }
        }),
    },
    Rule {
        id: "PLN-015",
        title: "plans are translated into languages of the listing, within the lengths of each text",
        severity: Severity::Error,
        source: "AC-plan-listing",
        why: "A text in a language without a listing is seen by nobody.",
        fix: "translate each plan into the languages of `listing.translations`, and shorten its texts",
        check: Check::Offer(plans),
    },
];

fn plans(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    let languages = languages(view);
    let others: BTreeSet<&str> = languages.iter().skip(1).map(|texts| texts.language).collect();
    let descriptions = view.content.plan_translations.iter();
    for (place, (plan, descriptions)) in view.offer.plans.iter().zip(descriptions).enumerate() {
        let mut known = BTreeSet::new();
        for (number, (at, description)) in plan.translations.iter().zip(descriptions).enumerate() {
            let key = |name: &str| format!("plans[{place}].translations[{number}].{name}");
            if !others.contains(at.language.as_str()) {
                let message = format!("the listing has no translation into `{}`", at.language);
                judge.error(&key("language"), message);
            } else if !known.insert(at.language.as_str()) {
                let message = format!("the plan is in `{}` twice", at.language);
                judge.error(&key("language"), message);
            }
            length(judge, &key("name"), "the name", &at.name, LengthLimits::or_narrower(200, 50));
            length(judge, &key("summary"), "the summary", &at.summary, LengthLimits::of(100));
            one_line(judge, &key("summary"), "the summary", &at.summary);
            let limits = LengthLimits::or_narrower(3_000, 2_000);
            length(judge, &key("description"), "the description", description, limits);
        }
        if plan.translations.is_empty() {
            continue;
        }
        for language in others.difference(&known) {
            let message = format!("the plan is translated, but not into `{language}`");
            judge.warning(&format!("plans[{place}].translations"), message);
        }
    }
}
