//! The throttle of failed logins: how many tries an address has, and a name from an address.
//! Failures of others do not hold back a login that recently succeeded from the same address
//! (`recent_logins.rs`).
//!
//! Invariants: a login in progress counts as a possible failure, so parallel guesses get no more
//! tries than guesses in sequence; a login beyond that limit waits for the results of those in
//! progress. Memory is bounded. Logins that hash to one counter share it, and no client can aim at
//! a counter; a collision can delay a login for seconds, and never allows more tries.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use wharf_client::runtime::mutex::Mutex;
use wharf_client::runtime::party::Party;
use wharf_client::runtime::ttl_set::TtlSet;

use super::cache_key::{CacheKey, CacheKeys};
use super::recent_logins::RecentLogins;
use crate::Error;
use crate::limits::{
    AUDIT_REPEAT_TIME, LOGIN_COUNTERS, LOGIN_FAILURES_BURST, LOGIN_FAILURES_BURST_ADDRESS,
    LOGIN_FAILURES_PERIOD, LOGIN_FAILURES_PERIOD_ADDRESS, LOGINS_KNOWN_MAX, LOGINS_KNOWN_TIME,
};

/// Failure counters and recent successful logins.
pub(super) struct LoginThrottle {
    /// The keys of credentials, kept over reloads.
    pub(super) marks: CacheKeys,
    chance: RandomState,
    begin: Instant,
    counters: Mutex<Counters>,
    /// Signals the end of a tried login.
    ended: Notify,
    right: RecentLogins<CacheKey>,
    /// Names that logged in recently, each with its network.
    named: RecentLogins<Pair>,
    /// Networks of recent successful logins.
    familiar: RecentLogins<Party>,
    /// Networks with a recent line of this kind in the audit log.
    told: TtlSet<(Party, &'static str)>,
}

struct Counters {
    /// When each counter would be empty again, in milliseconds since the start.
    empty_at: Vec<u64>,
    /// Logins in progress, by their counter.
    under_way: HashMap<usize, u64>,
}

/// A hash of a name and its network.
type Pair = u64;

/// A login to be tried.
#[derive(Clone)]
pub(super) struct TriedLogin {
    pub(super) name: String,
    pub(super) client: IpAddr,
    /// The key of the name, the secret and the network.
    pub(super) mark: CacheKey,
}

/// One counter, and its limit.
#[derive(Clone, Copy)]
struct Counter {
    place: usize,
    period: Duration,
    burst: u32,
}

impl Counter {
    fn period_ms(&self) -> u64 {
        millis(self.period)
    }

    fn full_ms(&self) -> u64 {
        self.period_ms() * u64::from(self.burst)
    }
}

/// The counters of one login.
struct Bounds {
    pair: Pair,
    /// Whether this exact login succeeded recently.
    was_right: bool,
    /// The counters that hold the attempt while it runs.
    held_by: Vec<Counter>,
    of_name: Counter,
    /// None for a name that logged in recently from the same network.
    of_address: Option<Counter>,
}

/// A login in progress. Its owner must report the result; without a report the attempt counts as
/// unanswered.
pub(super) struct Attempt {
    failures: Arc<LoginThrottle>,
    mark: CacheKey,
    /// The client's network.
    network: Party,
    bounds: Bounds,
    is_over: bool,
}

impl LoginThrottle {
    pub(super) fn new() -> std::io::Result<Self> {
        let counters = Counters { empty_at: vec![0; LOGIN_COUNTERS], under_way: HashMap::new() };
        Ok(Self {
            marks: CacheKeys::new()?,
            chance: RandomState::new(),
            begin: Instant::now(),
            counters: Mutex::new(counters),
            ended: Notify::new(),
            right: RecentLogins::new(LOGINS_KNOWN_MAX, LOGINS_KNOWN_TIME),
            named: RecentLogins::new(LOGINS_KNOWN_MAX, LOGINS_KNOWN_TIME),
            familiar: RecentLogins::new(LOGINS_KNOWN_MAX, LOGINS_KNOWN_TIME),
            told: TtlSet::new(LOGINS_KNOWN_MAX),
        })
    }

    /// True once a minute for each network and message: repeated refusals make one line of the
    /// audit log.
    pub(super) fn tells_of(&self, client: IpAddr, what: &'static str) -> bool {
        let line = (Party::behind(client), what);
        let is_new = !self.told.contains(&line);
        if is_new {
            self.told.insert(line, AUDIT_REPEAT_TIME);
        }
        is_new
    }

    /// A number for a text, the same for the lifetime of the throttle.
    pub(super) fn chance(&self, text: &str) -> u64 {
        self.chance.hash_one(text)
    }

    /// The party of a login in progress: the login itself if it succeeded recently; else its
    /// network, which is a known party when one of its logins succeeded recently.
    pub(super) fn party(&self, login: &TriedLogin) -> Party {
        if self.right.contains(&login.mark) {
            return Party::Caller(login.name.as_str().into());
        }
        let network = Party::behind(login.client);
        if self.familiar.contains(&network) { network.familiar() } else { network }
    }

    /// Whether the login may be tried at this moment. A throttled login takes no permit for its
    /// refusal.
    pub(super) fn allow(&self, login: &TriedLogin) -> Result<(), Error> {
        self.counters.lock().levels(&self.bound(login).held_by, self.now()).map(|_| ())
    }

