//! `Glob`: a pattern for paths of a layer folder. `*` and `?` stay within one part of a path, `**`
//! crosses parts. A pattern with a `/` is held against the whole path, one without against the last
//! part; a matching folder goes with its whole content, by the walker.
//!
//! `globset` matches, in time proportional to the path. Brackets and braces are ordinary letters here.

use std::fmt;
use std::str::FromStr;

use globset::{Candidate, GlobBuilder, GlobMatcher};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest pattern, in bytes.
const LEN_MAX: usize = 1024;

/// A pattern for paths relative to a layer folder.
///
/// - Not empty, no empty part (so no leading `/`), `**` only as a whole part.
#[derive(Debug, Clone)]
pub struct Glob {
    text: String,
    matcher: GlobMatcher,
}

impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Glob {}

/// The text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a pattern: {rule}")]
pub struct GlobError {
    text: String,
    rule: &'static str,
}

impl Glob {
    /// The pattern as it stands in the file.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the pattern means this path below the layer folder. Bytes, because names need not be
    /// UTF-8.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        let is_of_whole_path = self.text.contains('/') || self.text == "**";
        let name = || path.rsplit(|c| *c == b'/').next().unwrap_or(path);
        let judged = if is_of_whole_path { path } else { name() };
        self.matcher.is_match_candidate(&Candidate::from_bytes(judged))
    }
}

/// The pattern in the syntax of `globset`: brackets and braces become classes of one letter.
fn literal_brackets(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '[' | ']' | '{' | '}' => pattern.extend(['[', letter, ']']),
            letter => pattern.push(letter),
        }
    }
    pattern
}

impl FromStr for Glob {
    type Err = GlobError;

    fn from_str(text: &str) -> Result<Self, GlobError> {
        let refuse = |rule| Err(GlobError { text: text.chars().take(80).collect(), rule });
        if text.len() > LEN_MAX {
            return refuse("it is longer than 1024 bytes");
        }
        for part in text.split('/') {
            if part.is_empty() {
                return refuse("write it relative to `dir`, without a `/` at either end");
            }
            if part.contains("**") && part != "**" {
                return refuse("`**` stands alone between two `/`");
            }
        }
        let built = GlobBuilder::new(&literal_brackets(text))
            .literal_separator(true)
            .backslash_escape(false)
            .build();
        match built {
            Ok(glob) => Ok(Self { text: text.to_owned(), matcher: glob.compile_matcher() }),
            Err(_) => refuse("it is too large"),
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Glob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Glob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::values::from_text(deserializer)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_mean_what_the_reference_says() {
        for (pattern, yes, no) in [
            ("*.pyc", vec!["a.pyc", "x/y/a.pyc"], vec!["a.py", "a.pyc/b"]),
            (
                "usr/share/man/**",
                vec!["usr/share/man/a", "usr/share/man/a/b"],
                vec!["usr/share/man"],
            ),
            ("**/test", vec!["test", "a/test", "a/b/test"], vec!["atest", "test/a"]),
            ("a/**/b", vec!["a/b", "a/x/b", "a/x/y/b"], vec!["a/xb", "b"]),
            ("a/*/b", vec!["a/x/b"], vec!["a/b", "a/x/y/b"]),
            ("a?c", vec!["abc", "x/abc"], vec!["ac", "abbc"]),
            ("lib*.so.*", vec!["libc.so.6", "lib.so."], vec!["libc.so"]),
            ("**", vec!["a", "a/b"], vec![]),
            ("man", vec!["man", "usr/man"], vec!["man/a", "woman"]),
            ("[a]{b,c}\\d", vec!["[a]{b,c}\\d"], vec!["ab\\d", "[a]b\\d"]),
            ("a/**/**", vec!["a/b", "a/b/c"], vec!["a"]),
            ("*\u{e9}", vec!["caf\u{e9}"], vec!["cafe"]),
        ] {
            let glob: Glob = pattern.parse().unwrap();
            for path in yes {
                assert!(glob.matches(path.as_bytes()), "{pattern} {path}");
            }
            for path in no {
                assert!(!glob.matches(path.as_bytes()), "{pattern} {path}");
            }
        }
    }

    #[test]
    fn patterns_with_empty_parts_or_mixed_stars_are_refused() {
        for text in ["", "/a", "a/", "a//b", "a**", "**b/c", "***"] {
            assert!(text.parse::<Glob>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_pattern_without_stars_matches_only_itself(
            path in "[a-c]{1,3}/[a-c]{1,3}", other in "[a-c]{1,3}/[a-c]{1,3}",
        ) {
            let glob: Glob = path.parse().unwrap();
            prop_assert_eq!(glob.matches(other.as_bytes()), path == other);
        }

        #[test]
        fn any_pattern_and_path_end_without_panic(
            pattern in "[a*?/]{1,20}", path in "[a/]{0,40}",
        ) {
            if let Ok(glob) = pattern.parse::<Glob>() {
                let _ = glob.matches(path.as_bytes());
            }
        }
    }
}
