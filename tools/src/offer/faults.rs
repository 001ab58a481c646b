//! An offer from its text, or all faults of the text: in the order of the file, each with its line,
//! a guess at the intention, and the correct form.
//!
//! Invariant: no line is shown from where a secret may stand in it.

use std::path::Path;

use serde_json::{Map, Value as Part};

use super::error::{Diagnostic, FAULTS_MAX};
use super::examples::{example, flow};
use super::model::Offer;
use super::origin::DOCKERFILE_ADVICE;
use super::parse::{self, NODES_MAX, is_build, suggest};
use super::plans::{PLANS_MAX, plans_allowed};
use super::schema::{choices, expected, schema};
use super::secrets::LITERAL;
use super::source_map::SourceMap;
use super::tree::{Foreign, OfferTree, TreeValue};
use super::unread;
use super::walk::{SchemaFault, SchemaFaultKind, WalkResult, walk};

/// Reads an offer. The types have the last word: only where they refuse it are faults looked for, and
/// where none is found beside theirs, theirs is told.
pub(super) fn read(file: &Path, text: &str, spots: &SourceMap) -> Result<Offer, Vec<Diagnostic>> {
    if spots.contains(&format!("plans[{PLANS_MAX}]")) {
        // Thousands of plans are too many already, without a look at each.
        let beyond = |place: &usize| spots.contains(&format!("plans[{place}]"));
        let count = (PLANS_MAX..NODES_MAX).take_while(beyond).count() + PLANS_MAX;
        let message = format!("there are {count} plans");
        let told = Diagnostic::new(file, text, spots.find("plans"), message);
        return Err(vec![told.help(plans_allowed())]);
    }
    let refusal = match parse::parse(file, text, spots) {
        Ok(offer) => return Ok(offer),
        Err(refusal) => refusal,
    };
    if parse::is_empty(text) {
        return Err(vec![refusal]);
    }
    let schema = schema();
    let tree = match OfferTree::read(text) {
        Ok(tree) => tree,
        Err(unread) => return Err(vec![unread::told(file, text, &unread, &schema)]),
    };
    let WalkResult { faults, secrets } = walk(text, &tree, &schema);
    let lines: Vec<&str> = text.lines().collect();
    let told = faults.iter().take(FAULTS_MAX).map(|fault| {
        let line = fault.spot.line.checked_sub(1).and_then(|place| lines.get(place));
        let (message, help) = words(&fault.what, &schema);
        let mut told = Diagnostic::of_line(file, line.unwrap_or(&""), fault.spot, message);
        told.help = help;
        told
    });
    let mut told: Vec<Diagnostic> = told.collect();
    if told.is_empty() {
        let mut refusal = refusal;
        if secrets.contains_key(&refusal.spot.line) {
            // The types' messages may repeat the text.
            "what stands here cannot be read".clone_into(&mut refusal.message);
            refusal.help = None;
        }
        told.push(refusal);
    }
    if let Some(next) = faults.get(FAULTS_MAX) {
        told.push(more(file, &lines, next, faults.len() - FAULTS_MAX));
    }
    for diagnostic in &mut told {
        if let Some(column) = secrets.get(&diagnostic.spot.line) {
            diagnostic.hide_from(*column);
        }
    }
    Err(told)
}

/// Counts the faults beyond the maximum, at the first of them.
fn more(file: &Path, lines: &[&str], next: &SchemaFault<'_>, count: usize) -> Diagnostic {
    let line = next.spot.line.checked_sub(1).and_then(|place| lines.get(place));
    let message = format!("and {count} more faults from here on");
    Diagnostic::of_line(file, line.unwrap_or(&""), next.spot, message)
        .help("correct those above first")
}

