//! Rules LST-026 and LST-027: characters and secrets banned from every text of an offer. A test
//! holds the list of these texts against the types of the offer.

mod lines;

use std::collections::BTreeMap;

use unicode_normalization::is_nfc;

use self::lines::lines;
use super::html::{self, HtmlPiece};
use super::{Check, Findings, OfferView, Rule, Severity};
use crate::characters::{self, breaks_line, is_hidden};
use crate::offer::audience::AudienceRow;
use crate::offer::model::PlanImage;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "LST-026",
        title: "texts of one line are one plain line",
        severity: Severity::Error,
        source: "AC-offer-listing; INFERENCE",
        why: "Names, titles and captions are shown as they stand; hidden characters make one name look \
              like another.",
        fix: "write plain words on one line, and remove tags and characters that nobody sees",
        check: Check::Offer(|view, judge| {
            for (key, what, text) in lines(view) {
                one_line(judge, &key, what, text);
            }
            let plans = view.content.audience_tables.iter();
            let plans = plans.map(|(place, table)| (format!("plans[{place}].audience.csv"), table));
            let preview = view.content.preview_table.iter();
            for (key, table) in preview.map(|table| ("preview.csv".to_owned(), table)).chain(plans)
            {
                for AudienceRow { line, description, .. } in &table.rows {
                    one_line(judge, &key, &format!("the description in line {line}"), description);
                }
            }
        }),
    },
    Rule {
        id: "LST-027",
        title: "longer texts hold no characters that nobody sees, and plain ones no HTML",
        severity: Severity::Error,
        source: "AC-offer-listing; INFERENCE",
        why: "What people read must be what stands there.",
        fix: "remove the characters and tags; save the file as UTF-8 without a byte order mark",
        check: Check::Offer(longer),
    },
];

/// Judges whether a text is one plain line. Whether it is missing is for the rule of its field.
pub(super) fn one_line(judge: &mut Findings<'_>, key: &str, what: &str, text: &str) {
    if text.chars().any(breaks_line) {
        judge.error(key, format!("{what} has a line break"));
    }
    if let Some(c) = hidden(text, breaks_line) {
        judge.error(key, format!("{what} holds {}", characters::name(c)));
    }
    if let Some(found) = html::markup(text) {
        judge.error(key, format!("{what} holds HTML: {found}"));
    }
    let is_shown = |c: char| !c.is_whitespace() && !is_hidden(c);
    if !text.trim().is_empty() && !text.chars().any(is_shown) {
        judge.error(key, format!("{what} shows nothing"));
    } else if text.trim() != text && !text.trim().is_empty() {
        judge.warning(key, format!("{what} starts or ends with a space"));
    }
    if !is_nfc(text) {
        let message = format!("{what} is not in normal form C: it may be cut or not be found");
        judge.warning(key, message);
    }
}

fn longer(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    let content = view.content;
    let plain = [
        ("legal.terms", "the terms", &content.terms),
        ("certificationNotes", "the certification notes", &content.certification_notes),
    ];
    for (key, what, text) in plain {
        let Some(text) = text else { continue };
        visible(judge, key, what, text);
        if let Some(found) = html::markup(text) {
            judge.error(key, format!("{what} hold HTML: {found}"));
        }
    }
    for (key, text) in super::listing_fields::descriptions(view) {
        for placed in html::pieces(text) {
            match placed.piece {
                HtmlPiece::Text(shown) => visible(judge, &key, "the description", &shown),
                HtmlPiece::Open(tag) => {
                    for (name, value) in &tag.attributes {
                        visible(judge, &key, &format!("the attribute {name}"), value);
                    }
                }
                HtmlPiece::Close(_) | HtmlPiece::Unseen(_) | HtmlPiece::Fault(_) => {}
            }
        }
    }
    for PlanImage { image, key: at, .. } in view.offer.images() {
        let maps: [(&str, &str, &BTreeMap<String, String>); 2] = [
            ("annotations", "the annotation", &image.annotations),
            ("config.labels", "the label", &image.config.labels),
        ];
        for (map, what, values) in maps {
            for (name, value) in values {
                let key = format!("{at}.{map}.{name}");
                visible(judge, &key, what, value);
                visible(judge, &key, "the name of it", name);
            }
        }
    }
}

/// Judges whether everything in a text of several lines is seen, or is a line break or a tab.
fn visible(judge: &mut Findings<'_>, key: &str, what: &str, text: &str) {
    if let Some(c) = hidden(text, |c| matches!(c, '\n' | '\r' | '\t')) {
        judge.error(key, format!("{what}: there is {}", characters::name(c)));
    }
}

/// The first invisible character, but for the allowed ones and the joiners of letters.
fn hidden(text: &str, allowed: fn(char) -> bool) -> Option<char> {
    let mut before = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let joins = matches!(c, '\u{200c}' | '\u{200d}')
            && before.is_some_and(is_joined)
            && rest.peek().copied().is_some_and(is_joined);
        if is_hidden(c) && !allowed(c) && !joins {
            return Some(c);
        }
        before = Some(c);
    }
    None
}

/// Letters and pictures that need a joiner between them: Arabic, Syriac, the scripts of India, and
/// pictures made of several.
fn is_joined(c: char) -> bool {
    matches!(u32::from(c), 0x600..=0xdff | 0x1f000..=0x1faff | 0x2600..=0x27bf | 0xfe0f)
}

#[cfg(test)]
mod tests;
