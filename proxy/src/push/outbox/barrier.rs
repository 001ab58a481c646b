//! The barrier where a manifest waits until the upstream has all of its content.
//!
//! Invariant: no wait is endless: it lasts while deliveries make progress, and never longer than
//! its bounds. Blobs not delivered by then are still delivered behind. No party has more than its
//! share of the waiting manifests.

use tokio::time::{Instant, sleep_until};
use wharf_client::runtime::party::Party;
use wharf_oci::{Manifest, RepoName};

use super::Outbox;
use super::table::DeliveryStanding;
use crate::Error;
use crate::bound::Bound;
use crate::limits::{
    BARRIER_HASTE, BARRIER_OUTAGE_MAX, BARRIER_RETRY_SECONDS, BARRIER_STALL_MAX, BARRIER_WAIT_MAX,
    BARRIER_WAITERS_MAX, PARTY_BARRIER_WAITERS_MAX,
};
use crate::runtime::clock::now_ms;
use crate::runtime::shares::{Share, Shares};

impl Outbox {
    /// Waits until the upstream has every blob of the manifest that is pending for this repository.
    /// The refusal of one blob is the answer; a client that comes again gets another try.
    pub(crate) async fn settle(
        &self,
        (repo, party): (&RepoName, &Party),
        manifest: &Manifest,
    ) -> Result<(), Error> {
        let digests = manifest.named();
        let mut changed = self.shared.changed.subscribe();
        let urged = self.table().urge(repo, &digests);
        for upstream in urged {
            self.wake(&upstream);
        }
        let begun = Instant::now();
        let (mut moved, mut seen, mut waits) = (begun, None, None);
        loop {
            changed.borrow_and_update();
            let standing = self.table().standing(repo, &digests, now_ms());
            let (count, progress, failing) = match standing {
                DeliveryStanding::Settled => return Ok(()),
                DeliveryStanding::Refused(digest, error) => {
                    tracing::warn!(%repo, %digest, "a manifest names a blob that was refused");
                    return Err(error);
                }
                DeliveryStanding::Owed { count, progress, failing } => (count, progress, failing),
            };
            if waits.is_none() {
                waits = Some(wait(&self.shared.waiting, party)?);
            }
            let now = Instant::now();
            if seen.replace(progress) != Some(progress) {
                moved = now;
            }
            let outage = failing.as_ref().map(|(since, _)| *since.max(&begun) + BARRIER_OUTAGE_MAX);
            let bound = (begun + BARRIER_WAIT_MAX).min(moved + BARRIER_STALL_MAX);
            let bound = outage.map_or(bound, |outage| bound.min(outage));
            if failing.is_some() {
                let hastened = self.table().hasten(repo, &digests, now + BARRIER_HASTE);
                for upstream in hastened {
                    self.wake(&upstream);
                }
            }
            if now >= bound {
                return Err(undelivered(count, failing.as_ref().map(|(_, error)| error)));
            }
            tokio::select! {
                // The sender lives as long as `self`.
                _ = changed.changed() => {}
                () = sleep_until(bound) => {}
            }
        }
    }
}

/// A share among the waiting manifests.
fn wait(waiting: &Shares, party: &Party) -> Result<Share, Error> {
    let share = waiting.take_within(party.clone(), PARTY_BARRIER_WAITERS_MAX, BARRIER_WAITERS_MAX);
    share.ok_or(Error::TooMany(Bound::WaitingManifests))
}

fn undelivered(blobs: usize, error: Option<&Error>) -> Error {
    let reason = error.map_or_else(|| "they are on their way".to_owned(), Error::message);
    let retry_after_seconds = match error {
        Some(
            Error::UpstreamBusy { retry_after_seconds }
            | Error::UpstreamDown { retry_after_seconds },
        ) => (*retry_after_seconds).max(BARRIER_RETRY_SECONDS),
        _ => BARRIER_RETRY_SECONDS,
    };
    Error::Undelivered { blobs, reason, retry_after_seconds }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_parties_whose_manifests_wait_leave_room_for_a_third() {
        let (waiting, mut held) = (Shares::default(), Vec::new());
        for last in 1..=2 {
            let party = Party::behind([10, 0, 0, last].into());
            let theirs = std::iter::from_fn(|| wait(&waiting, &party).ok());
            held.extend(theirs.take(BARRIER_WAITERS_MAX * 2));
            assert!(matches!(wait(&waiting, &party), Err(Error::TooMany(_))));
        }
        assert!(wait(&waiting, &Party::behind([10, 0, 0, 3].into())).is_ok());
        drop(held);
        assert_eq!(waiting.total(), 0);
    }
}
