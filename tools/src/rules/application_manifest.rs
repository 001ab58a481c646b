//! Rules K8S about `manifest.yaml`: its keys, and its agreement with the offer.

use super::application::{PlanView, each};
use super::{Check, Findings, OfferView, Rule, Severity};
use crate::application::manifest::PackageManifest;
use crate::application::template::ReleaseScope;
use crate::application::tree::Spanned;
use crate::offer::content::Content;
use crate::offer::model::Scope;
use crate::offer::source_map::Spot;
use crate::offer::values::RelativePath;

/// Longest name of a namespace, in characters (RFC 1123).
const NAMESPACE_CHARS_MAX: usize = 63;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "K8S-004",
        title: "the manifest has its keys, a version of three numbers, and a namespace for cluster scope",
        severity: Severity::Error,
        source: "AC-technical-assets-kubernetes; K8S-S; CLI-M",
        why: "The packaging tool reads the manifest first and stops at what is missing.",
        fix: "write the keys of the manifest as the example offer has them",
        check: Check::Offer(keys),
    },
    Rule {
        id: "K8S-014",
        title: "the manifest leads to the chart, templates and UI definition that the offer names",
        severity: Severity::Error,
        source: "AC-technical-assets-kubernetes",
        why: "What is checked here would not be what is packaged.",
        fix: "write the paths relative to the manifest, to the same files as in the offer",
        check: Check::Offer(|view, judge| each(view, judge, paths)),
    },
    Rule {
        id: "K8S-015",
        title: "the manifest names the registry that Microsoft copies from",
        severity: Severity::Error,
        source: "AC-technical-assets-kubernetes",
        why: "The packaging tool pushes the bundle there; it and its images belong to one registry.",
        fix: "write the `loginServer` of the offer's registry as `registryServer`",
        check: Check::Offer(|view, judge| each(view, judge, registry)),
    },
    Rule {
        id: "K8S-016",
        title: "the manifest has the version of the bundle, and better that of the chart",
        severity: Severity::Error,
        source: "AC-technical-assets-kubernetes (a bundle is tagged with the version of its manifest)",
        why: "A bundle under another version than the offer names is not found.",
        fix: "write one version in the manifest, in `bundle.version` and in Chart.yaml",
        check: Check::Offer(|view, judge| {
            each(view, judge, |seen, judge| versions(seen, judge, view.content));
        }),
    },
    Rule {
        id: "K8S-018",
        title: "offer, manifest and ARM template have the same scope and namespace",
        severity: Severity::Error,
        source: "AC-technical-assets-kubernetes; K8S-S",
        why: "An extension that is installed in another namespace than it was registered for fails.",
        fix: "write the same scope and namespace in all three",
        check: Check::Offer(|view, judge| each(view, judge, scopes)),
    },
];

fn keys(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    each(view, judge, |seen, judge| {
        let Some(manifest) = &seen.application.manifest.content else { return };
        for fault in &manifest.faults {
            seen.manifest(judge, fault.spot, &fault.message);
        }
        for fault in &manifest.unknown {
            seen.doubt_manifest(judge, fault.spot, &fault.message);
        }
        required(seen, judge, manifest);
        if let Some(version) = &manifest.version
            && !is_version(&version.value)
        {
            let message = format!("the version `{}` is not three numbers, as 1.0.0", version.value);
            seen.manifest(judge, version.spot, message);
        }
        scope_of(seen, judge, manifest);
    });
}

