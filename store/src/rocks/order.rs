//! The order in which blobs were last read, for eviction. Reads are noted in memory and written in
//! heaps, so a read costs no write.
//!
//! Invariant: a cached blob has exactly one entry in the order on disk; a kept one has none.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rocksdb::WriteBatch;

use super::engine::{Engine, lock};
use super::records::Numbered;
use super::schema::{self, NUMBERS, RECENCY};
use crate::limits::TOUCHED_LEN_MAX;
use crate::{Result, StoreError};

#[derive(Debug, Default)]
pub(super) struct Order {
    last: AtomicU64,
    /// Number -> when it was read, not written yet.
    touched: Mutex<HashMap<u64, u64>>,
}

impl Order {
    /// A moment later than every one before: microseconds since 1970, unless the clock went back.
    pub(super) fn now(&self) -> u64 {
        let clock = now_ms().saturating_mul(1000);
        let next = |last: u64| clock.max(last + 1);
        let before =
            self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |l| Some(next(l)));
        next(before.unwrap_or_else(|last| last))
    }

    /// Notes a number was read; whether the notes should be written now.
    pub(super) fn touch(&self, number: u64) -> bool {
        let now = self.now();
        let mut touched = lock(&self.touched);
        touched.insert(number, now);
        touched.len() >= TOUCHED_LEN_MAX
    }
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The order of a moment in milliseconds since 1970.
pub(super) const fn of_ms(ms: u64) -> u64 {
    ms.saturating_mul(1000)
}

/// Writes what was noted.
pub(super) fn write_touched(engine: &Engine) -> Result<()> {
    let touched = std::mem::take(&mut *lock(&engine.order.touched));
    for (number, used) in touched {
        match write_one(engine, number, used) {
            // It keeps its place; the others must not.
            Err(StoreError::Corrupt { reason, .. }) => {
                tracing::error!(number, reason, "the record of a blob that was read is damaged");
            }
            written => written?,
        }
    }
    Ok(())
}

fn write_one(engine: &Engine, number: u64, used: u64) -> Result<()> {
    let Some(numbered) = engine.numbered(number)? else {
        return Ok(());
    };
    let _changing = engine.changing(&numbered.digest);
    // Looked at again under the lock: it may have been forgotten or published as kept.
    match engine.numbered(number)? {
        Some(numbered) if numbered.used > 0 && numbered.used < used => {
            move_to(engine, number, &numbered, used)
        }
        _ => Ok(()),
    }
}

fn move_to(engine: &Engine, number: u64, before: &Numbered, used: u64) -> Result<()> {
    let recency = engine.family(RECENCY)?;
    let mut batch = WriteBatch::default();
    batch.delete_cf(&recency, schema::recency_key(before.used, number));
    let digest = schema::digest_key(&before.digest);
    batch.put_cf(&recency, schema::recency_key(used, number), digest);
    let numbered = Numbered { used, digest: before.digest };
    batch.put_cf(&engine.family(NUMBERS)?, number.to_be_bytes(), numbered.encode());
    engine.write_soon(batch, "ordering", || before.digest.to_string())
}
