//! Rules LST-001 to LST-008: the texts of the listing.

use super::listing_fields::{descriptions, languages};
use super::texts::one_line;
use super::{Check, Findings, Rule, Severity, html, markup};
use crate::characters::is_emoji;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "LST-001",
        title: "the title has 1 to 200 characters, better at most 50",
        severity: Severity::Error,
        source: "PLAN (200) against AC-offer-listing, PCP, LIST (50)",
        why: "Pages contradict each other; 50 passes by all of them.",
        fix: "shorten the title to 50 characters",
        check: Check::Offer(|view, judge| {
            for texts in languages(view) {
                length(
                    judge,
                    &texts.key("title"),
                    "the title",
                    texts.title,
                    LengthLimits::or_narrower(200, 50),
                );
            }
        }),
    },
    Rule {
        id: "LST-002",
        title: "the title has no emoji",
        severity: Severity::Error,
        source: "AC-offer-listing; PLAN",
        why: "Only the marks ™, ® and © are allowed besides ordinary characters.",
        fix: "remove the emoji",
        check: Check::Offer(|view, judge| {
            for texts in languages(view) {
                if let Some(found) = texts.title.chars().find(|c| is_emoji(*c)) {
                    judge.error(&texts.key("title"), format!("the title holds {found:?}"));
                }
            }
        }),
    },
    Rule {
        id: "LST-003",
        title: "the search summary is one plain line of 1 to 100 characters",
        severity: Severity::Error,
        source: "PLAN; policy 100.1.2",
        why: "It stands under the title in search results.",
        fix: "write one sentence of at most 100 characters, without HTML",
        check: Check::Offer(|view, judge| {
            for texts in languages(view) {
                let (key, text) = (texts.key("searchSummary"), texts.search_summary);
                length(judge, &key, "the search summary", text, LengthLimits::of(100));
                one_line(judge, &key, "the search summary", text);
            }
        }),
    },
    Rule {
        id: "LST-004",
        title: "the short description is one plain line of 1 to 256 characters",
        severity: Severity::Error,
        source: "AC-offer-listing; PLAN",
        why: "Line breaks and HTML are shown as they stand.",
        fix: "write at most 256 characters, without line breaks and HTML",
        check: Check::Offer(|view, judge| {
            for texts in languages(view) {
                let (key, text) = (texts.key("shortDescription"), texts.short_description);
                length(judge, &key, "the short description", text, LengthLimits::of(256));
                one_line(judge, &key, "the short description", text);
            }
        }),
    },
    Rule {
        id: "LST-005",
        title: "the description has 1 to 5,000 characters, better at most 3,000, tags included",
        severity: Severity::Error,
        source: "INC-long-description-1, PLAN (5,000) against CPP-marketplace-tab, LIST (3,000)",
        why: "Pages contradict each other; 3,000 passes by all of them.",
        fix: "shorten the description to 3,000 characters",
        check: Check::Offer(|view, judge| {
            for texts in languages(view) {
                let limits = LengthLimits::or_narrower(5_000, 3_000);
                let key = texts.key("description");
                length(judge, &key, "the description", texts.description, limits);
            }
        }),
    },
    Rule {
        id: "LST-006",
        title: "descriptions use only allowed tags and attributes, each closed in order",
        severity: Severity::Warning,
        source: "INC-long-description-3; PIAC",
        why: "Other tags are removed, and unclosed ones spoil the page.",
        fix: "keep to p, br, b, i, ul, ol, li, h1 to h6 and div without attributes, and close each",
        check: Check::Offer(|view, judge| {
            for (key, html) in descriptions(view) {
                markup::allowed(judge, &key, html);
            }
        }),
    },
    Rule {
        id: "LST-007",
        title: "descriptions run nothing and load nothing",
        severity: Severity::Error,
        source: "INFERENCE from INC-long-description-3",
        why: "Scripts, styles, frames, event handlers and outside pictures are attacks to a filter.",
        fix: "remove the tag or the attribute; pictures go into `screenshots`",
        check: Check::Offer(|view, judge| {
            for (key, html) in descriptions(view) {
                markup::inactive(judge, &key, html);
            }
        }),
    },
    Rule {
        id: "LST-008",
        title: "a description that is not English says so first",
        severity: Severity::Warning,
        source: "AC-offer-listing",
        why: "Listings in other languages must start with a fixed English sentence.",
        fix: "start with: This application is available only in [non-English language].",
        check: Check::Offer(|view, judge| {
            for texts in languages(view).into_iter().filter(|texts| !texts.is_english()) {
                let text = html::plain_text(texts.description);
                if !text.trim_start().starts_with("This application is available only in ") {
                    let language = texts.language;
                    let message =
                        format!("the language is {language}, and the first sentence is missing");
                    judge.warning(&texts.key("description"), message);
                }
            }
        }),
    },
];

/// The most characters of a text.
#[derive(Clone, Copy)]
pub(super) struct LengthLimits {
    /// By any page.
    most: usize,
    /// By the narrower page, where the pages differ.
    narrower: Option<usize>,
}

impl LengthLimits {
    pub(super) const fn of(most: usize) -> Self {
        Self { most, narrower: None }
    }

    pub(super) const fn or_narrower(most: usize, narrower: usize) -> Self {
        Self { most, narrower: Some(narrower) }
    }
}

/// Judges how many characters a text has.
pub(super) fn length(
    judge: &mut Findings<'_>,
    key: &str,
    what: &str,
    text: &str,
    LengthLimits { most, narrower }: LengthLimits,
) {
    let count = text.chars().count();
    if text.trim().is_empty() {
        judge.error(key, format!("{what} is empty"));
    } else if count > most {
        judge.error(key, format!("{what} has {count} characters; {most} is the most"));
    } else if let Some(narrower) = narrower.filter(|narrower| count > *narrower) {
        let message = format!("{what} has {count} characters; some pages allow only {narrower}");
        judge.narrow(key, message);
    }
}
