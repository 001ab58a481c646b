//! What there is to say of each upstream. Its address is a label: it is one of the configuration, or
//! of the bounded number that a pattern came to stand for.

use crate::upstream::{Arrival, BreakerState, UpstreamState};

/// Name, kind, help, rows.
type Family = (&'static str, &'static str, &'static str, Vec<(String, u64)>);

pub(super) fn families(upstreams: &[(String, UpstreamState)]) -> Vec<Family> {
    let each = |value| each(upstreams, value);
    let by_class = |value: fn(&UpstreamState) -> [u64; 2]| {
        let rows = |(address, state): &(String, UpstreamState)| {
            let label = |class| format!("{{upstream=\"{address}\",class=\"{class}\"}}");
            ["read", "write"].map(label).into_iter().zip(value(state)).collect::<Vec<_>>()
        };
        upstreams.iter().flat_map(rows).collect::<Vec<_>>()
    };
    if upstreams.is_empty() {
        return Vec::new();
    }
    let mut families = pushes(upstreams);
    families.extend([
        (
            "wharfd_upstream_requests_total",
            "counter",
            "Requests to an upstream and to where it redirects.",
            each(|state| state.counts.asked),
        ),
        (
            "wharfd_upstream_resumes_total",
            "counter",
            "Downloads that broke off and went on.",
            each(|state| state.counts.resumed),
        ),
        (
            "wharfd_upstream_throttled_total",
            "counter",
            "Answers of 429.",
            by_class(|state| [state.reads.throttled, state.writes.throttled]),
        ),
        (
            "wharfd_upstream_window",
            "gauge",
            "Requests that may run at once.",
            by_class(|state| [state.reads.window.into(), state.writes.window.into()]),
        ),
        (
            "wharfd_upstream_breaker",
            "gauge",
            "0 asked, 1 asked by one, 2 left alone.",
            each(|state| match state.breaker {
                BreakerState::Closed => 0,
                BreakerState::HalfOpen => 1,
                BreakerState::Open => 2,
            }),
        ),
    ]);
    families
}

/// A row for each upstream.
fn each(
    upstreams: &[(String, UpstreamState)],
    value: fn(&UpstreamState) -> u64,
) -> Vec<(String, u64)> {
    let row = |(address, state): &(String, UpstreamState)| {
        (format!("{{upstream=\"{address}\"}}"), value(state))
    };
    upstreams.iter().map(row).collect()
}

/// What there is to say of uploads to them.
fn pushes(upstreams: &[(String, UpstreamState)]) -> Vec<Family> {
    let by_arrival = upstreams.iter().flat_map(|(address, state)| {
        let label = |way: Arrival| format!("{{upstream=\"{address}\",way=\"{}\"}}", way.as_str());
        Arrival::ALL.map(label).into_iter().zip(state.counts.arrived)
    });
    vec![
        (
            "wharfd_upstream_pushed_total",
            "counter",
            "Pushed blobs by how the upstream got them.",
            by_arrival.collect(),
        ),
        (
            "wharfd_upstream_sent_bytes_total",
            "counter",
            "Bytes of blobs sent to an upstream, also those that were sent again.",
            each(upstreams, |state| state.counts.sent_bytes),
        ),
        (
            "wharfd_upstream_mended_total",
            "counter",
            "Failures of uploads after which they went on.",
            each(upstreams, |state| state.counts.mended),
        ),
        (
            "wharfd_upstream_chunk_bytes",
            "gauge",
            "Size of the chunks that an upstream is sent.",
            each(upstreams, |state| state.counts.chunk_bytes),
        ),
    ]
}
