//! An upstream that is down is left alone for a while: whoever asks meanwhile learns it at once
//! instead of waiting for a timeout, and one request finds out when it is back.
//!
//! Failures in a row raise a suspicion and no more, because one thing that always fails proves nothing
//! about the rest. What decides is a probe that belongs to no request (`probe.rs`), also on whether it is
//! back.
//!
//! Invariants: while the breaker is open, nothing but one probe at a time reaches the upstream. It opens
//! for all only when the probe fails. When several repositories got no answer, and nothing got one in
//! between, it opens for those who asked for them: whoever else comes learns it by a request of its own.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::Error;
use crate::limits::{
    BREAKER_FAILURES, BREAKER_PARTIES_MAX, BREAKER_PAUSE, BREAKER_PAUSE_MAX, BREAKER_REPOSITORIES,
    BREAKER_ROW_TIME, FAILING_PATH_TIME, FAILING_PATHS_MAX, PROBE_PAUSE,
};
use crate::runtime::party::Party;
use crate::runtime::ttl_set::TtlSet;

/// The state of one upstream.
pub(super) struct Breaker {
    state: Mutex<State>,
    /// Paths that failed while the upstream was there, by keyed hashes.
    failing: TtlSet<u64>,
    hashes: RandomState,
}

enum State {
    /// All may ask.
    Closed(Row),
    /// These do not ask until then.
    Open { until: Instant, pause: Duration, owner: Whom, unanswered: Unanswered },
    /// The probe is under way; these wait for what it finds.
    HalfOpen(Whom, Unanswered),
}

/// For whom it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whom {
    All,
    /// Those who got no answer themselves.
    Unanswered,
}

/// What got no answer.
#[derive(Default)]
struct Unanswered {
    /// Repositories, by keyed hashes; at most `BREAKER_REPOSITORIES`.
    repos: Vec<u64>,
    /// Who asked for them; at most `BREAKER_PARTIES_MAX`, and whoever is not among them may ask.
    parties: HashSet<Party>,
}

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
    /// The probe does.
    HalfOpen,
    /// Nobody asks.
    Open,
}

/// What is given to whoever wants to ask.
pub(super) enum BreakerAnswer<'a> {
    /// They may.
    Try(TryPermit<'a>),
    /// It is time for the probe, and theirs to see to it.
    Probe(HalfOpenProbe<'a>),
}

/// Leave for one try. Dropped without a word, it counts as nothing.
#[must_use]
pub(super) struct TryPermit<'a> {
    breaker: &'a Breaker,
}

/// The probe of an upstream that was left alone. Dropped without a word, the next one is to see to it.
pub(super) struct HalfOpenProbe<'a> {
    breaker: &'a Breaker,
    /// The pause that went before it.
    pause: Option<Duration>,
}

/// A try that failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct FailedTry<'a> {
    /// The path that was asked for.
    pub(super) path: &'a str,
    /// The repository in it.
    pub(super) repo: Option<&'a str>,
    /// For whom.
    pub(super) party: &'a Party,
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
pub(super) struct ProbeDuty<'a> {
    breaker: &'a Breaker,
    path: u64,
}

impl Default for Breaker {
    fn default() -> Self {
        let failing = TtlSet::new(FAILING_PATHS_MAX);
        Self { state: Mutex::new(State::default()), failing, hashes: RandomState::new() }
    }
}

impl Default for State {
    fn default() -> Self {
        Self::Closed(Row::default())
    }
}

