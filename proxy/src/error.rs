//! What can go wrong in a request, and the one table that says what the client sees of it.
//!
//! Invariant: an answer of 500 and above never carries the cause, which may hold paths or addresses;
//! the cause is logged once, with the request id.

use std::fmt;

use http::StatusCode;
use wharf_oci::{Digest, ErrorCode, Mismatch, ParseError, RepoName, Tag};
use wharf_store::StoreError;

/// Why a request failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A word of the request is malformed.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The resource exists, but not with this method.
    #[error("this method is not supported here")]
    MethodNotAllowed,
    /// A required parameter is missing or doubled.
    #[error("{0}")]
    Parameter(&'static str),
    /// No upstream serves this name.
    #[error("no upstream is configured for {0}")]
    NameUnserved(RepoName),
    /// No upstream serves this namespace (`?ns=`).
    #[error("no upstream is configured for the namespace {0}")]
    NamespaceUnserved(String),
    /// The repository is not known.
    #[error("repository {0} is not known")]
    NameUnknown(RepoName),
    /// The blob is not in this repository.
    #[error("blob {digest} is not in {repo}")]
    BlobUnknown {
        /// Where it was looked for.
        repo: RepoName,
        /// Which.
        digest: Digest,
    },
    /// The manifest is not in this repository.
    #[error("manifest {reference} is not in {repo}")]
    ManifestUnknown {
        /// Where it was looked for.
        repo: RepoName,
        /// Tag or digest.
        reference: String,
    },
    /// A manifest names content that is not in the repository.
    #[error("the manifest names content that is not in {repo}: {}", list(missing))]
    ManifestBlobUnknown {
        /// Where it was looked for.
        repo: RepoName,
        /// What is missing.
        missing: Vec<Digest>,
    },
    /// A write-once tag shall become something else, or go, or lose its manifest.
    #[error(
        "the tag {repo}:{tag} is write-once and points to {there}; to change it once: \
         wharfd tags allow {repo}:{tag} --reason TEXT"
    )]
    TagWriteOnce {
        /// Of which repository.
        repo: RepoName,
        /// Which tag.
        tag: Tag,
        /// What it is.
        there: Digest,
    },
    /// The upstream cannot say whether a change of a write-once tag is one.
    #[error(
        "the upstream cannot say what {reference} of {repo} is, so no write-once tag is changed"
    )]
    TagUndecided {
        /// Of which repository.
        repo: RepoName,
        /// Which tag, or the manifest that shall be deleted.
        reference: String,
        /// When it may be worth another try.
        retry_after_seconds: u64,
    },
    /// A push arrived, and could not be locked.
    #[error("{reference} of {repo} was pushed, but not locked: {reason}; push again")]
    NotLocked {
        /// Of which repository.
        repo: RepoName,
        /// Tag or digest.
        reference: String,
        /// Why.
        reason: String,
    },
    /// A manifest was put under some of its names.
    #[error("pushed as {done}, but not as {failed}: {}", source.message())]
    PutInPart {
        /// The names that it has now.
        done: String,
        /// The first that it has not.
        failed: String,
        /// Why.
        source: Box<Error>,
    },
    /// Who asks has to say who they are.
    #[error("a login is needed")]
    LoginNeeded {
        /// For what, as clients ask for tokens; perhaps nothing in particular.
        scope: String,
    },
    /// The token that was shown does not allow this.
    #[error("the token that was shown does not allow this")]
    ScopeNeeded {
        /// What would.
        scope: String,
    },
    /// The credentials that were shown are wrong.
    #[error("the login was refused")]
    LoginRefused,
    /// Who asks may not do this, whether it exists or not.
    #[error("this login does not allow that")]
    Denied,
    /// Too many logins failed.
    #[error("too many logins failed; try again in {retry_after_seconds} s")]
    TooManyLogins {
        /// When.
        retry_after_seconds: u64,
    },
    /// The upload session does not exist, or no longer.
    #[error("this upload session is not known; start again with POST")]
    UploadUnknown,
    /// Another request is writing to the session.
    #[error("another request is writing to this upload session")]
    UploadBusy,
    /// A chunk that does not start where the upload ends.
    #[error("the upload has {offset} bytes, so the next chunk must start there")]
    ChunkOutOfOrder {
        /// How many bytes the upload has.
        offset: u64,
        /// Where to go on.
        location: String,
    },
    /// A chunk had more or fewer bytes than its header said.
    #[error("the chunk has {actual} bytes, its header says {declared}")]
    ChunkSize {
        /// What `Content-Range` says.
        declared: u64,
        /// What came.
        actual: u64,
    },
    /// The body ended before its end, or is malformed.
    #[error("the body of the request broke off")]
    BodyBroken,
    /// The server stops before the request is over; an upload rests until it is back.
    #[error("the registry is stopping; try again when it is back, an upload goes on where it was")]
    Stopping,
    /// A blob larger than any registry takes.
    #[error("the blob is larger than {limit_bytes} bytes")]
    BlobTooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// No byte of the range exists.
    #[error("the blob has {size_bytes} bytes; the range is outside")]
    RangeUnsatisfiable {
        /// How many it has.
        size_bytes: u64,
    },
    /// What the client sent is not what it said.
    #[error("the content does not match its digest: {0}")]
    DigestMismatch(Mismatch),
    /// What the upstream sent is not what was asked for.
    #[error("the upstream sent wrong content: {0}")]
    UpstreamLied(Mismatch),
    /// The upstream refused, in its own words.
    #[error("the upstream answered {status}: {message}")]
    UpstreamRefused {
        /// Its status.
        status: StatusCode,
        /// Its code, when it is one of the specification.
        code: ErrorCode,
        /// Its message.
        message: String,
    },
    /// The upstream wants credentials that we do not have, or does not accept ours.
    #[error("the upstream refused the credentials that it was shown ({status})")]
    UpstreamDenied {
        /// 401 or 403.
        status: StatusCode,
    },
    /// The upstream decides who may do what, and cannot be asked.
    #[error("the upstream cannot say who may do this; try again in {retry_after_seconds} s")]
    AccessUndecided {
        /// When.
        retry_after_seconds: u64,
    },
    /// A redirect or a Location of the upstream's leads where it may not.
    #[error("the upstream leads astray while {operation}: {reason}")]
    UpstreamAstray {
        /// What was tried.
        operation: &'static str,
        /// Where to, and why not.
        reason: String,
    },
    /// There are no credentials to show: a credential helper or an identity gives none.
    #[error("no login for the upstream: {reason}")]
    LoginFailed {
        /// Why; never a part of a secret.
        reason: String,
    },
    /// The upstream asks for patience.
    #[error("the upstream has too many requests; try again in {retry_after_seconds} s")]
    UpstreamBusy {
        /// What it asked for.
        retry_after_seconds: u64,
    },
    /// The upstream was down a moment ago and is left alone for a while.
    #[error("the upstream is down; it is asked again in {retry_after_seconds} s")]
    UpstreamDown {
        /// When.
        retry_after_seconds: u64,
    },
    /// The upstream cannot be reached, or breaks off, or makes no sense.
    #[error("the upstream failed while {operation}: {reason}")]
    UpstreamFailed {
        /// What was tried.
        operation: &'static str,
        /// What happened.
        reason: String,
    },
    /// A manifest names blobs that are here, and not at the upstream yet.
    #[error(
        "{blobs} blobs of this manifest are not at the upstream yet: {reason}; they are still being \
         delivered, so push the manifest again in {retry_after_seconds} s"
    )]
    Undelivered {
        /// How many.
        blobs: usize,
        /// What keeps them, as far as clients may know.
        reason: String,
        /// When it is worth another try.
        retry_after_seconds: u64,
    },
    /// Too much waits for upstreams.
    #[error("blobs of {limit_bytes} bytes wait for their upstream; try again when it took some")]
    PendingFull {
        /// The limit.
        limit_bytes: u64,
    },
    /// The path of a request is too long.
    #[error("the path of a request may have {limit_bytes} bytes")]
    UrlTooLong {
        /// The limit.
        limit_bytes: usize,
    },
    /// A request has too many header lines.
    #[error("a request may have {limit} headers")]
    TooManyHeaders {
        /// The limit.
        limit: usize,
    },
    /// Two readers could understand the head of a request differently.
    #[error("{0}")]
    HeadMalformed(&'static str),
    /// A client sends its body too slowly.
    #[error("the body of the request came too slowly")]
    BodyTooSlow,
    /// More requests than one caller, or one address, may make.
    #[error("too many requests; try again in {retry_after_seconds} s")]
    TooOften {
        /// When there is one again.
        retry_after_seconds: u64,
    },
    /// A bound of `limits.rs` is reached.
    #[error("too many {0} at once")]
    TooMany(&'static str),
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(StoreFault),
}

/// A store error as every waiter of one download gets it: its kind and its words.
#[derive(Debug, Clone)]
pub struct StoreFault {
    /// Whether the disk is full.
    pub full: bool,
    text: String,
}

impl fmt::Display for StoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let full = matches!(error, StoreError::Full { .. });
        Self::Store(StoreFault { full, text: chain(&error) })
    }
}

