//! The table of pending deliveries, and their order. Pure state: no IO, no waiting. A lane has the
//! deliveries to one upstream; its queue is a `RoundRobin`, the outbox's bounds are in
//! `pool.rs`.
//!
//! Invariant: a key is sent by at most one worker at a time; a waiting key is in the queue of its
//! lane, and a lane with both work and permission to work has a worker or a timer.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;
use wharf_client::runtime::party::Party;
use wharf_client::runtime::round_robin::{Eligibility, RoundRobin};
use wharf_oci::{Digest, ErrorCode, RepoName};
use wharf_store::limits::DELIVERIES_MAX;
use wharf_store::{Delivery, Refusal};

use super::OutboxState;
use super::pool::{Amount, OutboxFull, OutboxPool};
use crate::Error;
use crate::limits::{
    DELIVERY_PAUSE, DELIVERY_PAUSE_MAX, DELIVERY_WORKERS_MAX, DELIVERY_WORKERS_SPARE,
    QUOTA_WAIT_MAX, REFUSED_TIME, REFUSED_TOLD_TIME,
};

/// A blob of a repository here.
pub(super) type Key = (RepoName, Digest);

pub(super) struct OutboxTable {
    owed: HashMap<Key, Owed>,
    /// Keys being sent, with their party.
    sending: HashMap<Key, Party>,
    /// Keys held from the workers, with the number of holds.
    held: HashMap<Key, usize>,
    lanes: HashMap<String, Lane>,
    /// Room taken by pending and reserved blobs.
    pool: OutboxPool,
}

struct Owed {
    delivery: Delivery,
    /// The party that pushed the blob; this program when an earlier process took it.
    party: Party,
    /// Set when the upstream refused the blob.
    refused: Option<Error>,
    /// Whether a client heard of the refusal: the next request gets another try.
    told: bool,
    /// When a refused entry begins to make room for others, in milliseconds since 1970.
    due_ms: u64,
}

#[derive(Default)]
struct Lane {
    queue: RoundRobin<Key>,
    working: usize,
    /// The number of blobs being sent, by party.
    sending: HashMap<Party, usize>,
    /// Consecutive rounds that failed.
    failures: u32,
    /// No worker sends before.
    until: Option<Instant>,
    /// The time of the timer that is set.
    timer: Option<Instant>,
    /// Since when all deliveries fail, and why.
    failing: Option<(Instant, Error)>,
    /// Raised by all progress.
    progress: u64,
}

/// The next step for a lane.
pub(super) enum NextDelivery {
    /// Start this many workers.
    Work(usize),
    /// Set a timer that wakes the lane at this moment.
    Later(Instant),
    Nothing,
}

/// The state of a manifest's blobs.
pub(super) enum DeliveryStanding {
    /// All are at the upstream.
    Settled,
    /// The upstream refused this one.
    Refused(Digest, Error),
    /// Some are still pending.
    Owed {
        count: usize,
        /// Changes with all progress at their upstream.
        progress: u64,
        /// Since when deliveries there fail, and why.
        failing: Option<(Instant, Error)>,
    },
}

