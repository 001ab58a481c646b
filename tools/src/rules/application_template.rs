//! Rules K8S about `mainTemplate.json`: its resources, the installation of the extension, and the
//! values for the chart.

use std::collections::BTreeSet;

use super::application::{PlanView, each};
use super::{Check, Findings, OfferView, Rule, Severity};
use crate::application::expression;
use crate::application::template::{
    ArmTemplate, CLUSTER_TYPE, ChartSetting, EXTENSION_TYPE, Extension, TemplateParameter,
};
use crate::application::tree::{NodeValue, Spanned};
use crate::offer::source_map::Spot;
use crate::yaml::Node as ChartNode;

/// The placeholder in the variables filled in by Microsoft.
const FILLED_IN: &str = "DONOTMODIFY";
/// Longest name of a key of a Kubernetes secret, in characters.
const SECRET_KEY_CHARS_MAX: usize = 253;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "K8S-001",
        title: "the ARM template has managed clusters and cluster extensions only, and links none",
        severity: Severity::Error,
        source: "AC-technical-assets-kubernetes",
        why: "Templates with other resources, and linked templates, are not taken.",
        fix: "keep `Microsoft.ContainerService/managedClusters` and \
              `Microsoft.KubernetesConfiguration/extensions`, in one template",
        check: Check::Offer(|view, judge| each(view, judge, resources)),
    },
    Rule {
        id: "K8S-020",
        title: "the ARM template installs one extension in a cluster",
        severity: Severity::Error,
        source: "K8S-S samples/k8s-offer-azure-vote/mainTemplate.json",
        why: "The extension is the application; without its cluster it is installed nowhere.",
        fix: "write one extension with the `scope` of its cluster, below `$schema` and \
              `contentVersion`",
        check: Check::Offer(|view, judge| each(view, judge, extension)),
    },
    Rule {
        id: "K8S-021",
        title: "the extension has a plan of variables that Microsoft fills in",
        severity: Severity::Error,
        source: "K8S-S samples/k8s-offer-azure-vote/mainTemplate.json",
        why: "Who has bought which plan is known by it; its names are filled in on publication.",
        fix: "write `plan` with the variables `plan-name`, `plan-publisher` and `plan-offerID`, each \
              `DONOTMODIFY`",
        check: Check::Offer(|view, judge| each(view, judge, bought)),
    },
    Rule {
        id: "K8S-022",
        title: "extension type and release train are variables that Microsoft fills in",
        severity: Severity::Error,
        source: "K8S-S samples/k8s-offer-azure-vote/mainTemplate.json",
        why: "Previews and live offers have different trains, and the type is registered on \
              publication.",
        fix: "write `[variables('clusterExtensionTypeName')]` and `[variables('releaseTrain')]`, \
              both `DONOTMODIFY`",
        check: Check::Offer(|view, judge| each(view, judge, registered)),
    },
    Rule {
        id: "K8S-023",
        title: "the ARM template uses what it declares, and declares what it uses",
        severity: Severity::Error,
        source: "ARM template reference",
        why: "A parameter that is not declared fails the deployment; one that is not used asks \
              customers for nothing.",
        fix: "declare each parameter and variable once, and use each parameter",
        check: Check::Offer(|view, judge| each(view, judge, declared)),
    },
    Rule {
        id: "K8S-027",
        title: "settings have names that the chart and Kubernetes secrets can have",
        severity: Severity::Error,
        source: "K8S-S (protected settings are kept as a Kubernetes secret)",
        why: "A protected setting is a key of a secret: letters, digits, `-`, `_` and `.`.",
        fix: "write the path of the value in the chart with dots; of a protected one in letters, \
              digits, `-` and `_`",
        check: Check::Offer(|view, judge| each(view, judge, setting_names)),
    },
    Rule {
        id: "K8S-028",
        title: "secrets go from secure parameters to protected settings, and stand in no file",
        severity: Severity::Error,
        source: "K8S-S; ARM template reference (secureString)",
        why: "What stands in the template is public; settings that are not protected are read by \
              everybody who may look at the extension.",
        fix: "take a `secureString` without a default value, and give it to \
              `configurationProtectedSettings`",
        check: Check::Offer(|view, judge| each(view, judge, secrets)),
    },
    Rule {
        id: "K8S-029",
        title: "settings set values that the chart has",
        severity: Severity::Warning,
        source: "INFERENCE: Helm takes any name and says nothing",
        why: "A setting that no template reads is an answer of the customer that is lost.",
        fix: "write the path of the value as it stands in values.yaml",
        check: Check::Offer(set_values),
    },
];

