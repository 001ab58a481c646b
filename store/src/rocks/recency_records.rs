//! Writes noted reads to the order of use on disk.
//!
//! Invariant: a cached blob has exactly one entry in the order on disk; a kept one has none.

use rocksdb::WriteBatch;

use super::engine::Engine;
use super::records::NumberRecord;
use super::schema::{self, NUMBERS, RECENCY};
use crate::{Result, StoreError};

/// Writes the noted reads.
pub(super) fn write_touched(engine: &Engine) -> Result<()> {
    let touched = engine.recency.take_touched();
    for (number, used) in touched {
        match write_one(engine, number, used) {
            // The damaged entry keeps its position; the others are written.
            Err(StoreError::Corrupt { reason, .. }) => {
                tracing::error!(number, reason, "the record of a blob that was read is damaged");
            }
            written => written?,
        }
    }
    Ok(())
}

fn write_one(engine: &Engine, number: u64, used: u64) -> Result<()> {
    let Some(numbered) = engine.number_record(number)? else {
        return Ok(());
    };
    let _changing = engine.changing(&numbered.digest);
    // Read again under the lock: the blob may be forgotten or protected by now.
    match engine.number_record(number)? {
        Some(numbered) if numbered.used > 0 && numbered.used < used => {
            move_to(engine, number, &numbered, used)
        }
        _ => Ok(()),
    }
}

fn move_to(engine: &Engine, number: u64, before: &NumberRecord, used: u64) -> Result<()> {
    let recency = engine.family(RECENCY)?;
    let mut batch = WriteBatch::default();
    batch.delete_cf(&recency, schema::recency_key(before.used, number));
    let digest = schema::digest_key(&before.digest);
    batch.put_cf(&recency, schema::recency_key(used, number), digest);
    let numbered = NumberRecord { used, digest: before.digest };
    batch.put_cf(&engine.family(NUMBERS)?, number.to_be_bytes(), numbered.encode());
    engine.write_soon(batch, "ordering", || before.digest.to_string())
}
