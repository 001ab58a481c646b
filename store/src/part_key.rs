//! The key of a part.

use wharf_oci::Digest;

/// What a part is the begin of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartKey {
    /// Where it came from: what one said is not gone on with by another.
    pub source: String,
    /// What the whole is to be.
    pub digest: Digest,
}
