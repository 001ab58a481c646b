//! Writes one value into a YAML file of a user, at its place: every other character stays, comments
//! too.
//!
//! Invariant: the result reads as the input with one value changed, or there is an error. A
//! comparison of both readings proves it.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle};

/// Deepest nesting of an edited text.
const DEPTH_MAX: usize = 64;

/// A step on the way to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathStep<'a> {
    /// The value of this key.
    Key(&'a str),
    /// The item at this place, from 0.
    Item(usize),
}

/// Why a value cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The text is no single YAML document.
    #[error("line {line}: this is not one YAML document that can be edited")]
    NotYaml {
        /// Where it stops being one.
        line: usize,
    },
    /// A key is repeated in one mapping, and its valid value is unclear.
    #[error("line {line}: the key `{key}` stands twice in its mapping; remove one of them")]
    Twice {
        /// The line of the second.
        line: usize,
        key: String,
    },
    /// The mapping or list the value belongs into is not there.
    #[error("line {line}: there is no `{path}` to write into")]
    Missing {
        /// The line of its nearest parent.
        line: usize,
        /// The first missing step.
        path: String,
    },
    /// The place holds another value than a text on one line.
    #[error("line {line}: `{path}` is no text on one line, and is not replaced")]
    Kind { line: usize, path: String },
    /// The value would need escapes.
    #[error("the value {0:?} cannot be written into a YAML file as it is")]
    Value(String),
    /// More than the one value would change: it is shared by an anchor, or read in another way.
    #[error("line {line}: writing `{path}` would change more than that; write it by hand")]
    Spills { line: usize, path: String },
}

/// A value with its stretch of the text.
struct Part {
    range: Range<usize>,
    line: usize,
    shape: Shape,
}

enum Shape {
    Scalar(ScalarStyle),
    List(Vec<Part>),
    Mapping { style: StructureStyle, entries: Vec<Entry> },
    Alias,
}

struct Entry {
    key: String,
    range: Range<usize>,
    column: usize,
    value: Part,
}

