//! A setting of the deployment.

/// A parameter of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameter {
    /// Its name; letters, digits and `_`, a letter first.
    pub(super) name: String,
    /// Its purpose, in one sentence.
    pub(super) description: String,
    /// Whether its value must stay hidden.
    pub(super) is_secret: bool,
    /// Its default value.
    pub(super) start: Start,
}

/// The default value of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Start {
    /// None: the deployment has to set it.
    Required,
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
