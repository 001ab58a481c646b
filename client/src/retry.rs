//! The retry policy: the retried answers, the number of tries and the pauses. Pure but for the
//! clock of `Retry-After` and the jitter; the caller does the waiting.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, Response, StatusCode, header};

use crate::breaker::FailureKind;
use crate::limits::{
    BUSY_PATIENCE, OUTAGE_PATIENCE, PATIENT_TRIES_MAX, QUOTA_WAIT_MAX, RETRY_AFTER_MAX,
    RETRY_PAUSE, RETRY_PAUSE_MAX, TRIES_MAX,
};

/// The decision after an answer or a failure.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RetryDecision {
    /// The answer stands.
    Stands,
    /// Wait for this time, then send the same request again.
    Again(Duration),
    /// The registry's `Retry-After` is longer than a waiting client's patience.
    Busy {
        /// Its `Retry-After`, in seconds.
        retry_after_seconds: u64,
    },
}

/// The retry budget of one request: a few tries in any case, and more within a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryBudget {
    /// While the registry does not answer, or answers with a server error.
    outage: Duration,
    /// While the registry answers that there are too many requests.
    busy: Duration,
}

impl RetryBudget {
    /// For requests the client can repeat itself.
    pub(crate) const FEW: Self = Self { outage: Duration::ZERO, busy: Duration::ZERO };
    /// For writes: a client told to begin again sends everything again.
    pub(crate) const LONG: Self = Self { outage: OUTAGE_PATIENCE, busy: BUSY_PATIENCE };

    /// Whether there is a next try after `wait`; `so_far` is the number of tries before, and the
    /// time they took.
    fn allows(self, so_far: (u32, Duration), wait: Duration, busy: bool) -> bool {
        let (tries, elapsed) = so_far;
        let time = if busy { self.busy } else { self.outage };
        tries < TRIES_MAX || (tries < PATIENT_TRIES_MAX && elapsed + wait <= time)
    }
}

/// The pause before the next try without a `Retry-After`: doubling from the first, and jittered.
pub(crate) fn pause(tries: u32) -> Duration {
    jittered(doubled(tries))
}

fn doubled(tries: u32) -> Duration {
    RETRY_PAUSE.saturating_mul(1_u32 << tries.saturating_sub(1).min(10)).min(RETRY_PAUSE_MAX)
}

/// A random time between half of a pause and all of it, so that many clients do not come back at once.
#[must_use]
pub fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(0_u8) % 1024;
    let half = pause / 2;
    half + half.mul_f64(f64::from(u16::try_from(random).unwrap_or_default()) / 1024.0)
}

/// Whether an answer with this status may be different the next time.
#[must_use]
pub const fn is_temporary(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// Judges an answer with the small budget; `tries` counts this one.
pub(crate) fn judge(status: StatusCode, headers: &HeaderMap, tries: u32) -> RetryDecision {
    judge_answer(RetryBudget::FEW, (tries, Duration::ZERO), status, headers)
}

/// Judges an answer within a budget.
pub(crate) fn judge_within<T>(
    budget: RetryBudget,
    so_far: (u32, Duration),
    response: &Response<T>,
) -> RetryDecision {
    judge_answer(budget, so_far, response.status(), response.headers())
}

fn judge_answer(
    budget: RetryBudget,
    so_far: (u32, Duration),
    status: StatusCode,
    headers: &HeaderMap,
) -> RetryDecision {
    if !is_temporary(status) {
        return RetryDecision::Stands;
    }
    // "At once" is not a pause: the usual one applies.
    let told = retry_after(headers);
    let wait = told.filter(|told| !told.is_zero()).unwrap_or_else(|| pause(so_far.0));
    let busy = status == StatusCode::TOO_MANY_REQUESTS;
    if wait <= RETRY_AFTER_MAX && budget.allows(so_far, wait, busy) {
        return RetryDecision::Again(wait);
    }
    if busy || is_busy(status, headers) {
        return RetryDecision::Busy { retry_after_seconds: wait.as_secs().max(1) };
    }
    RetryDecision::Stands
}

/// Whether an answer reports overload rather than a defect: 429, and 503 with `Retry-After`.
pub(crate) fn is_busy(status: StatusCode, headers: &HeaderMap) -> bool {
    match status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::SERVICE_UNAVAILABLE => retry_after(headers).is_some(),
        _ => false,
    }
}

