//! How long requests take: fixed buckets of atomics, by class of route and class of status.
//!
//! Invariant: an observation is a few additions to atomics, for every request.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::page::{Kind, Page};

/// The class of a request's route, for metrics and the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RouteClass {
    /// A blob, or its headers.
    Blob,
    /// A manifest: reading, pushing, deleting.
    Manifest,
    /// An upload session.
    Upload,
    /// The tags of a repository.
    Tags,
    /// The referrers of a manifest.
    Referrers,
    /// All other requests, also those without a route.
    Other,
}

impl RouteClass {
    pub(super) const ALL: [Self; 6] =
        [Self::Blob, Self::Manifest, Self::Upload, Self::Tags, Self::Referrers, Self::Other];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Blob => "blob",
            Self::Manifest => "manifest",
            Self::Upload => "upload",
            Self::Tags => "tags",
            Self::Referrers => "referrers",
            Self::Other => "other",
        }
    }
}

/// Upper bounds of the buckets, in microseconds and as they are printed.
const BUCKETS: [(u64, &str); 17] = [
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (5_000_000, "5"),
    (10_000_000, "10"),
    (30_000_000, "30"),
    (60_000_000, "60"),
    (300_000_000, "300"),
];

/// Classes of status, from 1xx to 5xx.
pub(super) const STATUSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

#[derive(Default)]
struct Histogram {
    /// Not summed up: each counts durations in it and in none before.
    buckets: [AtomicU64; BUCKETS.len()],
    /// Past the last bound.
    over: AtomicU64,
    sum_micros: AtomicU64,
}

/// One duration of all requests.
#[derive(Default)]
pub(super) struct Latency {
    cells: [[Histogram; STATUSES.len()]; RouteClass::ALL.len()],
}

impl Histogram {
    fn observe(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().zip(&self.buckets).find(|((bound, _), _)| micros <= *bound);
        bucket.map_or(&self.over, |(_, bucket)| bucket).fetch_add(1, Ordering::Relaxed);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.buckets.iter().map(read).sum::<u64>() + read(&self.over)
    }

    /// Its count is that of its last bucket, also while others observe.
    fn render(&self, page: &mut Page, labels: super::page::Labels<'_>) {
        let mut so_far = 0;
        for ((_, le), bucket) in BUCKETS.iter().zip(&self.buckets) {
            so_far += bucket.load(Ordering::Relaxed);
            page.part("_bucket", labels, Some(le), so_far);
        }
        so_far += self.over.load(Ordering::Relaxed);
        page.part("_bucket", labels, Some("+Inf"), so_far);
        let sum = Duration::from_micros(self.sum_micros.load(Ordering::Relaxed));
        page.part("_sum", labels, None, sum.as_secs_f64());
        page.part("_count", labels, None, so_far);
    }
}

impl Latency {
    pub(super) fn observe(&self, route: RouteClass, status: http::StatusCode, time: Duration) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        let row = RouteClass::ALL.iter().zip(&self.cells).find(|(known, _)| **known == route);
        if let Some(cell) = row.and_then(|(_, row)| row.get(class)) {
            cell.observe(time);
        }
    }

    /// Successes of every class, so that rates have a start, and other statuses that occurred.
    pub(super) fn render(&self, page: &mut Page, name: &'static str, help: &str) {
        page.family(name, Kind::Histogram, help);
        for (route, row) in RouteClass::ALL.iter().zip(&self.cells) {
            for (status, cell) in STATUSES.iter().zip(row) {
                if *status == "2xx" || cell.count() > 0 {
                    cell.render(page, &[("route", route.as_str()), ("status", status)]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_falls_into_the_first_bucket_that_holds_it_and_into_all_above() {
        let latency = Latency::default();
        for micros in [1, 500, 501, 400_000_000] {
            let time = Duration::from_micros(micros);
            latency.observe(RouteClass::Blob, http::StatusCode::PARTIAL_CONTENT, time);
        }
        let mut page = Page::default();
        latency.render(&mut page, "x_seconds", "Help.");
        let text = page.finish();
        for (le, count) in [("0.0005", 2), ("0.001", 3), ("300", 3), ("+Inf", 4)] {
            let line =
                format!("x_seconds_bucket{{route=\"blob\",status=\"2xx\",le=\"{le}\"}} {count}\n");
            assert!(text.contains(&line), "{line}{text}");
        }
        assert!(text.contains("x_seconds_sum{route=\"blob\",status=\"2xx\"} 400.001002\n"));
        assert!(text.contains("x_seconds_count{route=\"manifest\",status=\"2xx\"} 0\n"));
        assert!(!text.contains("5xx"));
    }
}
