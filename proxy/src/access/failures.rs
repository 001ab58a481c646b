//! Logins that failed: how many an address, and a name from an address, may try.
//!
//! Invariant: bounded memory. Counters are shared by whoever falls on the same one, which nobody outside
//! can aim at; that may hold somebody back for seconds, and lets nobody try more.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::Error;
use crate::limits::{
    LOGIN_COUNTERS, LOGIN_FAILURES_BURST, LOGIN_FAILURES_BURST_ADDRESS, LOGIN_FAILURES_PERIOD,
    LOGIN_FAILURES_PERIOD_ADDRESS,
};

/// Counters of failures.
pub(super) struct Failures {
    chance: RandomState,
    begin: Instant,
    /// When each would be empty again, in milliseconds since the begin.
    counters: Mutex<Vec<u64>>,
}

/// A login that is being tried. It counts as failed until it is said to be good.
pub(super) struct Attempt<'a> {
    failures: &'a Failures,
    charged: [(usize, u64); 2],
}

impl Failures {
    pub(super) fn new() -> Self {
        let counters = Mutex::new(vec![0; LOGIN_COUNTERS]);
        Self { chance: RandomState::new(), begin: Instant::now(), counters }
    }

    /// A number that stands for a text, the same as long as this lives.
    pub(super) fn chance(&self, text: &str) -> u64 {
        self.chance.hash_one(text)
    }

    /// Begins to try, unless too many failed.
    pub(super) fn begin(&self, name: &str, client: IpAddr) -> Result<Attempt<'_>, Error> {
        let client = neighbourhood(client);
        let now = millis(self.begin.elapsed());
        let kinds = [
            (self.place((name, client)), LOGIN_FAILURES_PERIOD, LOGIN_FAILURES_BURST),
            (self.place(client), LOGIN_FAILURES_PERIOD_ADDRESS, LOGIN_FAILURES_BURST_ADDRESS),
        ];
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        for (place, period, burst) in kinds {
            let full_at = millis(period) * u64::from(burst);
            let level = counters.get(place).map_or(0, |empty_at| empty_at.saturating_sub(now));
            if level + millis(period) > full_at {
                let wait = level + millis(period) - full_at;
                let retry_after_seconds = wait.div_ceil(1_000).max(1);
                return Err(Error::TooManyLogins { retry_after_seconds });
            }
        }
        let charged = kinds.map(|(place, period, _)| (place, millis(period)));
        for (place, period) in charged {
            if let Some(empty_at) = counters.get_mut(place) {
                *empty_at = (*empty_at).max(now) + period;
            }
        }
        Ok(Attempt { failures: self, charged })
    }

    fn place(&self, of: impl std::hash::Hash) -> usize {
        usize::try_from(self.chance.hash_one(of) % LOGIN_COUNTERS as u64).unwrap_or(0)
    }
}

impl Attempt<'_> {
    /// It was good, and does not count.
    pub(super) fn succeeded(self) {
        let mut counters = self.failures.counters.lock().unwrap_or_else(PoisonError::into_inner);
        for (place, period) in self.charged {
            if let Some(empty_at) = counters.get_mut(place) {
                *empty_at = empty_at.saturating_sub(period);
            }
        }
    }
}

/// Who has one IPv6 address has the 2^64 beside it.
fn neighbourhood(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        IpAddr::V4(address) => IpAddr::V4(address),
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn is_held_back(failures: &Failures, name: &str, client: IpAddr) -> bool {
        matches!(failures.begin(name, client), Err(Error::TooManyLogins { .. }))
    }

    #[tokio::test(start_paused = true)]
    async fn who_fails_often_waits_and_others_do_not() {
        let failures = Failures::new();
        for _ in 0..LOGIN_FAILURES_BURST {
            failures.begin("alice", CLIENT).ok().unwrap();
        }
        assert!(is_held_back(&failures, "alice", CLIENT));
        assert!(!is_held_back(&failures, "alice", "192.0.2.2".parse().unwrap()));
        assert!(!is_held_back(&failures, "bob", CLIENT));
        tokio::time::advance(LOGIN_FAILURES_PERIOD).await;
        assert!(!is_held_back(&failures, "alice", CLIENT));
        assert!(is_held_back(&failures, "alice", CLIENT));
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_tries_many_names_waits() {
        let failures = Failures::new();
        let begin = |n: u32| failures.begin(&format!("user-{n}"), CLIENT).map(|_| ());
        let count = (0..LOGIN_FAILURES_BURST_ADDRESS + 50).filter(|n| begin(*n).is_ok()).count();
        assert_eq!(count, LOGIN_FAILURES_BURST_ADDRESS as usize);
        let Err(Error::TooManyLogins { retry_after_seconds }) = begin(10_000) else { panic!() };
        assert_eq!(retry_after_seconds, LOGIN_FAILURES_PERIOD_ADDRESS.as_secs().max(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_good_login_does_not_count() {
        let failures = Failures::new();
        for _ in 0..10_000 {
            failures.begin("alice", CLIENT).ok().unwrap().succeeded();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_addresses_of_one_network_count_as_one() {
        let failures = Failures::new();
        for n in 0..LOGIN_FAILURES_BURST {
            failures.begin("alice", format!("2001:db8::{n:x}").parse().unwrap()).ok().unwrap();
        }
        assert!(is_held_back(&failures, "alice", "2001:db8::ffff".parse().unwrap()));
        assert!(!is_held_back(&failures, "alice", "2001:db8:0:1::1".parse().unwrap()));
    }
}
