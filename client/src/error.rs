//! Why a request to a registry failed. What a program makes of it (an HTTP status, an exit code, advice) is
//! the program's own.
//!
//! Invariant: no error holds a part of a secret.

use std::fmt;

use http::StatusCode;
use wharf_oci::ErrorCode;

use crate::memory::{MemoryFull, MemoryOwner};
use crate::runtime::single_flight::FlightError;

/// Why a request to a registry failed. Times are in seconds.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// The registry refused, with its own message.
    #[error("the registry answered {status}: {message}")]
    Refused {
        /// The registry's status.
        status: StatusCode,
        /// Its code, when it is one of the specification.
        code: ErrorCode,
        /// The registry's message.
        message: String,
    },
    /// The registry demands credentials, or refuses ours.
    #[error("the registry refused the credentials that it was shown ({status})")]
    Denied {
        /// 401 or 403.
        status: StatusCode,
    },
    /// A redirect or a Location of the registry's leads where it may not.
    #[error("the registry leads astray while {operation}: {reason}")]
    Astray {
        /// The operation.
        operation: &'static str,
        /// Where to, and why not.
        reason: String,
    },
    /// There are no credentials to show: a credential helper or an identity gives none.
    #[error("no login for the registry: {reason}")]
    LoginFailed {
        /// Why; never a part of a secret.
        reason: String,
    },
    /// The registry asks clients to wait.
    #[error("the registry has too many requests; try again in {retry_after_seconds} s")]
    Busy {
        /// Its `Retry-After`.
        retry_after_seconds: u64,
    },
    /// The registry was down a moment ago and is left alone for a while.
    #[error("the registry is down; it is asked again in {retry_after_seconds} s")]
    Down {
        /// The time of the next try.
        retry_after_seconds: u64,
    },
    /// The registry cannot be reached, or breaks off, or makes no sense.
    #[error("the registry failed while {operation}: {reason}")]
    Failed {
        /// The operation.
        operation: &'static str,
        /// The failure.
        reason: String,
    },
    /// A blob larger than any registry takes.
    #[error("the blob is larger than {limit_bytes} bytes")]
    BlobTooLarge {
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// There is no memory for the answer.
    #[error("{0}")]
    MemoryFull(MemoryOwner),
    /// A bound of `limits.rs` is reached.
    #[error("too many {0} at once")]
    TooMany(ClientBound),
}

/// What there are too many of when a request is turned away before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientBound {
    /// Questions for tokens.
    TokenRequests,
    /// Logins that programs and identities are asked for.
    Logins,
    /// Requests that wait for the registry.
    Requests,
    /// The same of one party.
    PartyRequests,
}

impl fmt::Display for ClientBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TokenRequests => "token requests",
            Self::Logins => "logins",
            Self::Requests => "requests to one registry",
            Self::PartyRequests => "requests of one party to one registry",
        })
    }
}

impl From<MemoryFull> for ClientError {
    fn from(full: MemoryFull) -> Self {
        Self::MemoryFull(full.0)
    }
}

impl ClientError {
    /// Whether the registry could not answer; a definite answer (401, 403, 404) is none of these.
    #[must_use]
    pub const fn is_outage(&self) -> bool {
        match self {
            Self::Busy { .. }
            | Self::Down { .. }
            | Self::Failed { .. }
            | Self::Astray { .. }
            | Self::LoginFailed { .. }
            | Self::TooMany(_)
            | Self::MemoryFull(_) => true,
            Self::Refused { status, .. } => status.as_u16() >= 500,
            Self::Denied { .. } | Self::BlobTooLarge { .. } => false,
        }
    }
}

impl FlightError for ClientError {
    fn no_answer() -> Self {
        failed("waiting for another request", "it ended without an answer")
    }

    fn is_about_login(&self) -> bool {
        matches!(self, Self::Denied { .. } | Self::LoginFailed { .. } | Self::Busy { .. })
    }

    fn is_about_a_share(&self) -> bool {
        matches!(self, Self::MemoryFull(MemoryOwner::Party | MemoryOwner::Connection))
    }
}

pub(crate) fn failed(operation: &'static str, reason: impl fmt::Display) -> ClientError {
    ClientError::Failed { operation, reason: reason.to_string() }
}

/// A missing resource is an answer, not an error.
pub(crate) fn absent<T>(error: ClientError) -> Result<Option<T>, ClientError> {
    match &error {
        ClientError::Refused { status: StatusCode::NOT_FOUND, .. } => Ok(None),
        _ => Err(error),
    }
}

/// An error with all of its causes, in one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
