//! The page of metrics: the counters of `observe/metrics.rs`, and gauges read at the moment of the
//! request.

mod gauges;
mod limits;
mod process;
#[cfg(test)]
mod tests;
mod upstreams;

use crate::observe::metrics::Metrics;
use crate::observe::metrics::page::Page;

pub(crate) use gauges::Gauges;
pub(crate) use limits::AdmissionGauges;
pub(crate) use process::ProcessState;

/// Everything in the text format of Prometheus.
#[must_use]
pub(crate) fn render(metrics: &Metrics, gauges: &Gauges) -> String {
    let mut page = Page::default();
    process::render(&mut page, &gauges.process);
    metrics.render(&mut page);
    gauges::render(&mut page, gauges, &metrics.reached());
    limits::render(&mut page, &gauges.admitted);
    upstreams::render(&mut page, &metrics.local_reads, &gauges.upstreams);
    page.finish()
}
