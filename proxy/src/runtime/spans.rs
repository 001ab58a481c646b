//! The spans of traces, made when a collector is configured (`observe/traces.rs`); otherwise no span is made.
//!
//! Invariant: nothing stands in a span but methods, paths without their query, statuses, outcomes and
//! addresses as they are configured: no header, no token, no body, no word of an error.

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

/// The target of every span, so that the log leaves them out and the traces nothing else in.
const SPANS: &str = "wharfd::spans";

static SENT: AtomicU64 = AtomicU64::new(0);
static LOST: AtomicU64 = AtomicU64::new(0);
/// Whether upstreams are told which trace a request belongs to.
static PROPAGATE: AtomicBool = AtomicBool::new(false);

/// Spans that were sent, and that were lost, since the start.
pub(crate) fn counts() -> [u64; 2] {
    [&SENT, &LOST].map(|counter| counter.load(Ordering::Relaxed))
}

pub(crate) fn sent(count: usize) {
    SENT.fetch_add(count as u64, Ordering::Relaxed);
}

pub(crate) fn lost(count: usize) {
    LOST.fetch_add(count as u64, Ordering::Relaxed);
}

/// From now on upstreams are told the trace of a request, or not.
pub(crate) fn propagating(propagates: bool) {
    PROPAGATE.store(propagates, Ordering::Relaxed);
}

/// Whether something is a span of ours.
pub(crate) fn is_span(about: &Metadata<'_>) -> bool {
    about.is_span() && about.target() == SPANS
}

/// The span of a request. The trace that a client names is its parent when the peer is trusted; else
/// the span is linked to it: a stranger does not decide what is sampled, nor join our traces.
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

/// What a request came to.
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

/// What an upstream answered; nothing when it did not.
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

/// Tells an upstream which trace its request belongs to, when that is configured.
pub(crate) fn propagate(span: &Span, headers: &mut HeaderMap) {
    if PROPAGATE.load(Ordering::Relaxed) && !span.is_disabled() {
        let context = span.context();
        TraceContextPropagator::new().inject_context(&context, &mut HeaderInjector(headers));
    }
}

/// A place in a trace, for work that may outlive whoever began it: a span of such work is a child of
/// that place without keeping its span open.
pub(crate) struct SpanParent(Option<Context>);

/// Where we are.
pub(crate) fn branch() -> SpanParent {
    let here = Span::current();
    SpanParent((!here.is_disabled()).then(|| here.context()))
}

impl SpanParent {
    /// Does the work in a span of its own.
    pub(crate) fn carry<W: Future>(self, what: &'static str, work: W) -> Instrumented<W> {
        let span = match self.0 {
            None => Span::none(),
            Some(parent) => {
                let name = work_name(what);
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

/// What `runtime/single_flight.rs` has too many of at times, as the name of one.
fn work_name(what: &'static str) -> &'static str {
    match what {
        "downloads" => "fill",
        "manifest requests" | "tag requests" => "manifest fill",
        "token requests" => "token",
        "puts of manifests" => "manifest put",
        what => what,
    }
}
