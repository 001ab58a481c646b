//! What a request is about.

use serde::{Deserialize, Serialize};

/// The kind of a request, as named by faults and counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `/v2/`
    Version,
    /// `/oauth2/token`
    Token,
    /// `/oauth2/exchange`
    Exchange,
    /// `/v2/_catalog`
    Catalog,
    /// Anything below `/acr/v1/`.
    Metadata,
    /// Tag lists.
    Tags,
    /// Referrers lists.
    Referrers,
    /// GET of a manifest.
    ManifestGet,
    /// HEAD of a manifest.
    ManifestHead,
    /// PUT of a manifest.
    ManifestPut,
    /// DELETE of a manifest or tag.
    ManifestDelete,
    /// GET of a blob at the facade, answered with a redirect.
    BlobGet,
    /// HEAD of a blob at the facade, answered with a redirect too.
    BlobHead,
    /// DELETE of a blob.
    BlobDelete,
    /// The start of an upload, mounts included.
    UploadPost,
    /// A chunk of an upload.
    UploadPatch,
    /// The end of an upload.
    UploadPut,
    /// The status of an upload.
    UploadStatus,
    /// The cancelling of an upload.
    UploadCancel,
    /// GET of a blob's bytes at the storage port.
    StorageGet,
    /// HEAD of a blob at the storage port.
    StorageHead,
    /// Anything at the other host, the target of some redirect faults.
    Elsewhere,
    /// Any other pixels.
    Other,
}

impl Kind {
    /// The registry's code for "there is no such thing".
    pub(crate) fn unknown_code(self) -> &'static str {
        match self {
            Self::ManifestGet | Self::ManifestHead | Self::ManifestPut | Self::ManifestDelete => {
                "MANIFEST_UNKNOWN"
            }
            Self::BlobGet | Self::BlobHead | Self::BlobDelete => "BLOB_UNKNOWN",
            Self::UploadPatch | Self::UploadPut | Self::UploadStatus | Self::UploadCancel => {
                "BLOB_UPLOAD_UNKNOWN"
            }
            Self::Tags | Self::Referrers | Self::UploadPost => "NAME_UNKNOWN",
            _ => "NOT_FOUND",
        }
    }
}
