//! The retry policy: the failures to retry, the number of tries and the pauses. The client obeys a
//! registry's `Retry-After`, up to a bound; without one it retries after a growing, jittered pause.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};

/// Bounds of patience.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// How often one request is tried in all.
    pub attempts: u32,
    /// The first pause; each one after it doubles.
    pub first_pause: Duration,
    /// The longest pause of our own choice.
    pub pause_max: Duration,
    /// The longest pause a registry may ask for. Its throttling windows are one minute.
    pub asked_pause_max: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: 8,
            first_pause: Duration::from_millis(250),
            pause_max: Duration::from_secs(20),
            asked_pause_max: Duration::from_mins(2),
        }
    }
}

/// The rest of a [`Policy`] for one request, or for one blob since its last progress.
#[derive(Debug)]
pub(super) struct Budget {
    policy: Policy,
    tried: u32,
}

impl Budget {
    pub(super) const fn new(policy: Policy) -> Self {
        Self { policy, tried: 0 }
    }

    /// How often was tried.
    pub(super) const fn tried(&self) -> u32 {
        self.tried
    }

    /// Counts a failure. The pause to make before the next try, or `None` when there is none.
    pub(super) fn failed(&mut self, asked: Option<Duration>) -> Option<Duration> {
        self.tried += 1;
        if self.tried >= self.policy.attempts {
            return None;
        }
        if let Some(asked) = asked {
            return Some(asked.min(self.policy.asked_pause_max));
        }
        let doubled =
            self.policy.first_pause.saturating_mul(1 << self.tried.saturating_sub(1).min(16));
        Some(jittered(doubled.min(self.policy.pause_max)))
    }

    /// Progress was made: the budget starts over.
    pub(super) const fn progressed(&mut self) {
        self.tried = 0;
    }
}

/// A random time between half of the pause and all of it, so that many clients do not come back at
/// once.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(0_u8) % 1024;
    let half = pause / 2;
    half + half.mul_f64(f64::from(u16::try_from(random).unwrap_or_default()) / 1024.0)
}

/// Whether an answer with this status may be different the next time.
pub(super) fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// The pause an answer asks for: seconds, or a date (RFC 9110 §10.2.3).
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    retry_after_at(headers, SystemTime::now())
}

fn retry_after_at(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().unwrap());
        headers
    }

    #[test]
    fn a_pause_is_read_as_seconds_or_as_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        let read = |value| retry_after_at(&headers(value), now);
        assert_eq!(read("7"), Some(Duration::from_secs(7)));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(7)));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:27 GMT"), Some(Duration::ZERO));
        assert_eq!(read("soon"), None);
        assert_eq!(retry_after_at(&HeaderMap::new(), now), None);
    }

    #[test]
    fn a_budget_ends_believes_the_registry_and_starts_over_on_progress() {
        let mut budget = Budget::new(Policy { attempts: 3, ..Policy::default() });
        assert_eq!(budget.failed(Some(Duration::from_secs(9))), Some(Duration::from_secs(9)));
        assert_eq!(
            budget.failed(Some(Duration::from_secs(9_999))),
            Some(Policy::default().asked_pause_max)
        );
        assert_eq!(budget.failed(None), None);
        assert_eq!(budget.tried(), 3);
        budget.progressed();
        assert!(budget.failed(None).unwrap() <= Policy::default().first_pause);
    }

    #[test]
    fn pauses_grow_to_their_bound() {
        let mut budget = Budget::new(Policy { attempts: 100, ..Policy::default() });
        let pauses: Vec<Duration> = (0..99).filter_map(|_| budget.failed(None)).collect();
        assert_eq!(pauses.len(), 99);
        assert!(pauses.iter().all(|pause| *pause <= Policy::default().pause_max));
        assert!(pauses.last().unwrap() >= &(Policy::default().pause_max / 2));
    }
}
