//! Rules K8S about Helm's output for a chart and its values: whether it renders at all, its images,
//! its billed pods, and their nodes.

use std::collections::BTreeSet;

use super::chart::{ChartView, each};
use super::{Check, Findings, Gap, OfferView, Rule, Severity};
use crate::chart::CHART_FILE;
use crate::chart::helm::{HelmRefusal, Rendering};
use crate::chart::images::ChartImage;
use crate::chart::rendered::{RenderedChart, RenderedWorkload};
use crate::offer::model::Licence;
use crate::offer::plans::PriceUnit;
use crate::yaml::Spot;

/// The label of billed pods in Azure.
const BILLING_LABEL: &str = "azure-extensions-usage-release-identifier";
/// The name of the rendered release.
const RELEASE: &str = "release";

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "K8S-003",
        title: "pods of a billed plan have the billing label, and ask for cores where those are billed",
        severity: Severity::Error,
        source: "AC-technical-assets-kubernetes",
        why: "Azure counts by this label; without it nothing is billed, or the bundle is refused.",
        fix: "write `azure-extensions-usage-release-identifier: {{ .Release.Name }}` into the labels of \
              every pod, and `resources.requests.cpu` into every container that is billed by core",
        check: Check::Offer(billing),
    },
    Rule {
        id: "K8S-006",
        title: "the chart renders, to something that runs",
        severity: Severity::Error,
        source: "AC-technical-assets-kubernetes; Helm",
        why: "The packaging tool renders the chart with its values, and so does each installation.",
        fix: "make `helm template` of the chart succeed with values.yaml alone, and have it render at \
              least one workload",
        check: Check::Offer(renders),
    },
    Rule {
        id: "K8S-007",
        title: "every rendered image is one of `global.azure.images`",
        severity: Severity::Error,
        source: "AC-technical-assets-kubernetes",
        why: "An image that is made of anything else is not copied, and a customer cannot pull it.",
        fix: "build the image from `registry`, `image` and `digest` of one entry of \
              `global.azure.images`",
        check: Check::Offer(|view, judge| {
            rendered(view, judge, images);
        }),
    },
    Rule {
        id: "K8S-011",
        title: "pods run on linux/amd64",
        severity: Severity::Error,
        source: "AC-technical-assets-kubernetes: Linux and AMD64 only",
        why: "Images of other platforms are not taken, so a pod that asks for such a node never starts.",
        fix: "ask for `kubernetes.io/os: linux` and `kubernetes.io/arch: amd64`, or for nothing",
        check: Check::Offer(|view, judge| {
            rendered(view, judge, nodes);
        }),
    },
];

/// Looks at the rendered manifests of each chart. Without Helm the rule is not decided; one Helm
/// refuses is told of by K8S-006.
fn rendered(
    view: &OfferView<'_>,
    judge: &mut Findings<'_>,
    mut look: impl FnMut(&ChartView<'_>, &RenderedChart, &mut Findings<'_>),
) {
    each(view, judge, |seen, judge| match view.evidence.rendered.get(&seen.place) {
        None => judge.not_looked_at(Gap::Helm),
        Some(Rendering::Done(rendered)) => look(seen, rendered, judge),
        Some(Rendering::Refused(_) | Rendering::Failed(_)) => {}
    });
}

fn renders(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    each(view, judge, |seen, judge| match view.evidence.rendered.get(&seen.place) {
        None => judge.not_looked_at(Gap::Helm),
        Some(Rendering::Failed(message)) => judge.not_said(&seen.key, message.as_str()),
        Some(Rendering::Refused(refusal)) => refused(seen, refusal, judge),
        Some(Rendering::Done(rendered)) if rendered.workloads.is_empty() => {
            let message =
                format!("the chart renders to {} objects, and none of them runs", rendered.objects);
            judge.error_in(&seen.key, &seen.at(CHART_FILE, Spot::START), message);
        }
        Some(Rendering::Done(_)) => {}
    });
}

fn refused(seen: &ChartView<'_>, refusal: &HelmRefusal, judge: &mut Findings<'_>) {
    let HelmRefusal { message, file, line, column } = refusal;
    let file = file.as_deref().filter(|file| seen.chart.file(file).is_some());
    let spot = Spot { line: line.unwrap_or(1), column: column.unwrap_or(1), width: 1 };
    let spot = if file.is_some() { spot } else { Spot::START };
    let at = seen.at(file.unwrap_or(CHART_FILE), spot);
    judge.error_in(&seen.key, &at, format!("Helm does not render it: {message}"));
}

