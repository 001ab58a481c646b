//! A JSON or YAML file of an application as a tree, each value with its place.

use crate::offer::source_map::Spot;

/// Deepest nesting of one.
pub(super) const DEPTH_MAX: usize = 64;
/// Most values of one.
pub(super) const NODES_MAX: usize = 100_000;
/// Most reported faults of form of one file.
pub(super) const FAULTS_MAX: usize = 20;

/// A value with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    pub spot: Spot,
    pub value: T,
}

/// A value of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileNode {
    pub spot: Spot,
    pub value: NodeValue,
}

/// The kind of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeValue {
    Null,
    /// Yes or no.
    Bool(bool),
    /// A number, as it is written.
    Number(String),
    Text(String),
    List(Vec<FileNode>),
    /// A mapping, in the order of the file.
    Map(Vec<MapEntry>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct MapEntry {
    pub key: Spanned<String>,
    pub value: FileNode,
}

/// A fault in the form of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormFault {
    pub spot: Spot,
    /// The fault, in a few words.
    pub message: String,
}

/// The result of reading a file: a tree where possible, and the faults of its form.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TreeReading {
    pub root: Option<FileNode>,
    pub faults: Vec<FormFault>,
}

impl FormFault {
    pub(super) fn new(spot: Spot, message: impl Into<String>) -> Self {
        Self { spot, message: message.into() }
    }
}

impl FileNode {
    /// The value of a key; of a repeated key, the last.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().rev().find(|entry| entry.key.value == key).map(|entry| &entry.value)
    }

    /// The value of a key in any case, as resource managers read it.
    #[must_use]
    pub fn get_any_case(&self, key: &str) -> Option<&Self> {
        let mut entries = self.entries().iter().rev();
        entries.find(|at| at.key.value.eq_ignore_ascii_case(key)).map(|entry| &entry.value)
    }

    /// The keys with their values; nothing where it is no mapping.
    #[must_use]
    pub fn entries(&self) -> &[MapEntry] {
        match &self.value {
            NodeValue::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items; nothing where it is no list.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match &self.value {
            NodeValue::List(items) => items,
            _ => &[],
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            NodeValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text with its place.
    #[must_use]
    pub fn placed(&self) -> Option<Spanned<String>> {
        self.text().map(|text| Spanned { spot: self.spot, value: text.to_owned() })
    }

    /// The kind of value, for messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.value {
            NodeValue::Null => "nothing",
            NodeValue::Bool(_) => "a yes or no",
            NodeValue::Number(_) => "a number",
            NodeValue::Text(_) => "a text",
            NodeValue::List(_) => "a list",
            NodeValue::Map(_) => "a mapping",
        }
    }

    /// Hands over every text in it, itself too. A tree is no deeper than its reader lets it be.
    pub fn each_text<'a>(&'a self, take: &mut impl FnMut(&'a str, Spot)) {
        match &self.value {
            NodeValue::Text(text) => take(text, self.spot),
            NodeValue::List(items) => items.iter().for_each(|item| item.each_text(take)),
            NodeValue::Map(entries) => entries.iter().for_each(|entry| entry.value.each_text(take)),
            NodeValue::Null | NodeValue::Bool(_) | NodeValue::Number(_) => {}
        }
    }
}
