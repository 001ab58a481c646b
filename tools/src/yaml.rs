//! YAML as a tree, each value with its place: the one reader of charts, of the files of an
//! application and of offers. Types, and the allowed features of a kind of file, are its readers'
//! business.
//!
//! Invariant: a tree is bounded in depth and in values, so a walk of it may recurse; the bytes of a
//! scalar's `span` are its token, with quotes and without tag and anchor.

use std::collections::HashMap;
use std::ops::Range;

use serde_saphyr::granit_parser::{ErrorKind, Event, Parser, ScalarStyle, Span};

/// A stretch of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spot {
    /// Line, from 1.
    pub line: usize,
    /// First column, from 1, in characters.
    pub column: usize,
    /// How many characters; at least 1.
    pub width: usize,
}

impl Spot {
    /// The start of the file.
    pub const START: Self = Self { line: 1, column: 1, width: 1 };

    /// The place of an event; of several lines only its first letter.
    pub(crate) fn of(span: &Span) -> Self {
        let (line, column) = (span.start.line(), span.start.col() + 1);
        let is_one_line = span.end.line() == line;
        let width =
            if is_one_line { (span.end.col() + 1).saturating_sub(column).max(1) } else { 1 };
        Self { line, column, width }
    }
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub spot: Spot,
    pub span: Range<usize>,
    pub end_line: usize,
    pub value: Value,
    /// Whether it has an anchor, so other places may use it too.
    pub is_anchored: bool,
    /// Whether it has a tag.
    pub has_tag: bool,
}

/// The kind of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text, a number, nothing.
    Scalar {
        /// Without quotes and escapes.
        text: String,
        style: YamlStyle,
    },
    /// Keys with values, in their order; a key may stand twice.
    Map(Vec<(Node, Node)>),
    /// Items.
    List(Vec<Node>),
    /// A value from elsewhere; its text when the value is a scalar.
    Alias(Option<String>),
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum YamlStyle {
    /// As it is.
    Plain,
    /// In `'`.
    Single,
    /// In `"`.
    Double,
    /// As a block of lines.
    Block,
}

impl Node {
    /// The value of a key; of a repeated key the last one, as Helm has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().rev().find(|(name, _)| name.text() == Some(key)).map(|(_, node)| node)
    }

    /// The value at the end of these keys.
    #[must_use]
    pub fn find(&self, keys: &[&str]) -> Option<&Self> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The keys and values of a mapping.
    #[must_use]
    pub fn entries(&self) -> &[(Self, Self)] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    /// The items of a list.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    /// The text of a scalar, also of one from elsewhere.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            Value::Alias(text) => text.as_deref(),
            Value::Map(_) | Value::List(_) => None,
        }
    }

    /// The text of a scalar, unless it is empty or `null`.
    #[must_use]
    pub fn said(&self) -> Option<&str> {
        let is_plain = matches!(self.value, Value::Scalar { style: YamlStyle::Plain, .. });
        let is_nothing = |text: &str| text.is_empty() || (is_plain && matches!(text, "null" | "~"));
        self.text().filter(|text| !is_nothing(text))
    }

    /// No value, where a file breaks off behind a key.
    fn nothing(spot: Spot, at: usize) -> Self {
        let value = Value::Scalar { text: String::new(), style: YamlStyle::Plain };
        let (span, end_line) = (at..at, spot.line);
        Self { spot, span, end_line, value, is_anchored: false, has_tag: false }
    }
}

/// How much of a file is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) depth: usize,
    /// Most values, keys and lists together.
    pub(crate) values: usize,
    /// Most documents; the next one is only named.
    pub(crate) documents: usize,
}

/// Why reading stopped before the end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The text is no YAML from here on, for this reason.
    Syntax(Spot, ErrorKind, String),
    /// The text is nested too deep here.
    Deep(Spot),
    /// The text holds too many values; here is the first of them.
    Large(Spot),
}

/// A document past the bound.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Further {
    /// Its `---`.
    pub(crate) start: Spot,
    /// Its first value.
    pub(crate) root: Spot,
}

/// The result of reading a text.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// The documents; the last is a part where reading stopped.
    pub(crate) documents: Vec<Node>,
    /// The first unread document.
    pub(crate) further: Option<Further>,
    pub(crate) stop: Option<Stop>,
}

/// Reads a text.
pub(crate) fn read(text: &str, bounds: Bounds) -> Reading {
    let mut building = Building::default();
    let mut events = Parser::new_from_str(text);
    let (mut count, mut documents) = (0, 0);
    while let Some(event) = events.next() {
        let (event, span) = match event {
            Ok(read) => read,
            Err(error) => {
                let (line, column) = (error.marker().line().max(1), error.marker().col() + 1);
                let spot = Spot { line, column, width: 1 };
                return building.end(Some(Stop::Syntax(
                    spot,
                    error.kind().clone(),
                    error.info().clone(),
                )));
            }
        };
        if matches!(event, Event::DocumentStart(..)) {
            documents += 1;
            if documents > bounds.documents {
                let start = Spot::of(&span);
                let root = events.next().and_then(Result::ok).map(|(_, span)| Spot::of(&span));
                building.further = Some(Further { start, root: root.unwrap_or(start) });
                break;
            }
        }
        count += 1;
        if count > 2 * bounds.values {
            return building.end(Some(Stop::Large(Spot::of(&span))));
        }
        if is_value(&event) && building.open.len() > bounds.depth {
            return building.end(Some(Stop::Deep(Spot::of(&span))));
        }
        building.take(event, &span);
    }
    building.end(None)
}