/// The text with this value at this path. A missing key is added to its mapping; a missing mapping
/// is an error.
pub fn set(text: &str, path: &[PathStep<'_>], value: &str) -> Result<String, EditError> {
    let plain_value =
        || value.chars().all(|c| (' '..='~').contains(&c) && !matches!(c, '"' | '\\'));
    if !plain_value() {
        return Err(EditError::Value(value.chars().take(80).collect()));
    }
    let root = read(text)?;
    let mut at = &root;
    for (done, step) in path.iter().enumerate() {
        let shown = || Shown(path.get(..=done).unwrap_or_default()).to_string();
        let next = match (step, &at.shape) {
            (PathStep::Item(item), Shape::List(items)) => items.get(*item),
            (PathStep::Key(key), Shape::Mapping { style, entries }) => {
                let found = entries.iter().find(|entry| entry.key == *key);
                if found.is_none() && done + 1 == path.len() {
                    let edited = add(text, at, *style, entries, key, value);
                    return checked(text, edited, path, value, at.line);
                }
                found.map(|entry| &entry.value)
            }
            _ => None,
        };
        at = next.ok_or_else(|| EditError::Missing { line: at.line, path: shown() })?;
    }
    let Shape::Scalar(style) = &at.shape else {
        return Err(EditError::Kind { line: at.line, path: Shown(path).to_string() });
    };
    let written = match style {
        ScalarStyle::Plain => scalar(value),
        // Quotes stay as they are, where they can hold the value.
        ScalarStyle::SingleQuoted if !value.contains('\'') => format!("'{value}'"),
        ScalarStyle::DoubleQuoted | ScalarStyle::SingleQuoted => format!("\"{value}\""),
        _ => return Err(EditError::Kind { line: at.line, path: Shown(path).to_string() }),
    };
    // `key:` with nothing behind it: the value begins behind the colon.
    let gap =
        if at.range.is_empty() && !before(text, at.range.start).ends_with(' ') { " " } else { "" };
    let edited = replaced(text, at.range.clone(), &format!("{gap}{written}"));
    checked(text, edited, path, value, at.line)
}

/// The mapping with one more key: behind its last value with an end on its own line, or before all.
fn add(
    text: &str,
    mapping: &Part,
    style: StructureStyle,
    entries: &[Entry],
    key: &str,
    value: &str,
) -> String {
    let entry = format!("{key}: {}", scalar(value));
    if style == StructureStyle::Flow {
        return match entries.last() {
            Some(last) => insert(text, last.value.range.end, &format!(", {entry}")),
            None => insert(text, mapping.range.start + 1, &format!(" {entry} ")),
        };
    }
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let column = entries.first().map_or(0, |first| first.column);
    let indent = " ".repeat(column);
    let is_short = |entry: &&Entry| {
        let range = entry.range.start..entry.value.range.end;
        matches!(entry.value.shape, Shape::Scalar(_) | Shape::Alias)
            && !text.get(range).unwrap_or_default().contains('\n')
    };
    match (entries.iter().rev().find(is_short), entries.first()) {
        (Some(short), _) => {
            let rest = text.get(short.value.range.end..).unwrap_or_default();
            let end = rest.find('\n').map_or(rest.len(), |end| {
                if rest.get(..end).unwrap_or_default().ends_with('\r') { end - 1 } else { end }
            });
            insert(text, short.value.range.end + end, &format!("{newline}{indent}{entry}"))
        }
        (None, Some(first)) => {
            insert(text, first.range.start, &format!("{entry}{newline}{indent}"))
        }
        (None, None) => insert(text, mapping.range.end, &format!("{newline}{entry}")),
    }
}

fn before(text: &str, place: usize) -> &str {
    text.get(..place).unwrap_or_default()
}

fn insert(text: &str, place: usize, piece: &str) -> String {
    replaced(text, place..place, piece)
}

fn replaced(text: &str, range: Range<usize>, piece: &str) -> String {
    let after = text.get(range.end..).unwrap_or_default();
    format!("{}{piece}{after}", before(text, range.start))
}

/// In YAML's form: without quotes where every reader takes it for this text.
fn scalar(value: &str) -> String {
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let is_plain = value.starts_with(|c: char| c.is_ascii_alphabetic())
        && value.bytes().all(|c| c.is_ascii_alphanumeric() || b"._:/@+-".contains(&c))
        && !value.ends_with(':')
        && !words.contains(&value.to_ascii_lowercase().as_str());
    if is_plain { value.to_owned() } else { format!("\"{value}\"") }
}

/// The edited text, when it reads as the old one but for this value.
fn checked(
    text: &str,
    edited: String,
    path: &[PathStep<'_>],
    value: &str,
    line: usize,
) -> Result<String, EditError> {
    let spills = || EditError::Spills { line, path: Shown(path).to_string() };
    let values = |text: &str| serde_saphyr::from_str::<serde_json::Value>(text).ok();
    let unreadable = || twice(text).unwrap_or(EditError::NotYaml { line });
    let mut wanted = values(text).ok_or_else(unreadable)?;
    put(&mut wanted, path, value).ok_or_else(spills)?;
    if values(&edited) == Some(wanted) { Ok(edited) } else { Err(spills()) }
}

/// A repeated key in any mapping.
fn twice(text: &str) -> Option<EditError> {
    let root = read(text).ok()?;
    let mut open = vec![&root];
    while let Some(part) = open.pop() {
        match &part.shape {
            Shape::List(items) => open.extend(items),
            Shape::Mapping { entries, .. } => {
                let mut known = BTreeSet::new();
                if let Some(again) = entries.iter().find(|entry| !known.insert(&entry.key)) {
                    let before = before(text, again.range.start);
                    let line = before.matches('\n').count() + 1;
                    return Some(EditError::Twice { line, key: again.key.clone() });
                }
                open.extend(entries.iter().map(|entry| &entry.value));
            }
            Shape::Scalar(_) | Shape::Alias => {}
        }
    }
    None
}

fn put(root: &mut serde_json::Value, path: &[PathStep<'_>], value: &str) -> Option<()> {
    let (last, above) = path.split_last()?;
    let mut at = root;
    for step in above {
        at = match step {
            PathStep::Key(key) => at.get_mut(key)?,
            PathStep::Item(item) => at.get_mut(item)?,
        };
    }
    match last {
        PathStep::Key(key) => {
            at.as_object_mut()?.insert((*key).to_owned(), value.into());
        }
        PathStep::Item(item) => *at.get_mut(item)? = value.into(),
    }
    Some(())
}

fn read(text: &str) -> Result<Part, EditError> {
    let mut reader = Reader { events: Parser::new_from_str(text), line: 1 };
    let mut root = None;
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
            Event::StreamEnd => break,
            _ if root.is_some() => return Err(reader.fault()),
            event => root = Some(reader.part(&event, &span, 0)?),
        }
    }
    root.ok_or_else(|| reader.fault())
}

struct Reader<'a> {
    events: Parser<'a, serde_saphyr::granit_parser::StrInput<'a>>,
    line: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), EditError> {
        match self.events.next() {
            Some(Ok((event, span))) => {
                self.line = span.start.line();
                Ok((event, span))
            }
            Some(Err(_)) | None => Err(self.fault()),
        }
    }

    const fn fault(&self) -> EditError {
        EditError::NotYaml { line: self.line }
    }

    fn part(&mut self, event: &Event<'a>, span: &Span, depth: usize) -> Result<Part, EditError> {
        if depth > DEPTH_MAX {
            return Err(self.fault());
        }
        let line = span.start.line();
        let mut range = span.byte_range().ok_or_else(|| self.fault())?;
        let shape = match event {
            Event::Scalar(_, style, ..) => Shape::Scalar(*style),
            Event::Alias(_) => Shape::Alias,
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if matches!(event, Event::SequenceEnd) {
                        range.end = span.byte_range().map_or(range.end, |end| end.end);
                        break Shape::List(items);
                    }
                    items.push(self.part(&event, &span, depth + 1)?);
                }
            }
            Event::MappingStart(style, ..) => {
                let mut entries = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if matches!(event, Event::MappingEnd) {
                        range.end = span.byte_range().map_or(range.end, |end| end.end);
                        break Shape::Mapping { style: *style, entries };
                    }
                    entries.push(self.entry(&event, &span, depth)?);
                }
            }
            _ => return Err(self.fault()),
        };
        Ok(Part { range, line, shape })
    }

    fn entry(&mut self, event: &Event<'a>, span: &Span, depth: usize) -> Result<Entry, EditError> {
        let Event::Scalar(key, ..) = event else { return Err(self.fault()) };
        let range = span.byte_range().ok_or_else(|| self.fault())?;
        let (value, value_span) = self.next()?;
        let mut value = self.part(&value, &value_span, depth + 1)?;
        if value.range.is_empty() {
            // An empty value's reported place depends on the text after it; its colon's place does
            // not.
            value.range = range.end + 1..range.end + 1;
        }
        Ok(Entry { key: key.to_string(), range, column: span.start.col(), value })
    }
}

