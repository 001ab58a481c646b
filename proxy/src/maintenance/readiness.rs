//! Whether this server may be sent requests: not while it drains, and not while its store takes no
//! writes.
//!
//! Invariant: the store is probed at most once in `READY_PERIOD`, off the async threads, however
//! many requests ask; a store that does not answer is not ready.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::limits::{READY_PERIOD, READY_TIMEOUT};
use crate::maintenance::Maintenance;

/// The result of the last probe.
#[derive(Default)]
pub(crate) struct Readiness {
    last: Mutex<Option<(Instant, Result<(), String>)>>,
    draining: AtomicBool,
}

impl Readiness {
    /// Drains: from here on no new request is to come.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// The reasons against readiness, a line for each; empty when ready.
    pub(crate) async fn missing(&self, maintenance: &Maintenance) -> String {
        let mut missing = String::new();
        if self.draining.load(Ordering::Relaxed) {
            missing.push_str("draining\n");
        }
        if let Err(reason) = self.store(maintenance).await {
            let _ = writeln!(missing, "store: {reason}");
        }
        missing
    }

    async fn store(&self, maintenance: &Maintenance) -> Result<(), String> {
        let mut last = self.last.lock().await;
        if let Some((at, found)) = &*last
            && at.elapsed() < READY_PERIOD
        {
            return found.clone();
        }
        let found = match timeout(READY_TIMEOUT, maintenance.probe()).await {
            Ok(tried) => tried.map_err(|error| wharf_client::chain(&error)),
            Err(_) => Err(format!("a small write takes more than {READY_TIMEOUT:?}")),
        };
        if let (Err(reason), true) = (&found, last.as_ref().is_none_or(|(_, was)| was.is_ok())) {
            tracing::error!(reason, "the store cannot be written; not ready");
        }
        *last = Some((Instant::now(), found.clone()));
        found
    }
}
