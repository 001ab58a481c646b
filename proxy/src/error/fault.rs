//! The proxy's reaction to an error: whose fault it is, whether cached content may be served,
//! whether a change is known to have failed. Clients see none of this.
//!
//! Invariant: the match for the fault has no wildcard, so that no new error is forgotten.

use super::Error;

/// The side at fault: decides an error's log level and its metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The client: the request was wrong, or its content does not exist.
    Client,
    /// The upstream failed.
    Upstream,
    /// The store failed.
    Store,
    /// A bound was reached.
    Load,
    /// The system that this runs on.
    System,
}

impl Error {
    /// The side at fault.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::UpstreamLied(_)
            | Self::UpstreamRefused { .. }
            | Self::UpstreamDenied { .. }
            | Self::UpstreamBusy { .. }
            | Self::UpstreamDown { .. }
            | Self::Unanswered { .. }
            | Self::UpstreamFailed { .. }
            | Self::UpstreamAstray { .. }
            | Self::AccessUndecided { .. }
            | Self::Undelivered { .. }
            | Self::LoginFailed { .. }
            | Self::TagUndecided { .. }
            | Self::NotLocked { .. } => Fault::Upstream,
            Self::PutInPart { source, .. } => source.fault(),
            Self::TooMany(_)
            | Self::TooManyBytes(_)
            | Self::TooOften { .. }
            | Self::TooManyLogins { .. }
            | Self::PendingFull { .. }
            | Self::Stopping => Fault::Load,
            Self::Store(_) => Fault::Store,
            Self::NoRandomness(_) => Fault::System,
            Self::Parse(_)
            | Self::NameImpossible(_)
            | Self::ReferenceImpossible(_)
            | Self::MethodNotAllowed { .. }
            | Self::Parameter(_)
            | Self::NameUnserved(_)
            | Self::NamespaceUnserved(_)
            | Self::NameUnknown(_)
            | Self::BlobUnknown { .. }
            | Self::ManifestUnknown { .. }
            | Self::ManifestBlobUnknown { .. }
            | Self::ReferrersUnsupported(_)
            | Self::TagWriteOnce { .. }
            | Self::TagReadStale { .. }
            | Self::PreconditionFailed { .. }
            | Self::LoginNeeded { .. }
            | Self::ScopeNeeded { .. }
            | Self::LoginRefused
            | Self::Denied
            | Self::ForeignPage
            | Self::HostUnlisted(_)
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

    /// Whether the request was refused only because of earlier events, or because this server shuts
    /// down.
    #[must_use]
    pub const fn is_held_back(&self) -> bool {
        matches!(
            self,
            Self::UpstreamBusy { .. }
                | Self::UpstreamDown { .. }
                | Self::AccessUndecided { .. }
                | Self::TooMany(_)
                | Self::TooManyBytes(_)
                | Self::TooOften { .. }
                | Self::TooManyLogins { .. }
                | Self::Stopping
        )
    }

    /// Whether it passes by itself: the same request may be answered in a while.
    #[must_use]
    pub fn passes(&self) -> bool {
        match self {
            Self::UpstreamBusy { .. }
            | Self::UpstreamDown { .. }
            | Self::UpstreamFailed { .. }
            | Self::Unanswered { .. }
            | Self::AccessUndecided { .. }
            | Self::Undelivered { .. }
            | Self::TagUndecided { .. }
            | Self::PendingFull { .. }
            | Self::TooMany(_)
            | Self::TooManyBytes(_)
            | Self::TooOften { .. } => true,
            Self::UpstreamRefused { status, .. } => {
                matches!(status.as_u16(), 408 | 429 | 500 | 502..=504)
            }
            Self::PutInPart { source, .. } => source.passes(),
            _ => false,
        }
    }

    /// The seconds until the error may have passed, if known.
    #[must_use]
    pub const fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::UpstreamBusy { retry_after_seconds }
            | Self::UpstreamDown { retry_after_seconds }
            | Self::AccessUndecided { retry_after_seconds }
            | Self::TooManyLogins { retry_after_seconds }
            | Self::Undelivered { retry_after_seconds, .. }
            | Self::TagUndecided { retry_after_seconds, .. }
            | Self::TooOften { retry_after_seconds } => Some(*retry_after_seconds),
            _ => None,
        }
    }

    /// Whether the server stops reading from the client after this error: the following bytes may
    /// be misread, or come too slowly.
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

    /// Whether a change certainly did not happen: the upstream refused it, or never received it.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::UpstreamRefused { status, .. } => status.is_client_error(),
            Self::UpstreamDenied { .. } | Self::ManifestBlobUnknown { .. } => true,
            _ => self.is_held_back(),
        }
    }

    /// Whether stored content may be served instead: the upstream could not answer. A definite
    /// answer (401, 403, 404) stands.
    #[must_use]
    pub const fn is_outage(&self) -> bool {
        match self {
            Self::UpstreamBusy { .. }
            | Self::UpstreamDown { .. }
            | Self::UpstreamFailed { .. }
            | Self::UpstreamAstray { .. }
            | Self::LoginFailed { .. }
            | Self::TooMany(_)
            | Self::TooManyBytes(_) => true,
            Self::UpstreamRefused { status, .. } => status.as_u16() >= 500,
            _ => false,
        }
    }
}
