//! A store is opened: checked, upgraded, cleaned.
//!
//! Invariant: nothing is written into a folder before it is known to be a store of ours, or empty.

use std::path::Path;

use super::engine::Engine;
use super::{ballast, format, private, recover, schema, upgrade};
use crate::limits::LIMIT_BYTES_MIN;
use crate::upkeep::StoreOptions;
use crate::{Result, StoreError};

/// The engine of the store in `folder`, which is made when the folder is empty or missing.
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
