//! For how long a request is held before its refusal, and the final answer: the one place that
//! decides about it. Each client's waiting time is in `http/user_agent.rs`, its source in
//! docs/explanation/clients.md.
//!
//! Invariants: no client is answered 429 before its request was held for the client's waiting time,
//! or too many requests are held; a request with consumed body bytes is not tried again, and is
//! answered neither 429 nor 503.

use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::header::{IF_MATCH, IF_NONE_MATCH, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::Error;
use crate::http::admission::Demand;
use crate::http::response::Answer;
use crate::http::user_agent::UserAgent;
use crate::limits::{
    HOLD_DRAIN_FIRST_TIME, HOLD_DRAIN_TIME, HOLD_PAUSE, HOLD_PAUSE_MAX, HOLD_RETRY_SECONDS,
    HOLD_UPLOAD_MAX,
};
use crate::settings::limits::Limits;

/// The kind of a request, by the harm of a second try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// Reads, opens an upload, puts a manifest: a second try does no harm.
    Repeatable,
    /// Reads a blob.
    BlobRead,
    /// Deletes, or puts on a condition: a second try only when nothing was done.
    Single,
    /// Brings bytes of a blob, or ends an upload.
    Upload,
}

/// When the whole body of a request had arrived; clients wait from then on.
pub(super) type BodyCame = Arc<OnceLock<Instant>>;

impl Deed {
    fn of(parts: &Parts) -> Self {
        let demand = Demand::of(&parts.method, parts.uri.path());
        // `POST …/blobs/uploads/?digest=` brings all of a blob.
        let query = parts.uri.query().unwrap_or_default();
        let is_whole = || query.split('&').any(|pair| pair.starts_with("digest="));
        match (&parts.method, demand) {
            (&Method::POST, _) if is_whole() => Self::Upload,
            (_, Demand::Download) => Self::BlobRead,
            (_, Demand::Upload) => Self::Upload,
            (&Method::DELETE, _) => Self::Single,
            (&Method::PUT, _) if has_condition(parts) => Self::Single,
            _ => Self::Repeatable,
        }
    }
}

/// Whether a put has a condition, which fails once the put was made.
fn has_condition(parts: &Parts) -> bool {
    [IF_MATCH, IF_NONE_MATCH].iter().any(|name| parts.headers.contains_key(name))
}

/// How long a request may take until its answer begins.
pub(super) struct HoldPolicy {
    agent: UserAgent,
    deed: Deed,
    /// Zero holds nothing.
    time: Duration,
    at: Instant,
    came: BodyCame,
    pause: Duration,
}

/// The consequence of a failed try.
pub(super) enum NextTry {
    /// Another try would not mend the error.
    Stands,
    /// There is no time for another try.
    Expired,
    /// The next try, or the end of the request's time.
    Again(Instant),
}

/// The final refusal for a client.
#[derive(Clone, Copy)]
pub(super) struct HoldRefusal {
    agent: UserAgent,
    deed: Deed,
    is_held: bool,
}

impl HoldPolicy {
    pub(super) fn new(parts: &Parts, limits: &Limits, came: BodyCame) -> Self {
        let (agent, deed) = (UserAgent::of(&parts.headers), Deed::of(parts));
        let time = match deed {
            Deed::Upload if !limits.hold.is_zero() => HOLD_UPLOAD_MAX,
            _ => agent.holds_for(limits.hold),
        };
        Self { agent, deed, time, at: Instant::now() + time, came, pause: HOLD_PAUSE }
    }

    /// Whether the request's time is over. The time begins when the whole body is here.
    fn is_over(&mut self) -> bool {
        let now = Instant::now();
        self.at = self.came.get().map_or(now, |came| *came) + self.time;
        now >= self.at
    }

    /// Until when the request may queue.
    pub(super) const fn latest(&self) -> Instant {
        self.at
    }

    pub(super) const fn agent(&self) -> UserAgent {
        self.agent
    }

    /// The client's final refusal.
    pub(super) fn told(&self) -> HoldRefusal {
        HoldRefusal { agent: self.agent, deed: self.deed, is_held: !self.time.is_zero() }
    }