impl OutboxTable {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self {
            owed: HashMap::new(),
            sending: HashMap::new(),
            held: HashMap::new(),
            lanes: HashMap::new(),
            pool: OutboxPool::new(Amount { blobs: DELIVERIES_MAX, bytes: bytes_max }),
        }
    }

    /// Restores an entry of an earlier process. A refused one gets another try at the next request.
    pub(super) fn restore(&mut self, delivery: Delivery) {
        let refused = delivery.trouble.as_ref().and_then(|trouble| {
            let refused = trouble.refused.as_ref()?;
            Some(refusal_for_client(&delivery, refused, &trouble.reason))
        });
        let key = (delivery.errand.repo.clone(), delivery.digest);
        let was_refused = refused.is_some();
        let due_ms =
            delivery.trouble.as_ref().map_or(0, |trouble| after(trouble.at_ms, REFUSED_TIME));
        self.add(delivery, Party::Ourselves);
        if let Some(owed) = self.owed.get_mut(&key).filter(|_| was_refused) {
            (owed.refused, owed.told, owed.due_ms) = (refused, true, due_ms);
        }
    }

    /// An error when this party has no room for another pending blob, even after all outdated ones
    /// give way.
    pub(super) fn room(&self, party: &Party, bytes: u64, now_ms: u64) -> Result<(), Error> {
        match self.pool.room(party, bytes) {
            Err(full) if self.outdated(party, &full, now_ms).is_none() => Err(full.error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Reserves room for a blob; without room, returns the entry that has to give way first.
    pub(super) fn reserve(
        &mut self,
        party: &Party,
        bytes: u64,
        now_ms: u64,
    ) -> Result<Option<Delivery>, Error> {
        let Err(full) = self.pool.room(party, bytes) else {
            self.pool.take(party, bytes);
            return Ok(None);
        };
        self.outdated(party, &full, now_ms).ok_or(full.error).map(|delivery| Some(delivery.clone()))
    }

    pub(super) fn release(&mut self, party: &Party, bytes: u64) {
        self.pool.give_back(party, bytes);
    }

    /// The outdated refused entry to remove first: of this party when its share is full, else of
    /// the party with the most, and there the oldest.
    fn outdated(&self, party: &Party, full: &OutboxFull, now_ms: u64) -> Option<&Delivery> {
        let due = self.owed.values().filter(|owed| owed.refused.is_some() && owed.due_ms <= now_ms);
        let fits = due.filter(|owed| !full.is_share || owed.party == *party);
        let first = fits.max_by_key(|owed| (self.pool.of(&owed.party).bytes, Reverse(owed.due_ms)));
        first.map(|owed| &owed.delivery)
    }

    pub(super) fn add(&mut self, delivery: Delivery, party: Party) {
        let key = (delivery.errand.repo.clone(), delivery.digest);
        let lane = self.lanes.entry(delivery.errand.to.upstream.clone()).or_default();
        lane.queue.push(&party, key.clone());
        self.pool.take(&party, delivery.size_bytes);
        let owed = Owed { delivery, party, refused: None, told: false, due_ms: 0 };
        if let Some(before) = self.owed.insert(key, owed) {
            self.pool.give_back(&before.party, before.delivery.size_bytes);
        }
    }

    /// Removes an entry, whatever its result; returns whether there was one.
    pub(super) fn forget(&mut self, key: &Key) -> bool {
        let Some(owed) = self.owed.remove(key) else {
            return false;
        };
        self.pool.give_back(&owed.party, owed.delivery.size_bytes);
        if let Some(lane) = self.lanes.get_mut(&owed.delivery.errand.to.upstream) {
            lane.queue.remove(key);
        }
        true
    }

    /// The most pending blobs of one party.
    pub(super) fn largest(&self) -> usize {
        self.pool.largest()
    }

    /// Holds a key from all workers, until every hold is released; returns the upstream of its
    /// entry, if there is one.
    pub(super) fn hold(&mut self, key: &Key) -> Option<String> {
        let upstream = self.owed.get(key)?.delivery.errand.to.upstream.clone();
        *self.held.entry(key.clone()).or_default() += 1;
        Some(upstream)
    }

    pub(super) fn let_go(&mut self, key: &Key) {
        if let Some(count) = self.held.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                self.held.remove(key);
            }
        }
    }

    pub(super) fn is_sending(&self, key: &Key) -> bool {
        self.sending.contains_key(key)
    }

    /// Whether the key has an entry.
    pub(super) fn owes(&self, key: &Key) -> bool {
        self.owed.contains_key(key)
    }

    /// Whether the entry is this errand, not a later one.
    pub(super) fn is_owed(&self, delivery: &Delivery) -> bool {
        let key = (delivery.errand.repo.clone(), delivery.digest);
        self.owed.get(&key).is_some_and(|owed| owed.delivery.errand.id == delivery.errand.id)
    }

    /// Whether the worker that sends it shall continue.
    pub(super) fn is_wanted(&self, delivery: &Delivery) -> bool {
        let key = (delivery.errand.repo.clone(), delivery.digest);
        self.is_owed(delivery) && !self.held.contains_key(&key)
    }

    pub(super) fn lanes(&self) -> Vec<String> {
        self.lanes.keys().cloned().collect()
    }

    /// All entries, and whether each is being sent.
    pub(super) fn all(&self) -> Vec<(Delivery, bool)> {
        let each = self.owed.iter();
        each.map(|(key, owed)| (owed.delivery.clone(), self.sending.contains_key(key))).collect()
    }

    pub(super) fn state(&self, now_ms: u64) -> OutboxState {
        let since = self.owed.values().map(|owed| owed.delivery.errand.since_ms).min();
        OutboxState {
            blobs: self.owed.len() as u64,
            bytes: self.owed.values().map(|owed| owed.delivery.size_bytes).sum(),
            oldest_seconds: since.map_or(0, |since| now_ms.saturating_sub(since) / 1000),
            refused: self.owed.values().filter(|owed| owed.refused.is_some()).count() as u64,
            ..OutboxState::default()
        }
    }

    /// The next step for a lane; workers to be started count already.
    pub(super) fn next(&mut self, upstream: &str, now: Instant) -> NextDelivery {
        let Some(lane) = self.lanes.get_mut(upstream) else {
            return NextDelivery::Nothing;
        };
        if let Some(until) = lane.until.filter(|until| now < *until) {
            let is_set = lane.queue.is_empty() || lane.timer.replace(until) == Some(until);
            return if is_set { NextDelivery::Nothing } else { NextDelivery::Later(until) };
        }
        // A key pushed again during its transfer waits for its worker, not for another one.
        let is_free =
            |key: &&Key| !self.sending.contains_key(*key) && !self.held.contains_key(*key);
        let sending: usize = lane.sending.values().sum();
        let room = DELIVERY_WORKERS_MAX.saturating_sub(sending);
        let ready = lane.queue.each().flat_map(|(_, queue)| queue).filter(is_free);
        let more = ready.take(room).count();
        let parties = lane.queue.each().filter(|(party, _)| !lane.sending.contains_key(*party));
        let parties = parties.filter(|(_, queue)| queue.iter().any(|key| is_free(&key))).count();
        // Parties without a worker come first; those without room besides get a worker more.
        let spare = (DELIVERY_WORKERS_MAX + DELIVERY_WORKERS_SPARE).saturating_sub(sending + more);
        let wanted = more + parties.saturating_sub(more).min(spare);
        let more = (sending + wanted).saturating_sub(lane.working);
        lane.working += more;
        if more > 0 { NextDelivery::Work(more) } else { NextDelivery::Nothing }
    }

    /// The next delivery for a worker, in rounds between parties, first those without a running
    /// transfer; with `None` the worker ends.
    pub(super) fn take(&mut self, upstream: &str, now: Instant) -> Option<Delivery> {
        let lane = self.lanes.get_mut(upstream)?;
        let taken = if lane.until.is_none_or(|until| until <= now) {
            let stand = |key: &Key| match self.owed.get(key) {
                Some(owed) if owed.refused.is_none() => {
                    // Pushed again during its transfer, or held: its turn comes after.
                    let is_busy = self.sending.contains_key(key) || self.held.contains_key(key);
                    if is_busy { Eligibility::Busy } else { Eligibility::Free }
                }
                Some(_) | None => Eligibility::Gone,
            };
            let sending: usize = lane.sending.values().sum();
            let is_new = |party: &Party| !lane.sending.contains_key(party);
            let new = (sending < DELIVERY_WORKERS_MAX + DELIVERY_WORKERS_SPARE)
                .then(|| lane.queue.pop(is_new, stand));
            let any = || {
                (sending < DELIVERY_WORKERS_MAX).then(|| lane.queue.pop(|_| true, stand)).flatten()
            };
            new.flatten().or_else(any)
        } else {
            None
        };
        let Some((party, key)) = taken else {
            lane.working = lane.working.saturating_sub(1);
            return None;
        };
        *lane.sending.entry(party.clone()).or_default() += 1;
        let delivery = self.owed.get(&key).map(|owed| owed.delivery.clone());
        self.sending.insert(key, party);
        delivery
    }

    /// Ends our own pauses of all lanes; returns all lanes.
    pub(super) fn resume_all(&mut self) -> Vec<String> {
        for lane in self.lanes.values_mut() {
            (lane.until, lane.failures) = (None, 0);
        }
        self.lanes()
    }

    /// Notes progress of sent bytes.
    pub(super) fn moved(&mut self, upstream: &str) {
        if let Some(lane) = self.lanes.get_mut(upstream) {
            lane.progress += 1;
            (lane.failures, lane.failing) = (0, None);
        }
    }

    /// Puts a delivery back in the queue; it waits for another worker.
    pub(super) fn put_back(&mut self, delivery: &Delivery) {
        let key = (delivery.errand.repo.clone(), delivery.digest);
        let Some(lane) = self.lanes.get_mut(&delivery.errand.to.upstream) else { return };
        if let Some(party) = self.sending.remove(&key)
            && let Some(count) = lane.sending.get_mut(&party)
        {
            *count -= 1;
            if *count == 0 {
                lane.sending.remove(&party);
            }
        }
        if let Some(owed) = self.owed.get(&key).filter(|owed| owed.refused.is_none()) {
            lane.queue.push(&owed.party, key);
        }
    }

    /// Removes the entry of a delivered blob.
    pub(super) fn settle(&mut self, delivery: &Delivery) {
        let key = (delivery.errand.repo.clone(), delivery.digest);
        self.moved(&delivery.errand.to.upstream);
        if self.is_owed(delivery) {
            self.forget(&key);
        }
        self.put_back(delivery);
    }

    /// Records a failed delivery; the lane pauses, unless the upstream refused only this blob.
    pub(super) fn failed(&mut self, delivery: &Delivery, error: &Error, now: Instant) {
        let upstream = &delivery.errand.to.upstream;
        let refused = delivery.trouble.as_ref().and_then(|trouble| trouble.refused.as_ref());
        if self.is_owed(delivery)
            && let Some(owed) = self.owed.get_mut(&(delivery.errand.repo.clone(), delivery.digest))
        {
            owed.delivery = delivery.clone();
            owed.refused = refused.map(|refused| {
                let reason = delivery.trouble.as_ref().map_or("", |trouble| &trouble.reason);
                refusal_for_client(delivery, refused, reason)
            });
            owed.told = false;
            let at_ms = delivery.trouble.as_ref().map_or(0, |trouble| trouble.at_ms);
            owed.due_ms = after(at_ms, REFUSED_TIME);
        }
        if refused.is_some() {
            self.moved(upstream);
        } else if let Some(lane) = self.lanes.get_mut(upstream) {
            lane.fail(error, now);
        }
        self.put_back(delivery);
    }

    /// Hurries the blobs of a waiting client: a refused blob that the client has heard of gets
    /// another try, and our own pauses end. The upstream's pauses stay; the transport keeps to
    /// them.
    pub(super) fn urge(&mut self, repo: &RepoName, digests: &[Digest]) -> Vec<String> {
        let mut urged = Vec::new();
        for digest in digests {
            let key = (repo.clone(), *digest);
            let Some(owed) = self.owed.get_mut(&key) else { continue };
            let upstream = owed.delivery.errand.to.upstream.clone();
            if owed.told && owed.refused.take().is_some() {
                owed.told = false;
            }
            let waits = owed.refused.is_none() && !self.sending.contains_key(&key);
            let Some(lane) = self.lanes.get_mut(&upstream) else { continue };
            lane.until = None;
            if waits {
                lane.queue.push(&owed.party, key);
            }
            if !urged.contains(&upstream) {
                urged.push(upstream);
            }
        }
        urged
    }

    /// Hurries the failing lanes of a waiting client's blobs: each continues by this time at the
    /// latest. Returns the lanes with an earlier time.
    pub(super) fn hasten(
        &mut self,
        repo: &RepoName,
        digests: &[Digest],
        by: Instant,
    ) -> Vec<String> {
        let mut hastened = Vec::new();
        for digest in digests {
            let Some(owed) = self.owed.get(&(repo.clone(), *digest)) else { continue };
            let upstream = &owed.delivery.errand.to.upstream;
            let Some(lane) = self.lanes.get_mut(upstream) else { continue };
            if lane.until.is_some_and(|until| until > by) {
                lane.until = Some(by);
                hastened.push(upstream.clone());
            }
        }
        hastened
    }

    pub(super) fn standing(
        &mut self,
        repo: &RepoName,
        digests: &[Digest],
        now_ms: u64,
    ) -> DeliveryStanding {
        let (mut count, mut lane) = (0, None);
        for digest in digests {
            let Some(owed) = self.owed.get_mut(&(repo.clone(), *digest)) else { continue };
            if let Some(error) = owed.refused.clone() {
                owed.told = true;
                owed.due_ms = owed.due_ms.min(after(now_ms, REFUSED_TOLD_TIME));
                return DeliveryStanding::Refused(*digest, error);
            }
            count += 1;
            lane = self.lanes.get(&owed.delivery.errand.to.upstream);
        }
        match lane {
            Some(lane) => DeliveryStanding::Owed {
                count,
                progress: lane.progress,
                failing: lane.failing.clone(),
            },
            None => DeliveryStanding::Settled,
        }
    }
}

