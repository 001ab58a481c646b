//! A JSON or YAML file of an application as a tree in which every value knows its place.

use crate::offer::spots::Spot;

/// Something with the place where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed<T> {
    pub spot: Spot,
    pub value: T,
}

/// A value of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub spot: Spot,
    pub value: Value,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A number, as it is written.
    Number(String),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub key: Placed<String>,
    pub value: Node,
}

/// What is wrong with the form of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub spot: Spot,
    /// What, in a few words.
    pub message: String,
}

/// What a file came to: a tree where one could be read, and what is wrong with its form.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    pub root: Option<Node>,
    pub faults: Vec<Fault>,
}

impl Fault {
    pub(super) fn new(spot: Spot, message: impl Into<String>) -> Self {
        Self { spot, message: message.into() }
    }
}

impl Node {
    /// The value of a key; of a key that stands twice, the last.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().rev().find(|entry| entry.key.value == key).map(|entry| &entry.value)
    }

    /// The value of a key that is read in any case, as resource managers do.
    #[must_use]
    pub fn get_any_case(&self, key: &str) -> Option<&Self> {
        let mut entries = self.entries().iter().rev();
        entries.find(|at| at.key.value.eq_ignore_ascii_case(key)).map(|entry| &entry.value)
    }

    /// The keys with their values; nothing where it is no mapping.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items; nothing where it is no list.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text with its place.
    #[must_use]
    pub fn placed(&self) -> Option<Placed<String>> {
        self.text().map(|text| Placed { spot: self.spot, value: text.to_owned() })
    }

    /// What kind of value it is, for messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a yes or no",
            Value::Number(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// Hands over every text in it, itself too. A tree is no deeper than its reader lets it be.
    pub fn each_text<'a>(&'a self, take: &mut impl FnMut(&'a str, Spot)) {
        match &self.value {
            Value::Text(text) => take(text, self.spot),
            Value::List(items) => items.iter().for_each(|item| item.each_text(take)),
            Value::Map(entries) => entries.iter().for_each(|entry| entry.value.each_text(take)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}
