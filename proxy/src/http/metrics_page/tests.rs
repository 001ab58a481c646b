//! The page as Prometheus reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::*;
use crate::bound::{Bound, BoundUsage};
use crate::error::Fault;
use crate::http::admission::{Limit, LimitUsage};
use crate::http::tls::TlsState;
use crate::maintenance::scrubbing::ScrubState;
use crate::observe::metrics::{FinishedRequest, RouteClass};
use crate::observe::outcome::Outcome;
use crate::push::outbox::OutboxState;
use crate::runtime::blocking::{JobsState, WriteSlotsState};
use crate::upstream::UpstreamState;
use wharf_store::Usage;

fn gauges(upstreams: &[&str]) -> Gauges {
    let state = UpstreamState::sample();
    Gauges {
        process: ProcessState::read(),
        ready: true,
        fills: 2,
        fills_ended: 30,
        uploads: 3,
        uploads_resting: 4,
        outbox: OutboxState {
            blobs: 11,
            bytes: 12,
            oldest_seconds: 13,
            refused: 14,
            delivered: 15,
            failures: 16,
        },
        places: WriteSlotsState { taken: 17, waiting: 18, handed_on: 19 },
        jobs: JobsState { running: 20, waiting: 21, ahead: 22 },
        bounds: vec![BoundUsage::new(Bound::Downloads, 2, 256)],
        scrub: ScrubState { rate: 23, blobs: 24, left_bytes: 25, ..ScrubState::default() },
        usage: Some(usage()),
        upstreams: upstreams.iter().map(|label| (Arc::from(*label), state)).collect(),
        admitted: AdmissionGauges {
            uses: vec![LimitUsage { limit: Limit::Connections, used: 26, most: 27 }],
            refusals: vec![("connections", 28)],
            held: 30,
            holds: vec![("docker", "left", 31)],
            waits: vec![("user_rate", 30)],
            waiting: 31,
            tls: Some(TlsState { valid_until: 29, taken: 1, refused: 2, handshakes: 3, failed: 4 }),
        },
    }
}

fn usage() -> Usage {
    Usage {
        format: 0,
        disk_bytes: 1,
        limit_bytes: Some(2),
        run_bytes: 0,
        record_bytes: 0,
        blobs: 3,
        blob_bytes: 4,
        cached_blobs: 0,
        cached_bytes: 5,
        quarantined_blobs: 6,
        quarantined_bytes: 0,
        uploads: 0,
        parts: 1,
        part_bytes: 31,
        in_flight_bytes: 10,
        hot_bytes: 9,
        evicted_blobs: 7,
        evicted_bytes: 8,
    }
}

/// A page with every event counted.
fn full_page() -> String {
    let metrics = Metrics::default();
    metrics.outcome(Outcome::Join);
    metrics.local_reads.count(Outcome::Hit);
    metrics.fault(Fault::Store, None);
    metrics.fault(Fault::System, None);
    metrics.fault(Fault::Load, Some(Bound::Downloads));
    metrics.fault(Fault::Load, Some(Bound::TagRequests));
    metrics.reloaded(true);
    for status in [StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::BAD_GATEWAY] {
        metrics.answer(status);
        metrics.began();
        metrics.over(&FinishedRequest {
            route: RouteClass::Manifest,
            status: Some(status),
            first_byte: Duration::from_millis(3),
            total: Duration::from_millis(5),
            sent_bytes: 10,
            cut_off: status == StatusCode::OK,
        });
    }
    render(&metrics, &gauges(&["https://a.example", "https://*", "https://a.example"]))
}

