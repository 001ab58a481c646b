//! Rates of requests: a token bucket for each caller or address. A request that finds no token
//! waits in the bucket's queue, first come, first served.
//!
//! Invariants: at most `RATES_MAX` buckets are kept; further keys share one, so that new names and
//! addresses without end buy nothing. A request whose client goes away leaves the queue, and those
//! behind it move up: no request waits for a dropped one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use wharf_client::runtime::party::Party;

use crate::limits::{PARTY_RATE_WAITING_MAX, RATE_WAITING_MAX, RATES_MAX};
use crate::runtime::shares::{Share, Shares};
use crate::settings::limits::Rate;

/// The shortest time between two searches for full buckets.
const SWEEP_PERIOD: Duration = Duration::from_secs(1);

/// The shortest sleep.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// The key of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum RateKey {
    /// A caller, for requests without a blob.
    User(Party),
    /// A caller, for blobs.
    Transfers(Party),
    Address(Party),
    /// All keys beyond the bound.
    Others,
}

impl RateKey {
    /// The party of a queued request.
    fn party(&self) -> Party {
        match self {
            Self::User(party) | Self::Transfers(party) | Self::Address(party) => party.clone(),
            Self::Others => Party::Ourselves,
        }
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RateRefusal {
    /// Its token would come after the latest moment: in this time.
    TooLate(Duration),
    /// The queue is full.
    Full,
}

/// All buckets.
#[derive(Default)]
pub(super) struct Rates {
    table: Mutex<Table>,
    /// Queued requests, of all buckets together.
    waiting: Shares,
}

#[derive(Default)]
struct Table {
    buckets: HashMap<RateKey, Bucket>,
    swept: Option<Instant>,
    /// The number of the next queued request.
    next: u64,
}

struct Bucket {
    tokens: f64,
    at: Instant,
    /// Queued requests, by number: from the next to the last.
    line: VecDeque<u64>,
    /// Notified when a request left the queue without its token.
    moved: Arc<Notify>,
}

impl Bucket {
    fn full(rate: Rate, now: Instant) -> Self {
        let (tokens, line) = (f64::from(rate.burst), VecDeque::new());
        Self { tokens, at: now, line, moved: Arc::default() }
    }

    /// The bucket's tokens at a moment, at this rate. A queued request loses nothing by being woken
    /// late.
    fn fill(&self, rate: Rate, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        let most = f64::from(rate.burst).max(to_f64(self.line.len()));
        (self.tokens + since * f64::from(rate.per_second)).min(most)
    }

    fn filled(&mut self, rate: Rate, now: Instant) {
        (self.tokens, self.at) = (self.fill(rate, now), now);
    }

    /// How long it takes until there is a token for a request behind `before` others.
    fn wait(&self, rate: Rate, before: usize) -> Duration {
        let lacking = (to_f64(before) + 1.0 - self.tokens).max(0.0);
        Duration::from_secs_f64(lacking / f64::from(rate.per_second.max(1)))
    }
}

/// A place in a queue; given up when dropped.
struct Waiting<'a> {
    rates: &'a Rates,
    who: RateKey,
    rate: Rate,
    number: u64,
    moved: Arc<Notify>,
    _place: Share,
}

/// The result of a request's arrival at a bucket.
enum Came<'a> {
    Goes,
    Waits(Waiting<'a>),
}

impl Rates {
    /// Resolves when the request has its token, with the time it queued; with `latest`, not after
    /// that moment: an error at once when the token is known to come later.
    pub(super) async fn turn(
        &self,
        who: RateKey,
        rate: Rate,
        latest: Option<Instant>,
    ) -> Result<Duration, RateRefusal> {
        let came = Instant::now();
        let Came::Waits(waiting) = self.come(who, rate, came, latest)? else {
            return Ok(Duration::ZERO);
        };
        loop {
            // From before the look, so that no notification is missed.
            let moved = waiting.moved.notified();
            let Some(wait) = waiting.look(Instant::now()) else { return Ok(came.elapsed()) };
            // Not shorter than the resolution of the runtime's clock.
            let _ = timeout_at(Instant::now() + wait.max(SHORTEST_WAIT), moved).await;
        }
    }

    /// The number of buckets.
    pub(super) fn count(&self) -> usize {
        self.table().buckets.len()
    }

    /// The number of queued requests.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.total()
    }

    /// Takes a token, or a place in the queue.
    fn come(
        &self,
        who: RateKey,
        rate: Rate,
        now: Instant,
        latest: Option<Instant>,
    ) -> Result<Came<'_>, RateRefusal> {
        let party = who.party();
        let mut table = self.table();
        let who = table.admit(who, rate, now);
        let number = table.next;
        let bucket = table.buckets.entry(who.clone()).or_insert_with(|| Bucket::full(rate, now));
        bucket.filled(rate, now);
        if bucket.line.is_empty() && bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(Came::Goes);
        }
        let wait = bucket.wait(rate, bucket.line.len());
        if latest.is_some_and(|latest| now + wait > latest) {
            return Err(RateRefusal::TooLate(wait));
        }
        let place = self.waiting.take_within(party, PARTY_RATE_WAITING_MAX, RATE_WAITING_MAX);
        let place = place.ok_or(RateRefusal::Full)?;
        bucket.line.push_back(number);
        let moved = Arc::clone(&bucket.moved);
        table.next += 1;
        Ok(Came::Waits(Waiting { rates: self, who, rate, number, moved, _place: place }))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting<'_> {
    /// Takes a token if it is the request's turn; else returns how long that still takes.
    fn look(&self, now: Instant) -> Option<Duration> {
        let mut table = self.rates.table();
        let bucket = table.buckets.get_mut(&self.who)?;
        let before = bucket.line.binary_search(&self.number).ok()?;
        bucket.filled(self.rate, now);
        if bucket.tokens >= to_f64(before) + 1.0 {
            bucket.line.remove(before);
            bucket.tokens -= 1.0;
            return None;
        }
        Some(bucket.wait(self.rate, before))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut table = self.rates.table();
        let Some(bucket) = table.buckets.get_mut(&self.who) else { return };
        // An admitted request is not in the queue any more.
        if let Ok(before) = bucket.line.binary_search(&self.number) {
            bucket.line.remove(before);
            bucket.moved.notify_waiters();
        }
    }
}

impl Table {
    /// The bucket for a key. A full bucket carries no state and goes when room is needed.
    fn admit(&mut self, who: RateKey, rate: Rate, now: Instant) -> RateKey {
        if self.buckets.len() < RATES_MAX || self.buckets.contains_key(&who) {
            return who;
        }
        let due = self.swept.is_none_or(|at| now.saturating_duration_since(at) >= SWEEP_PERIOD);
        if due {
            self.swept = Some(now);
            let says_something = |bucket: &Bucket| {
                !bucket.line.is_empty() || bucket.fill(rate, now) < f64::from(rate.burst)
            };
            self.buckets.retain(|_, bucket| says_something(bucket));
        }
        if self.buckets.len() < RATES_MAX { who } else { RateKey::Others }
    }
}

#[expect(clippy::cast_precision_loss, reason = "no line is that long")]
const fn to_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
