//! What was given besides the offer and the images: what scanners and registries said, and the time.
//!
//! Invariant: rules ask no clock and read no file; all of that is here before they run.

use crate::offer::timestamp::Timestamp;

/// What rules may rely on besides the offer and the images.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The time that counts as now.
    pub now: Timestamp,
}
