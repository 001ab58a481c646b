//! Why tags are left out of a list, and why there may be none.

use std::fmt;

use wharf_oci::Tag;

use crate::offer::tag_forms::{TAG_CHARS_MAX, TAGS_MAX};
use crate::offer::tags::TagError;
use crate::offer::values::ImageVersion;

/// Tags without a place in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Where they come from.
    pub origin: TagOrigin,
    pub tags: Vec<Tag>,
    pub reason: LeftOutReason,
}

/// The origin of dropped tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagOrigin {
    /// A template of the offer.
    Template(String),
    /// A published version: all of its tags, so nothing of it is left.
    Version(ImageVersion),
    /// A template the pages advise, and the offer does not have.
    Advised(String),
    /// Single tags of `publishedTags`.
    Published,
}

/// Why a tag has no place in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeftOutReason {
    /// There are 16 places, and earlier claims have them.
    NoRoom {
        /// How many would be needed.
        needed: usize,
        free: usize,
    },
    /// It does not start with a version.
    NoVersion,
    /// It is a version without a suffix; the narrower page does not take one.
    Bare,
    /// It is longer than the technical configuration takes.
    TooLong(Tag),
    /// Another tag of the list is the same, or differs in case only.
    Twice(Tag),
    /// It is published, and stays where it points.
    Published,
    /// It starts with another version than the next to publish.
    OtherVersion(ImageVersion),
    /// It says a platform it does not point at.
    WrongWord(&'static str),
    /// A published version's test tag makes room.
    Tested,
}

/// Why there is no list at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPlan {
    /// Each platform needs a tag, and `latest` is one more.
    #[error(
        "{0} platforms need {needed} tags, and {TAGS_MAX} is the most; leave out platforms, or \
         publish them as another plan", needed = .0 + 1
    )]
    Platforms(usize),
    /// The published version is newer, or the same.
    #[error(
        "{version} is not greater than {published}, which is published as `{tag}`; raise `version`"
    )]
    NotGreater {
        /// The version to be published.
        version: ImageVersion,
        published: ImageVersion,
        tag: Tag,
    },
    /// Two platforms have one name, or a template gives no tag.
    #[error("no tag tells the platforms apart: {0}")]
    Alike(TagError),
    /// A required tag is against the rules.
    #[error("`{tag}` cannot be listed: {reason}")]
    Unfit { tag: Tag, reason: LeftOutReason },
}

impl fmt::Display for LeftOutReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoom { needed, free } => {
                let tags = if *needed == 1 { "tag" } else { "tags" };
                write!(f, "no room: {needed} {tags}, and of {TAGS_MAX} places {free} are left")
            }
            Self::NoVersion => f.write_str("does not start with a version and `-`"),
            Self::Bare => f.write_str(
                "a version with nothing after it, which one page does not take (--lenient does)",
            ),
            Self::TooLong(tag) => {
                let length = tag.as_str().len();
                write!(f, "`{tag}` has {length} characters, and {TAG_CHARS_MAX} is the most")
            }
            Self::Twice(other) => write!(f, "the same as `{other}`, or differs in case only"),
            Self::Published => f.write_str("published already, and stays where it points"),
            Self::OtherVersion(version) => {
                write!(f, "starts with {version}, which is not the version of the image")
            }
            Self::WrongWord(word) => write!(f, "says {word} but points at something else"),
            Self::Tested => f.write_str("a test tag of a version that is out; makes room"),
        }
    }
}
