//! Scrub and verification: every blob is hashed again, every record decoded and compared.
//!
//! Invariant: a check changes nothing but the quarantine and its own cursor, and never the order of
//! use.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rocksdb::{Direction, IteratorMode, WriteBatch};
use wharf_oci::{Digest, Digester};

use super::engine::Engine;
use super::read::SegmentSource;
use super::records::NumberRecord;
use super::schema::{self, META, NUMBERS, SCRUB_CURSOR};
use super::{RocksStore, consistency, forget};
use crate::blob::BlobReader;
use crate::blob_info::BlobInfo;
use crate::limits::{DAMAGE_LEN_MAX, EVICTION_PAGE_LEN, SCRUB_CURSOR_BYTES};
use crate::upkeep::{Damage, Progress, ScrubPlan, ScrubReport, Watch};
use crate::{Result, StoreError};

impl RocksStore {
    /// Hashes every blob again, from the cursor of the last scrub. Damaged blobs are reported, and
    /// put into quarantine when the plan says so. Blocks for as long as reading everything takes.
    pub fn scrub(&self, plan: &ScrubPlan, watch: Watch<'_>) -> Result<ScrubReport> {
        let start = if plan.from_start { 0 } else { cursor(&self.engine)? };
        let mut pass = Pass::new(self, *plan, true)?;
        pass.run(start, watch)?;
        if pass.found.complete {
            consistency::check(&self.engine, &mut pass.found)?;
            remember(&self.engine, 0)?;
        }
        Ok(pass.found)
    }

    /// Hashes every blob again and compares every record with every other. Changes nothing.
    pub fn verify(&self, watch: Watch<'_>) -> Result<ScrubReport> {
        let plan = ScrubPlan { bytes_per_second: None, from_start: true, quarantine: false };
        let mut pass = Pass::new(self, plan, false)?;
        pass.run(0, watch)?;
        consistency::check(&self.engine, &mut pass.found)?;
        Ok(pass.found)
    }
}

impl ScrubReport {
    /// Adds a damage; past a bound it only counts.
    pub(super) fn add(&mut self, damage: Damage) {
        if self.damage.len() < DAMAGE_LEN_MAX {
            self.damage.push(damage);
        } else {
            self.more_damage += 1;
        }
    }

    pub(super) fn add_records(&mut self, family: &str, reason: impl Into<String>) {
        let (records, reason) = (Some(family.to_owned()), reason.into());
        self.add(Damage { digest: None, records, reason, quarantined: false });
    }
}

/// Longest pause of a rate-limited scrub between two checks for a stop.
const PAUSE_MAX: Duration = Duration::from_millis(100);

struct Pass<'a> {
    store: &'a RocksStore,
    plan: ScrubPlan,
    remembers: bool,
    found: ScrubReport,
    progress: Progress,
    /// For the rate: start and bytes.
    since: Instant,
    unsaved_bytes: u64,
}

impl<'a> Pass<'a> {
    fn new(store: &'a RocksStore, plan: ScrubPlan, remembers: bool) -> Result<Self> {
        let totals = store.engine.totals()?;
        let progress = Progress {
            total: totals.blobs.max(0).cast_unsigned(),
            total_bytes: totals.bytes.max(0).cast_unsigned(),
            ..Progress::default()
        };
        let (found, since) = (ScrubReport::default(), Instant::now());
        Ok(Self { store, plan, remembers, found, progress, since, unsaved_bytes: 0 })
    }

