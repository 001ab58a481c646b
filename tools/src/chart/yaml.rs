//! YAML of a chart as a tree with the place of every value: which line, and which bytes. Types are given
//! by who reads it; here a scalar is its text.
//!
//! Invariant: the bytes of a scalar's `span` are its token, with quotes and without tag and anchor.

use std::collections::HashMap;
use std::ops::Range;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span};

/// Most values, keys and lists of one file together.
const NODES_MAX: usize = 200_000;
/// Deepest nesting.
const DEPTH_MAX: usize = 100;

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// How many characters; at least 1.
    pub width: usize,
}

impl Mark {
    /// The first letter of a file.
    pub const START: Self = Self { line: 1, column: 1, width: 1 };
}

/// Why a file is no YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YamlFault {
    /// The file, by its path in the chart.
    pub file: String,
    /// Where.
    pub mark: Mark,
    /// What is wrong.
    pub message: String,
}

impl YamlFault {
    fn new(file: &str, mark: Mark, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), mark, message: message.into() }
    }

    /// The file is no text.
    pub(super) fn not_utf8(file: &str) -> Self {
        Self::new(file, Mark::START, "the file is not UTF-8; save it as UTF-8")
    }

    /// Something in it is not what it must be.
    pub(super) fn at(file: &str, node: &Node, message: impl Into<String>) -> Self {
        Self::new(file, node.mark, message)
    }
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it stands.
    pub mark: Mark,
    /// Which bytes of the text are its token; of mappings and lists only where they begin.
    pub span: Range<usize>,
    /// What it is.
    pub value: Value,
    /// Whether it has an anchor, by which it is used elsewhere too.
    pub is_anchored: bool,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text, a number, nothing.
    Scalar {
        /// Without quotes and escapes.
        text: String,
        /// How it is written.
        style: Style,
    },
    /// Keys with values, in their order.
    Map(Vec<(Node, Node)>),
    /// Items.
    List(Vec<Node>),
    /// What stands elsewhere; its text when that is a scalar.
    Alias(Option<String>),
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
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
    /// The value of a key; of a key that stands twice the last one, as Helm has it.
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

    /// The text of a scalar, also of one that stands elsewhere.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            Value::Alias(text) => text.as_deref(),
            Value::Map(_) | Value::List(_) => None,
        }
    }

    /// The text of a scalar that is neither empty nor `null`.
    #[must_use]
    pub fn said(&self) -> Option<&str> {
        let is_plain = matches!(self.value, Value::Scalar { style: Style::Plain, .. });
        self.text().filter(|text| !text.is_empty() && !(is_plain && matches!(*text, "null" | "~")))
    }
}

/// The one document of a file; nothing when it is empty.
pub fn one(file: &str, text: &str) -> Result<Option<Node>, YamlFault> {
    let mut documents = all(file, text)?;
    match documents.len() {
        0 => Ok(None),
        1 => Ok(documents.pop()),
        _ => {
            let second = documents.get(1).map_or(Mark::START, |node| node.mark);
            Err(YamlFault::new(file, second, "a second document; Helm reads the first only"))
        }
    }
}

/// All documents of a file.
pub fn all(file: &str, text: &str) -> Result<Vec<Node>, YamlFault> {
    let mut reader = Reader {
        file,
        offsets: Offsets::of(text),
        open: Vec::new(),
        done: Vec::new(),
        anchors: HashMap::new(),
    };
    let mut count = 0;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let (line, column) = (error.marker().line().max(1), error.marker().col() + 1);
            YamlFault::new(file, Mark { line, column, width: 1 }, error.info().to_owned())
        })?;
        count += 1;
        if count > 2 * NODES_MAX {
            return Err(YamlFault::new(
                file,
                mark_of(&span),
                format!("more than {NODES_MAX} values"),
            ));
        }
        reader.event(event, &span)?;
    }
    Ok(reader.done)
}

struct Open {
    node: Node,
    key: Option<Node>,
}

struct Reader<'a> {
    file: &'a str,
    offsets: Offsets,
    open: Vec<Open>,
    done: Vec<Node>,
    anchors: HashMap<usize, String>,
}

impl Reader<'_> {
    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<(), YamlFault> {
        let (mark, bytes) = (mark_of(span), self.offsets.bytes(span));
        match event {
            Event::Scalar(text, style, anchor, _) => {
                if anchor != 0 {
                    self.anchors.insert(anchor, text.to_string());
                }
                let value = Value::Scalar { text: text.into_owned(), style: style_of(style) };
                self.take(Node { mark, span: bytes, value, is_anchored: anchor != 0 });
            }
            Event::Alias(of) => {
                let value = Value::Alias(self.anchors.get(&of).cloned());
                self.take(Node { mark, span: bytes, value, is_anchored: false });
            }
            Event::SequenceStart(_, anchor, _) => {
                self.begin(mark, bytes, Value::List(Vec::new()), anchor)?;
            }
            Event::MappingStart(_, anchor, _) => {
                self.begin(mark, bytes, Value::Map(Vec::new()), anchor)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    self.take(open.node);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(
        &mut self,
        mark: Mark,
        span: Range<usize>,
        value: Value,
        anchor: usize,
    ) -> Result<(), YamlFault> {
        if self.open.len() >= DEPTH_MAX {
            return Err(YamlFault::new(self.file, mark, format!("nested deeper than {DEPTH_MAX}")));
        }
        let node = Node { mark, span, value, is_anchored: anchor != 0 };
        self.open.push(Open { node, key: None });
        Ok(())
    }

    /// A value is the key or the value of a mapping, an item of a list, or a document.
    fn take(&mut self, node: Node) {
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
}

fn style_of(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::Single,
        ScalarStyle::DoubleQuoted => Style::Double,
        ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
    }
}

fn mark_of(span: &Span) -> Mark {
    let (line, column) = (span.start.line().max(1), span.start.col() + 1);
    let is_one_line = span.end.line() == span.start.line();
    let width =
        if is_one_line { span.end.col().saturating_sub(span.start.col()).max(1) } else { 1 };
    Mark { line, column, width }
}

/// From the characters that the parser counts to bytes.
struct Offsets(Option<Vec<usize>>);

impl Offsets {
    fn of(text: &str) -> Self {
        let is_ascii = text.is_ascii();
        Self(
            (!is_ascii)
                .then(|| text.char_indices().map(|(at, _)| at).chain([text.len()]).collect()),
        )
    }

    fn bytes(&self, span: &Span) -> Range<usize> {
        let at = |number: usize| match &self.0 {
            None => number,
            Some(all) => all.get(number).or(all.last()).copied().unwrap_or_default(),
        };
        at(span.start.index())..at(span.end.index())
    }
}
