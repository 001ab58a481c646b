//! Every metric: its name, its help, its labels. Labels come from closed sets, never from requests.

mod limits;
mod upstreams;

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use wharf_store::Usage;

use crate::bridge::PlacesState;
use crate::cache::Outcome;
use crate::delivery::DeliveryState;
use crate::error::Fault;
use crate::upstream::UpstreamState;

pub(crate) use limits::Admitted;

const OUTCOMES: [Outcome; 5] =
    [Outcome::Hit, Outcome::Join, Outcome::Fill, Outcome::Bypass, Outcome::Stale];

/// Counters of one process.
#[derive(Default)]
pub(crate) struct Metrics {
    outcomes: [AtomicU64; 5],
    requests: [AtomicU64; 5],
    faults: [AtomicU64; 4],
    /// Bytes taken from clients.
    pub received_bytes: AtomicU64,
}

/// What is read at the moment of asking.
pub(crate) struct Gauges {
    /// Downloads that are going on.
    pub fills: usize,
    /// Upload sessions that are open.
    pub uploads: usize,
    /// Upload sessions that rest in the store.
    pub uploads_resting: usize,
    /// What is owed to upstreams.
    pub deliveries: DeliveryState,
    /// Who writes content, and who waits for that.
    pub places: PlacesState,
    /// The store, when it could be asked.
    pub usage: Option<Usage>,
    /// Each upstream under its address.
    pub upstreams: Vec<(String, UpstreamState)>,
    /// Who was let in.
    pub admitted: Admitted,
}

