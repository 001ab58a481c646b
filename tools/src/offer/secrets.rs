//! `Secret`: where a password is, never the password. A literal is refused when the file is read.
//!
//! Invariant: neither a `Secret` nor a `SecretValue` shows the secret in `Debug`, `Display` or an
//! error; only `SecretValue::expose` gives it out.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Deserializer, de};

use super::key_vault::{self, KeyVaultError};
use super::texts::{Shaped, TextError, TextVisitor, read_utf8};
use super::values::{KeyVaultSecret, RelativePath};

/// The message about a literal secret in the file.
pub(super) const LITERAL: &str =
    "a secret never stands in the offer file: write `env: NAME` (TEC-005)";

/// Where a secret stands.
///
/// - Displays as the placeholder `${env:NAME}`, `${file:PATH}` or `${keyVault:VAULT/NAME}`, safe to
///   print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// In this environment variable.
    Env(String),
    /// In the first line of this file.
    File(RelativePath),
    /// In this key vault of Azure; read with the login of `az`.
    KeyVault(KeyVaultSecret),
}

/// A secret in memory.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(String);

/// Why there is no secret where the offer says.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set, or set to nothing.
    #[error("the environment variable {0} is not set")]
    Unset(String),
    /// The file cannot be used.
    #[error("the file of a secret cannot be used")]
    File(#[from] TextError),
    /// The first line of the file is empty.
    #[error("the first line of {0} is empty")]
    Empty(String),
    /// The key vault does not give it.
    #[error("the secret {name} of a key vault cannot be had")]
    KeyVault {
        /// The secret, as `VAULT/NAME`.
        name: String,
        source: KeyVaultError,
    },
}

impl Secret {
    /// The secret itself. `variable` looks up the environment; files are looked for in `folder`.
    pub fn resolve(
        &self,
        folder: &Path,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<SecretValue, SecretError> {
        match self {
            Self::Env(name) => match variable(name) {
                Some(value) if !value.is_empty() => Ok(SecretValue(value)),
                _ => Err(SecretError::Unset(name.clone())),
            },
            Self::File(path) => {
                let text = read_utf8(&folder.join(path.as_str()))?;
                match text.lines().next() {
                    Some(line) if !line.is_empty() => Ok(SecretValue(line.to_owned())),
                    _ => Err(SecretError::Empty(path.to_string())),
                }
            }
            Self::KeyVault(name) => {
                let value = key_vault::secret(name, variable);
                value
                    .map(SecretValue)
                    .map_err(|source| SecretError::KeyVault { name: name.to_string(), source })
            }
        }
    }
}

impl SecretValue {
    /// A secret from elsewhere (a credentials file).
    #[must_use]
    pub const fn new(value: String) -> Self {
        Self(value)
    }

    /// The secret; never to be printed or logged.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(…)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "${{env:{name}}}"),
            Self::File(path) => write!(f, "${{file:{path}}}"),
            Self::KeyVault(name) => write!(f, "${{keyVault:{name}}}"),
        }
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_any(TextVisitor(&["env", "file", "keyVault"]))? {
            Shaped::Plain(_) => Err(de::Error::custom(LITERAL)),
            Shaped::Keyed("env", name) if is_variable(&name) => Ok(Self::Env(name)),
            Shaped::Keyed("env", _) => Err(de::Error::custom(
                "this is not the name of an environment variable: use letters, digits and `_`",
            )),
            Shaped::Keyed("keyVault", name) => {
                name.parse().map(Self::KeyVault).map_err(de::Error::custom)
            }
            Shaped::Keyed(_, path) => path.parse().map(Self::File).map_err(de::Error::custom),
        }
    }
}

pub(super) fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_secret_comes_from_the_environment_or_the_first_line_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("p"), "hunter2\nsecond\n").unwrap();
        let variable = |name: &str| (name == "P").then(|| "from-env".to_owned());
        let env = Secret::Env("P".to_owned()).resolve(folder.path(), &variable).unwrap();
        assert_eq!(env.expose(), "from-env");
        let file = Secret::File("p".parse().unwrap()).resolve(folder.path(), &variable).unwrap();
        assert_eq!(file.expose(), "hunter2");
        assert!(!format!("{file:?}").contains("hunter2"));
    }

    #[test]
    fn an_unset_variable_and_an_empty_file_are_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("p"), "\n").unwrap();
        let empty = |_: &str| Some(String::new());
        let unset = Secret::Env("P".to_owned()).resolve(folder.path(), &empty).unwrap_err();
        assert_eq!(unset.to_string(), "the environment variable P is not set");
        let file = Secret::File("p".parse().unwrap()).resolve(folder.path(), &empty).unwrap_err();
        assert_eq!(file.to_string(), "the first line of p is empty");
    }
}
