//! Every metric: its name, its help, its labels. Labels come from closed sets, never from requests.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cache::Outcome;
use crate::error::Fault;

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
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_rendered_under_its_name() {
        let metrics = Metrics::default();
        metrics.outcome(Outcome::Join);
        metrics.answer(http::StatusCode::NOT_FOUND);
        metrics.fault(Fault::Store);
        let text = metrics.render(&Gauges { fills: 2, uploads: 3 });
        for line in [
            "wharfd_reads_total{outcome=\"join\"} 1",
            "wharfd_requests_total{status=\"4xx\"} 1",
            "wharfd_failures_total{fault=\"store\"} 1",
            "wharfd_fills 2",
            "wharfd_uploads 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
