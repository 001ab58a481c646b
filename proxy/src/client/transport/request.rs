//! A request to an upstream, as often as it takes.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method};
use url::Url;

use crate::client::retry::RetryBudget;
use crate::client::scope::Scope;
use crate::limits::RETRY_AFTER_MAX;
use crate::runtime::body::Payload;

/// One request that can be sent repeatedly, since its body can be produced again.
#[derive(Clone)]
pub(in crate::client) struct UpstreamRequest {
    pub(in crate::client) method: Method,
    pub(in crate::client) url: Url,
    pub(in crate::client) scope: Scope,
    pub(in crate::client) headers: HeaderMap,
    pub(in crate::client) body: Payload,
    pub(in crate::client) effort: RetryEffort,
}

/// How hard a request is retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::client) enum RetryEffort {
    /// Waits, and sends again.
    Patient,
    /// The same for longer: on failure the client would have to send everything again.
    Long,
    /// Waits, but does not send again: the sender of a chunk must first learn how much arrived.
    Once,
    /// Neither waits nor repeats: a cached answer is at hand.
    Brief,
}

impl UpstreamRequest {
    pub(in crate::client) fn new(method: Method, url: Url, scope: Scope) -> Self {
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

/// A header value from parsed text.
pub(in crate::client) fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
