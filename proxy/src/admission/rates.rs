//! How often who asks: a bucket for each that fills at the rate, and that each request takes one from.
//!
//! Invariant: at most `RATES_MAX` are known; those beyond share one bucket, so that new names and
//! addresses without end buy nothing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Rate;
use crate::limits::RATES_MAX;
use crate::party::Party;

/// How often the full buckets are looked for, at most.
const SWEEP_PERIOD: Duration = Duration::from_secs(1);

/// Whose bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Who {
    /// A caller's, for questions.
    User(Party),
    /// A caller's, for blobs.
    Transfers(Party),
    /// An address's.
    Address(Party),
    /// Of all who are too many to be known.
    Others,
}

/// All buckets.
#[derive(Default)]
pub(super) struct Rates(Mutex<Table>);

#[derive(Default)]
struct Table {
    buckets: HashMap<Who, Bucket>,
    swept: Option<Instant>,
}

struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// What it has at a moment, at this rate.
    fn fill(&self, rate: Rate, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        (self.tokens + since * f64::from(rate.per_second)).min(f64::from(rate.burst))
    }
}

impl Rates {
    /// Takes one; else how long it takes until there is one.
    pub(super) fn take(&self, who: Who, rate: Rate, now: Instant) -> Result<(), Duration> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let who = table.admit(who, rate, now);
        let full = f64::from(rate.burst);
        let bucket = table.buckets.entry(who).or_insert(Bucket { tokens: full, at: now });
        bucket.tokens = bucket.fill(rate, now);
        bucket.at = now;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - bucket.tokens) / f64::from(rate.per_second.max(1))))
    }

    /// How many are known.
    pub(super) fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).buckets.len()
    }
}

impl Table {
    /// The bucket to look into. A bucket that is full again says nothing and goes when room is needed.
    fn admit(&mut self, who: Who, rate: Rate, now: Instant) -> Who {
        if self.buckets.len() < RATES_MAX || self.buckets.contains_key(&who) {
            return who;
        }
        let due = self.swept.is_none_or(|at| now.saturating_duration_since(at) >= SWEEP_PERIOD);
        if due {
            self.swept = Some(now);
            self.buckets.retain(|_, bucket| bucket.fill(rate, now) < f64::from(rate.burst));
        }
        if self.buckets.len() < RATES_MAX { who } else { Who::Others }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 2, burst: 3 };

    fn user(name: &str) -> Who {
        Who::User(Party::Caller(name.into()))
    }

    #[test]
    fn a_burst_is_let_through_and_then_the_rate() {
        let (rates, start) = (Rates::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        for _ in 0..3 {
            assert!(rates.take(user("a"), RATE, at(0)).is_ok());
        }
        assert_eq!(rates.take(user("a"), RATE, at(0)), Err(Duration::from_millis(500)));
        assert!(rates.take(user("b"), RATE, at(0)).is_ok(), "others are not meant");
        assert!(rates.take(user("a"), RATE, at(500)).is_ok());
        assert!(rates.take(user("a"), RATE, at(600)).is_err());
        let later = (0..10).filter(|_| rates.take(user("a"), RATE, at(60_000)).is_ok());
        assert_eq!(later.count(), 3, "a long pause saves up no more than a burst");
    }

    #[test]
    fn names_without_end_take_no_memory_and_buy_nothing() {
        let (rates, now) = (Rates::default(), Instant::now());
        for number in 0..RATES_MAX {
            assert!(rates.take(user(&number.to_string()), RATE, now).is_ok());
        }
        let more = (0..100).filter(|n| rates.take(user(&format!("x{n}")), RATE, now).is_ok());
        assert_eq!(more.count(), 3, "all of these share one bucket");
        assert_eq!(rates.count(), RATES_MAX + 1);
        assert!(rates.take(user("y"), RATE, now + Duration::from_mins(1)).is_ok());
        assert!(rates.count() < 10, "those that are full again made room");
    }
}
