//! Freed bytes of blobs, runs and small ones.

use rocksdb::WriteBatch;

use super::engine::Engine;
use super::lease::Remains;
use super::schema::{self, DOOMED, Place, SMALL};
use crate::limits::SMALL_BLOB_SEGMENTS_MAX;
use crate::{Result, StoreError};

/// Frees the bytes of a number. A failed call may be repeated: the count changes last.
pub(super) fn free(engine: &Engine, remains: &Remains) -> Result<()> {
    let Remains { number, doomed } = *remains;
    engine.segment_cache.forget(number);
    let mut batch = WriteBatch::default();
    match doomed.place {
        Place::Epoch(epoch) => engine.delete_runs(epoch, number, 0)?,
        Place::Small => {
            let family = engine.family(SMALL)?;
            for index in 0..engine.small_blob_segments.max(SMALL_BLOB_SEGMENTS_MAX) as u64 {
                batch.delete_cf(&family, schema::segment_key(number, index));
            }
        }
    }
    batch.delete_cf(&engine.family(DOOMED)?, number.to_be_bytes());
    engine.write_soon(batch, "freeing", || format!("blob number {number}"))?;
    match doomed.place {
        Place::Epoch(epoch) => freed_runs(engine, epoch, doomed.bytes),
        Place::Small => {
            // Not earlier: a rewrite of the table would find no deletions yet.
            engine.small_heap(doomed.bytes);
            Ok(())
        }
    }
}

/// Subtracts deleted runs from the count, and drops their epoch when it is empty.
fn freed_runs(engine: &Engine, epoch: u32, run_bytes: u64) -> Result<()> {
    let family = schema::epoch_family(epoch);
    engine.space.freed(epoch, run_bytes, || {
        let dropped = engine.db().drop_cf(&family);
        dropped.map_err(|error| StoreError::database("dropping", family.clone(), error))
    })
}
