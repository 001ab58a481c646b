//! Gauges, read at the moment of the request: queues and bounds, content on its way, the store.

use std::collections::BTreeMap;

use wharf_store::Usage;

use super::limits::AdmissionGauges;
use super::process::ProcessState;
use crate::bound::{Bound, BoundUsage};
use crate::limits::{BATCHES_AHEAD_MAX, BLOCKING_JOBS_MAX, WRITERS_MAX};
use crate::maintenance::scrubbing::ScrubState;
use crate::observe::metrics::page::{Kind, Page};
use crate::push::outbox::OutboxState;
use crate::runtime::blocking::{JobsState, WriteSlotsState};
use crate::upstream::UpstreamState;

/// All gauges of one reading.
pub(crate) struct Gauges {
    /// The process.
    pub(crate) process: ProcessState,
    /// Whether a balancer may send requests here, as `/readyz` says.
    pub(crate) ready: bool,
    /// Downloads in progress.
    pub(crate) fills: usize,
    /// Downloads without a waiting client that ended in favour of others.
    pub(crate) fills_ended: u64,
    /// Open upload sessions.
    pub(crate) uploads: usize,
    /// Upload sessions suspended in the store.
    pub(crate) uploads_resting: usize,
    /// Staged blobs and their delivery upstream.
    pub(crate) outbox: OutboxState,
    /// Writers with a write slot, and those waiting for one.
    pub(crate) places: WriteSlotsState,
    /// Work off the async threads.
    pub(crate) jobs: JobsState,
    /// Further bounds that refuse requests.
    pub(crate) bounds: Vec<BoundUsage>,
    /// The scrub in the background.
    pub(crate) scrub: ScrubState,
    /// The store, if its reading succeeded.
    pub(crate) usage: Option<Usage>,
    /// Each upstream under its label.
    pub(crate) upstreams: Vec<(std::sync::Arc<str>, UpstreamState)>,
    /// Usage of the bounds on clients, and refusals.
    pub(crate) admitted: AdmissionGauges,
}

type Single = (&'static str, Kind, &'static str, u64);

pub(super) fn render(page: &mut Page, gauges: &Gauges, reached: &BTreeMap<Bound, u64>) {
    let moving = [
        (
            "wharfd_ready",
            Kind::Gauge,
            "Whether this may be sent requests, as /readyz says.",
            u64::from(gauges.ready),
        ),
        ("wharfd_fills", Kind::Gauge, "Downloads that are going on.", gauges.fills as u64),
        (
            "wharfd_fills_ended_total",
            Kind::Counter,
            "Downloads that nobody waited for and that ended for others.",
            gauges.fills_ended,
        ),
        ("wharfd_uploads", Kind::Gauge, "Upload sessions that are open.", gauges.uploads as u64),
        (
            "wharfd_uploads_resting",
            Kind::Gauge,
            "Upload sessions that rest in the store.",
            gauges.uploads_resting as u64,
        ),
    ];
    let families = moving
        .into_iter()
        .chain(of_places(gauges.places))
        .chain(of_deliveries(&gauges.outbox))
        .chain(of_scrub(&gauges.scrub));
    for (name, kind, help, value) in families.chain(gauges.usage.iter().flat_map(of_store)) {
        page.single(name, kind, help, value);
    }
    of_bounds(page, gauges, reached);
}

/// The usage of each bound, and its refusals.
fn of_bounds(page: &mut Page, gauges: &Gauges, reached: &BTreeMap<Bound, u64>) {
    let of_ours = [
        BoundUsage::new(Bound::Writers, gauges.places.taken, WRITERS_MAX),
        BoundUsage::new(Bound::BlockingJobs, gauges.jobs.running, BLOCKING_JOBS_MAX),
        BoundUsage::new(Bound::BatchesAhead, gauges.jobs.ahead, BATCHES_AHEAD_MAX),
    ];
    let all = || of_ours.iter().chain(&gauges.bounds);
    page.family("wharfd_bound_used", Kind::Gauge, "How much of a bound is used.");
    for usage in all() {
        page.row(&[("bound", usage.bound.as_str())], usage.used);
    }
    page.family("wharfd_bound_max", Kind::Gauge, "How much of it there is.");
    for usage in all() {
        page.row(&[("bound", usage.bound.as_str())], usage.max);
    }
    let help = "Requests that were turned away at a bound.";
    page.family("wharfd_bound_reached_total", Kind::Counter, help);
    let known = gauges.bounds.iter().map(|usage| (usage.bound.as_str(), 0));
    let mut counts: BTreeMap<&'static str, u64> = known.collect();
    counts.extend(reached.iter().map(|(bound, count)| (bound.as_str(), *count)));
    for (bound, count) in counts {
        page.row(&[("bound", bound)], count);
    }
    let waiting = gauges.jobs.waiting as u64;
    page.single("wharfd_blocking_jobs_waiting", Kind::Gauge, "Jobs that wait for room.", waiting);
}

