//! How a blob leaves: removed, evicted, or put into quarantine. One batch takes everything that
//! leads to it; its bytes go later.
//!
//! Invariant: whoever changes what a digest leads to holds the lock of that digest.

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

/// Adds to `batch` that the bytes are to be freed; also what is left to do for that.
pub(super) fn doom(engine: &Engine, batch: &mut WriteBatch, blob: &BlobRecord) -> Result<Remains> {
    let doomed = DoomedRecord::of(blob);
    batch.put_cf(&engine.family(DOOMED)?, blob.number.to_be_bytes(), doomed.encode());
    Ok(Remains { number: blob.number, doomed })
}

/// Forgets a blob; what is left to free, or `None` when it is not here. The caller holds its lock.
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

/// Makes a blob unknown whose bytes are wrong, and keeps them for a look; `false` when another blob
/// has the digest by now. What is owed for it stays owed, so that whoever delivers it learns of this.
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
