//! Writes Bicep; its compiler makes templates of Azure Resource Manager from it.

use std::fmt::Write as _;

use super::parameters::{Parameter, Start};
use super::tree::{Field, Phrase, PhrasePart, TemplateNode};
use crate::characters;

/// A file with one resource; `kind` is its type and version.
#[must_use]
pub(super) fn file(
    head: &str,
    parameters: &[Parameter],
    kind: &str,
    resource: &TemplateNode,
    outputs: &[(&str, String)],
) -> String {
    let mut text = String::new();
    for line in head.lines() {
        let _ = writeln!(text, "// {line}");
    }
    for parameter in parameters {
        let _ = writeln!(text, "\n@description({})", quoted(&parameter.description));
        if parameter.is_secret {
            text.push_str("@secure()\n");
        }
        let start = match &parameter.start {
            Start::Required => String::new(),
            Start::Text(start) => format!(" = {}", quoted(start)),
            Start::GroupLocation => " = resourceGroup().location".to_owned(),
        };
        let _ = writeln!(text, "param {} string{start}", parameter.name);
    }
    let _ = writeln!(text, "\nresource group {} = {}", quoted(kind), value(resource, 0));
    for (name, expression) in outputs {
        let _ = writeln!(text, "\noutput {name} string = {expression}");
    }
    text
}

fn value(node: &TemplateNode, indent: usize) -> String {
    match node {
        TemplateNode::Text(phrase) => phrase_text(phrase),
        TemplateNode::Count(count) => count.to_string(),
        // The language has no fractions.
        TemplateNode::Number(number) => match number.to_string() {
            whole if whole.bytes().all(|c| c.is_ascii_digit()) => whole,
            fraction => format!("json('{fraction}')"),
        },
        TemplateNode::Flag(flag) => flag.to_string(),
        TemplateNode::Parameter(name) => (*name).to_owned(),
        TemplateNode::Map(map) if map.0.is_empty() => "{}".to_owned(),
        TemplateNode::Map(map) => {
            let mut text = "{\n".to_owned();
            let inner = indent + 2;
            for Field { key, note, value: node } in &map.0 {
                for line in note.iter().flat_map(|note| note.lines()) {
                    let _ = writeln!(text, "{:inner$}// {line}", "");
                }
                let _ = writeln!(text, "{:inner$}{}: {}", "", name(key), value(node, inner));
            }
            let _ = write!(text, "{:indent$}}}", "");
            text
        }
        TemplateNode::List(items) => list(items, indent),
        TemplateNode::ListIf { parameter, items } => {
            format!("empty({parameter}) ? [] : {}", list(items, indent))
        }
    }
}

fn list(items: &[TemplateNode], indent: usize) -> String {
    if items.is_empty() {
        return "[]".to_owned();
    }
    let mut text = "[\n".to_owned();
    let inner = indent + 2;
    for item in items {
        let _ = writeln!(text, "{:inner$}{}", "", value(item, inner));
    }
    let _ = write!(text, "{:indent$}]", "");
    text
}

/// The name of a property, in quotes unless it is an identifier.
fn name(key: &str) -> String {
    let starts = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let is_word = starts && key.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
    if is_word { key.to_owned() } else { quoted(key) }
}

fn phrase_text(phrase: &Phrase) -> String {
    if let [PhrasePart::Parameter(only)] = phrase.0.as_slice() {
        return only.clone();
    }
    let part = |part: &PhrasePart| match part {
        PhrasePart::Text(text) => escaped(text),
        PhrasePart::Parameter(name) => format!("${{{name}}}"),
    };
    let parts: String = phrase.0.iter().map(part).collect();
    format!("'{parts}'")
}

fn quoted(text: &str) -> String {
    format!("'{}'", escaped(text))
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let opens = text.get(at..).is_some_and(|rest| rest.starts_with("${"));
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '$' if opens => out.push_str("\\$"),
            c if characters::is_hidden(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::tree::Map;

    #[test]
    fn texts_are_escaped_and_parameters_stand_in_them() {
        assert_eq!(
            value(&"it's ${x} $y \\ \n\u{202e}".into(), 0),
            r"'it\'s \${x} $y \\ \n\u{202e}'"
        );
        let parts =
            vec![PhrasePart::Parameter("host".to_owned()), PhrasePart::Text("/a".to_owned())];
        assert_eq!(value(&TemplateNode::Text(Phrase(parts)), 0), "'${host}/a'");
        assert_eq!(value(&Phrase::parameter("host").into(), 0), "host");
    }

    #[test]
    fn blocks_are_indented() {
        let map = Map::new().noted("a", "why", 1_u32).with("b-c", vec![TemplateNode::Number(0.5)]);
        let expected = "{\n  // why\n  a: 1\n  'b-c': [\n    json('0.5')\n  ]\n}";
        assert_eq!(value(&map.into(), 0), expected);
    }
}
