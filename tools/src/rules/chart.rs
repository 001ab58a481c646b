//! Rules K8S about the Helm chart of a plan as it lies there: its metadata, its packed files, and
//! the agreement of its images with the offer's.

use super::{Check, Findings, NamedPlace, OfferView, Rule, Severity, chart_shared};
use crate::chart::metadata::{Metadata, SpannedText};
use crate::chart::yaml::YamlFault;
use crate::chart::{CHART_FILE, Chart, SCHEMA_FILE, Subchart, VALUES_FILE, templates};
use crate::offer::model::Plan;
use crate::offer::plans::{KubernetesPlan, PlanKind};
use crate::offer::source_map::Spot;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "K8S-005",
        title: "subcharts are unpacked",
        severity: Severity::Error,
        source: "AC-technical-assets-kubernetes",
        why: "The packaging tool looks for images in files, and refuses archives among them.",
        fix: "unpack the archive in `charts/` (`tar -xzf`) and delete it",
        check: Check::Offer(|view, judge| {
            each(view, judge, |seen, judge| {
                for archive in seen.chart.archives() {
                    let at = seen.at(&archive.path, Spot::START);
                    judge.error_in(&seen.key, &at, format!("{} is a packed chart", archive.path));
                }
            });
        }),
    },
    Rule {
        id: "K8S-008",
        title: "a chart says what it is, and its files can be read",
        severity: Severity::Error,
        source: "Helm (chart format v2); AC-technical-assets-kubernetes",
        why: "The packaging tool and the cluster extension install it with Helm 3.",
        fix: "write `apiVersion: v2`, a name, and a version of three numbers into Chart.yaml, and keep \
              every file within the chart",
        check: Check::Offer(|view, judge| each(view, judge, says_what_it_is)),
    },
    Rule {
        id: "K8S-009",
        title: "every chart that is needed lies in the chart",
        severity: Severity::Error,
        source: "AC-technical-assets-kubernetes: no charts are downloaded at run time",
        why: "Nothing is downloaded when a customer installs; a chart that is not there fails.",
        fix: "run `helm dependency build`, and unpack what it puts into `charts/`",
        check: Check::Offer(|view, judge| each(view, judge, needs_are_there)),
    },
    Rule {
        id: "K8S-012",
        title: "offer and chart name the same images",
        severity: Severity::Error,
        source: "AC-technical-assets-kubernetes; INFERENCE for names that are not used",
        why: "An image that the chart does not name is never installed, and one that nobody makes \
              cannot be copied.",
        fix: "use one name in `images` of the plan, under `global.azure.images`, and in templates; \
              `wharf offer pin` writes where each image is",
        check: Check::Offer(|view, judge| {
            same_images(view, judge);
            chart_shared::images(view, judge);
        }),
    },
];

/// A plan with its chart.
pub(super) struct ChartView<'a> {
    /// The place of the plan.
    pub(super) place: usize,
    /// The offer key of the chart's path.
    pub(super) key: String,
    pub(super) plan: &'a Plan,
    /// The plan's Kubernetes section.
    pub(super) kind: &'a KubernetesPlan,
    pub(super) chart: &'a Chart,
}

impl ChartView<'_> {
    /// A place in a file of the chart.
    pub(super) fn at(&self, file: &str, spot: Spot) -> NamedPlace {
        let text = self.chart.file(file).and_then(|file| file.text()).unwrap_or_default();
        NamedPlace::new(&self.chart.path(file), text, spot)
    }
}

/// Looks at the chart of each Kubernetes plan.
pub(super) fn each(
    view: &OfferView<'_>,
    judge: &mut Findings<'_>,
    mut look: impl FnMut(&ChartView<'_>, &mut Findings<'_>),
) {
    let mut is_any = false;
    for (place, plan) in view.offer.plans.iter().enumerate() {
        let (PlanKind::Kubernetes(kind), Some(chart)) =
            (&plan.kind, view.content.charts.get(&place))
        else {
            continue;
        };
        is_any = true;
        look(&ChartView { place, key: format!("plans[{place}].chart"), plan, kind, chart }, judge);
    }
    if !is_any {
        judge.not_applicable();
    }
}