impl Breaker {
    /// Leave to ask for this party, or how long to stay away.
    pub(super) fn admit(&self, party: &Party) -> Result<BreakerAnswer<'_>, Error> {
        let (mut state, now) = (self.state(), Instant::now());
        match &mut *state {
            State::Closed(_) => Ok(BreakerAnswer::Try(TryPermit { breaker: self })),
            State::Open { owner: Whom::Unanswered, unanswered, .. }
            | State::HalfOpen(Whom::Unanswered, unanswered)
                if !unanswered.parties.contains(party) =>
            {
                Ok(BreakerAnswer::Try(TryPermit { breaker: self }))
            }
            State::Open { until, pause, owner, unanswered } if *until <= now => {
                let pause = Some(*pause);
                *state = State::HalfOpen(*owner, std::mem::take(unanswered));
                Ok(BreakerAnswer::Probe(HalfOpenProbe { breaker: self, pause }))
            }
            State::Open { until, .. } => {
                let left = *until - now;
                let retry_after_seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
                Err(Error::UpstreamDown { retry_after_seconds })
            }
            State::HalfOpen(..) => Err(Error::UpstreamDown { retry_after_seconds: 1 }),
        }
    }

    pub(super) fn known(&self) -> BreakerState {
        match *self.state() {
            State::Closed(_) => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen(..) => BreakerState::HalfOpen,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unanswered {
    fn add(&mut self, repo: u64, party: &Party) {
        if self.repos.len() < BREAKER_REPOSITORIES && !self.repos.contains(&repo) {
            self.repos.push(repo);
        }
        if self.parties.len() < BREAKER_PARTIES_MAX && !self.parties.contains(party) {
            self.parties.insert(party.clone());
        }
    }
}

impl Row {
    /// Counts a failure; whether it is time for the probe, which is under way then.
    fn count(&mut self, kind: FailureKind, repo: Option<(u64, &Party)>) -> bool {
        let now = Instant::now();
        if self.last.replace(now).is_some_and(|last| now - last > BREAKER_ROW_TIME) {
            self.failures = 0;
            self.unanswered = Unanswered::default();
        }
        self.failures = match kind {
            FailureKind::Broken | FailureKind::Unanswered => self.failures + 1,
            FailureKind::Late => BREAKER_FAILURES,
        };
        if kind != FailureKind::Broken
            && let Some((repo, party)) = repo
        {
            self.unanswered.add(repo, party);
        }
        let is_known = self.there_since.is_some_and(|since| since.elapsed() < PROBE_PAUSE);
        let is_due = self.failures >= BREAKER_FAILURES && !self.is_probed && !is_known;
        self.is_probed |= is_due;
        is_due
    }
}

impl<'a> TryPermit<'a> {
    /// The upstream is there: it answered, whatever it said.
    pub(super) fn answered(self) {
        *self.breaker.state() = State::default();
    }

    /// It did not answer, or only that it is broken. A path that fails for itself is not counted.
    pub(super) fn failed(self, failure: &FailedTry<'_>) -> Option<ProbeDuty<'a>> {
        let breaker = self.breaker;
        let path = breaker.hashes.hash_one(failure.path);
        let repo = failure.repo.map(|repo| (breaker.hashes.hash_one(repo), failure.party));
        let is_own = breaker.failing.holds(&path);
        let is_due = match &mut *breaker.state() {
            State::Closed(row) => !is_own && row.count(failure.kind, repo),
            // Known already; now also to who asked.
            State::Open { unanswered, .. } | State::HalfOpen(_, unanswered) => {
                if let Some((repo, party)) = repo.filter(|_| failure.kind != FailureKind::Broken) {
                    unanswered.add(repo, party);
                }
                false
            }
        };
        is_due.then(|| ProbeDuty { breaker, path })
    }
}

impl HalfOpenProbe<'_> {
    /// The upstream is there. What others got no answer to still counts, until one of them does.
    pub(super) fn answered(mut self) {
        self.pause = None;
        let mut state = self.breaker.state();
        if let State::HalfOpen(_, unanswered) = &mut *state {
            let (unanswered, now) = (std::mem::take(unanswered), Some(Instant::now()));
            *state = State::Closed(Row { unanswered, there_since: now, ..Row::default() });
        }
    }

    /// It is not: a longer pause, unless somebody had an answer meanwhile.
    pub(super) fn failed(mut self) {
        let mut state = self.breaker.state();
        if let (Some(pause), State::HalfOpen(..)) = (self.pause.take(), &*state) {
            state.open(Whom::All, (pause * 2).min(BREAKER_PAUSE_MAX));
        }
    }
}

impl ProbeDuty<'_> {
    /// The upstream answered the probe; whether it is left alone all the same.
    pub(super) fn refuted(self) -> bool {
        let breaker = self.breaker;
        breaker.failing.note(self.path, FAILING_PATH_TIME, breaker.failing.epoch());
        let mut state = breaker.state();
        let State::Closed(row) = &mut *state else { return false };
        let is_down = row.unanswered.repos.len() >= BREAKER_REPOSITORIES;
        if is_down {
            state.open(Whom::Unanswered, BREAKER_PAUSE);
        } else {
            row.failures = 0;
            row.there_since = Some(Instant::now());
        }
        is_down
    }

    /// It did not; whether that is new.
    pub(super) fn confirmed(self) -> bool {
        let mut state = self.breaker.state();
        let is_new = matches!(&*state, State::Closed(row) if row.is_probed);
        if is_new {
            state.open(Whom::All, BREAKER_PAUSE);
        }
        is_new
    }
}

impl State {
    fn open(&mut self, owner: Whom, pause: Duration) {
        let unanswered = match self {
            Self::Closed(Row { unanswered, .. })
            | Self::Open { unanswered, .. }
            | Self::HalfOpen(_, unanswered) => std::mem::take(unanswered),
        };
        *self = Self::Open { until: Instant::now() + pause, pause, owner, unanswered };
    }
}

impl Drop for ProbeDuty<'_> {
    fn drop(&mut self) {
        if let State::Closed(row) = &mut *self.breaker.state() {
            row.is_probed = false;
        }
    }
}

impl Drop for HalfOpenProbe<'_> {
    fn drop(&mut self) {
        if let Some(pause) = self.pause {
            let mut state = self.breaker.state();
            if let State::HalfOpen(owner, unanswered) = &mut *state {
                let (owner, unanswered) = (*owner, std::mem::take(unanswered));
                *state = State::Open { until: Instant::now(), pause, owner, unanswered };
            }
        }
    }
}

#[cfg(test)]
mod tests;