/// The fault and the fix, in words of the file.
fn words(what: &SchemaFaultKind<'_>, schema: &Part) -> (String, Option<String>) {
    let add = |key: &str, property: Option<&Part>| {
        let example = property.and_then(|property| example(property, schema));
        Some(format!("add `{key}: {}`", example.unwrap_or_else(|| "…".to_owned())))
    };
    match what {
        SchemaFaultKind::Foreign(foreign) => said_of(*foreign),
        SchemaFaultKind::MergeKey => (
            "merge keys are not read here".to_owned(),
            Some("write the keys in both places".to_owned()),
        ),
        SchemaFaultKind::NoWord => ("a key is one word".to_owned(), None),
        SchemaFaultKind::Twice(key) => {
            (format!("the key `{key}` stands twice"), Some("remove one of the two".to_owned()))
        }
        SchemaFaultKind::UnknownKey { key, known } => unknown_key(key, known, schema),
        SchemaFaultKind::Missing { key, property } => {
            (format!("the key `{key}` is missing here"), add(key, *property))
        }
        SchemaFaultKind::MissingOfKind { message, key, property } => {
            (message.clone(), add(key, *property))
        }
        SchemaFaultKind::UnknownWord { word, part } => {
            let known = choices(part).unwrap_or_default();
            (format!("`{}` is not known here", short(word)), Some(suggest(word, &known)))
        }
        SchemaFaultKind::Type { found, part, key } => {
            let expected = expected(part, schema);
            let message = format!("this is {}, but {expected} is expected", found_words(found));
            let help = example(part, schema).map(|example| match key {
                Some(key) => format!("write `{}: {example}`", short(key)),
                None => format!("write `{example}`"),
            });
            (message, help)
        }
        SchemaFaultKind::Word { message, example } => {
            (message.clone(), Some(format!("write it like {}", flow(&Part::from(*example)))))
        }
        SchemaFaultKind::Literal => (LITERAL.to_owned(), None),
        SchemaFaultKind::NoSecret(said) => {
            ((*said).to_owned(), Some("write it like `{ env: QUAY_PASSWORD }`".to_owned()))
        }
        SchemaFaultKind::Said(message) => (message.clone(), None),
    }
}

fn said_of(foreign: Foreign) -> (String, Option<String>) {
    let (message, help) = match foreign {
        Foreign::Anchor => {
            ("anchors and aliases are not read here", "write the value in both places")
        }
        Foreign::Tag => ("tags are not read here", "remove the word with the `!`"),
        Foreign::Document => ("the file is one YAML document", "remove the `---`"),
    };
    (message.to_owned(), Some(help.to_owned()))
}

fn unknown_key(key: &str, known: &Map<String, Part>, schema: &Part) -> (String, Option<String>) {
    let keys: Vec<&str> = known.keys().map(String::as_str).collect();
    if is_build(key, &keys) {
        let message = format!("`{key}`: wharf does not build Dockerfiles");
        return (message, Some(DOCKERFILE_ADVICE.to_owned()));
    }
    let mut help = suggest(key, &keys);
    if let Some(meant) = parse::nearest(key, keys.into_iter())
        && let Some(example) = known.get(meant).and_then(|property| example(property, schema))
    {
        help = format!("{help} as in `{meant}: {example}`");
    }
    (format!("the key `{}` is not known here", short(key)), Some(help))
}

/// Most characters of a word of the file a message repeats.
const SHOWN_CHARS_MAX: usize = 80;

fn short(word: &str) -> String {
    let mut shown: String = word
        .chars()
        .take(SHOWN_CHARS_MAX)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if word.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

fn found_words(found: &TreeValue) -> &'static str {
    match found {
        _ if found.is_nothing() => "nothing",
        TreeValue::Scalar { text, is_plain: true } if parse::reads_as::<f64>(text, true, false) => {
            "a number"
        }
        TreeValue::Scalar { text, is_plain: true }
            if parse::reads_as::<bool>(text, true, false) =>
        {
            "a truth value"
        }
        TreeValue::Scalar { .. } => "a text",
        TreeValue::List(_) => "a list",
        TreeValue::Mapping(_) => "a mapping",
        TreeValue::Refused => "something else",
    }
}
