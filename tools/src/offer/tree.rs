//! The text of an offer as a tree of its values, each with its place. It is read only where the
//! types refuse the text, to tell all that is wrong with it at once.
//!
//! Invariant: a tree is bounded in depth and in values, so that whoever walks it may recurse.

use serde_saphyr::granit_parser::{ErrorKind, Event, Parser, ScalarStyle, Span};

use super::parse::{DEPTH_MAX, NODES_MAX};
use super::spots::{Spot, spot_of};

/// A value with its place.
#[derive(Debug)]
pub(super) struct Node {
    /// Where it is shown: its key where it has one and stands on another line, or is no word.
    pub(super) spot: Spot,
    /// What it is.
    pub(super) value: Value,
    /// Where its bytes begin and end, and the column of the first, from 0.
    pub(super) bytes: (usize, usize, usize),
    /// The last line of it.
    pub(super) end_line: usize,
}

/// What stands at a place.
#[derive(Debug)]
pub(super) enum Value {
    /// One word or text.
    Scalar {
        /// The text.
        text: String,
        /// Whether it stands there without quotes, so that it may be a number.
        is_plain: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// Keys with their values, in the order of the file; a key may stand twice.
    Mapping(Vec<Entry>),
    /// Something that is refused whatever it stands for: an alias, a value with a tag.
    Refused,
}

impl Value {
    /// Whether nothing stands there: `~`, `null`, or no word at all.
    pub(super) fn is_nothing(&self) -> bool {
        let nothing = ["", "~", "null", "Null", "NULL"];
        matches!(self, Self::Scalar { text, is_plain: true } if nothing.contains(&text.as_str()))
    }
}

/// A key with its value.
#[derive(Debug)]
pub(super) struct Entry {
    /// The key; none where it is no word.
    pub(super) key: Option<String>,
    /// Where the key stands.
    pub(super) spot: Spot,
    /// What stands behind it.
    pub(super) node: Node,
}

/// What YAML has and an offer has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Foreign {
    /// `&name` or `*name`.
    Anchor,
    /// `!tag`.
    Tag,
    /// A second document.
    Document,
}

/// A whole file.
#[derive(Debug)]
pub(super) struct Tree {
    /// What stands in it.
    pub(super) root: Node,
    /// What does not belong into an offer.
    pub(super) foreign: Vec<(Spot, Foreign)>,
}

/// A mapping or list that is not closed yet.
struct Open {
    value: Value,
    /// Where it is shown, and where it begins.
    spot: Spot,
    begin: (usize, usize),
    /// The key that waits for its value.
    key: Option<(Option<String>, Spot)>,
    is_refused: bool,
}

/// Why a text is no tree.
#[derive(Debug)]
pub(super) enum Unread {
    /// It is no YAML from here on.
    Syntax(Spot, ErrorKind),
    /// It is nested too deep here.
    Deep(Spot),
    /// It holds too many values, of which this is the first.
    Large(Spot),
    /// Nothing stands in it.
    Empty,
}

impl Tree {
    /// Reads a text, where it is YAML and neither too deep nor too large to be an offer.
    pub(super) fn read(text: &str) -> Result<Self, Unread> {
        let mut building = Building::default();
        let mut documents = 0;
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| {
                let (line, column) = (error.marker().line().max(1), error.marker().col() + 1);
                Unread::Syntax(Spot { line, column, width: 1 }, error.kind().clone())
            })?;
            match &event {
                Event::DocumentStart(..) => {
                    documents += 1;
                    if documents > 1 {
                        building.foreign.push((spot_of(&span), Foreign::Document));
                        break;
                    }
                }
                Event::StreamEnd => break,
                _ => {}
            }
            building.nodes += 1;
            if building.nodes > 2 * NODES_MAX {
                return Err(Unread::Large(spot_of(&span)));
            }
            if building.open.len() > DEPTH_MAX {
                return Err(Unread::Deep(spot_of(&span)));
            }
            building.take(event, &span);
        }
        let root = building.root.ok_or(Unread::Empty)?;
        Ok(Self { root, foreign: building.foreign })
    }
}

