//! What is tried again, how often, and after which pause. Pure; the waiting is done by the caller.

use std::time::Duration;

use http::{HeaderMap, Response, StatusCode, header};

use super::breaker::FailureKind;
use crate::limits::{
    BUSY_PATIENCE, OUTAGE_PATIENCE, PATIENT_TRIES_MAX, RETRY_AFTER_MAX, RETRY_PAUSE,
    RETRY_PAUSE_MAX, TRIES_MAX,
};

/// What to do after an answer or a failure.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The answer stands.
    Stands,
    /// Wait, then send the same again.
    Again(Duration),
    /// The upstream asked for more patience than a waiting client has.
    Busy {
        /// What it asked for, in seconds.
        retry_after_seconds: u64,
    },
}

/// How much is tried for one request: a few times in any case, and beyond that for a while.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    /// While the upstream does not answer, or only that it is broken.
    outage: Duration,
    /// While it says that there are too many requests.
    busy: Duration,
}

impl Budget {
    /// For what a client can ask again itself.
    pub(super) const FEW: Self = Self { outage: Duration::ZERO, busy: Duration::ZERO };
    /// For writes: a client that is told to begin again sends everything again.
    pub(super) const LONG: Self = Self { outage: OUTAGE_PATIENCE, busy: BUSY_PATIENCE };

    /// Whether there is a next try after `wait`; `so_far` is the number of those before, and the time
    /// that they took.
    fn allows(self, so_far: (u32, Duration), wait: Duration, busy: bool) -> bool {
        let (tries, elapsed) = so_far;
        let time = if busy { self.busy } else { self.outage };
        tries < TRIES_MAX || (tries < PATIENT_TRIES_MAX && elapsed + wait <= time)
    }
}

/// The pause before the next try when nobody said one: doubling from the first.
pub(super) fn pause(tries: u32) -> Duration {
    RETRY_PAUSE.saturating_mul(1_u32 << tries.saturating_sub(1).min(10)).min(RETRY_PAUSE_MAX)
}

/// Judges an answer to what is tried a few times; `tries` counts this one.
pub(super) fn judge(status: StatusCode, headers: &HeaderMap, tries: u32) -> Verdict {
    judge_answer(Budget::FEW, (tries, Duration::ZERO), status, headers)
}

/// Judges an answer to what is tried within a budget.
pub(super) fn judge_within<T>(
    budget: Budget,
    so_far: (u32, Duration),
    response: &Response<T>,
) -> Verdict {
    judge_answer(budget, so_far, response.status(), response.headers())
}

fn judge_answer(
    budget: Budget,
    so_far: (u32, Duration),
    status: StatusCode,
    headers: &HeaderMap,
) -> Verdict {
    let temporary = matches!(
        status,
        StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    );
    if !temporary {
        return Verdict::Stands;
    }
    let wait = retry_after(headers).unwrap_or_else(|| pause(so_far.0));
    let busy = status == StatusCode::TOO_MANY_REQUESTS;
    if wait <= RETRY_AFTER_MAX && budget.allows(so_far, wait, busy) {
        return Verdict::Again(wait);
    }
    if busy {
        return Verdict::Busy { retry_after_seconds: wait.as_secs().max(1) };
    }
    Verdict::Stands
}

/// Judges a try that got no answer.
pub(super) fn judge_failure(so_far: (u32, Duration), budget: Budget) -> Verdict {
    let wait = pause(so_far.0);
    if budget.allows(so_far, wait, false) { Verdict::Again(wait) } else { Verdict::Stands }
}

/// Judges a try that was not made, because the upstream was down a moment ago.
pub(super) fn judge_down(so_far: (u32, Duration), budget: Budget, wait: Duration) -> Verdict {
    let (tries, elapsed) = so_far;
    let soon = tries < PATIENT_TRIES_MAX && elapsed + wait <= budget.outage;
    if soon { Verdict::Again(wait) } else { Verdict::Stands }
}

/// What `Retry-After` asks for, in seconds as ACR writes it; a date is not understood.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    value.parse().ok().map(Duration::from_secs)
}

/// What an answer says that says no more than that something there is broken. A gateway says that it has
/// nothing behind it, a registry mostly means what was asked for.
pub(super) fn is_down(status: StatusCode) -> Option<FailureKind> {
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

    #[test]
    fn what_is_temporary_is_tried_again_a_bounded_number_of_times() {
        let none = HeaderMap::new();
        let few = |status, tries| judge(status, &none, tries);
        assert_eq!(few(StatusCode::OK, 1), Verdict::Stands);
        assert_eq!(few(StatusCode::NOT_FOUND, 1), Verdict::Stands);
        assert_eq!(few(StatusCode::BAD_GATEWAY, 1), Verdict::Again(RETRY_PAUSE));
        assert_eq!(few(StatusCode::BAD_GATEWAY, 2), Verdict::Again(RETRY_PAUSE * 2));
        assert_eq!(few(StatusCode::BAD_GATEWAY, TRIES_MAX), Verdict::Stands);
    }

    #[test]
    fn writes_are_tried_for_as_long_as_their_time_lasts() {
        let headers = with_retry_after("3");
        let busy =
            |so_far| judge_answer(Budget::LONG, so_far, StatusCode::TOO_MANY_REQUESTS, &headers);
        let wait = Verdict::Again(Duration::from_secs(3));
        assert_eq!(busy((TRIES_MAX, Duration::from_secs(20))), wait);
        assert_eq!(busy((TRIES_MAX, BUSY_PATIENCE)), Verdict::Busy { retry_after_seconds: 3 });
        assert_ne!(busy((PATIENT_TRIES_MAX, Duration::ZERO)), wait);
        let failed = |so_far| judge_failure(so_far, Budget::LONG);
        assert_eq!(failed((TRIES_MAX, Duration::from_secs(5))), Verdict::Again(RETRY_PAUSE_MAX));
        assert_eq!(failed((TRIES_MAX, OUTAGE_PATIENCE)), Verdict::Stands);
        let down = |elapsed| judge_down((1, elapsed), Budget::LONG, Duration::from_secs(2));
        assert_eq!(down(Duration::ZERO), Verdict::Again(Duration::from_secs(2)));
        assert_eq!(down(OUTAGE_PATIENCE), Verdict::Stands);
        let few = judge_down((1, Duration::ZERO), Budget::FEW, Duration::from_secs(2));
        assert_eq!(few, Verdict::Stands);
    }

    #[test]
    fn what_the_upstream_asks_for_is_honoured_or_handed_on() {
        let judge = |seconds, tries| {
            judge(StatusCode::TOO_MANY_REQUESTS, &with_retry_after(seconds), tries)
        };
        let asked = judge("3", 1);
        assert_eq!(asked, Verdict::Again(Duration::from_secs(3)));
        let long = judge("300", 1);
        assert_eq!(long, Verdict::Busy { retry_after_seconds: 300 });
        let last = judge("2", TRIES_MAX);
        assert_eq!(last, Verdict::Busy { retry_after_seconds: 2 });
    }
}