fn required(seen: &PlanView<'_>, judge: &mut Findings<'_>, manifest: &PackageManifest) {
    let PackageManifest { application_name, publisher, description, version, helm_chart, .. } =
        manifest;
    let registration = manifest.registration.unwrap_or(Spot::START);
    for (key, value, parent) in [
        ("applicationName", application_name, Spot::START),
        ("publisher", publisher, Spot::START),
        ("description", description, Spot::START),
        ("version", version, Spot::START),
        ("helmChart", helm_chart, Spot::START),
        ("clusterArmTemplate", &manifest.arm_template, Spot::START),
        ("uiDefinition", &manifest.ui_definition, Spot::START),
        ("registryServer", &manifest.registry_server, Spot::START),
        ("extensionRegistrationParameters.defaultScope", &manifest.scope, registration),
    ] {
        match value {
            Some(Spanned { spot, value }) if value.trim().is_empty() => {
                seen.manifest(judge, *spot, format!("`{key}` is empty"));
            }
            Some(_) => {}
            // A value of another kind was told already.
            None if manifest.faults.iter().any(|fault| fault.message.contains(last(key))) => {}
            None => seen.manifest(judge, parent, format!("the key `{key}` is missing")),
        }
    }
}

fn last(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

fn scope_of(seen: &PlanView<'_>, judge: &mut Findings<'_>, manifest: &PackageManifest) {
    if let Some(scope) = &manifest.scope {
        match scope.value.as_str() {
            "cluster" if manifest.namespace.is_none() => {
                let message = "an application of cluster scope has a `namespace`";
                seen.manifest(judge, scope.spot, message);
            }
            "cluster" | "namespace" | "" => {}
            other => {
                let message = format!("the scope `{other}` is neither `cluster` nor `namespace`");
                seen.manifest(judge, scope.spot, message);
            }
        }
    }
    if let Some(namespace) = manifest.namespace.as_ref().filter(|at| !is_label(&at.value)) {
        let message = format!("`{}` is no name of a namespace", namespace.value);
        seen.manifest(judge, namespace.spot, message);
    }
}

/// `#.#.#`, without zeros before a number.
pub(super) fn is_version(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let is_number = |part: &&str| {
        !part.is_empty()
            && part.len() <= 9
            && part.bytes().all(|c| c.is_ascii_digit())
            && (*part == "0" || !part.starts_with('0'))
    };
    parts.len() == 3 && parts.iter().all(is_number)
}

/// A name as Kubernetes has them (RFC 1123).
fn is_label(text: &str) -> bool {
    let is_part = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=NAMESPACE_CHARS_MAX).contains(&text.len())
        && text.bytes().all(is_part)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn paths(seen: &PlanView<'_>, judge: &mut Findings<'_>) {
    let Some(manifest) = &seen.application.manifest.content else { return };
    let plan = seen.plan;
    for (key, written, named) in [
        ("chart", &manifest.helm_chart, &plan.chart),
        ("armTemplate", &manifest.arm_template, &plan.arm_template),
        ("uiDefinition", &manifest.ui_definition, &plan.ui_definition),
    ] {
        let Some(written) = written.as_ref().filter(|at| !at.value.trim().is_empty()) else {
            continue;
        };
        if written.value.starts_with('/') || written.value.contains(['\\', ':']) {
            let message = format!("`{}` is no path relative to the manifest", written.value);
            seen.manifest(judge, written.spot, message);
        } else if meant(&plan.manifest, &written.value) != parts(named.as_str()) {
            let message = format!("`{}` is not `{named}`, the `{key}` of the offer", written.value);
            seen.manifest(judge, written.spot, message);
        }
    }
}

/// The path from the offer's folder a path in the manifest means.
fn meant(manifest: &RelativePath, written: &str) -> Vec<String> {
    let folder = manifest.as_str().rsplit_once('/').map_or("", |(folder, _)| folder);
    parts(&format!("{folder}/{written}"))
}

/// The parts of a path, with `.` and `..` resolved.
fn parts(path: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| last != "..") => {
                parts.pop();
            }
            part => parts.push(part.to_owned()),
        }
    }
    parts
}

fn registry(seen: &PlanView<'_>, judge: &mut Findings<'_>) {
    let Some(manifest) = &seen.application.manifest.content else { return };
    let Some(written) = manifest.registry_server.as_ref().filter(|at| !at.value.is_empty()) else {
        return;
    };
    let name = &seen.offer.offer.registry;
    let Some(registry) = seen.offer.registries.get(name) else { return };
    let server = registry.login_server.as_str();
    if !written.value.eq_ignore_ascii_case(server) {
        let message =
            format!("`{}` is not `{server}`, the registry `{name}` of the offer", written.value);
        seen.manifest(judge, written.spot, message);
    }
}

