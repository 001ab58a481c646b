//! One error for every word that fails to parse, naming the word, never the layer that read it.
//! Which HTTP status it becomes is decided elsewhere. Text that a stranger sent is kept short.

use crate::RepoName;

/// Longest piece of the offending text that an error repeats, in characters.
const EXCERPT_CHARS_MAX: usize = 128;

/// Why a text is not the word that it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Not `sha256:` and 64, or `sha512:` and 128 lowercase hexadecimal digits.
    #[error("`{text}` is not a digest: {reason}")]
    Digest {
        /// The text, shortened.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Not a repository name of the distribution specification.
    #[error("`{text}` is not a repository name: {reason}")]
    RepoName {
        /// The text, shortened.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Not a tag of the distribution specification.
    #[error("`{text}` is not a tag: {reason}")]
    Tag {
        /// The text, shortened.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Neither a tag nor a digest, where the manifest of a repository is named.
    #[error("{fault}")]
    Reference {
        /// The repository.
        repo: RepoName,
        /// What is wrong with it as the one that it looks like.
        fault: Box<ParseError>,
    },
    /// Not a media type (`type/subtype`).
    #[error("`{text}` is not a media type")]
    MediaType {
        /// The text, shortened.
        text: String,
    },
    /// Not `os/architecture[/variant]`.
    #[error("`{text}` is not a platform: write os/architecture or os/architecture/variant")]
    Platform {
        /// The text, shortened.
        text: String,
    },
    /// Not a byte range, or one that no size satisfies.
    #[error("`{text}` is not a range: {reason}")]
    Range {
        /// The text, shortened.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Not a file of logins, or not the answer of a credential helper. Never a part of its content.
    #[error("{reason}")]
    Login {
        /// What is wrong, and where.
        reason: String,
    },
    /// Not an upload session identifier that this program gave out.
    #[error("`{text}` is not an upload session")]
    UploadId {
        /// The text, shortened.
        text: String,
    },
    /// No endpoint of the registry protocol has this path.
    #[error("`{text}` is not a registry path")]
    Path {
        /// The text, shortened.
        text: String,
    },
    /// The query of a page of a list, longer than is kept.
    #[error("`{text}` as the query of a page is too long; the limit is {limit_bytes} bytes")]
    PageQuery {
        /// The text, shortened.
        text: String,
        /// How many bytes are allowed.
        limit_bytes: usize,
    },
    /// Larger than a registry has to accept.
    #[error("the manifest has {size_bytes} bytes; the limit is {limit_bytes}")]
    ManifestTooLarge {
        /// How many bytes it has.
        size_bytes: u64,
        /// How many are allowed.
        limit_bytes: u64,
    },
    /// Not a manifest that we can read.
    #[error("the manifest is not valid: {reason}")]
    Manifest {
        /// What is wrong, with the position when it is not JSON.
        reason: String,
    },
}

/// The offending text as an error shows it: bounded, and without characters that could forge a
/// line in a log.
pub(crate) fn excerpt(text: &str) -> String {
    shortened(text, EXCERPT_CHARS_MAX)
}

/// The same with another bound.
pub(crate) fn shortened(text: &str, chars_max: usize) -> String {
    let mut shown: String =
        text.chars().take(chars_max).map(|c| if is_odd(c) { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(chars_max).is_some() {
        shown.push('…');
    }
    shown
}

/// Whether a character ends lines or turns the direction of a text.
fn is_odd(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}
