//! Rules about immutable facts of a publication, against the ledger of submissions
//! (`wharf.published.jsonl`). Without one they are named as not looked at.

use std::collections::BTreeMap;

use super::{Check, Findings, Gap, OfferView, Rule, Severity};
use crate::image::facts::ImageFacts;
use crate::offer::OfferFile;
use crate::offer::content::Content;
use crate::offer::model::PlanKind;
use crate::published::{
    Contradiction, ContradictionTopic, LedgerState, SubmissionTarget, contradictions, submissions,
};
use wharf_oci::Timestamp;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "OFR-003",
        title: "the offer ID is the published one",
        severity: Severity::Error,
        source: "AC-offer-setup",
        why: "The ID can never change; another one is another offer.",
        fix: "write the ID that was published",
        check: Check::Offer(|view, judge| against(view, judge, ContradictionTopic::OfferId)),
    },
    Rule {
        id: "OFR-011",
        title: "an offer with the standard contract keeps it",
        severity: Severity::Error,
        source: "PCP",
        why: "Once published with the standard contract, terms of your own are refused.",
        fix: "keep `standardContract: true`",
        check: Check::Offer(|view, judge| {
            // The standard contract leaves no other terms to switch from.
            if view.offer.legal.standard_contract && view.offer.legal.terms.is_none() {
                judge.not_applicable();
            } else {
                against(view, judge, ContradictionTopic::Terms);
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
        check: Check::Offer(|view, judge| against(view, judge, ContradictionTopic::Plan)),
    },
    Rule {
        id: "PLN-008",
        title: "regions are only added",
        severity: Severity::Error,
        source: "AC-plan-setup",
        why: "A region of a published plan cannot be removed.",
        fix: "list every region that was published",
        check: Check::Offer(|view, judge| against(view, judge, ContradictionTopic::Regions)),
    },
    Rule {
        id: "TEC-008",
        title: "published plans keep their repository",
        severity: Severity::Error,
        source: "CPP-skus-tab",
        why: "The repository can never change after the first publication.",
        fix: "write the repository that was published",
        check: Check::Offer(|view, judge| against(view, judge, ContradictionTopic::Repository)),
    },
    Rule {
        id: "TEC-018",
        title: "no published tag is left out",
        severity: Severity::Error,
        source: "gh:Azure/partnercenter-cli-extension#192 for bundles; INFERENCE for images",
        why: "Customers stay on versions; a list without them may be refused.",
        fix: "list the tags of earlier versions in `publishedTags`, or remove that key: then they \
              are taken from the ledger; where there is no room for one (TEC-009), say that you stop \
              offering it: `wharf offer record OFFER --withdraw PLAN:TAG`",
        check: Check::Offer(|view, judge| against(view, judge, ContradictionTopic::Tag)),
    },
    Rule {
        id: "PLN-007",
        title: "a plan that is live keeps its licence",
        severity: Severity::Error,
        source: "PLAN; CPP-update-existing-offer",
        why: "The billing of a live plan cannot change.",
        fix: "write the licence that was published, or make a new plan",
        check: Check::Offer(|view, judge| against(view, judge, ContradictionTopic::Licence)),
    },
    Rule {
        id: "TEC-007",
        title: "no other offer of the publisher has the repository",
        severity: Severity::Error,
        source: "AC-plan-technical-configuration",
        why: "Its name has to be unique in the account.",
        fix: "give each offer repositories of its own",
        check: Check::Offer(|view, judge| {
            against(view, judge, ContradictionTopic::TakenRepository);
        }),
    },
    Rule {
        id: "K8S-030",
        title: "the type of the cluster extension is the published one, and of one plan",
        severity: Severity::Error,
        source: "AC-plan-technical-configuration-kubernetes",
        why: "It is unique over all offers and plans, and frozen from the first preview on.",
        fix: "write the `extensionType` that was published",
        check: Check::Offer(|view, judge| {
            application(view, judge, ContradictionTopic::ExtensionType);
        }),
    },
    Rule {
        id: "K8S-031",
        title: "a live application keeps its scope",
        severity: Severity::Error,
        source: "INFERENCE: the scope of an extension is set when a customer installs it",
        why: "What customers installed once in a cluster cannot be updated to one per namespace.",
        fix: "write the `scope` that was published, or make a new plan",
        check: Check::Offer(|view, judge| application(view, judge, ContradictionTopic::Scope)),
    },
    Rule {
        id: "K8S-032",
        title: "bundles are only added, each of a greater version",
        severity: Severity::Error,
        source: "gh:Azure/partnercenter-cli-extension#192; CPP-update-existing-offer",
        why: "A list without a published bundle is refused, and updates go to greater versions.",
        fix: "keep `bundle`, and raise its version for new content",
        check: Check::Offer(|view, judge| application(view, judge, ContradictionTopic::Bundle)),
    },
    Rule {
        id: "K8S-033",
        title: "a published version of a bundle keeps its digest",
        severity: Severity::Error,
        source: "AC-troubleshoot",
        why: "Microsoft has copied it, and refuses another one under the same version.",
        fix: "raise the version in `manifest.yaml`, and make the bundle anew",
        check: Check::Offer(|view, judge| {
            application(view, judge, ContradictionTopic::BundleDigest);
        }),
    },
];

/// The same where a rule looks at more than the ledger, so it is judged without one.
pub(super) fn if_known(view: &OfferView<'_>, judge: &mut Findings<'_>, about: ContradictionTopic) {
    if view.evidence.published.is_some() {
        against(view, judge, about);
    }
}

/// The offer's contradictions of the ledger about one topic.
pub(super) fn against(view: &OfferView<'_>, judge: &mut Findings<'_>, about: ContradictionTopic) {
    let Some(published) = &view.evidence.published else {
        judge.not_looked_at(Gap::Ledger);
        return;
    };
    for found in published.contradictions.iter().filter(|found| found.about == about) {
        let key = key(view, found);
        if found.is_certain {
            judge.error(&key, &found.message);
        } else {
            judge.warning(&key, &found.message);
        }
    }
}

/// The same for topics of applications only.
fn application(view: &OfferView<'_>, judge: &mut Findings<'_>, about: ContradictionTopic) {
    if view.offer.kubernetes_plans().next().is_none() {
        judge.not_applicable();
    } else {
        against(view, judge, about);
    }
}

/// Where the offer says it.
fn key(view: &OfferView<'_>, found: &Contradiction) -> String {
    let plans = view.offer.plans.iter().enumerate();
    let plan = plans.into_iter().find(|(_, plan)| Some(plan.id.as_str()) == found.plan.as_deref());
    let Some((place, plan)) = plan else {
        return match found.about {
            ContradictionTopic::Publisher => "publisher",
            ContradictionTopic::Sale => "offer.sellThroughMicrosoft",
            ContradictionTopic::Terms => "legal",
            ContradictionTopic::Plan => "plans",
            _ => "offer.id",
        }
        .to_owned();
    };
    let image = match &plan.kind {
        PlanKind::Image(plan) => plan.image.key.as_str(),
        PlanKind::Kubernetes(_) => "",
    };
    let of_image = |key: &str| format!("{image}.{key}");
    let of_plan = |key: &str| format!("plans[{place}].{key}");
    match found.about {
        ContradictionTopic::Licence => of_plan("licence"),
        ContradictionTopic::Regions => of_plan("regions"),
        ContradictionTopic::Audience => of_plan("audience"),
        ContradictionTopic::Repository | ContradictionTopic::TakenRepository => {
            of_image("repository")
        }
        ContradictionTopic::Version => of_image("version"),
        ContradictionTopic::Tag | ContradictionTopic::TagDigest => of_image("tags"),
        ContradictionTopic::ExtensionType => of_plan("extensionType"),
        ContradictionTopic::Scope => of_plan("scope"),
        ContradictionTopic::Bundle | ContradictionTopic::BundleDigest => of_plan("bundle"),
        _ => of_plan("kind"),
    }
}

/// Live version tags of images with another digest.
pub(super) fn moved_tags(
    file: &OfferFile,
    state: &LedgerState,
    images: &[(Option<usize>, ImageFacts)],
    judge: &mut Findings<'_>,
) {
    // Only tags are compared, so no content is needed.
    let content = Content::default();
    let mut submissions =
        submissions(file, &content, state, SubmissionTarget::Live, Timestamp::default());
    let mut keys = BTreeMap::new();
    for (place, facts) in images {
        let Some(image) = place.and_then(|place| file.image(place)) else { continue };
        let id = image.id.as_str();
        let Some(submission) = submissions.iter_mut().find(|at| at.plan == id) else { continue };
        for (tag, known) in &mut submission.tags {
            *known = facts.tags.get(tag).copied();
        }
        keys.insert(id.to_owned(), format!("{}.tags", image.key));
    }
    let found = contradictions(state, &submissions);
    for found in found.iter().filter(|found| found.about == ContradictionTopic::TagDigest) {
        let key = found.plan.as_ref().and_then(|plan| keys.get(plan));
        judge.error(key.map_or("plans", String::as_str), &found.message);
    }
}

#[cfg(test)]
mod tests;
