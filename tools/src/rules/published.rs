//! Rules about what may not change once it is published. Nobody here knows what was: each says that
//! it was not looked at, so that a report does not pass over it in silence. What the offer itself
//! tells of earlier versions (`publishedTags`) is judged in `tags`.

use super::{Check, Gap, Judge, OfferView, Rule, Severity};

const CHECK: Check = Check::Offer(unknown);
const FIX: &str = "compare with what Partner Center shows, and leave it as it was published";

const fn rule(
    id: &'static str,
    title: &'static str,
    severity: Severity,
    source: &'static str,
    why: &'static str,
) -> Rule {
    Rule { id, title, severity, source, why, fix: FIX, check: CHECK }
}

pub(super) const RULES: &[Rule] = &[
    rule(
        "OFR-003",
        "the offer ID is the one that was published",
        Severity::Error,
        "AC-offer-setup; CPP-update-existing-offer",
        "Another ID is another offer; the old one stays as it is.",
    ),
    Rule {
        check: Check::Offer(|view, judge| {
            // With the standard contract there is nothing that could have been switched to.
            if view.offer.legal.standard_contract && view.offer.legal.terms.is_none() {
                judge.not_applicable();
            } else {
                judge.not_looked_at(Gap::Ledger);
            }
        }),
        ..rule(
            "OFR-011",
            "an offer that was published with the standard contract keeps it",
            Severity::Error,
            "INC-legal-contracts-custom; PCP",
            "Own terms are refused after that.",
        )
    },
    rule(
        "PLN-002",
        "the IDs of plans are those that were published",
        Severity::Error,
        "AC-plan-overview; CPP-update-existing-offer",
        "They can never change; a new ID is a new plan, without the customers of the old one.",
    ),
    rule(
        "PLN-007",
        "a plan that is live keeps its licence",
        Severity::Error,
        "PLAN; CPP-update-existing-offer",
        "The billing of a live plan cannot change.",
    ),
    rule(
        "PLN-008",
        "regions are only added",
        Severity::Error,
        "AC-plan-setup",
        "A region that was published cannot be removed.",
    ),
    rule(
        "TEC-007",
        "no other offer of the publisher has the repository",
        Severity::Error,
        "AC-plan-technical-configuration",
        "Its name has to be unique in the account.",
    ),
    rule(
        "TEC-008",
        "the repository is the one that was published first",
        Severity::Error,
        "CPP-skus-tab",
        "It cannot change after it was set.",
    ),
    rule(
        "TEC-018",
        "no tag that was live is missing",
        Severity::Warning,
        "az partnercenter issue 192 (of bundles; for images INFERENCE)",
        "Customers stay on a version by its tag, and dropping a reference was seen to be refused.",
    ),
];

fn unknown(_: &OfferView<'_>, judge: &mut Judge<'_>) {
    judge.not_looked_at(Gap::Ledger);
}
