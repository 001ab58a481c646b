//! Logins not yet proven to the upstream, or not recently. The proxy asks the upstream about them
//! apart from known logins: a few at once, fairly among clients, each with one short try
//! (`Client::knows`), and within the limits on failures (`login_throttle.rs`).
//!
//! Invariant: a login is known from the moment the upstream confirms it, from its own network, for
//! a bounded time; an unproven login never delays a known one.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use wharf_client::runtime::ttl_set::TtlSet;

use super::Caller;
use super::cache_key::CacheKey;
use super::check_queue::CheckQueue;
use super::login_throttle::{LoginThrottle, TriedLogin};
use super::recent_logins::RecentLogins;
use crate::Error;
use crate::bound::{Bound, BoundUsage};
use crate::limits::{
    LOGINS_KNOWN_MAX, LOGINS_PROVEN_TIME, NEGATIVES_MAX, PERMITS_MAX, QUOTA_WAIT_MAX, REFUSAL_TIME,
    STRANGER_WAIT_MAX, STRANGERS_EACH_MAX, STRANGERS_MAX, STRANGERS_WAITING_MAX,
};
use crate::runtime::single_flight::SingleFlight;
use crate::upstream::Upstream;

/// The unproven logins of one registry.
pub(super) struct UnprovenLogins {
    /// The registry that decides: each registry knows its own logins.
    registry: String,
    failures: Arc<LoginThrottle>,
    known: RecentLogins<CacheKey>,
    /// One question for all requests with one login.
    asking: SingleFlight<(usize, CacheKey), Option<Duration>>,
    places: CheckQueue,
    /// Logins that the upstream told to wait.
    told: TtlSet<CacheKey>,
    /// Logins the upstream refused a moment ago.
    refused: TtlSet<CacheKey>,
}

/// One unproven login.
struct Stranger {
    all: Arc<UnprovenLogins>,
    upstream: Arc<Upstream>,
    caller: Caller,
    mark: CacheKey,
}

impl UnprovenLogins {
    /// Starts without known logins.
    pub(super) fn new(registry: &str, failures: Arc<LoginThrottle>) -> Self {
        Self {
            registry: registry.to_owned(),
            failures,
            known: RecentLogins::new(LOGINS_KNOWN_MAX, LOGINS_PROVEN_TIME),
            asking: SingleFlight::new(STRANGERS_WAITING_MAX, Bound::UnprovenLogins)
                .keeping_a_share_for_known(),
            places: CheckQueue::new(STRANGERS_MAX, STRANGERS_EACH_MAX),
            told: TtlSet::new(NEGATIVES_MAX),
            refused: TtlSet::new(PERMITS_MAX),
        }
    }

    /// Whether this set belongs to the registry.
    pub(super) fn are_of(&self, registry: &str) -> bool {
        self.registry == registry
    }

    /// The counters of failed logins.
    pub(super) const fn failures(&self) -> &Arc<LoginThrottle> {
        &self.failures
    }

    /// The key of a login and its network.
    pub(super) fn mark(&self, caller: &Caller) -> Option<CacheKey> {
        let fingerprint = caller.login()?.fingerprint();
        Some(self.failures.marks.from(caller.client(), &[fingerprint.as_bytes()]))
    }

    /// Whether the upstream recently confirmed this login.
    pub(super) fn know(&self, mark: &CacheKey) -> bool {
        self.known.contains(mark)
    }

    /// Records the upstream's answer about a login.
    pub(super) fn learn(&self, mark: CacheKey, is_known: bool) {
        if is_known {
            self.known.insert(mark);
        } else {
            self.known.remove(&mark);
            self.refused.insert(mark, REFUSAL_TIME);
        }
    }

    /// The upstream's recent answer. A cached refusal is not another failure.
    fn said(&self, mark: &CacheKey) -> Option<bool> {
        if self.know(mark) { Some(true) } else { self.refused.contains(mark).then_some(false) }
    }

