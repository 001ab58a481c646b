//! The records of a blob: by its digest and by its number, in the order of use, and in the totals.
//!
//! Invariant: one batch writes or deletes all of them; its caller holds the lock of the digest.

use rocksdb::WriteBatch;
use wharf_oci::Digest;

use super::engine::Engine;
use super::records::{BlobRecord, NumberRecord, Totals};
use super::schema::{self, BLOBS, META, NUMBERS, RECENCY, TOTALS};
use crate::Result;
use crate::blob_info::Retention;

/// Adds the records of a blob to `batch`. The caller holds the lock of its digest.
pub(super) fn add_records(
    engine: &Engine,
    batch: &mut WriteBatch,
    digest: &Digest,
    blob: &BlobRecord,
) -> Result<()> {
    let key = schema::digest_key(digest);
    let used = match blob.retention {
        Retention::Cached => engine.recency.now(),
        Retention::Pending | Retention::Kept => 0,
    };
    if used > 0 {
        let order = schema::recency_key(used, blob.number);
        batch.put_cf(&engine.family(RECENCY)?, order, &key);
    }
    let numbered = NumberRecord { used, digest: *digest };
    let number = blob.number.to_be_bytes();
    batch.put_cf(&engine.family(NUMBERS)?, number, numbered.encode());
    batch.put_cf(&engine.family(BLOBS)?, &key, blob.encode());
    batch.merge_cf(&engine.family(META)?, TOTALS, Totals::of(blob).encode());
    Ok(())
}

/// Adds another retention of a known blob to `batch`. The caller holds the lock of its digest.
pub(super) fn retain(
    engine: &Engine,
    batch: &mut WriteBatch,
    digest: &Digest,
    known: &BlobRecord,
    retention: Retention,
) -> Result<()> {
    unpublish(engine, batch, digest, known)?;
    add_records(engine, batch, digest, &BlobRecord { retention, ..*known })
}

/// Deletes the records of a published blob in `batch`. The caller holds the lock of its digest.
pub(super) fn unpublish(
    engine: &Engine,
    batch: &mut WriteBatch,
    digest: &Digest,
    blob: &BlobRecord,
) -> Result<()> {
    batch.delete_cf(&engine.family(BLOBS)?, schema::digest_key(digest));
    batch.delete_cf(&engine.family(NUMBERS)?, blob.number.to_be_bytes());
    if let Some(numbered) = engine.number_record(blob.number)?.filter(|known| known.used > 0) {
        let key = schema::recency_key(numbered.used, blob.number);
        batch.delete_cf(&engine.family(RECENCY)?, key);
    }
    let change = Totals::of(blob).negative().encode();
    batch.merge_cf(&engine.family(META)?, TOTALS, change);
    Ok(())
}
