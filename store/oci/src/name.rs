//! `RepoName`, `Tag` and `Reference`: the names in a URL, after the grammar of the distribution
//! specification ("Pulling manifests"). Names that people type with a host are in the tools.
//!
//! Invariant: a value that exists matches its grammar, so it can be put into a path, a key or a
//! log without escaping.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Digest;
use crate::error::{ParseError, excerpt};

/// Longest repository name; hosts and names together are limited to 255 by many clients.
const REPO_NAME_LEN_MAX: usize = 255;
/// Longest tag (distribution-spec: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`).
const TAG_LEN_MAX: usize = 128;
/// Hexadecimal digits of a digest in a tag about it: those of sha256.
const SUBJECT_DIGITS_MIN: usize = 64;

/// The specification's `<name>`.
///
/// - Components of `[a-z0-9]+` joined by `.`, `_`, `__` or any number of `-`, separated by `/`.
/// - At most 255 characters, never empty, no component `.` or `..`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoName(Box<str>);

/// A mutable name within a repository: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Box<str>);

/// The specification's `<reference>`: a tag or a digest. A text with a colon is a digest.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reference {
    /// A mutable name.
    Tag(Tag),
    /// Exact content.
    Digest(Digest),
}

impl RepoName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name with `prefix/` before it; an error when together they are too long.
    pub fn under(&self, prefix: &Self) -> Result<Self, ParseError> {
        format!("{prefix}/{self}").parse()
    }

    /// What is left when `prefix/` is taken away; `None` when it does not start so.
    #[must_use]
    pub fn strip(&self, prefix: &Self) -> Option<Self> {
        let rest = self.0.strip_prefix(prefix.as_str())?.strip_prefix('/')?;
        rest.parse().ok()
    }
}

impl Tag {
    /// The tag as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether clients read what it points to in order to write it back with their own part added
    /// (read-modify-write), so that an old answer erases what others added:
    ///
    /// - `ALGORITHM-HEX`, the list of referrers where a registry has no API for it (distribution-spec,
    ///   "Referrers Tag Schema", which cuts the hexadecimal digits of sha512 to 64);
    /// - `ALGORITHM-HEX.sig`, `.att`, `.sbom` and the like, where cosign keeps signatures, attestations
    ///   and bills of materials, also with a prefix of the signer's choice.
    #[must_use]
    pub fn is_read_modify_write(&self) -> bool {
        ["sha256-", "sha512-"].iter().any(|algorithm| {
            self.0.match_indices(algorithm).any(|(at, _)| {
                let rest = self.0.get(at + algorithm.len()..).unwrap_or_default();
                let hex = rest.bytes().take_while(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
                let digits = hex.count();
                let after = rest.as_bytes().get(digits);
                digits >= SUBJECT_DIGITS_MIN && matches!(after, None | Some(b'.'))
            })
        })
    }
}

impl Reference {
    /// The digest, when it is one.
    #[must_use]
    pub const fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Digest(digest) => Some(digest),
            Self::Tag(_) => None,
        }
    }
}

impl FromStr for RepoName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = |reason| Err(ParseError::RepoName { text: excerpt(text), reason });
        if text.len() > REPO_NAME_LEN_MAX {
            return refuse("longer than 255 characters");
        }
        for component in text.split('/') {
            if let Some(reason) = component_fault(component) {
                return refuse(reason);
            }
        }
        Ok(Self(text.into()))
    }
}

/// What is wrong with one component of a repository name.
fn component_fault(component: &str) -> Option<&'static str> {
    let alphanumeric = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = component.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return Some("a component is empty");
    };
    if bytes.iter().any(u8::is_ascii_uppercase) {
        return Some("only lowercase letters are allowed");
    }
    if !alphanumeric(*first) || !alphanumeric(*last) {
        return Some("a component must start and end with a letter or digit");
    }
    for separator in component.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()) {
        let allowed =
            matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|c| c == b'-');
        if !allowed {
            return Some("letters and digits may be joined by one `.`, `_`, `__` or dashes");
        }
    }
    None
}

impl FromStr for Tag {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = |reason| Err(ParseError::Tag { text: excerpt(text), reason });
        let word = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
        let Some((first, rest)) = text.as_bytes().split_first() else {
            return refuse("empty");
        };
        if text.len() > TAG_LEN_MAX {
            return refuse("longer than 128 characters");
        }
        if !word(*first) {
            return refuse("it must start with a letter, a digit or `_`");
        }
        if !rest.iter().all(|c| word(*c) || matches!(c, b'.' | b'-')) {
            return refuse("only letters, digits, `_`, `.` and `-` are allowed");
        }
        Ok(Self(text.into()))
    }
}