/// Judges a try without an answer.
pub(crate) fn judge_failure(so_far: (u32, Duration), budget: RetryBudget) -> RetryDecision {
    let wait = pause(so_far.0);
    if budget.allows(so_far, wait, false) {
        RetryDecision::Again(wait)
    } else {
        RetryDecision::Stands
    }
}

/// Judges a try refused by the open breaker.
pub(crate) fn judge_down(
    so_far: (u32, Duration),
    budget: RetryBudget,
    wait: Duration,
) -> RetryDecision {
    let (tries, elapsed) = so_far;
    let soon = tries < PATIENT_TRIES_MAX && elapsed + wait <= budget.outage;
    if soon { RetryDecision::Again(wait) } else { RetryDecision::Stands }
}

/// The pause of `Retry-After`, in either form of RFC 9110 §10.2.3, capped at the longest wait;
/// `None` when it is malformed. A time of day is compared with the answer's own `Date`, when there
/// is one.
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: header::HeaderName| Some(headers.get(name)?.to_str().ok()?.trim());
    let value = text(header::RETRY_AFTER)?;
    let now = || {
        let said = text(header::DATE).and_then(|date| httpdate::parse_http_date(date).ok());
        said.unwrap_or_else(SystemTime::now)
    };
    // A past time means now.
    let until = |time: SystemTime| time.duration_since(now()).unwrap_or_default();
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let wait = if is_number {
        let seconds = value.parse().unwrap_or(u64::MAX);
        // Some servers write the time of day as a number: no pause lasts thirty years.
        let time = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        let time = time.filter(|_| seconds >= TIME_OF_DAY_MIN);
        time.map_or(Duration::from_secs(seconds), until)
    } else {
        until(httpdate::parse_http_date(value).ok()?)
    };
    Some(wait.min(QUOTA_WAIT_MAX))
}

/// From this value on, a number is a time since 1970.
const TIME_OF_DAY_MIN: u64 = 1_000_000_000;

