#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use wharf_oci::{Algorithm, Digester};

use super::*;
use crate::output::Paint;

const MIB: u64 = 1 << 20;

fn part(name: &str, bytes: u64, kind: PartKind) -> ImagePart {
    ImagePart { digest: Digester::digest(Algorithm::Sha256, name.as_bytes()), bytes, kind }
}

/// A plan with these layers, one configuration, one manifest and one tag.
fn content(version: &str, layers: &[(&str, u64)]) -> PlanContent {
    let manifest = part(&format!("manifest {version} {layers:?}"), 1000, PartKind::Manifest);
    let mut parts: Vec<ImagePart> =
        layers.iter().map(|(name, bytes)| part(name, *bytes, PartKind::Layer)).collect();
    parts.push(part(&format!("config {layers:?}"), 500, PartKind::Configuration));
    parts.push(manifest.clone());
    PlanContent { tags: BTreeMap::from([(version.to_owned(), manifest.digest)]), parts }
}

fn plan(name: &str, now: PlanContent, before: Option<PlanContent>) -> ExplainedPlan {
    let sources = now.layers().map(|layer| (layer.digest, format!("dir {}", layer.bytes)));
    ExplainedPlan {
        attestations: Attestations { count: 3, bytes: 2048 },
        plan: name.to_owned(),
        repository: format!("tide/{name}"),
        sources: sources.collect(),
        content: now,
        before: before.map(|before| (Before::InPlace, before)),
    }
}

#[test]
fn a_layer_of_two_plans_is_sent_once_and_mounted_once() {
    let base = ("base", 20 * MIB);
    let plans = [
        plan("one", content("1", &[base, ("a", MIB)]), None),
        plan("two", content("1", &[base, ("b", MIB)]), None),
    ];
    let explained = explain(&plans);
    let [one, two] = explained.plans.as_slice() else { panic!() };
    // HEAD, POST, PATCH and PUT; HEAD, POST, PUT twice; a manifest; four for the tag.
    assert_eq!(one.first_push.requests, 4 + 3 + 3 + 1 + 4);
    assert_eq!(one.first_push.sent_bytes, 21 * MIB + 1500);
    assert_eq!(two.first_push.requests, 1 + 3 + 3 + 1 + 4);
    assert_eq!(two.first_push.mounted_bytes, 20 * MIB);
    assert_eq!((two.shared_layers, two.shared_bytes), (1, 20 * MIB));
    assert_eq!(explained.shared_layers[0].plans, ["one", "two"]);
    assert_eq!(explained.apart_bytes - explained.together_bytes, 20 * MIB);
    assert!(one.update.is_none());
}

#[test]
fn an_update_sends_what_is_new_and_nothing_sends_nothing() {
    let base = ("base", 20 * MIB);
    let before = content("1", &[base, ("a", MIB)]);
    let after = content("2", &[base, ("a2", 2 * MIB)]);
    let changed = explain(&[plan("one", after, Some(before.clone()))]);
    let cost = changed.plans[0].update.unwrap().cost;
    assert_eq!((cost.sent_bytes, cost.there_bytes), (2 * MIB + 1500, 20 * MIB));
    assert_eq!(cost.requests, 1 + 3 + 3 + 1 + 4);
    let same = explain(&[plan("one", before.clone(), Some(before))]);
    let cost = same.plans[0].update.unwrap().cost;
    assert_eq!((cost.sent_bytes, cost.requests), (0, 1));
}

#[test]
fn two_plans_of_one_repository_mount_nothing() {
    let base = ("base", MIB);
    let mut second = plan("two", content("2", &[base]), None);
    second.repository = "tide/one".to_owned();
    let explained = explain(&[plan("one", content("1", &[base]), None), second]);
    let cost = explained.plans[1].first_push;
    assert_eq!((cost.mounted_bytes, cost.there_bytes), (0, MIB + 500));
}

fn bars(explained: &Explanation, width: usize) -> String {
    super::text::bars(explained, Paint::PLAIN.at_most(width))
}

#[test]
fn bars_fit_their_width_and_need_no_colour() {
    let base = ("base", 30 * MIB);
    let old = content("1", &[base, ("a", MIB)]);
    let plans = [
        plan("cache-server", content("2", &[base, ("b", 1)]), Some(old)),
        plan("cache-sentinel", content("2", &[base]), None),
    ];
    let explained = explain(&plans);
    for width in [40, 60, 100] {
        let shown = bars(&explained, width);
        let widest = shown.lines().map(|line| line.chars().count()).max();
        assert!(widest.is_some_and(|widest| widest <= width), "{width}: {shown}");
    }
    let shown = bars(&explained, 60);
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].starts_with("cache-server    first  ███"), "{shown}");
    assert!(lines[1].contains('·') && lines[1].contains('█'), "{shown}");
    assert!(lines[2].contains('▒'), "{shown}");
}
