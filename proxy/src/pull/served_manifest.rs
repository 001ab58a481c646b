//! A manifest on its way to a client.

use bytes::Bytes;
use wharf_oci::{Digest, MediaType};
use wharf_store::StoredManifest;

/// A manifest ready to be sent.
#[derive(Debug, Clone)]
pub(crate) struct ServedManifest {
    pub digest: Digest,
    /// For `Content-Type`.
    pub media_type: MediaType,
    /// The bytes exactly as pushed.
    pub bytes: Bytes,
    /// Whether the bytes count in the memory budget.
    pub is_counted: bool,
}

impl From<StoredManifest> for ServedManifest {
    fn from(stored: StoredManifest) -> Self {
        let StoredManifest { digest, media_type, bytes } = stored;
        Self { digest, media_type, bytes, is_counted: false }
    }
}
