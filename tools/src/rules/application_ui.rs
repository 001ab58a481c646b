//! Rules K8S about `createUiDefinition.json`: its shape, and a question and a parameter for each
//! answer.

use std::collections::BTreeSet;

use super::application::{PlanView, each};
use super::{Check, Findings, Rule, Severity};
use crate::application::expression;
use crate::application::tree::Spanned;
use crate::application::ui::UiDefinition;
use crate::offer::source_map::Spot;

const HANDLER: &str = "Microsoft.Azure.CreateUIDef";
const VERSION: &str = "0.1.2-preview";
/// The kind of question with a secret answer.
const PASSWORD: &str = "Microsoft.Common.PasswordBox";

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "K8S-024",
        title: "the UI definition gives the template each parameter that it needs, and no other",
        severity: Severity::Error,
        source: "AC-technical-assets-kubernetes; K8S-S",
        why: "A deployment with a parameter too few, or one too many, fails after the customer has \
              answered everything.",
        fix: "write one output for each parameter without a default value, by its name",
        check: Check::Offer(|view, judge| each(view, judge, outputs)),
    },
    Rule {
        id: "K8S-025",
        title: "the UI definition has the shape that the portal reads",
        severity: Severity::Error,
        source: "K8S-S samples/k8s-offer-azure-vote/createUiDefinition.json",
        why: "The portal shows nothing of a definition that it does not understand.",
        fix: "write handler `Microsoft.Azure.CreateUIDef`, version `0.1.2-preview`, and parameters \
              with basics, steps and outputs",
        check: Check::Offer(|view, judge| each(view, judge, shape)),
    },
    Rule {
        id: "K8S-026",
        title: "outputs take answers of questions that are asked, each under a name of its own",
        severity: Severity::Error,
        source: "K8S-S; createUiDefinition reference",
        why: "An answer to a question that nobody asks is nothing, and the deployment fails.",
        fix: "name the step and the element as they stand in the file",
        check: Check::Offer(|view, judge| each(view, judge, questions)),
    },
];

fn outputs(seen: &PlanView<'_>, judge: &mut Findings<'_>) {
    let Some(ui) = &seen.application.ui.content else { return };
    let Some(template) = &seen.application.template.content else { return };
    let Some(outputs_at) = ui.outputs_at else { return };
    for output in &ui.outputs {
        let name = &output.name.value;
        let Some(parameter) = template.parameter(name) else {
            let message = format!("the ARM template has no parameter `{name}`");
            seen.ui(judge, output.name.spot, message);
            continue;
        };
        if is_password(ui, output.value.text()) && !parameter.is_secure() {
            let message =
                format!("the answer is a password, and the parameter `{name}` is not secure");
            seen.ui(judge, output.name.spot, message);
        }
    }
    for parameter in template.parameters.iter().filter(|parameter| parameter.default.is_none()) {
        let name = &parameter.name.value;
        if !ui.outputs.iter().any(|output| output.name.value.eq_ignore_ascii_case(name)) {
            let message = format!("the parameter `{name}` of the ARM template gets no value");
            seen.ui(judge, outputs_at, message);
        }
    }
}

fn is_password(ui: &UiDefinition, text: Option<&str>) -> bool {
    let asked = text.and_then(expression::of).map(UiDefinition::asked).unwrap_or_default();
    asked.into_iter().any(|(step, names)| {
        let element = ui.element_of(step, &names).and_then(|element| element.kind.as_ref());
        element.is_some_and(|kind| kind.value == PASSWORD)
    })
}

fn shape(seen: &PlanView<'_>, judge: &mut Findings<'_>) {
    let Some(ui) = &seen.application.ui.content else { return };
    for fault in &ui.faults {
        seen.ui(judge, fault.spot, &fault.message);
    }
    exactly(seen, judge, "handler", ui.handler.as_ref(), HANDLER);
    exactly(seen, judge, "version", ui.version.as_ref(), VERSION);
    match &ui.schema {
        None => seen.ui(judge, Spot::START, "the key `$schema` is missing"),
        Some(schema) if !is_schema(&schema.value) => {
            let message = format!("`$schema` is not that of a UI definition of version {VERSION}");
            seen.doubt_ui(judge, schema.spot, &message);
        }
        Some(_) => {}
    }
}

fn is_schema(text: &str) -> bool {
    text.to_ascii_lowercase().contains("createuidefinition") && text.contains(VERSION)
}

fn exactly(
    seen: &PlanView<'_>,
    judge: &mut Findings<'_>,
    key: &str,
    found: Option<&Spanned<String>>,
    wanted: &str,
) {
    match found {
        None => seen.ui(judge, Spot::START, format!("the key `{key}` is missing")),
        Some(found) if found.value != wanted => {
            seen.ui(judge, found.spot, format!("`{key}` is `{}`, not `{wanted}`", found.value));
        }
        Some(_) => {}
    }
}

fn questions(seen: &PlanView<'_>, judge: &mut Findings<'_>) {
    let Some(ui) = &seen.application.ui.content else { return };
    let mut known = BTreeSet::new();
    for element in &ui.elements {
        if !known.insert((&element.step, &element.section, &element.name.value)) {
            let message = format!("the name `{}` stands twice", element.name.value);
            seen.ui(judge, element.name.spot, message);
        }
    }
    let mut steps = BTreeSet::new();
    for step in &ui.steps {
        if !steps.insert(&step.value) {
            seen.ui(judge, step.spot, format!("the step `{}` stands twice", step.value));
        }
    }
    for output in &ui.outputs {
        output.value.each_text(&mut |text, spot| {
            let Some(expression) = expression::of(text) else { return };
            for (step, names) in UiDefinition::asked(expression) {
                let is_step = step.is_none_or(|step| steps.iter().any(|known| *known == step));
                if !is_step {
                    let message = format!("there is no step `{}`", step.unwrap_or_default());
                    seen.ui(judge, spot, message);
                } else if !names.is_empty() && ui.element_of(step, &names).is_none() {
                    let page = step.unwrap_or("basics");
                    let message = format!("`{page}` does not ask for `{}`", names.join("."));
                    seen.ui(judge, spot, message);
                }
            }
        });
    }
}
