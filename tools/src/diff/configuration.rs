//! The difference of two configurations, value by value.

use std::collections::BTreeMap;

use serde::Serialize;

use super::listed::{BoundedList, ListBounds};
use crate::image::config::ImageConfig;
use crate::image::facts::PlatformImage;
use crate::secret_patterns::masked;

/// Longest value, in characters; a longer one is cut, with a mark.
const VALUE_CHARS_MAX: usize = 2_000;

/// A value that came (`before` is missing), went (`after` is missing) or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ValueChange {
    /// Which: `user`, `env.PATH`, `ports.80/tcp`, `labels.version`.
    pub key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Compares how containers of two images start.
pub(super) fn compare(
    before: &PlatformImage,
    after: &PlatformImage,
    bounds: ListBounds,
) -> BoundedList<ValueChange> {
    let values = |image: &PlatformImage| image.config.as_ref().map(values).unwrap_or_default();
    let (before, mut after) = (values(before), values(after));
    let mut changes = BTreeMap::new();
    for (key, value) in before {
        let now = after.remove(&key);
        if now.as_ref() != Some(&value) {
            changes.insert(key, (Some(value), now));
        }
    }
    changes.extend(after.into_iter().map(|(key, value)| (key, (None, Some(value)))));
    let mut listed = BoundedList::default();
    for (key, (before, after)) in changes {
        let name = key.strip_prefix("env.");
        let shown = |value: String| cut(masked(name, &value).into_owned());
        let (before, after) = (before.map(shown), after.map(shown));
        listed.push(bounds, || ValueChange { key, before, after });
    }
    listed
}

/// Every value by its key.
fn values(config: &ImageConfig) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    let mut add = |key: &str, value: &str| {
        if !value.is_empty() {
            values.insert(key.to_owned(), value.to_owned());
        }
    };
    let start = &config.config;
    add("os", &config.os);
    add("architecture", &config.architecture);
    add("variant", config.variant.as_deref().unwrap_or_default());
    add("os.version", config.os_version.as_deref().unwrap_or_default());
    add("created", config.created.as_deref().unwrap_or_default());
    add("user", &start.user);
    add("workingDir", &start.working_dir);
    add("stopSignal", &start.stop_signal);
    for (key, list) in [
        ("entrypoint", &start.entrypoint),
        ("cmd", &start.cmd),
        ("healthcheck", &start.healthcheck.test),
    ] {
        if !list.is_empty() {
            add(key, &serde_json::Value::from(list.as_slice()).to_string());
        }
    }
    for variable in &start.env {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        values.insert(format!("env.{name}"), value.to_owned());
    }
    for (name, value) in &start.labels {
        values.insert(format!("labels.{name}"), value.clone());
    }
    for port in start.exposed_ports.keys() {
        values.insert(format!("ports.{port}"), "exposed".to_owned());
    }
    for volume in start.volumes.keys() {
        values.insert(format!("volumes.{volume}"), "volume".to_owned());
    }
    values
}

fn cut(value: String) -> String {
    match value.char_indices().nth(VALUE_CHARS_MAX) {
        None => value,
        Some((end, _)) => format!("{}…", value.get(..end).unwrap_or_default()),
    }
}
