//! From the text of a YAML file of ours, an offer or waivers, to its types. Every refusal becomes a `Diagnostic` in words of the
//! file, never in words of the parser or of Rust.

use std::collections::BTreeMap;
use std::path::Path;

use serde_saphyr::{DuplicateKeyPolicy, Error, MergeKeyPolicy, MessageFormatter, Options};

use serde::de::DeserializeOwned;

use super::error::Diagnostic;
use super::origin::DOCKERFILE_ADVICE;
use super::secrets::LITERAL;
use super::source_map::{SourceMap, Spot};
use super::values::ImageName;

/// Deepest nesting; the reference needs 8.
pub(super) const DEPTH_MAX: usize = 24;
/// Most keys, values and lists together; the largest allowed offer has about 60,000.
pub(super) const NODES_MAX: usize = 100_000;

/// Reads the types from the text; format rules between keys are checked elsewhere.
pub(crate) fn parse<T: DeserializeOwned>(
    file: &Path,
    text: &str,
    spots: &SourceMap,
) -> Result<T, Diagnostic> {
    let fault = |spot, message: &str| Diagnostic::new(file, text, spot, message);
    if is_empty(text) {
        return Err(fault(Spot::START, "the file is empty").help("start it with `version: 1`"));
    }
    if let Some(spot) = spots.anchor() {
        return Err(fault(spot, "anchors and aliases are not read here")
            .help("write the value in both places"));
    }
    if let Some(spot) = spots.tag() {
        return Err(fault(spot, "tags are not read here").help("remove the word with the `!`"));
    }
    serde_saphyr::from_str_with_options(text, options())
        .map_err(|error| explain(file, text, &error))
}

/// The images of all plans as they are written, in their order; those of a chart by their names. The
/// text was parsed before.
pub(crate) fn images(text: &str) -> Vec<serde_json::Value> {
    #[derive(serde::Deserialize)]
    struct Written {
        plans: Vec<WrittenPlan>,
    }
    #[derive(serde::Deserialize)]
    struct WrittenPlan {
        #[serde(default)]
        image: Option<serde_json::Value>,
        #[serde(default)]
        images: BTreeMap<ImageName, serde_json::Value>,
    }
    let written: Option<Written> = serde_saphyr::from_str_with_options(text, options()).ok();
    let plans = written.map(|all| all.plans).unwrap_or_default().into_iter();
    plans.flat_map(|plan| plan.image.into_iter().chain(plan.images.into_values())).collect()
}

/// Whether a text holds nothing but comments and the marks of documents.
pub(super) fn is_empty(text: &str) -> bool {
    let mut lines = text.lines().map(|line| line.trim_start_matches('\u{feff}').trim());
    lines.all(|line| line.is_empty() || line.starts_with('#') || matches!(line, "---" | "..."))
}

fn options() -> Options {
    let mut options = Options::default();
    options.with_snippet = false;
    options.duplicate_keys = DuplicateKeyPolicy::Error;
    options.merge_keys = MergeKeyPolicy::Error;
    options.strict_booleans = true;
    options.reject_unsupported_tags = true;
    if let Some(budget) = &mut options.budget {
        budget.max_depth = DEPTH_MAX;
        budget.max_nodes = NODES_MAX;
        budget.max_events = 2 * NODES_MAX;
    }
    options
}

fn explain(file: &Path, text: &str, error: &Error) -> Diagnostic {
    let error = error.without_snippet();
    let spot = error.location().map_or(Spot::START, |location| {
        let from = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).max(1);
        let width = from(location.span().len());
        Spot { line: from(location.line()), column: from(location.column()), width }
    });
    let (message, help) = words(error);
    let mut diagnostic = Diagnostic::new(file, text, spot, message);
    diagnostic.help = help;
    if diagnostic.message == LITERAL { diagnostic.hide() } else { diagnostic }
}

