//! The layers shared by plans, and the cost of pushing them: the first time, and after a change.
//!
//! Costs are for `wharf push` (`push`, `transfer`, `registry/upload.rs`) onto a registry without
//! refusals: a blob there is asked for, a blob of another plan is mounted, any other is sent in
//! chunks. Requests for a login are not counted.

mod content;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wharf_oci::Digest;

pub use self::content::{content_of_counted, content_of_layout};
pub use self::text::text;

/// Most bytes of one request of an upload, as in `registry::Options`.
const CHUNK_BYTES: u64 = 16 * 1024 * 1024;

/// A blob or manifest of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImagePart {
    pub digest: Digest,
    pub bytes: u64,
    pub kind: PartKind,
}

/// The kind of a part of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PartKind {
    Layer,
    Configuration,
    /// A manifest or index.
    Manifest,
}

/// The content of a plan's layout, each part once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanContent {
    /// The targets of its tags, by name.
    pub tags: BTreeMap<String, Digest>,
    pub parts: Vec<ImagePart>,
}

impl PlanContent {
    fn blobs(&self) -> impl Iterator<Item = &ImagePart> {
        self.parts.iter().filter(|part| part.kind != PartKind::Manifest)
    }

    fn layers(&self) -> impl Iterator<Item = &ImagePart> {
        self.parts.iter().filter(|part| part.kind == PartKind::Layer)
    }

    /// Bytes of all parts.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        sum(self.parts.iter())
    }
}

/// A plan, and the content to compare with it.
#[derive(Debug, Clone)]
pub struct ExplainedPlan {
    pub plan: String,
    /// The repository it is pushed to.
    pub repository: String,
    pub content: PlanContent,
    /// The sources of layers, by their digests.
    pub sources: BTreeMap<Digest, String>,
    pub attestations: Attestations,
    /// The earlier content, and its place.
    pub before: Option<(Before, PlanContent)>,
}

/// The referrers of a plan's image, pushed along with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attestations {
    pub count: usize,
    /// Their manifests and blobs.
    pub bytes: u64,
}

/// The layout an update starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Before {
    /// The layout in place at the command's start.
    InPlace,
    /// The one the layout in place was put in the place of.
    Previous,
}

/// The shared layers and the costs of plans.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The plans in the order of the offer, also the order of pushing.
    pub plans: Vec<PlanCost>,
    /// Layers of several plans, the largest first.
    pub shared_layers: Vec<SharedLayer>,
    /// Bytes of all plans in one registry, where everything is once.
    pub together_bytes: u64,
    /// Bytes of all plans, each counted alone.
    pub apart_bytes: u64,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanCost {
    pub plan: String,
    /// Layers of all platforms, each once.
    pub layers: Vec<LayerShare>,
    /// Bytes of everything.
    pub bytes: u64,
    /// How many of the layers other plans have too.
    pub shared_layers: usize,
    pub shared_bytes: u64,
    /// Its companions, first and after each change. Their number of requests depends on the
    /// registry (one without the API of referrers takes many), so they are counted nowhere.
    pub attestations: Attestations,
    /// With a registry that has no content of any plan.
    pub first_push: Cost,
    /// With a registry that has the earlier content of every plan; none without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update: Option<Update>,
}

/// A layer of a plan.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerShare {
    pub digest: Digest,
    pub bytes: u64,
    /// Its source.
    pub source: String,
    /// How many plans have it, this one too.
    pub plans: usize,
}

/// A layer of several plans.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SharedLayer {
    pub digest: Digest,
    pub bytes: u64,
    /// Its source.
    pub source: String,
    pub plans: Vec<String>,
}

/// The cost of a push.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// Bytes sent, with manifests.
    pub sent_bytes: u64,
    /// Bytes the registry takes from another plan's repository.
    pub mounted_bytes: u64,
    /// Bytes there already.
    pub there_bytes: u64,
    /// Requests, without the ones for a login.
    pub requests: u64,
}

/// The cost of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Update {
    pub since: Before,
    #[serde(flatten)]
    pub cost: Cost,
}

