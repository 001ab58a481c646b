//! Spans around requests. They are made for the collector of the program, when it has one; without one no
//! span is made.
//!
//! Invariant: a span holds only methods, statuses, operations and addresses as configured: no header, no
//! token, no body, no word of an error.

use http::{HeaderMap, Method, StatusCode};
use tracing::{Span, field};

/// The target of every span: a program's log leaves it out, and its traces take nothing else.
pub const SPANS: &str = "wharf::spans";

/// How a program's traces go on in this client.
#[derive(Debug, Clone, Copy)]
pub struct Traces {
    /// Sends a registry the trace of its request.
    pub propagate: fn(&Span, &mut HeaderMap),
    /// The span of work of this name that may outlive the request that began it.
    pub work: fn(&'static str) -> Span,
}

impl Default for Traces {
    /// No traces.
    fn default() -> Self {
        Self { propagate: |_, _| {}, work: |_| Span::none() }
    }
}

/// The span of one request to a registry, or to where it redirects; only the own address is named.
pub(crate) fn request(method: &Method, address: &str, operation: &'static str) -> Span {
    tracing::info_span!(
        target: SPANS,
        "upstream request",
        otel.kind = "client",
        http.request.method = %method,
        server.address = address,
        wharf.operation = operation,
        http.response.status_code = field::Empty,
        otel.status_code = field::Empty,
    )
}

/// Records a registry's status; nothing without an answer.
pub(crate) fn end_request(span: &Span, status: Option<StatusCode>) {
    if span.is_disabled() {
        return;
    }
    match status {
        Some(status) => {
            span.record("http.response.status_code", status.as_u16());
        }
        None => {
            span.record("otel.status_code", "ERROR");
        }
    }
}