#[derive(Default)]
struct Building {
    open: Vec<Open>,
    root: Option<Node>,
    foreign: Vec<(Spot, Foreign)>,
    nodes: usize,
}

impl Building {
    fn take(&mut self, event: Event<'_>, span: &Span) {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_refused = self.refuse(anchor, tag.is_some(), spot_of(span));
                let is_plain = style == ScalarStyle::Plain;
                self.scalar(Value::Scalar { text: text.into_owned(), is_plain }, is_refused, span);
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.foreign.push((spot_of(span), Foreign::Anchor));
                self.scalar(Value::Refused, true, span);
            }
            Event::SequenceStart(_, anchor, tag) => {
                let is_refused = self.refuse(anchor, tag.is_some(), self.start_spot(span));
                self.start(Value::List(Vec::new()), is_refused, span);
            }
            Event::MappingStart(_, anchor, tag) => {
                let is_refused = self.refuse(anchor, tag.is_some(), self.start_spot(span));
                self.start(Value::Mapping(Vec::new()), is_refused, span);
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            _ => {}
        }
    }

    /// Notes an anchor and a tag; what has a tag is not judged further.
    fn refuse(&mut self, anchor: usize, has_tag: bool, spot: Spot) -> bool {
        if anchor != 0 {
            self.foreign.push((spot, Foreign::Anchor));
        }
        if has_tag {
            self.foreign.push((spot, Foreign::Tag));
        }
        has_tag
    }

    /// Whether what comes next is a key.
    fn expects_key(&self) -> bool {
        let is_waiting =
            |open: &Open| matches!(open.value, Value::Mapping(_)) && open.key.is_none();
        self.open.last().is_some_and(is_waiting)
    }

    fn scalar(&mut self, value: Value, is_refused: bool, span: &Span) {
        let spot = spot_of(span);
        if self.expects_key() {
            if let Some(open) = self.open.last_mut() {
                let key = match value {
                    Value::Scalar { text, .. } if !is_refused => Some(text),
                    _ => None,
                };
                open.key = Some((key, spot));
            }
            return;
        }
        let value = if is_refused { Value::Refused } else { value };
        // A block of text begins below its key; the key is what people look for.
        let key = self.key_spot().filter(|key| key.line != spot.line);
        let begin = begin_of(span);
        let bytes = (begin.0, span.end.byte_offset().unwrap_or(begin.0), begin.1);
        self.close(Node { spot: key.unwrap_or(spot), value, bytes, end_line: span.end.line() });
    }

    /// A mapping or list is shown at its key: its own place is often the line below.
    fn start_spot(&self, span: &Span) -> Spot {
        self.key_spot().unwrap_or_else(|| spot_of(span))
    }

    fn key_spot(&self) -> Option<Spot> {
        self.open.last()?.key.as_ref().map(|(_, spot)| *spot)
    }

    fn start(&mut self, value: Value, is_refused: bool, span: &Span) {
        let spot = self.start_spot(span);
        // A mapping as a key is no key; what stands behind it is found all the same.
        let is_refused = is_refused || self.expects_key();
        self.open.push(Open { value, spot, begin: begin_of(span), key: None, is_refused });
    }

    fn end(&mut self, span: &Span) {
        let Some(open) = self.open.pop() else { return };
        let value = if open.is_refused { Value::Refused } else { open.value };
        let end = span.end.byte_offset().unwrap_or(open.begin.0);
        let bytes = (open.begin.0, end, open.begin.1);
        self.close(Node { spot: open.spot, value, bytes, end_line: span.end.line() });
    }

    /// Puts a whole value where it belongs.
    fn close(&mut self, node: Node) {
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        match &mut parent.value {
            Value::List(items) => items.push(node),
            Value::Mapping(entries) => match parent.key.take() {
                Some((key, spot)) => entries.push(Entry { key, spot, node }),
                None => parent.key = Some((None, node.spot)),
            },
            Value::Scalar { .. } | Value::Refused => {}
        }
    }
}

/// The first byte, and its column from 0.
fn begin_of(span: &Span) -> (usize, usize) {
    (span.start.byte_offset().unwrap_or_default(), span.start.col())
}
