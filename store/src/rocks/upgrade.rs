//! Upgrades of older formats, when a store is opened.
//!
//! Invariant: every step can be repeated from its start, so the next start finishes an interrupted
//! upgrade; the marker changes after the last step.

use std::collections::HashMap;

use rocksdb::{IteratorMode, WriteBatch};

use super::engine::Engine;
use super::records::{BlobRecord, NumberRecord, Totals};
use super::schema::{self, BLOBS, HOLDERS, LINKS, META, NUMBERS, TOTALS};
use super::space::on_disk;
use super::{parents, referrers};
use crate::blob_info::Retention;
use crate::{Result, StoreError};

pub(super) fn upgrade(engine: &Engine, from: u32) -> Result<()> {
    tracing::info!(from, to = schema::FORMAT, "upgrading the format of the store");
    if from < 2 {
        to_2(engine)?;
    }
    // Format 3 added the journal, created by the open, pending blobs, and owners of uploads. Format
    // 2 had none of them, so its records stay as they are, and its uploads have no owner.
    if from < 4 {
        // Format 4 added the parents of digests, and a bound for referrer records.
        parents::rebuild(engine)?;
        referrers::cut(engine)?;
    }
    engine.sync()
}

/// Format 2 added sizes of runs, retention, totals, and the second direction of links. Format 1 had no
/// retention, so its blobs stay protected.
fn to_2(engine: &Engine) -> Result<()> {
    let run_bytes = run_bytes_by_number(engine)?;
    let mut totals = Totals::default();
    let (blobs, numbers) = (engine.family(BLOBS)?, engine.family(NUMBERS)?);
    for entry in engine.db().iterator_cf(&blobs, IteratorMode::Start) {
        let (key, value) = entry.map_err(|error| StoreError::database("listing", BLOBS, error))?;
        let blob = located_2(&value, &run_bytes)
            .ok_or_else(|| StoreError::undecodable("reading", BLOBS))?;
        let digest =
            schema::decode_digest(&key).ok_or_else(|| StoreError::undecodable("reading", BLOBS))?;
        totals = totals.plus(Totals::of(&blob));
        let numbered = NumberRecord { used: 0, digest };
        let mut batch = WriteBatch::default();
        batch.put_cf(&blobs, &key, blob.encode());
        batch.put_cf(&numbers, blob.number.to_be_bytes(), numbered.encode());
        engine.write_soon(batch, "upgrading", || digest.to_string())?;
    }
    let holders = engine.family(HOLDERS)?;
    for entry in engine.db().iterator_cf(&engine.family(LINKS)?, IteratorMode::Start) {
        let (key, _) = entry.map_err(|error| StoreError::database("listing", LINKS, error))?;
        let (repo, digest) =
            schema::decode_link(&key).ok_or_else(|| StoreError::undecodable("reading", LINKS))?;
        let mut batch = WriteBatch::default();
        batch.put_cf(&holders, schema::holder_key(&digest, &repo), []);
        engine.write_soon(batch, "upgrading", || format!("{repo}@{digest}"))?;
    }
    let mut batch = WriteBatch::default();
    batch.put_cf(&engine.family(META)?, TOTALS, totals.encode());
    engine.write(batch, "upgrading", || "the totals".to_owned())
}

fn located_2(value: &[u8], run_bytes: &HashMap<u64, u64>) -> Option<BlobRecord> {
    if let Some(blob) = BlobRecord::decode(value) {
        return Some(blob);
    }
    let (number, size_bytes, place) = BlobRecord::decode_format_1(value)?;
    let run_bytes = run_bytes.get(&number).copied().unwrap_or(0);
    Some(BlobRecord { number, size_bytes, place, run_bytes, retention: Retention::Kept })
}

fn run_bytes_by_number(engine: &Engine) -> Result<HashMap<u64, u64>> {
    let files =
        engine.db().live_files().map_err(|error| StoreError::database("listing", "runs", error))?;
    let mut bytes = HashMap::new();
    for file in files {
        let number = file.start_key.as_deref().and_then(schema::decode_number);
        if let (Some(number), Some(_)) = (number, schema::parse_epoch(&file.column_family_name)) {
            *bytes.entry(number).or_default() += on_disk(file.size as u64);
        }
    }
    Ok(bytes)
}