fn says_what_it_is(seen: &ChartView<'_>, judge: &mut Findings<'_>) {
    let ChartView { chart, key, .. } = seen;
    match &chart.metadata {
        Ok(metadata) => described(seen, "", metadata, judge),
        Err(fault) => unreadable(seen, fault, judge),
    }
    for Subchart { path, metadata, values } in &chart.subcharts {
        match metadata {
            Ok(metadata) => described(seen, &format!("{path}/"), metadata, judge),
            Err(fault) => unreadable(seen, fault, judge),
        }
        if let Err(fault) = values {
            unreadable(seen, fault, judge);
        }
    }
    if let Err(fault) = &chart.values {
        unreadable(seen, fault, judge);
    }
    for link in &chart.astray {
        let at = seen.at(link, Spot::START);
        judge.error_in(
            key,
            &at,
            format!("{link} is a link that leads out of the chart, or in a circle"),
        );
    }
    if let Some(schema) = chart.file(SCHEMA_FILE)
        && let Err(error) = serde_json::from_slice::<serde_json::Value>(&schema.bytes)
    {
        let spot = Spot { line: error.line().max(1), column: error.column().max(1), width: 1 };
        judge.error_in(key, &seen.at(SCHEMA_FILE, spot), format!("this is no JSON: {error}"));
    }
}

fn unreadable(seen: &ChartView<'_>, fault: &YamlFault, judge: &mut Findings<'_>) {
    let at = seen.at(&fault.file, fault.spot);
    judge.error_in(&seen.key, &at, format!("{} cannot be read: {}", fault.file, fault.message));
}

