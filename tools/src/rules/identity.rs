//! Rules OFR: the offer's identity, the audience of its preview, its terms and its place in the
//! marketplace.

use super::{Check, Findings, OfferView, Rule, Severity, published, urls};
use crate::offer::model::KubernetesPlan;
use crate::offer::texts::Terms;
use crate::published::ContradictionTopic;

/// Longest text of own terms, in characters.
const TERMS_CHARS_MAX: usize = 10_000;
/// Preview subscriptions the form takes by hand, and by file.
const PREVIEW_BY_HAND_MAX: usize = 10;
const PREVIEW_MAX: usize = 100;
/// Plans of an offer, and private ones among them.
const PLANS_MAX: usize = 100;
const PRIVATE_PLANS_MAX: usize = 45;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "OFR-001",
        title: "the offer ID has 3 to 50 lowercase letters, digits, `-` and `_`",
        severity: Severity::Error,
        source: "AC-offer-setup; CLI-M",
        why: "The ID becomes part of the offer's address and can never change.",
        fix: "write 3 to 50 lowercase letters, digits, `-` and `_`, starting with a letter or digit",
        check: Check::Offer(|view, judge| {
            let id = &view.offer.offer.id;
            if let Some(fault) = id_fault(id) {
                judge.error("offer.id", format!("the offer ID `{id}` {fault}"));
            }
        }),
    },
    Rule {
        id: "OFR-002",
        title: "the offer ID does not end with a dash",
        severity: Severity::Warning,
        source: "CPP-offer-settings-tab",
        why: "Older pages refuse such an ID, and it can never change.",
        fix: "choose an ID that ends with a letter or digit",
        check: Check::Offer(|view, judge| {
            let id = &view.offer.offer.id;
            if id.ends_with('-') {
                judge.warning("offer.id", format!("the offer ID `{id}` ends with `-`"));
            }
        }),
    },
    Rule {
        id: "OFR-004",
        title: "the publisher ID is given, and the published one",
        severity: Severity::Error,
        source: "CPP-offer-settings-tab",
        why: "It comes from the Partner Center account and names the offer together with its ID.",
        fix: "copy the publisher ID from the account settings of Partner Center",
        check: Check::Offer(|view, judge| {
            let publisher = &view.offer.publisher;
            let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if publisher.is_empty() || !publisher.chars().all(is_word) {
                let message = format!("`{publisher}` is not a publisher ID");
                judge.error("publisher", message);
            }
            published::if_known(view, judge, ContradictionTopic::Publisher);
        }),
    },
    Rule {
        id: "OFR-005",
        title: "there are 1 to 100 plans, at most 45 of them private",
        severity: Severity::Error,
        source: "AC-plan-overview",
        why: "Partner Center makes no more.",
        fix: "make another offer, or let one private plan serve several tenants",
        check: Check::Offer(|view, judge| {
            let count = view.offer.plans.len();
            if count == 0 || count > PLANS_MAX {
                judge.error("plans", format!("there are {count} plans; {PLANS_MAX} is the most"));
            }
            let is_private = |(_, _, plan): &(_, _, &KubernetesPlan)| plan.audience.is_some();
            let private = view.offer.kubernetes_plans().filter(is_private).count();
            if private > PRIVATE_PLANS_MAX {
                let message =
                    format!("{private} plans are private; {PRIVATE_PLANS_MAX} is the most");
                judge.error("plans", message);
            }
        }),
    },
    Rule {
        id: "OFR-006",
        title: "offers of images are not sold through Microsoft, and what is live keeps its kind",
        severity: Severity::Error,
        source: "PIAC",
        why: "Only Kubernetes applications can be billed; images are free or bring a licence.",
        fix: "remove `sellThroughMicrosoft` or set it to false",
        check: Check::Offer(|view, judge| {
            let has_images = view.offer.image_plans().next().is_some();
            if view.offer.offer.sell_through_microsoft && has_images {
                let message = "an offer of images cannot be sold through Microsoft";
                judge.error("offer.sellThroughMicrosoft", message);
            }
            published::if_known(view, judge, ContradictionTopic::Sale);
        }),
    },
    Rule {
        id: "OFR-007",
        title: "at least one subscription sees the preview, each by its GUID",
        severity: Severity::Error,
        source: "AC-preview-audience",
        why: "The preview is where you test before anyone can buy; without an audience it fails.",
        fix: "write the GUIDs of 1 to 10 of your Azure subscriptions",
        check: Check::Offer(preview),
    },
    Rule {
        id: "OFR-009",
        title: "the terms are the standard contract or your own, not both",
        severity: Severity::Error,
        source: "AC-properties",
        why: "A customer must know which contract is accepted.",
        fix: "write either `standardContract: true` or `terms`",
        check: Check::Offer(|view, judge| {
            match (view.offer.legal.standard_contract, &view.offer.legal.terms) {
                (true, Some(_)) => judge.error("legal", "there are two kinds of terms"),
                (false, None) => judge.error("legal", "there are no terms"),
                _ => {}
            }
        }),
    },
    Rule {
        id: "OFR-010",
        title: "own terms have at most 10,000 characters, or are one address",
        severity: Severity::Error,
        source: "INC-legal-contracts-custom",
        why: "The form cuts or refuses longer terms.",
        fix: "shorten the terms, or publish them and write `terms: { url: … }`",
        check: Check::Offer(terms),
    },
    Rule {
        id: "OFR-012",
        title: "the categories are known, at most two, with at most two subcategories each",
        severity: Severity::Error,
        source: "AC-properties; PIAC",
        why: "Container offers stand under `containers`; unknown names are refused.",
        fix: "write `containers: [container-images]` or `[container-apps]`, and at most one more",
        check: Check::Offer(categories),
    },
    Rule {
        id: "OFR-014",
        title: "the offer has an alias",
        severity: Severity::Error,
        source: "AC-offer-setup",
        why: "Partner Center lists the offer by it.",
        fix: "write a name that your team recognises",
        check: Check::Offer(|view, judge| {
            if view.offer.offer.alias.trim().is_empty() {
                judge.error("offer.alias", "the alias is empty");
            }
        }),
    },
    Rule {
        id: "OFR-015",
        title: "there are notes for the certification team",
        severity: Severity::Warning,
        source: "RPO",
        why: "Certification starts the image; what cannot be tried without help is sent back.",
        fix: "say how to start the image and how to see that it works",
        check: Check::Offer(|view, judge| {
            let notes = view.content.certification_notes.as_deref().unwrap_or_default();
            if notes.trim().is_empty() {
                judge.warning("certificationNotes", "there are no certification notes");
            }
        }),
    },
];

