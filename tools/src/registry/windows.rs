//! How many requests are under way at one registry at once, reads and writes apart: more while the
//! registry answers well, half after it said that there are too many.
//!
//! Invariant: requests that began before a halving do not halve again, so one congestion counts
//! once however many answers tell of it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Requests under way at once: at first, and at most.
const FIRST: usize = 16;
const READS_MAX: usize = 64;
const WRITES_MAX: usize = 48;

/// How much of a minute's quota may be used at once.
const BURST: Duration = Duration::from_secs(10);

/// Requests a minute that a registry is known to take; nothing where it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quota {
    pub reads_per_minute: Option<u32>,
    pub writes_per_minute: Option<u32>,
}

/// The requests under way at one registry.
pub(super) struct Windows {
    reads: Window,
    writes: Window,
}

impl Windows {
    pub(super) fn new(quota: Quota) -> Self {
        Self {
            reads: Window::new(READS_MAX, quota.reads_per_minute),
            writes: Window::new(WRITES_MAX, quota.writes_per_minute),
        }
    }

    /// Waits for room for a request of this method.
    pub(super) async fn enter(&self, method: &Method) -> Pass<'_> {
        match *method {
            Method::GET | Method::HEAD => self.reads.enter().await,
            _ => self.writes.enter().await,
        }
    }
}

struct Window {
    room: Semaphore,
    state: Mutex<State>,
    max: usize,
    /// The time of one request under the quota.
    pace: Option<Duration>,
}

struct State {
    limit: usize,
    /// How many places are to be given up by requests under way.
    surplus: usize,
    /// Good answers since the window grew.
    good: usize,
    halved: Option<Instant>,
    /// When the quota has been used up to.
    paid: Instant,
}

/// The right to one request.
pub(super) struct Pass<'a> {
    window: &'a Window,
    permit: SemaphorePermit<'a>,
    began: Instant,
}

impl Window {
    fn new(max: usize, per_minute: Option<u32>) -> Self {
        let first = FIRST.min(max);
        let pace = per_minute.filter(|count| *count > 0);
        let (surplus, good, halved) = (0, 0, None);
        let state = State { limit: first, surplus, good, halved, paid: Instant::now() };
        Self {
            room: Semaphore::new(first),
            state: Mutex::new(state),
            max,
            pace: pace.map(|count| Duration::from_mins(1) / count),
        }
    }

    async fn enter(&self) -> Pass<'_> {
        if let Some(wait) = self.pay() {
            tokio::time::sleep(wait).await;
        }
        let permit = self.room.acquire().await.expect("the semaphore is never closed");
        Pass { window: self, permit, began: Instant::now() }
    }

    /// Takes one request from the quota; the time until it may go.
    fn pay(&self) -> Option<Duration> {
        let pace = self.pace?;
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // The unused quota of the past is worth one burst.
        let oldest = now.checked_sub(BURST).unwrap_or(now);
        state.paid = state.paid.max(oldest) + pace;
        let wait = state.paid.saturating_duration_since(now);
        (!wait.is_zero()).then_some(wait)
    }
}

impl Pass<'_> {
    /// The answer came, with this status; nothing when there was none.
    pub(super) fn end(self, status: Option<StatusCode>) {
        let is_congested =
            matches!(status, Some(StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE));
        let Self { window, permit, began } = self;
        let mut state = window.state.lock().unwrap_or_else(PoisonError::into_inner);
        if is_congested {
            state.halve(began);
        } else if status.is_some() && state.grows(window.max) {
            window.room.add_permits(1);
        }
        if state.surplus > 0 {
            state.surplus -= 1;
            permit.forget();
        }
    }
}

impl State {
    /// One congestion: half as many, at least one.
    fn halve(&mut self, began: Instant) {
        self.good = 0;
        if self.halved.is_some_and(|halved| began < halved) {
            return;
        }
        let half = (self.limit / 2).max(1);
        self.surplus += self.limit - half;
        self.limit = half;
        self.halved = Some(Instant::now());
    }

    /// A good answer: one more for each whole window of them. Whether a place has to be added.
    fn grows(&mut self, max: usize) -> bool {
        self.good += 1;
        if self.good < self.limit || self.limit >= max {
            return false;
        }
        self.good = 0;
        self.limit += 1;
        if self.surplus > 0 {
            self.surplus -= 1;
            return false;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn limit(windows: &Windows) -> usize {
        windows.reads.state.lock().unwrap().limit
    }

    #[tokio::test]
    async fn a_window_of_good_answers_adds_one_and_a_congestion_halves_once() {
        let windows = Windows::new(Quota::default());
        for _ in 0..FIRST {
            windows.enter(&Method::GET).await.end(Some(StatusCode::OK));
        }
        assert_eq!(limit(&windows), FIRST + 1);
        let mut under_way = Vec::new();
        for _ in 0..=FIRST {
            under_way.push(windows.enter(&Method::HEAD).await);
        }
        for pass in under_way {
            pass.end(Some(StatusCode::TOO_MANY_REQUESTS));
        }
        assert_eq!(limit(&windows), FIRST.div_ceil(2));
        assert_eq!(windows.reads.room.available_permits(), FIRST.div_ceil(2));
        assert_eq!(windows.writes.state.lock().unwrap().limit, FIRST);
        windows.enter(&Method::GET).await.end(Some(StatusCode::TOO_MANY_REQUESTS));
        assert_eq!(limit(&windows), FIRST.div_ceil(4));
    }

    #[tokio::test]
    async fn the_window_ends_at_one_and_at_its_bound() {
        let windows = Windows::new(Quota::default());
        for _ in 0..10 {
            windows.enter(&Method::GET).await.end(Some(StatusCode::SERVICE_UNAVAILABLE));
        }
        assert_eq!(limit(&windows), 1);
        for _ in 0..READS_MAX * READS_MAX {
            windows.enter(&Method::GET).await.end(Some(StatusCode::OK));
        }
        assert_eq!(limit(&windows), READS_MAX);
        assert_eq!(windows.reads.room.available_permits(), READS_MAX);
    }

    #[test]
    fn a_quota_is_kept_after_one_burst() {
        let window = Window::new(READS_MAX, Some(60));
        window.state.lock().unwrap().paid = Instant::now().checked_sub(BURST * 2).unwrap();
        let free = (0..30).filter(|_| window.pay().is_none()).count();
        assert!((9..=11).contains(&free), "{free}");
        assert!(window.pay().unwrap() > Duration::from_secs(19));
    }
}