fn described(seen: &ChartView<'_>, folder: &str, metadata: &Metadata, judge: &mut Findings<'_>) {
    let file = format!("{folder}{CHART_FILE}");
    let is_root = folder.is_empty();
    let mut must =
        |word: &Option<SpannedText>, key: &str, fits: fn(&str) -> bool, wanted: &str| match word {
            None => {
                let at = seen.at(&file, Spot::START);
                judge.error_in(&seen.key, &at, format!("the key `{key}` is missing; {wanted}"));
            }
            Some(word) if !fits(&word.text) => {
                let message = format!("`{key}` is `{}`; {wanted}", word.text);
                judge.error_in(&seen.key, &seen.at(&file, word.spot), message);
            }
            Some(_) => {}
        };
    if is_root {
        must(
            &metadata.api_version,
            "apiVersion",
            |text| matches!(text, "v1" | "v2"),
            "write `v2`, the format of Helm 3",
        );
    }
    // Names and versions of subcharts are their makers', and Helm takes more of them.
    let is_fit: fn(&str) -> bool = if is_root { is_name } else { |_| true };
    must(
        &metadata.name,
        "name",
        is_fit,
        "lowercase letters, digits and `-` go into names of objects",
    );
    let is_version: fn(&str) -> bool = if is_root { is_semantic } else { |_| true };
    must(&metadata.version, "version", is_version, "write three numbers: 1.0.0");
    if let Some(old) = metadata.api_version.as_ref().filter(|word| is_root && word.text == "v1") {
        let message = "`apiVersion` is `v1`, the format of Helm 2; write `v2`";
        judge.warning_in(&seen.key, &seen.at(&file, old.spot), message);
    }
    if let Some(kind) = metadata.kind.as_ref().filter(|kind| is_root && kind.text == "library") {
        let message = "a library is not installed; the chart of a plan is an `application`";
        judge.error_in(&seen.key, &seen.at(&file, kind.spot), message);
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
}

/// Whether a text is a version by Semantic Versioning 2.
fn is_semantic(text: &str) -> bool {
    let (text, build) =
        text.split_once('+').map_or((text, None), |(all, build)| (all, Some(build)));
    let (core, before) =
        text.split_once('-').map_or((text, None), |(core, rest)| (core, Some(rest)));
    let is_number = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|c| c.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    let is_word = |part: &str| {
        !part.is_empty() && part.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
    };
    let words = |all: Option<&str>| all.is_none_or(|all| all.split('.').all(is_word));
    core.split('.').count() == 3 && core.split('.').all(is_number) && words(before) && words(build)
}

fn needs_are_there(seen: &ChartView<'_>, judge: &mut Findings<'_>) {
    let chart = seen.chart;
    let of_subcharts = chart.subcharts.iter().map(|at| (format!("{}/", at.path), &at.metadata));
    let all = std::iter::once((String::new(), &chart.metadata)).chain(of_subcharts);
    for (folder, metadata) in all {
        let Ok(metadata) = metadata else { continue };
        let below = format!("{folder}charts/");
        for need in &metadata.dependencies {
            let is_there = chart.subcharts.iter().any(|at| {
                let name = at.path.strip_prefix(&below).filter(|rest| !rest.contains('/'));
                let said = at.metadata.as_ref().ok().and_then(|data| data.name.as_ref());
                name.is_some() && said.is_some_and(|said| said.text == need.name)
            });
            // A packed dependency is left to K8S-005.
            let packed = format!("{below}{}-", need.name);
            if is_there || chart.archives().any(|file| file.path.starts_with(&packed)) {
                continue;
            }
            let from = need.repository.as_deref().filter(|from| !from.is_empty());
            let from = from.map(|_| " and would be downloaded").unwrap_or_default();
            let message = format!("`{}` is needed and not in {below}{from}", need.name);
            judge.error_in(
                &seen.key,
                &seen.at(&format!("{folder}{CHART_FILE}"), need.spot),
                message,
            );
        }
    }
}

fn same_images(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    let entry = view.offer.registries.get(&view.offer.offer.registry);
    each(view, judge, |seen, judge| {
        // Unreadable values name no image, and K8S-008 reports them.
        if seen.chart.values.is_err() {
            return;
        }
        let images = seen.chart.images();
        for made in &seen.kind.images {
            let Some(name) = &made.name else { continue };
            let Some(found) = images.iter().find(|at| at.name == name.as_str()) else {
                let message = format!("the values of the chart have no global.azure.images.{name}");
                judge.error(&made.key, message);
                continue;
            };
            let Some(entry) = entry else { continue };
            let prefix = entry.prefix.as_ref().map(|prefix| format!("{prefix}/"));
            let wanted = format!(
                "{}/{}{}",
                entry.login_server,
                prefix.unwrap_or_default(),
                made.image.repository
            );
            let written = found.registry.as_ref().zip(found.image.as_ref());
            let written = written.map(|(registry, image)| format!("{registry}/{image}"));
            if let Some(written) = written.filter(|written| *written != wanted) {
                let message =
                    format!("`{name}` is {written}, and the offer publishes it as {wanted}");
                judge.warning_in(&seen.key, &seen.at(VALUES_FILE, found.spot), message);
            }
        }
        for image in &images {
            if !templates::uses(seen.chart, &image.name) {
                let message = format!("no template uses the image `{}`", image.name);
                judge.warning_in(&seen.key, &seen.at(VALUES_FILE, image.spot), message);
            }
            let is_made = seen
                .kind
                .images
                .iter()
                .any(|made| made.name.as_ref().is_some_and(|name| name.as_str() == image.name));
            if !is_made && image.digest.is_none() && !seen.kind.images.is_empty() {
                let message =
                    format!("`{}` is not made from this offer, and has no digest", image.name);
                judge.warning_in(&seen.key, &seen.at(VALUES_FILE, image.spot), message);
            }
        }
    });
}

#[cfg(test)]
mod tests;
