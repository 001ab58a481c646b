//! The API's check of a payload: only known keys, of the right kind, each reference after its
//! target (CLI-M, PIA, PIAC). The shapes are spelled here a second time, apart from the serialized
//! types, so a slip of either shows.

mod shapes;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

pub use self::shapes::is_language;
use self::shapes::{Keys, Shape};
use super::tree::schema_name;

/// How many faults are told.
const FAULTS_MAX: usize = 100;
/// Longest `resourceName`.
const NAME_CHARS_MAX: usize = 50;

/// The topic of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultSubject {
    /// A key outside the schema, a missing one, or a value of another kind (TEC-024).
    Keys,
    /// A schema, a name, or a reference without a target (API-001).
    References,
}

/// A value the API would refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadFault {
    pub about: FaultSubject,
    /// Where in the payload: `resources[3].pricing.licenseModel`.
    pub at: String,
    pub message: String,
}

/// The faults in a payload.
#[must_use]
pub fn faults(payload: &Value) -> Vec<PayloadFault> {
    let mut found = Faults(Vec::new());
    let resources = payload.get("resources").and_then(Value::as_array);
    let resources = resources.map(Vec::as_slice).unwrap_or_default();
    if resources.is_empty() {
        found.add(FaultSubject::References, "resources", "there is no resource");
    }
    let mut names = BTreeSet::new();
    for (place, resource) in resources.iter().enumerate() {
        let at = format!("resources[{place}]");
        let Value::Object(keys) = resource else {
            found.add(FaultSubject::Keys, &at, "it is no object");
            continue;
        };
        let schema = keys.get("$schema").and_then(Value::as_str).unwrap_or_default();
        if let Some(shape) = schema_name(schema).and_then(|(kind, _)| shapes::of(kind)) {
            found.object(&at, keys, shape);
        } else {
            let message = format!("`{schema}` is no schema of a container offer");
            found.add(FaultSubject::References, &format!("{at}.$schema"), &message);
        }
        for key in ["product", "plan", "listing"] {
            found.reference(&format!("{at}.{key}"), keys.get(key), &names);
        }
        if let Some(name) = keys.get("resourceName").and_then(Value::as_str) {
            found.name(&format!("{at}.resourceName"), name, &mut names);
        }
    }
    found.0
}

struct Faults(Vec<PayloadFault>);

impl Faults {
    fn add(&mut self, about: FaultSubject, at: &str, message: &str) {
        if self.0.len() < FAULTS_MAX {
            let (at, message) = (at.to_owned(), message.to_owned());
            self.0.push(PayloadFault { about, at, message });
        }
    }

    /// A resource must stand after the target of its reference.
    fn reference(&mut self, at: &str, value: Option<&Value>, names: &BTreeSet<String>) {
        let name = value.and_then(|value| value.get("resourceName")).and_then(Value::as_str);
        if let Some(name) = name.filter(|name| !names.contains(*name)) {
            let message = format!("no resource before this one has the name `{name}`");
            self.add(FaultSubject::References, at, &message);
        }
    }

    fn name(&mut self, at: &str, name: &str, names: &mut BTreeSet<String>) {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(is_word) {
            self.add(FaultSubject::References, at, &format!("`{name}` is no name of a resource"));
        }
        if !names.insert(name.to_owned()) {
            self.add(
                FaultSubject::References,
                at,
                &format!("two resources have the name `{name}`"),
            );
        }
    }

    fn object(&mut self, at: &str, object: &Map<String, Value>, shape: &Keys) {
        for (key, value) in object {
            let at = format!("{at}.{key}");
            match shape.iter().find(|known| known.name == key) {
                Some(known) => self.value(&at, value, &known.shape),
                None => self.add(FaultSubject::Keys, &at, "the schema has no such key"),
            }
        }
        for known in shape.iter().filter(|known| known.is_needed) {
            if !object.contains_key(known.name) {
                let at = format!("{at}.{}", known.name);
                self.add(FaultSubject::Keys, &at, "the schema needs this key");
            }
        }
    }

    fn value(&mut self, at: &str, value: &Value, shape: &Shape) {
        match (shape, value) {
            (Shape::Text, Value::String(_))
            | (Shape::Flag, Value::Bool(_))
            | (Shape::Number, Value::Number(_))
            | (Shape::Reference, Value::String(_) | Value::Object(_)) => {}
            (Shape::Word(words), Value::String(text)) => {
                if !words.contains(&text.as_str()) {
                    let message = format!("`{text}` is none of {}", words.join(", "));
                    self.add(FaultSubject::Keys, at, &message);
                }
            }
            (Shape::List(shape), Value::Array(values)) => {
                for (place, value) in values.iter().enumerate() {
                    self.value(&format!("{at}[{place}]"), value, shape);
                }
            }
            (Shape::Object(keys), Value::Object(object)) => self.object(at, object, keys),
            (Shape::Map(fits, shape), Value::Object(object)) => {
                for (key, value) in object {
                    let at = format!("{at}.{key}");
                    if !fits(key) {
                        self.add(
                            FaultSubject::Keys,
                            &at,
                            &format!("`{key}` is no key for this place"),
                        );
                    }
                    self.value(&at, value, shape);
                }
            }
            _ => self.add(FaultSubject::Keys, at, &format!("it is not {}", shape.what())),
        }
    }
}

#[cfg(test)]
mod tests;
