//! The tags of an image: templates as the offer writes them, and their expansion.
//!
//! Invariant: expanded tags are valid, unique and in the order of writing: tags of one platform
//! first, then tags of the index, `latest` last, so that `latest` never points at an image without
//! its other tags.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};
use wharf_oci::{ParseError, Platform, Tag};

use super::values::ImageVersion;

/// The templates of `auto`.
const AUTO: [&str; 3] = ["latest", "{version}", "{version}-{platform}"];

/// A tag with optional placeholders `{version}`, `{os}`, `{arch}` and `{platform}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagTemplate {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Version,
    Os,
    Architecture,
    Platform,
}

/// The templates of one image, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagTemplates(Vec<TagTemplate>);

/// The target of a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TagTarget {
    /// The index of all platforms.
    Index,
    /// The manifest of one platform, by its place in `image.platforms`.
    Platform(usize),
}

/// A tag and its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpandedTag {
    pub tag: Tag,
    pub target: TagTarget,
    /// Its template's place in the list.
    pub template: usize,
}

/// Why templates do not give a set of tags.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// A brace without a known placeholder.
    #[error("`{0}` has a brace that is none of {{version}}, {{os}}, {{arch}}, {{platform}}")]
    Placeholder(String),
    /// No templates at all.
    #[error("there is no tag: write `auto` or at least one")]
    Empty,
    /// The expanded text is no tag.
    #[error("`{template}` does not give a tag")]
    Invalid {
        /// The template behind it.
        template: String,
        source: ParseError,
    },
    /// Two templates give the same tag.
    #[error("the tag `{tag}` comes out twice, the second time from `{template}`")]
    Twice {
        tag: Tag,
        /// The second template.
        template: String,
    },
}

impl TagTemplate {
    /// The template as it stands in the file.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it gives one tag per platform.
    #[must_use]
    pub fn is_per_platform(&self) -> bool {
        self.pieces.iter().any(|piece| !matches!(piece, Piece::Literal(_) | Piece::Version))
    }

    fn expand(&self, version: &ImageVersion, platform: Option<&Platform>) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            match (piece, platform) {
                (Piece::Literal(literal), _) => text.push_str(literal),
                (Piece::Version, _) => text.push_str(version.as_str()),
                (Piece::Os, Some(platform)) => text.push_str(&platform.os),
                (Piece::Architecture, Some(platform)) => text.push_str(&platform.architecture),
                (Piece::Platform, Some(platform)) => {
                    text.push_str(&platform.to_string().replace('/', "-"));
                }
                (Piece::Os | Piece::Architecture | Piece::Platform, None) => {}
            }
        }
        text
    }
}

impl TagTemplates {
    /// The templates of `auto`.
    #[must_use]
    pub fn auto() -> Self {
        let parse = |text: &&str| text.parse().expect("the built-in templates are well formed");
        Self(AUTO.iter().map(parse).collect())
    }

    /// The templates, in the order of the file.
    #[must_use]
    pub fn as_slice(&self) -> &[TagTemplate] {
        &self.0
    }

    /// The tags for this version on these platforms, in the order of writing.
    pub fn expand(
        &self,
        version: &ImageVersion,
        platforms: &[Platform],
    ) -> Result<Vec<ExpandedTag>, TagError> {
        let mut expanded = Vec::new();
        for (place, template) in self.0.iter().enumerate() {
            let invalid = |source| TagError::Invalid { template: template.text.clone(), source };
            if !template.is_per_platform() {
                let tag = template.expand(version, None).parse().map_err(invalid)?;
                expanded.push(ExpandedTag { tag, target: TagTarget::Index, template: place });
                continue;
            }
            for (index, platform) in platforms.iter().enumerate() {
                let tag = template.expand(version, Some(platform)).parse().map_err(invalid)?;
                let target = TagTarget::Platform(index);
                expanded.push(ExpandedTag { tag, target, template: place });
            }
        }
        if expanded.is_empty() {
            return Err(TagError::Empty);
        }
        let mut seen = BTreeSet::new();
        for item in &expanded {
            if !seen.insert(&item.tag) {
                let template = self.0.get(item.template).map(TagTemplate::as_str);
                let template = template.unwrap_or_default().to_owned();
                return Err(TagError::Twice { tag: item.tag.clone(), template });
            }
        }
        expanded.sort_by_key(writing_order);
        Ok(expanded)
    }
}

