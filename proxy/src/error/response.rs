//! The one table of the client's view of an error: status, code and sentence.
//!
//! Invariant: an answer of 500 and above never carries the cause, which may hold paths or
//! addresses; the cause is logged once, with the request id.

use http::StatusCode;
use wharf_oci::{ErrorCode, ParseError};

use super::{Error, StoreFault};

/// The client's view of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorResponse {
    /// The HTTP status.
    pub status: StatusCode,
    /// The code in the body.
    pub code: ErrorCode,
}

impl Error {
    /// The table: every error with its status and code. No wildcard, so that no case is forgotten.
    #[must_use]
    #[expect(
        clippy::too_many_lines,
        reason = "the one table; a second function would be a second one"
    )]
    pub fn response(&self) -> ErrorResponse {
        let (status, code) = match self {
            Self::Parse(error) => status_of_parse(error),
            Self::MethodNotAllowed { .. } => {
                (StatusCode::METHOD_NOT_ALLOWED, ErrorCode::Unsupported)
            }
            Self::Parameter(_) | Self::HeadMalformed(_) => {
                (StatusCode::BAD_REQUEST, ErrorCode::Unsupported)
            }
            Self::NameUnserved(_) | Self::NamespaceUnserved(_) | Self::NameUnknown(_) => {
                (StatusCode::NOT_FOUND, ErrorCode::NameUnknown)
            }
            Self::NameImpossible(_) => (StatusCode::NOT_FOUND, ErrorCode::NameInvalid),
            Self::BlobUnknown { .. } => (StatusCode::NOT_FOUND, ErrorCode::BlobUnknown),
            Self::ManifestUnknown { .. } | Self::ReferenceImpossible(_) => {
                (StatusCode::NOT_FOUND, ErrorCode::ManifestUnknown)
            }
            Self::ManifestBlobUnknown { .. } => {
                (StatusCode::NOT_FOUND, ErrorCode::ManifestBlobUnknown)
            }
            // Not NAME_UNKNOWN: oras would not look for the tag after that code.
            Self::ReferrersUnsupported(_) => (StatusCode::NOT_FOUND, ErrorCode::Unsupported),
            Self::UploadUnknown => (StatusCode::NOT_FOUND, ErrorCode::BlobUploadUnknown),
            Self::UploadBusy => (StatusCode::CONFLICT, ErrorCode::BlobUploadInvalid),
            // distribution-spec, "Pushing a blob in chunks": out of order is 416.
            Self::ChunkOutOfOrder { .. } => {
                (StatusCode::RANGE_NOT_SATISFIABLE, ErrorCode::BlobUploadInvalid)
            }
            Self::ChunkSize { .. } => (StatusCode::BAD_REQUEST, ErrorCode::SizeInvalid),
            Self::UrlTooLong { .. } => (StatusCode::URI_TOO_LONG, ErrorCode::Unsupported),
            Self::TooManyHeaders { .. } => {
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, ErrorCode::Unsupported)
            }
            Self::BodyTooSlow => (StatusCode::REQUEST_TIMEOUT, ErrorCode::BlobUploadInvalid),
            Self::BodyBroken => (StatusCode::BAD_REQUEST, ErrorCode::BlobUploadInvalid),
            Self::BlobTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::SizeInvalid),
            Self::RangeUnsatisfiable { .. } => {
                (StatusCode::RANGE_NOT_SATISFIABLE, ErrorCode::Unsupported)
            }
            Self::DigestMismatch(_) => (StatusCode::BAD_REQUEST, ErrorCode::DigestInvalid),
            Self::UpstreamRefused { status, code, .. } => (bypassed(*status), *code),
            Self::PendingFull { .. } => (StatusCode::INSUFFICIENT_STORAGE, ErrorCode::Unknown),
            Self::LoginNeeded { .. } | Self::ScopeNeeded { .. } | Self::LoginRefused => {
                (StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized)
            }
            // Never 401: the client has no credentials that would help.
            Self::UpstreamDenied { .. }
            | Self::Denied
            | Self::ForeignPage
            | Self::HostUnlisted(_) => (StatusCode::FORBIDDEN, ErrorCode::Denied),
            // A passing failure is 429: after 503 most clients give up
            // (docs/explanation/clients.md). For docker 503 works better, and
            // `http/server/hold_policy.rs` chooses it.
            Self::UpstreamBusy { .. }
            | Self::UpstreamDown { .. }
            | Self::Unanswered { .. }
            | Self::Undelivered { .. }
            | Self::TagUndecided { .. }
            | Self::AccessUndecided { .. }
            | Self::Stopping
            | Self::TooMany(_)
            | Self::TooManyBytes(_)
            | Self::TooOften { .. }
            | Self::TooManyLogins { .. } => {
                (StatusCode::TOO_MANY_REQUESTS, ErrorCode::TooManyRequests)
            }
            Self::TagWriteOnce { .. } => (StatusCode::CONFLICT, ErrorCode::Denied),
            // RFC 9110 §13.1.1, §13.1.2; a stale read breaks a condition that the client only
            // implied.
            Self::PreconditionFailed { .. } | Self::TagReadStale { .. } => {
                (StatusCode::PRECONDITION_FAILED, ErrorCode::PreconditionFailed)
            }
            Self::PutInPart { source, .. } => return source.response(),
            Self::UpstreamLied(_)
            | Self::UpstreamFailed { .. }
            | Self::UpstreamAstray { .. }
            | Self::LoginFailed { .. }
            | Self::NotLocked { .. } => (StatusCode::BAD_GATEWAY, ErrorCode::Unknown),
            Self::NoRandomness(_) => (StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Unknown),
            Self::Store(fault) => (status_of_store(fault), ErrorCode::Unknown),
        };
        ErrorResponse { status, code }
    }

    /// The sentence in the body. Internal failures reveal no detail.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Store(fault) if fault.full => "the registry has no space left".to_owned(),
            Self::Store(_) | Self::NoRandomness(_) => {
                "the registry failed; its log has the cause".to_owned()
            }
            Self::UpstreamFailed { operation, .. } | Self::UpstreamAstray { operation, .. } => {
                format!("the upstream failed while {operation}; the log of the proxy has the cause")
            }
            Self::NotLocked { repo, reference, .. } => {
                format!("{reference} of {repo} was pushed, but not locked; push it again")
            }
            Self::LoginFailed { .. } => {
                "the proxy has no login for the upstream; the log of the proxy has the cause"
                    .to_owned()
            }
            _ => self.to_string(),
        }
    }
}

