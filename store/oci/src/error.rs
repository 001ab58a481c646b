//! One error for every word of the protocol. An error names the word, never the layer. The proxy
//! chooses the HTTP status. Repeated text of a client is kept short.

use crate::RepoName;

/// Longest excerpt of the refused text in an error, in characters.
const EXCERPT_CHARS_MAX: usize = 128;

/// Why a text is not a word of the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Not `sha256:` and 64, or `sha512:` and 128 lowercase hexadecimal digits.
    #[error("`{text}` is not a digest: {reason}")]
    Digest {
        /// The text, shortened.
        text: String,
        /// The fault in it.
        reason: &'static str,
    },
    /// Not a repository name of the distribution specification.
    #[error("`{text}` is not a repository name: {reason}")]
    RepoName {
        /// The text, shortened.
        text: String,
        /// The fault in it.
        reason: &'static str,
    },
    /// Not a tag of the distribution specification.
    #[error("`{text}` is not a tag: {reason}")]
    Tag {
        /// The text, shortened.
        text: String,
        /// The fault in it.
        reason: &'static str,
    },
    /// Neither a tag nor a digest, in the URL of a manifest.
    #[error("{fault}")]
    Reference {
        /// The repository.
        repo: RepoName,
        /// The fault in the text, read as a digest when it has a colon, else as a tag.
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
    /// Not a byte range, or one no size satisfies.
    #[error("`{text}` is not a range: {reason}")]
    Range {
        /// The text, shortened.
        text: String,
        /// The fault in it.
        reason: &'static str,
    },
    /// Not a file of logins, or not the answer of a credential helper. The error repeats nothing of
    /// the content.
    #[error("{reason}")]
    Login {
        /// The fault, with its position.
        reason: String,
    },
    /// Not an identifier of an upload session of this program.
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
    /// The query of a page of a list is too long.
    #[error("`{text}` as the query of a page is too long; the limit is {limit_bytes} bytes")]
    PageQuery {
        /// The text, shortened.
        text: String,
        /// Most bytes of a query.
        limit_bytes: usize,
    },
    /// The manifest is larger than registries have to accept.
    #[error("the manifest has {size_bytes} bytes; the limit is {limit_bytes}")]
    ManifestTooLarge {
        /// The size of the manifest, in bytes.
        size_bytes: u64,
        /// The most a manifest may have, in bytes.
        limit_bytes: u64,
    },
    /// The manifest cannot be read.
    #[error("the manifest is not valid: {reason}")]
    Manifest {
        /// The fault, with its position when the manifest is not JSON.
        reason: String,
    },
}

/// The refused text as errors show it: bounded, and without characters able to forge a line of a
/// log.
pub(crate) fn excerpt(text: &str) -> String {
    shortened(text, EXCERPT_CHARS_MAX)
}

/// As [`excerpt`], with another bound.
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
