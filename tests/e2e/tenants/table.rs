//! The result of a cell, as a row of the table.

use std::collections::BTreeMap;
use std::fmt;

use super::good::Measured;
use super::ground::{Access, Ground, Protocol};
use super::memory::{KEPT_BYTES_MAX, Left};
use super::pools::Pool;

const MIB: u64 = 1024 * 1024;
/// The most resident memory of `wharfd`, with any two parties.
const PEAK_BYTES_MAX: u64 = 256 * MIB;
/// The good party's least share of its rate.
const SHARE_MIN: f64 = 0.5;
/// Errors and responses shown for each cell.
const SHOWN: usize = 4;

/// One row of the table.
pub(super) struct Row {
    pool: Pool,
    access: Access,
    protocol: Protocol,
    before: Measured,
    during: Measured,
    resident_before: u64,
    peak: u64,
    left: Left,
    told: BTreeMap<String, usize>,
    /// Connections and waiting bytes, beside the siege.
    used: [u64; 2],
    /// The internal errors in the log of `wharfd`.
    faults: Vec<String>,
}

/// The most bytes of downloads in flight after the departure of the hostile two.
const DOWNLOADS_LEFT_BYTES_MAX: u64 = 8 << 20;

impl Row {
    #[expect(clippy::too_many_arguments, reason = "a row has many columns")]
    pub(super) fn new(
        pool: Pool,
        ground: &Ground,
        [before, during]: [Measured; 2],
        resident_before: u64,
        peak: u64,
        left: Left,
        told: BTreeMap<String, usize>,
        used: [u64; 2],
        log: &str,
    ) -> Self {
        let faults =
            log.lines().filter(|line| line.contains(" ERROR ") || line.contains("panicked"));
        let faults = faults.map(str::to_owned).collect();
        let (access, protocol) = (ground.access, ground.protocol);
        Self {
            pool,
            access,
            protocol,
            before,
            during,
            resident_before,
            peak,
            left,
            told,
            used,
            faults,
        }
    }

    fn share(&self) -> f64 {
        self.during.rate() / self.before.rate().max(f64::MIN_POSITIVE)
    }

    /// Whether nothing is wrong but the time.
    pub(super) fn is_slow(&self) -> bool {
        self.share() < SHARE_MIN && self.complaint(false).is_none()
    }

    fn wrongs(&self, timed: bool) -> Vec<String> {
        let mut wrongs = Vec::new();
        if !self.before.errors.is_empty() {
            wrongs.push(format!("errors before: {}", shown(&self.before.errors)));
        }
        if !self.during.errors.is_empty() {
            wrongs.push("errors".to_owned());
        }
        if self.peak >= PEAK_BYTES_MAX {
            wrongs.push(format!("{} MiB resident", self.peak / MIB));
        }
        if self.left.resident > self.resident_before + KEPT_BYTES_MAX {
            wrongs.push("memory does not return".to_owned());
        }
        // Unwanted downloads go on while their slots are not needed, and their batches count.
        let may_stay = if matches!(self.pool, Pool::Fills) { DOWNLOADS_LEFT_BYTES_MAX } else { 0 };
        if let Some(bytes) = self.left.in_flight.filter(|bytes| *bytes > may_stay) {
            wrongs.push(format!("{bytes} bytes stay in flight"));
        }
        if let Some(line) = self.faults.first() {
            wrongs.push(format!("it logged: {line}"));
        }
        if timed && self.share() < SHARE_MIN {
            let (time, what) = self.during.slowest;
            wrongs.push(format!("slow: {what} took {time:.1?}"));
        }
        wrongs
    }

    /// The row's failure.
    pub(super) fn complaint(&self, timed: bool) -> Option<String> {
        let wrongs = self.wrongs(timed);
        (!wrongs.is_empty()).then(|| format!("{self}: {}", wrongs.join(", ")))
    }
}

/// The first few of each kind, with their numbers.
fn shown(errors: &BTreeMap<String, usize>) -> String {
    let words = errors.iter().take(SHOWN).map(|(what, times)| format!("{times} {what}"));
    words.collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors: usize = self.during.errors.values().sum();
        let wrongs = self.wrongs(true);
        let verdict = if wrongs.is_empty() { "holds".to_owned() } else { wrongs.join(", ") };
        write!(
            f,
            "| {} | {} | {} | {:.1} | {:.1} | {:.0} % | {errors} {} | {} | {} | {} | {} | {} | {verdict} |",
            self.pool.name(),
            self.access,
            self.protocol,
            self.before.rate(),
            self.during.rate(),
            self.share() * 100.0,
            shown(&self.during.errors),
            self.peak / MIB,
            self.left.resident / MIB,
            self.used[0],
            self.used[1] / MIB,
            shown(&self.told),
        )
    }
}

/// All rows under their heads.
pub(super) fn of(rows: &[Row]) -> String {
    let head = "| pool | access | HTTP | rounds/s before | during | share | errors | peak MiB | \
                MiB after | connections | MiB in flight | the hostile are told | verdict |\n\
                | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
    rows.iter().fold(head.to_owned(), |table, row| table + &row.to_string() + "\n")
}
