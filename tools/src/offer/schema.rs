//! The JSON Schema of an offer file, from its types: what an editor completes by, what the reference
//! is written from, and what `faults` walks a refused file by.
//!
//! Invariant: what the types take fits the schema. It may take more: rules between keys are not in it.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::forms::{WORDS, word_of_pattern};
use super::model::Offer;

/// Where the mappings and words of a schema stand.
pub(super) const DEFINITIONS: &str = "$defs";
/// What stands before the name of a mapping or word.
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

/// The name of the mapping or word that a part of the schema refers to.
pub(super) fn referred(part: &Value) -> Option<&str> {
    part.get("$ref")?.as_str()?.strip_prefix(REFERENCE)
}

fn complete(name: &str, definition: &mut Value) {
    let Some(Value::Object(properties)) = definition.get_mut("properties") else { return };
    for (key, property) in properties {
        name_keys(property);
        let Value::Object(property) = property else { continue };
        if property.get("default").is_some_and(Value::is_null) {
            property.remove("default");
        }
    }
    let _ = name;
}

/// A mapping of free keys has their word by name, where the types give only its pattern.
fn name_keys(part: &mut Value) {
    match part {
        Value::Object(part) => {
            if let Some((word, value)) = keyed_by(part) {
                part.remove("patternProperties");
                part.insert("propertyNames".to_owned(), json!({ "$ref": format!("{REFERENCE}{word}") }));
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn show() {
        println!("{}", serde_json::to_string_pretty(&schema()).unwrap());
    }
}
