//! The periodic upkeep of a store.

use super::engine::Engine;
use super::lease::Leases;
use super::space::Reserve;
use super::{ballast, evict, parts, recency_records};
use crate::limits::{PART_TIME, SMALL_HEAP_BYTES};
use crate::{Result, StoreError};

/// Writes the order of use, measures the disk, and makes room in a store over its limit, or on a
/// full disk.
pub(super) fn look_after(engine: &Engine, leases: &Leases) -> Result<()> {
    recency_records::write_touched(engine)?;
    parts::forget_old(engine, leases, PART_TIME)?;
    evict::give_back_small(engine, SMALL_HEAP_BYTES)?;
    engine.measure_records()?;
    ballast::hold_again(engine, leases)?;
    if engine.space.reserve(engine.folder(), 0, Reserve::Written)?.is_err() {
        match evict::reserve(engine, leases, 0, Reserve::Written, "upkeep") {
            // Nothing is evictable; the next write gets the error.
            Err(StoreError::Full { .. }) => {}
            other => return other,
        }
    }
    Ok(())
}