const fn is_value(event: &Event<'_>) -> bool {
    matches!(
        event,
        Event::Scalar(..)
            | Event::Alias(_)
            | Event::UnresolvedAlias(_)
            | Event::SequenceStart(..)
            | Event::MappingStart(..)
    )
}

/// An unclosed mapping or list.
struct Open {
    node: Node,
    /// The key before its value.
    key: Option<Node>,
}

#[derive(Default)]
struct Building {
    open: Vec<Open>,
    done: Vec<Node>,
    further: Option<Further>,
    anchors: HashMap<usize, String>,
}

impl Building {
    fn take(&mut self, event: Event<'_>, span: &Span) {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                if anchor != 0 {
                    self.anchors.insert(anchor, text.to_string());
                }
                let value = Value::Scalar { text: text.into_owned(), style: style_of(style) };
                self.close(node(span, value, anchor, tag.is_some()));
            }
            Event::Alias(of) => {
                let value = Value::Alias(self.anchors.get(&of).cloned());
                self.close(node(span, value, 0, false));
            }
            Event::UnresolvedAlias(_) => self.close(node(span, Value::Alias(None), 0, false)),
            Event::SequenceStart(_, anchor, tag) => {
                let node = node(span, Value::List(Vec::new()), anchor, tag.is_some());
                self.open.push(Open { node, key: None });
            }
            Event::MappingStart(_, anchor, tag) => {
                let node = node(span, Value::Map(Vec::new()), anchor, tag.is_some());
                self.open.push(Open { node, key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(mut open) = self.open.pop() {
                    open.node.span.end = span.end.byte_offset().unwrap_or(open.node.span.start);
                    open.node.end_line = span.end.line();
                    self.close(open.node);
                }
            }
            _ => {}
        }
    }

    /// A whole value is the key or the value of a mapping, an item of a list, or a document.
    fn close(&mut self, node: Node) {
        let Some(parent) = self.open.last_mut() else {
            self.done.push(node);
            return;
        };
        match &mut parent.node.value {
            Value::List(items) => items.push(node),
            Value::Map(entries) => match parent.key.take() {
                None => parent.key = Some(node),
                Some(key) => entries.push((key, node)),
            },
            Value::Scalar { .. } | Value::Alias(_) => {}
        }
    }

    /// The documents, with the open parts of the last one as far as they were read.
    fn end(mut self, stop: Option<Stop>) -> Reading {
        while let Some(Open { mut node, key }) = self.open.pop() {
            if let (Value::Map(entries), Some(key)) = (&mut node.value, key) {
                let nothing = Node::nothing(key.spot, key.span.end);
                entries.push((key, nothing));
            }
            self.close(node);
        }
        Reading { documents: self.done, further: self.further, stop }
    }
}

fn node(span: &Span, value: Value, anchor: usize, has_tag: bool) -> Node {
    let start = span.start.byte_offset().unwrap_or_default();
    let end = span.end.byte_offset().unwrap_or(start);
    Node {
        spot: Spot::of(span),
        span: start..end,
        end_line: span.end.line(),
        value,
        is_anchored: anchor != 0,
        has_tag,
    }
}

const fn style_of(style: ScalarStyle) -> YamlStyle {
    match style {
        ScalarStyle::Plain => YamlStyle::Plain,
        ScalarStyle::SingleQuoted => YamlStyle::Single,
        ScalarStyle::DoubleQuoted => YamlStyle::Double,
        ScalarStyle::Literal | ScalarStyle::Folded => YamlStyle::Block,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    const BOUNDS: Bounds = Bounds { depth: 3, values: 100, documents: 1 };

    #[test]
    fn values_have_their_bytes_lines_anchors_and_tags() {
        let text = "# é\r\na: &x 'b'\nc:\n  - !t d\n  - *x\n";
        let reading = read(text, BOUNDS);
        assert!(reading.stop.is_none() && reading.further.is_none());
        let root = &reading.documents[0];
        let (a, c) = (root.get("a").unwrap(), root.get("c").unwrap());
        assert_eq!((&text[a.span.clone()], a.is_anchored, a.spot.line), ("'b'", true, 2));
        let [d, x] = c.items() else { panic!("{c:?}") };
        assert_eq!((d.text(), d.has_tag, d.spot.column), (Some("d"), true, 8));
        assert_eq!((x.text(), &x.value), (Some("b"), &Value::Alias(Some("b".to_owned()))));
        assert!(text[c.span.clone()].starts_with("- !t d"));
    }

    #[test]
    fn a_text_that_breaks_off_keeps_what_came_before() {
        let reading = read("a: 1\nb: [2, 3\nc: 4\n", BOUNDS);
        assert!(matches!(reading.stop, Some(Stop::Syntax(..))));
        assert_eq!(reading.documents[0].get("a").unwrap().text(), Some("1"));
        let reading = read("a: 1\nb: \"x\n", BOUNDS);
        assert_eq!(reading.documents[0].get("b").unwrap().text(), Some(""));
    }

    #[test]
    fn bounds_stop_the_reading_where_they_are_reached() {
        let stop = |text: &str, bounds| read(text, bounds).stop;
        assert!(stop("[[[1]]]", BOUNDS).is_none());
        assert!(matches!(stop("[[[[1]]]]", BOUNDS), Some(Stop::Deep(Spot { column: 5, .. }))));
        let few = Bounds { values: 5, ..BOUNDS };
        assert!(matches!(stop("[1, 2, 3, 4, 5, 6, 7, 8]", few), Some(Stop::Large(_))));
        let further = read("a: 1\n---\nb: [\n", BOUNDS).further.unwrap();
        assert_eq!((further.start.line, further.root.line), (2, 3));
    }
}
