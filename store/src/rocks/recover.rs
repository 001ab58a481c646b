//! What a start does before anyone reads: bytes without a published digest are freed, epochs that
//! hold nothing are dropped, and the epoch that takes runs is found.
//!
//! Invariant: after it, every run belongs to a number that is published.

use std::collections::BTreeMap;

use rocksdb::IteratorMode;

use super::engine::{Engine, Epoch};
use super::lease;
use super::schema::{self, DOOMED, NUMBERS, Place};
use super::undecodable;
use crate::{Result, StoreError};

pub(super) fn recover(engine: &Engine) -> Result<()> {
    free_doomed(engine)?;
    let mut runs: BTreeMap<u32, u64> = BTreeMap::new();
    for (epoch, number) in runs_on_disk(engine)? {
        if engine.get(NUMBERS, &number.to_be_bytes())?.is_some() {
            *runs.entry(epoch).or_default() += 1;
        } else {
            lease::free(engine, number, Place::Epoch(epoch))?;
        }
    }
    choose_epoch(engine, &runs)
}

/// Blobs that were forgotten by a process that ended before it freed them.
fn free_doomed(engine: &Engine) -> Result<()> {
    let mut doomed = Vec::new();
    for entry in engine.db().iterator_cf(&engine.family(DOOMED)?, IteratorMode::Start) {
        let (key, value) = entry.map_err(|error| StoreError::database("listing", DOOMED, error))?;
        let number = schema::decode_number(&key);
        match (number, Place::decode(&value)) {
            (Some(number), Some(place)) => doomed.push((number, place)),
            _ => return Err(undecodable("reading", "a forgotten blob")),
        }
    }
    // An epoch that is gone took the bytes along; the record alone is left.
    for (number, place) in doomed {
        let place = if engine.family(&place.family()).is_ok() { place } else { Place::Small };
        lease::free(engine, number, place)?;
    }
    Ok(())
}

/// Epoch and number of every run. A run holds segments of one number.
fn runs_on_disk(engine: &Engine) -> Result<Vec<(u32, u64)>> {
    let files =
        engine.db().live_files().map_err(|error| StoreError::database("listing", "runs", error))?;
    let runs = files.iter().filter_map(|file| {
        let epoch = schema::parse_epoch(&file.column_family_name)?;
        Some((epoch, schema::decode_number(file.start_key.as_ref()?)?))
    });
    Ok(runs.collect())
}

fn choose_epoch(engine: &Engine, runs: &BTreeMap<u32, u64>) -> Result<()> {
    let path = engine.db().path();
    let families = rocksdb::DB::list_cf(&rocksdb::Options::default(), path)
        .map_err(|error| StoreError::database("listing", path.display().to_string(), error))?;
    let epochs: Vec<u32> = families.iter().filter_map(|name| schema::parse_epoch(name)).collect();
    let latest = epochs.iter().copied().max().unwrap_or(0);
    for epoch in epochs {
        if epoch != latest && !runs.contains_key(&epoch) {
            let family = schema::epoch_family(epoch);
            engine
                .db()
                .drop_cf(&family)
                .map_err(|error| StoreError::database("dropping", family, error))?;
        }
    }
    engine.set_epoch(Epoch { id: latest, runs: runs.get(&latest).copied().unwrap_or(0) });
    Ok(())
}
