//! A request to a registry, as often as it takes.

use std::time::Duration;

use http::{HeaderMap, Method};
use url::Url;

use crate::limits::RETRY_AFTER_MAX;
use crate::payload::Payload;
use crate::retry::RetryBudget;
use crate::scope::Scope;

/// One request that can be sent repeatedly, since its body can be produced again.
#[derive(Clone)]
pub(crate) struct RegistryRequest {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) scope: Scope,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Payload,
    pub(crate) effort: RetryEffort,
}

/// How hard a request is retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryEffort {
    /// Waits, and sends again.
    Patient,
    /// The same for longer: on failure the client would have to send everything again.
    Long,
    /// Waits, but does not send again: the sender of a chunk must first learn how much arrived.
    Once,
    /// Neither waits nor repeats: a cached answer is at hand.
    Brief,
}

impl RegistryRequest {
    pub(crate) fn new(method: Method, url: Url, scope: Scope) -> Self {
        let effort = RetryEffort::Patient;
        Self { method, url, scope, headers: HeaderMap::new(), body: Payload::empty(), effort }
    }

    /// The retry budget that goes with the effort.
    pub(super) const fn budget(&self) -> RetryBudget {
        match self.effort {
            RetryEffort::Long => RetryBudget::LONG,
            RetryEffort::Patient | RetryEffort::Once | RetryEffort::Brief => RetryBudget::FEW,
        }
    }

    /// The longest wait for a permit and a `Retry-After`.
    pub(super) const fn longest_wait(&self) -> Duration {
        match self.effort {
            RetryEffort::Patient | RetryEffort::Long | RetryEffort::Once => RETRY_AFTER_MAX,
            RetryEffort::Brief => Duration::ZERO,
        }
    }
}
