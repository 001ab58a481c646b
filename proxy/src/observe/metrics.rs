//! The counters, and the page that shows them. Counters of an upstream are the upstream's own
//! (`upstream.rs`); gauges read for the page itself are in `http/metrics_page/gauges.rs`.
//!
//! Invariant: labels come from closed sets, of the code or of the configuration, never from
//! requests.

mod latency;
pub(crate) mod page;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use wharf_client::runtime::mutex::Mutex;

use crate::bound::Bound;
use crate::error::Fault;
use crate::observe::audit_log;
use crate::observe::outcome::{Outcome, OutcomeCounts};
use crate::runtime::spans;

pub(crate) use latency::RouteClass;
use latency::{Latency, STATUSES};
use page::{Kind, Page};

/// Counters of one process.
#[derive(Default)]
pub(crate) struct Metrics {
    /// Reads by their outcome, of all upstreams and of none.
    reads: OutcomeCounts,
    /// Of these, reads of repositories that live here.
    pub(crate) local_reads: OutcomeCounts,
    requests: [AtomicU64; STATUSES.len()],
    faults: [AtomicU64; 5],
    /// Requests that turned up at a bound.
    reached: Mutex<BTreeMap<Bound, u64>>,
    first_byte: Latency,
    total: Latency,
    /// Answers that broke off, before their head and in their body.
    cut_off: [AtomicU64; 2],
    /// Bytes from clients.
    pub(crate) received_bytes: AtomicU64,
    /// Bytes of answers that connections took.
    sent_bytes: AtomicU64,
    in_flight: AtomicUsize,
    reloads: Reloads,
}

/// Reloads of the configuration.
#[derive(Default)]
struct Reloads {
    succeeded: AtomicU64,
    refused: AtomicU64,
    /// The last reload that took effect, in seconds since 1970; the start is one.
    last_success: AtomicU64,
}

/// A finished request.
pub(crate) struct FinishedRequest {
    /// The route of the request.
    pub(crate) route: RouteClass,
    /// The status; none when there was no answer.
    pub(crate) status: Option<StatusCode>,
    /// From the request to the first byte of the answer.
    pub(crate) first_byte: Duration,
    /// From the request to the last byte.
    pub(crate) total: Duration,
    /// Bytes that the connection took.
    pub(crate) sent_bytes: u64,
    /// Whether the client missed a part of the answer.
    pub(crate) cut_off: bool,
}

/// Seconds since 1970.
fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Metrics {
    /// Counts the outcome of a read, of any repository.
    pub(crate) fn outcome(&self, outcome: Outcome) {
        self.reads.count(outcome);
    }

    /// Counts an answer by the class of its status.
    pub(crate) fn answer(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self.requests.get(class) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a failure by the side at fault, and by the bound that was reached, if there was one.
    pub(crate) fn fault(&self, fault: Fault, bound: Option<Bound>) {
        let index = match fault {
            Fault::Client => 0,
            Fault::Upstream => 1,
            Fault::Store => 2,
            Fault::Load => 3,
            Fault::System => 4,
        };
        if let Some(counter) = self.faults.get(index) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(bound) = bound {
            let mut reached = self.reached.lock();
            *reached.entry(bound).or_default() += 1;
        }
    }

    /// A request begins.
    pub(crate) fn began(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// A request is over.
    pub(crate) fn over(&self, over: &FinishedRequest) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.sent_bytes.fetch_add(over.sent_bytes, Ordering::Relaxed);
        let [before_head, in_body] = &self.cut_off;
        match over.status {
            None => {
                before_head.fetch_add(1, Ordering::Relaxed);
            }
            Some(status) => {
                self.first_byte.observe(over.route, status, over.first_byte);
                self.total.observe(over.route, status, over.total);
                if over.cut_off {
                    in_body.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// The configuration was read, again or for the first time; whether it takes effect.
    pub(crate) fn reloaded(&self, counts: bool) {
        let Reloads { succeeded, refused, last_success } = &self.reloads;
        if counts {
            succeeded.fetch_add(1, Ordering::Relaxed);
            last_success.store(now_seconds(), Ordering::Relaxed);
        } else {
            refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The configuration of the start is in force.
    pub(crate) fn configured(&self) {
        self.reloads.last_success.store(now_seconds(), Ordering::Relaxed);
    }

    /// How often each bound was reached.
    pub(crate) fn reached(&self) -> BTreeMap<Bound, u64> {
        self.reached.lock().clone()
    }

    /// Writes the process's own counters to a page.
    pub(crate) fn render(&self, page: &mut Page) {
        self.of_requests(page);
        self.of_reloads(page);
    }

    fn of_requests(&self, page: &mut Page) {
        page.family("wharfd_reads_total", Kind::Counter, "Reads by how they were answered.");
        for (outcome, count) in self.reads.counts() {
            page.row(&[("outcome", outcome.as_str())], count);
        }
        page.family("wharfd_requests_total", Kind::Counter, "Requests by class of answer.");
        for (status, counter) in STATUSES.iter().zip(&self.requests) {
            page.row(&[("status", status)], read(counter));
        }
        page.family("wharfd_failures_total", Kind::Counter, "Failed requests by whose fault.");
        for (fault, counter) in
            ["client", "upstream", "store", "load", "system"].iter().zip(&self.faults)
        {
            page.row(&[("fault", fault)], read(counter));
        }
        page.family(
            "wharfd_requests_cut_off_total",
            Kind::Counter,
            "Requests whose client did not get the whole answer, by when it broke off.",
        );
        for (when, counter) in ["before_answer", "in_body"].iter().zip(&self.cut_off) {
            page.row(&[("when", when)], read(counter));
        }
        let in_flight = self.in_flight.load(Ordering::Relaxed) as u64;
        let help = "Requests whose answer is not over.";
        page.single("wharfd_requests_in_flight", Kind::Gauge, help, in_flight);
        let received = read(&self.received_bytes);
        page.single("wharfd_received_bytes_total", Kind::Counter, "Bytes of uploads.", received);
        let help = "Bytes of answers that clients' connections took.";
        page.single("wharfd_sent_bytes_total", Kind::Counter, help, read(&self.sent_bytes));
        let help = "From a request to the first byte of its answer.";
        self.first_byte.render(page, "wharfd_request_first_byte_seconds", help);
        let help = "From a request to the last byte of its answer.";
        self.total.render(page, "wharfd_request_seconds", help);
    }

    fn of_reloads(&self, page: &mut Page) {
        let Reloads { succeeded, refused, last_success } = &self.reloads;
        page.family("wharfd_config_reloads_total", Kind::Counter, "Configurations read again.")
            .row(&[("result", "success")], read(succeeded))
            .row(&[("result", "refused")], read(refused));
        page.single(
            "wharfd_config_last_reload_success_timestamp_seconds",
            Kind::Gauge,
            "Since when the configuration counts, since 1970.",
            read(last_success),
        );
        let (help, lost) = ("Audit lines that were not written.", audit_log::lost());
        page.single("wharfd_audit_lost_lines_total", Kind::Counter, help, lost);
        let [sent, lost] = spans::counts();
        page.family("wharfd_trace_spans_total", Kind::Counter, "Spans by what became of them.")
            .row(&[("result", "sent")], sent)
            .row(&[("result", "lost")], lost);
    }
}
