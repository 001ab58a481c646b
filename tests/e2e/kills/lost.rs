//! Uploads that stay open at the upstream because the `wharfd` that had opened them died: how many they
//! are, and how many it had in the moment of its death. No other may stay.

use super::client::Shared;
use crate::fixture::Wharfd;

/// Blobs that one `wharfd` delivers to one upstream at once: four, and one more for who pushed before a
/// restart and one for who pushes since.
const DELIVERIES_MAX: u64 = 5;

/// What a `wharfd` had to do a moment before its death.
pub(super) struct Busy {
    /// Uploads that are open here, or blobs that are owed.
    listed: u64,
    steps_ended: u64,
}

impl Busy {
    pub(super) async fn look(wharfd: &Wharfd, shared: &Shared, staged: bool) -> Self {
        // First: a step that ends from here on may be missing in the list.
        let (_, steps_ended) = shared.steps();
        let list = if staged { "wharfd_pending_blobs" } else { "wharfd_uploads" };
        Self { listed: wharfd.metric(list).await, steps_ended }
    }

    /// The most that it can have had open at the upstream when it died, which was just now: what it
    /// listed, and what clients were about to begin or end at that time or since then.
    pub(super) fn uploads_max(&self, shared: &Shared, staged: bool) -> u64 {
        let (steps_begun, _) = shared.steps();
        let most = self.listed + (steps_begun - self.steps_ended);
        if staged { most.min(DELIVERIES_MAX) } else { most }
    }
}

/// Uploads of the dead.
#[derive(Default)]
pub(super) struct Lost {
    /// How many are open.
    pub(super) uploads: u64,
    /// How many there could be.
    pub(super) uploads_max: u64,
}

impl Lost {
    /// Another one died and nobody lives: so many are open at the upstream now.
    pub(super) fn found(&mut self, open: u64, uploads_max: u64) {
        let lost = open.saturating_sub(self.uploads);
        assert!(lost <= uploads_max, "{lost} uploads are left of {uploads_max}");
        self.uploads = open;
        self.uploads_max += uploads_max;
    }
}
