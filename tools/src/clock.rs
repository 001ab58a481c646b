//! The clock. What depends on the time takes it as a value, so that a test can say it.

use std::time::{SystemTime, UNIX_EPOCH};

use wharf_oci::Timestamp;

/// The time now; 1970 where the clock is before that, or after 9999.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_seconds(since.as_secs()).unwrap_or_default()
}