fn versions(seen: &PlanView<'_>, judge: &mut Findings<'_>, content: &Content) {
    let Some(manifest) = &seen.application.manifest.content else { return };
    let Some(version) = manifest.version.as_ref().filter(|at| is_version(&at.value)) else {
        return;
    };
    let bundle = seen.plan.bundle.as_ref().and_then(|bundle| bundle.version.as_deref());
    if let Some(bundle) = bundle.filter(|bundle| *bundle != version.value) {
        let message =
            format!("the version is {}, and the bundle of the offer has {bundle}", version.value);
        seen.manifest(judge, version.spot, message);
    }
    let chart = content.charts.get(&seen.place).and_then(|chart| chart.metadata.as_ref().ok());
    let chart = chart.and_then(|metadata| metadata.version.as_ref());
    if let Some(chart) = chart.filter(|chart| chart.text != version.value) {
        let message = format!("the version is {}, and {} in Chart.yaml", version.value, chart.text);
        seen.doubt_manifest(judge, version.spot, &message);
    }
}

fn scopes(seen: &PlanView<'_>, judge: &mut Findings<'_>) {
    let scope = match seen.plan.scope {
        Scope::Cluster => "cluster",
        Scope::Namespace => "namespace",
    };
    let namespace = seen.plan.namespace.as_deref();
    if seen.plan.scope == Scope::Cluster && namespace.is_none() {
        judge.error(&seen.key("scope"), "a plan of cluster scope has a `namespace`");
    }
    if let Some(manifest) = &seen.application.manifest.content {
        if let Some(written) =
            manifest.scope.as_ref().filter(|at| is_scope(at) && at.value != scope)
        {
            let message = format!("the scope is `{}`, and `{scope}` in the offer", written.value);
            seen.manifest(judge, written.spot, message);
        }
        if let (Some(written), Some(namespace)) = (&manifest.namespace, namespace)
            && written.value != namespace
        {
            let message =
                format!("the namespace is `{}`, and `{namespace}` in the offer", written.value);
            seen.manifest(judge, written.spot, message);
        }
    }
    installed(seen, judge, namespace);
}

fn is_scope(at: &Spanned<String>) -> bool {
    matches!(at.value.as_str(), "cluster" | "namespace")
}

/// Where the ARM template installs the extension. Without a scope it is the scope of the
/// registration.
fn installed(seen: &PlanView<'_>, judge: &mut Findings<'_>, namespace: Option<&str>) {
    let Some(template) = &seen.application.template.content else { return };
    for extension in &template.extensions {
        match (&extension.scope, seen.plan.scope) {
            (Some(ReleaseScope::Cluster { namespace: Some(written), .. }), Scope::Cluster) => {
                let literal = template.literal(&written.value);
                if let (Some(literal), Some(namespace)) = (literal, namespace)
                    && literal != namespace
                {
                    let message = format!(
                        "the extension goes to the namespace `{literal}`, and to \
                                           `{namespace}` in the offer"
                    );
                    seen.template(judge, written.spot, message);
                }
            }
            (Some(ReleaseScope::Cluster { spot, namespace: None }), Scope::Cluster) => {
                seen.template(judge, *spot, "the cluster scope has no `releaseNamespace`");
            }
            (Some(ReleaseScope::Cluster { spot, .. }), Scope::Namespace) => {
                seen.template(
                    judge,
                    *spot,
                    "the extension has cluster scope, and the plan has not",
                );
            }
            (Some(ReleaseScope::Namespace { spot }), Scope::Cluster) => {
                let message = "the extension has the scope of a namespace, and the plan has not";
                seen.template(judge, *spot, message);
            }
            (Some(ReleaseScope::Namespace { .. }), Scope::Namespace) | (None, _) => {}
        }
    }
}
