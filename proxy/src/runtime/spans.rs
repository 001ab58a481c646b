//! The spans of traces, made when a collector is configured (`observe/traces.rs`); otherwise no
//! span is made.
//!
//! Invariant: a span holds only methods, paths without their query, statuses, outcomes and
//! addresses as configured: no header, no token, no body, no word of an error.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use http::HeaderMap;
use http::request::Parts;
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::instrument::Instrumented;
use tracing::{Instrument as _, Metadata, Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The target of every span: the log leaves it out, and the traces take nothing else.
const SPANS: &str = "wharfd::spans";

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

/// The span of one request to an upstream, or to where it redirects; only the own address is named.
pub(crate) fn upstream_request(method: &http::Method, address: &str, what: &'static str) -> Span {
    tracing::info_span!(
        target: SPANS,
        "upstream request",
        otel.kind = "client",
        http.request.method = %method,
        server.address = address,
        wharf.operation = what,
        http.response.status_code = field::Empty,
        otel.status_code = field::Empty,
    )
}

/// Records an upstream's status; nothing without an answer.
pub(crate) fn end_upstream_request(span: &Span, status: Option<http::StatusCode>) {
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

/// Sends an upstream the trace of its request, when so configured.
pub(crate) fn propagate(span: &Span, headers: &mut HeaderMap) {
    if PROPAGATE.load(Ordering::Relaxed) && !span.is_disabled() {
        let context = span.context();
        TraceContextPropagator::new().inject_context(&context, &mut HeaderInjector(headers));
    }
}

/// A place in a trace, for work that may outlive its request: the work's span is a child of this
/// place without keeping the request's span open.
pub(crate) struct SpanParent(Option<Context>);

/// The current place.
pub(crate) fn branch() -> SpanParent {
    let here = Span::current();
    SpanParent((!here.is_disabled()).then(|| here.context()))
}

impl SpanParent {
    /// Does the work in a span of its own.
    pub(crate) fn carry<W: Future>(self, name: &'static str, work: W) -> Instrumented<W> {
        let span = match self.0 {
            None => Span::none(),
            Some(parent) => {
                let span = tracing::info_span!(
                    target: SPANS, parent: None, "work", otel.name = name
                );
                let _ = span.set_parent(parent);
                span
            }
        };
        work.instrument(span)
    }
}