/// A path as messages show it: `plans[0].bundle.digest`.
struct Shown<'a>(&'a [PathStep<'a>]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.0.iter().enumerate() {
            match step {
                PathStep::Key(key) if place == 0 => f.write_str(key)?,
                PathStep::Key(key) => write!(f, ".{key}")?,
                PathStep::Item(item) => write!(f, "[{item}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::PathStep::{Item, Key};
    use super::*;

    #[test]
    fn a_value_is_replaced_at_its_place_and_all_else_stays() {
        let text = "# top\na:\n  b: old # why\n  c: 'x'   # kept\nlist:\n  - { d: 1 }\n";
        let edited = set(text, &[Key("a"), Key("b")], "sha256:12").unwrap();
        assert_eq!(edited, text.replace("old", "sha256:12"));
        let edited = set(text, &[Key("a"), Key("c")], "1.0").unwrap();
        assert_eq!(edited, text.replace("'x'", "'1.0'"));
        let edited = set(text, &[Key("list"), Item(0), Key("d")], "2.0.0").unwrap();
        assert_eq!(edited, text.replace("d: 1", "d: \"2.0.0\""));
    }

    #[test]
    fn an_empty_value_is_filled() {
        for (text, wanted) in [
            ("a:\n  digest:\n  b: 1\n", "a:\n  digest: x1\n  b: 1\n"),
            ("a:\n  b: 1\n  digest: \n", "a:\n  b: 1\n  digest: x1 \n"),
            ("a:\n  digest: # later\n", "a:\n  digest: x1 # later\n"),
            ("a: { digest: , b: 1 }\n", "a: { digest: x1 , b: 1 }\n"),
            ("a:\n  digest: \"\" # set\n", "a:\n  digest: \"x1\" # set\n"),
        ] {
            let edited = set(text, &[Key("a"), Key("digest")], "x1");
            // Behind a colon there may be one blank more than needed; no character goes.
            let edited = edited.unwrap().replace("x1  ", "x1 ");
            assert_eq!(edited.replace("x1  #", "x1 #"), wanted, "{text}");
        }
    }

    #[test]
    fn a_missing_key_comes_behind_what_stands_on_one_line() {
        let text =
            "plans:\r\n  - id: p\r\n    bundle:\r\n      repository: r/b # where\r\n    z: [1]\r\n";
        let path = [Key("plans"), Item(0), Key("bundle"), Key("digest")];
        let edited = set(text, &path, "sha256:ab").unwrap();
        assert_eq!(edited, text.replace("# where\r\n", "# where\r\n      digest: sha256:ab\r\n"));
        let text = "a: { repository: r/b }\nb: {}\n";
        let edited = set(text, &[Key("a"), Key("version")], "1.0.0").unwrap();
        assert_eq!(edited, text.replace("r/b }", "r/b, version: \"1.0.0\" }"));
        let edited = set(text, &[Key("b"), Key("version")], "v1").unwrap();
        assert_eq!(edited, text.replace("{}", "{ version: v1 }"));
        assert_eq!(
            set("a:\n  b:\n    - 1\n", &[Key("a"), Key("c")], "x").unwrap(),
            "a:\n  c: x\n  b:\n    - 1\n"
        );
        assert_eq!(set("a: 1", &[Key("c")], "x").unwrap(), "a: 1\nc: x");
    }

    #[test]
    fn what_cannot_be_written_safely_is_refused() {
        let set = |text: &str, path: &[PathStep<'_>]| super::set(text, path, "v").unwrap_err();
        assert!(matches!(set("a: [", &[Key("a")]), EditError::NotYaml { .. }));
        assert!(matches!(set("a: 1\n---\nb: 2\n", &[Key("a")]), EditError::NotYaml { .. }));
        assert_eq!(
            set("a:\n  b: 1\n", &[Key("a"), Key("x"), Key("y")]).to_string(),
            "line 2: there is no `a.x` to write into"
        );
        assert_eq!(
            set("a:\n  b: 1\nc:\n  d: 1\n  e: 2\n  d: 3\n", &[Key("a"), Key("b")]).to_string(),
            "line 6: the key `d` stands twice in its mapping; remove one of them"
        );
        assert!(matches!(set("a:\n  b: 1\n", &[Key("a")]), EditError::Kind { .. }));
        assert!(matches!(set("a: |\n  b\n", &[Key("a")]), EditError::Kind { .. }));
        assert!(matches!(set("a: &x 1\nb: *x\n", &[Key("a")]), EditError::Spills { line: 1, .. }));
        for value in ["a\"b", "a\nb", "\u{e9}", "a\\b"] {
            assert!(matches!(super::set("a: 1", &[Key("a")], value), Err(EditError::Value(_))));
        }
        let deep = "[".repeat(DEPTH_MAX + 5) + &"]".repeat(DEPTH_MAX + 5);
        assert!(matches!(set(&deep, &[Key("a")]), EditError::NotYaml { .. }));
    }
}
