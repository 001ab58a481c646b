//! The timeouts of one connection, by its state: a request's head that does not end, no request at
//! all, a client that does not read its answer.
//!
//! Invariant: only waits for the client count. While a request is worked on here, or waits for an
//! upstream, no time of the connection runs.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use http::Version;
use tokio::sync::Notify;
use tokio::time::Instant;
use wharf_client::runtime::min_rate::{MinRate, RateDebt};

use super::answer_body::{AnswerBody, Http2Body};
use super::linger::Linger;
use crate::http::admission::{Limit, LimitCounts, Occupant};
use crate::limits::GOODBYE_TIMEOUT;
use crate::runtime::body::Body;
use crate::runtime::memory_gauge::MemoryBudget;
use crate::settings::limits::Limits;

/// The state and the clocks of one connection.
pub(super) struct ConnectionTimeouts {
    state: Mutex<State>,
    /// Tells the connection to leave.
    told: Notify,
    headers_time: Duration,
    min_rate: MinRate,
    counts: Arc<LimitCounts>,
    /// Bytes of whole bodies held by its requests.
    bytes: Arc<AtomicU64>,
}

struct State {
    /// Requests in progress.
    open: usize,
    /// The protocol of the last request, if one came.
    asked_by: Option<Version>,
    /// When the connection became idle.
    idle_since: Instant,
    /// How long the connection may be idle.
    idle_time: Duration,
    /// When the first byte after that came.
    first_byte: Option<Instant>,
    /// Since when the client does not read its answer.
    stuck_since: Option<Instant>,
    sending: RateDebt,
    /// Bodies with an HTTP/2 window of their own.
    streams: Vec<Weak<Mutex<Http2Body>>>,
    /// Since when all remaining bodies are given up ones.
    given_up_since: Option<Instant>,
    /// Whether the client may still be sending an unread body.
    expects_more: bool,
    /// Whether the connection is to make room for another one.
    is_displaced: bool,
}

/// Why a connection is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimedOut(pub(super) Limit);

/// The result of a check.
enum Check {
    TimedOut(TimedOut),
    /// No limit passes before this time.
    Until(Instant),
}

/// A request in progress, until its answer is sent or given up.
pub(super) struct RequestGuard(Arc<ConnectionTimeouts>);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.open -= 1;
        state.idle_since = Instant::now();
        state.first_byte = None;
    }
}

