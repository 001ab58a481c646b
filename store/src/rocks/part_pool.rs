//! Parts of blobs that somebody may go on with: their segments are on disk, their hashes here.
//!
//! Invariants: a part keeps a lease on its number, so its bytes are nobody else's and counted as any
//! run; no record names it, so the next start frees it.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Instant;

use wharf_oci::HashState;

use super::lease::Lease;
use crate::lock::lock;
use crate::part_key::PartKey;

/// All parts, the oldest first. They hold leases: whoever closes the store takes them all.
#[derive(Default)]
pub(super) struct PartPool(Mutex<VecDeque<Part>>);

/// The begin of a blob.
pub(super) struct Part {
    pub(super) key: PartKey,
    pub(super) size_bytes: u64,
    pub(super) lease: Lease,
    pub(super) epoch: u32,
    /// What its runs take on disk.
    pub(super) run_bytes: u64,
    pub(super) segments: u64,
    /// Of all of them.
    pub(super) hash: HashState,
    pub(super) since: Instant,
}

impl PartPool {
    /// How many there are, and what they take on disk.
    pub(super) fn usage(&self) -> (u64, u64) {
        let parts = lock(&self.0);
        (parts.len() as u64, bytes_of(&parts))
    }

    /// Adds the youngest.
    pub(super) fn push(&self, part: Part) {
        lock(&self.0).push_back(part);
    }

    pub(super) fn take(&self, key: &PartKey) -> Option<Part> {
        let mut parts = lock(&self.0);
        let index = parts.iter().position(|part| part.key == *key)?;
        parts.remove(index)
    }

    /// Those of the oldest about which `more` is still true.
    pub(super) fn take_while(&self, mut more: impl FnMut(&VecDeque<Part>) -> bool) -> Vec<Part> {
        let (mut parts, mut taken) = (lock(&self.0), Vec::new());
        while more(&parts)
            && let Some(part) = parts.pop_front()
        {
            taken.push(part);
        }
        taken
    }
}

pub(super) fn bytes_of(parts: &VecDeque<Part>) -> u64 {
    parts.iter().map(|part| part.run_bytes).sum()
}
