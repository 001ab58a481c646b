//! `Glob`: which paths of a layer folder stay out. `*` and `?` stay within one part of a path, `**`
//! crosses parts. A pattern with a `/` is held against the whole path, one without against the
//! last part; a folder that matches goes with everything in it, which is the walker's business.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest pattern, in bytes; matching takes time in proportion to it.
const LEN_MAX: usize = 1024;

/// A pattern for paths relative to a layer folder.
///
/// - Not empty, no empty part (so no leading `/`), `**` only as a whole part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(String);

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
        &self.0
    }

    /// Whether this path below the layer folder is meant. Bytes, because names need not be UTF-8.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        let pattern = self.0.as_bytes();
        let is_slash = |c: &u8| *c == b'/';
        if !pattern.contains(&b'/') {
            let name = path.rsplit(is_slash).next().unwrap_or(path);
            return pattern == b"**" || part_matches(pattern, name);
        }
        let pattern: Vec<&[u8]> = pattern.split(is_slash).collect();
        let path: Vec<&[u8]> = path.split(is_slash).collect();
        parts_match(&pattern, &path)
    }
}

/// Follows every place in the pattern that the path so far can have reached, so that the time is
/// bounded by the product of both lengths. A `**` at the end needs at least one part: `a/**` means
/// what is in `a`, not `a`.
fn parts_match(pattern: &[&[u8]], path: &[&[u8]]) -> bool {
    let mut reached = vec![false; pattern.len() + 1];
    set(&mut reached, 0);
    for part in path {
        let mut next = vec![false; pattern.len() + 1];
        let mut reaches_by_nothing = false;
        for (place, expected) in pattern.iter().enumerate() {
            let here = reached.get(place).copied().unwrap_or(false) || reaches_by_nothing;
            reaches_by_nothing = here && *expected == b"**";
            if here && *expected == b"**" {
                set(&mut next, place);
                set(&mut next, place + 1);
            } else if here && part_matches(expected, part) {
                set(&mut next, place + 1);
            }
        }
        reached = next;
    }
    reached.last().copied().unwrap_or(false)
}

fn set(places: &mut [bool], place: usize) {
    if let Some(slot) = places.get_mut(place) {
        *slot = true;
    }
}

/// One part against one part: on a mismatch the last `*` takes one byte more.
fn part_matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at_pattern, mut at_text) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while at_text < text.len() {
        match pattern.get(at_pattern) {
            Some(b'*') => {
                at_pattern += 1;
                retry = Some((at_pattern, at_text));
            }
            Some(c) if *c == b'?' || Some(c) == text.get(at_text) => {
                at_pattern += 1;
                at_text += 1;
            }
            _ => match retry {
                Some((after_star, taken)) => {
                    at_pattern = after_star;
                    at_text = taken + 1;
                    retry = Some((after_star, taken + 1));
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at_pattern).all(|c| *c == b'*')
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
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Glob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Glob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::words::from_text(deserializer)
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
