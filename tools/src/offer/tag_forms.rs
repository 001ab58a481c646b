//! The facts in a tag's text, as the technical configuration of an image plan reads it: its version
//! at the start, its platform, whether it is for tests. The rules and the tag plan share these
//! functions, so they cannot differ.

use wharf_oci::Platform;

use crate::offer::values::ImageVersion;

/// How many tags a plan publishes at most (PLAN; CLI-M).
pub const TAGS_MAX: usize = 16;
/// How many characters the technical configuration takes of a tag; registries take 128 (CLI-M).
pub const TAG_CHARS_MAX: usize = 100;

/// The version at a tag's start, and the rest: nothing, or `-` and more.
#[must_use]
pub fn version_of(tag: &str) -> Option<(ImageVersion, &str)> {
    let end = tag.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(tag.len());
    let (version, rest) = tag.split_at(end);
    let version = version.parse().ok()?;
    (rest.is_empty() || rest.starts_with('-')).then_some((version, rest))
}

/// Whether a tag is the image's tag during its test.
#[must_use]
pub fn is_test_tag(tag: &str) -> bool {
    tag != "latest" && tag.to_ascii_lowercase().contains("test")
}

/// The words of operating systems and architectures in tags, and the value of each.
const WORDS: [(&str, Field, &str); 10] = [
    ("linux", Field::Os, "linux"),
    ("windows", Field::Os, "windows"),
    ("amd64", Field::Architecture, "amd64"),
    ("x64", Field::Architecture, "amd64"),
    ("x86_64", Field::Architecture, "amd64"),
    ("arm64", Field::Architecture, "arm64"),
    ("aarch64", Field::Architecture, "arm64"),
    ("arm32", Field::Architecture, "arm"),
    ("arm", Field::Architecture, "arm"),
    ("armhf", Field::Architecture, "arm"),
];

/// The field of a platform behind a word.
#[derive(Clone, Copy)]
enum Field {
    Os,
    Architecture,
}

/// The words of platforms in a tag, each with its field and value.
fn words(tag: &str) -> impl Iterator<Item = &'static (&'static str, Field, &'static str)> {
    tag.split(['-', '.']).filter_map(|part| {
        let part = part.to_ascii_lowercase();
        WORDS.iter().find(|(word, ..)| *word == part)
    })
}

/// Whether a tag names a platform, so it cannot be for all of them.
#[must_use]
pub fn names_a_platform(tag: &str) -> bool {
    words(tag).next().is_some()
}

/// The words in a tag that contradict the platform it points at; `None` is all platforms.
pub fn wrong_words(tag: &str, target: Option<&Platform>) -> impl Iterator<Item = &'static str> {
    words(tag).filter_map(move |(word, field, value)| {
        let actual = target.map(|platform| match field {
            Field::Os => &platform.os,
            Field::Architecture => &platform.architecture,
        });
        (actual.map(String::as_str) != Some(*value)).then_some(*word)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn versions_at_the_start_of_tags_are_read() {
        for (tag, version, rest) in
            [("1.0", "1.0", ""), ("1.2.3-linux", "1.2.3", "-linux"), ("1.10-x", "1.10", "-x")]
        {
            let found = version_of(tag).map(|(version, rest)| (version.to_string(), rest));
            assert_eq!(found, Some((version.to_owned(), rest)), "{tag}");
        }
        for tag in ["latest", "v1.0", "1", "1.0.", "1.0_x", "1.2.3.4", "20261101"] {
            assert!(version_of(tag).is_none(), "{tag}");
        }
    }

    #[test]
    fn words_of_platforms_are_held_against_what_the_tag_points_at() {
        let arm: Platform = "linux/arm64".parse().unwrap();
        let wrong = |tag, target| wrong_words(tag, target).collect::<Vec<_>>();
        assert_eq!(wrong("1.0-linux-aarch64", Some(&arm)), [] as [&str; 0]);
        assert_eq!(wrong("1.0-windows-x64", Some(&arm)), ["windows", "x64"]);
        assert_eq!(wrong("1.0-Linux", None), ["linux"]);
        assert!(!names_a_platform("1.0-charm") && names_a_platform("1.0.ARM"));
    }
}
