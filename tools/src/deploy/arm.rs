//! Writes a template of Azure Resource Manager. A text is a text: one in brackets would be an
//! expression and is escaped; parameters become expressions.

use serde_json::{Map as Object, Number, Value, json};

use super::parameters::{Parameter, Start};
use super::tree::{Phrase, PhrasePart, TemplateNode};

const SCHEMA: &str =
    "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#";

/// A template of one resource. Keys are in the order of the alphabet.
#[must_use]
pub(super) fn template(
    parameters: &[Parameter],
    resource: &TemplateNode,
    outputs: &[(&str, String)],
) -> Value {
    let parameters: Object<String, Value> =
        parameters.iter().map(|at| (at.name.clone(), parameter(at))).collect();
    let mut template = json!({
        "$schema": SCHEMA,
        "contentVersion": "1.0.0.0",
        "parameters": parameters,
        "resources": [value(resource)],
    });
    if let (false, Some(object)) = (outputs.is_empty(), template.as_object_mut()) {
        let output = |(name, text): &(&str, String)| {
            ((*name).to_owned(), json!({"type": "string", "value": text}))
        };
        object.insert("outputs".to_owned(), outputs.iter().map(output).collect());
    }
    template
}

fn parameter(parameter: &Parameter) -> Value {
    let mut object = json!({
        "type": if parameter.is_secret { "securestring" } else { "string" },
        "metadata": { "description": parameter.description },
    });
    let start = match &parameter.start {
        Start::Required => None,
        Start::Text(text) => Some(literal(text)),
        Start::GroupLocation => Some("[resourceGroup().location]".to_owned()),
    };
    if let (Some(start), Some(object)) = (start, object.as_object_mut()) {
        object.insert("defaultValue".to_owned(), Value::String(start));
    }
    object
}

fn value(node: &TemplateNode) -> Value {
    match node {
        TemplateNode::Text(phrase) if phrase.is_plain() => {
            Value::String(literal(&phrase.filled(|_| String::new())))
        }
        TemplateNode::Text(_) | TemplateNode::Parameter(_) | TemplateNode::ListIf { .. } => {
            Value::String(format!("[{}]", expression(node)))
        }
        TemplateNode::Count(count) => (*count).into(),
        TemplateNode::Number(number) => number_value(*number),
        TemplateNode::Flag(flag) => (*flag).into(),
        TemplateNode::Map(map) => {
            let field = |(key, node): (&String, &TemplateNode)| (key.clone(), value(node));
            map.0.iter().map(|at| (&at.key, &at.value)).map(field).collect::<Object<_, _>>().into()
        }
        TemplateNode::List(items) => items.iter().map(value).collect(),
    }
}

/// Whole numbers are written without a point.
fn number_value(number: f64) -> Value {
    let text = number.to_string();
    let whole = text.parse::<u64>().ok().map(Number::from);
    whole.or_else(|| Number::from_f64(number)).map_or(Value::Null, Value::Number)
}

/// A text outside the template's expressions.
fn literal(text: &str) -> String {
    if text.starts_with('[') && text.ends_with(']') { format!("[{text}") } else { text.to_owned() }
}

/// The same within an expression.
fn expression(node: &TemplateNode) -> String {
    match node {
        TemplateNode::Text(phrase) => phrase_expression(phrase),
        TemplateNode::Count(count) => count.to_string(),
        TemplateNode::Number(number) => format!("json('{number}')"),
        TemplateNode::Flag(flag) => format!("{flag}()"),
        TemplateNode::Parameter(name) => format!("parameters({})", quoted(name)),
        TemplateNode::Map(map) => {
            let field =
                |key: &str, value: &TemplateNode| format!("{}, {}", quoted(key), expression(value));
            let fields: Vec<String> = map.0.iter().map(|at| field(&at.key, &at.value)).collect();
            format!("createObject({})", fields.join(", "))
        }
        TemplateNode::List(items) => list(items),
        TemplateNode::ListIf { parameter, items } => {
            format!("if(empty(parameters({})), createArray(), {})", quoted(parameter), list(items))
        }
    }
}

fn list(items: &[TemplateNode]) -> String {
    let items: Vec<String> = items.iter().map(expression).collect();
    format!("createArray({})", items.join(", "))
}

fn phrase_expression(phrase: &Phrase) -> String {
    let part = |part: &PhrasePart| match part {
        PhrasePart::Text(text) => quoted(text),
        PhrasePart::Parameter(name) => format!("parameters({})", quoted(name)),
    };
    let parts: Vec<String> = phrase.0.iter().map(part).collect();
    match parts.as_slice() {
        [] => quoted(""),
        [only] => only.clone(),
        several => format!("concat({})", several.join(", ")),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::tree::Map;

    #[test]
    fn texts_in_brackets_are_texts() {
        assert_eq!(value(&"[x]".into()), json!("[[x]"));
        assert_eq!(value(&"[[x]".into()), json!("[[[x]"));
        assert_eq!(value(&"[x".into()), json!("[x"));
        let parts =
            vec![PhrasePart::Parameter("host".to_owned()), PhrasePart::Text("/it's".to_owned())];
        let text = TemplateNode::Text(Phrase(parts));
        assert_eq!(value(&text), json!("[concat(parameters('host'), '/it''s')]"));
    }

    #[test]
    fn numbers_and_conditions_have_their_forms() {
        assert_eq!(value(&TemplateNode::Number(2.0)), json!(2));
        assert_eq!(value(&TemplateNode::Number(0.5)), json!(0.5));
        let items = vec![Map::new().with("a", TemplateNode::Number(0.5)).with("b", true).into()];
        let list = TemplateNode::ListIf { parameter: "user", items };
        let expected = "[if(empty(parameters('user')), createArray(), \
                        createArray(createObject('a', json('0.5'), 'b', true())))]";
        assert_eq!(value(&list), json!(expected));
    }
}
