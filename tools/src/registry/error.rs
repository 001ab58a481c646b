//! What can go wrong between us and a registry. Each error names the request or the name it is
//! about; none ever holds a credential or a token.

use std::time::Duration;

use http::{Method, StatusCode};
use wharf_oci::{Digest, ParseError};

/// Why a registry did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The answer is a refusal that asking again will not change.
    #[error("{method} {url} was answered with {status}{}", said(.message))]
    Refused {
        method: Method,
        /// Its address, without a query.
        url: String,
        status: StatusCode,
        /// What the body said, shortened; empty when it said nothing.
        message: String,
    },
    /// No credentials, or wrong ones, or not enough rights.
    #[error("{registry} did not accept the credentials for {scope}{}", said(.message))]
    Unauthorized {
        registry: String,
        scope: String,
        /// What the body said, shortened.
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
        /// What the connection said, with its causes.
        reason: String,
    },
    /// Nobody there speaks to us: asking again will not change that.
    #[error("cannot reach {url}: {reason}; {advice}")]
    Unreachable {
        /// The address, without a query.
        url: String,
        /// What the connection said, with its causes.
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
    /// A manifest that cannot be used.
    #[error("the manifest {url} cannot be used")]
    Manifest { url: String, source: ParseError },
    /// Content that is not what its digest says.
    #[error("{url} sent other content than {expected}: {reason}")]
    Content { url: String, expected: Digest, reason: String },
    /// What has to be sent cannot be read.
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
            Self::Refused { status, .. } => super::retry::is_transient(*status),
            Self::Unauthorized { .. }
            | Self::Unreachable { .. }
            | Self::Exhausted { .. }
            | Self::Protocol { .. }
            | Self::Manifest { .. }
            | Self::Content { .. }
            | Self::Source { .. }
            | Self::Tls { .. } => false,
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
