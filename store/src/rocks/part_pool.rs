//! Parts of interrupted blobs: segments on disk, hash states in memory.
//!
//! Invariants: a part holds a lease on its number, so its bytes belong to no other blob and count
//! as runs. No record has its number, so the next start frees it.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Instant;

use wharf_oci::HashState;

use super::lease::Lease;
use crate::lock::lock;
use crate::part_key::PartKey;

/// All parts, the oldest first. They hold leases, so the close of the store removes all of them.
#[derive(Default)]
pub(super) struct PartPool(Mutex<VecDeque<Part>>);

/// The first segments of a blob.
pub(super) struct Part {
    pub(super) key: PartKey,
    pub(super) size_bytes: u64,
    pub(super) lease: Lease,
    pub(super) epoch: u32,
    /// The size of its runs on disk, in bytes.
    pub(super) run_bytes: u64,
    pub(super) segments: u64,
    /// The hash state after all segments.
    pub(super) hash: HashState,
    pub(super) since: Instant,
}

impl PartPool {
    /// The number of parts, and their size on disk in bytes.
    pub(super) fn usage(&self) -> (u64, u64) {
        let parts = lock(&self.0);
        (parts.len() as u64, bytes_of(&parts))
    }

    /// Adds the youngest part.
    pub(super) fn push(&self, part: Part) {
        lock(&self.0).push_back(part);
    }

    pub(super) fn take(&self, key: &PartKey) -> Option<Part> {
        let mut parts = lock(&self.0);
        let index = parts.iter().position(|part| part.key == *key)?;
        parts.remove(index)
    }

    /// Removes the oldest parts while `more` holds.
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
