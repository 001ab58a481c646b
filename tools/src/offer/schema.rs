//! The JSON Schema of an offer file, from its types: for an editor's completion, for the reference,
//! and for the walk of `faults` through a refused file.
//!
//! Invariant: every value the types take fits the schema. It may take more: rules between keys are
//! not in it.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::examples;
use super::forms::{WORDS, word_of_pattern};
use super::model::Offer;
use super::tree;

/// Where the mappings and words of a schema stand.
pub(super) const DEFINITIONS: &str = "$defs";
/// The prefix of the name of a mapping or word.
const REFERENCE: &str = "#/$defs/";

/// The schema of the whole file (draft 2020-12).
#[must_use]
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<Offer>().to_value();
    complete("Offer", &mut schema);
    if let Some(Value::Object(definitions)) = schema.get_mut(DEFINITIONS) {
        for (name, definition) in definitions.iter_mut() {
            complete(name, definition);
        }
        for word in WORDS {
            definitions.entry(word.name).or_insert_with(
                || json!({ "type": "string", "pattern": word.pattern, "examples": [word.example] }),
            );
        }
    }
    schema
}

/// The name of the mapping or word a part of the schema refers to.
pub(super) fn referred(part: &Value) -> Option<&str> {
    part.get("$ref")?.as_str()?.strip_prefix(REFERENCE)
}

/// The keys of a mapping.
pub(super) fn mapping_of(part: &Value) -> Option<&Map<String, Value>> {
    part.get("properties")?.as_object()
}

fn complete(name: &str, definition: &mut Value) {
    let Some(Value::Object(properties)) = definition.get_mut("properties") else { return };
    for (key, property) in properties {
        name_keys(property);
        let Value::Object(property) = property else { continue };
        if property.get("default").is_some_and(Value::is_null) {
            property.remove("default");
        }
        let written = examples::find(name, key);
        if let Some(example) = written.and_then(examples::Row::example) {
            property.insert("examples".to_owned(), Value::Array(vec![example]));
        }
        if let Some(default) = written.and_then(examples::Row::default) {
            property.insert("default".to_owned(), default);
        }
    }
}

/// A mapping of free keys has their word by name, where the types give only its pattern.
fn name_keys(part: &mut Value) {
    match part {
        Value::Object(part) => {
            if let Some((word, value)) = keyed_by(part) {
                part.remove("patternProperties");
                part.insert(
                    "propertyNames".to_owned(),
                    json!({ "$ref": format!("{REFERENCE}{word}") }),
                );
                part.insert("additionalProperties".to_owned(), value);
            }
            part.values_mut().for_each(name_keys);
        }
        Value::Array(parts) => parts.iter_mut().for_each(name_keys),
        _ => {}
    }
}

fn keyed_by(part: &Map<String, Value>) -> Option<(&'static str, Value)> {
    let (pattern, value) = part.get("patternProperties")?.as_object()?.iter().next()?;
    Some((word_of_pattern(pattern)?.name, value.clone()))
}

/// The choices of a part, if it has a fixed few.
pub(super) fn choices(part: &Value) -> Option<Vec<&str>> {
    if let Some(words) = part.get("enum").and_then(Value::as_array) {
        return words.iter().map(Value::as_str).collect();
    }
    let several = part.get("oneOf")?.as_array()?;
    let mut words = Vec::new();
    for one in several {
        match (one.get("const"), one.get("enum").and_then(Value::as_array)) {
            (Some(word), _) => words.push(word.as_str()?),
            (None, Some(more)) => words.extend(more.iter().filter_map(Value::as_str)),
            (None, None) => return None,
        }
    }
    Some(words)
}

/// Whether a part has the type of this value; a word without quotes may be of any simple type.
pub(super) fn admits(part: &Value, value: &tree::Value) -> bool {
    let one = part.get("type").and_then(Value::as_str);
    let several = part.get("type").and_then(Value::as_array);
    let has = |name: &str| {
        one == Some(name)
            || several.is_some_and(|all| all.iter().any(|kind| kind.as_str() == Some(name)))
    };
    match value {
        // An optional list may be empty, but never null.
        _ if value.is_nothing() => has("null"),
        tree::Value::Scalar { .. } => {
            ["string", "integer", "number", "boolean"].into_iter().any(has)
                || choices(part).is_some()
        }
        tree::Value::List(_) => has("array"),
        tree::Value::Mapping(_) => has("object"),
        tree::Value::Refused => true,
    }
}