/// The fault and the fix, in words of the file.
fn words(error: &Error) -> (String, Option<String>) {
    match error {
        Error::SerdeUnknownField { field, expected, .. } if is_build(field, expected) => {
            let message = format!("`{field}`: wharf does not build Dockerfiles");
            (message, Some(DOCKERFILE_ADVICE.to_owned()))
        }
        Error::SerdeUnknownField { field, expected, .. } => {
            (format!("the key `{field}` is not known here"), Some(suggest(field, expected)))
        }
        Error::SerdeMissingField { field, .. } => {
            (format!("the key `{field}` is missing here"), Some(format!("add `{field}: …`")))
        }
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("?");
            (format!("the key `{key}` stands twice"), Some("remove one of the two".to_owned()))
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            (format!("`{variant}` is not known here"), Some(suggest(variant, expected)))
        }
        Error::SerdeInvalidType { unexpected, expected, .. }
        | Error::SerdeInvalidValue { unexpected, expected, .. } => {
            (format!("this is {unexpected}, but {expected} is expected"), None)
        }
        Error::SerdeInvalidLength { expected, .. } => (format!("expected {expected}"), None),
        Error::Message { msg, .. } => (msg.clone(), None),
        Error::MultipleDocuments { .. } => {
            ("the file is one YAML document".to_owned(), Some("remove the `---`".to_owned()))
        }
        Error::Budget { .. } => (
            format!("this is more than is read: {DEPTH_MAX} levels, {NODES_MAX} keys and values"),
            Some("remove what is nested or repeated here".to_owned()),
        ),
        other => (serde_saphyr::UserMessageFormatter.format_message(other).into_owned(), None),
    }
}

/// Whether a key is meant for a builder, where an offer describes an image, a platform or a layer.
pub(super) fn is_build(key: &str, known: &[&str]) -> bool {
    let builders = ["dockerfile", "containerfile", "build", "context"];
    let places = ["platforms", "layers", "dir"];
    builders.contains(&key.to_ascii_lowercase().as_str())
        && known.iter().any(|known| places.contains(known))
}

/// The nearest known word, or all of them.
pub(super) fn suggest(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(known) => format!("did you mean `{known}`?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// The known word near enough to be meant.
pub(super) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let (distance, known) = known.map(|known| (distance(word, known), known)).min()?;
    (distance <= 2.max(word.chars().count() / 3)).then_some(known)
}

/// Whether a value reads as this type; `is_strict` where the type does not take a number for a text.
pub(super) fn reads_as<T: DeserializeOwned>(text: &str, is_plain: bool, is_strict: bool) -> bool {
    let quoted = (!is_plain).then(|| serde_json::Value::from(text).to_string());
    let text = quoted.as_deref().unwrap_or(text);
    if is_strict {
        let read = serde_saphyr::from_str_with_options::<serde_json::Value>(text, options());
        return read.is_ok_and(|read| read.is_string());
    }
    serde_saphyr::from_str_with_options::<T>(text, options()).is_ok()
}

/// The type's message about a text of its own, for a fault in the combination of its keys.
pub(super) fn alone<T: DeserializeOwned>(text: &str) -> Result<(), String> {
    match serde_saphyr::from_str_with_options::<T>(text, options()) {
        Ok(_) => Ok(()),
        Err(error) => match error.without_snippet() {
            Error::Message { msg, .. } => Err(msg.clone()),
            _ => Ok(()),
        },
    }
}

/// How many letters must change, come or go to make one word the other (Levenshtein); case is free.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).flat_map(char::to_lowercase).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).flat_map(char::to_lowercase).enumerate() {
        let mut next = vec![i + 1];
        for ((y, kept), above) in b.iter().zip(&row).zip(row.iter().skip(1)) {
            let left = next.last().copied().unwrap_or_default();
            let changed = kept + usize::from(x != *y);
            next.push(changed.min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_proposed_and_else_all_are() {
        let known = ["loginServer", "prefix", "plainHttp"];
        assert_eq!(suggest("loginserver", &known), "did you mean `loginServer`?");
        assert_eq!(suggest("plainHtpp", &known), "did you mean `plainHttp`?");
        assert_eq!(suggest("x", &["alpha", "beta"]), "known here: alpha, beta");
    }

    #[test]
    fn distances_are_counted_in_letters() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("Tags", "tags"), 0);
    }
}
