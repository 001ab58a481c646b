//! Reads parts of the schema: what they refer to, which words they admit, and what they expect.

use serde_json::{Map, Value};

use crate::offer::tree;

/// Where the mappings and words of a schema stand.
pub(crate) const DEFINITIONS: &str = "$defs";
/// The prefix of the name of a mapping or word.
pub(super) const REFERENCE: &str = "#/$defs/";

/// The name of the mapping or word a part of the schema refers to.
pub(crate) fn referred(part: &Value) -> Option<&str> {
    part.get("$ref")?.as_str()?.strip_prefix(REFERENCE)
}

/// The keys of a mapping.
pub(crate) fn mapping_of(part: &Value) -> Option<&Map<String, Value>> {
    part.get("properties")?.as_object()
}

/// The choices of a part, if it has a fixed few.
pub(crate) fn choices(part: &Value) -> Option<Vec<&str>> {
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
pub(crate) fn admits(part: &Value, value: &tree::TreeValue) -> bool {
    let one = part.get("type").and_then(Value::as_str);
    let several = part.get("type").and_then(Value::as_array);
    let has = |name: &str| {
        one == Some(name)
            || several.is_some_and(|all| all.iter().any(|kind| kind.as_str() == Some(name)))
    };
    match value {
        // An optional list may be empty, but never null.
        _ if value.is_nothing() => has("null"),
        tree::TreeValue::Scalar { .. } => {
            ["string", "integer", "number", "boolean"].into_iter().any(has)
                || choices(part).is_some()
        }
        tree::TreeValue::List(_) => has("array"),
        tree::TreeValue::Mapping(_) => has("object"),
        tree::TreeValue::Refused => true,
    }
}

/// What a part expects, in words.
pub(crate) fn expected(part: &Value, schema: &Value) -> String {
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

/// A part, or what it refers to.
pub(crate) fn resolve<'s>(part: &'s Value, schema: &'s Value) -> &'s Value {
    let referred = referred(part).and_then(|name| schema.get(DEFINITIONS)?.get(name));
    referred.unwrap_or(part)
}
