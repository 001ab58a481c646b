//! A JSON or YAML file of an application as a tree, each value with its place.

use crate::offer::spots::Spot;

/// A value with its place.
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

/// The kind of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    /// Yes or no.
    Bool(bool),
    /// A number, as it is written.
    Number(String),
    Text(String),
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

/// A fault in the form of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub spot: Spot,
    /// The fault, in a few words.
    pub message: String,
}

/// The result of reading a file: a tree where possible, and the faults of its form.
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

    /// The kind of value, for messages.
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
