//! Rules about what may never change once it is published. The offer knows only its own state and the
//! tags that it lists as published, so these are named as not looked at.

use super::{Check, Gap, Rule, Severity};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "OFR-003",
        title: "the offer ID is the published one",
        severity: Severity::Error,
        source: "AC-offer-setup",
        why: "The ID can never change; another one is another offer.",
        fix: "write the ID that was published",
        check: Check::Offer(|_, judge| judge.not_looked_at(Gap::Ledger)),
    },
    Rule {
        id: "OFR-011",
        title: "an offer with the standard contract keeps it",
        severity: Severity::Error,
        source: "PCP",
        why: "Once published with the standard contract, terms of your own are refused.",
        fix: "keep `standardContract: true`",
        check: Check::Offer(|view, judge| {
            // With the standard contract there is nothing that could have been switched to.
            if view.offer.legal.standard_contract && view.offer.legal.terms.is_none() {
                judge.not_applicable();
            } else {
                judge.not_looked_at(Gap::Ledger);
            }
        }),
    },
    Rule {
        id: "PLN-002",
        title: "published plans keep their IDs",
        severity: Severity::Error,
        source: "AC-plan-overview; CPP-update-existing-offer",
        why: "A plan's ID can never change, and a published plan cannot be deleted.",
        fix: "write the IDs that were published",
        check: Check::Offer(|_, judge| judge.not_looked_at(Gap::Ledger)),
    },
    Rule {
        id: "PLN-008",
        title: "regions are only added",
        severity: Severity::Error,
        source: "AC-plan-setup",
        why: "A region of a published plan cannot be removed.",
        fix: "list every region that was published",
        check: Check::Offer(|_, judge| judge.not_looked_at(Gap::Ledger)),
    },
    Rule {
        id: "TEC-008",
        title: "published plans keep their repository",
        severity: Severity::Error,
        source: "CPP-skus-tab",
        why: "The repository can never change after the first publication.",
        fix: "write the repository that was published",
        check: Check::Offer(|_, judge| judge.not_looked_at(Gap::Ledger)),
    },
    Rule {
        id: "TEC-018",
        title: "no published tag is left out",
        severity: Severity::Warning,
        source: "gh:Azure/partnercenter-cli-extension#192 for bundles; INFERENCE for images",
        why: "Customers stay on versions; a list without them may be refused.",
        fix: "list the tags of earlier versions in `publishedTags`",
        check: Check::Offer(|_, judge| judge.not_looked_at(Gap::Ledger)),
    },
    Rule {
        id: "PLN-007",
        title: "a plan that is live keeps its licence",
        severity: Severity::Error,
        source: "PLAN; CPP-update-existing-offer",
        why: "The billing of a live plan cannot change.",
        fix: "write the licence that was published, or make a new plan",
        check: Check::Offer(|_, judge| judge.not_looked_at(Gap::Ledger)),
    },
    Rule {
        id: "TEC-007",
        title: "no other offer of the publisher has the repository",
        severity: Severity::Error,
        source: "AC-plan-technical-configuration",
        why: "Its name has to be unique in the account.",
        fix: "give each offer repositories of its own",
        check: Check::Offer(|_, judge| judge.not_looked_at(Gap::Ledger)),
    },
];
