//! The payload of an offer against a saved resource tree: the changes, field by field.
//!
//! Invariant: only the payload's fields are compared with the tree's fields of the same resource.
//! Keys added by the server, the order of lists without a meaning, and schemas' versions are no
//! changes; secrets are never compared nor shown.

mod frozen;
mod named;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value};

use self::frozen::KeyChange;
use self::named::Named;
use super::tree::{ResourceTree, TreeResource, TreeTarget, schema_name};

/// The kind of change to a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ChangeKind {
    /// It is only in the payload.
    Added,
    /// It is only in the tree.
    Removed,
    /// It is in both, with other values.
    Changed,
}

impl ChangeKind {
    /// The word for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The plan; none where it is the offer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The field: `listing[en-us].title`, `plan[server].azureRegions[azureGlobal]`.
    pub key: String,
    pub how: ChangeKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// Why it can never change; none where it may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<&'static str>,
}

/// A payload against a tree.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TreeDiff {
    /// The target of the tree.
    pub target: &'static str,
    /// The changes: the offer first, then plan by plan.
    pub changes: Vec<Change>,
    /// Kinds of resources the payload has none of, so they stay as they are.
    pub untouched: Vec<String>,
}

/// Why a payload cannot be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// It is no payload.
    #[error("the payload cannot be read: {0}")]
    Payload(String),
}

/// Compares a payload (`configure`) with a tree.
pub fn compare(payload: &Value, tree: &ResourceTree) -> Result<TreeDiff, CompareError> {
    let written = resources(payload)?;
    let after = Named::of_payload(&written);
    let before = Named::of_tree(tree, &written);
    let sent: BTreeSet<&str> = written.iter().map(|resource| resource.kind.as_str()).collect();
    let mut found = Vec::new();
    let mut untouched = BTreeSet::new();
    let names: BTreeSet<&named::Name> = before.keys().chain(after.keys()).collect();
    for name in names {
        let mut changes = Changes { name, target: tree.target(), found: &mut found };
        match (before.get(name), after.get(name)) {
            (Some(before), Some(after)) => changes.fields("", before.value, after.value),
            (None, Some(after)) => {
                changes.add("", ChangeKind::Added, None, Some(shown(after.value)));
            }
            (Some(_), None) if !sent.contains(name.kind.as_str()) => {
                untouched.insert(name.kind.clone());
            }
            (Some(before), None) => {
                changes.add("", ChangeKind::Removed, Some(shown(before.value)), None);
            }
            (None, None) => {}
        }
    }
    found.sort_by(|one: &Change, other| (&one.plan, &one.key).cmp(&(&other.plan, &other.key)));
    let untouched = untouched.into_iter().collect();
    Ok(TreeDiff { target: tree.target().as_str(), changes: found, untouched })
}

fn resources(payload: &Value) -> Result<Vec<TreeResource>, CompareError> {
    let list = payload.get("resources").and_then(Value::as_array);
    let list = list.ok_or_else(|| CompareError::Payload("it has no `resources`".to_owned()))?;
    let read = |value: &Value| {
        let keys = value.as_object().cloned().unwrap_or_default();
        let schema = keys.get("$schema").and_then(Value::as_str).unwrap_or_default();
        let (kind, version) = schema_name(schema)
            .ok_or_else(|| CompareError::Payload("a resource has no schema".to_owned()))?;
        let (kind, version) = (kind.to_owned(), version.to_owned());
        Ok(TreeResource { kind, version, value: keys })
    };
    list.iter().map(read).collect()
}

/// A whole resource in its printed form: without the server's keys, and without secrets.
fn shown(resource: &Map<String, Value>) -> Value {
    let keys = resource.iter().filter(|(key, _)| !values::is_of_server(key));
    let keys = keys.map(|(key, value)| (key.clone(), values::without_secrets(key, value)));
    Value::Object(keys.collect())
}

/// Takes the changes of one resource.
struct Changes<'a> {
    name: &'a named::Name,
    target: TreeTarget,
    found: &'a mut Vec<Change>,
}

impl Changes<'_> {
    fn add(&mut self, path: &str, how: ChangeKind, before: Option<Value>, after: Option<Value>) {
        let refused = frozen::refusal(
            self.target,
            &self.name.kind,
            &KeyChange { path, how, before: before.as_ref(), after: after.as_ref() },
        );
        let dot = if path.is_empty() || path.starts_with('[') { "" } else { "." };
        self.found.push(Change {
            plan: self.name.plan.clone(),
            key: format!("{}{dot}{path}", self.name),
            how,
            before,
            after,
            refused,
        });
    }

    fn fields(&mut self, path: &str, before: &Map<String, Value>, after: &Map<String, Value>) {
        let (before, after) = (values::known(path, before), values::known(path, after));
        let keys: BTreeSet<&str> = before.keys().chain(after.keys()).map(String::as_str).collect();
        for key in keys {
            let place = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
            self.value(&place, before.get(key).copied(), after.get(key).copied());
        }
    }

    fn value(&mut self, path: &str, before: Option<&Value>, after: Option<&Value>) {
        let before = before.filter(|value| !values::is_nothing(value));
        let after = after.filter(|value| !values::is_nothing(value));
        match (before, after) {
            (None, None) => {}
            (Some(before), None) => {
                self.add(
                    path,
                    ChangeKind::Removed,
                    Some(values::without_secrets(path, before)),
                    None,
                );
            }
            (None, Some(after)) => {
                self.add(path, ChangeKind::Added, None, Some(values::without_secrets(path, after)));
            }
            (Some(Value::Object(before)), Some(Value::Object(after))) => {
                self.fields(path, before, after);
            }
            (Some(Value::Array(before)), Some(Value::Array(after))) => {
                self.items(path, before, after);
            }
            (Some(before), Some(after)) if values::is_same(before, after) => {}
            (Some(before), Some(after)) => {
                let (before, after) =
                    (values::without_secrets(path, before), values::without_secrets(path, after));
                self.add(path, ChangeKind::Changed, Some(before), Some(after));
            }
        }
    }

    /// Each item of a list: by its name where order means nothing, else by its place.
    fn items(&mut self, path: &str, before: &[Value], after: &[Value]) {
        let is_ordered = values::is_ordered(path);
        let by_name = |items: &[Value]| -> BTreeMap<String, Value> {
            let named = items.iter().enumerate().map(|(place, item)| {
                let name = if is_ordered { place.to_string() } else { values::name_of(item) };
                (name, item.clone())
            });
            named.collect()
        };
        let (before, after) = (by_name(before), by_name(after));
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for name in names {
            let place = format!("{path}[{name}]");
            self.value(&place, before.get(name), after.get(name));
        }
    }
}

#[cfg(test)]
mod tests;