    /// Begins an attempt, unless too many failed. Waits while the running attempts could use up all
    /// allowed failures.
    pub(super) async fn begin(self: &Arc<Self>, login: &TriedLogin) -> Result<Attempt, Error> {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if let Some(attempt) = self.try_begin(login)? {
                return Ok(attempt);
            }
            ended.await;
        }
    }

    /// `None` when the login must wait for the results of others.
    fn try_begin(self: &Arc<Self>, login: &TriedLogin) -> Result<Option<Attempt>, Error> {
        let bounds = self.bound(login);
        let has_room = self.counters.lock().take(&bounds.held_by, self.now())?;
        let begun = || {
            let (failures, network) = (Arc::clone(self), Party::behind(login.client));
            Attempt { failures, mark: login.mark, network, bounds, is_over: false }
        };
        Ok(has_room.then(begun))
    }

    /// The counters of a login.
    fn bound(&self, login: &TriedLogin) -> Bounds {
        let network = Party::behind(login.client);
        let pair = self.chance.hash_one((&login.name, &network));
        let of_name = self.counter(("name", pair), LOGIN_FAILURES_PERIOD, LOGIN_FAILURES_BURST);
        let of_address = self.counter(
            ("address", network),
            LOGIN_FAILURES_PERIOD_ADDRESS,
            LOGIN_FAILURES_BURST_ADDRESS,
        );
        let was_right = self.right.contains(&login.mark);
        let of_address = Some(of_address).filter(|_| !self.named.contains(&pair));
        let held_by: Vec<_> = if was_right {
            let own = ("right", login.mark);
            vec![self.counter(own, LOGIN_FAILURES_PERIOD, LOGIN_FAILURES_BURST)]
        } else {
            std::iter::once(of_name).chain(of_address).collect()
        };
        Bounds { pair, was_right, held_by, of_name, of_address }
    }

    fn counter(&self, of: impl std::hash::Hash, period: Duration, burst: u32) -> Counter {
        let place = usize::try_from(self.chance.hash_one(of) % LOGIN_COUNTERS as u64).unwrap_or(0);
        Counter { place, period, burst }
    }

    fn now(&self) -> u64 {
        millis(self.begin.elapsed())
    }
}

impl Counters {
    /// The level of each counter; an error when one is full regardless of the logins in progress.
    fn levels(&self, all: &[Counter], now: u64) -> Result<Vec<u64>, Error> {
        let level = |counter: &Counter| {
            let empty_at = self.empty_at.get(counter.place).copied().unwrap_or(0);
            let level = empty_at.saturating_sub(now);
            let over = (level + counter.period_ms()).saturating_sub(counter.full_ms());
            if over > 0 {
                return Err(Error::TooManyLogins { retry_after_seconds: over.div_ceil(1_000) });
            }
            Ok(level)
        };
        all.iter().map(level).collect()
    }

    /// Reserves an attempt in every counter, or in none; `false` when there would be room if the
    /// logins in progress succeeded.
    fn take(&mut self, all: &[Counter], now: u64) -> Result<bool, Error> {
        let levels = self.levels(all, now)?;
        let has_room = all.iter().zip(levels).all(|(counter, level)| {
            let under_way = self.under_way.get(&counter.place).copied().unwrap_or(0);
            level + (under_way + 1) * counter.period_ms() <= counter.full_ms()
        });
        if has_room {
            for counter in all {
                *self.under_way.entry(counter.place).or_default() += 1;
            }
        }
        Ok(has_room)
    }

    fn release(&mut self, all: &[Counter]) {
        for counter in all {
            if let Some(count) = self.under_way.get_mut(&counter.place) {
                *count -= 1;
                if *count == 0 {
                    self.under_way.remove(&counter.place);
                }
            }
        }
    }

    fn charge(&mut self, counter: &Counter, now: u64) {
        if let Some(empty_at) = self.empty_at.get_mut(counter.place) {
            *empty_at = (*empty_at).max(now) + counter.period_ms();
        }
    }
}

impl Attempt {
    /// Records a success, which the login alone profits from.
    pub(super) fn succeeded(mut self) {
        self.failures.right.insert(self.mark);
        self.failures.named.insert(self.bounds.pair);
        self.failures.familiar.insert(self.network.clone());
        self.end(&[]);
    }

    /// Records a failure. If the login succeeded recently, its credentials have changed since.
    pub(super) fn failed(mut self) {
        if self.bounds.was_right {
            self.failures.right.remove(&self.mark);
        }
        let Bounds { of_name, of_address, .. } = &self.bounds;
        let charged: Vec<_> = std::iter::once(*of_name).chain(*of_address).collect();
        self.end(&charged);
    }

    /// Ends an attempt without a check.
    pub(super) fn given_up(mut self) {
        self.end(&[]);
    }

    fn end(&mut self, charged: &[Counter]) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let now = self.failures.now();
        let mut counters = self.failures.counters.lock();
        counters.release(&self.bounds.held_by);
        for counter in charged {
            counters.charge(counter, now);
        }
        drop(counters);
        self.failures.ended.notify_waiters();
    }
}

impl Drop for Attempt {
    /// An unanswered check says nothing about the login, but its client's address still pays for
    /// the attempt.
    fn drop(&mut self) {
        let of_address = self.bounds.of_address.filter(|_| !self.bounds.was_right);
        let charged: Vec<_> = of_address.into_iter().collect();
        self.end(&charged);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
