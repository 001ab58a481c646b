//! What follows from an error here: who is to blame, what may be done in spite of it, what is certain.
//! Nothing of that is seen by clients.
//!
//! Invariant: blame has no wildcard, so that no new error is forgotten.

use super::{Error, MemoryOwner};

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

impl Error {
    /// Whose fault it is.
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

    /// After how many seconds it may have passed, where that is known.
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
            Self::UpstreamDenied { .. } | Self::ManifestBlobUnknown { .. } => true,
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

    /// Whether somebody's share of the memory was taken, which says nothing of anybody else.
    #[must_use]
    pub(crate) const fn is_about_a_share(&self) -> bool {
        matches!(self, Self::TooManyBytes(MemoryOwner::Party | MemoryOwner::Connection))
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
            | Self::TooMany(_)
            | Self::TooManyBytes(_) => true,
            Self::UpstreamRefused { status, .. } => status.as_u16() >= 500,
            _ => false,
        }
    }
}
