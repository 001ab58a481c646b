//! The scrub in the background: pass after pass, slowly, for as long as the server runs.
//!
//! Invariant: it makes way for commands and for the stop at its next look, and each damage is
//! logged once.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;
use wharf_store::{Damage, ScrubPlan, Scrubbed, StoreError};

use super::Keeper;
use crate::limits::{SCRUB_PAUSE, SCRUB_REMEMBERED_MAX, SCRUB_SLICE};

/// Scrubs until `stop` becomes true.
pub(crate) async fn scrub(keeper: Keeper, bytes_per_second: u64, mut stop: watch::Receiver<bool>) {
    let mut pass = Pass::default();
    while !*stop.borrow() {
        let pause = match slice(&keeper, bytes_per_second, &stop).await {
            Ok(scrubbed) => {
                pass.add(&scrubbed);
                scrubbed.complete
            }
            Err(error) => {
                tracing::error!(%error, "the scrub failed and will be tried again");
                true
            }
        };
        if pause {
            let over = tokio::time::timeout(SCRUB_PAUSE, stop.wait_for(|stop| *stop)).await;
            if over.is_ok() {
                return;
            }
        }
    }
}

/// Goes on where the last slice stopped, for a while, so that what it finds is soon known.
async fn slice(
    keeper: &Keeper,
    bytes_per_second: u64,
    stop: &watch::Receiver<bool>,
) -> Result<Scrubbed, StoreError> {
    let turn = Arc::clone(&keeper.work).lock_owned().await;
    let plan =
        ScrubPlan { bytes_per_second: Some(bytes_per_second), from_start: false, quarantine: true };
    let (worker, stop, end) = (keeper.clone(), stop.clone(), Instant::now() + SCRUB_SLICE);
    let work = move || {
        let mut done = 0;
        let scrubbed = worker.store.scrub(&plan, &mut |progress| {
            // At the end of a slice only after a whole blob: one that is left in the middle is read
            // from its begin again, and one that takes longer than a slice would never be done.
            let over = progress.done > done && Instant::now() >= end;
            done = progress.done;
            if over || worker.is_asked() || *stop.borrow() {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        drop(turn);
        scrubbed
    };
    keeper.bridge.run(work).await
}

/// What one pass came to, and what was said of all of them.
#[derive(Default)]
struct Pass {
    blobs: u64,
    bytes: u64,
    damaged: u64,
    logged: HashSet<String>,
}

impl Pass {
    fn add(&mut self, scrubbed: &Scrubbed) {
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
        let slice = Scrubbed {
            blobs: 3,
            bytes: 10,
            damage: vec![damage("tags"), damage("tags"), damage("links")],
            ..Scrubbed::default()
        };
        pass.add(&slice);
        pass.add(&slice);
        assert_eq!((pass.blobs, pass.bytes, pass.damaged, pass.logged.len()), (6, 20, 6, 2));
        pass.add(&Scrubbed { complete: true, ..Scrubbed::default() });
        assert_eq!((pass.blobs, pass.damaged, pass.logged.len()), (0, 0, 2));
    }
}