    /// One try, for as long as there is time. An upload has all the time it needs: its connection
    /// holds the client back. When the server stops, a `held` request is not tried much longer.
    pub(super) async fn bound<T>(
        &mut self,
        attempt: impl Future<Output = Result<T, Error>>,
        held: bool,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<T, Error> {
        if self.time.is_zero() || self.deed == Deed::Upload {
            return attempt.await;
        }
        let drained = async {
            let _ = stop.wait_for(|stop| *stop).await;
            tokio::time::sleep(if held { HOLD_DRAIN_TIME } else { HOLD_DRAIN_FIRST_TIME }).await;
        };
        let (mut attempt, mut drained) = (pin!(attempt), pin!(drained));
        loop {
            tokio::select! {
                biased;
                answered = &mut attempt => return answered,
                () = sleep_until(self.at) => if self.is_over() {
                    return Err(Error::Unanswered { held_seconds: self.time.as_secs() });
                },
                () = &mut drained => return Err(Error::Stopping),
            }
        }
    }

    /// The consequence of a try's error; `can_come_again` says whether the request's body is still
    /// whole.
    pub(super) fn after(&mut self, error: &Error, can_come_again: bool) -> NextTry {
        let is_safe = match self.deed {
            Deed::Repeatable | Deed::BlobRead | Deed::Upload => true,
            Deed::Single => error.is_held_back(),
        };
        if !error.passes() || !can_come_again || !is_safe || self.time.is_zero() {
            return NextTry::Stands;
        }
        if self.is_over() {
            return NextTry::Expired;
        }
        let known = error.retry_after_seconds().map(Duration::from_secs);
        let wait = known.unwrap_or(self.pause);
        self.pause = (self.pause * 2).min(HOLD_PAUSE_MAX);
        NextTry::Again((Instant::now() + wait).min(self.at))
    }
}

impl HoldRefusal {
    /// Fits an answer to its client. After a hold every error that can pass is 429 with a short
    /// wait, because the next request is held again; for blobs docker is better off with 503, after
    /// which it retries for half a minute. An upload would begin again after either, so its answer
    /// is 502, which most clients retry.
    pub(super) fn fit(self, error: &Error, was_held: bool, answer: &mut Answer) {
        if !error.passes() && !matches!(error, Error::Stopping) {
            return;
        }
        let status = match self.deed {
            Deed::Upload if self.is_held => match answer.status() {
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                    StatusCode::BAD_GATEWAY
                }
                // A full outbox is 507, which says what it is.
                status => status,
            },
            Deed::BlobRead if self.agent == UserAgent::Docker => StatusCode::SERVICE_UNAVAILABLE,
            _ if was_held => StatusCode::TOO_MANY_REQUESTS,
            _ => answer.status(),
        };
        if was_held {
            let headers = answer.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from(HOLD_RETRY_SECONDS));
        }
        *answer.status_mut() = status;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn parts(method: &str, path: &str, agent: &str) -> Parts {
        let request = Request::builder().method(method).uri(path).header("user-agent", agent);
        request.body(()).unwrap().into_parts().0
    }

    fn deadline(method: &str, path: &str, agent: &str) -> HoldPolicy {
        let came = BodyCame::default();
        came.get_or_init(Instant::now);
        HoldPolicy::new(&parts(method, path, agent), &Limits::default(), came)
    }

    const BLOB: &str =
        "/v2/a/blobs/sha256:0000000000000000000000000000000000000000000000000000000000000000";
    const UPLOAD: &str = "/v2/a/blobs/uploads/1";