#[test]
fn every_counter_is_rendered_under_its_name() {
    let text = full_page();
    for line in [
        "wharfd_reads_total{outcome=\"join\"} 1",
        "wharfd_upstream_reads_total{upstream=\"local\",outcome=\"hit\"} 1",
        "wharfd_requests_total{status=\"4xx\"} 1",
        "wharfd_requests_cut_off_total{when=\"in_body\"} 1",
        "wharfd_requests_in_flight 0",
        "wharfd_sent_bytes_total 30",
        "wharfd_request_seconds_bucket{route=\"manifest\",status=\"4xx\",le=\"0.005\"} 1",
        "wharfd_request_first_byte_seconds_count{route=\"manifest\",status=\"5xx\"} 1",
        "wharfd_failures_total{fault=\"store\"} 1",
        "wharfd_failures_total{fault=\"system\"} 1",
        "wharfd_bound_used{bound=\"writers\"} 17",
        "wharfd_bound_max{bound=\"downloads\"} 256",
        "wharfd_bound_reached_total{bound=\"downloads\"} 1",
        "wharfd_bound_reached_total{bound=\"tag requests\"} 1",
        "wharfd_blocking_jobs_waiting 21",
        "wharfd_config_reloads_total{result=\"success\"} 1",
        "wharfd_limit_used{limit=\"connections\"} 26",
        "wharfd_limit_most{limit=\"connections\"} 27",
        "wharfd_limit_refusals_total{limit=\"connections\"} 28",
        "wharfd_tls_handshakes_total{result=\"failed\"} 4",
        "wharfd_ready 1",
        "wharfd_fills 2",
        "wharfd_fills_ended_total 30",
        "wharfd_uploads 3",
        "wharfd_uploads_resting 4",
        "wharfd_pending_blobs 11",
        "wharfd_pending_bytes 12",
        "wharfd_pending_oldest_seconds 13",
        "wharfd_pending_refused_blobs 14",
        "wharfd_delivered_blobs_total 15",
        "wharfd_delivery_failures_total 16",
        "wharfd_writers 17",
        "wharfd_writers_waiting 18",
        "wharfd_writers_turns_total 19",
        "wharfd_scrub_rate_bytes 23",
        "wharfd_scrub_blobs_total 24",
        "wharfd_scrub_left_bytes 25",
        "wharfd_store_disk_bytes 1",
        "wharfd_store_limit_bytes 2",
        "wharfd_store_blobs 3",
        "wharfd_store_blob_bytes 4",
        "wharfd_store_cached_bytes 5",
        "wharfd_store_quarantined_blobs 6",
        "wharfd_store_evicted_blobs_total 7",
        "wharfd_store_evicted_bytes_total 8",
        "wharfd_store_hot_bytes 9",
        "wharfd_store_in_flight_bytes 10",
        "wharfd_store_part_bytes 31",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn entries_with_one_label_are_summed_up() {
    let text = full_page();
    let asked = UpstreamState::sample().client.counts.asked;
    for (label, count) in [("https://a.example", 2 * asked), ("https://*", asked)] {
        let line = format!("wharfd_upstream_requests_total{{upstream=\"{label}\"}} {count}\n");
        assert!(text.contains(&line), "{line}{text}");
    }
}

/// Name, labels and value of a row, as the format has them; panics at anything else.
fn parse_row(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = match series.split_once('{') {
        None => (series, ""),
        Some((name, rest)) => (name, rest.strip_suffix('}').unwrap()),
    };
    let is_name = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    assert!(is_name(name), "{line}");
    let mut found = BTreeMap::new();
    for label in labels.split("\",").filter(|label| !label.is_empty()) {
        let (name, value) = label.split_once("=\"").unwrap();
        let value = value.strip_suffix('"').unwrap_or(value);
        assert!(is_name(name) && !value.contains(['"', '\n']), "{line}");
        assert!(found.insert(name.to_owned(), value.to_owned()).is_none(), "{line}");
    }
    (name.to_owned(), found, value.parse().unwrap())
}

#[test]
fn the_page_is_what_prometheus_reads() {
    let text = full_page();
    let (mut families, mut series) = (BTreeMap::new(), BTreeSet::new());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let help = line.strip_prefix("# HELP ").unwrap_or_else(|| panic!("no HELP: {line}"));
        let (name, help) = help.split_once(' ').unwrap();
        assert!(help.ends_with('.'), "{line}");
        let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
        assert!(["counter", "gauge", "histogram"].contains(&kind), "{name} {kind}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        assert!(families.insert(name, kind).is_none(), "{name} comes twice");
        while let Some(row) = lines.next_if(|line| !line.starts_with('#')) {
            let (row_name, labels, value) = parse_row(row);
            let suffix = row_name.strip_prefix(name).unwrap_or_else(|| panic!("{row} in {name}"));
            match kind {
                "histogram" => assert!(["_bucket", "_sum", "_count"].contains(&suffix), "{row}"),
                _ => assert_eq!(suffix, "", "{row}"),
            }
            assert_eq!(suffix == "_bucket", labels.contains_key("le"), "{row}");
            assert!(value >= 0.0, "{row}");
            assert!(series.insert((row_name, labels)), "{row} comes twice");
        }
    }
    assert!(families.len() > 60, "{}", families.len());
}
