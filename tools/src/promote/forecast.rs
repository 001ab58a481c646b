//! What an apply of a plan will take: bytes after mounts and sharing, requests of each kind, and
//! the minutes that the registries' limits allow for.
//!
//! The bytes are the most: what the destination has already is found out by the apply.

use std::collections::BTreeSet;

use serde::Serialize;
use wharf_oci::Digest;

use super::plan::{Content, Item, PlanAction};
use crate::registry::Quota;

/// How many bytes one request of an upload carries.
const CHUNK_BYTES: u64 = 16 * 1024 * 1024;

/// The work ahead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// Bytes of all images, each blob as often as an image has it.
    pub image_bytes: u64,
    /// Bytes to be sent, at most.
    pub sent_bytes: u64,
    /// Requests at the source; all of them read.
    pub source_reads: u64,
    pub destination_reads: u64,
    pub destination_writes: u64,
    /// Minutes that the requests take, by the limits of the registries; nothing without limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minutes: Option<u64>,
}

impl Forecast {
    /// The work of a plan.
    #[must_use]
    pub fn of(content: &Content, quota: Quota) -> Self {
        let is_one = content.from.login_server == content.to.login_server;
        let mut forecast = Self::default();
        let mut brought: BTreeSet<Digest> = BTreeSet::new();
        let items = content.items.iter().filter(|item| item.action == PlanAction::Copy);
        for item in items {
            forecast.add(item);
            for blob in &item.blobs {
                forecast.image_bytes = forecast.image_bytes.saturating_add(blob.size);
                if is_one || !brought.insert(blob.digest) {
                    // A mount.
                    forecast.destination_writes += 1;
                    continue;
                }
                forecast.sent_bytes = forecast.sent_bytes.saturating_add(blob.size);
                forecast.source_reads += 1;
                forecast.destination_reads += u64::from(!item.new_repository);
                forecast.destination_writes += 1 + blob.size.div_ceil(CHUNK_BYTES).max(1);
            }
        }
        forecast.minutes = forecast.minutes_by(quota, is_one);
        forecast
    }

    /// Requests of an image besides those of its blobs.
    fn add(&mut self, item: &Item) {
        let (tags, manifests) = (item.tags.len() as u64, item.manifests.len() as u64);
        let companions = item.companions_to_copy().count() as u64;
        // Tags are compared on both sides, looked at before they are written and read back.
        self.source_reads += tags + companions;
        self.destination_reads += tags * if item.new_repository { 2 } else { 3 } + companions;
        self.destination_writes += manifests.max(tags) + 2 * companions;
    }

    fn minutes_by(&self, quota: Quota, is_one: bool) -> Option<u64> {
        let (reads, writes) = (quota.reads_per_minute?, quota.writes_per_minute?);
        let all_reads = if is_one {
            self.source_reads + self.destination_reads
        } else {
            self.source_reads.max(self.destination_reads)
        };
        let of_reads = all_reads.div_ceil(u64::from(reads.max(1)));
        Some(of_reads.max(self.destination_writes.div_ceil(u64::from(writes.max(1)))))
    }

    /// All requests.
    #[must_use]
    pub const fn requests(&self) -> u64 {
        self.source_reads + self.destination_reads + self.destination_writes
    }
}
