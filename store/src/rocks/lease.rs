//! Leases on blob numbers. The thread for freeing bytes is in `reaper.rs`.
//!
//! Invariant: the bytes of a number are freed only when it is doomed and has no lease. Readers
//! never free bytes themselves, because their thread may not be allowed to block.

use std::collections::HashMap;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};

use super::records::DoomedRecord;
use crate::lock::lock;

/// Bytes to free.
#[derive(Debug, Clone, Copy)]
pub(super) struct Remains {
    pub(super) number: u64,
    pub(super) doomed: DoomedRecord,
}

/// The leases by number.
#[derive(Debug, Default)]
pub(super) struct Leases(Mutex<LeaseTable>);

#[derive(Debug, Default)]
struct LeaseTable {
    held: HashMap<u64, u32>,
    /// Doomed numbers with a lease; freed with the last lease.
    doomed: HashMap<u64, Remains>,
}

/// A lease: it keeps the bytes of one number.
pub(super) struct Lease {
    number: u64,
    leases: Arc<Leases>,
    queue: SyncSender<Remains>,
}

impl Leases {
    /// A lease on a number, beside any others.
    pub(super) fn lease(self: &Arc<Self>, number: u64, queue: SyncSender<Remains>) -> Lease {
        *lock(&self.0).held.entry(number).or_default() += 1;
        Lease { number, leases: Arc::clone(self), queue }
    }

    /// The only lease on a number; `None` when there is another.
    pub(super) fn try_lease(
        self: &Arc<Self>,
        number: u64,
        queue: SyncSender<Remains>,
    ) -> Option<Lease> {
        let mut state = lock(&self.0);
        let held = state.held.entry(number).or_default();
        if *held > 0 {
            return None;
        }
        *held = 1;
        drop(state);
        Some(Lease { number, leases: Arc::clone(self), queue })
    }

    /// Whether there is no lease at all.
    pub(super) fn is_idle(&self) -> bool {
        lock(&self.0).held.is_empty()
    }

    pub(super) fn is_held(&self, number: u64) -> bool {
        lock(&self.0).held.contains_key(&number)
    }

    /// Whether the caller has to free the bytes now; else the last lease does.
    pub(super) fn doom(&self, remains: Remains) -> bool {
        let mut state = lock(&self.0);
        let held = state.held.contains_key(&remains.number);
        if held {
            state.doomed.insert(remains.number, remains);
        }
        !held
    }
}

impl Lease {
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// A second lease on the same number.
    pub(super) fn again(&self) -> Self {
        self.leases.lease(self.number, self.queue.clone())
    }

    /// Frees the bytes when this and every other lease are gone.
    pub(super) fn doom(&self, doomed: DoomedRecord) {
        let number = self.number;
        lock(&self.leases.0).doomed.insert(number, Remains { number, doomed });
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = lock(&self.leases.0);
        let Some(count) = state.held.get_mut(&self.number) else {
            return;
        };
        *count -= 1;
        if *count > 0 {
            return;
        }
        state.held.remove(&self.number);
        if let Some(remains) = state.doomed.remove(&self.number) {
            enqueue(&self.queue, remains);
        }
    }
}

pub(super) fn enqueue(queue: &SyncSender<Remains>, remains: Remains) {
    if queue.try_send(remains).is_err() {
        let number = remains.number;
        tracing::warn!(number, "too many blobs to free at once; this one waits for the next start");
    }
}
