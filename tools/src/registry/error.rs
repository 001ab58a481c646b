//! The errors between us and a registry. Each error names its request or name; none ever holds a
//! credential or a token.

use std::time::Duration;

use http::{Method, StatusCode};
use wharf_oci::{Digest, ParseError};

/// The failure of a request to a registry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The answer is a lasting refusal: a retry will not change it.
    #[error("{method} {url} was answered with {status}{}", said(.message))]
    Refused {
        method: Method,
        /// Its address, without a query.
        url: String,
        status: StatusCode,
        /// The text of the body, shortened; may be empty.
        message: String,
    },
    /// A lock of ACR, or its quarantine, keeps the content as it is.
    #[error("{method} {url} is not allowed, as what is there is locked{}", said(.message))]
    Locked {
        method: Method,
        /// Its address, without a query.
        url: String,
        /// The text of the body, shortened.
        message: String,
    },
    /// No credentials, or wrong ones, or not enough rights.
    #[error("{registry} did not accept the credentials for {scope}{}", said(.message))]
    Unauthorized {
        registry: String,
        scope: String,
        /// The text of the body, shortened.
        message: String,
    },
    /// The retries are used up.
    #[error("{method} {url} failed {attempts} times, last: {last}")]
    Exhausted {
        method: Method,
        /// Its address, without a query.
        url: String,
        /// How often it was tried.
        attempts: u32,
        /// The last failure.
        last: String,
    },
    /// No connection, or it broke.
    #[error("{method} {url} failed: {reason}")]
    Network {
        method: Method,
        /// Its address, without a query.
        url: String,
        /// The connection's error, with its causes.
        reason: String,
    },
    /// No registry answers at the address; a retry will not change it.
    #[error("cannot reach {url}: {reason}; {advice}")]
    Unreachable {
        /// The address, without a query.
        url: String,
        /// The connection's error, with its causes.
        reason: String,
        advice: &'static str,
    },
    /// Nothing moved for too long.
    #[error("{method} {url} made no progress for {} s", .idle.as_secs())]
    Stalled {
        method: Method,
        /// Its address, without a query.
        url: String,
        idle: Duration,
    },
    /// The answer breaks the protocol.
    #[error("{url} answered against the protocol: {reason}")]
    Protocol {
        /// The address, without a query.
        url: String,
        reason: String,
    },
    /// An unusable manifest.
    #[error("the manifest {url} cannot be used")]
    Manifest { url: String, source: ParseError },
    /// Content with another digest.
    #[error("{url} sent other content than {expected}: {reason}")]
    Content { url: String, expected: Digest, reason: String },
    /// The bytes to send cannot be read.
    #[error("the blob {digest} cannot be read")]
    Source { digest: Digest, source: std::io::Error },
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {reason}")]
    Tls { reason: String },
}

impl RegistryError {
    /// Whether other credentials would help.
    #[must_use]
    pub const fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Unauthorized { .. })
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Network { .. } | Self::Stalled { .. } => true,
            Self::Refused { status, .. } => wharf_client::retry::is_temporary(*status),
            Self::Unauthorized { .. }
            | Self::Locked { .. }
            | Self::Unreachable { .. }
            | Self::Exhausted { .. }
            | Self::Protocol { .. }
            | Self::Manifest { .. }
            | Self::Content { .. }
            | Self::Source { .. }
            | Self::Tls { .. } => false,
        }
    }

    /// Whether no registry answers at the address.
    #[must_use]
    pub const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Whether a blob to be read is not there.
    #[must_use]
    pub fn is_missing_blob(&self) -> bool {
        match self {
            Self::Refused { method, url, status, .. } => {
                *method == Method::GET
                    && *status == StatusCode::NOT_FOUND
                    && url.contains("/blobs/")
            }
            _ => false,
        }
    }

    /// The same error for another item that meets it too.
    #[must_use]
    pub fn repeated(&self) -> Self {
        match self {
            Self::Unreachable { url, reason, advice } => {
                Self::Unreachable { url: url.clone(), reason: reason.clone(), advice }
            }
            other => Self::Exhausted {
                method: Method::GET,
                url: String::new(),
                attempts: 1,
                last: other.to_string(),
            },
        }
    }

    /// The status of a refusal.
    #[must_use]
    pub const fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}
