//! `RepoName` and `Tag`: the names in a URL, after the grammar of the distribution specification
//! ("Pulling manifests"), parsed in `grammar.rs`. Names with a host are in the tools.
//!
//! Invariant: a value matches its grammar, so it needs no escaping in a path, a key or a log.

mod grammar;

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

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

impl RepoName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Tag {
    /// The tag as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether clients read the manifest of this tag to write it back with an addition
    /// (read-modify-write). A stale answer would erase the additions of other clients. Such tags
    /// are:
    ///
    /// - `ALGORITHM-HEX`, the list of referrers in registries without an API for it
    ///   (distribution-spec, "Referrers Tag Schema", with the hexadecimal digits of sha512 cut to
    ///   64);
    /// - `ALGORITHM-HEX.sig`, `.att`, `.sbom` and the like, for cosign's signatures, attestations
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

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
}