    /// Checks every number from `start` on. A damaged page of records ends the pass with a report.
    fn run(&mut self, start: u64, watch: Watch<'_>) -> Result<()> {
        let mut next = start;
        loop {
            let page = match page(&self.store.engine, next) {
                Ok(page) => page,
                Err(StoreError::Corrupt { reason, .. }) => {
                    self.found.add_records(NUMBERS, reason);
                    self.found.complete = true;
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            if page.is_empty() {
                self.found.complete = true;
                return Ok(());
            }
            for (number, numbered) in page {
                // An interrupted blob is read again by the next pass.
                if self.check(number, &numbered, watch)? {
                    return self.stop_at(number);
                }
                next = number + 1;
                if watch(&self.progress).is_break() {
                    return self.stop_at(next);
                }
                if self.unsaved_bytes >= SCRUB_CURSOR_BYTES {
                    self.stop_at(next)?;
                }
            }
        }
    }

    fn stop_at(&mut self, number: u64) -> Result<()> {
        self.unsaved_bytes = 0;
        if self.remembers { remember(&self.store.engine, number) } else { Ok(()) }
    }

    /// Checks one blob; whether the pass has to stop within it.
    fn check(&mut self, number: u64, numbered: &NumberRecord, watch: Watch<'_>) -> Result<bool> {
        let digest = numbered.digest;
        let mut reader = match open(self.store, number, &digest) {
            Ok(Some(reader)) => reader,
            Ok(None) => return Ok(false),
            Err(StoreError::Corrupt { reason, .. }) => {
                let (digest, quarantined) = (Some(digest), false);
                self.found.add(Damage { digest, records: None, reason, quarantined });
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let size_bytes = reader.info().size_bytes;
        let mut digester = Digester::new(digest.algorithm());
        let reason = loop {
            match reader.next_segment() {
                Ok(Some(segment)) => {
                    digester.update(&segment);
                    if self.count(segment.len() as u64, watch).is_break() {
                        return Ok(true);
                    }
                }
                Ok(None) => {
                    break digester.finish().expect(&digest).err().map(|wrong| wrong.to_string());
                }
                Err(StoreError::Corrupt { reason, .. }) => break Some(reason),
                Err(error) => return Err(error),
            }
        };
        drop(reader);
        self.found.blobs += 1;
        self.found.bytes += size_bytes;
        self.progress.done += 1;
        if let Some(reason) = reason {
            let quarantined =
                self.plan.quarantine && forget::quarantine(&self.store.engine, number, &reason)?;
            self.found.add(Damage { digest: Some(digest), records: None, reason, quarantined });
        }
        Ok(false)
    }

    /// Counts bytes, and waits to keep the rate. The thread has no other work, and never serves
    /// requests.
    #[expect(clippy::disallowed_methods, reason = "time is what is waited for here")]
    fn count(&mut self, bytes: u64, watch: Watch<'_>) -> ControlFlow<()> {
        self.progress.done_bytes += bytes;
        self.unsaved_bytes += bytes;
        let rate = self.plan.bytes_per_second.filter(|rate| *rate > 0);
        let due = rate.map_or(0, |rate| self.progress.done_bytes.saturating_mul(1_000_000) / rate);
        let due = Duration::from_micros(due);
        loop {
            watch(&self.progress)?;
            let left = due.saturating_sub(self.since.elapsed());
            if left.is_zero() {
                return ControlFlow::Continue(());
            }
            std::thread::sleep(left.min(PAUSE_MAX));
        }
    }
}

/// A reader for a check: it reads from disk only, and does not count as a use.
fn open(store: &RocksStore, number: u64, digest: &Digest) -> Result<Option<BlobReader>> {
    let lease = store.reaper.lease(number);
    let blob = store.engine.blob_record(digest)?.filter(|blob| blob.number == number);
    Ok(blob.map(|blob| {
        let info = BlobInfo { digest: *digest, size_bytes: blob.size_bytes };
        let source = SegmentSource::checked(Arc::clone(&store.engine), blob, lease);
        BlobReader::new(info, Arc::new(source))
    }))
}

/// The next published numbers.
fn page(engine: &Engine, from: u64) -> Result<Vec<(u64, NumberRecord)>> {
    let family = engine.family(NUMBERS)?;
    let from = from.to_be_bytes();
    let mode = IteratorMode::From(&from, Direction::Forward);
    let entries = engine.db().iterator_cf(&family, mode).take(EVICTION_PAGE_LEN).map(|entry| {
        let (key, value) =
            entry.map_err(|error| StoreError::database("listing", NUMBERS, error))?;
        schema::decode_number(&key)
            .zip(NumberRecord::decode(&value))
            .ok_or_else(|| StoreError::undecodable("listing", NUMBERS))
    });
    entries.collect()
}

fn cursor(engine: &Engine) -> Result<u64> {
    let value = engine.get(META, SCRUB_CURSOR)?;
    Ok(value.and_then(|value| schema::decode_number(&value)).unwrap_or(0))
}

fn remember(engine: &Engine, number: u64) -> Result<()> {
    let mut batch = WriteBatch::default();
    batch.put_cf(&engine.family(META)?, SCRUB_CURSOR, number.to_be_bytes());
    engine.write_soon(batch, "remembering", || "where the scrub is".to_owned())
}
