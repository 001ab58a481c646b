//! The start of a store: check, upgrade, recovery.
//!
//! Invariant: nothing is written into a folder before it is known as a store of ours, or empty.

use std::path::Path;

use super::engine::Engine;
use super::{ballast, format, private, recover, schema, upgrade};
use crate::limits::LIMIT_BYTES_MIN;
use crate::upkeep::StoreOptions;
use crate::{Result, StoreError};

/// Opens the store in `folder`; an absent or empty folder becomes a new store.
pub(super) fn open(folder: &Path, how: &StoreOptions) -> Result<Engine> {
    if let Some(limit_bytes) = how.limit_bytes.filter(|limit| *limit < LIMIT_BYTES_MIN) {
        return Err(StoreError::LimitTooSmall { limit_bytes, least_bytes: LIMIT_BYTES_MIN });
    }
    let format = format::claim(folder)?;
    private::require_own(folder)?;
    private::mend(folder);
    ballast::release_if_full(folder)?;
    let engine = Engine::open(folder, how)?;
    if format < schema::FORMAT {
        upgrade::upgrade(&engine, format)?;
        format::mark(folder)?;
    }
    engine.start_numbers(recover::next_number(&engine)?);
    engine.clear_incoming()?;
    recover::recover(&engine)?;
    ballast::hold(&engine)?;
    Ok(engine)
}
