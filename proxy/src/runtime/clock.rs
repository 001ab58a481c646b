//! The time of the day.

use std::time::{SystemTime, UNIX_EPOCH};

use wharf_oci::Timestamp;

/// The second, by the clock of this machine.
pub(crate) fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_seconds(now.as_secs()).unwrap_or(Timestamp::MAX)
}

/// Milliseconds since 1970, by the clock of this machine.
pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