/// The fault in the ID of an offer or a plan; both have one grammar.
pub(super) fn id_fault(id: &str) -> Option<&'static str> {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !(3..=50).contains(&id.chars().count()) {
        return Some("does not have 3 to 50 characters");
    }
    if !id.starts_with(word) {
        return Some("does not start with a lowercase letter or a digit");
    }
    if !id.chars().all(|c| word(c) || matches!(c, '-' | '_')) {
        return Some("has characters other than lowercase letters, digits, `-` and `_`");
    }
    None
}

/// Whether a text is a GUID, in the forms the API takes: braces and dashes are optional, and
/// at most 36 characters.
pub(super) fn is_guid(text: &str) -> bool {
    let bare = text.strip_prefix(['{', '(']).unwrap_or(text);
    let bare = bare.strip_suffix(['}', ')']).unwrap_or(bare);
    let digits = bare.bytes().filter(|c| *c != b'-');
    let dashed = bare.len() == 36
        && bare.bytes().enumerate().all(|(at, c)| (c == b'-') == matches!(at, 8 | 13 | 18 | 23));
    text.len() <= 36
        && (dashed || (bare.len() == 32 && !bare.contains('-')))
        && digits.clone().count() == 32
        && digits.clone().all(|c| c.is_ascii_hexdigit())
}

fn preview(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    let subscriptions = &view.offer.preview.subscriptions;
    let count = subscriptions.len();
    let tabled = view.content.preview_table.as_ref().map_or(0, |table| table.rows.len());
    if count == 0 && view.offer.preview.csv.is_none() {
        judge.error("preview.subscriptions", "nobody sees the preview");
    } else if count + tabled > PREVIEW_MAX {
        let all = count + tabled;
        let key = if tabled > 0 { "preview.csv" } else { "preview.subscriptions" };
        let message = format!("{all} subscriptions see the preview; {PREVIEW_MAX} is the most");
        judge.error(key, message);
    } else if count > PREVIEW_BY_HAND_MAX {
        let message =
            format!("{count} subscriptions see the preview; the form takes {PREVIEW_BY_HAND_MAX}");
        judge.narrow("preview.subscriptions", message);
    }
    for (place, subscription) in subscriptions.iter().enumerate() {
        if !is_guid(&subscription.id) {
            let message = format!("`{}` is not a GUID", subscription.id);
            judge.error(&format!("preview.subscriptions[{place}].id"), message);
        }
    }
}

fn terms(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    if let Some(text) = &view.content.terms {
        let count = text.chars().count();
        if count > TERMS_CHARS_MAX {
            let message =
                format!("the terms have {count} characters; {TERMS_CHARS_MAX} is the most");
            judge.error("legal.terms", message);
        }
        if text.trim().is_empty() {
            judge.error("legal.terms", "the terms are empty");
        }
    }
    if let Some(Terms::Url(url)) = &view.offer.legal.terms
        && let Some(fault) = urls::fault(url)
    {
        judge.error("legal.terms.url", fault);
    }
}

fn categories(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    let categories = &view.offer.properties.categories;
    if categories.len() > 2 {
        let message = format!("there are {} categories", categories.len());
        judge.error("properties.categories", message);
    }
    match categories.get("containers") {
        None => judge.error("properties.categories", "the category `containers` is missing"),
        Some(subcategories) => {
            if subcategories.is_empty() {
                judge.error("properties.categories.containers", "no subcategory is chosen");
            }
            for (place, name) in subcategories.iter().enumerate() {
                if !matches!(name.as_str(), "container-images" | "container-apps") {
                    let key = format!("properties.categories.containers[{place}]");
                    judge.error(&key, format!("`{name}` is not a subcategory of containers"));
                }
            }
        }
    }
    for (name, subcategories) in categories {
        if subcategories.len() > 2 {
            let message = format!("`{name}` has {} subcategories", subcategories.len());
            judge.error(&format!("properties.categories.{name}"), message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guids_are_told_from_other_texts() {
        for good in [
            "3f0c8a52-61d7-4b89-9e24-d5a7c0b1f386",
            "3F0C8A5261D74B899E24D5A7C0B1F386",
            "{3f0c8a5261d74b899e24d5a7c0b1f386}",
        ] {
            assert!(is_guid(good), "{good}");
        }
        for bad in [
            "",
            "3f0c8a52",
            "3f0c8a52-61d7-4b89-9e24-d5a7c0b1f38g",
            "3f0c8a52-61d74-b89-9e24-d5a7c0b1f386",
            "{3f0c8a52-61d7-4b89-9e24-d5a7c0b1f386}",
        ] {
            assert!(!is_guid(bad), "{bad}");
        }
    }
}
