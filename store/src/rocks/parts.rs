//! The lifetime of parts.
//!
//! Invariant: a forgotten part frees its bytes, unless a reader still has them.

use std::collections::VecDeque;
use std::time::Duration;

use super::engine::Engine;
use super::freeing;
use super::lease::{Leases, Remains};
use super::part_pool::{Part, bytes_of};
use super::records::DoomedRecord;
use super::schema::Place;
use crate::Result;
use crate::limits::{PARTS_BYTES_MAX, PARTS_MAX, PARTS_SHARE};

/// Keeps a part, and forgets the oldest ones past the bounds.
pub(super) fn keep(engine: &Engine, leases: &Leases, part: Part) -> Result<()> {
    let before = engine.parts.take(&part.key);
    engine.parts.push(part);
    let share = engine.space.limit_bytes().map_or(PARTS_BYTES_MAX, |limit| limit / PARTS_SHARE);
    let most = share.min(PARTS_BYTES_MAX);
    let over = |parts: &VecDeque<Part>| parts.len() > PARTS_MAX || bytes_of(parts) > most;
    let gone = engine.parts.take_while(over);
    free_all(engine, leases, before.into_iter().chain(gone)).map(|_| ())
}

/// Forgets parts older than `time`.
pub(super) fn forget_old(engine: &Engine, leases: &Leases, time: Duration) -> Result<()> {
    let old = engine
        .parts
        .take_while(|parts| parts.front().is_some_and(|part| part.since.elapsed() >= time));
    free_all(engine, leases, old).map(|_| ())
}

/// Forgets the oldest parts until so many bytes are free; returns the freed bytes.
pub(super) fn forget(engine: &Engine, leases: &Leases, bytes: u64) -> Result<u64> {
    let all = engine.parts.usage().1;
    let gone = engine.parts.take_while(|parts| all.saturating_sub(bytes_of(parts)) < bytes);
    free_all(engine, leases, gone)
}

/// Forgets all parts, when the store is closed.
pub(super) fn forget_all(engine: &Engine, leases: &Leases) -> Result<u64> {
    forget(engine, leases, u64::MAX)
}

/// Frees the bytes of parts; returns their number.
pub(super) fn free_all(
    engine: &Engine,
    leases: &Leases,
    parts: impl IntoIterator<Item = Part>,
) -> Result<u64> {
    let mut freed = 0;
    for Part { lease, epoch, run_bytes, .. } in parts {
        let doomed = DoomedRecord { place: Place::Epoch(epoch), bytes: run_bytes };
        let remains = Remains { number: lease.number(), doomed };
        drop(lease);
        // The last reader frees the bytes later.
        if leases.doom(remains) {
            freeing::free(engine, &remains)?;
        }
        freed += run_bytes;
    }
    Ok(freed)
}
