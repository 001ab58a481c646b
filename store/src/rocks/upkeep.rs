//! What a store does for itself from time to time.

use super::engine::Engine;
use super::lease::Leases;
use super::{ballast, evict, parts, touched};
use crate::limits::{PART_TIME, SMALL_HEAP_BYTES};
use crate::{Result, StoreError};

/// What is done from time to time: the order of use is written, the disk looked at, and a store
/// that grew over its limit, or a disk others fill, gets room.
pub(super) fn look_after(engine: &Engine, leases: &Leases) -> Result<()> {
    touched::write_touched(engine)?;
    parts::forget_old(engine, leases, PART_TIME)?;
    evict::give_back_small(engine, SMALL_HEAP_BYTES)?;
    engine.measure_records()?;
    ballast::hold_again(engine, leases)?;
    if engine.space.reserve(engine.folder(), 0)?.is_err() {
        match evict::reserve(engine, leases, 0, "upkeep") {
            // Nothing may go; whoever writes is told.
            Err(StoreError::Full { .. }) => {}
            other => return other,
        }
    }
    Ok(())
}
