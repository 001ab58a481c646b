//! Rules TEC-024 and API-001: the API must accept the offer's payload.

use super::{Check, Findings, OfferView, Rule, Severity, market_plans};
use crate::marketplace::payload::{FaultSubject, faults};
use crate::marketplace::render::{Secrets, render};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "TEC-024",
        title: "the payload has only keys that its schemas know",
        severity: Severity::Error,
        source: "CLI-M; PIAC",
        why: "One unknown key, and the whole payload is refused.",
        fix: "correct the key of the offer that the payload takes this from",
        check: Check::Offer(|view, judge| payload(view, judge, FaultSubject::Keys)),
    },
    Rule {
        id: "API-001",
        title: "everything in the payload has its own name, and every reference leads somewhere",
        severity: Severity::Error,
        source: "PIA; CLI-M",
        why: "Resources are made in the order of the payload; a reference to nothing ends it.",
        fix: "write what is referred to; give each meter one name and unit in all plans",
        check: Check::Offer(|view, judge| {
            tenant(view, judge);
            market_plans::shared_meters(view, judge);
            payload(view, judge, FaultSubject::References);
        }),
    },
];

/// A payload with a failed rendering is the fault of another rule.
fn payload(view: &OfferView<'_>, judge: &mut Findings<'_>, about: FaultSubject) {
    let rendered = render(view.file, view.content, &Secrets::Placeholders, None);
    let payload = rendered.ok().and_then(|at| serde_json::to_value(&at.payload).ok());
    let Some(payload) = payload else {
        judge.not_applicable();
        return;
    };
    for fault in faults(&payload).into_iter().filter(|fault| fault.about == about) {
        judge.error("offer", format!("the payload at {}: {}", fault.at, fault.message));
    }
}

/// A bundle is found by the tenant of its registry.
fn tenant(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    let name = &view.offer.offer.registry;
    let azure = view.offer.registries.get(name).and_then(|entry| entry.azure.as_ref());
    let has_bundle = view
        .offer
        .kubernetes_plans()
        .any(|(_, _, plan)| plan.bundle.as_ref().is_some_and(|bundle| bundle.digest.is_some()));
    if has_bundle && azure.is_some_and(|azure| azure.tenant_id.is_none()) {
        let message = "a bundle is found by the tenant of its registry, and `tenantId` is missing";
        judge.error(&format!("registries.{name}.azure"), message);
    }
}