fn resources(seen: &PlanView<'_>, judge: &mut Findings<'_>) {
    let Some(template) = &seen.application.template.content else { return };
    for resource in &template.resources {
        let Some(kind) = &resource.kind else {
            seen.template(judge, resource.spot, "a resource has no `type`");
            continue;
        };
        let allowed = [CLUSTER_TYPE, EXTENSION_TYPE];
        match template.literal(&kind.value) {
            Some(text) if allowed.iter().any(|known| known.eq_ignore_ascii_case(text)) => {}
            Some(text) => {
                let message = format!("a resource of type `{text}` is not taken");
                seen.template(judge, kind.spot, message);
            }
            None => {
                seen.template(judge, kind.spot, "a type is written as it is, without functions");
            }
        }
        if let Some(link) = resource.link {
            seen.template(judge, link, "it links another template");
        }
    }
}

fn extension(seen: &PlanView<'_>, judge: &mut Findings<'_>) {
    let Some(template) = &seen.application.template.content else { return };
    let is_schema =
        |at: &Spanned<String>| at.value.to_ascii_lowercase().contains("deploymenttemplate.json");
    match &template.schema {
        Some(schema) if is_schema(schema) => {}
        Some(schema) => seen.template(judge, schema.spot, "`$schema` is not that of a deployment"),
        None => seen.template(judge, Spot::START, "the key `$schema` is missing"),
    }
    if template.content_version.is_none() {
        seen.template(judge, Spot::START, "the key `contentVersion` is missing");
    }
    match template.extensions.as_slice() {
        [] => seen.template(judge, Spot::START, format!("there is no `{EXTENSION_TYPE}`")),
        [one] if one.of.is_none() => {
            seen.template(judge, one.spot, "the extension does not say its cluster: `scope`");
        }
        [_] => {}
        [_, second, ..] => {
            let message = format!("there are {} extensions", template.extensions.len());
            seen.template(judge, second.spot, message);
        }
    }
}

fn bought(seen: &PlanView<'_>, judge: &mut Findings<'_>) {
    let Some(template) = &seen.application.template.content else { return };
    for extension in &template.extensions {
        let Some((spot, found)) = &extension.plan else {
            seen.template(judge, extension.spot, "the extension has no `plan`");
            continue;
        };
        let wanted =
            [("name", "plan-name"), ("publisher", "plan-publisher"), ("product", "plan-offerID")];
        for ((key, variable), found) in wanted.into_iter().zip(found) {
            let field = ExtensionField { key, value: found.as_ref(), extension: *spot };
            filled_in(seen, judge, template, field, variable);
        }
    }
}

fn registered(seen: &PlanView<'_>, judge: &mut Findings<'_>) {
    let Some(template) = &seen.application.template.content else { return };
    for Extension { spot, extension_type, release_train, .. } in &template.extensions {
        let field = |key, value| ExtensionField { key, value, extension: *spot };
        let kind = field("extensionType", extension_type.as_ref());
        filled_in(seen, judge, template, kind, "clusterExtensionTypeName");
        let train = field("releaseTrain", release_train.as_ref());
        filled_in(seen, judge, template, train, "releaseTrain");
    }
}

/// A field of an extension, and where the extension stands.
struct ExtensionField<'a> {
    key: &'a str,
    value: Option<&'a Spanned<String>>,
    extension: Spot,
}

/// Whether Microsoft fills in the value of the variable with this key.
fn filled_in(
    seen: &PlanView<'_>,
    judge: &mut Findings<'_>,
    template: &ArmTemplate,
    ExtensionField { key, value, extension }: ExtensionField<'_>,
    variable: &str,
) {
    let Some(found) = value else {
        let message = format!("`{key}` is missing; it is `[variables('{variable}')]`");
        return seen.template(judge, extension, message);
    };
    let used = expression::of(&found.value).and_then(|at| expression::only_call(at, "variables"));
    if used != Some(variable) {
        let message = format!("`{key}` is not `[variables('{variable}')]`");
        return seen.template(judge, found.spot, message);
    }
    match template.variable(variable) {
        Some(at) if at.value.text() != Some(FILLED_IN) => {
            let message = format!("the variable `{variable}` is not `{FILLED_IN}`");
            seen.template(judge, at.value.spot, message);
        }
        // An undeclared variable is left to its own rule.
        _ => {}
    }
}

fn declared(seen: &PlanView<'_>, judge: &mut Findings<'_>) {
    let Some(template) = &seen.application.template.content else { return };
    let mut told = BTreeSet::new();
    for used in &template.used_parameters {
        if template.parameter(&used.value).is_none() && told.insert(&used.value) {
            let message = format!("the parameter `{}` is not declared", used.value);
            seen.template(judge, used.spot, message);
        }
    }
    for used in &template.used_variables {
        if template.variable(&used.value).is_none() && told.insert(&used.value) {
            let message = format!("the variable `{}` is not declared", used.value);
            seen.template(judge, used.spot, message);
        }
    }
    let used: BTreeSet<String> =
        template.used_parameters.iter().map(|at| at.value.to_ascii_lowercase()).collect();
    for parameter in &template.parameters {
        if !used.contains(&parameter.name.value.to_ascii_lowercase()) {
            let message = format!("the parameter `{}` is not used", parameter.name.value);
            seen.doubt_template(judge, parameter.name.spot, &message);
        }
    }
}