/// Rows about arriving content.
fn of_places(places: WriteSlotsState) -> [Single; 3] {
    let WriteSlotsState { taken, waiting, handed_on } = places;
    [
        ("wharfd_writers", Kind::Gauge, "Blobs that arrive and may take memory.", taken as u64),
        ("wharfd_writers_waiting", Kind::Gauge, "Blobs that wait for that.", waiting as u64),
        (
            "wharfd_writers_turns_total",
            Kind::Counter,
            "Turns that ended for another blob.",
            handed_on,
        ),
    ]
}

/// Rows about staged blobs.
fn of_deliveries(state: &OutboxState) -> [Single; 6] {
    [
        ("wharfd_pending_blobs", Kind::Gauge, "Blobs that wait for their upstream.", state.blobs),
        ("wharfd_pending_bytes", Kind::Gauge, "Sum of their sizes.", state.bytes),
        (
            "wharfd_pending_oldest_seconds",
            Kind::Gauge,
            "For how long the oldest of them waits.",
            state.oldest_seconds,
        ),
        (
            "wharfd_pending_refused_blobs",
            Kind::Gauge,
            "Of these, what the upstream refused.",
            state.refused,
        ),
        ("wharfd_delivered_blobs_total", Kind::Counter, "Blobs delivered.", state.delivered),
        (
            "wharfd_delivery_failures_total",
            Kind::Counter,
            "Tries to deliver a blob that failed.",
            state.failures,
        ),
    ]
}

/// Rows about the scrub in the background.
fn of_scrub(state: &ScrubState) -> [Single; 7] {
    [
        (
            "wharfd_scrub_rate_bytes",
            Kind::Gauge,
            "Bytes that the scrub may read in a second; 0 is off.",
            state.rate,
        ),
        ("wharfd_scrub_blobs_total", Kind::Counter, "Blobs that it has read.", state.blobs),
        ("wharfd_scrub_bytes_total", Kind::Counter, "Their bytes.", state.bytes),
        ("wharfd_scrub_damage_total", Kind::Counter, "Damage that it has found.", state.damage),
        ("wharfd_scrub_passes_total", Kind::Counter, "Times that it read all.", state.passes),
        (
            "wharfd_scrub_last_pass_timestamp_seconds",
            Kind::Gauge,
            "When it last had read all, since 1970; 0 before the first.",
            state.last_pass_seconds,
        ),
        (
            "wharfd_scrub_left_bytes",
            Kind::Gauge,
            "Bytes that it has still to read in this pass.",
            state.left_bytes,
        ),
    ]
}

/// Rows about the store.
fn of_store(usage: &Usage) -> impl Iterator<Item = Single> {
    let limit = usage.limit_bytes.map(|limit| {
        ("wharfd_store_limit_bytes", Kind::Gauge, "Most that the store may take on disk.", limit)
    });
    let gauges = [
        ("wharfd_store_disk_bytes", "What the store takes on disk.", usage.disk_bytes),
        ("wharfd_store_record_bytes", "Of these, all but the runs.", usage.record_bytes),
        ("wharfd_store_blobs", "Blobs in the store.", usage.blobs),
        ("wharfd_store_blob_bytes", "Sum of their sizes.", usage.blob_bytes),
        ("wharfd_store_cached_blobs", "Of these, what may be evicted.", usage.cached_blobs),
        ("wharfd_store_cached_bytes", "Of these, what may be evicted.", usage.cached_bytes),
        (
            "wharfd_store_quarantined_blobs",
            "Blobs whose bytes were found to be wrong.",
            usage.quarantined_blobs,
        ),
        ("wharfd_store_quarantined_bytes", "Sum of their sizes.", usage.quarantined_bytes),
        ("wharfd_store_hot_bytes", "Segments in memory for readers.", usage.hot_bytes),
        (
            "wharfd_store_in_flight_bytes",
            "Segments of blobs in flight in memory.",
            usage.in_flight_bytes,
        ),
        (
            "wharfd_store_part_bytes",
            "On disk, of downloads that broke off and can go on.",
            usage.part_bytes,
        ),
    ];
    let evicted = [
        ("wharfd_store_evicted_blobs_total", Kind::Counter, "Blobs evicted.", usage.evicted_blobs),
        (
            "wharfd_store_evicted_bytes_total",
            Kind::Counter,
            "Sum of the sizes of evicted blobs.",
            usage.evicted_bytes,
        ),
    ];
    let gauges = gauges.map(|(name, help, value)| (name, Kind::Gauge, help, value));
    limit.into_iter().chain(gauges).chain(evicted)
}
