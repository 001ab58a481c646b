//! The grammar of names: texts become a `RepoName` or a `Tag` here, and nowhere else.
//!
//! Invariant: a text is refused with its reason, never repaired.

use std::str::FromStr;

use super::{RepoName, Tag};
use crate::error::{ParseError, excerpt};

/// Longest repository name; hosts and names together are limited to 255 by many clients.
const REPO_NAME_LEN_MAX: usize = 255;
/// Longest tag (distribution-spec: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`).
const TAG_LEN_MAX: usize = 128;

impl RepoName {
    /// The name with `prefix/` before it; an error when together they are too long.
    pub fn under(&self, prefix: &Self) -> Result<Self, ParseError> {
        format!("{prefix}/{self}").parse()
    }

    /// The name without `prefix/`; `None` when it has no such prefix.
    #[must_use]
    pub fn strip(&self, prefix: &Self) -> Option<Self> {
        let rest = self.0.strip_prefix(prefix.as_str())?.strip_prefix('/')?;
        rest.parse().ok()
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

/// The fault in one component of a repository name.
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
            prop_assert_eq!(tag.parse::<Tag>().unwrap().to_string(), tag);
        }

        #[test]
        fn any_text_parses_or_is_refused_without_panic(text in "\\PC{0,300}") {
            if let Ok(name) = text.parse::<RepoName>() {
                prop_assert_eq!(name.as_str(), text.as_str());
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