impl FromStr for Reference {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.contains(':') {
            return text.parse().map(Self::Digest);
        }
        text.parse().map(Self::Tag)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => fmt::Display::fmt(tag, f),
            Self::Digest(digest) => fmt::Display::fmt(digest, f),
        }
    }
}

impl From<Digest> for Reference {
    fn from(digest: Digest) -> Self {
        Self::Digest(digest)
    }
}

impl From<Tag> for Reference {
    fn from(tag: Tag) -> Self {
        Self::Tag(tag)
    }
}

macro_rules! text_word {
    ($word:ident) => {
        impl fmt::Display for $word {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $word {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
text_word!(RepoName);
text_word!(Tag);

macro_rules! serde_as_text {
    ($word:ident) => {
        impl Serialize for $word {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $word {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}
serde_as_text!(RepoName);
serde_as_text!(Tag);
serde_as_text!(Reference);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_repository_name_of_the_grammar_survives_display(
            name in "[a-z0-9]{1,8}((\\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}(/[a-z0-9]{1,8}((\\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}){0,3}",
        ) {
            let parsed: RepoName = name.parse().unwrap();
            prop_assert_eq!(parsed.to_string(), name);
        }

        #[test]
        fn every_tag_of_the_grammar_survives_display(tag in "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}") {
            prop_assert_eq!(tag.parse::<Tag>().unwrap().to_string(), tag.clone());
            prop_assert_eq!(tag.parse::<Reference>().unwrap().to_string(), tag);
        }

        #[test]
        fn any_text_parses_or_is_refused_without_panic(text in "\\PC{0,300}") {
            if let Ok(name) = text.parse::<RepoName>() {
                prop_assert_eq!(name.as_str(), text.as_str());
            }
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.to_string(), text);
            }
        }
    }

    #[test]
    fn names_outside_the_grammar_are_refused() {
        for name in [
            "", "/", "a//b", "/a", "a/", "A/b", "a/..", "..", "a/.b", "a..b", "a___b", "a._b",
            "-a", "a-", "a b", "a\nb", "ä",
        ] {
            assert!(name.parse::<RepoName>().is_err(), "{name:?}");
        }
        assert!("a".repeat(256).parse::<RepoName>().is_err());
        for tag in ["", ".a", "-a", "a b", "a/b", "ä"] {
            assert!(tag.parse::<Tag>().is_err(), "{tag:?}");
        }
        assert!("a".repeat(129).parse::<Tag>().is_err());
    }

    #[test]
    fn tags_that_are_read_to_be_written_back_are_told_from_others() {
        let hex = "0123456789abcdef".repeat(4);
        for tag in [
            format!("sha256-{hex}"),
            format!("sha512-{hex}"),
            format!("sha512-{hex}{}", "a".repeat(57)),
            format!("sha256-{hex}.sig"),
            format!("sha256-{hex}.att"),
            format!("sha256-{hex}.sbom"),
            format!("release-sha256-{hex}.sig"),
        ] {
            assert!(tag.parse::<Tag>().unwrap().is_read_modify_write(), "{tag}");
        }
        for tag in [
            "latest".to_owned(),
            "v1.2.3".to_owned(),
            "sha256-".to_owned(),
            format!("sha256-{}", &hex[1..]),
            format!("sha256-{hex}-debug"),
            format!("sha256-{}", hex.to_uppercase()),
            format!("sha1-{hex}"),
            hex,
        ] {
            assert!(!tag.parse::<Tag>().unwrap().is_read_modify_write(), "{tag}");
        }
    }

    #[test]
    fn a_prefix_goes_on_and_comes_off() {
        let name: RepoName = "acme/base".parse().unwrap();
        let prefix: RepoName = "staging".parse().unwrap();
        let under = name.under(&prefix).unwrap();
        assert_eq!(under.as_str(), "staging/acme/base");
        assert_eq!(under.strip(&prefix), Some(name.clone()));
        assert_eq!(name.strip(&prefix), None);
        assert_eq!("stagingx/a".parse::<RepoName>().unwrap().strip(&prefix), None);
    }
}
