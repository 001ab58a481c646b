//! The recovery of a start, before any reader: bytes without a record are freed, uploads at rest
//! are cut to their saved state, empty epochs are dropped, and the rest is counted.
//!
//! Invariant: after it, every run belongs to a blob, an upload at rest or the quarantine.

use std::collections::{BTreeMap, HashMap, HashSet};

use rocksdb::{IteratorMode, LiveFile, WriteBatch};

use super::engine::Engine;
use super::freeing::free;
use super::lease::Remains;
use super::records::{BlobRecord, DoomedRecord, Session, Totals};
use super::schema::{
    self, BLOBS, DOOMED, META, NEXT_NUMBER, NUMBERS, Place, QUARANTINE, SESSIONS, SMALL, TOTALS,
};
use super::space::on_disk;
use crate::limits::NUMBERS_RESERVED;
use crate::{Result, StoreError};

pub(super) fn recover(engine: &Engine) -> Result<()> {
    count_runs(engine)?;
    count_blobs(engine)?;
    free_doomed(engine)?;
    let saved: HashMap<u64, u64> =
        sessions(engine)?.iter().map(|session| (session.number, session.segments)).collect();
    let quarantined = quarantined_numbers(engine)?;
    for run in runs_on_disk(engine)? {
        if let Some(segments) = saved.get(&run.number) {
            if run.first_segment >= *segments {
                // Ingested after the last save of the upload: the client sends these bytes again.
                engine.delete_runs(run.epoch, run.number, *segments)?;
            }
        } else if !quarantined.contains(&run.number) && is_unowned(engine, run.number)? {
            let doomed = DoomedRecord { place: Place::Epoch(run.epoch), bytes: run.bytes };
            free(engine, &Remains { number: run.number, doomed })?;
        }
    }
    drop_empty_epochs(engine)?;
    count_runs(engine)?;
    engine.measure_records()
}

