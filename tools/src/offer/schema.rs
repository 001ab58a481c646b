//! The JSON Schema of an offer file, from its types: for an editor's completion, for the reference,
//! and for the walk of `faults` through a refused file.
//!
//! Invariant: every value the types take fits the schema. It may take more: rules between keys are
//! not in it.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

mod parts;

use self::parts::REFERENCE;
pub(super) use self::parts::{
    DEFINITIONS, admits, choices, expected, mapping_of, referred, resolve,
};
use super::examples;
use super::forms::{WORDS, word_of_pattern};
use super::model::Offer;

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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    use crate::offer::fixture::{OFFER, with_application};
    use crate::offer::tree::OfferTree;
    use crate::offer::walk::walk;

    /// The faults from a walk of this text by the schema.
    fn faults(text: &str) -> Vec<String> {
        let (schema, tree) = (schema(), OfferTree::read(text).unwrap());
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
                let tree = OfferTree::read(&text).unwrap();
                let found = crate::offer::walk::walk_part(&text, &tree, &schema, property);
                assert!(found.faults.is_empty(), "{}.{}: {:?}", row.mapping, row.key, found.faults);
            }
            for rule in row.rules() {
                assert!(crate::rules::all().any(|known| known.id == rule), "{rule} is no rule");
            }
        }
    }
}
