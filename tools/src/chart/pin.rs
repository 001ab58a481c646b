//! Writes where an image is, by digest, into the values of a chart: at its place under
//! `global.azure.images`, and nothing else.
//!
//! Invariant: every byte outside of these values stays, and the other values read as before;
//! `yaml_edit` proves it for each.

use super::images::IMAGES;
use super::yaml;
use crate::yaml::{Node, Value};
use crate::yaml_edit::{self, EditError, PathStep};

/// Where an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Its name under `global.azure.images`.
    pub name: String,
    /// The registry, without a repository.
    pub registry: String,
    pub image: String,
    pub digest: String,
}

/// Why an image is not pinned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// The values are no YAML.
    #[error("line {line}: this is no YAML: {message}")]
    NotYaml { line: usize, message: String },
    /// The values do not name the image.
    #[error(
        "there is no `global.azure.images.{0}`; add it with `registry`, `image` and `digest`, and \
             build the image from them in templates"
    )]
    Missing(String),
    /// It is named, and nothing can be written below it.
    #[error(
        "line {line}: `{path}` is {found}; write `registry`, `image` and `digest` below it, with any \
             values"
    )]
    NoMapping { line: usize, path: String, found: &'static str },
    /// The value is shared with other places.
    #[error(
        "line {line}: `{path}` is an anchor or an alias, and writing it would change other places; \
             write the value in both places"
    )]
    Shared { line: usize, path: String },
    /// It cannot be written.
    #[error(transparent)]
    Edit(#[from] EditError),
}

/// The values with these images pinned; the same text when they are.
pub fn pin(text: &str, pins: &[Pin]) -> Result<String, PinError> {
    let (mark, body) = match text.strip_prefix('\u{feff}') {
        Some(body) => ("\u{feff}", body),
        None => ("", text),
    };
    let mut body = body.to_owned();
    for pin in pins {
        for (key, value) in
            [("registry", &pin.registry), ("image", &pin.image), ("digest", &pin.digest)]
        {
            body = set(body, &pin.name, key, value)?;
        }
    }
    Ok(format!("{mark}{body}"))
}

fn set(text: String, name: &str, key: &str, value: &str) -> Result<String, PinError> {
    let [global, azure, images] = IMAGES;
    let path = [global, azure, images, name, key];
    let values = yaml::one("values.yaml", &text)
        .map_err(|fault| PinError::NotYaml { line: fault.spot.line, message: fault.message })?;
    let values = values.ok_or_else(|| PinError::Missing(name.to_owned()))?;
    let mut at = &values;
    let mut shown = Vec::new();
    for (done, step) in path.iter().enumerate() {
        shown.push(*step);
        let Some(next) = at.get(step) else {
            if done + 1 == path.len() {
                break;
            }
            return Err(PinError::Missing(name.to_owned()));
        };
        if next.is_anchored || matches!(next.value, Value::Alias(_)) || has_merge(next) {
            return Err(PinError::Shared { line: next.spot.line, path: shown.join(".") });
        }
        let is_image = done + 2 == path.len();
        if is_image && !matches!(next.value, Value::Map(_)) {
            let found = if next.said().is_some() { "a text" } else { "empty" };
            let found = if matches!(next.value, Value::List(_)) { "a list" } else { found };
            return Err(PinError::NoMapping { line: next.spot.line, path: shown.join("."), found });
        }
        at = next;
    }
    if values.find(&path).and_then(Node::text) == Some(value) {
        return Ok(text);
    }
    Ok(yaml_edit::set(&text, &path.map(PathStep::Key), value)?)
}

/// Whether a mapping takes keys of another one.
fn has_merge(node: &Node) -> bool {
    node.get("<<").is_some()
}

#[cfg(test)]
mod tests;
