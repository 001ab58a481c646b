//! The published part of the offer, as far as a payload has to repeat it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::marketplace::tree::ResourceTree;
use crate::offer::OfferFile;
use crate::published::LedgerState;

/// The published content of each plan, by the plan's ID.
#[derive(Debug, Clone, Default)]
pub struct Live {
    technical: BTreeMap<String, Value>,
    /// Bundles without a digest, as `REPOSITORY:VERSION`.
    unknown: BTreeMap<String, Vec<String>>,
}

impl Live {
    /// The technical configurations of a saved resource tree.
    #[must_use]
    pub fn of(tree: &ResourceTree) -> Self {
        let technical = tree.of_kind("container-plan-technical-configuration");
        let by_plan = technical.filter_map(|resource| {
            let plan = tree.plan_of(resource)?.external_id()?.to_owned();
            Some((plan, Value::Object(resource.value.clone())))
        });
        Self { technical: by_plan.collect(), unknown: BTreeMap::new() }
    }

    /// The same with the live bundles of the ledger, for plans absent from the tree. They are in
    /// the registry the offer names.
    #[must_use]
    pub fn with_published(mut self, file: &OfferFile, state: &LedgerState) -> Self {
        let offer = &file.offer;
        let entry = offer.registries.get(&offer.offer.registry);
        let Some(azure) = entry.and_then(|entry| entry.azure.as_ref()) else { return self };
        let Some(known) = state.offer(&offer.publisher, &offer.offer.id) else { return self };
        for (id, plan) in &known.plans {
            if self.technical.contains_key(id) {
                continue;
            }
            let mut references = Vec::new();
            for ((repository, version), bundle) in plan.live_bundles() {
                // Without a digest it is no reference: Microsoft finds a bundle by it.
                let Some(digest) = bundle.digests.latest() else {
                    let unknown = self.unknown.entry(id.clone()).or_default();
                    unknown.push(format!("{repository}:{version}"));
                    continue;
                };
                references.push(json!({
                    "tenantId": azure.tenant_id,
                    "subscriptionId": azure.subscription_id,
                    "resourceGroupName": azure.resource_group,
                    "registryName": azure.registry_name,
                    "repositoryName": repository,
                    "tag": version,
                    "digest": digest,
                }));
            }
            if !references.is_empty() {
                self.technical.insert(id.clone(), json!({ "cnabReferences": references }));
            }
        }
        self
    }

    #[cfg(test)]
    pub(super) fn of_plan(plan: &str, technical: Value) -> Self {
        Self { technical: [(plan.to_owned(), technical)].into(), unknown: BTreeMap::new() }
    }

    /// The bundles of a plan, as they are written there.
    #[must_use]
    pub fn references(&self, plan: &str) -> Vec<Value> {
        self.list(plan, "cnabReferences").to_vec()
    }

    /// The bundles of a plan without a known digest, as `REPOSITORY:VERSION`.
    pub(super) fn unknown(&self, plan: &str) -> &[String] {
        self.unknown.get(plan).map(Vec::as_slice).unwrap_or_default()
    }

    /// The tags of a plan's image.
    #[must_use]
    pub fn tags(&self, plan: &str) -> Vec<String> {
        let tags = self.list(plan, "imageTags").iter();
        tags.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    fn list(&self, plan: &str, key: &str) -> &[Value] {
        let list = self.technical.get(plan).and_then(|at| at.get(key)).and_then(Value::as_array);
        list.map(Vec::as_slice).unwrap_or_default()
    }
}
