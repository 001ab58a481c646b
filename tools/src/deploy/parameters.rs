//! What whoever deploys may set.

/// A parameter of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameter {
    /// Its name; letters, digits and `_`, a letter first.
    pub(super) name: String,
    /// What it is for, in one sentence.
    pub(super) description: String,
    /// Whether nobody may see its value.
    pub(super) is_secret: bool,
    /// Its value when nobody sets it.
    pub(super) start: Start,
}

/// The value of a parameter that nobody sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Start {
    /// None: somebody has to.
    Required,
    /// This.
    Text(String),
    /// Where the resource group is.
    GroupLocation,
}

impl Parameter {
    /// One with a value of its own.
    #[must_use]
    pub(super) fn new(name: &str, description: &str, start: Start) -> Self {
        let (name, description) = (name.to_owned(), description.to_owned());
        Self { name, description, is_secret: false, start }
    }

    /// The same as a secret.
    #[must_use]
    pub(super) fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }
}
