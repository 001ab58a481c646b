//! `Text`: a text in the offer or in a file beside it, and the shape shared by texts, secrets and
//! terms: a plain string, or a mapping of exactly one key.
//!
//! Invariant: a text from a file is UTF-8 and at most 64 KiB, even after a change of the file.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::values::RelativePath;
use crate::input;

/// Largest text file, in bytes. The marketplace's longest text has 10,000 characters.
pub const TEXT_SIZE_BYTES_MAX: u64 = 64 * 1024;

/// A text for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// It stands in the offer file.
    Inline(String),
    /// It stands in this file.
    File(RelativePath),
}

/// The terms for a customer to accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Terms {
    Text(Text),
    /// Where they are published.
    Url(String),
}

/// Why the file of a text cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// It is not there.
    #[error("{} does not exist", .0.display())]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The text's file.
        path: PathBuf,
        source: std::io::Error,
    },
    /// It is larger than any text may be.
    #[error("{} has more than {TEXT_SIZE_BYTES_MAX} bytes", .0.display())]
    TooLarge(PathBuf),
    /// It is not UTF-8.
    #[error("{} is not UTF-8 (byte {offset} starts no character)", path.display())]
    NotUtf8 {
        path: PathBuf,
        /// Where the first wrong byte is.
        offset: usize,
    },
}

impl Text {
    /// The text itself; a file is looked for in `folder`. One newline at the end of a file belongs
    /// to the file, not to the text.
    pub fn read(&self, folder: &Path) -> Result<String, TextError> {
        let path = match self {
            Self::Inline(text) => return Ok(text.clone()),
            Self::File(path) => folder.join(path.as_str()),
        };
        let mut text = read_utf8(&path)?;
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        Ok(text)
    }
}

/// Reads a bounded file of text.
pub(crate) fn read_utf8(path: &Path) -> Result<String, TextError> {
    let failed = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => TextError::Missing(path.to_owned()),
        _ => TextError::Read { path: path.to_owned(), source },
    };
    let mut bytes = Vec::new();
    let file = input::open(path).map_err(failed)?;
    file.take(TEXT_SIZE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > TEXT_SIZE_BYTES_MAX {
        return Err(TextError::TooLarge(path.to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| TextError::NotUtf8 {
        path: path.to_owned(),
        offset: error.utf8_error().valid_up_to(),
    })
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_any(TextVisitor(&["file"]))? {
            Shaped::Plain(text) => Ok(Self::Inline(text)),
            Shaped::Keyed(_, value) => path(&value).map(Self::File),
        }
    }
}

impl<'de> Deserialize<'de> for Terms {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_any(TextVisitor(&["file", "url"]))? {
            Shaped::Plain(text) => Ok(Self::Text(Text::Inline(text))),
            Shaped::Keyed("url", url) => Ok(Self::Url(url)),
            Shaped::Keyed(_, value) => path(&value).map(|file| Self::Text(Text::File(file))),
        }
    }
}

fn path<E: de::Error>(text: &str) -> Result<RelativePath, E> {
    text.parse().map_err(E::custom)
}

/// A visitor for a string, or a mapping with exactly one of these keys.
pub(super) struct TextVisitor(pub(super) &'static [&'static str]);

/// The visitor's result.
pub(super) enum Shaped {
    /// A plain string.
    Plain(String),
    /// The one key and its string.
    Keyed(&'static str, String),
}

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Shaped;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a text in quotes, or a mapping with exactly one key of: {}", self.0.join(", "))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Shaped, E> {
        Ok(Shaped::Plain(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shaped, A::Error> {
        let Some(key) = map.next_key::<String>()? else {
            return Err(de::Error::invalid_length(0, &self));
        };
        let Some(known) = self.0.iter().find(|known| **known == key) else {
            return Err(de::Error::unknown_field(&key, self.0));
        };
        let value = map.next_value()?;
        match map.next_key::<String>()? {
            None => Ok(Shaped::Keyed(known, value)),
            Some(_) => Err(de::Error::invalid_length(2, &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_loses_one_newline_and_keeps_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        for (content, text) in [("a\n\n", "a\n"), ("a", "a"), ("a\r\n", "a"), ("", "")] {
            std::fs::write(folder.path().join("t"), content).unwrap();
            let file = Text::File("t".parse().unwrap());
            assert_eq!(file.read(folder.path()).unwrap(), text);
        }
    }

    #[test]
    fn missing_large_and_foreign_files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let read = |name: &str| Text::File(name.parse().unwrap()).read(folder.path());
        assert!(matches!(read("none"), Err(TextError::Missing(_))));
        let large = vec![b'a'; usize::try_from(TEXT_SIZE_BYTES_MAX).unwrap() + 1];
        std::fs::write(folder.path().join("large"), large).unwrap();
        assert!(matches!(read("large"), Err(TextError::TooLarge(_))));
        std::fs::write(folder.path().join("latin"), b"caf\xe9").unwrap();
        assert!(matches!(read("latin"), Err(TextError::NotUtf8 { offset: 3, .. })));
        assert!(matches!(read("."), Err(TextError::Read { .. })));
    }
}
