//! What one connection is doing, and when that has gone on for too long: the head of a request that
//! does not end, no request at all, a client that does not take what it asked for.
//!
//! Invariant: only what the client lets us wait for counts. While a request is worked on here, or waits
//! for an upstream, no time of the connection runs.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use http::Version;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::http2_body::Http2Body;
use super::linger::Linger;
use crate::http::admission::{Limit, LimitCounts, Occupant};
use crate::limits::GOODBYE_TIMEOUT;
use crate::runtime::min_rate::{MinRate, RateDebt};
use crate::settings::limits::Limits;

/// One connection.
pub(super) struct ConnectionTimeouts {
    state: Mutex<State>,
    /// It was told to leave.
    told: Notify,
    headers_time: Duration,
    min_rate: MinRate,
    counts: Arc<LimitCounts>,
    /// Bytes of whole bodies that its requests hold.
    bytes: Arc<AtomicU64>,
}

struct State {
    /// Requests that are being answered.
    open: usize,
    /// The protocol of the last one that came, if one did.
    asked_by: Option<Version>,
    /// Since when there is none.
    idle_since: Instant,
    /// How long that may be.
    idle_time: Duration,
    /// When the first byte after that came.
    first_byte: Option<Instant>,
    /// Since when the client does not take what it is sent.
    stuck_since: Option<Instant>,
    sending: RateDebt,
    /// Bodies whose client says stream by stream how much it takes.
    streams: Vec<Weak<Mutex<Http2Body>>>,
    /// Since when there are only such that were given up.
    given_up_since: Option<Instant>,
    /// Whether the client may still be sending what nobody reads.
    expects_more: bool,
    /// Whether it is to make room for somebody else.
    is_displaced: bool,
}

/// Why a connection is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimedOut(pub(super) Limit);

/// What a look finds.
enum Check {
    TimedOut(TimedOut),
    /// Nothing before this.
    Until(Instant),
}

/// A request that is being answered, until its answer is sent or given up.
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
    /// A connection that begins now.
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

    /// What its requests hold together.
    pub(super) const fn bytes(&self) -> &Arc<AtomicU64> {
        &self.bytes
    }

    /// The handshake is over: from now on a request is waited for.
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

    /// The client was told that no further request is wanted: it has little time to take note.
    pub(super) fn said_goodbye(&self) {
        let mut state = self.lock();
        state.idle_time = GOODBYE_TIMEOUT;
        state.idle_since = Instant::now();
    }

    /// The last answer goes to somebody who may still be sending.
    pub(super) fn expect_more(&self) {
        self.lock().expects_more = true;
    }

    /// What is to be read after our side was shut.
    pub(super) fn linger(&self) -> Linger {
        Linger::new(self.lock().expects_more)
    }

    /// Somebody went on sending for too long.
    pub(super) fn lingered(&self) {
        self.counts.refuse(Limit::Linger);
    }

    /// Bytes came.
    pub(super) fn read(&self) {
        let mut state = self.lock();
        if state.open == 0 && state.first_byte.is_none() {
            state.first_byte = Some(Instant::now());
        }
    }

    /// Bytes went; all that there was room for.
    pub(super) fn wrote(&self, bytes: usize) {
        let mut state = self.lock();
        if let Some(since) = state.stuck_since.take() {
            // Whether that was too long is for the look to say.
            let _ = state.sending.waited(since.elapsed());
            state.idle_since = Instant::now();
        }
        state.sending.moved(bytes);
    }

    /// There is no room for more.
    pub(super) fn stuck(&self) {
        let mut state = self.lock();
        state.stuck_since.get_or_insert_with(Instant::now);
    }

    /// A body that is given stream by stream.
    pub(super) fn follow(&self, given: &Arc<Mutex<Http2Body>>) {
        let mut state = self.lock();
        state.streams.retain(|stream| stream.strong_count() > 0);
        state.streams.push(Arc::downgrade(given));
    }

    /// How slow a client may be.
    pub(super) const fn min_rate(&self) -> MinRate {
        self.min_rate
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

    /// Resolves when somebody else has the seat, for a connection that is not asked anything yet.
    pub(super) async fn told_to_leave(&self) {
        while !self.lock().is_displaced {
            self.told.notified().await;
        }
    }

    /// What goes on too long now, or when something might. What begins after this look cannot be over
    /// before the shortest of all times has passed.
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
        // Somebody who takes nothing of anything may still ask for something else.
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
    /// Since when a head is waited for that must come.
    fn waiting_since(&self) -> Option<Instant> {
        match self.open {
            0 if self.asked_by.is_none() => Some(self.idle_since),
            // On HTTP/2 bytes come between requests, too.
            0 if self.asked_by != Some(Version::HTTP_2) => self.first_byte,
            _ => None,
        }
    }

    /// Since when nothing is asked, and all that was sent is taken.
    fn quiet_since(&self) -> Option<Instant> {
        (self.open == 0 && self.stuck_since.is_none()).then_some(self.idle_since)
    }

    /// Takes back the bodies that nobody takes; when the next of them might be one.
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

    /// After how many seconds it is over, and why.
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
        // It was told once; how it leaves has its own clock.
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
