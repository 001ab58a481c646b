//! The circuit breaker of one registry: while the registry is down, requests fail at once instead
//! of waiting for a timeout, and one probe finds out when it is back.
//!
//! Failures in a row only raise a suspicion, because one path that always fails proves nothing
//! about the rest. A probe independent of all requests (`probe.rs`) decides, also on the recovery.
//!
//! Invariants: while the breaker is open, only one probe at a time reaches the registry. It opens
//! for all parties only when the probe fails. When several repositories got no answer, and no
//! request was answered in between, it opens for the parties of those requests: another party
//! learns of the outage by a request of its own.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use crate::ClientError;
use crate::limits::{
    BREAKER_FAILURES, BREAKER_PARTIES_MAX, BREAKER_PAUSE, BREAKER_PAUSE_MAX, BREAKER_REPOSITORIES,
    BREAKER_ROW_TIME, FAILING_PATH_TIME, FAILING_PATHS_MAX, PROBE_PAUSE,
};
use crate::runtime::mutex::Mutex;
use crate::runtime::party::Party;
use crate::runtime::ttl_set::TtlSet;

/// The circuit breaker of one registry.
pub(crate) struct Breaker {
    state: Mutex<State>,
    /// Paths that failed while the registry answered others, by keyed hashes.
    failing: TtlSet<u64>,
    hashes: RandomState,
}

enum State {
    /// All parties may send requests.
    Closed(Row),
    /// The owners may not send requests until then.
    Open { until: Instant, pause: Duration, owner: Whom, unanswered: Unanswered },
    /// The probe is under way; the owners wait for its result.
    HalfOpen(Whom, Unanswered),
}

/// The parties the breaker is open for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whom {
    All,
    /// The parties whose own requests got no answer.
    Unanswered,
}

/// Requests without an answer.
#[derive(Default)]
struct Unanswered {
    /// Repositories, by keyed hashes; at most `BREAKER_REPOSITORIES`.
    repos: Vec<u64>,
    /// Their parties; at most `BREAKER_PARTIES_MAX`, and any party beyond that bound may send
    /// requests.
    parties: HashSet<Party>,
}

/// Failures since the last answer, each soon after the one before.
#[derive(Default)]
struct Row {
    /// The time of the last one.
    last: Option<Instant>,
    /// The number of failed tries.
    failures: u32,
    /// Kept while the breaker is open, until a request is answered.
    unanswered: Unanswered,
    /// Whether the probe is under way.
    is_probed: bool,
    /// Since when the registry is known to be up, by the probe.
    there_since: Option<Instant>,
}

/// The breaker's state in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BreakerState {
    /// All parties may send requests.
    Closed,
    /// Only the probe.
    HalfOpen,
    /// No requests.
    Open,
}

/// The breaker's decision about a request.
pub(crate) enum BreakerAnswer<'a> {
    /// The request may try.
    Try(TryPermit<'a>),
    /// The probe is due, and the request must send it first.
    Probe(HalfOpenProbe<'a>),
}

/// Permission for one try. Dropped without a result, it counts as nothing.
#[must_use]
pub(crate) struct TryPermit<'a> {
    breaker: &'a Breaker,
}

/// The probe of a registry after a pause. Dropped without a result, it leaves the probe to the
/// next request.
pub(crate) struct HalfOpenProbe<'a> {
    breaker: &'a Breaker,
    /// The pause before this probe.
    pause: Option<Duration>,
}

/// A failed try.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FailedTry<'a> {
    /// The requested path.
    pub(crate) path: &'a str,
    /// The repository in the path.
    pub(crate) repo: Option<&'a str>,
    /// The party of the request.
    pub(crate) party: &'a Party,
    /// The kind of failure.
    pub(crate) kind: FailureKind,
}

/// How a try failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// An error status: perhaps only the requested path is broken.
    Broken,
    /// No answer, or a status that reports no service at all.
    Unanswered,
    /// No answer within the whole timeout. Already a few of these cost clients too much.
    Late,
}

/// A suspicion that the registry is down: its holder must send the probe (`probe.rs`). Dropped
/// without a result, it counts as nothing.
pub(crate) struct ProbeDuty<'a> {
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
    /// Permission for a try by this party, or the time until the next one.
    pub(crate) fn admit(&self, party: &Party) -> Result<BreakerAnswer<'_>, ClientError> {
        let (mut state, now) = (self.state.lock(), Instant::now());
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
                Err(ClientError::Down { retry_after_seconds })
            }
            State::HalfOpen(..) => Err(ClientError::Down { retry_after_seconds: 1 }),
        }
    }

    pub(crate) fn known(&self) -> BreakerState {
        match *self.state.lock() {
            State::Closed(_) => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen(..) => BreakerState::HalfOpen,
        }
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
    /// Counts a failure; whether the probe is due, and then marked as under way.
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
    /// Closes the breaker: the registry answered, with any status.
    pub(crate) fn answered(self) {
        *self.breaker.state.lock() = State::default();
    }

    /// Counts a failed try: no answer, or an error status. A path that fails while others work is
    /// not counted.
    pub(crate) fn failed(self, failure: &FailedTry<'_>) -> Option<ProbeDuty<'a>> {
        let breaker = self.breaker;
        let path = breaker.hashes.hash_one(failure.path);
        let repo = failure.repo.map(|repo| (breaker.hashes.hash_one(repo), failure.party));
        let is_own = breaker.failing.contains(&path);
        let is_due = match &mut *breaker.state.lock() {
            State::Closed(row) => !is_own && row.count(failure.kind, repo),
            // The outage is known already; the failure adds its own party.
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
    /// The probe was answered. Unanswered requests of others still count, until one of them is
    /// answered.
    pub(crate) fn answered(mut self) {
        self.pause = None;
        let mut state = self.breaker.state.lock();
        if let State::HalfOpen(_, unanswered) = &mut *state {
            let (unanswered, now) = (std::mem::take(unanswered), Some(Instant::now()));
            *state = State::Closed(Row { unanswered, there_since: now, ..Row::default() });
        }
    }

    /// The probe failed: a longer pause, unless another request was answered meanwhile.
    pub(crate) fn failed(mut self) {
        let mut state = self.breaker.state.lock();
        if let (Some(pause), State::HalfOpen(..)) = (self.pause.take(), &*state) {
            state.open(Whom::All, (pause * 2).min(BREAKER_PAUSE_MAX));
        }
    }
}

impl ProbeDuty<'_> {
    /// The registry answered the probe; whether the breaker opens all the same, for the parties
    /// that got no answer.
    pub(crate) fn refuted(self) -> bool {
        let breaker = self.breaker;
        breaker.failing.insert(self.path, FAILING_PATH_TIME);
        let mut state = breaker.state.lock();
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

    /// The probe failed and confirms the suspicion; whether the breaker opens anew.
    pub(crate) fn confirmed(self) -> bool {
        let mut state = self.breaker.state.lock();
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
        if let State::Closed(row) = &mut *self.breaker.state.lock() {
            row.is_probed = false;
        }
    }
}

impl Drop for HalfOpenProbe<'_> {
    fn drop(&mut self) {
        if let Some(pause) = self.pause {
            let mut state = self.breaker.state.lock();
            if let State::HalfOpen(owner, unanswered) = &mut *state {
                let (owner, unanswered) = (*owner, std::mem::take(unanswered));
                *state = State::Open { until: Instant::now(), pause, owner, unanswered };
            }
        }
    }
}

#[cfg(test)]
mod tests;