    /// Logins that are being tried.
    pub(super) fn state(&self) -> BoundUsage {
        BoundUsage::new(Bound::UnprovenLogins, self.asking.count(), STRANGERS_WAITING_MAX)
    }

    /// Asks the upstream whether it knows this login, and for how long its answer holds; does not
    /// ask when it recently answered. Requests with the same login at the same time wait for one
    /// answer: they are one login, and one failure.
    pub(super) async fn ask(
        self: &Arc<Self>,
        upstream: &Arc<Upstream>,
        caller: &Caller,
        mark: CacheKey,
    ) -> Result<Option<Duration>, Error> {
        if let Some(is_known) = self.said(&mark) {
            return Ok(is_known.then_some(Duration::ZERO));
        }
        let (all, upstream) = (Arc::clone(self), Arc::clone(upstream));
        let stranger = Stranger { all, upstream, caller: caller.clone(), mark };
        let login = stranger.login();
        let held_back = |_: &Error| audit_held_back(&self.failures, login.client);
        self.failures.allow(&login).inspect_err(held_back)?;
        let key = (stranger.upstream.identity(), mark);
        let party = self.failures.party(&login);
        let asked = self.asking.ask(&party, key, |promise| async move {
            promise.keep(stranger.ask(login).await);
        });
        asked.await.map(|(said, _)| said)
    }
}

impl Stranger {
    /// The login under its claimed name.
    fn login(&self) -> TriedLogin {
        let (name, client) = (self.caller.claimed().to_owned(), self.caller.client());
        TriedLogin { name, client, mark: self.mark }
    }

    async fn ask(self, login: TriedLogin) -> Result<Option<Duration>, Error> {
        let Self { all, upstream, caller, mark } = self;
        let Some(shown) = caller.login() else { return Ok(None) };
        // Another request may have recorded the answer since the first look-up.
        if let Some(is_known) = all.said(&mark) {
            return Ok(is_known.then_some(Duration::ZERO));
        }
        if let Some(left) = all.told.time_left(&mark) {
            return Err(Error::UpstreamBusy { retry_after_seconds: left.as_secs() + 1 });
        }
        let deadline = Instant::now() + STRANGER_WAIT_MAX;
        let late = |_| Error::TooMany(Bound::UnprovenLogins);
        let begun = timeout_at(deadline, all.failures.begin(&login)).await.map_err(late)?;
        let held_back = |_: &Error| audit_held_back(&all.failures, login.client);
        let attempt = begun.inspect_err(held_back)?;
        let party = all.failures.party(&login);
        let Ok(place) = timeout_at(deadline, all.places.enter(&party)).await else {
            attempt.given_up();
            return Err(Error::TooMany(Bound::UnprovenLogins));
        };
        let answer = upstream.client.knows(shown).await;
        drop(place);
        match answer {
            Ok(Some(life)) => {
                attempt.succeeded();
                all.learn(mark, true);
                audit(caller.claimed(), login.client, "accepted");
                Ok(Some(life))
            }
            Ok(None) => {
                attempt.failed();
                all.learn(mark, false);
                audit("unknown", login.client, "refused");
                Ok(None)
            }
            Err(error) => {
                let error = Error::from(error);
                if let Error::UpstreamBusy { retry_after_seconds } = &error {
                    let wait = Duration::from_secs(*retry_after_seconds).min(QUOTA_WAIT_MAX);
                    all.told.insert(mark, wait);
                }
                let upstream = upstream.address();
                tracing::warn!(upstream, %error, "whether it knows a login cannot be asked");
                Err(error)
            }
        }
    }
}

/// Writes an audit line about a delayed login, at most once a minute.
fn audit_held_back(failures: &LoginThrottle, client: IpAddr) {
    if failures.tells_of(client, "held back") {
        audit("unknown", client, "held back");
    }
}

/// A line for the audit log.
fn audit(caller: &str, client: IpAddr, result: &str) {
    let by = "passthrough";
    tracing::info!(target: "audit", audit = "login", caller, by, %client, result, "login");
}

#[cfg(test)]
mod tests;