/// An error with all of its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Whose fault an error is: decides how it is logged and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request was wrong, or asked for what is not there.
    Client,
    /// The upstream.
    Upstream,
    /// The store.
    Store,
    /// A bound was reached.
    Load,
}

/// What the client sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// The status.
    pub status: StatusCode,
    /// The code in the body.
    pub code: ErrorCode,
}

impl Error {
    /// The table: every error with its status and code. No wildcard, so that no case is forgotten.
    #[must_use]
    pub fn shown(&self) -> Shown {
        let (status, code) = match self {
            Self::Parse(error) => shown_parse(error),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, ErrorCode::Unsupported),
            Self::Parameter(_) | Self::HeadMalformed(_) => {
                (StatusCode::BAD_REQUEST, ErrorCode::Unsupported)
            }
            Self::NameUnserved(_) | Self::NamespaceUnserved(_) | Self::NameUnknown(_) => {
                (StatusCode::NOT_FOUND, ErrorCode::NameUnknown)
            }
            Self::BlobUnknown { .. } => (StatusCode::NOT_FOUND, ErrorCode::BlobUnknown),
            Self::ManifestUnknown { .. } => (StatusCode::NOT_FOUND, ErrorCode::ManifestUnknown),
            Self::ManifestBlobUnknown { .. } => {
                (StatusCode::NOT_FOUND, ErrorCode::ManifestBlobUnknown)
            }
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
            // What is broken behind is not broken here: 500 and its like become 502.
            Self::UpstreamRefused { status, code, .. } => match status.as_u16() {
                503 => (StatusCode::SERVICE_UNAVAILABLE, *code),
                500..=599 => (StatusCode::BAD_GATEWAY, *code),
                _ => (*status, *code),
            },
            Self::UpstreamDown { .. }
            | Self::Undelivered { .. }
            | Self::TagUndecided { .. }
            | Self::AccessUndecided { .. }
            | Self::Stopping => (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unknown),
            Self::PendingFull { .. } => (StatusCode::INSUFFICIENT_STORAGE, ErrorCode::Unknown),
            Self::LoginNeeded { .. } | Self::ScopeNeeded { .. } | Self::LoginRefused => {
                (StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized)
            }
            // Never 401: the client has no credentials that would help.
            Self::UpstreamDenied { .. } | Self::Denied => {
                (StatusCode::FORBIDDEN, ErrorCode::Denied)
            }
            Self::UpstreamBusy { .. }
            | Self::TooMany(_)
            | Self::TooOften { .. }
            | Self::TooManyLogins { .. } => {
                (StatusCode::TOO_MANY_REQUESTS, ErrorCode::TooManyRequests)
            }
            Self::TagWriteOnce { .. } => (StatusCode::CONFLICT, ErrorCode::Denied),
            Self::PutInPart { source, .. } => return source.shown(),
            Self::UpstreamLied(_)
            | Self::UpstreamFailed { .. }
            | Self::UpstreamAstray { .. }
            | Self::LoginFailed { .. }
            | Self::NotLocked { .. } => (StatusCode::BAD_GATEWAY, ErrorCode::Unknown),
            Self::Store(fault) if fault.full => {
                (StatusCode::INSUFFICIENT_STORAGE, ErrorCode::Unknown)
            }
            Self::Store(_) => (StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Unknown),
        };
        Shown { status, code }
    }

    /// The sentence in the body. Of our own failures only that they are ours.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Store(fault) if fault.full => "the registry has no space left".to_owned(),
            Self::Store(_) => "the registry failed; its log has the cause".to_owned(),
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

    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::UpstreamLied(_)
            | Self::UpstreamRefused { .. }
            | Self::UpstreamDenied { .. }
            | Self::UpstreamBusy { .. }
            | Self::UpstreamDown { .. }
            | Self::UpstreamFailed { .. }
            | Self::UpstreamAstray { .. }
            | Self::AccessUndecided { .. }
            | Self::Undelivered { .. }
            | Self::LoginFailed { .. }
            | Self::TagUndecided { .. }
            | Self::NotLocked { .. } => Fault::Upstream,
            Self::PutInPart { source, .. } => source.fault(),
            Self::TooMany(_)
            | Self::TooOften { .. }
            | Self::TooManyLogins { .. }
            | Self::PendingFull { .. }
            | Self::Stopping => Fault::Load,
            Self::Store(_) => Fault::Store,
            Self::Parse(_)
            | Self::MethodNotAllowed
            | Self::Parameter(_)
            | Self::NameUnserved(_)
            | Self::NamespaceUnserved(_)
            | Self::NameUnknown(_)
            | Self::BlobUnknown { .. }
            | Self::ManifestUnknown { .. }
            | Self::ManifestBlobUnknown { .. }
            | Self::TagWriteOnce { .. }
            | Self::LoginNeeded { .. }
            | Self::ScopeNeeded { .. }
            | Self::LoginRefused
            | Self::Denied
            | Self::UploadUnknown
            | Self::UploadBusy
            | Self::ChunkOutOfOrder { .. }
            | Self::ChunkSize { .. }
            | Self::UrlTooLong { .. }
            | Self::TooManyHeaders { .. }
            | Self::HeadMalformed(_)
            | Self::BodyTooSlow
            | Self::BodyBroken
            | Self::BlobTooLarge { .. }
            | Self::RangeUnsatisfiable { .. }
            | Self::DigestMismatch(_) => Fault::Client,
        }
    }

    /// Whether the request was turned away only because of what was known before it came, or by the
    /// end of this server.
    #[must_use]
    pub const fn is_held_back(&self) -> bool {
        matches!(
            self,
            Self::UpstreamBusy { .. }
                | Self::UpstreamDown { .. }
                | Self::AccessUndecided { .. }
                | Self::TooMany(_)
                | Self::TooOften { .. }
                | Self::TooManyLogins { .. }
                | Self::Stopping
        )
    }

    /// Whether nothing more is read from a client after this: what follows may not be what it seems, or
    /// comes too slowly.
    #[must_use]
    pub const fn ends_connection(&self) -> bool {
        matches!(
            self,
            Self::HeadMalformed(_)
                | Self::BodyBroken
                | Self::BodyTooSlow
                | Self::UrlTooLong { .. }
                | Self::TooManyHeaders { .. }
        )
    }

    /// Whether it is certain that a change was not made: the upstream refused it, or was not asked.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::UpstreamRefused { status, .. } => status.is_client_error(),
            Self::UpstreamDenied { .. } => true,
            _ => self.is_held_back(),
        }
    }

    /// Whether it is due to the login that the upstream was shown: somebody else may fare better.
    #[must_use]
    pub(crate) const fn is_about_login(&self) -> bool {
        matches!(
            self,
            Self::UpstreamDenied { .. } | Self::LoginFailed { .. } | Self::UpstreamBusy { .. }
        )
    }

    /// Whether content that is already here may be served instead: the upstream could not answer.
    /// What it did answer (401, 403, 404) is believed.
    #[must_use]
    pub const fn is_outage(&self) -> bool {
        match self {
            Self::UpstreamBusy { .. }
            | Self::UpstreamDown { .. }
            | Self::UpstreamFailed { .. }
            | Self::UpstreamAstray { .. }
            | Self::LoginFailed { .. }
            | Self::TooMany(_) => true,
            Self::UpstreamRefused { status, .. } => status.as_u16() >= 500,
            _ => false,
        }
    }
}

const fn shown_parse(error: &ParseError) -> (StatusCode, ErrorCode) {
    match error {
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
        // The enum is open to new words of the lower crate; what has no line here is a bad request.
        ParseError::Path { .. } => (StatusCode::NOT_FOUND, ErrorCode::Unsupported),
        _ => (StatusCode::BAD_REQUEST, ErrorCode::Unsupported),
    }
}

fn list(digests: &[Digest]) -> String {
    digests.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
