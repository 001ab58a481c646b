//! Whether an upstream is there at all, asked where no path and no right to a repository matters: `GET /v2/`,
//! with the login that this proxy has, because gateways tell strangers to log in whatever is behind them. What is
//! suspected and what follows is in `breaker.rs`.
//!
//! Invariant: the probe keeps the pauses that the upstream asked for, as every request does.

use std::time::Duration;

use http::Method;

use super::{RetryEffort, Transport, UpstreamRequest};
use crate::Error;
use crate::client::breaker::{BreakerAnswer, FailedTry, FailureKind, TryPermit};
use crate::client::concurrency::RequestClass;
use crate::client::retry;
use crate::client::scope::Scope;
use crate::limits::{PROBE_TIMEOUT, RETRY_AFTER_SECONDS};
use crate::runtime::party::Party;

const PROBING: &str = "probing an upstream";

/// How a try failed, if it says anything of the upstream.
pub(super) fn failure(error: &Error) -> Option<FailureKind> {
    match error {
        Error::UpstreamFailed { .. } => Some(FailureKind::Unanswered),
        Error::UpstreamRefused { status, .. } => retry::is_down(*status),
        // Trouble of a login says nothing of the registry, and neither does where it leads.
        _ => None,
    }
}

impl Transport {
    /// Counts a failure; when it is one of a row, asks whether the upstream is there.
    pub(super) async fn doubt(&self, leave: TryPermit<'_>, failure: &FailedTry<'_>) {
        let Some(suspicion) = leave.failed(failure) else { return };
        let is_left_alone = match self.is_there().await {
            Some(true) => suspicion.refuted(),
            Some(false) => suspicion.confirmed(),
            None => false,
        };
        if is_left_alone {
            tracing::warn!(upstream = &*self.address, "down; left alone for a while");
        }
    }

    /// Leave to ask, or an error while the upstream is down. When it is time to see whether it is back,
    /// that is asked first, and never by what somebody wants: it could hang for itself.
    pub(super) async fn leave(&self) -> Result<TryPermit<'_>, Error> {
        let down = || Error::UpstreamDown { retry_after_seconds: RETRY_AFTER_SECONDS };
        let trial = match self.breaker().admit(&self.party)? {
            BreakerAnswer::Try(leave) => return Ok(leave),
            BreakerAnswer::Probe(trial) => trial,
        };
        if !self.answers_a_probe().await {
            trial.failed();
            return Err(down());
        }
        trial.answered();
        match self.breaker().admit(&self.party)? {
            BreakerAnswer::Try(leave) => Ok(leave),
            BreakerAnswer::Probe(_) => Err(down()),
        }
    }

    /// For whoever asks beside everybody else: the same, and nothing that comes of it counts.
    pub(super) async fn look_whether_back(&self) -> Result<(), Error> {
        self.leave().await.map(drop)
    }

    /// Whether it is there; `None` when it may not be asked.
    async fn is_there(&self) -> Option<bool> {
        let _pass =
            self.quota().enter(RequestClass::Read, Duration::ZERO, &Party::Ourselves).await.ok()?;
        Some(self.answers_a_probe().await)
    }

    /// Any answer below 500 says that it does. What comes of a caller's login says nothing of the upstream,
    /// and none is shown.
    async fn answers_a_probe(&self) -> bool {
        let mut ask = UpstreamRequest::new(Method::GET, self.url("/v2/"), Scope::nothing());
        ask.effort = RetryEffort::Brief;
        let asking = async {
            if self.is_aside || self.is_of_caller() {
                self.once(&ask, None, PROBING).await
            } else {
                self.authorized(&ask, PROBING).await
            }
        };
        match tokio::time::timeout(PROBE_TIMEOUT, asking).await {
            Ok(Ok(response)) => !response.status().is_server_error(),
            Ok(Err(error)) => failure(&error).is_none(),
            Err(_) => false,
        }
    }
}
