//! The scrub in the background: pass after pass, slowly, for as long as the server runs.
//!
//! Invariant: it makes way for commands and for the stop at its next look, and each damage is
//! logged once.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::time::Instant;
use wharf_store::{Damage, ScrubPlan, ScrubReport, StoreError};

use super::Maintenance;
use crate::limits::{SCRUB_PAUSE, SCRUB_REMEMBERED_MAX, SCRUB_SLICE};

/// The results of the scrub since the start; for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ScrubState {
    /// Bytes that the scrub may read in a second; 0 when it is off.
    pub rate: u64,
    /// Blobs that were read.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The number of damages found.
    pub damage: u64,
    /// The number of complete passes.
    pub passes: u64,
    /// The end of the last pass, in seconds since 1970.
    pub last_pass_seconds: u64,
    /// Bytes left to read in this pass.
    pub left_bytes: u64,
}

/// Scrubs until `stop` becomes true, while there is a rate.
pub(crate) async fn scrub(
    maintenance: Maintenance,
    mut rates: watch::Receiver<Option<u64>>,
    mut stop: watch::Receiver<bool>,
) {
    let mut pass = Pass::default();
    while !*stop.borrow() {
        let rate = *rates.borrow_and_update();
        maintenance.scrubbed(|state| state.rate = rate.unwrap_or(0));
        let Some(rate) = rate else {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                Ok(()) = rates.changed() => {}
            }
            continue;
        };
        let pause = match slice(&maintenance, rate, &rates, &stop).await {
            Ok(scrubbed) => {
                pass.add(&scrubbed, &maintenance);
                scrubbed.complete
            }
            Err(error) => {
                tracing::error!(%error, "the scrub failed and will be tried again");
                true
            }
        };
        if pause {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(SCRUB_PAUSE) => {}
                Ok(()) = rates.changed() => {}
            }
        }
    }
}

/// Continues where the last slice stopped, for a while, so that its findings are soon known.
async fn slice(
    maintenance: &Maintenance,
    bytes_per_second: u64,
    rates: &watch::Receiver<Option<u64>>,
    stop: &watch::Receiver<bool>,
) -> Result<ScrubReport, StoreError> {
    let turn = Arc::clone(&maintenance.work).lock_owned().await;
    let plan =
        ScrubPlan { bytes_per_second: Some(bytes_per_second), from_start: false, quarantine: true };
    let (worker, rates, stop) = (maintenance.clone(), rates.clone(), stop.clone());
    let end = Instant::now() + SCRUB_SLICE;
    let work = move || {
        let mut done = 0;
        let scrubbed = worker.store.scrub(&plan, &mut |progress| {
            let left_bytes = progress.total_bytes.saturating_sub(progress.done_bytes);
            worker.scrubbed(|state| state.left_bytes = left_bytes);
            // A slice ends only after a whole blob: a blob left in the middle is read from its
            // start again, and one longer than a slice would never be done.
            let over = progress.done > done && Instant::now() >= end;
            done = progress.done;
            let another_rate = rates.has_changed().unwrap_or(false);
            if over || another_rate || worker.is_asked() || *stop.borrow() {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        drop(turn);
        scrubbed
    };
    maintenance.blocking.run(work).await
}

/// The result of one pass, with the damages reported so far.
#[derive(Default)]
struct Pass {
    blobs: u64,
    bytes: u64,
    damaged: u64,
    logged: HashSet<String>,
}

impl Pass {
    fn add(&mut self, scrubbed: &ScrubReport, maintenance: &Maintenance) {
        self.count(scrubbed);
        maintenance.scrubbed(|state| {
            state.blobs += scrubbed.blobs;
            state.bytes += scrubbed.bytes;
            state.damage += scrubbed.damage.len() as u64 + scrubbed.more_damage;
            if scrubbed.complete {
                state.passes += 1;
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                state.last_pass_seconds = now.as_secs();
                state.left_bytes = 0;
            }
        });
    }

    fn count(&mut self, scrubbed: &ScrubReport) {
        self.blobs += scrubbed.blobs;
        self.bytes += scrubbed.bytes;
        self.damaged += scrubbed.damage.len() as u64 + scrubbed.more_damage;
        for damage in &scrubbed.damage {
            self.log(damage);
        }
        if scrubbed.complete {
            let (blobs, bytes, damaged) = (self.blobs, self.bytes, self.damaged);
            tracing::info!(blobs, bytes, damaged, "the scrub has read every blob");
            (self.blobs, self.bytes, self.damaged) = (0, 0, 0);
        }
    }

    fn log(&mut self, damage: &Damage) {
        let of = match (&damage.digest, &damage.records) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(records)) => records.clone(),
            (None, None) => String::new(),
        };
        if self.logged.len() < SCRUB_REMEMBERED_MAX && self.logged.insert(of.clone()) {
            let (reason, quarantined) = (&damage.reason, damage.quarantined);
            tracing::error!(of, reason, quarantined, "the scrub found damage");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damage_is_remembered_and_a_pass_is_summed_up() {
        let damage = |records: &str| Damage {
            digest: None,
            records: Some(records.to_owned()),
            reason: "a bit flipped".to_owned(),
            quarantined: false,
        };
        let mut pass = Pass::default();
        let slice = ScrubReport {
            blobs: 3,
            bytes: 10,
            damage: vec![damage("tags"), damage("tags"), damage("links")],
            ..ScrubReport::default()
        };
        pass.count(&slice);
        pass.count(&slice);
        assert_eq!((pass.blobs, pass.bytes, pass.damaged, pass.logged.len()), (6, 20, 6, 2));
        pass.count(&ScrubReport { complete: true, ..ScrubReport::default() });
        assert_eq!((pass.blobs, pass.damaged, pass.logged.len()), (0, 0, 2));
    }
}