impl Lane {
    /// Workers that fail together are one failure.
    fn fail(&mut self, error: &Error, now: Instant) {
        let since = self.failing.as_ref().map_or(now, |(since, _)| *since);
        self.failing = Some((since, error.clone()));
        if self.until.is_some_and(|until| now < until) {
            return;
        }
        self.failures += 1;
        let asked = match error {
            Error::UpstreamBusy { retry_after_seconds }
            | Error::UpstreamDown { retry_after_seconds } => {
                Duration::from_secs(*retry_after_seconds).min(QUOTA_WAIT_MAX)
            }
            _ => Duration::ZERO,
        };
        let doubled = DELIVERY_PAUSE.saturating_mul(1 << (self.failures - 1).min(10));
        self.until = Some(now + doubled.min(DELIVERY_PAUSE_MAX).max(asked));
    }
}

/// A time, in milliseconds since 1970, plus a wait.
fn after(time_ms: u64, wait: Duration) -> u64 {
    time_ms.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
}

/// The error of a refusal for the client that pushes the manifest.
fn refusal_for_client(delivery: &Delivery, refused: &Refusal, reason: &str) -> Error {
    let digest = delivery.digest;
    let code = refused.code.parse().unwrap_or(ErrorCode::Unknown);
    if code == ErrorCode::ManifestBlobUnknown {
        return Error::ManifestBlobUnknown {
            repo: delivery.errand.repo.clone(),
            missing: vec![digest],
        };
    }
    let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::BAD_GATEWAY);
    Error::UpstreamRefused { status, code, message: format!("{reason} (blob {digest})") }
}
