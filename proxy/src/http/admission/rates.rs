//! How often who asks: a bucket for each that fills at the rate, and that each request takes one from.
//! Who finds none waits in the line before the bucket, and goes in the order of coming.
//!
//! Invariants: at most `RATES_MAX` are known; those beyond share one bucket, so that new names and
//! addresses without end buy nothing. Who goes away leaves the line, and whoever is behind moves up: nobody
//! waits for somebody who is gone.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::limits::{PARTY_RATE_WAITING_MAX, RATE_WAITING_MAX, RATES_MAX};
use crate::runtime::party::Party;
use crate::runtime::shares::{Share, Shares};
use crate::settings::limits::Rate;

/// How often the full buckets are looked for, at most.
const SWEEP_PERIOD: Duration = Duration::from_secs(1);

/// The shortest sleep.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// Whose bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum RateKey {
    /// A caller's, for questions.
    User(Party),
    /// A caller's, for blobs.
    Transfers(Party),
    /// An address's.
    Address(Party),
    /// Of all who are too many to be known.
    Others,
}

impl RateKey {
    /// Whose place it takes while it waits.
    fn party(&self) -> Party {
        match self {
            Self::User(party) | Self::Transfers(party) | Self::Address(party) => party.clone(),
            Self::Others => Party::Ourselves,
        }
    }
}

/// Why somebody has no turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RateRefusal {
    /// It would come after the last moment: so long from now.
    TooLate(Duration),
    /// Too many wait already.
    Full,
}

/// All buckets.
#[derive(Default)]
pub(super) struct Rates {
    table: Mutex<Table>,
    /// Requests that wait, in all lines together.
    waiting: Shares,
}

#[derive(Default)]
struct Table {
    buckets: HashMap<RateKey, Bucket>,
    swept: Option<Instant>,
    /// The number of the next one that waits.
    next: u64,
}

struct Bucket {
    tokens: f64,
    at: Instant,
    /// Who waits, by number: from the next to the last.
    line: VecDeque<u64>,
    /// Told when somebody left the line before their turn.
    moved: Arc<Notify>,
}

impl Bucket {
    fn full(rate: Rate, now: Instant) -> Self {
        let (tokens, line) = (f64::from(rate.burst), VecDeque::new());
        Self { tokens, at: now, line, moved: Arc::default() }
    }

    /// What it has at a moment, at this rate. Who waits loses nothing by being woken late.
    fn fill(&self, rate: Rate, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        let most = f64::from(rate.burst).max(to_f64(self.line.len()));
        (self.tokens + since * f64::from(rate.per_second)).min(most)
    }

    fn filled(&mut self, rate: Rate, now: Instant) {
        (self.tokens, self.at) = (self.fill(rate, now), now);
    }

    /// How long it takes until there is one for whoever has so many before them.
    fn wait(&self, rate: Rate, before: usize) -> Duration {
        let lacking = (to_f64(before) + 1.0 - self.tokens).max(0.0);
        Duration::from_secs_f64(lacking / f64::from(rate.per_second.max(1)))
    }
}

/// A place in a line; given up when dropped.
struct Waiting<'a> {
    rates: &'a Rates,
    who: RateKey,
    rate: Rate,
    number: u64,
    moved: Arc<Notify>,
    _place: Share,
}

/// What one finds who comes.
enum Came<'a> {
    Goes,
    Waits(Waiting<'a>),
}

impl Rates {
    /// Resolves when it is their turn, with how long that took; with `latest`, not after that moment: an
    /// error at once when it is known to come later.
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
            // From before the look, so that no news is missed.
            let moved = waiting.moved.notified();
            let Some(wait) = waiting.look(Instant::now()) else { return Ok(came.elapsed()) };
            // Not shorter than the clock of the runtime can tell.
            let _ = timeout_at(Instant::now() + wait.max(SHORTEST_WAIT), moved).await;
        }
    }

    /// How many buckets are known.
    pub(super) fn count(&self) -> usize {
        self.table().buckets.len()
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.total()
    }

    /// Takes one, or a place in the line.
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
    /// Takes one when it is their turn; else how long that still takes.
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
        // Who had their turn is not in the line any more.
        if let Ok(before) = bucket.line.binary_search(&self.number) {
            bucket.line.remove(before);
            bucket.moved.notify_waiters();
        }
    }
}

impl Table {
    /// The bucket to look into. A bucket that is full again says nothing and goes when room is needed.
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