/// The values a part expects, in words.
pub(super) fn expected(part: &Value, schema: &Value) -> String {
    if referred(part) == Some("QuotedText") {
        return "text; put the value in quotes".to_owned();
    }
    let part = resolve(part, schema);
    if let Some(several) = part.get("anyOf").and_then(Value::as_array) {
        let words: Vec<String> = several
            .iter()
            .filter(|one| one.get("type").and_then(Value::as_str) != Some("null"))
            .map(|one| expected(one, schema))
            .collect();
        return words.join(" or ");
    }
    if let Some(word) = part.get("const").and_then(Value::as_str) {
        return format!("`{word}`");
    }
    if let Some(words) = choices(part) {
        return format!("one of {}", words.join(", "));
    }
    let kind = part.get("type").and_then(|kind| kind.as_str().or_else(|| kind.get(0)?.as_str()));
    match kind {
        Some("integer") => "a whole number".to_owned(),
        Some("number") => "a number".to_owned(),
        Some("boolean") => "`true` or `false`".to_owned(),
        Some("array") => "a list".to_owned(),
        Some("object") if part.get("maxProperties").is_some() => {
            format!("a mapping with exactly one key of: {}", keys(part))
        }
        Some("object") if part.get("properties").is_some() => {
            format!("a mapping of {}", keys(part))
        }
        Some("object") => "a mapping".to_owned(),
        _ => "a text".to_owned(),
    }
}

fn keys(part: &Value) -> String {
    let known = part.get("properties").and_then(Value::as_object);
    let known: Vec<&str> = known.into_iter().flat_map(Map::keys).map(String::as_str).collect();
    known.join(", ")
}

/// A part, or the target of its reference.
pub(super) fn resolve<'s>(part: &'s Value, schema: &'s Value) -> &'s Value {
    let referred = referred(part).and_then(|name| schema.get(DEFINITIONS)?.get(name));
    referred.unwrap_or(part)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    use crate::offer::fixture::{OFFER, with_application};
    use crate::offer::tree::Tree;
    use crate::offer::walk::walk;

    /// The faults from a walk of this text by the schema.
    fn faults(text: &str) -> Vec<String> {
        let (schema, tree) = (schema(), Tree::read(text).unwrap());
        let found = walk(text, &tree, &schema);
        found.faults.iter().map(|fault| format!("{fault:?}")).collect()
    }

    #[test]
    fn healthy_offers_fit_the_schema() {
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/tidepool-cache/offer.yaml");
        let example = std::fs::read_to_string(example).unwrap();
        for text in [OFFER, &with_application(), &example] {
            assert_eq!(faults(text), Vec::<String>::new());
        }
    }

    #[test]
    fn no_mapping_takes_unknown_keys_and_every_key_has_a_description() {
        let schema = schema();
        let definitions = schema[DEFINITIONS].as_object().unwrap();
        let all = definitions.iter().map(|(name, part)| (name.as_str(), part));
        for (name, part) in all.chain([("Offer", &schema)]) {
            let Some(properties) = part.get("properties").and_then(Value::as_object) else {
                continue;
            };
            assert_eq!(part["additionalProperties"], Value::Bool(false), "{name}");
            for (key, property) in properties {
                let described = property["description"].as_str().unwrap_or_default();
                assert!(described.len() >= 4, "{name}.{key} is not described");
            }
        }
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(definitions["Plan"]["then"]["required"][0], "chart");
    }

    #[test]
    fn examples_belong_to_keys_and_are_what_the_types_take() {
        let schema = schema();
        for row in examples::ROWS {
            let part =
                if row.mapping == "Offer" { &schema } else { &schema[DEFINITIONS][row.mapping] };
            let property = &part["properties"][row.key];
            assert!(property.is_object(), "{}.{} is no key", row.mapping, row.key);
            for value in row.example().into_iter().chain(row.default()) {
                let text = value.to_string();
                let tree = Tree::read(&text).unwrap();
                let found = crate::offer::walk::walk_part(&text, &tree, &schema, property);
                assert!(found.faults.is_empty(), "{}.{}: {:?}", row.mapping, row.key, found.faults);
            }
            for rule in row.rules() {
                assert!(crate::rules::all().any(|known| known.id == rule), "{rule} is no rule");
            }
        }
    }
}
