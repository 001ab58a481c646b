//! The records that lead to a blob: of its digest, its number, its place in the order of use, and its
//! share of the totals.
//!
//! Invariant: they come and go in one batch; whoever changes them holds the lock of the digest.

use rocksdb::WriteBatch;
use wharf_oci::Digest;

use super::engine::Engine;
use super::records::{Hold, Located, Numbered, Totals};
use super::schema::{self, BLOBS, META, NUMBERS, RECENCY, TOTALS};
use crate::Result;

/// Adds to `batch` what leads to a blob. The caller holds the lock of its digest.
pub(super) fn add_records(
    engine: &Engine,
    batch: &mut WriteBatch,
    digest: &Digest,
    located: &Located,
) -> Result<()> {
    let key = schema::digest_key(digest);
    let used = match located.hold {
        Hold::Cached => engine.recency.now(),
        Hold::Pending | Hold::Kept => 0,
    };
    if used > 0 {
        let order = schema::recency_key(used, located.number);
        batch.put_cf(&engine.family(RECENCY)?, order, &key);
    }
    let numbered = Numbered { used, digest: *digest };
    let number = located.number.to_be_bytes();
    batch.put_cf(&engine.family(NUMBERS)?, number, numbered.encode());
    batch.put_cf(&engine.family(BLOBS)?, &key, located.encode());
    batch.merge_cf(&engine.family(META)?, TOTALS, Totals::of(located).encode());
    Ok(())
}

/// Adds to `batch` that a known blob is held otherwise. The caller holds the lock of its digest.
pub(super) fn hold(
    engine: &Engine,
    batch: &mut WriteBatch,
    digest: &Digest,
    known: &Located,
    hold: Hold,
) -> Result<()> {
    unpublish(engine, batch, digest, known)?;
    add_records(engine, batch, digest, &Located { hold, ..*known })
}

/// Adds to `batch` what makes a published blob unknown. The caller holds its lock.
pub(super) fn unpublish(
    engine: &Engine,
    batch: &mut WriteBatch,
    digest: &Digest,
    located: &Located,
) -> Result<()> {
    batch.delete_cf(&engine.family(BLOBS)?, schema::digest_key(digest));
    batch.delete_cf(&engine.family(NUMBERS)?, located.number.to_be_bytes());
    if let Some(numbered) = engine.numbered(located.number)?.filter(|known| known.used > 0) {
        let key = schema::recency_key(numbered.used, located.number);
        batch.delete_cf(&engine.family(RECENCY)?, key);
    }
    let change = Totals::of(located).negative().encode();
    batch.merge_cf(&engine.family(META)?, TOTALS, change);
    Ok(())
}
