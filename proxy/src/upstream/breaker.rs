//! An upstream that is down is left alone for a while: whoever asks meanwhile learns it at once
//! instead of waiting for a timeout, and one request finds out when it is back.
//!
//! Failures in a row raise a suspicion and no more, because one thing that always fails proves nothing
//! about the rest. What decides is a probe that belongs to no request (`probe.rs`).
//!
//! Invariants: while the breaker is open, at most one request at a time reaches the upstream; it opens
//! only when the probe fails, or when several repositories got no answer and nothing got one in between.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::Error;
use crate::lately::Lately;
use crate::limits::{
    BREAKER_FAILURES, BREAKER_PAUSE, BREAKER_PAUSE_MAX, BREAKER_REPOSITORIES, BREAKER_ROW_TIME,
    FAILING_PATH_TIME, FAILING_PATHS_MAX, PROBE_PAUSE,
};

/// The state of one upstream.
pub(super) struct Breaker {
    state: Mutex<State>,
    /// Paths that failed while the upstream was there, by keyed hashes.
    failing: Lately<u64>,
    hashes: RandomState,
}

enum State {
    /// All may ask.
    Closed(Row),
    /// Nobody asks until then.
    Open { until: Instant, pause: Duration, unanswered: Unanswered },
    /// One asks; the others wait for what it finds.
    HalfOpen(Unanswered),
}

/// Repositories that got no answer, by keyed hashes; at most `BREAKER_REPOSITORIES`.
type Unanswered = Vec<u64>;

/// Failures since something was last answered, each soon after the one before.
#[derive(Default)]
struct Row {
    /// When the last one was.
    last: Option<Instant>,
    /// Tries.
    failures: u32,
    /// Kept while the breaker is open, until something is answered.
    unanswered: Unanswered,
    /// Whether the probe is under way.
    is_probed: bool,
    /// Since when the upstream is known to be there, by the probe.
    there_since: Option<Instant>,
}

/// For metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum BreakerState {
    /// All may ask.
    Closed,
    /// One asks.
    HalfOpen,
    /// Nobody asks.
    Open,
}

/// Leave for one try. Dropped without a word, it counts as nothing: the next one is the trial.
pub(super) struct Try<'a> {
    breaker: &'a Breaker,
    /// Whether it is the one that finds out, and after which pause.
    trial: Option<Duration>,
}

/// A try that failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failure<'a> {
    /// The path that was asked for.
    pub(super) path: &'a str,
    /// The repository in it.
    pub(super) repo: Option<&'a str>,
    /// What came of it.
    pub(super) kind: FailureKind,
}

/// How a try failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// An answer that says that something is broken: perhaps only what was asked for.
    Broken,
    /// No answer, or one that says that there is no service.
    Unanswered,
    /// No answer in all the time that there was. A few of those cost clients too much.
    Late,
}

/// The upstream may be down: whoever holds this asks it (`probe.rs`). Dropped without a word, it counts as
/// nothing.
pub(super) struct Suspicion<'a> {
    leave: Try<'a>,
    path: u64,
}

impl Default for Breaker {
    fn default() -> Self {
        let failing = Lately::new(FAILING_PATHS_MAX);
        Self { state: Mutex::new(State::default()), failing, hashes: RandomState::new() }
    }
}

impl Default for State {
    fn default() -> Self {
        Self::Closed(Row::default())
    }
}