/// The status for an upstream's failure: 500 and the like become 502, because this proxy is not
/// broken, and 503 becomes 429, because the failure passes.
fn bypassed(status: StatusCode) -> StatusCode {
    match status.as_u16() {
        503 => StatusCode::TOO_MANY_REQUESTS,
        500..=599 => StatusCode::BAD_GATEWAY,
        _ => status,
    }
}

const fn status_of_store(fault: &StoreFault) -> StatusCode {
    if fault.full { StatusCode::INSUFFICIENT_STORAGE } else { StatusCode::INTERNAL_SERVER_ERROR }
}

fn status_of_parse(error: &ParseError) -> (StatusCode, ErrorCode) {
    match error {
        ParseError::Reference { fault, .. } => status_of_parse(fault),
        ParseError::Digest { .. } => (StatusCode::BAD_REQUEST, ErrorCode::DigestInvalid),
        ParseError::RepoName { .. } => (StatusCode::BAD_REQUEST, ErrorCode::NameInvalid),
        ParseError::Tag { .. } | ParseError::MediaType { .. } | ParseError::Manifest { .. } => {
            (StatusCode::BAD_REQUEST, ErrorCode::ManifestInvalid)
        }
        ParseError::ManifestTooLarge { .. } => {
            (StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::ManifestInvalid)
        }
        ParseError::Range { .. } => (StatusCode::BAD_REQUEST, ErrorCode::BlobUploadInvalid),
        ParseError::UploadId { .. } => (StatusCode::NOT_FOUND, ErrorCode::BlobUploadUnknown),
        // The lower crate's enum may grow; an error without a line here is a bad request.
        ParseError::Path { .. } => (StatusCode::NOT_FOUND, ErrorCode::Unsupported),
        _ => (StatusCode::BAD_REQUEST, ErrorCode::Unsupported),
    }
}
