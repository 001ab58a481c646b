//! The reference of an offer file in Markdown, from its schema: a section for each mapping and word,
//! a row for each key.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::examples::{self, example, flow};
use super::schema::{DEFINITIONS, choices, referred};

const HEAD: &str = "\
# The keys of `offer.yaml`

Written by `wharf offer schema --format markdown` from the types that read the file; a test holds the two together. `wharf offer
schema` writes the same as JSON Schema (draft 2020-12); with this line at its top an editor completes the file:

```yaml
# yaml-language-server: $schema=offer.schema.json
```

The file is one YAML document in UTF-8, at most 1 MiB, without anchors, aliases, merge keys and tags; no key stands twice. Paths start
at its folder. `wharf offer lint` tells all faults of it at once; the rules in the last column judge what the file says
(`wharf rules ID` explains one).
";

/// The whole page.
#[must_use]
pub fn reference(schema: &Value) -> String {
    let mut page = HEAD.to_owned();
    mapping(&mut page, "Offer", schema, schema);
    let definitions = schema.get(DEFINITIONS).and_then(Value::as_object);
    let definitions = || definitions.into_iter().flatten();
    for (name, definition) in definitions() {
        if definition.get("properties").is_some() {
            mapping(&mut page, name, definition, schema);
        }
    }
    page.push_str("\n## Words\n\nEach is one of a few words, or a text with a form of its own.\n");
    for (name, definition) in definitions() {
        if definition.get("properties").is_none() {
            word(&mut page, name, definition);
        }
    }
    page
}

/// A mapping: its description, and a table of its keys, the required ones first.
fn mapping(page: &mut String, name: &str, part: &Value, schema: &Value) {
    let _ = write!(page, "\n## {name}\n\n{}\n", description(part));
    if name == "Plan" {
        page.push_str(
            "\nA plan of `kind: kubernetes` needs `chart`, `manifest`, `uiDefinition`, `armTemplate` and \
             `extensionType`; one of `kind:\nimage` needs `image`, and `kind` may be left out there. Neither has \
             what is only of the other.\n",
        );
    }
    page.push_str("\n| key | type | required or default | meaning | example | rules |\n");
    page.push_str("| --- | --- | --- | --- | --- | --- |\n");
    let Some(properties) = part.get("properties").and_then(Value::as_object) else { return };
    let required = part.get("required").and_then(Value::as_array);
    let required: Vec<&str> = required.into_iter().flatten().filter_map(Value::as_str).collect();
    let others = properties.keys().map(String::as_str).filter(|key| !required.contains(key));
    for key in required.iter().copied().chain(others) {
        row(page, name, key, properties, required.contains(&key), schema);
    }
}

fn row(
    page: &mut String,
    name: &str,
    key: &str,
    properties: &Map<String, Value>,
    is_required: bool,
    schema: &Value,
) {
    let Some(property) = properties.get(key) else { return };
    let needed = match property.get("default") {
        _ if is_required => "**required**".to_owned(),
        Some(default) => format!("`{}`", flow(default)),
        None => "–".to_owned(),
    };
    let example = example(property, schema).map(|example| format!("`{key}: {example}`"));
    let rules = examples::find(name, key).map(|row| row.rules().collect::<Vec<_>>().join(", "));
    let cells = [
        format!("`{key}`"),
        kind(property),
        needed,
        description(property).to_owned(),
        example.unwrap_or_default(),
        rules.unwrap_or_default(),
    ];
    let _ = writeln!(
        page,
        "| {} |",
        cells.map(|cell| cell.replace('|', "\\|").replace('\n', " ")).join(" | ")
    );
}

/// The type of a value, with links to the sections about it.
fn kind(part: &Value) -> String {
    if let Some(name) = referred(part) {
        return format!("[{name}](#{})", name.to_ascii_lowercase());
    }
    if let Some(several) = part.get("anyOf").and_then(Value::as_array) {
        let is_null = |one: &&Value| one.get("type").and_then(Value::as_str) == Some("null");
        let kinds: Vec<String> = several.iter().filter(|one| !is_null(one)).map(kind).collect();
        return kinds.join(" or ");
    }
    let name = part.get("type").and_then(|kind| kind.as_str().or_else(|| kind.get(0)?.as_str()));
    match name {
        Some("array") => format!("list of {}", part.get("items").map(kind).unwrap_or_default()),
        Some("object") => match part.get("additionalProperties").filter(|free| free.is_object()) {
            Some(value) => {
                let key = part.get("propertyNames").map_or_else(|| "text".to_owned(), kind);
                format!("mapping of {key} to {}", kind(value))
            }
            None => "mapping".to_owned(),
        },
        Some("integer") => "whole number".to_owned(),
        Some("boolean") => "`true` or `false`".to_owned(),
        Some("number") => "number".to_owned(),
        _ => "text".to_owned(),
    }
}

/// A word: its description, its choices or its pattern.
fn word(page: &mut String, name: &str, part: &Value) {
    let _ = write!(page, "\n### {name}\n\n{}\n", description(part));
    let variants = part.get("oneOf").and_then(Value::as_array);
    if let Some(words) = choices(part) {
        page.push('\n');
        for (place, word) in words.iter().enumerate() {
            let one = variants.and_then(|all| all.get(place)).map_or("", |one| description(one));
            let _ = writeln!(page, "- `{word}`: {one}");
        }
        return;
    }
    if let Some(pattern) = part.get("pattern").and_then(Value::as_str) {
        let _ = write!(page, "\nPattern: `{pattern}`\n");
    }
    if let Some(one) = part.get("examples").and_then(|all| all.get(0)) {
        let _ = write!(page, "\nExample: `{}`\n", flow(one));
    }
}

/// The description of a part in the types.
fn description(part: &Value) -> &str {
    part.get("description").and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::schema::schema;
    use super::*;

    #[test]
    fn the_reference_is_what_the_types_say() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/offer.md");
        let page = reference(&schema());
        if std::env::var_os("WHARF_WRITE_DOCS").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == page,
            "docs/reference/offer.md is not what the types say; write it with `make reference`"
        );
    }

    #[test]
    fn every_key_is_described_with_an_example() {
        let page = reference(&schema());
        for line in page.lines().filter(|line| line.starts_with("| `")) {
            let line = line.replace("\\|", "/");
            let cells: Vec<&str> = line.split(" | ").collect();
            assert_eq!(cells.len(), 6, "{line}");
            assert!(!cells[1].is_empty() && !cells[3].is_empty() && !cells[4].is_empty(), "{line}");
        }
    }
}