impl Breaker {
    /// Leave to ask, or how long to stay away.
    pub(super) fn admit(&self) -> Result<Try<'_>, Error> {
        let (mut state, now) = (self.state(), Instant::now());
        match &mut *state {
            State::Closed(_) => Ok(Try { breaker: self, trial: None }),
            State::Open { until, pause, unanswered } if *until <= now => {
                let trial = Some(*pause);
                *state = State::HalfOpen(std::mem::take(unanswered));
                Ok(Try { breaker: self, trial })
            }
            State::Open { until, .. } => {
                let left = *until - now;
                let retry_after_seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
                Err(Error::UpstreamDown { retry_after_seconds })
            }
            State::HalfOpen(_) => Err(Error::UpstreamDown { retry_after_seconds: 1 }),
        }
    }

    pub(super) fn known(&self) -> BreakerState {
        match *self.state() {
            State::Closed(_) => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen(_) => BreakerState::HalfOpen,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Row {
    /// Counts a failure; whether it is time for the probe, which is under way then.
    fn count(&mut self, kind: FailureKind, repo: Option<u64>) -> bool {
        let now = Instant::now();
        if self.last.replace(now).is_some_and(|last| now - last > BREAKER_ROW_TIME) {
            self.failures = 0;
            self.unanswered.clear();
        }
        self.failures = match kind {
            FailureKind::Broken | FailureKind::Unanswered => self.failures + 1,
            FailureKind::Late => BREAKER_FAILURES,
        };
        if kind != FailureKind::Broken
            && let Some(repo) = repo
            && self.unanswered.len() < BREAKER_REPOSITORIES
            && !self.unanswered.contains(&repo)
        {
            self.unanswered.push(repo);
        }
        let is_known = self.there_since.is_some_and(|since| since.elapsed() < PROBE_PAUSE);
        let is_due = self.failures >= BREAKER_FAILURES && !self.is_probed && !is_known;
        self.is_probed |= is_due;
        is_due
    }
}

impl<'a> Try<'a> {
    /// Whether it is the one that finds out.
    pub(super) const fn is_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// The upstream is there: it answered, whatever it said.
    pub(super) fn answered(mut self) {
        *self.breaker.state() = State::default();
        self.trial = None;
    }

    /// It did not answer, or only that it is broken. A path that fails for itself is not counted.
    pub(super) fn failed(self, failure: &Failure<'_>) -> Option<Suspicion<'a>> {
        let breaker = self.breaker;
        let path = breaker.hashes.hash_one(failure.path);
        if self.trial.is_none() {
            let repo = failure.repo.map(|repo| breaker.hashes.hash_one(repo));
            let is_own = breaker.failing.holds(&path);
            let is_due = match &mut *breaker.state() {
                State::Closed(row) => !is_own && row.count(failure.kind, repo),
                // Begun before the breaker opened: that is known already.
                State::Open { .. } | State::HalfOpen(_) => false,
            };
            if !is_due {
                return None;
            }
        }
        Some(Suspicion { leave: self, path })
    }
}

impl Suspicion<'_> {
    /// The upstream answered the probe; whether it is left alone all the same.
    pub(super) fn refuted(mut self) -> bool {
        let breaker = self.leave.breaker;
        breaker.failing.note(self.path, FAILING_PATH_TIME, breaker.failing.epoch());
        let is_trial = self.leave.trial.take().is_some();
        let mut state = breaker.state();
        match &mut *state {
            State::Closed(row) if row.unanswered.len() < BREAKER_REPOSITORIES => {
                row.failures = 0;
                row.there_since = Some(Instant::now());
                false
            }
            State::Closed(_) => {
                state.open(BREAKER_PAUSE);
                true
            }
            // What others got no answer to still counts, until one of them does.
            State::HalfOpen(unanswered) if is_trial => {
                let (unanswered, now) = (std::mem::take(unanswered), Some(Instant::now()));
                *state = State::Closed(Row { unanswered, there_since: now, ..Row::default() });
                false
            }
            State::Open { .. } | State::HalfOpen(_) => false,
        }
    }

    /// It did not; whether that is new.
    pub(super) fn confirmed(mut self) -> bool {
        let pause = self.leave.trial.take().map(|pause| (pause * 2).min(BREAKER_PAUSE_MAX));
        let mut state = self.leave.breaker.state();
        let is_new = pause.is_some() || matches!(&*state, State::Closed(row) if row.is_probed);
        if is_new {
            state.open(pause.unwrap_or(BREAKER_PAUSE));
        }
        is_new
    }
}

impl State {
    fn open(&mut self, pause: Duration) {
        self.open_until(Instant::now() + pause, pause);
    }

    fn open_until(&mut self, until: Instant, pause: Duration) {
        let unanswered = match self {
            Self::Closed(Row { unanswered, .. })
            | Self::Open { unanswered, .. }
            | Self::HalfOpen(unanswered) => std::mem::take(unanswered),
        };
        *self = Self::Open { until, pause, unanswered };
    }
}

impl Drop for Suspicion<'_> {
    fn drop(&mut self) {
        if let State::Closed(row) = &mut *self.leave.breaker.state() {
            row.is_probed = false;
        }
    }
}

impl Drop for Try<'_> {
    fn drop(&mut self) {
        if let Some(pause) = self.trial {
            self.breaker.state().open_until(Instant::now(), pause);
        }
    }
}

#[cfg(test)]
mod tests;
