//! Rows about each upstream. Its label is its configured address; all hosts of one pattern share
//! one label, and so do entries with the same address.

use std::collections::BTreeMap;
use std::sync::Arc;

use wharf_client::{Arrival, BreakerState, TokenResult};

use crate::observe::metrics::page::{Kind, Page};
use crate::observe::outcome::Outcome;
use crate::observe::outcome::OutcomeCounts;
use crate::upstream::UpstreamState;

/// The label of local registries.
const LOCAL: &str = "local";

type States = BTreeMap<Arc<str>, UpstreamState>;

pub(super) fn render(
    page: &mut Page,
    local: &OutcomeCounts,
    upstreams: &[(Arc<str>, UpstreamState)],
) {
    let mut states = States::new();
    for (label, state) in upstreams {
        states.entry(Arc::clone(label)).and_modify(|known| known.add(state)).or_insert(*state);
    }
    let help = "Reads by whose repository it is and how they were answered.";
    page.family("wharfd_upstream_reads_total", Kind::Counter, help);
    let of_upstreams = states.iter().map(|(label, state)| (&**label, state.reads));
    for (label, reads) in std::iter::once((LOCAL, local.snapshot())).chain(of_upstreams) {
        for (outcome, count) in Outcome::ALL.iter().zip(reads) {
            page.row(&[("upstream", label), ("outcome", outcome.as_str())], count);
        }
    }
    if states.is_empty() {
        return;
    }
    requests(page, &states);
    quota(page, &states);
    pushes(page, &states);
}

fn each(
    page: &mut Page,
    states: &States,
    name: &'static str,
    kind: Kind,
    help: &str,
    value: fn(&UpstreamState) -> u64,
) {
    page.family(name, kind, help);
    for (label, state) in states {
        page.row(&[("upstream", label)], value(state));
    }
}

/// A row for reads and one for writes of each.
fn by_class(
    page: &mut Page,
    states: &States,
    name: &'static str,
    kind: Kind,
    help: &str,
    value: fn(&UpstreamState) -> [Option<u64>; 2],
) {
    page.family(name, kind, help);
    for (label, state) in states {
        for (class, value) in ["read", "write"].iter().zip(value(state)) {
            if let Some(value) = value {
                page.row(&[("upstream", label), ("class", class)], value);
            }
        }
    }
}

fn requests(page: &mut Page, states: &States) {
    let help = "Requests to an upstream and to where it redirects.";
    let name = "wharfd_upstream_requests_total";
    each(page, states, name, Kind::Counter, help, |state| state.client.counts.asked);
    let help = "Bytes of answers of an upstream, blobs and all else.";
    let name = "wharfd_upstream_received_bytes_total";
    each(page, states, name, Kind::Counter, help, |state| state.client.counts.received_bytes);
    let name = "wharfd_upstream_resumes_total";
    let help = "Downloads that broke off and went on.";
    each(page, states, name, Kind::Counter, help, |state| state.client.counts.resumed);
    let help = "0 asked, 1 asked by one, 2 left alone.";
    each(page, states, "wharfd_upstream_breaker", Kind::Gauge, help, |state| {
        match state.client.breaker {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        }
    });
    let help = "Tokens by how it came to ask for them, and those that were not got.";
    page.family("wharfd_upstream_tokens_total", Kind::Counter, help);
    for (label, state) in states {
        for (result, count) in TokenResult::ALL.iter().zip(state.client.counts.tokens) {
            page.row(&[("upstream", label), ("result", result.as_str())], count);
        }
    }
}

fn quota(page: &mut Page, states: &States) {
    let help = "Answers of 429.";
    let name = "wharfd_upstream_throttled_total";
    by_class(page, states, name, Kind::Counter, help, |state| {
        [&state.client.reads, &state.client.writes].map(|lane| Some(lane.throttled))
    });
    let help = "Requests that may run at once.";
    by_class(page, states, "wharfd_upstream_window", Kind::Gauge, help, |state| {
        [&state.client.reads, &state.client.writes].map(|lane| Some(lane.window.into()))
    });
    let help = "Requests that run.";
    by_class(page, states, "wharfd_upstream_running", Kind::Gauge, help, |state| {
        [&state.client.reads, &state.client.writes].map(|lane| Some(lane.running.into()))
    });
    let help = "Requests that wait for their turn.";
    by_class(page, states, "wharfd_upstream_waiting", Kind::Gauge, help, |state| {
        [&state.client.reads, &state.client.writes].map(|lane| Some(lane.waiting as u64))
    });
    let help = "For how long nothing is asked, as the upstream wished.";
    by_class(page, states, "wharfd_upstream_pause_seconds", Kind::Gauge, help, |state| {
        [&state.client.reads, &state.client.writes].map(|lane| Some(lane.pause_seconds))
    });
    let help = "Requests that are left of the upstream's quota, where it says so.";
    by_class(page, states, "wharfd_upstream_quota_left", Kind::Gauge, help, |state| {
        [&state.client.reads, &state.client.writes].map(|lane| lane.left)
    });
}

/// Rows about uploads to upstreams.
fn pushes(page: &mut Page, states: &States) {
    let help = "Pushed blobs by how the upstream got them.";
    page.family("wharfd_upstream_pushed_total", Kind::Counter, help);
    for (label, state) in states {
        for (way, count) in Arrival::ALL.iter().zip(state.client.counts.arrived) {
            page.row(&[("upstream", label), ("way", way.as_str())], count);
        }
    }
    let help = "Bytes of blobs sent to an upstream, also those that were sent again.";
    let name = "wharfd_upstream_sent_bytes_total";
    each(page, states, name, Kind::Counter, help, |state| state.client.counts.sent_bytes);
    let help = "Failures of uploads after which they went on.";
    let name = "wharfd_upstream_mended_total";
    each(page, states, name, Kind::Counter, help, |state| state.client.counts.mended);
    let help = "Size of the chunks that an upstream is sent.";
    let name = "wharfd_upstream_chunk_bytes";
    each(page, states, name, Kind::Gauge, help, |state| state.client.counts.chunk_bytes);
}