    #[tokio::test]
    async fn what_brings_bytes_and_what_is_done_once_are_told_from_what_can_come_again() {
        let rows = [
            ("GET", BLOB, Deed::BlobRead),
            ("HEAD", BLOB, Deed::Repeatable),
            ("GET", "/v2/a/manifests/v1", Deed::Repeatable),
            ("PUT", "/v2/a/manifests/v1", Deed::Repeatable),
            ("DELETE", "/v2/a/manifests/v1", Deed::Single),
            ("POST", "/v2/a/blobs/uploads/", Deed::Repeatable),
            ("POST", "/v2/a/blobs/uploads/?mount=sha256:0&from=b", Deed::Repeatable),
            ("POST", "/v2/a/blobs/uploads/?digest=sha256:0", Deed::Upload),
            ("PATCH", UPLOAD, Deed::Upload),
            ("PUT", UPLOAD, Deed::Upload),
        ];
        for (method, path, expected) in rows {
            assert_eq!(Deed::of(&parts(method, path, "")), expected, "{method} {path}");
        }
        let mut conditional = parts("PUT", "/v2/a/manifests/v1", "");
        conditional.headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        assert_eq!(Deed::of(&conditional), Deed::Single);
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_tried_until_the_time_of_the_client_is_over() {
        let busy = Error::UpstreamBusy { retry_after_seconds: 10 };
        let (mut deadline, began) = (deadline("GET", BLOB, "containerd/2"), Instant::now());
        let mut tries = Vec::new();
        while let NextTry::Again(at) = deadline.after(&busy, true) {
            tokio::time::sleep_until(at).await;
            tries.push(began.elapsed().as_secs());
        }
        assert_eq!(tries, [10, 20, 25], "the last one at its end");
        assert!(matches!(deadline.after(&busy, true), NextTry::Expired));
    }

    #[tokio::test(start_paused = true)]
    async fn what_stands_is_said_at_once() {
        let busy = || Error::UpstreamBusy { retry_after_seconds: 10 };
        let failed = || Error::UpstreamFailed { operation: "reading", reason: "reset".to_owned() };
        let rows = [
            ("GET", BLOB, Error::LoginRefused, true, false),
            ("GET", BLOB, Error::TooManyLogins { retry_after_seconds: 5 }, true, false),
            ("GET", BLOB, failed(), true, true),
            ("PUT", UPLOAD, busy(), false, false),
            ("PUT", UPLOAD, busy(), true, true),
            ("DELETE", BLOB, failed(), true, false),
            ("DELETE", BLOB, busy(), true, true),
        ];
        for (method, path, error, can_come_again, is_tried) in rows {
            let after = deadline(method, path, "docker/20").after(&error, can_come_again);
            assert_eq!(matches!(after, NextTry::Again(_)), is_tried, "{method} {path} {error}");
        }
        let mut none = deadline("GET", BLOB, "docker/20");
        none.time = Duration::ZERO;
        assert!(matches!(none.after(&busy(), true), NextTry::Stands));
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_ends_with_the_time_which_begins_when_all_of_the_body_is_here() {
        let came = BodyCame::default();
        let put = parts("PUT", "/v2/a/manifests/v1", "curl/8");
        let mut deadline = HoldPolicy::new(&put, &Limits::default(), Arc::clone(&came));
        let (_go_on, mut stop) = watch::channel(false);
        let began = Instant::now();
        let slow = async {
            tokio::time::sleep(Duration::from_secs(70)).await;
            came.get_or_init(Instant::now);
            std::future::pending::<Result<(), Error>>().await
        };
        let ended = deadline.bound(slow, false, &mut stop).await;
        assert!(matches!(ended, Err(Error::Unanswered { held_seconds: 25 })));
        assert_eq!(began.elapsed().as_secs(), 95);
    }

    #[tokio::test]
    async fn each_client_is_told_what_it_asks_again_after() {
        let busy = Error::UpstreamBusy { retry_after_seconds: 60 };
        let rows = [
            ("GET", BLOB, "containerd/2", 429),
            ("GET", BLOB, "docker/20", 503),
            ("HEAD", BLOB, "docker/20", 429),
            ("PATCH", UPLOAD, "docker/20", 502),
            ("POST", "/v2/a/blobs/uploads/", "skopeo/1", 429),
        ];
        for (method, path, agent, expected) in rows {
            let mut answer = crate::http::response::error(&busy);
            deadline(method, path, agent).told().fit(&busy, true, &mut answer);
            assert_eq!(answer.status().as_u16(), expected, "{method} {path} {agent}");
            assert_eq!(answer.headers()[RETRY_AFTER], "1");
        }
        let full = Error::PendingFull { limit_bytes: 3, whose: "of all" };
        let mut answer = crate::http::response::error(&full);
        deadline("PATCH", UPLOAD, "docker/20").told().fit(&full, true, &mut answer);
        assert_eq!(answer.status().as_u16(), 507);
        let mut refused = crate::http::response::error(&Error::Denied);
        deadline("GET", BLOB, "docker/20").told().fit(&Error::Denied, true, &mut refused);
        assert_eq!(refused.status(), 403);
    }
}
