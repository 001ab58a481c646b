//! Reports of pending deliveries for operators, and giving them up on request. The same report from
//! a running server and from a store that no server has open.
//!
//! Invariant: each blob given up is logged, in its own line.

use std::collections::BTreeMap;

use serde::Serialize;
use wharf_oci::{Digest, RepoName};
use wharf_store::{Delivery, DeliveryStore, StoreError};

use super::Outbox;
use crate::Error;
use crate::limits::REFUSALS_SHOWN_MAX;
use crate::runtime::clock::now_ms;

/// All pending deliveries.
#[derive(Debug, Serialize)]
pub(crate) struct PushStatus {
    blobs: u64,
    bytes: u64,
    /// The number that are being sent at this moment.
    sending: u64,
    /// The number that their upstreams refused.
    refused: u64,
    oldest_seconds: u64,
    repositories: Vec<OfRepository>,
    refusals: Vec<Refusal>,
}

/// The pending blobs of one repository.
#[derive(Debug, Serialize)]
struct OfRepository {
    repository: RepoName,
    upstream: String,
    /// The repository's name there.
    there: RepoName,
    blobs: u64,
    bytes: u64,
    sending: u64,
    refused: u64,
    oldest_seconds: u64,
    /// The last failure.
    last_error: Option<String>,
    #[serde(skip)]
    last_error_ms: u64,
}

/// A blob refused by its upstream.
#[derive(Debug, Serialize)]
struct Refusal {
    repository: RepoName,
    digest: Digest,
    bytes: u64,
    status: u16,
    code: String,
    reason: String,
    tries: u32,
}

/// The blobs to give up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DropSelection<'a> {
    /// Only blobs of this repository.
    pub(crate) repository: Option<&'a RepoName>,
    /// Only this blob.
    pub(crate) digest: Option<&'a Digest>,
    /// Also blobs that were not refused.
    pub(crate) waiting: bool,
}

/// The blobs given up.
#[derive(Debug, Default, Serialize)]
pub(crate) struct DroppedDeliveries {
    blobs: u64,
    bytes: u64,
}

impl Outbox {
    /// The deliveries that are pending at this moment.
    pub(crate) fn status(&self) -> PushStatus {
        status(self.table().all(), now_ms())
    }

    /// Gives up the selected blobs, and stops sending them.
    pub(crate) async fn give_up(
        &self,
        unwanted: DropSelection<'_>,
    ) -> Result<DroppedDeliveries, Error> {
        let mut given_up = DroppedDeliveries::default();
        let all = self.table().all();
        for delivery in all.iter().map(|(delivery, _)| delivery).filter(|d| unwanted.fits(d)) {
            if self.forget(&delivery.errand.repo, &delivery.digest).await? {
                given_up.note(delivery);
            }
        }
        Ok(given_up)
    }
}

/// The pending deliveries in a store without a server. Blocks.
pub(crate) fn status_of(store: &impl DeliveryStore) -> Result<PushStatus, StoreError> {
    let all = store.deliveries()?.into_iter().map(|delivery| (delivery, false));
    Ok(status(all.collect(), now_ms()))
}

/// Gives up the selected blobs in a store without a server. Blocks.
pub(crate) fn give_up_in(
    store: &impl DeliveryStore,
    unwanted: DropSelection<'_>,
) -> Result<DroppedDeliveries, StoreError> {
    let mut given_up = DroppedDeliveries::default();
    for delivery in store.deliveries()?.iter().filter(|delivery| unwanted.fits(delivery)) {
        if store.unlink_blob(&delivery.errand.repo, &delivery.digest)? {
            given_up.note(delivery);
        }
    }
    Ok(given_up)
}

impl PushStatus {
    /// Whether an operator should look.
    pub(crate) const fn has_refusals(&self) -> bool {
        self.refused > 0
    }
}

impl DropSelection<'_> {
    fn fits(&self, delivery: &Delivery) -> bool {
        let refused = delivery.trouble.as_ref().is_some_and(|trouble| trouble.refused.is_some());
        self.repository.is_none_or(|repo| *repo == delivery.errand.repo)
            && self.digest.is_none_or(|digest| *digest == delivery.digest)
            && (refused || self.waiting)
    }
}

impl DroppedDeliveries {
    fn note(&mut self, delivery: &Delivery) {
        self.blobs += 1;
        self.bytes += delivery.size_bytes;
        note_given_up(delivery, "an operator gave up a blob that was owed");
    }
}

/// Logs a blob that is pending no more although its upstream does not have it.
pub(super) fn note_given_up(delivery: &Delivery, why: &'static str) {
    let (repo, digest, upstream) =
        (&delivery.errand.repo, &delivery.digest, &delivery.errand.to.upstream);
    let reason = delivery.trouble.as_ref().map_or("", |trouble| trouble.reason.as_str());
    tracing::warn!(target: "audit", audit = "drop", %repo, %digest, upstream, reason, "{why}");
}

fn status(all: Vec<(Delivery, bool)>, now_ms: u64) -> PushStatus {
    let mut repositories: BTreeMap<RepoName, OfRepository> = BTreeMap::new();
    let mut refusals = Vec::new();
    for (delivery, sending) in all {
        let errand = &delivery.errand;
        let of = repositories.entry(errand.repo.clone()).or_insert_with(|| OfRepository {
            repository: errand.repo.clone(),
            upstream: errand.to.upstream.clone(),
            there: errand.to.repo.clone(),
            blobs: 0,
            bytes: 0,
            sending: 0,
            refused: 0,
            oldest_seconds: 0,
            last_error: None,
            last_error_ms: 0,
        });
        of.blobs += 1;
        of.bytes += delivery.size_bytes;
        of.sending += u64::from(sending);
        let age = now_ms.saturating_sub(errand.since_ms) / 1000;
        of.oldest_seconds = of.oldest_seconds.max(age);
        let Some(trouble) = delivery.trouble else { continue };
        if trouble.at_ms >= of.last_error_ms {
            of.last_error_ms = trouble.at_ms;
            of.last_error = Some(trouble.reason.clone());
        }
        let Some(refused) = trouble.refused else { continue };
        of.refused += 1;
        if refusals.len() < REFUSALS_SHOWN_MAX {
            refusals.push(Refusal {
                repository: errand.repo.clone(),
                digest: delivery.digest,
                bytes: delivery.size_bytes,
                status: refused.status,
                code: refused.code,
                reason: trouble.reason,
                tries: trouble.tries,
            });
        }
    }
    let repositories: Vec<OfRepository> = repositories.into_values().collect();
    let sum = |of: fn(&OfRepository) -> u64| repositories.iter().map(of).sum();
    PushStatus {
        blobs: sum(|of| of.blobs),
        bytes: sum(|of| of.bytes),
        sending: sum(|of| of.sending),
        refused: sum(|of| of.refused),
        oldest_seconds: repositories.iter().map(|of| of.oldest_seconds).max().unwrap_or(0),
        repositories,
        refusals,
    }
}
