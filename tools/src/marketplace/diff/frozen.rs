//! The immutable fields, by how far they were published (facts §1.7, §3.1): one row per field.

use serde_json::Value;

use super::ChangeKind;
use crate::marketplace::tree::TreeTarget;

/// An immutable field.
struct Frozen {
    kind: &'static str,
    /// The beginning of the field's path; empty is the whole resource.
    field: &'static str,
    how: &'static [ChangeKind],
    /// The first target at which the field is frozen.
    since: TreeTarget,
    why: &'static str,
}

const OTHER: &[ChangeKind] = &[ChangeKind::Changed, ChangeKind::Removed];
const GONE: &[ChangeKind] = &[ChangeKind::Removed];
const CHANGED: &[ChangeKind] = &[ChangeKind::Changed];
const TECHNICAL: &str = "container-plan-technical-configuration";

const FROZEN: &[Frozen] = &[
    Frozen {
        kind: "product",
        field: "identity",
        how: OTHER,
        since: TreeTarget::Draft,
        why: "the ID of an offer can never change",
    },
    Frozen {
        kind: "product",
        field: "type",
        how: OTHER,
        since: TreeTarget::Draft,
        why: "the type of an offer can never change",
    },
    Frozen {
        kind: "commercial-marketplace-setup",
        field: "sellThroughMicrosoft",
        how: CHANGED,
        since: TreeTarget::Live,
        why: "who sells a published offer cannot change",
    },
    Frozen {
        kind: "plan",
        field: "",
        how: GONE,
        since: TreeTarget::Live,
        why: "a published plan cannot be deleted, and its ID cannot change",
    },
    Frozen {
        kind: "plan",
        field: "azureRegions",
        how: GONE,
        since: TreeTarget::Live,
        why: "a published region cannot be removed",
    },
    Frozen {
        kind: "price-and-availability-plan",
        field: "pricing.licenseModel",
        how: CHANGED,
        since: TreeTarget::Live,
        why: "the licence of a live plan cannot change",
    },
    Frozen {
        kind: TECHNICAL,
        field: "payloadType",
        how: OTHER,
        since: TreeTarget::Live,
        why: "what a live plan is made of cannot change",
    },
    Frozen {
        kind: TECHNICAL,
        field: "imageRepositoryDetails.repositoryName",
        how: OTHER,
        since: TreeTarget::Live,
        why: "the repository of a live plan cannot change",
    },
    Frozen {
        kind: TECHNICAL,
        field: "imageTags",
        how: GONE,
        since: TreeTarget::Live,
        why: "a live tag must stay: customers are on it",
    },
    Frozen {
        kind: TECHNICAL,
        field: "clusterExtensionType",
        how: OTHER,
        since: TreeTarget::Preview,
        why: "the type of a cluster extension is frozen from the preview on",
    },
    Frozen {
        kind: TECHNICAL,
        field: "cnabReferences",
        how: GONE,
        since: TreeTarget::Live,
        why: "a published bundle must stay: references are only appended",
    },
];

/// A change of a key.
pub(super) struct KeyChange<'a> {
    pub(super) path: &'a str,
    pub(super) how: ChangeKind,
    pub(super) before: Option<&'a Value>,
    pub(super) after: Option<&'a Value>,
}

/// Why a change is refused; none where it may be.
pub(super) fn refusal(
    target: TreeTarget,
    kind: &str,
    change: &KeyChange<'_>,
) -> Option<&'static str> {
    let KeyChange { path, how, .. } = *change;
    let is_within = |field: &str| match path.strip_prefix(field) {
        Some(rest) => {
            path.is_empty()
                || (!field.is_empty() && (rest.is_empty() || rest.starts_with(['.', '['])))
        }
        None => false,
    };
    let rows = FROZEN.iter().filter(|row| row.kind == kind && target >= row.since);
    let row = rows.into_iter().find(|row| {
        let is_item = row.how != GONE || row.field.is_empty() || is_whole_item(path, row.field);
        is_within(row.field) && row.how.contains(&how) && is_item
    });
    row.map(|row| row.why).or_else(|| by_value(target, kind, change))
}

/// Whether an item of a list goes, and not only a key of it.
fn is_whole_item(path: &str, field: &str) -> bool {
    let rest = path.strip_prefix(field).unwrap_or_default();
    rest.is_empty() || rest.ends_with(']')
}

/// Whether a price has no meter that Microsoft counts: a free application has the same licence
/// model as a paid one. The price may come or go as a whole.
fn is_free(path: &str, value: Option<&Value>) -> bool {
    let option = match path {
        "pricing.systemMeterPricing" => value.and_then(|price| price.get("priceInputOption")),
        "pricing.systemMeterPricing.priceInputOption" => value,
        _ => None,
    };
    option.and_then(Value::as_str) == Some("free")
}

/// The refusals in one direction only, or of one key of an item.
fn by_value(
    target: TreeTarget,
    kind: &str,
    &KeyChange { path, how, before, after }: &KeyChange<'_>,
) -> Option<&'static str> {
    if target == TreeTarget::Live
        && kind == "price-and-availability-plan"
        && is_free(path, before) != is_free(path, after)
    {
        return Some("a live plan that is free stays free, and one that is paid for stays so");
    }
    let (before, after) = (before.and_then(Value::as_str), after.and_then(Value::as_str));
    match (kind, path) {
        ("property", "termsConditions")
            if target == TreeTarget::Live && before == Some("standardMicrosoft") =>
        {
            Some("an offer that is live with the standard contract keeps it")
        }
        ("price-and-availability-plan", "audience")
            if target == TreeTarget::Live && before == Some("public") && after != before =>
        {
            Some("a plan that is live for everyone cannot become private")
        }
        (TECHNICAL, _)
            if target >= TreeTarget::Preview
                && how == ChangeKind::Changed
                && path.starts_with("cnabReferences[")
                && path.ends_with("].digest") =>
        {
            Some("a published version of a bundle keeps its digest: raise the version")
        }
        _ => None,
    }
}
