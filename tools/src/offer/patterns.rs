//! `PathPattern`: files beside the offer by their path, or by a pattern (`debs/*.deb`).

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};

use super::globs::Glob;
use super::values::RelativePath;

/// Most patterns of one key.
const PATTERNS_MAX: usize = 1000;

/// A path of the offer; its parts may have `*` and `?`, or be `**`.
///
/// - A pattern without a folder means files beside the offer, none below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    text: RelativePath,
    /// The length of the text before the pattern.
    folder: String,
    glob: Option<Glob>,
}

impl PathPattern {
    /// As it stands in the offer.
    #[must_use]
    pub const fn text(&self) -> &RelativePath {
        &self.text
    }

    /// The folder to look in, and the pattern for paths from that folder; no pattern when the text
    /// names one file.
    #[must_use]
    pub fn parts(&self) -> Option<(&str, &Glob)> {
        self.glob.as_ref().map(|glob| (self.folder.as_str(), glob))
    }
}

impl FromStr for PathPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path: RelativePath = text.parse().map_err(|error| format!("{error}"))?;
        let is_pattern = |part: &str| part.contains(['*', '?']);
        let parts: Vec<&str> = text.split('/').filter(|part| *part != ".").collect();
        let Some(first) = parts.iter().position(|part| is_pattern(part)) else {
            return Ok(Self { text: path, folder: String::new(), glob: None });
        };
        let (folder, rest) = parts.split_at(first);
        let glob = rest.join("/").parse::<Glob>().map_err(|error| error.to_string())?;
        if rest.contains(&"..") {
            return Err(format!("`{text}` has `..` behind a pattern; write it before"));
        }
        Ok(Self { text: path, folder: folder.join("/"), glob: Some(glob) })
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl<'de> Deserialize<'de> for PathPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::values::from_text(deserializer)
    }
}

/// One pattern or a list of them; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPatterns {
    pub first: PathPattern,
    pub others: Vec<PathPattern>,
}

impl PathPatterns {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &PathPattern> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

impl fmt::Display for PathPatterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(f)?;
        self.others.iter().try_for_each(|other| write!(f, " {other}"))
    }
}

impl<'de> Deserialize<'de> for PathPatterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMany)
    }
}

struct OneOrMany;

impl<'de> Visitor<'de> for OneOrMany {
    type Value = PathPatterns;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path or pattern, or a list of them")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<PathPatterns, E> {
        let first = text.parse().map_err(E::custom)?;
        Ok(PathPatterns { first, others: Vec::new() })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<PathPatterns, A::Error> {
        let empty = || A::Error::custom("the list has no path");
        let first = list.next_element()?.ok_or_else(empty)?;
        let mut others = Vec::new();
        while let Some(next) = list.next_element()? {
            if others.len() + 1 == PATTERNS_MAX {
                return Err(A::Error::custom("the list has more than 1000 paths"));
            }
            others.push(next);
        }
        Ok(PathPatterns { first, others })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_a_pattern_begins_at_its_first_star() {
        let parts = |text: &str| {
            let pattern: PathPattern = text.parse().unwrap();
            pattern.parts().map(|(folder, glob)| (folder.to_owned(), glob.to_string()))
        };
        assert_eq!(parts("debs/x.deb"), None);
        assert_eq!(parts("*.deb"), Some((String::new(), "*.deb".to_owned())));
        assert_eq!(
            parts("../pool/a/*/?.deb"),
            Some(("../pool/a".to_owned(), "*/?.deb".to_owned()))
        );
        assert_eq!(parts("./debs/**/*.deb"), Some(("debs".to_owned(), "**/*.deb".to_owned())));
        for wrong in ["/x/*.deb", "a/**b", "a/*/../b", ""] {
            assert!(wrong.parse::<PathPattern>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_list_or_one_is_read() {
        let read = |json: &str| serde_json::from_str::<PathPatterns>(json);
        assert_eq!(read(r#""a.deb""#).unwrap().to_string(), "a.deb");
        assert_eq!(read(r#"["a.deb", "b/*.deb"]"#).unwrap().to_string(), "a.deb b/*.deb");
        assert!(read("[]").is_err());
        assert!(read("7").is_err());
    }
}
