//! Inherits the configuration of a base image, as docker does: a key without a value in the image
//! keeps the base's, and so does a key unknown to this program.

use serde_json::{Map, Value, json};

use crate::image::config::ImageConfig;
use crate::offer::model::ContainerConfig;

/// Keys of the runtime configuration: the image's own value replaces the base's.
const REPLACED: [&str; 5] = ["User", "WorkingDir", "StopSignal", "Entrypoint", "Cmd"];

/// Keys with sets or maps: the result has the entries of both, and the image's own value for a
/// shared key.
const JOINED: [&str; 3] = ["Labels", "ExposedPorts", "Volumes"];

/// The configuration of an image on a base: the base's, under the values of `own`. The layers and
/// the history of `own` come on top. The error is the reason for refusing the base's configuration.
pub(super) fn inherit(
    base: &[u8],
    own: &ImageConfig,
    given: &ContainerConfig,
) -> Result<Vec<u8>, String> {
    let mut whole: Map<String, Value> = parse(base)?;
    let own = to_map(own);
    let mut runtime = take_map(&mut whole, "config");
    lay_over(&mut runtime, &own, given);
    whole.insert("config".to_owned(), Value::Object(runtime));
    for (key, value) in own {
        match key.as_str() {
            "config" => {}
            "rootfs" => join_diff_ids(&mut whole, &value)?,
            "history" => join_lists(&mut whole, "history", value),
            _ => {
                whole.insert(key, value);
            }
        }
    }
    // A map of texts always serialises.
    serde_json::to_vec(&whole).map_err(|error| error.to_string())
}

fn parse(base: &[u8]) -> Result<Map<String, Value>, String> {
    serde_json::from_slice(base).map_err(|error| format!("it is no JSON object: {error}"))
}

fn to_map(own: &ImageConfig) -> Map<String, Value> {
    match serde_json::to_value(own) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// A map taken out of another; `null` and a missing key are empty.
fn take_map(from: &mut Map<String, Value>, key: &str) -> Map<String, Value> {
    match from.remove(key) {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// The runtime configuration.
fn lay_over(base: &mut Map<String, Value>, own: &Map<String, Value>, given: &ContainerConfig) {
    let own = own.get("config").and_then(Value::as_object).cloned().unwrap_or_default();
    if !given.entrypoint.is_empty() {
        // Arguments were meant for the replaced program.
        base.remove("Cmd");
    }
    if !given.entrypoint.is_empty() || !given.cmd.is_empty() {
        // It says a command of the base is one line for a shell of Windows.
        base.remove("ArgsEscaped");
    }
    for key in REPLACED {
        if let Some(value) = own.get(key) {
            base.insert(key.to_owned(), value.clone());
        }
    }
    for key in JOINED {
        let mut joined = take_map(base, key);
        joined.extend(own.get(key).and_then(Value::as_object).cloned().unwrap_or_default());
        if !joined.is_empty() {
            base.insert(key.to_owned(), Value::Object(joined));
        }
    }
    join_env(base, given);
}

/// Variables by name: a variable in both keeps its place and gets the image's value.
fn join_env(base: &mut Map<String, Value>, given: &ContainerConfig) {
    let mut left: Vec<(&str, String)> =
        given.env.iter().map(|(name, value)| (name.as_str(), format!("{name}={value}"))).collect();
    let before = match base.remove("Env") {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    };
    let mut env = Vec::new();
    for entry in before {
        let name = entry.as_str().map(|text| text.split('=').next().unwrap_or_default());
        let is_given = name.is_some_and(|name| given.env.keys().any(|key| key.as_str() == name));
        if !is_given {
            env.push(entry);
        } else if let Some(place) = left.iter().position(|(key, _)| Some(*key) == name) {
            env.push(Value::String(left.remove(place).1));
        }
    }
    env.extend(left.into_iter().map(|(_, text)| Value::String(text)));
    if !env.is_empty() {
        base.insert("Env".to_owned(), Value::Array(env));
    }
}

fn join_diff_ids(whole: &mut Map<String, Value>, own: &Value) -> Result<(), String> {
    let mut rootfs = take_map(whole, "rootfs");
    let kind = rootfs.get("type").cloned().unwrap_or_else(|| json!("layers"));
    if kind != "layers" {
        return Err(format!("its `rootfs` is of the type {kind}, known is \"layers\""));
    }
    rootfs.insert("type".to_owned(), kind);
    join_lists(&mut rootfs, "diff_ids", own.get("diff_ids").cloned().unwrap_or_default());
    whole.insert("rootfs".to_owned(), Value::Object(rootfs));
    Ok(())
}

fn join_lists(into: &mut Map<String, Value>, key: &str, own: Value) {
    let mut list = match into.remove(key) {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    };
    if let Value::Array(own) = own {
        list.extend(own);
    }
    into.insert(key.to_owned(), Value::Array(list));
}

#[cfg(test)]
mod tests;