/// Whether no record has this number. Bytes with an unreadable record are taken as owned.
fn is_unowned(engine: &Engine, number: u64) -> Result<bool> {
    match engine.get(NUMBERS, &number.to_be_bytes()) {
        Ok(record) => Ok(record.is_none()),
        Err(StoreError::Corrupt { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Every upload at rest. A malformed record is skipped with an error in the log, and its bytes are
/// freed.
pub(super) fn sessions(engine: &Engine) -> Result<Vec<Session>> {
    let family = engine.family(SESSIONS)?;
    let mut sessions = Vec::new();
    for entry in engine.db().iterator_cf(&family, IteratorMode::Start) {
        let (key, value) =
            entry.map_err(|error| StoreError::database("listing", SESSIONS, error))?;
        if let Some(session) = Session::decode(&key, &value) {
            sessions.push(session);
        } else {
            tracing::error!("the record of an upload is damaged; the upload is forgotten");
        }
        if sessions.len() >= crate::limits::UPLOADS_MAX {
            break;
        }
    }
    Ok(sessions)
}

fn quarantined_numbers(engine: &Engine) -> Result<HashSet<u64>> {
    let family = engine.family(QUARANTINE)?;
    let entries = engine.db().iterator_cf(&family, IteratorMode::Start).map(|entry| {
        let (key, _) = entry.map_err(|error| StoreError::database("listing", QUARANTINE, error))?;
        schema::decode_number(&key).ok_or_else(|| StoreError::undecodable("listing", QUARANTINE))
    });
    entries.collect()
}

/// Frees blobs forgotten by an earlier process before it freed their bytes.
fn free_doomed(engine: &Engine) -> Result<()> {
    let mut doomed = Vec::new();
    for entry in engine.db().iterator_cf(&engine.family(DOOMED)?, IteratorMode::Start) {
        let (key, value) = entry.map_err(|error| StoreError::database("listing", DOOMED, error))?;
        match (schema::decode_number(&key), DoomedRecord::decode(&value)) {
            (Some(number), Some(found)) => doomed.push((number, found)),
            _ => return Err(StoreError::undecodable("reading", "a forgotten blob")),
        }
    }
    for (number, doomed) in doomed {
        free(engine, &Remains { number, doomed })?;
    }
    Ok(())
}

/// A run has segments of one number.
struct RunOnDisk {
    epoch: u32,
    number: u64,
    first_segment: u64,
    bytes: u64,
}

fn live_files(engine: &Engine) -> Result<Vec<LiveFile>> {
    engine.db().live_files().map_err(|error| StoreError::database("listing", "runs", error))
}

fn runs_on_disk(engine: &Engine) -> Result<Vec<RunOnDisk>> {
    let files = live_files(engine)?;
    let runs = files.iter().filter_map(|file| {
        let epoch = schema::parse_epoch(&file.column_family_name)?;
        let (number, first_segment) = schema::decode_segment(file.start_key.as_ref()?)?;
        let bytes = on_disk(file.size as u64);
        Some(RunOnDisk { epoch, number, first_segment, bytes })
    });
    Ok(runs.collect())
}

fn epochs(engine: &Engine) -> Result<Vec<u32>> {
    let path = engine.db().path();
    let families = rocksdb::DB::list_cf(&rocksdb::Options::default(), path)
        .map_err(|error| StoreError::database("listing", path.display().to_string(), error))?;
    Ok(families.iter().filter_map(|name| schema::parse_epoch(name)).collect())
}

/// Unreadable totals are counted anew, over the readable blobs.
fn count_blobs(engine: &Engine) -> Result<()> {
    match engine.totals() {
        Err(StoreError::Corrupt { reason, .. }) => {
            tracing::error!(reason, "the totals of the store are damaged; they are counted anew");
        }
        other => return other.map(|_| ()),
    }
    let mut totals = Totals::default();
    for entry in engine.db().iterator_cf(&engine.family(BLOBS)?, IteratorMode::Start) {
        let Ok((_, value)) = entry else { break };
        if let Some(blob) = BlobRecord::decode(&value) {
            totals = totals.plus(Totals::of(&blob));
        }
    }
    let mut batch = WriteBatch::default();
    batch.put_cf(&engine.family(META)?, TOTALS, totals.encode());
    engine.write(batch, "counting", || "blobs".to_owned())
}

/// The first unused number.
pub(super) fn next_number(engine: &Engine) -> Result<u64> {
    let stored = match engine.get(META, NEXT_NUMBER) {
        Ok(None) => return Ok(1),
        Ok(Some(value)) => value.try_into().ok(),
        Err(StoreError::Corrupt { .. }) => None,
        Err(error) => return Err(error),
    };
    match stored {
        Some(number) => Ok(u64::from_be_bytes(number)),
        None => number_after_all(engine),
    }
}

/// The first number after all bytes on disk, for a store with an unreadable counter.
fn number_after_all(engine: &Engine) -> Result<u64> {
    let runs = runs_on_disk(engine)?.into_iter().map(|run| run.number);
    let small = engine.db().iterator_cf(&engine.family(SMALL)?, IteratorMode::End).next();
    let small = small.and_then(|entry| schema::decode_number(&entry.ok()?.0));
    let highest = runs.chain(small).max().unwrap_or(0);
    // Used numbers without bytes on disk are skipped.
    Ok(highest + 2 * NUMBERS_RESERVED)
}

/// Counts the runs of each epoch. The latest epoch takes the next runs.
fn count_runs(engine: &Engine) -> Result<()> {
    let latest = epochs(engine)?.into_iter().max().unwrap_or(0);
    let (mut bytes, mut runs) = (BTreeMap::<u32, u64>::new(), 0);
    for run in runs_on_disk(engine)? {
        *bytes.entry(run.epoch).or_default() += run.bytes;
        runs += u64::from(run.epoch == latest);
    }
    engine.space.found(latest, runs, bytes);
    Ok(())
}

/// Drops epochs without a run, except the latest.
fn drop_empty_epochs(engine: &Engine) -> Result<()> {
    let held: HashSet<u32> = runs_on_disk(engine)?.iter().map(|run| run.epoch).collect();
    let epochs = epochs(engine)?;
    let latest = epochs.iter().copied().max();
    for epoch in epochs {
        if Some(epoch) != latest && !held.contains(&epoch) {
            let family = schema::epoch_family(epoch);
            engine
                .db()
                .drop_cf(&family)
                .map_err(|error| StoreError::database("dropping", family, error))?;
        }
    }
    Ok(())
}
