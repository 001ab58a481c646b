//! The key of a part.

use wharf_oci::Digest;

/// The key of a part: the first segments of interrupted content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartKey {
    /// The source of the content. Another source never continues the part.
    pub source: String,
    /// The digest of the whole content.
    pub digest: Digest,
}
