//! Whether an upstream is there at all, asked where no path and no right to a repository matters: `GET /v2/`,
//! with the login that there is, because gateways tell strangers to log in whatever is behind them. What is
//! suspected and what follows is in `breaker.rs`.
//!
//! Invariant: the probe keeps the pauses that the upstream asked for, as every request does.

use std::time::Duration;

use http::Method;

use super::auth::Scope;
use super::breaker::{Failure, FailureKind, Suspicion, Try};
use super::quota::Class;
use super::retry;
use super::wire::{Ask, Effort, Wire};
use crate::Error;
use crate::limits::{PROBE_TIMEOUT, RETRY_AFTER_SECONDS};
use crate::party::Party;

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

impl Wire {
    /// Counts a failure; when it is one of a row, asks whether the upstream is there.
    pub(super) async fn doubt(&self, leave: Try<'_>, failure: &Failure<'_>) {
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

    /// For whoever asks beside everybody else: an error while the upstream is down. When it is time to see
    /// whether it is back, that is asked first, and for nobody in particular: what comes of a login that
    /// may be a guess says nothing of the upstream.
    pub(super) async fn look_whether_back(&self) -> Result<(), Error> {
        let leave = self.breaker().admit()?;
        if !leave.is_trial() {
            return Ok(());
        }
        let ask = Ask::new(Method::GET, self.url("/v2/"), Scope::nothing());
        let asked = tokio::time::timeout(PROBE_TIMEOUT, self.once(&ask, None, PROBING)).await;
        if matches!(asked, Ok(Ok(response)) if !response.status().is_server_error()) {
            leave.answered();
            return Ok(());
        }
        let unanswered = FailureKind::Unanswered;
        let failure = Failure { path: ask.url.path(), repo: None, kind: unanswered };
        leave.failed(&failure).map(Suspicion::confirmed);
        Err(Error::UpstreamDown { retry_after_seconds: RETRY_AFTER_SECONDS })
    }

    /// Any answer below 500 says that it is; `None` when it may not be asked.
    async fn is_there(&self) -> Option<bool> {
        let _pass =
            self.quota().enter(Class::Read, Duration::ZERO, &Party::Ourselves).await.ok()?;
        let mut ask = Ask::new(Method::GET, self.url("/v2/"), Scope::nothing());
        ask.effort = Effort::Brief;
        let asked = tokio::time::timeout(PROBE_TIMEOUT, self.authorized(&ask, PROBING));
        match asked.await {
            Ok(Ok(response)) => Some(!response.status().is_server_error()),
            Ok(Err(error)) => Some(failure(&error).is_none()),
            Err(_) => Some(false),
        }
    }
}
