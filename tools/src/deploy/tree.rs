//! A generated file's content, before it has a syntax: mappings in a fixed order with comments, and
//! texts with parameters in them. `yaml`, `arm` and `bicep` write it down.

#[derive(Debug, Clone, PartialEq)]
pub(super) enum TemplateNode {
    /// A text with parameters in it.
    Text(Phrase),
    /// A whole number.
    Count(u32),
    /// A number, perhaps with a fraction.
    Number(f64),
    /// Yes or no.
    Flag(bool),
    /// A parameter for a whole number, by its name.
    Parameter(&'static str),
    /// Fields in their order.
    Map(Map),
    /// Items in their order.
    List(Vec<Self>),
    /// The items while a parameter of this name is not empty, else none.
    ListIf { parameter: &'static str, items: Vec<Self> },
}

/// Fields in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Map(pub(super) Vec<Field>);

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) key: String,
    /// Its reason, for the file's reader.
    pub(super) note: Option<String>,
    pub(super) value: TemplateNode,
}

/// A text with parameters in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Phrase(pub(super) Vec<PhrasePart>);

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PhrasePart {
    /// Exactly these characters.
    Text(String),
    /// The value of the parameter of this name.
    Parameter(String),
}

impl Map {
    #[must_use]
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// With one more field.
    #[must_use]
    pub(super) fn with(mut self, key: &str, value: impl Into<TemplateNode>) -> Self {
        self.0.push(Field { key: key.to_owned(), note: None, value: value.into() });
        self
    }

    /// With one more field and a comment on it.
    #[must_use]
    pub(super) fn noted(mut self, key: &str, note: &str, value: impl Into<TemplateNode>) -> Self {
        let note = Some(note.to_owned());
        self.0.push(Field { key: key.to_owned(), note, value: value.into() });
        self
    }

    /// With one more field, if there is a value for it.
    #[must_use]
    pub(super) fn with_some(self, key: &str, value: Option<impl Into<TemplateNode>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }
}

impl Phrase {
    /// Nothing but the value of a parameter.
    #[must_use]
    pub(super) fn parameter(name: &str) -> Self {
        Self(vec![PhrasePart::Parameter(name.to_owned())])
    }

    /// Whether no parameter stands in it.
    #[must_use]
    pub(super) fn is_plain(&self) -> bool {
        self.0.iter().all(|part| matches!(part, PhrasePart::Text(_)))
    }

    /// The text, each parameter replaced by `value`'s result for it.
    pub(super) fn filled(&self, value: impl Fn(&str) -> String) -> String {
        let part = |part: &PhrasePart| match part {
            PhrasePart::Text(text) => text.clone(),
            PhrasePart::Parameter(name) => value(name),
        };
        self.0.iter().map(part).collect()
    }
}

impl From<&str> for TemplateNode {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl From<String> for TemplateNode {
    fn from(text: String) -> Self {
        Self::Text(Phrase(vec![PhrasePart::Text(text)]))
    }
}

impl From<Phrase> for TemplateNode {
    fn from(phrase: Phrase) -> Self {
        Self::Text(phrase)
    }
}

impl From<u32> for TemplateNode {
    fn from(count: u32) -> Self {
        Self::Count(count)
    }
}

impl From<u16> for TemplateNode {
    fn from(count: u16) -> Self {
        Self::Count(count.into())
    }
}

impl From<bool> for TemplateNode {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<Map> for TemplateNode {
    fn from(map: Map) -> Self {
        Self::Map(map)
    }
}

impl<T: Into<Self>> From<Vec<T>> for TemplateNode {
    fn from(items: Vec<T>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}
