//! Which keys and values count when a payload is compared with a tree.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Keys that the server adds, or that name a resource in its own way (facts §3.1).
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

/// Lists that customers see in their order.
const ORDERED: [&str; 2] = ["generalLinks", "imageList"];

/// Words in the names of keys whose values are secret. The user of a registry is one here too: the
/// offer only says where it stands.
const SECRET_WORDS: [&str; 7] =
    ["password", "secret", "connectionstring", "accesskey", "token", "username", "sasuri"];

/// Whether a key of a resource says nothing that the publisher decides.
pub(super) fn is_of_server(key: &str) -> bool {
    OF_SERVER.contains(&key) || key.starts_with('@') || key.starts_with("lastModified")
}

/// Whether what stands under a key is secret.
pub(super) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| key.contains(word))
}

/// Whether a list has an order that customers see.
pub(super) fn is_ordered(path: &str) -> bool {
    ORDERED.iter().any(|list| path.ends_with(list))
}

/// The keys that count, spelled in one way: samples write `externalID` and `externalId`.
pub(super) fn known<'a>(path: &str, keys: &'a Map<String, Value>) -> BTreeMap<String, &'a Value> {
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

/// Whether two values that are no lists and objects to go into are the same. Numbers are compared as
/// such: 5 and 5.0 are one price.
pub(super) fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        _ => one == other,
    }
}

/// What an item of a list is called: what tells it from others, else its whole text.
pub(super) fn name_of(item: &Value) -> String {
    let Value::Object(keys) = item else {
        return item.as_str().map_or_else(|| item.to_string(), str::to_owned);
    };
    let text = |key: &str| keys.get(key).and_then(Value::as_str);
    if let (Some(repository), Some(tag)) = (text("repositoryName"), text("tag")) {
        return format!("{repository}:{tag}");
    }
    let named = ["id", "code", "name", "link", "url"].iter().find_map(|key| text(key));
    named.map_or_else(|| item.to_string(), str::to_owned)
}

/// The same without the values of secret keys.
pub(super) fn without_secrets(key: &str, value: &Value) -> Value {
    if is_secret(key) {
        return Value::String("(not shown)".to_owned());
    }
    match value {
        Value::Object(keys) => {
            let keys = keys.iter().map(|(key, value)| (key.clone(), without_secrets(key, value)));
            Value::Object(keys.collect())
        }
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| without_secrets("", item)).collect())
        }
        other => other.clone(),
    }
}
