//! The keys and values to compare between a payload and a tree.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Keys added by the server, and keys with a resource's own name (facts §3.1).
const OF_SERVER: [&str; 16] = [
    "$schema",
    "id",
    "resourceName",
    "validations",
    "product",
    "plan",
    "listing",
    "lifecycleState",
    "status",
    "result",
    "etag",
    "resourceUri",
    "created",
    "createdDate",
    "modifiedDate",
    "updated",
];

/// Lists customers see in their order.
const ORDERED: [&str; 2] = ["generalLinks", "imageList"];

/// Endings of the names of secret keys (`clientSecret`, `sasToken`), in small letters. The user of
/// a registry is one here too: the offer only says where it stands.
const SECRET_ENDS: [&str; 9] = [
    "password",
    "secret",
    "connectionstring",
    "accesskey",
    "accountkey",
    "appkey",
    "token",
    "username",
    "sasuri",
];

/// Objects whose keys are the publisher's own: IDs of meters. None of them tells the kind of a
/// value.
const OF_PUBLISHER: [&str; 2] = ["customMeters", "pricing.customMeters.meters"];

/// Whether a key of a resource says nothing the publisher decides.
pub(super) fn is_of_server(key: &str) -> bool {
    OF_SERVER.contains(&key) || key.starts_with('@') || key.starts_with("lastModified")
}

/// Whether a key's value is secret.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_ENDS.iter().any(|end| key.ends_with(end))
}

/// Whether the value at a path is secret. A key the publisher gave says nothing of it.
fn is_secret_at(path: &str) -> bool {
    let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
    !OF_PUBLISHER.contains(&parent) && is_secret(key)
}

/// Whether a list has an order customers see.
pub(super) fn is_ordered(path: &str) -> bool {
    ORDERED.iter().any(|list| path.ends_with(list))
}

/// The relevant keys, spelled in one way: samples write `externalID` and `externalId`.
pub(super) fn known<'a>(path: &str, keys: &'a Map<String, Value>) -> BTreeMap<String, &'a Value> {
    if OF_PUBLISHER.contains(&path) {
        return keys.iter().map(|(key, value)| (key.clone(), value)).collect();
    }
    let counts = |key: &str| {
        let is_added = if path.is_empty() { is_of_server(key) } else { key.starts_with('@') };
        !is_added && !is_secret(key)
    };
    let spelled = |key: &String| match key.strip_suffix("ID") {
        Some(stem) if !stem.is_empty() => format!("{stem}Id"),
        _ => key.clone(),
    };
    keys.iter().filter(|(key, _)| counts(key)).map(|(key, value)| (spelled(key), value)).collect()
}

/// Whether a value is as good as none.
pub(super) fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(keys) => keys.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether two values, other than lists and objects to go into, are the same. Numbers are compared
/// as such: 5 and 5.0 are one price.
pub(super) fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::String(one), Value::String(other)) => folded(one) == folded(other),
        _ => one == other,
    }
}

/// A GUID in small letters, because portals and programs differ in their case; else the text.
fn folded(text: &str) -> Cow<'_, str> {
    let is_guid = text.len() == 36
        && text.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    if is_guid { Cow::Owned(text.to_ascii_lowercase()) } else { Cow::Borrowed(text) }
}

/// The name of an item of a list: its distinctive key, else its whole text.
pub(super) fn name_of(item: &Value) -> String {
    let Value::Object(keys) = item else {
        return item.as_str().map_or_else(|| item.to_string(), |text| folded(text).into_owned());
    };
    let text = |key: &str| keys.get(key).and_then(Value::as_str);
    if let (Some(repository), Some(tag)) = (text("repositoryName"), text("tag")) {
        return format!("{repository}:{tag}");
    }
    let named = ["id", "code", "name", "link", "url"].iter().find_map(|key| text(key));
    named.map_or_else(|| item.to_string(), |text| folded(text).into_owned())
}

/// The value at a path of a resource without the values of secret keys.
pub(super) fn without_secrets(path: &str, value: &Value) -> Value {
    if is_secret_at(path) {
        return Value::String("(not shown)".to_owned());
    }
    match value {
        Value::Object(keys) => {
            let shown = |(key, value): (&String, &Value)| {
                let place = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                (key.clone(), without_secrets(&place, value))
            };
            Value::Object(keys.iter().map(shown).collect())
        }
        Value::Array(items) => {
            let place = format!("{path}[]");
            Value::Array(items.iter().map(|item| without_secrets(&place, item)).collect())
        }
        other => other.clone(),
    }
}
