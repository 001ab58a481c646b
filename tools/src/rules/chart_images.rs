//! Rule K8S-002: every image of a chart comes from `global.azure.images` of its values.

use std::collections::BTreeSet;

use super::chart::{ChartView, each};
use super::{Check, Findings, Rule, Severity};
use crate::chart::VALUES_FILE;
use crate::chart::helm::Rendering;
use crate::chart::images::{ChartImage, IMAGES};
use crate::chart::templates::{Certainty, StrayKind, strays};
use crate::yaml::Spot;

pub(super) const RULES: &[Rule] = &[Rule {
    id: "K8S-002",
    title: "every image of a chart comes from `global.azure.images`, by digest",
    severity: Severity::Error,
    source: "AC-technical-assets-kubernetes (digests) against gh:neuvector/neuvector-helm#339 and \
             K8S-S (tags too)",
    why: "Microsoft copies what stands there and writes its own registry into it; every other image \
          would not be copied, and could not be pulled by a customer.",
    fix: "put `registry`, `image` and `digest` under `global.azure.images.NAME` of values.yaml, build \
          every image in templates from them, and let `wharf offer pin` write the digests",
    check: Check::Offer(|view, judge| {
        each(view, judge, |seen, judge| {
            values(seen, judge);
            let rendering = view.evidence.rendered.get(&seen.place);
            templates(seen, rendering.is_some_and(|made| is_proven(seen, made)), judge);
        });
    }),
}];

/// Whether Helm made containers of the chart, each with an image of `global.azure.images`.
fn is_proven(seen: &ChartView<'_>, rendering: &Rendering) -> bool {
    let Rendering::Done(rendered) = rendering else { return false };
    let known: BTreeSet<String> =
        seen.chart.images().iter().flat_map(ChartImage::references).collect();
    let mut containers = rendered.workloads.iter().flat_map(|workload| &workload.containers);
    !rendered.workloads.is_empty() && containers.all(|at| known.contains(&at.image))
}

fn values(seen: &ChartView<'_>, judge: &mut Findings<'_>) {
    // K8S-008 reports an unreadable file.
    let Ok(values) = &seen.chart.values else { return };
    let images = seen.chart.images();
    if images.is_empty() {
        let found = values.as_ref().and_then(|values| values.find(&IMAGES));
        let at = seen.at(VALUES_FILE, found.map_or(Spot::START, |node| node.spot));
        judge.error_in(&seen.key, &at, "nothing stands under `global.azure.images`");
    }
    for image in &images {
        let at = seen.at(VALUES_FILE, image.spot);
        // Microsoft's own samples have a repository there, and its page says a host.
        if let Some(registry) = image.registry.as_ref().filter(|text| text.contains('/')) {
            let name = &image.name;
            let message =
                format!("the image `{name}` has the registry `{registry}`: write the host alone");
            judge.warning_in(&seen.key, &at, message);
        }
        for fault in faults(image) {
            judge.error_in(&seen.key, &at, format!("the image `{}` {fault}", image.name));
        }
        if !image.is_mapping || image.digest.is_some() {
            continue;
        }
        let is_made = seen
            .kind
            .images
            .iter()
            .any(|made| made.name.as_ref().is_some_and(|name| name.as_str() == image.name));
        let name = &image.name;
        match (&image.tag, is_made) {
            (Some(tag), _) => {
                let message =
                    format!("the image `{name}` is named by its tag `{tag}` and has no digest");
                judge.narrow_in(&seen.key, &at, message);
            }
            (None, true) => {
                judge.narrow_in(&seen.key, &at, format!("the image `{name}` has no digest yet"));
            }
            (None, false) => {
                let message = format!("the image `{name}` has neither `digest` nor `tag`");
                judge.error_in(&seen.key, &at, message);
            }
        }
    }
}

fn faults(image: &ChartImage) -> Vec<String> {
    if !image.is_mapping {
        return vec!["is no mapping with `registry`, `image` and `digest`".to_owned()];
    }
    let mut faults = Vec::new();
    if image.registry.is_none() {
        faults.push("has no `registry`".to_owned());
    }
    match &image.image {
        None => faults.push("has no `image`".to_owned()),
        Some(image) if image.contains([':', '@']) || image.starts_with('/') => {
            faults.push(format!("has the image `{image}`: write the repository alone"));
        }
        Some(_) => {}
    }
    if let Some(digest) = &image.digest
        && digest.parse::<wharf_oci::Digest>().is_err()
    {
        faults.push(format!("has the digest `{digest}`, which is none"));
    }
    faults
}

fn templates(seen: &ChartView<'_>, is_proven: bool, judge: &mut Findings<'_>) {
    for stray in strays(seen.chart) {
        let at = seen.at(&stray.file, stray.spot);
        let message = match (&stray.what, stray.certainty) {
            (StrayKind::Literal(text), Certainty::Whole | Certainty::Part) => {
                format!("`{text}` is written out where an image is named")
            }
            (StrayKind::Elsewhere(path), Certainty::Whole | Certainty::Part) => {
                format!("an image is made of `{path}`, not of global.azure.images")
            }
            (StrayKind::Literal(text) | StrayKind::Elsewhere(text), _) => {
                format!("`{text}` may become an image, and is not of global.azure.images")
            }
        };
        // The rendered manifests are better evidence than a template's words.
        match (stray.certainty, is_proven) {
            (Certainty::Whole, _) | (Certainty::Part, false) => {
                judge.error_in(&seen.key, &at, message);
            }
            (Certainty::Part, true) | (Certainty::Maybe, false) | (Certainty::Suspected, _) => {
                judge.warning_in(&seen.key, &at, message);
            }
            (Certainty::Maybe, true) => {}
        }
    }
}
