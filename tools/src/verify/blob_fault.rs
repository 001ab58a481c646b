//! What kind of fault a blob is that cannot be used, and its words.

use crate::image::facts::FaultKind;
use crate::source::BlobError;

pub(super) fn kind_of(error: &BlobError) -> FaultKind {
    match error {
        BlobError::Missing { .. }
        | BlobError::MissingPlatform { .. }
        | BlobError::MissingMember { .. }
        | BlobError::NotAFile { .. }
        | BlobError::Read { .. } => FaultKind::Missing,
        BlobError::Registry { .. } => FaultKind::Unproven,
        BlobError::Size { .. } => FaultKind::Size,
        BlobError::Mismatch(_) | BlobError::Content { .. } => FaultKind::Digest,
        BlobError::Manifest { .. } => FaultKind::Manifest,
    }
}

/// The message with its cause, for tables with one line per fault.
pub(super) fn explain(error: &BlobError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
