//! What of the offer is published, as far as a payload has to repeat it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::marketplace::tree::Tree;

/// What is published of each plan, by the plan's ID.
#[derive(Debug, Clone, Default)]
pub struct Live(BTreeMap<String, Value>);

impl Live {
    /// The technical configurations of a saved resource tree.
    #[must_use]
    pub fn of(tree: &Tree) -> Self {
        let technical = tree.of_kind("container-plan-technical-configuration");
        let by_plan = technical.filter_map(|resource| {
            let plan = tree.plan_of(resource)?.external_id()?.to_owned();
            Some((plan, Value::Object(resource.value.clone())))
        });
        Self(by_plan.collect())
    }

    /// The bundles of a plan, as they are written there.
    #[must_use]
    pub fn references(&self, plan: &str) -> Vec<Value> {
        self.list(plan, "cnabReferences").to_vec()
    }

    /// The tags of a plan's image.
    #[must_use]
    pub fn tags(&self, plan: &str) -> Vec<String> {
        let tags = self.list(plan, "imageTags").iter();
        tags.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    fn list(&self, plan: &str, key: &str) -> &[Value] {
        let list = self.0.get(plan).and_then(|at| at.get(key)).and_then(Value::as_array);
        list.map(Vec::as_slice).unwrap_or_default()
    }
}
