//! The client's errors as this proxy's: a registry there is an upstream here.

use wharf_client::{ClientBound, ClientError, MalformedCondition, MemoryFull};

use super::Error;
use crate::bound::Bound;

impl From<ClientError> for Error {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused { status, code, message } => {
                Self::UpstreamRefused { status, code, message }
            }
            ClientError::Denied { status } => Self::UpstreamDenied { status },
            ClientError::Astray { operation, reason } => Self::UpstreamAstray { operation, reason },
            ClientError::LoginFailed { reason } => Self::LoginFailed { reason },
            ClientError::Busy { retry_after_seconds } => Self::UpstreamBusy { retry_after_seconds },
            ClientError::Down { retry_after_seconds } => Self::UpstreamDown { retry_after_seconds },
            ClientError::Failed { operation, reason } => Self::UpstreamFailed { operation, reason },
            ClientError::BlobTooLarge { limit_bytes } => Self::BlobTooLarge { limit_bytes },
            ClientError::MemoryFull(owner) => Self::TooManyBytes(owner),
            ClientError::TooMany(bound) => Self::TooMany(match bound {
                ClientBound::TokenRequests => Bound::TokenRequests,
                ClientBound::Logins => Bound::UpstreamLogins,
                ClientBound::Requests => Bound::UpstreamRequests,
                ClientBound::PartyRequests => Bound::PartyUpstreamRequests,
            }),
        }
    }
}

impl From<MemoryFull> for Error {
    fn from(full: MemoryFull) -> Self {
        Self::TooManyBytes(full.0)
    }
}

impl From<MalformedCondition> for Error {
    fn from(condition: MalformedCondition) -> Self {
        Self::Parameter(condition.0)
    }
}
