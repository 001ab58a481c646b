//! A blob leaves the store: removed, evicted, or put into quarantine. One batch deletes its
//! records; its bytes are freed later.
//!
//! Invariant: every change of a digest's records holds the lock of the digest.

use rocksdb::WriteBatch;
use wharf_oci::Digest;

use super::blob_records::unpublish;
use super::engine::Engine;
use super::journal;
use super::lease::Remains;
use super::recency::now_ms;
use super::records::{BlobRecord, DoomedRecord, QuarantineRecord};
use super::schema::{self, DOOMED, QUARANTINE};
use crate::Result;

/// Marks the bytes of a blob as doomed in `batch`; returns them for the reaper.
pub(super) fn doom(engine: &Engine, batch: &mut WriteBatch, blob: &BlobRecord) -> Result<Remains> {
    let doomed = DoomedRecord::of(blob);
    batch.put_cf(&engine.family(DOOMED)?, blob.number.to_be_bytes(), doomed.encode());
    Ok(Remains { number: blob.number, doomed })
}

/// Forgets a blob; returns its bytes for the reaper, or `None` when it is not here. The caller
/// holds the lock of its digest.
pub(super) fn remove(engine: &Engine, digest: &Digest) -> Result<Option<Remains>> {
    let Some(blob) = engine.blob_record(digest)? else {
        return Ok(None);
    };
    let mut batch = WriteBatch::default();
    unpublish(engine, &mut batch, digest, &blob)?;
    journal::complete_all(engine, &mut batch, digest)?;
    let remains = doom(engine, &mut batch, &blob)?;
    engine.write(batch, "removing", || digest.to_string())?;
    Ok(Some(remains))
}

/// Puts a damaged blob into quarantine: its records go, its bytes stay. `false` when the digest
/// belongs to another blob by now. Its deliveries stay pending, so the next try reports the damage.
pub(super) fn quarantine(engine: &Engine, number: u64, reason: &str) -> Result<bool> {
    let Some(numbered) = engine.number_record(number)? else {
        return Ok(false);
    };
    let digest = numbered.digest;
    let _changing = engine.changing(&digest);
    let Some(blob) = engine.blob_record(&digest)?.filter(|blob| blob.number == number) else {
        return Ok(false);
    };
    let mut batch = WriteBatch::default();
    unpublish(engine, &mut batch, &digest, &blob)?;
    let record = QuarantineRecord { blob, found_ms: now_ms(), reason: reason.to_owned() };
    let key = schema::quarantine_key(number, &digest);
    batch.put_cf(&engine.family(QUARANTINE)?, key, record.encode());
    engine.write(batch, "putting into quarantine", || digest.to_string())?;
    engine.segment_cache.forget(number);
    tracing::error!(%digest, number, reason, "a stored blob is damaged; it is in quarantine now");
    Ok(true)
}