/// Compares plans with one another, and with the earlier content.
#[must_use]
pub fn explain(plans: &[ExplainedPlan]) -> Explanation {
    let mut holders: BTreeMap<Digest, Vec<&str>> = BTreeMap::new();
    for plan in plans {
        for layer in plan.content.layers() {
            holders.entry(layer.digest).or_default().push(&plan.plan);
        }
    }
    let count = |digest: &Digest| holders.get(digest).map_or(1, Vec::len);
    let (mut fresh, mut updated) = (Registry::default(), Registry::default());
    for plan in plans {
        if let Some((_, before)) = &plan.before {
            updated.fill(&plan.repository, before);
        }
    }
    let costs = plans.iter().map(|plan| {
        let shared: Vec<&ImagePart> =
            plan.content.layers().filter(|layer| count(&layer.digest) > 1).collect();
        let first_push = fresh.push(&plan.repository, &plan.content);
        let cost = updated.push(&plan.repository, &plan.content);
        PlanCost {
            plan: plan.plan.clone(),
            layers: plan.content.layers().map(|layer| share(plan, layer, &count)).collect(),
            bytes: plan.content.bytes(),
            shared_layers: shared.len(),
            shared_bytes: sum(shared.into_iter()),
            attestations: plan.attestations,
            first_push,
            update: plan.before.as_ref().map(|(since, _)| Update { since: *since, cost }),
        }
    });
    let costs: Vec<PlanCost> = costs.collect();
    let all: BTreeMap<Digest, u64> = plans
        .iter()
        .flat_map(|plan| plan.content.parts.iter().map(|part| (part.digest, part.bytes)))
        .collect();
    Explanation {
        shared_layers: shared_layers(plans, &holders),
        together_bytes: all.values().fold(0, |sum, bytes| sum.saturating_add(*bytes)),
        apart_bytes: costs.iter().fold(0, |sum, plan| sum.saturating_add(plan.bytes)),
        plans: costs,
    }
}

fn share(plan: &ExplainedPlan, layer: &ImagePart, count: &dyn Fn(&Digest) -> usize) -> LayerShare {
    LayerShare {
        digest: layer.digest,
        bytes: layer.bytes,
        source: source(plan, &layer.digest),
        plans: count(&layer.digest),
    }
}

fn source(plan: &ExplainedPlan, digest: &Digest) -> String {
    plan.sources.get(digest).cloned().unwrap_or_else(|| digest.short())
}

fn shared_layers(
    plans: &[ExplainedPlan],
    holders: &BTreeMap<Digest, Vec<&str>>,
) -> Vec<SharedLayer> {
    let mut shared: Vec<SharedLayer> = Vec::new();
    for plan in plans {
        for layer in plan.content.layers() {
            let Some(names) = holders.get(&layer.digest).filter(|names| names.len() > 1) else {
                continue;
            };
            if !shared.iter().any(|known| known.digest == layer.digest) {
                shared.push(SharedLayer {
                    digest: layer.digest,
                    bytes: layer.bytes,
                    source: source(plan, &layer.digest),
                    plans: names.iter().map(|name| (*name).to_owned()).collect(),
                });
            }
        }
    }
    shared.sort_by_key(|layer| std::cmp::Reverse(layer.bytes));
    shared
}

/// A registry as a push sees it.
#[derive(Debug, Default)]
struct Registry {
    blobs: BTreeSet<(String, Digest)>,
    tags: BTreeMap<(String, String), Digest>,
    /// The blobs this run pushed, and their repositories.
    known: BTreeMap<Digest, String>,
}

impl Registry {
    /// The registry has had this content for long; the pushing client does not know.
    fn fill(&mut self, repository: &str, content: &PlanContent) {
        for blob in content.blobs() {
            self.blobs.insert((repository.to_owned(), blob.digest));
        }
        for (tag, target) in &content.tags {
            self.tags.insert((repository.to_owned(), tag.clone()), *target);
        }
    }

    fn push(&mut self, repository: &str, content: &PlanContent) -> Cost {
        let mut cost = Cost::default();
        let here = |name: &str| (repository.to_owned(), name.to_owned());
        let is_there = |tag: &String, target: &Digest| self.tags.get(&here(tag)) == Some(target);
        // A push asks for each tag's target first.
        cost.requests += content.tags.len() as u64;
        let new_tags = content.tags.iter().filter(|(tag, target)| !is_there(tag, target)).count();
        if new_tags == 0 && !content.tags.is_empty() {
            cost.there_bytes = content.bytes();
        } else {
            for blob in content.blobs() {
                self.blob(repository, blob, &mut cost);
            }
            for manifest in content.parts.iter().filter(|part| part.kind == PartKind::Manifest) {
                cost.requests += 1;
                cost.sent_bytes = cost.sent_bytes.saturating_add(manifest.bytes);
            }
            // Each is asked once more, written, and looked at.
            cost.requests += 3 * new_tags as u64;
        }
        self.fill(repository, content);
        for blob in content.blobs() {
            self.known.entry(blob.digest).or_insert_with(|| repository.to_owned());
        }
        cost
    }

    fn blob(&self, repository: &str, blob: &ImagePart, cost: &mut Cost) {
        let mounted = self.known.get(&blob.digest).is_some_and(|from| from != repository);
        let (counter, requests) = if self.blobs.contains(&(repository.to_owned(), blob.digest)) {
            (&mut cost.there_bytes, 1)
        } else if mounted {
            (&mut cost.mounted_bytes, 1)
        } else {
            // Looked for and opened; the last chunk ends it.
            (&mut cost.sent_bytes, 2 + blob.bytes.div_ceil(CHUNK_BYTES).max(1))
        };
        *counter = counter.saturating_add(blob.bytes);
        cost.requests += requests;
    }
}

fn sum<'a>(parts: impl Iterator<Item = &'a ImagePart>) -> u64 {
    parts.fold(0, |sum, part| sum.saturating_add(part.bytes))
}

#[cfg(test)]
mod tests;