impl Metrics {
    /// Counts how a read was answered.
    pub(crate) fn outcome(&self, outcome: Outcome) {
        if let Some((_, counter)) =
            OUTCOMES.iter().zip(&self.outcomes).find(|(known, _)| **known == outcome)
        {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts an answer by the class of its status.
    pub(crate) fn answer(&self, status: http::StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self.requests.get(class) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a failure by whose it is.
    pub(crate) fn fault(&self, fault: Fault) {
        let index = match fault {
            Fault::Client => 0,
            Fault::Upstream => 1,
            Fault::Store => 2,
            Fault::Load => 3,
        };
        if let Some(counter) = self.faults.get(index) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Everything in the text format of Prometheus.
    #[must_use]
    pub(crate) fn render(&self, gauges: &Gauges) -> String {
        let mut text = String::new();
        let mut family = |name: &str, kind: &str, help: &str, rows: &[(String, u64)]| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (labels, value) in rows {
                let _ = writeln!(text, "{name}{labels} {value}");
            }
        };
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let outcomes: Vec<_> = OUTCOMES
            .iter()
            .zip(&self.outcomes)
            .map(|(outcome, n)| (format!("{{outcome=\"{}\"}}", outcome.as_str()), read(n)))
            .collect();
        family("wharfd_reads_total", "counter", "Reads by how they were answered.", &outcomes);
        let requests: Vec<_> = (1..=5)
            .zip(&self.requests)
            .map(|(class, n)| (format!("{{status=\"{class}xx\"}}"), read(n)))
            .collect();
        family("wharfd_requests_total", "counter", "Requests by class of answer.", &requests);
        let faults: Vec<_> = ["client", "upstream", "store", "load"]
            .iter()
            .zip(&self.faults)
            .map(|(fault, n)| (format!("{{fault=\"{fault}\"}}"), read(n)))
            .collect();
        family("wharfd_failures_total", "counter", "Failed requests by whose fault.", &faults);
        let received = [(String::new(), read(&self.received_bytes))];
        family("wharfd_received_bytes_total", "counter", "Bytes of uploads.", &received);
        let fills = [(String::new(), gauges.fills as u64)];
        family("wharfd_fills", "gauge", "Downloads that are going on.", &fills);
        let uploads = [(String::new(), gauges.uploads as u64)];
        family("wharfd_uploads", "gauge", "Upload sessions that are open.", &uploads);
        let resting = [(String::new(), gauges.uploads_resting as u64)];
        family(
            "wharfd_uploads_resting",
            "gauge",
            "Upload sessions that rest in the store.",
            &resting,
        );
        let arriving = of_places(gauges.places).into_iter();
        for (name, kind, help, value) in arriving.chain(of_deliveries(&gauges.deliveries)) {
            family(name, kind, help, &[(String::new(), value)]);
        }
        let upstreams = upstreams::families(&gauges.upstreams).into_iter();
        for (name, kind, help, rows) in upstreams.chain(limits::families(&gauges.admitted)) {
            family(name, kind, help, &rows);
        }
        for (name, kind, help, value) in gauges.usage.iter().flat_map(of_store) {
            family(name, kind, help, &[(String::new(), value)]);
        }
        text
    }
}

type Family = (&'static str, &'static str, &'static str, u64);

/// What there is to say of content that arrives.
fn of_places(places: PlacesState) -> [Family; 3] {
    let PlacesState { taken, waiting, handed_on } = places;
    [
        ("wharfd_writers", "gauge", "Blobs that arrive and may take memory.", taken as u64),
        ("wharfd_writers_waiting", "gauge", "Blobs that wait for that.", waiting as u64),
        ("wharfd_writers_turns_total", "counter", "Turns that ended for another blob.", handed_on),
    ]
}

/// What there is to say of staged blobs.
fn of_deliveries(state: &DeliveryState) -> [Family; 6] {
    [
        ("wharfd_pending_blobs", "gauge", "Blobs that wait for their upstream.", state.blobs),
        ("wharfd_pending_bytes", "gauge", "Sum of their sizes.", state.bytes),
        (
            "wharfd_pending_oldest_seconds",
            "gauge",
            "For how long the oldest of them waits.",
            state.oldest_seconds,
        ),
        (
            "wharfd_pending_refused_blobs",
            "gauge",
            "Of these, what the upstream refused.",
            state.refused,
        ),
        ("wharfd_delivered_blobs_total", "counter", "Blobs delivered.", state.delivered),
        (
            "wharfd_delivery_failures_total",
            "counter",
            "Tries to deliver a blob that failed.",
            state.failures,
        ),
    ]
}

/// What there is to say of the store.
fn of_store(usage: &Usage) -> impl Iterator<Item = Family> {
    let limit = usage.limit_bytes.map(|limit| {
        ("wharfd_store_limit_bytes", "gauge", "Most that the store may take on disk.", limit)
    });
    let families = [
        ("wharfd_store_disk_bytes", "gauge", "What the store takes on disk.", usage.disk_bytes),
        ("wharfd_store_blobs", "gauge", "Blobs in the store.", usage.blobs),
        ("wharfd_store_blob_bytes", "gauge", "Sum of their sizes.", usage.blob_bytes),
        (
            "wharfd_store_cached_bytes",
            "gauge",
            "Of these, what may be evicted.",
            usage.cached_bytes,
        ),
        (
            "wharfd_store_quarantined_blobs",
            "gauge",
            "Blobs whose bytes were found to be wrong.",
            usage.quarantined_blobs,
        ),
        ("wharfd_store_evicted_blobs_total", "counter", "Blobs evicted.", usage.evicted_blobs),
        (
            "wharfd_store_evicted_bytes_total",
            "counter",
            "Sum of the sizes of evicted blobs.",
            usage.evicted_bytes,
        ),
        ("wharfd_store_hot_bytes", "gauge", "Segments in memory for readers.", usage.hot_bytes),
        (
            "wharfd_store_in_flight_bytes",
            "gauge",
            "Segments of blobs in flight in memory.",
            usage.in_flight_bytes,
        ),
    ];
    limit.into_iter().chain(families)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            in_flight_bytes: 10,
            hot_bytes: 9,
            evicted_blobs: 7,
            evicted_bytes: 8,
        }
    }

    #[test]
    fn every_counter_is_rendered_under_its_name() {
        let metrics = Metrics::default();
        metrics.outcome(Outcome::Join);
        metrics.answer(http::StatusCode::NOT_FOUND);
        metrics.fault(Fault::Store);
        let usage = usage();
        let gauges = Gauges {
            fills: 2,
            uploads: 3,
            uploads_resting: 4,
            deliveries: DeliveryState {
                blobs: 11,
                bytes: 12,
                oldest_seconds: 13,
                refused: 14,
                delivered: 15,
                failures: 16,
            },
            places: PlacesState { taken: 17, waiting: 18, handed_on: 19 },
            usage: Some(usage),
            upstreams: Vec::new(),
            admitted: Admitted::default(),
        };
        let text = metrics.render(&gauges);
        for line in [
            "wharfd_reads_total{outcome=\"join\"} 1",
            "wharfd_requests_total{status=\"4xx\"} 1",
            "wharfd_failures_total{fault=\"store\"} 1",
            "wharfd_fills 2",
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
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