/// The kind of failure of an answer that only reports a defect. A gateway reports a missing service
/// behind it, a registry mostly a defect of the requested path.
pub(crate) fn is_down(status: StatusCode) -> Option<FailureKind> {
    match status.as_u16() {
        500 => Some(FailureKind::Broken),
        502..=504 => Some(FailureKind::Unanswered),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_retry_after(seconds: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, seconds.parse().unwrap());
        headers
    }

    /// Whether this is another try after a jittered pause of this length.
    fn is_again(decision: &RetryDecision, pause: Duration) -> bool {
        matches!(decision, RetryDecision::Again(wait) if (pause / 2..=pause).contains(wait))
    }

    #[test]
    fn clients_that_failed_together_come_back_apart() {
        let pauses: std::collections::BTreeSet<_> = (0..64).map(|_| pause(1)).collect();
        assert!(pauses.len() > 1, "{pauses:?}");
        assert!(pauses.iter().all(|pause| (RETRY_PAUSE / 2..=RETRY_PAUSE).contains(pause)));
    }

    #[test]
    fn what_is_temporary_is_tried_again_a_bounded_number_of_times() {
        let none = HeaderMap::new();
        let few = |status, tries| judge(status, &none, tries);
        assert_eq!(few(StatusCode::OK, 1), RetryDecision::Stands);
        assert_eq!(few(StatusCode::NOT_FOUND, 1), RetryDecision::Stands);
        assert!(is_again(&few(StatusCode::BAD_GATEWAY, 1), RETRY_PAUSE));
        assert!(is_again(&few(StatusCode::BAD_GATEWAY, 2), RETRY_PAUSE * 2));
        assert_eq!(few(StatusCode::BAD_GATEWAY, TRIES_MAX), RetryDecision::Stands);
    }

    #[test]
    fn writes_are_tried_for_as_long_as_their_time_lasts() {
        let headers = with_retry_after("3");
        let busy = |so_far| {
            judge_answer(RetryBudget::LONG, so_far, StatusCode::TOO_MANY_REQUESTS, &headers)
        };
        let wait = RetryDecision::Again(Duration::from_secs(3));
        assert_eq!(busy((TRIES_MAX, Duration::from_secs(20))), wait);
        assert_eq!(
            busy((TRIES_MAX, BUSY_PATIENCE)),
            RetryDecision::Busy { retry_after_seconds: 3 }
        );
        assert_ne!(busy((PATIENT_TRIES_MAX, Duration::ZERO)), wait);
        let failed = |so_far| judge_failure(so_far, RetryBudget::LONG);
        assert!(is_again(&failed((TRIES_MAX, Duration::from_secs(5))), RETRY_PAUSE_MAX));
        assert_eq!(failed((TRIES_MAX, OUTAGE_PATIENCE)), RetryDecision::Stands);
        let down = |elapsed| judge_down((1, elapsed), RetryBudget::LONG, Duration::from_secs(2));
        assert_eq!(down(Duration::ZERO), RetryDecision::Again(Duration::from_secs(2)));
        assert_eq!(down(OUTAGE_PATIENCE), RetryDecision::Stands);
        let few = judge_down((1, Duration::ZERO), RetryBudget::FEW, Duration::from_secs(2));
        assert_eq!(few, RetryDecision::Stands);
    }

    #[test]
    fn what_the_upstream_asks_for_is_honoured_or_handed_on() {
        let judge = |seconds, tries| {
            judge(StatusCode::TOO_MANY_REQUESTS, &with_retry_after(seconds), tries)
        };
        let asked = judge("3", 1);
        assert_eq!(asked, RetryDecision::Again(Duration::from_secs(3)));
        let long = judge("90", 1);
        assert_eq!(long, RetryDecision::Busy { retry_after_seconds: 90 });
        let for_ever = judge("999999", 1);
        assert_eq!(for_ever, RetryDecision::Busy { retry_after_seconds: QUOTA_WAIT_MAX.as_secs() });
        assert!(is_again(&judge("0", 2), RETRY_PAUSE * 2), "at once is no pause");
        let last = judge("2", TRIES_MAX);
        assert_eq!(last, RetryDecision::Busy { retry_after_seconds: 2 });
    }

    #[test]
    fn only_what_says_when_to_come_again_is_busy_and_the_rest_is_broken() {
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        let judge = |status, headers: &HeaderMap| judge(status, headers, TRIES_MAX);
        let busy = RetryDecision::Busy { retry_after_seconds: 30 };
        assert_eq!(judge(unavailable, &with_retry_after("30")), busy);
        assert_eq!(judge(unavailable, &HeaderMap::new()), RetryDecision::Stands);
        assert_eq!(judge(unavailable, &with_retry_after("soon")), RetryDecision::Stands);
        assert_eq!(judge(StatusCode::BAD_GATEWAY, &with_retry_after("30")), RetryDecision::Stands);
        let too_many = StatusCode::TOO_MANY_REQUESTS;
        assert_eq!(judge(too_many, &with_retry_after("30")), busy);
        assert!(matches!(judge(too_many, &HeaderMap::new()), RetryDecision::Busy { .. }));
    }

    #[test]
    fn retry_after_is_read_in_both_forms_and_never_asks_for_more_than_is_waited_for() {
        let date = "Mon, 30 Nov 2026 10:00:00 GMT";
        let told = |value: &str, date: Option<&str>| {
            let mut headers = with_retry_after(value);
            headers.extend(date.map(|date| (header::DATE, date.parse().unwrap())));
            retry_after(&headers).map(|wait| wait.as_secs())
        };
        let most = Some(QUOTA_WAIT_MAX.as_secs());
        for (value, expected) in [
            ("0", Some(0)),
            (" 7 ", Some(7)),
            ("3600", most),
            ("99999999999999999999999", most),
            ("Mon, 30 Nov 2026 10:00:09 GMT", Some(9)),
            ("Monday, 30-Nov-26 10:00:09 GMT", Some(9)),
            ("Mon Nov 30 10:00:09 2026", Some(9)),
            ("Mon, 30 Nov 2026 09:59:59 GMT", Some(0)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Wed, 30 Nov 2050 10:00:00 GMT", most),
            // The same moments, as numbers.
            ("1796032809", Some(9)),
            ("1000000000", Some(0)),
            ("", None),
            ("-5", None),
            ("+5", None),
            ("1.5", None),
            ("5 s", None),
            ("soon", None),
            ("Mon, 31 Nov 2026 25:00:00 GMT", None),
        ] {
            assert_eq!(told(value, Some(date)), expected, "{value:?}");
        }
        // Without a valid `Date` in the answer, our own clock counts.
        assert_eq!(told("Thu, 01 Jan 1970 00:00:00 GMT", None), Some(0));
        assert_eq!(told("Fri, 31 Dec 9999 23:59:59 GMT", Some("today")), most);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
