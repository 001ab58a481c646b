//! The spans of traces, made when a collector is configured (`observe/traces.rs`); otherwise no
//! span is made.
//!
//! Invariant: a span holds only methods, paths without their query, statuses, outcomes and
//! addresses as configured: no header, no token, no body, no word of an error.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use http::HeaderMap;
use http::request::Parts;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::{Metadata, Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use wharf_client::traces::SPANS;

static SENT: AtomicU64 = AtomicU64::new(0);
static LOST: AtomicU64 = AtomicU64::new(0);
/// Whether requests to upstreams carry their trace.
static PROPAGATE: AtomicBool = AtomicBool::new(false);

/// The numbers of spans sent and lost since the start.
pub(crate) fn counts() -> [u64; 2] {
    [&SENT, &LOST].map(|counter| counter.load(Ordering::Relaxed))
}

pub(crate) fn sent(count: usize) {
    SENT.fetch_add(count as u64, Ordering::Relaxed);
}

pub(crate) fn lost(count: usize) {
    LOST.fetch_add(count as u64, Ordering::Relaxed);
}

/// Sets whether requests to upstreams carry their trace.
pub(crate) fn propagating(propagates: bool) {
    PROPAGATE.store(propagates, Ordering::Relaxed);
}

/// Whether this is one of our spans.
pub(crate) fn is_span(about: &Metadata<'_>) -> bool {
    about.is_span() && about.target() == SPANS
}

/// The span of a request. The client's trace is its parent when the peer is trusted; else the span
/// is linked to it: a stranger does not decide the sampling, nor join our traces.
pub(crate) fn request(parts: &Parts, trusted: bool) -> Span {
    let span = tracing::info_span!(
        target: SPANS,
        parent: None,
        "request",
        otel.kind = "server",
        http.request.method = %parts.method,
        url.path = parts.uri.path(),
        http.response.status_code = field::Empty,
        otel.status_code = field::Empty,
        wharf.outcome = field::Empty,
        wharf.upstream = field::Empty,
    );
    if !span.is_disabled() && parts.headers.contains_key("traceparent") {
        let theirs = TraceContextPropagator::new().extract(&HeaderExtractor(&parts.headers));
        if trusted {
            let _ = span.set_parent(theirs);
        } else {
            span.add_link(theirs.span().span_context().clone());
        }
    }
    span
}

/// Records the result of a request.
pub(crate) fn end_request(span: &Span, status: u16, outcome: &str, upstream: &str) {
    if span.is_disabled() {
        return;
    }
    span.record("http.response.status_code", status);
    span.record("wharf.outcome", outcome);
    span.record("wharf.upstream", upstream);
    if status >= 500 || status == 0 {
        span.record("otel.status_code", "ERROR");
    }
}

/// The span of a step on this machine: looking something up, publishing it.
pub(crate) fn step(name: &'static str) -> Span {
    tracing::info_span!(target: SPANS, "step", otel.name = name)
}

/// Sends an upstream the trace of its request, when so configured.
pub(crate) fn propagate(span: &Span, headers: &mut HeaderMap) {
    if PROPAGATE.load(Ordering::Relaxed) && !span.is_disabled() {
        let context = span.context();
        TraceContextPropagator::new().inject_context(&context, &mut HeaderInjector(headers));
    }
}

/// The span of work that may outlive its request: a child of the current place in the trace, which does not
/// keep the request's span open.
pub(crate) fn detached(name: &'static str) -> Span {
    let here = Span::current();
    if here.is_disabled() {
        return Span::none();
    }
    let span = tracing::info_span!(target: SPANS, parent: None, "work", otel.name = name);
    let _ = span.set_parent(here.context());
    span
}