fn images(seen: &ChartView<'_>, rendered: &RenderedChart, judge: &mut Findings<'_>) {
    // K8S-008 reports unreadable values.
    if seen.chart.values.is_err() {
        return;
    }
    let known: BTreeSet<String> =
        seen.chart.images().iter().flat_map(ChartImage::references).collect();
    for workload in &rendered.workloads {
        for container in workload.containers.iter().filter(|at| !known.contains(&at.image)) {
            let image = match container.image.as_str() {
                "" => "no image".to_owned(),
                image => format!("the image `{image}`, which is not of global.azure.images"),
            };
            let message =
                format!("the container `{}` of {} has {image}", container.name, workload.shown());
            judge.error_in(&seen.key, &seen.at(&workload.template, Spot::START), message);
        }
    }
    for loose in rendered.loose.iter().filter(|at| !known.contains(&at.image)) {
        let message = format!(
            "`{}` of {} is `{}`, which is not of global.azure.images",
            loose.key, loose.object, loose.image
        );
        judge.warning_in(&seen.key, &seen.at(&loose.template, Spot::START), message);
    }
}

fn billing(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    let is_billed = |plan: &crate::offer::model::Plan| plan.licence == Licence::PayAsYouGo;
    if !view.offer.plans.iter().any(is_billed) {
        judge.not_applicable();
        return;
    }
    each(view, judge, |seen, judge| {
        if !is_billed(seen.plan) {
            return;
        }
        match view.evidence.rendered.get(&seen.place) {
            Some(Rendering::Done(rendered)) => billed(seen, rendered, judge),
            Some(Rendering::Refused(_) | Rendering::Failed(_)) => {}
            None => {
                // A label absent from every template is absent from the output too, Helm or not.
                let mut texts = seen.chart.templates().filter_map(|file| file.text());
                if texts.any(|text| text.contains(BILLING_LABEL)) {
                    judge.not_looked_at(Gap::Helm);
                } else {
                    let at = seen.at(CHART_FILE, Spot::START);
                    judge.error_in(
                        &seen.key,
                        &at,
                        format!("no template has the label `{BILLING_LABEL}`"),
                    );
                }
            }
        }
    });
}

fn billed(seen: &ChartView<'_>, rendered: &RenderedChart, judge: &mut Findings<'_>) {
    let is_by_core =
        seen.kind.prices.as_ref().and_then(|prices| prices.unit) == Some(PriceUnit::PerCore);
    for workload in rendered.workloads.iter().filter(|at| stays(at)) {
        let at = seen.at(&workload.template, Spot::START);
        let shown = workload.shown();
        match workload.labels.iter().find(|(key, _)| key == BILLING_LABEL) {
            None => {
                let message = format!("the pods of {shown} have no label `{BILLING_LABEL}`");
                judge.error_in(&seen.key, &at, message);
            }
            Some((_, value)) if value != RELEASE => {
                let message = format!(
                    "the label `{BILLING_LABEL}` of {shown} is not `{{{{ .Release.Name }}}}`"
                );
                judge.warning_in(&seen.key, &at, message);
            }
            Some(_) => {}
        }
        let containers = workload.containers.iter().filter(|at| at.is_main && !at.has_cpu_request);
        for container in containers.filter(|_| is_by_core) {
            let message = format!("the container `{}` of {shown} asks for no cpu", container.name);
            judge.error_in(&seen.key, &at, message);
        }
    }
}

/// The kinds of workload with billed pods (AC-technical-assets-kubernetes).
fn stays(workload: &RenderedWorkload) -> bool {
    let kinds = ["Pod", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"];
    kinds.contains(&workload.kind.as_str())
}

fn nodes(seen: &ChartView<'_>, rendered: &RenderedChart, judge: &mut Findings<'_>) {
    for workload in &rendered.workloads {
        for (key, values) in &workload.nodes {
            let wanted = match key.as_str() {
                "kubernetes.io/os" | "beta.kubernetes.io/os" => "linux",
                "kubernetes.io/arch" | "beta.kubernetes.io/arch" => "amd64",
                _ => continue,
            };
            if !values.iter().any(|value| value == wanted) {
                let message = format!(
                    "{} asks for nodes with `{key}: {}`, and only {wanted} is taken",
                    workload.shown(),
                    values.join(", ")
                );
                judge.error_in(&seen.key, &seen.at(&workload.template, Spot::START), message);
            }
        }
    }
}
