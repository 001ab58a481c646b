//! The pairs of resources of a payload and a tree. Both have names of their own: durable IDs on one
//! side, names of the same payload on the other; they share the publisher's own names.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use crate::marketplace::tree::{ResourceTree, TreeResource};

/// A resource's name on both sides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) kind: String,
    /// The external ID of the plan it is, or belongs to.
    pub(super) plan: Option<String>,
    /// The part to tell it from others of its kind.
    rest: String,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.plan.iter().chain(Some(&self.rest).filter(|rest| !rest.is_empty()));
        let parts = parts.map(String::as_str).collect::<Vec<_>>().join(", ");
        if parts.is_empty() { f.write_str(&self.kind) } else { write!(f, "{}[{parts}]", self.kind) }
    }
}

/// A resource with its name.
#[derive(Debug)]
pub(super) struct Named<'a> {
    pub(super) value: &'a Map<String, Value>,
}

impl<'a> Named<'a> {
    pub(super) fn of_payload(resources: &'a [TreeResource]) -> BTreeMap<Name, Self> {
        let plan = |resource: &TreeResource| {
            let reference = resource.value.get("plan")?;
            let plans = resources.iter().filter(|at| at.kind == "plan");
            plans.into_iter().find(|plan| plan.is_meant_by(reference))?.external_id()
        };
        all(resources.iter(), &plan)
    }

    /// Without the withdrawn plans and their resources: no payload has to repeat them. One the
    /// payload names counts.
    pub(super) fn of_tree(
        tree: &'a ResourceTree,
        payload: &[TreeResource],
    ) -> BTreeMap<Name, Self> {
        let named: Vec<_> = payload.iter().filter(|at| at.kind == "plan").collect();
        let is_named =
            |plan: &TreeResource| named.iter().any(|at| at.external_id() == plan.external_id());
        let counts = |resource: &&TreeResource| {
            let plan = match resource.kind.as_str() {
                "plan" => Some(*resource),
                _ => tree.plan_of(resource),
            };
            plan.is_none_or(|plan| !plan.is_withdrawn() || is_named(plan))
        };
        let resources = tree.resources().iter().filter(counts);
        all(resources, &|resource| tree.plan_of(resource)?.external_id())
    }
}

/// Resources of the server, absent from every payload.
const SERVERS: [&str; 3] = ["submission", "configure-status", "resource-tree"];

fn all<'a, 'p>(
    resources: impl Iterator<Item = &'a TreeResource>,
    plan_of: &dyn Fn(&TreeResource) -> Option<&'p str>,
) -> BTreeMap<Name, Named<'a>> {
    let mut named = BTreeMap::new();
    for resource in resources.filter(|at| !SERVERS.contains(&at.kind.as_str())) {
        let plan = match resource.kind.as_str() {
            "plan" => resource.external_id().map(str::to_owned),
            _ => plan_of(resource).map(str::to_owned),
        };
        let mut name = Name { kind: resource.kind.clone(), plan, rest: rest(resource) };
        // Two of one name are kept apart by a number; in a tree no two resources share a name.
        let mut number = 2;
        while named.contains_key(&name) {
            name.rest = format!("{} #{number}", rest(resource));
            number += 1;
        }
        named.insert(name, Named { value: &resource.value });
    }
    named
}

/// Language, kind of picture and place, as far as the kind has them.
fn rest(resource: &TreeResource) -> String {
    let text = |key: &str| resource.text(key).unwrap_or_default().to_owned();
    let parts = match resource.kind.as_str() {
        "listing" | "plan-listing" => vec![text("languageId")],
        "listing-asset" => {
            let order = resource.value.get("displayOrder").and_then(Value::as_u64);
            let order = order.filter(|order| *order > 0).map(|order| order.to_string());
            vec![text("languageId"), text("type"), order.unwrap_or_default()]
        }
        "listing-trailer" => vec![text("languageId"), text("streamingUrl")],
        _ => Vec::new(),
    };
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}
