//! Single flights of the proxy: downloads, manifests, logins, each with its bound and its span.

use tracing::Span;
use wharf_client::MemoryOwner;
use wharf_client::runtime::single_flight;
use wharf_client::runtime::single_flight::{FlightError, FlightKind};

use crate::Error;
use crate::bound::Bound;
use crate::runtime::spans;

pub(crate) use wharf_client::runtime::single_flight::{FlightAnswer, OnBehalfOf};

pub(crate) type SingleFlight<K, V> = single_flight::SingleFlight<K, V, Bound>;
pub(crate) type Leader<K, V> = single_flight::Leader<K, V, Error>;

impl FlightKind for Bound {
    type Error = Error;

    fn too_many(self) -> Error {
        Error::TooMany(self)
    }

    fn span(self) -> Span {
        spans::detached(self.span_name())
    }
}

impl FlightError for Error {
    fn no_answer() -> Self {
        Self::UpstreamFailed {
            operation: "waiting for another request",
            reason: "it ended without an answer".to_owned(),
        }
    }

    fn is_about_login(&self) -> bool {
        matches!(
            self,
            Self::UpstreamDenied { .. } | Self::LoginFailed { .. } | Self::UpstreamBusy { .. }
        )
    }

    fn is_about_a_share(&self) -> bool {
        matches!(self, Self::TooManyBytes(MemoryOwner::Party | MemoryOwner::Connection))
    }
}