fn setting_names(seen: &PlanView<'_>, judge: &mut Findings<'_>) {
    let Some(template) = &seen.application.template.content else { return };
    for extension in &template.extensions {
        let mut known = BTreeSet::new();
        let plain = extension.settings.iter().map(|setting| (setting, false));
        let protected = extension.protected.iter().map(|setting| (setting, true));
        for (setting, is_protected) in plain.chain(protected) {
            let name = &setting.name.value;
            let fault = if known.insert(name) {
                name_fault(name, is_protected)
            } else {
                Some("is a setting and a protected setting")
            };
            if let Some(fault) = fault {
                seen.template(judge, setting.name.spot, format!("the setting `{name}` {fault}"));
            }
        }
    }
}

/// The fault in the name of a setting. A plain one is a path as Helm's `--set` reads it, with items
/// in brackets and `\\.` for a dot in a key; only a protected one is a key of a secret.
fn name_fault(name: &str, is_protected: bool) -> Option<&'static str> {
    if has_empty_part(name) {
        Some("has an empty part")
    } else if is_protected && name.len() > SECRET_KEY_CHARS_MAX {
        Some("has more than 253 characters")
    } else if is_protected && !name.bytes().all(is_secret_key) {
        Some("has other characters than letters, digits, `-`, `_` and `.`")
    } else {
        None
    }
}

fn has_empty_part(name: &str) -> bool {
    let (mut is_empty, mut is_escaped) = (true, false);
    for c in name.chars() {
        if c == '.' && !is_escaped {
            if is_empty {
                return true;
            }
            is_empty = true;
        } else {
            is_empty = false;
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    is_empty
}

const fn is_secret_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

fn secrets(seen: &PlanView<'_>, judge: &mut Findings<'_>) {
    let Some(template) = &seen.application.template.content else { return };
    for parameter in template.parameters.iter().filter(|at| at.is_secure()) {
        if let Some(default) = &parameter.default
            && default.text() != Some("")
        {
            let message = format!("the secure parameter `{}` has a default", parameter.name.value);
            seen.template(judge, default.spot, message);
        }
    }
    for extension in &template.extensions {
        for ChartSetting { name, value } in &extension.settings {
            let mut secure = false;
            value.each_text(&mut |text, _| {
                let expression = expression::of(text).unwrap_or_default();
                let mut used = expression::calls(expression, "parameters").into_iter();
                secure |= used
                    .any(|used| template.parameter(used).is_some_and(TemplateParameter::is_secure));
            });
            if secure {
                let message =
                    format!("the setting `{}` is a secret, and is not protected", name.value);
                seen.template(judge, name.spot, message);
            }
        }
        for ChartSetting { name, value } in &extension.protected {
            let is_literal = match &value.value {
                NodeValue::Text(text) => !text.is_empty() && template.literal(text).is_some(),
                NodeValue::Number(_) | NodeValue::Bool(_) => true,
                _ => false,
            };
            if is_literal {
                let message =
                    format!("the protected setting `{}` stands in the template", name.value);
                seen.template(judge, name.spot, message);
            }
        }
    }
}

fn set_values(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    each(view, judge, |seen, judge| {
        let chart = view.content.charts.get(&seen.place);
        let values = chart.and_then(|chart| chart.values.as_ref().ok()).and_then(Option::as_ref);
        let template = &seen.application.template.content;
        let (Some(values), Some(template)) = (values, template) else { return };
        for extension in &template.extensions {
            for setting in extension.settings.iter().chain(&extension.protected) {
                let name = setting.name.value.as_str();
                let parts: Vec<&str> = name.split('.').collect();
                if is_there(values, &parts) || !name.bytes().all(is_secret_key) {
                    continue;
                }
                let message = format!("values.yaml of the chart has no `{name}`");
                let spot = setting.name.spot;
                seen.doubt_template(judge, spot, &message);
            }
        }
    });
}

/// Whether values have this path; below an empty mapping, and below any other kind of value,
/// everything is free.
fn is_there(values: &ChartNode, parts: &[&str]) -> bool {
    let mut at = values;
    for part in parts {
        if at.entries().is_empty() && !std::ptr::eq(at, values) {
            return true;
        }
        match at.get(part) {
            Some(next) => at = next,
            // An empty part is for the rule about names.
            None => return part.is_empty(),
        }
    }
    true
}