fn writing_order(item: &ExpandedTag) -> u8 {
    match item.target {
        TagTarget::Platform(_) => 0,
        TagTarget::Index if item.tag.as_str() == "latest" => 2,
        TagTarget::Index => 1,
    }
}

impl Default for TagTemplates {
    fn default() -> Self {
        Self::auto()
    }
}

impl FromIterator<TagTemplate> for TagTemplates {
    fn from_iter<I: IntoIterator<Item = TagTemplate>>(templates: I) -> Self {
        Self(templates.into_iter().collect())
    }
}

impl FromStr for TagTemplate {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, TagError> {
        let refuse = || TagError::Placeholder(text.chars().take(128).collect());
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or_else(refuse)?;
            if literal.contains('}') {
                return Err(refuse());
            }
            pieces.push(Piece::Literal(literal.to_owned()));
            pieces.push(match name {
                "version" => Piece::Version,
                "os" => Piece::Os,
                "arch" => Piece::Architecture,
                "platform" => Piece::Platform,
                _ => return Err(refuse()),
            });
            rest = after;
        }
        if rest.contains('}') {
            return Err(refuse());
        }
        pieces.push(Piece::Literal(rest.to_owned()));
        Ok(Self { text: text.to_owned(), pieces })
    }
}

impl<'de> Deserialize<'de> for TagTemplate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::values::from_text(deserializer)
    }
}

impl<'de> Deserialize<'de> for TagTemplates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TemplatesVisitor)
    }
}

struct TemplatesVisitor;

impl<'de> de::Visitor<'de> for TemplatesVisitor {
    type Value = TagTemplates;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`auto` or a list of tags")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<TagTemplates, E> {
        if text == "auto" {
            return Ok(TagTemplates::auto());
        }
        Err(de::Error::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<TagTemplates, A::Error> {
        let mut templates = Vec::new();
        while let Some(template) = list.next_element()? {
            templates.push(template);
        }
        Ok(TagTemplates(templates))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn expand(templates: &[&str], platforms: &[&str]) -> Result<Vec<String>, TagError> {
        let templates = templates.iter().map(|text| text.parse().unwrap()).collect();
        let platforms: Vec<Platform> = platforms.iter().map(|text| text.parse().unwrap()).collect();
        let tags = TagTemplates(templates).expand(&"1.4.0".parse().unwrap(), &platforms)?;
        Ok(tags.iter().map(|item| format!("{} {:?}", item.tag, item.target)).collect())
    }

    #[test]
    fn auto_writes_children_first_and_latest_last() {
        let tags = expand(&AUTO, &["linux/amd64", "linux/arm/v7"]).unwrap();
        assert_eq!(
            tags,
            [
                "1.4.0-linux-amd64 Platform(0)",
                "1.4.0-linux-arm-v7 Platform(1)",
                "1.4.0 Index",
                "latest Index"
            ]
        );
    }

    #[test]
    fn every_placeholder_expands() {
        let tags = expand(&["v{version}_{os}.{arch}"], &["windows/amd64"]).unwrap();
        assert_eq!(tags, ["v1.4.0_windows.amd64 Platform(0)"]);
    }

    #[test]
    fn templates_that_give_no_set_of_tags_are_refused() {
        let twice = expand(&["{arch}"], &["linux/amd64", "windows/amd64"]).unwrap_err();
        assert!(matches!(twice, TagError::Twice { .. }));
        assert!(matches!(expand(&["a b"], &["linux/amd64"]), Err(TagError::Invalid { .. })));
        assert!(matches!(expand(&[], &["linux/amd64"]), Err(TagError::Empty)));
        for text in ["{date}", "{", "}", "a}{version}", "{{version}}", "{version", "{}"] {
            assert!(text.parse::<TagTemplate>().is_err(), "{text}");
        }
    }
}
