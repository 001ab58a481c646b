//! An upstream that is down is left alone for a while: whoever asks meanwhile learns it at once
//! instead of waiting for a timeout, and one request finds out when it is back.
//!
//! Invariant: while the breaker is open, at most one request at a time reaches the upstream.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::Error;
use crate::limits::{BREAKER_FAILURES, BREAKER_PAUSE, BREAKER_PAUSE_MAX};

/// The state of one upstream.
pub(super) struct Breaker {
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
enum State {
    /// All may ask; so many failures came in a row.
    Closed { failures: u32 },
    /// Nobody asks until then.
    Open { until: Instant, pause: Duration },
    /// One asks; the others wait for what it finds.
    Probing,
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

/// Leave for one try. Dropped without a word, it counts as nothing: the next one probes.
pub(super) struct Try<'a> {
    breaker: &'a Breaker,
    probe: Option<Duration>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { state: Mutex::new(State::Closed { failures: 0 }) }
    }
}

impl Breaker {
    /// Leave to ask, or how long to stay away.
    pub(super) fn admit(&self) -> Result<Try<'_>, Error> {
        let (mut state, now) = (self.state(), Instant::now());
        match *state {
            State::Closed { .. } => Ok(Try { breaker: self, probe: None }),
            State::Open { until, pause } if until <= now => {
                *state = State::Probing;
                Ok(Try { breaker: self, probe: Some(pause) })
            }
            State::Open { until, .. } => {
                Err(Error::UpstreamDown { retry_after_seconds: (until - now).as_secs() + 1 })
            }
            State::Probing => Err(Error::UpstreamDown { retry_after_seconds: 1 }),
        }
    }

    pub(super) fn known(&self) -> BreakerState {
        match *self.state() {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::Probing => BreakerState::HalfOpen,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Try<'_> {
    /// The upstream is there: it answered, whatever it said.
    pub(super) fn answered(mut self) {
        *self.breaker.state() = State::Closed { failures: 0 };
        self.probe = None;
    }

    /// It did not answer, or only that it is broken; counts for so many. Whether that opened the
    /// breaker.
    pub(super) fn failed(mut self, weight: u32) -> bool {
        let (mut state, now) = (self.breaker.state(), Instant::now());
        let pause = match (*state, self.probe.take()) {
            (_, Some(pause)) => (pause * 2).min(BREAKER_PAUSE_MAX),
            (State::Closed { failures }, None) if failures + weight < BREAKER_FAILURES => {
                *state = State::Closed { failures: failures + weight };
                return false;
            }
            (State::Closed { .. }, None) => BREAKER_PAUSE,
            // Begun before the breaker opened: that is known already.
            (State::Open { .. } | State::Probing, None) => return false,
        };
        *state = State::Open { until: now + pause, pause };
        true
    }
}

impl Drop for Try<'_> {
    fn drop(&mut self) {
        if let Some(pause) = self.probe {
            *self.breaker.state() = State::Open { until: Instant::now(), pause };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(breaker: &Breaker) {
        for _ in 0..BREAKER_FAILURES {
            breaker.admit().unwrap().failed(1);
        }
        assert_eq!(breaker.known(), BreakerState::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_open_it_and_one_answer_between_does_not() {
        let breaker = Breaker::default();
        for _ in 0..BREAKER_FAILURES * 2 {
            breaker.admit().unwrap().failed(1);
            breaker.admit().unwrap().answered();
        }
        open(&breaker);
        assert!(matches!(breaker.admit(), Err(Error::UpstreamDown { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_at_a_time_and_longer_pauses_while_it_fails() {
        let breaker = Breaker::default();
        open(&breaker);
        tokio::time::advance(BREAKER_PAUSE).await;
        let probe = breaker.admit().unwrap();
        assert!(breaker.admit().is_err());
        probe.failed(1);
        tokio::time::advance(BREAKER_PAUSE).await;
        assert!(breaker.admit().is_err());
        tokio::time::advance(BREAKER_PAUSE).await;
        breaker.admit().unwrap().answered();
        assert_eq!(breaker.known(), BreakerState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_goes_away_is_followed_by_another() {
        let breaker = Breaker::default();
        open(&breaker);
        tokio::time::advance(BREAKER_PAUSE).await;
        drop(breaker.admit().unwrap());
        assert!(breaker.admit().is_ok());
    }
}
