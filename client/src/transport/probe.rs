//! The probe for whether a registry is up, independent of paths and rights: `GET /v2/`, with the
//! program's own login, because a gateway answers anonymous requests with a challenge whether or not
//! its registry is up. `breaker.rs` raises the suspicion and draws the conclusion.
//!
//! Invariant: the probe keeps the pauses of `Retry-After`, as every request does.

use std::time::Duration;

use http::Method;

use super::{RegistryRequest, RetryEffort, Transport};
use crate::ClientError;
use crate::breaker::{BreakerAnswer, FailedTry, FailureKind, TryPermit};
use crate::concurrency::RequestClass;
use crate::limits::{PROBE_TIMEOUT, RETRY_AFTER_SECONDS};
use crate::retry;
use crate::runtime::party::Party;
use crate::scope::Scope;

const PROBING: &str = "probing an upstream";

/// The kind of a failed try, if the failure says anything about the registry.
pub(super) fn failure(error: &ClientError) -> Option<FailureKind> {
    match error {
        ClientError::Failed { .. } => Some(FailureKind::Unanswered),
        ClientError::Refused { status, .. } => retry::is_down(*status),
        // A failed login says nothing about the registry's health, and neither does a forbidden
        // redirect.
        _ => None,
    }
}

impl Transport {
    /// Counts a failure; after several in a row, sends the probe.
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

    /// Permission for a try, or an error while the registry is down. When a recovery check is due,
    /// the probe runs first, never a client's request: that could hang for reasons of its own.
    pub(super) async fn leave(&self) -> Result<TryPermit<'_>, ClientError> {
        let down = || ClientError::Down { retry_after_seconds: RETRY_AFTER_SECONDS };
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

    /// The same check for requests apart from the shared state: their results count for nothing.
    pub(super) async fn look_whether_back(&self) -> Result<(), ClientError> {
        self.leave().await.map(drop)
    }

    /// Whether the registry answers; `None` when the probe may not be sent.
    async fn is_there(&self) -> Option<bool> {
        let _pass =
            self.quota().enter(RequestClass::Read, Duration::ZERO, &Party::Ourselves).await.ok()?;
        Some(self.answers_a_probe().await)
    }

    /// Any status below 500 means that it does. A caller's login proves nothing about the registry,
    /// so the probe sends none.
    async fn answers_a_probe(&self) -> bool {
        let mut ask = RegistryRequest::new(Method::GET, self.url("/v2/"), Scope::nothing());
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
