//! What is tried again, how often, and after which pause. Pure; the waiting is done by the caller.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};

use crate::limits::{RETRY_AFTER_MAX, RETRY_PAUSE, TRIES_MAX};

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

/// The pause before the next try when nobody said one: doubling from the first.
pub(super) fn pause(tries: u32) -> Duration {
    RETRY_PAUSE.saturating_mul(1_u32 << tries.saturating_sub(1).min(10))
}

/// Judges an answer; `tries` counts this one.
pub(super) fn judge(status: StatusCode, headers: &HeaderMap, tries: u32) -> Verdict {
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
    let wait = retry_after(headers).unwrap_or_else(|| pause(tries));
    if tries < TRIES_MAX && wait <= RETRY_AFTER_MAX {
        return Verdict::Again(wait);
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Verdict::Busy { retry_after_seconds: wait.as_secs().max(1) };
    }
    Verdict::Stands
}

/// Judges a try that got no answer.
pub(super) fn judge_failure(tries: u32) -> Verdict {
    if tries < TRIES_MAX { Verdict::Again(pause(tries)) } else { Verdict::Stands }
}

/// What `Retry-After` asks for, in seconds as ACR writes it; a date is not understood.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    value.parse().ok().map(Duration::from_secs)
}

/// Whether an answer says no more than that the registry is broken.
pub(super) fn is_down(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
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
        assert_eq!(judge(StatusCode::OK, &none, 1), Verdict::Stands);
        assert_eq!(judge(StatusCode::NOT_FOUND, &none, 1), Verdict::Stands);
        assert_eq!(judge(StatusCode::BAD_GATEWAY, &none, 1), Verdict::Again(RETRY_PAUSE));
        assert_eq!(judge(StatusCode::BAD_GATEWAY, &none, 2), Verdict::Again(RETRY_PAUSE * 2));
        assert_eq!(judge(StatusCode::BAD_GATEWAY, &none, TRIES_MAX), Verdict::Stands);
    }

    #[test]
    fn what_the_upstream_asks_for_is_honoured_or_handed_on() {
        let asked = judge(StatusCode::TOO_MANY_REQUESTS, &with_retry_after("3"), 1);
        assert_eq!(asked, Verdict::Again(Duration::from_secs(3)));
        let long = judge(StatusCode::TOO_MANY_REQUESTS, &with_retry_after("300"), 1);
        assert_eq!(long, Verdict::Busy { retry_after_seconds: 300 });
        let last = judge(StatusCode::TOO_MANY_REQUESTS, &with_retry_after("2"), TRIES_MAX);
        assert_eq!(last, Verdict::Busy { retry_after_seconds: 2 });
    }
}
