//! `createUiDefinition.json`: the portal's questions to a customer, and the template's parameter
//! for each answer.

use super::expression;
use super::tree::{FileNode, FormFault, NodeValue, Spanned};
use crate::offer::source_map::Spot;

/// The content of the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UiDefinition {
    /// `$schema`.
    pub schema: Option<Spanned<String>>,
    /// `handler`.
    pub handler: Option<Spanned<String>>,
    /// `version`.
    pub version: Option<Spanned<String>>,
    pub elements: Vec<Element>,
    /// The names of the steps.
    pub steps: Vec<Spanned<String>>,
    /// The values of the template's parameters.
    pub outputs: Vec<UiOutput>,
    /// Where `outputs` stands.
    pub outputs_at: Option<Spot>,
    /// The parts that have another shape than the portal reads.
    pub faults: Vec<FormFault>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Element {
    /// The step it is in; none for the first page.
    pub step: Option<String>,
    /// The section it is in.
    pub section: Option<String>,
    pub name: Spanned<String>,
    pub kind: Option<Spanned<String>>,
}

/// The value of one parameter of the template.
#[derive(Debug, Clone, PartialEq)]
pub struct UiOutput {
    pub name: Spanned<String>,
    /// The value: mostly an expression.
    pub value: FileNode,
}

impl UiDefinition {
    pub(super) fn of(root: &FileNode) -> Self {
        let text = |key: &str| root.get(key).and_then(FileNode::placed);
        let mut ui = Self {
            schema: text("$schema"),
            handler: text("handler"),
            version: text("version"),
            ..Self::default()
        };
        let Some(parameters) = root.get("parameters").filter(|at| !at.entries().is_empty()) else {
            let spot = root.get("parameters").map_or(root.spot, |at| at.spot);
            ui.faults.push(FormFault::new(
                spot,
                "`parameters` is a mapping with basics, steps, outputs",
            ));
            return ui;
        };
        ui.basics(parameters);
        ui.pages(parameters);
        match parameters.get("outputs") {
            Some(outputs @ FileNode { value: NodeValue::Map(entries), .. }) => {
                ui.outputs_at = Some(outputs.spot);
                let output = |at: &super::tree::MapEntry| UiOutput {
                    name: at.key.clone(),
                    value: at.value.clone(),
                };
                ui.outputs = entries.iter().map(output).collect();
            }
            other => ui.shape(other, parameters.spot, "`outputs` is a mapping"),
        }
        if let Some(config) = parameters.get("config") {
            ui.config(config);
        }
        ui
    }

    fn shape(&mut self, found: Option<&FileNode>, above: Spot, message: &str) {
        self.faults.push(FormFault::new(found.map_or(above, |at| at.spot), message));
    }

    fn config(&mut self, config: &FileNode) {
        let is_wizard = config.get("isWizard");
        if is_wizard.is_some_and(|at| !matches!(at.value, NodeValue::Bool(_))) {
            self.shape(is_wizard, config.spot, "`isWizard` is true or false");
        }
    }

    fn basics(&mut self, parameters: &FileNode) {
        match parameters.get("basics") {
            Some(FileNode { value: NodeValue::List(elements), .. }) => {
                for element in elements {
                    self.element(element, None, None);
                }
            }
            other => self.shape(other, parameters.spot, "`basics` is a list, which may be empty"),
        }
    }

    fn pages(&mut self, parameters: &FileNode) {
        let Some(FileNode { value: NodeValue::List(steps), .. }) = parameters.get("steps") else {
            let found = parameters.get("steps");
            self.shape(found, parameters.spot, "`steps` is a list, which may be empty");
            return;
        };
        for step in steps {
            let Some(name) = step.get("name").and_then(FileNode::placed) else {
                self.shape(None, step.spot, "a step has a `name`");
                continue;
            };
            if step.get("label").and_then(FileNode::text).is_none() {
                let message = format!("the step `{}` has no `label`", name.value);
                self.shape(None, step.spot, &message);
            }
            match step.get("elements") {
                Some(FileNode { value: NodeValue::List(elements), .. }) => {
                    for element in elements {
                        self.element(element, Some(&name.value), None);
                    }
                }
                other => self.shape(other, step.spot, "`elements` of a step is a list"),
            }
            self.steps.push(name);
        }
    }

    fn element(&mut self, node: &FileNode, step: Option<&str>, section: Option<&str>) {
        let Some(name) = node.get("name").and_then(FileNode::placed) else {
            self.shape(None, node.spot, "an element has a `name`");
            return;
        };
        let kind = node.get("type").and_then(FileNode::placed);
        if kind.is_none() {
            let message = format!("the element `{}` has no `type`", name.value);
            self.shape(None, node.spot, &message);
        }
        // Sections do not stand in one another more than once, so the names say where one is.
        if section.is_none() {
            let inner = node.get("elements").map(FileNode::items).unwrap_or_default();
            for inner in inner {
                self.element(inner, step, Some(&name.value));
            }
        }
        let (step, section) = (step.map(str::to_owned), section.map(str::to_owned));
        self.elements.push(Element { step, section, name, kind });
    }

    /// The questions behind an expression, each in its own form: the step, none for the first page,
    /// and the names behind it.
    #[must_use]
    pub fn asked(expression: &str) -> Vec<(Option<&str>, Vec<&str>)> {
        let mut asked = Vec::new();
        for (step, names) in expression::members(expression, "steps") {
            asked.push((Some(step), names));
        }
        for (name, mut names) in expression::members(expression, "basics") {
            names.insert(0, name);
            asked.push((None, names));
        }
        asked
    }

    /// The question with this name.
    #[must_use]
    pub fn element_of(&self, step: Option<&str>, names: &[&str]) -> Option<&Element> {
        let first = *names.first()?;
        let in_step = || self.elements.iter().filter(move |at| at.step.as_deref() == step);
        let second = names.get(1).copied();
        let inner = in_step().find(|at| {
            at.section.as_deref() == Some(first) && second == Some(at.name.value.as_str())
        });
        inner.or_else(|| in_step().find(|at| at.section.is_none() && at.name.value == first))
    }
}
