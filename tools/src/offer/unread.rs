//! The messages about a text too large, or not YAML.
//!
//! Invariant: such a text has no places, so the place of its secrets is unknown: no message shows a
//! value of it, nor the scanner's own words, for they may repeat one.

use std::path::Path;

use serde_json::Value as Part;
use serde_saphyr::granit_parser::ErrorKind;

use super::error::Diagnostic;
use super::parse::{DEPTH_MAX, NODES_MAX};
use super::schema::{DEFINITIONS, mapping_of};
use super::source_map::Spot;
use super::tree::TreeFault;

/// The fault of a text that does not become a tree.
pub(super) fn told(file: &Path, text: &str, unread: &TreeFault, schema: &Part) -> Diagnostic {
    let (spot, message, help) = match unread {
        TreeFault::Empty => {
            (Spot::START, "the file is empty".to_owned(), "start it with `version: 1`")
        }
        TreeFault::Deep(spot) => {
            let message =
                format!("this is nested deeper than the {DEPTH_MAX} levels that are read");
            (*spot, message, "close the brackets above, or indent less")
        }
        TreeFault::Large(spot) => {
            let message = format!("the file has more than {NODES_MAX} keys and values");
            (*spot, message, "remove what is repeated")
        }
        TreeFault::Syntax(spot, kind) => {
            let (message, help) = words(kind);
            (*spot, format!("this is no YAML: {message}"), help)
        }
    };
    let lines = text.lines().count().max(1);
    let spot = if spot.line > lines { Spot { line: lines, column: 1, width: 1 } } else { spot };
    let mut told = Diagnostic::new(file, text, spot, message).help(help);
    let kept = key_of(&told.line, schema).map_or(0, |key| key.chars().count() + 2);
    told.hide_from(kept + 1);
    told
}

/// The start of a line with its key, where an offer has such a key.
fn key_of<'l>(line: &'l str, schema: &Part) -> Option<&'l str> {
    let (before, behind) = line.split_once(':')?;
    let key = before.trim_start_matches([' ', '-']);
    let is_key = |part: &Part| mapping_of(part).is_some_and(|known| known.contains_key(key));
    let definitions = schema.get(DEFINITIONS).and_then(Part::as_object);
    let is_known =
        is_key(schema) || definitions.into_iter().flatten().any(|(_, part)| is_key(part));
    (is_known && (behind.is_empty() || behind.starts_with(' '))).then_some(before)
}

/// The fault and the fix, in words of ours.
fn words(kind: &ErrorKind) -> (&'static str, &'static str) {
    match kind {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => ("a tab stands here", "indent with spaces"),
        ErrorKind::UnclosedQuotedScalar | ErrorKind::DocumentIndicatorInQuotedScalar => {
            ("a text in quotes has no end", "close the quotes")
        }
        ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping
        | ErrorKind::ExpectedFlowMappingSeparator
        | ErrorKind::ExpectedFlowSequenceSeparator
        | ErrorKind::MisplacedFlowCollectionEnd
        | ErrorKind::MismatchedFlowCollectionEnd { .. } => (
            "a bracket or brace is not closed, or has no partner",
            "close every `[` and `{`, and put `,` between what stands in them",
        ),
        ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::InvalidIndentation
        | ErrorKind::InvalidFlowScalarIndent
        | ErrorKind::InvalidQuotedScalarIndent
        | ErrorKind::InvalidBlockScalarIndent => (
            "this line begins at another column than those it belongs to",
            "begin the keys of one mapping, and the `-` of one list, at the same column, and close every quote above",
        ),
        ErrorKind::MappingValueNotAllowed
        | ErrorKind::InvalidColonPlacement
        | ErrorKind::MappingKeyNotAllowed
        | ErrorKind::SimpleKeyExpected
        | ErrorKind::InvalidSimpleKey => (
            "a `:` is missing here, or one stands where none belongs",
            "write `key: value` at the column of its neighbours, quotes around a text with `: ` in it, and close every quote, `[` and `{` above",
        ),
        ErrorKind::UnexpectedCharacter { .. } => {
            ("a text cannot begin like this", "put quotes around the text")
        }
        ErrorKind::UnknownAnchor => {
            ("anchors and aliases are not read here", "write the value in both places")
        }
        ErrorKind::RecursionLimitExceeded => {
            ("this is nested too deep", "close the brackets above, or indent less")
        }
        _ => (
            "the text cannot be read from here on",
            "look at the quotes, the brackets and the indentation of this line and of those above",
        ),
    }
}
