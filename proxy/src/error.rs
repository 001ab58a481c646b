//! The errors of a request. The client's view of an error is in `error/response.rs`, and the proxy's
//! reaction in `error/fault.rs`.
//!
//! Invariant: an error names the operation and its key.

mod fault;
mod of_client;
mod response;

use std::fmt;

use http::StatusCode;
use wharf_client::{MemoryOwner, chain};
use wharf_oci::{Digest, ErrorCode, Mismatch, ParseError, RepoName, Tag};
use wharf_store::StoreError;

use crate::bound::Bound;

pub use fault::Fault;
pub use response::ErrorResponse;

/// Why a request failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A part of the request is malformed.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// No repository can have the name in the path.
    #[error(transparent)]
    NameImpossible(ParseError),
    /// No manifest can have the name in the path.
    #[error(
        "no manifest of {0} can have such a name: a tag has at most 128 letters, digits, `_`, `.` and \
         `-`, and does not begin with `.` or `-`; a digest is `sha256:` and 64, or `sha512:` and 128 \
         lowercase hexadecimal digits"
    )]
    ReferenceImpossible(RepoName),
    /// The resource exists, but not with this method.
    #[error("this method is not supported here; these are: {allowed}")]
    MethodNotAllowed {
        /// The supported methods, as `Allow` lists them.
        allowed: &'static str,
    },
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
        /// The digest.
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
    /// The upstream has no referrers API, so there is none through here.
    #[error(
        "the upstream of {0} has no referrers API; referrers are in the tag sha256-HEX of their subject, as \
         at the upstream itself"
    )]
    ReferrersUnsupported(RepoName),
    /// A manifest names content that is not in the repository.
    #[error("the manifest names content that is not in {repo}: {}", list(missing))]
    ManifestBlobUnknown {
        /// Where it was looked for.
        repo: RepoName,
        /// The missing digests.
        missing: Vec<Digest>,
    },
    /// A name does not fulfil the request's precondition.
    #[error(
        "{reference} of {repo} {}, which is not what this request is made for; read it again",
        now(there.as_ref())
    )]
    PreconditionFailed {
        /// The repository.
        repo: RepoName,
        /// Tag or digest.
        reference: String,
        /// The current digest.
        there: Option<Digest>,
    },
    /// A request would change or delete a write-once tag, or delete its manifest.
    #[error(
        "the tag {repo}:{tag} is write-once and points to {there}; to change it once: \
         wharfd tags allow {repo}:{tag} --reason TEXT"
    )]
    TagWriteOnce {
        /// The repository.
        repo: RepoName,
        /// The tag.
        tag: Tag,
        /// The tag's digest.
        there: Digest,
    },
    /// The upstream cannot say whether a change of a write-once tag is one.
    #[error(
        "the upstream cannot say what {reference} of {repo} is, so no write-once tag is changed"
    )]
    TagUndecided {
        /// The repository.
        repo: RepoName,
        /// The tag, or the manifest to be deleted.
        reference: String,
        /// When it may be worth another try.
        retry_after_seconds: u64,
    },
    /// A client read a tag to write it back, was served an old manifest, and the tag has changed
    /// since.
    #[error(
        "the tag {repo}:{tag} was served from here while the upstream did not answer, and is another \
         one there; read it again, so that nothing that was added to it gets lost"
    )]
    TagReadStale {
        /// The repository.
        repo: RepoName,
        /// The tag.
        tag: Tag,
    },
    /// A push arrived, and could not be locked.
    #[error("{reference} of {repo} was pushed, but not locked: {reason}; push again")]
    NotLocked {
        /// The repository.
        repo: RepoName,
        /// Tag or digest.
        reference: String,
        /// The reason.
        reason: String,
    },
    /// A manifest was put under some of its names.
    #[error("pushed as {done}, but not as {failed}: {}", source.message())]
    PutInPart {
        /// The names that were put.
        done: String,
        /// The first name that was not.
        failed: String,
        /// The cause of the failure.
        source: Box<Error>,
    },
    /// The request needs a login.
    #[error("a login is needed")]
    LoginNeeded {
        /// The scope, as clients ask for tokens; may be empty.
        scope: String,
    },
    /// The request's token does not allow this.
    #[error("the token that was shown does not allow this")]
    ScopeNeeded {
        /// A scope that would.
        scope: String,
    },
    /// The request's credentials are wrong.
    #[error("the login was refused")]
    LoginRefused,
    /// The caller may not do this, whether it exists or not.
    #[error("this login does not allow that")]
    Denied,
    /// A web page of another origin made this request.
    #[error("a web page of another site made this request, which may not be")]
    ForeignPage,
    /// Where no login is needed, a request for a host that is not known to be this server.
    #[error(
        "{0} is not known to be this registry, and nobody has to log in here, so a web page could have \
         led this request here: list the name in `hosts` of [access], or use an address"
    )]
    HostUnlisted(String),
    /// Too many logins failed.
    #[error("too many logins failed; try again in {retry_after_seconds} s")]
    TooManyLogins {
        /// The time of the next try.
        retry_after_seconds: u64,
    },
    /// The upload session does not exist, or no longer.
    #[error("this upload session is not known; start again with POST")]
    UploadUnknown,
    /// Another request is writing to the session.
    #[error("another request is writing to this upload session")]
    UploadBusy,
    /// A chunk that does not start at the end of the upload.
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
        /// The size in `Content-Range`.
        declared: u64,
        /// The received size.
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
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// No byte of the range exists.
    #[error("the blob has {size_bytes} bytes; the range is outside")]
    RangeUnsatisfiable {
        /// How many it has.
        size_bytes: u64,
    },
    /// The client's content does not match its digest.
    #[error("the content does not match its digest: {0}")]
    DigestMismatch(Mismatch),
    /// The upstream's content does not match the requested digest.
    #[error("the upstream sent wrong content: {0}")]
    UpstreamLied(Mismatch),
    /// The upstream refused, with its own message.
    #[error("the upstream answered {status}: {message}")]
    UpstreamRefused {
        /// The upstream's status.
        status: StatusCode,
        /// Its code, when it is one of the specification.
        code: ErrorCode,
        /// The upstream's message.
        message: String,
    },
    /// The upstream demands credentials, or refuses ours.
    #[error("the upstream refused the credentials that it was shown ({status})")]
    UpstreamDenied {
        /// 401 or 403.
        status: StatusCode,
    },
    /// The upstream decides about access, and cannot be asked.
    #[error("the upstream cannot say who may do this; try again in {retry_after_seconds} s")]
    AccessUndecided {
        /// The time of the next try.
        retry_after_seconds: u64,
    },
    /// A redirect or a Location of the upstream's leads where it may not.
    #[error("the upstream leads astray while {operation}: {reason}")]
    UpstreamAstray {
        /// The operation.
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
    /// The upstream asks clients to wait.
    #[error("the upstream has too many requests; try again in {retry_after_seconds} s")]
    UpstreamBusy {
        /// Its `Retry-After`.
        retry_after_seconds: u64,
    },
    /// The upstream was down a moment ago and is left alone for a while.
    #[error("the upstream is down; it is asked again in {retry_after_seconds} s")]
    UpstreamDown {
        /// The time of the next try.
        retry_after_seconds: u64,
    },
    /// A request was held for the longest time that its client waits, and no answer came.
    #[error("there is no answer after {held_seconds} s; try again, what was begun goes on")]
    Unanswered {
        /// The time that the request was held.
        held_seconds: u64,
    },
    /// The upstream cannot be reached, or breaks off, or makes no sense.
    #[error("the upstream failed while {operation}: {reason}")]
    UpstreamFailed {
        /// The operation.
        operation: &'static str,
        /// The failure.
        reason: String,
    },
    /// A manifest names blobs that are stored here, and not yet delivered upstream.
    #[error(
        "{blobs} blobs of this manifest are not at the upstream yet: {reason}; they are still being \
         delivered, so push the manifest again in {retry_after_seconds} s"
    )]
    Undelivered {
        /// The number of blobs.
        blobs: usize,
        /// The reason, as far as clients may know it.
        reason: String,
        /// When it is worth another try.
        retry_after_seconds: u64,
    },
    /// Too much waits for upstreams.
    #[error(
        "blobs of {limit_bytes} bytes {whose} wait for their upstream; try again when it took some"
    )]
    PendingFull {
        /// The limit in bytes.
        limit_bytes: u64,
        /// Whether the limit is for all, or for one party.
        whose: &'static str,
    },
    /// The path of a request is too long.
    #[error("the path of a request may have {limit_bytes} bytes")]
    UrlTooLong {
        /// The limit in bytes.
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
    TooMany(Bound),
    /// There is no memory for one more body.
    #[error("{0}")]
    TooManyBytes(MemoryOwner),
    /// The system gives no random numbers, for the reason that it says.
    #[error("the system gives no random numbers: {0}")]
    NoRandomness(String),
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(StoreFault),
}

/// A store error as every waiter of one download gets it: its kind and its message.
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

fn now(there: Option<&Digest>) -> String {
    there.map_or("is not there".to_owned(), |there| format!("is {there}"))
}

fn list(digests: &[Digest]) -> String {
    digests.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
