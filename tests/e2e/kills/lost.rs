//! Open uploads at the upstream after the death of the `wharfd` behind them: their number, and the
//! number open at the moment of its death. No other upload may stay open.

use super::client::Shared;
use crate::fixture::Wharfd;

/// The most concurrent deliveries of one `wharfd` to one upstream: four, and one more for the
/// pushers before a restart and one for the pushers since.
const DELIVERIES_MAX: u64 = 5;

/// The work of a `wharfd` a moment before its death.
pub(super) struct Busy {
    /// Open uploads of this `wharfd`, or pending blobs.
    listed: u64,
    steps_ended: u64,
}

impl Busy {
    pub(super) async fn look(wharfd: &Wharfd, shared: &Shared, staged: bool) -> Self {
        // This comes first: the list may lack a step that ends after it.
        let (_, steps_ended) = shared.steps();
        let list = if staged { "wharfd_pending_blobs" } else { "wharfd_uploads" };
        Self { listed: wharfd.metric(list).await, steps_ended }
    }

    /// The most uploads open at the upstream at the moment of its death, just now: the listed ones,
    /// and one for each client step at the time or since.
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
    /// Another `wharfd` died and none is running: the upstream has this many open uploads now.
    pub(super) fn found(&mut self, open: u64, uploads_max: u64) {
        let lost = open.saturating_sub(self.uploads);
        assert!(lost <= uploads_max, "{lost} uploads are left of {uploads_max}");
        self.uploads = open;
        self.uploads_max += uploads_max;
    }
}
