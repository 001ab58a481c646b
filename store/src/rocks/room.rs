//! Disk space reserved for the segments of one blob before they come.
//!
//! Invariant: a drop gives back what no segment has taken.

use std::sync::Arc;

use super::engine::Engine;
use super::evict;
use super::lease::Leases;
use super::space::Reserve;
use crate::Result;

/// The reserved bytes of one blob.
pub(super) struct Room {
    engine: Arc<Engine>,
    bytes: u64,
}

impl Room {
    pub(super) const fn none(engine: Arc<Engine>) -> Self {
        Self { engine, bytes: 0 }
    }

    /// Reserves so many bytes, instead of those before.
    pub(super) fn make(&mut self, leases: &Leases, bytes: u64, key: &str) -> Result<()> {
        self.give_back();
        evict::reserve(&self.engine, leases, bytes, Reserve::Ahead, key)?;
        self.bytes = bytes;
        Ok(())
    }

    /// Space for bytes that are written now: from the reservation first, then from the store.
    pub(super) fn take(&mut self, leases: &Leases, bytes: u64, key: &str) -> Result<()> {
        let reserved = bytes.min(self.bytes);
        if bytes > reserved {
            evict::reserve(&self.engine, leases, bytes - reserved, Reserve::Written, key)?;
        }
        self.engine.space.spend(reserved);
        self.bytes -= reserved;
        Ok(())
    }

    fn give_back(&mut self) {
        self.engine.space.release_ahead(std::mem::take(&mut self.bytes));
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.give_back();
    }
}
