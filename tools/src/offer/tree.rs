//! The text of an offer as a tree of its values, each with its place. It is read only after the
//! types refuse the text, to report all faults at once.
//!
//! Invariant: a tree is bounded in depth and in values, so a walk of it may recurse.

use serde_saphyr::granit_parser::ErrorKind;

use super::parse::{DEPTH_MAX, NODES_MAX};
use crate::yaml::{self, Bounds, Spot, Stop, YamlStyle};

/// A value with its place.
#[derive(Debug)]
pub(super) struct TreeNode {
    /// Where it is shown: its key where it has one and stands on another line, or is no word.
    pub(super) spot: Spot,
    pub(super) value: TreeValue,
    /// Where its bytes begin and end, and the column of the first, from 0.
    pub(super) bytes: (usize, usize, usize),
    /// The last line of it.
    pub(super) end_line: usize,
}

/// The kind of value at a place.
#[derive(Debug)]
pub(super) enum TreeValue {
    /// One word or text.
    Scalar {
        text: String,
        /// Whether it stands there without quotes, so it may be a number.
        is_plain: bool,
    },
    List(Vec<TreeNode>),
    /// Keys with their values, in the order of the file; a key may stand twice.
    Mapping(Vec<TreeEntry>),
    /// A value refused in every place: an alias, a value with a tag.
    Refused,
}

impl TreeValue {
    /// Whether nothing stands there: `~`, `null`, or no word at all.
    pub(super) fn is_nothing(&self) -> bool {
        let nothing = ["", "~", "null", "Null", "NULL"];
        matches!(self, Self::Scalar { text, is_plain: true } if nothing.contains(&text.as_str()))
    }
}

/// A key with its value.
#[derive(Debug)]
pub(super) struct TreeEntry {
    /// The key; none where it is no word.
    pub(super) key: Option<String>,
    /// Where the key stands.
    pub(super) spot: Spot,
    /// The key's value.
    pub(super) node: TreeNode,
}

/// Features of YAML banned from an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Foreign {
    /// `&name` or `*name`.
    Anchor,
    Tag,
    /// A second document.
    Document,
}

/// A whole file.
#[derive(Debug)]
pub(super) struct OfferTree {
    pub(super) root: TreeNode,
    /// The banned features in the text.
    pub(super) foreign: Vec<(Spot, Foreign)>,
}

/// Why a text is no tree.
#[derive(Debug)]
pub(super) enum TreeFault {
    /// It is no YAML from here on.
    Syntax(Spot, ErrorKind),
    /// It is nested too deep here.
    Deep(Spot),
    /// It holds too many values, from this one on.
    Large(Spot),
    /// Nothing stands in it.
    Empty,
}

impl OfferTree {
    /// Reads a text, where it is YAML and neither too deep nor too large to be an offer.
    pub(super) fn read(text: &str) -> Result<Self, TreeFault> {
        let bounds = Bounds { depth: DEPTH_MAX, values: NODES_MAX, documents: 1 };
        let mut read = yaml::read(text, bounds);
        match read.stop {
            None => {}
            Some(Stop::Syntax(spot, kind, _)) => return Err(TreeFault::Syntax(spot, kind)),
            Some(Stop::Deep(spot)) => return Err(TreeFault::Deep(spot)),
            Some(Stop::Large(spot)) => return Err(TreeFault::Large(spot)),
        }
        let root = read.documents.pop().ok_or(TreeFault::Empty)?;
        let mut judging = Judging::default();
        let root = judging.node(root, None);
        let further = read.further.map(|further| (further.start, Foreign::Document));
        judging.foreign.extend(further);
        Ok(Self { root, foreign: judging.foreign })
    }
}

/// Finds banned features of YAML, in the order of the file.
#[derive(Default)]
struct Judging {
    foreign: Vec<(Spot, Foreign)>,
}

impl Judging {
    /// A value, behind its key where it has one.
    fn node(&mut self, node: yaml::Node, key: Option<Spot>) -> TreeNode {
        let own = node.spot;
        let is_word = matches!(node.value, yaml::Value::Scalar { .. } | yaml::Value::Alias(_));
        // A mapping or list is shown at its key: its own place is often the line below. So is a block
        // of text.
        let key = key.filter(|key| !is_word || key.line != own.line);
        let spot = key.unwrap_or(own);
        let seen = if is_word { own } else { spot };
        if node.is_anchored {
            self.foreign.push((seen, Foreign::Anchor));
        }
        if node.has_tag {
            self.foreign.push((seen, Foreign::Tag));
        }
        let value = match node.value {
            yaml::Value::Scalar { text, style } => {
                TreeValue::Scalar { text, is_plain: style == YamlStyle::Plain }
            }
            yaml::Value::Alias(_) => {
                self.foreign.push((own, Foreign::Anchor));
                TreeValue::Refused
            }
            yaml::Value::List(items) => {
                TreeValue::List(items.into_iter().map(|item| self.node(item, None)).collect())
            }
            yaml::Value::Map(entries) => {
                let entries = entries.into_iter().map(|(key, value)| self.entry(key, value));
                TreeValue::Mapping(entries.collect())
            }
        };
        // A value with a tag is not judged further.
        let value = if node.has_tag { TreeValue::Refused } else { value };
        let bytes = (node.span.start, node.span.end, own.column - 1);
        TreeNode { spot, value, bytes, end_line: node.end_line }
    }

    /// A mapping as a key is no key; the value behind it is found all the same.
    fn entry(&mut self, key: yaml::Node, value: yaml::Node) -> TreeEntry {
        let key = self.node(key, None);
        let spot = key.spot;
        let word = match key.value {
            TreeValue::Scalar { text, .. } => Some(text),
            TreeValue::List(_) | TreeValue::Mapping(_) | TreeValue::Refused => None,
        };
        TreeEntry { key: word, spot, node: self.node(value, Some(spot)) }
    }
}