impl ConnectionTimeouts {
    /// A new connection.
    pub(super) fn new(limits: &Limits, counts: Arc<LimitCounts>) -> Arc<Self> {
        let state = State {
            open: 0,
            asked_by: None,
            idle_since: Instant::now(),
            idle_time: limits.idle_timeout,
            first_byte: None,
            stuck_since: None,
            sending: RateDebt::new(limits.min_rate),
            streams: Vec::new(),
            given_up_since: None,
            expects_more: false,
            is_displaced: false,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            told: Notify::new(),
            headers_time: limits.headers_timeout,
            min_rate: limits.min_rate,
            counts,
            bytes: Arc::default(),
        })
    }

    /// Bytes held by its requests together.
    pub(super) const fn bytes(&self) -> &Arc<AtomicU64> {
        &self.bytes
    }

    /// The handshake is over: the wait for a request begins.
    pub(super) fn begin(&self) {
        let mut state = self.lock();
        state.idle_since = Instant::now();
        state.first_byte = None;
    }

    /// A request came.
    pub(super) fn open(self: &Arc<Self>, version: Version) -> RequestGuard {
        let mut state = self.lock();
        state.open += 1;
        state.given_up_since = None;
        state.asked_by = Some(version);
        drop(state);
        RequestGuard(Arc::clone(self))
    }

    /// The server asked the client for no further request: the client has little time to close.
    pub(super) fn said_goodbye(&self) {
        let mut state = self.lock();
        state.idle_time = GOODBYE_TIMEOUT;
        state.idle_since = Instant::now();
    }

    /// The last answer goes to a client that may still be sending.
    pub(super) fn expect_more(&self) {
        self.lock().expects_more = true;
    }

    /// The reading after our side was shut.
    pub(super) fn linger(&self) -> Linger {
        Linger::new(self.lock().expects_more)
    }

    /// The client went on sending for too long.
    pub(super) fn lingered(&self) {
        self.counts.refuse(Limit::Linger);
    }

    /// Bytes came from the client.
    pub(super) fn read(&self) {
        let mut state = self.lock();
        if state.open == 0 && state.first_byte.is_none() {
            state.first_byte = Some(Instant::now());
        }
    }

    /// Bytes went to the client; all that there was room for.
    pub(super) fn wrote(&self, bytes: usize) {
        let mut state = self.lock();
        if let Some(since) = state.stuck_since.take() {
            // The check decides whether that was too long.
            let _ = state.sending.waited(since.elapsed());
            state.idle_since = Instant::now();
        }
        state.sending.moved(bytes);
    }

    /// There is no room for more bytes.
    pub(super) fn stuck(&self) {
        let mut state = self.lock();
        state.stuck_since.get_or_insert_with(Instant::now);
    }

    /// The body of an answer to an open request; one with an HTTP/2 window of its own is followed.
    pub(super) fn answer_body(
        &self,
        body: Body,
        request: RequestGuard,
        is_http2: bool,
        budget: &MemoryBudget,
    ) -> AnswerBody<RequestGuard> {
        if !is_http2 {
            return AnswerBody::whole(body, request, budget);
        }
        let (answer, stream) = AnswerBody::stream(body, request, budget, self.min_rate);
        let mut state = self.lock();
        state.streams.retain(|stream| stream.strong_count() > 0);
        state.streams.push(Arc::downgrade(&stream));
        answer
    }

    /// Resolves when the connection is to end.
    pub(super) async fn over(&self) -> TimedOut {
        loop {
            match self.look(Instant::now()) {
                Check::TimedOut(over) => return over,
                Check::Until(time) => tokio::select! {
                    () = tokio::time::sleep_until(time) => {}
                    () = self.told.notified() => {}
                },
            }
        }
    }

    /// Resolves when another connection displaces this one before its first request.
    pub(super) async fn told_to_leave(&self) {
        while !self.lock().is_displaced {
            self.told.notified().await;
        }
    }

    /// The passed limit, or when a limit might pass. A wait that begins after this check cannot be
    /// over before the shortest of all times has passed.
    fn look(&self, now: Instant) -> Check {
        let mut state = self.lock();
        if std::mem::take(&mut state.is_displaced) {
            return Check::TimedOut(TimedOut(Limit::Displaced));
        }
        let shortest = self.headers_time.min(state.idle_time).min(self.min_rate.window);
        let mut next = now + shortest;
        let ends = [
            (state.waiting_since(), Limit::HeadersTime, Some(self.headers_time)),
            (state.quiet_since(), Limit::IdleTime, Some(state.idle_time)),
            (state.stuck_since, Limit::SlowReceiver, state.sending.left()),
        ];
        for (since, limit, time) in ends {
            let Some(end) = since.zip(time).map(|(since, time)| since + time) else { continue };
            if end <= now {
                self.counts.refuse(limit);
                return Check::TimedOut(TimedOut(limit));
            }
            next = next.min(end);
        }
        let next = next.min(state.look_at_streams(now, &self.counts).unwrap_or(next));
        // A client that reads none of its bodies may still make another request.
        match state.given_up_since.map(|since| since + self.min_rate.window) {
            Some(end) if end <= now => Check::TimedOut(TimedOut(Limit::SlowReceiver)),
            end => Check::Until(end.map_or(next, |end| next.min(end))),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Occupant for ConnectionTimeouts {
    fn idle_since(&self) -> Option<Instant> {
        self.lock().quiet_since()
    }

    fn leave(&self) {
        self.lock().is_displaced = true;
        self.counts.refuse(Limit::Displaced);
        self.told.notify_one();
    }
}

impl State {
    /// Since when the connection waits for a head that must come.
    fn waiting_since(&self) -> Option<Instant> {
        match self.open {
            0 if self.asked_by.is_none() => Some(self.idle_since),
            // On HTTP/2 bytes come between requests, too.
            0 if self.asked_by != Some(Version::HTTP_2) => self.first_byte,
            _ => None,
        }
    }

    /// Since when there is no request, and the client has read all answers.
    fn quiet_since(&self) -> Option<Instant> {
        (self.open == 0 && self.stuck_since.is_none()).then_some(self.idle_since)
    }

    /// Takes back the bodies of stuck streams; returns when the next of them might be stuck.
    fn look_at_streams(&mut self, now: Instant, counts: &LimitCounts) -> Option<Instant> {
        let (mut given_up, mut next) = (0, None);
        self.streams.retain(|stream| stream.strong_count() > 0);
        for stream in &self.streams {
            let Some(given) = stream.upgrade() else { continue };
            let mut given = given.lock().unwrap_or_else(PoisonError::into_inner);
            match given.due() {
                Some(due) if due <= now => {
                    counts.refuse(Limit::SlowReceiver);
                    given.give_up();
                }
                Some(due) => next = Some(next.map_or(due, |next: Instant| next.min(due))),
                None => {}
            }
            given_up += usize::from(given.is_given_up());
        }
        let nothing_else = given_up > 0 && given_up == self.open;
        self.given_up_since = nothing_else.then(|| self.given_up_since.unwrap_or(now));
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn watch() -> Arc<ConnectionTimeouts> {
        let min_rate = MinRate { window: 3 * SECOND, bytes_per_second: 1_000, silence: None };
        let limits = Limits {
            headers_timeout: 2 * SECOND,
            idle_timeout: 5 * SECOND,
            min_rate,
            ..Limits::default()
        };
        ConnectionTimeouts::new(&limits, Arc::default())
    }

    /// After how many seconds the connection is over, and by which limit.
    async fn over(watch: &ConnectionTimeouts) -> (u64, Limit) {
        let began = Instant::now();
        let TimedOut(limit) = watch.over().await;
        (began.elapsed().as_secs(), limit)
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_head_is_waited_for_from_the_begin() {
        assert_eq!(over(&watch()).await, (2, Limit::HeadersTime));
    }

    #[tokio::test(start_paused = true)]
    async fn between_requests_there_is_more_time_until_the_first_byte_comes() {
        let quiet = watch();
        drop(quiet.open(Version::HTTP_11));
        assert_eq!(over(&quiet).await, (5, Limit::IdleTime));
        let dribbling = watch();
        drop(dribbling.open(Version::HTTP_11));
        tokio::time::advance(SECOND).await;
        dribbling.read();
        tokio::time::advance(SECOND).await;
        dribbling.read();
        assert_eq!(over(&dribbling).await, (1, Limit::HeadersTime));
        let http2 = watch();
        drop(http2.open(Version::HTTP_2));
        http2.read();
        assert_eq!(over(&http2).await, (5, Limit::IdleTime));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_asked_nothing_may_have_to_leave_at_once() {
        let watch = watch();
        assert!(watch.idle_since().is_some(), "also before the first head");
        let open = watch.open(Version::HTTP_2);
        assert_eq!(watch.idle_since(), None);
        drop(open);
        watch.stuck();
        assert_eq!(watch.idle_since(), None, "its answer is not all sent");
        watch.wrote(1);
        assert!(watch.idle_since().is_some());
        let told = async {
            tokio::task::yield_now().await;
            watch.leave();
        };
        let (ended, ()) = tokio::join!(over(&watch), told);
        assert_eq!(ended, (0, Limit::Displaced));
        // The connection was told to leave once; its leaving has its own clock.
        watch.said_goodbye();
        assert_eq!(over(&watch).await, (5, Limit::IdleTime));
    }

    #[tokio::test(start_paused = true)]
    async fn while_a_request_is_answered_only_a_client_that_takes_nothing_is_waited_for() {
        let watch = watch();
        let _open = watch.open(Version::HTTP_11);
        let long = tokio::time::timeout(1_000 * SECOND, watch.over());
        assert!(long.await.is_err());
        watch.stuck();
        assert_eq!(over(&watch).await, (3, Limit::SlowReceiver));
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_at_the_pace_is_not_cut_off_and_at_half_of_it_is() {
        for (bytes, expected) in [(1_000, None), (500, Some(Limit::SlowReceiver))] {
            let watch = watch();
            let _open = watch.open(Version::HTTP_11);
            let client = async {
                for _ in 0..100 {
                    watch.stuck();
                    tokio::time::sleep(SECOND).await;
                    watch.wrote(bytes);
                }
            };
            let found = tokio::select! {
                TimedOut(limit) = watch.over() => Some(limit),
                () = client => None,
            };
            assert_eq!(found, expected);
        }
    }
}
