//! The concurrency limit of one registry: a window of requests for reads and one for writes,
//! growing while the registry answers and halved when it refuses most (AIMD), and the pause of its
//! `Retry-After`.
//!
//! Invariant: no request leaves before the time that `Retry-After` named, whichever request
//! received it; a pause counts up to `QUOTA_WAIT_MAX`. Registries count each caller's login apart,
//! so a caller with a login has a limit of its own besides. Waiting requests go in rounds between
//! parties, and a new request never overtakes them. In a shared window one party has at most half,
//! and a quarter once half is taken: hanging requests leave room for others.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::ClientError;
use crate::error::ClientBound;
use crate::limits::{
    BUSY_PATIENCE, PARTY_UPSTREAM_WAITING_MAX, QUOTA_CUT_PERIOD, QUOTA_WAIT_MAX, SHARED_WINDOW_MIN,
    SHARES, TURN_WAIT_BRIEF, UPSTREAM_WAITING_MAX, WINDOW_MIN, WINDOW_WAIT_MAX,
};
use crate::runtime::mutex::Mutex;
use crate::runtime::party::Party;
use crate::runtime::round_robin::{Eligibility, RoundRobin};

/// The two classes of requests. ACR limits reads and writes per minute apart (`ReadOps` and
/// `WriteOps` of its tiers), and GET, HEAD and OPTIONS are reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestClass {
    Read,
    Write,
}

impl RequestClass {
    pub(crate) fn of(method: &Method) -> Self {
        if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
            Self::Read
        } else {
            Self::Write
        }
    }
}

/// Both windows of one registry.
pub(crate) struct ConcurrencyLimit {
    reads: Arc<Window>,
    writes: Arc<Window>,
}

/// A window's state, for metrics.
#[derive(Debug, Clone, Copy)]
pub struct WindowState {
    /// The most requests running at once.
    pub window: u32,
    /// The number of 429 answers.
    pub throttled: u64,
    /// Running requests.
    pub running: u32,
    /// Waiting requests.
    pub waiting: usize,
    /// The seconds left of the pause.
    pub pause_seconds: u64,
    /// The rest of the registry's quota, from its last answer.
    pub left: Option<u64>,
}

impl WindowState {
    /// Adds the state of another window of the same registry.
    pub(crate) fn add(&mut self, other: &Self) {
        self.window += other.window;
        self.throttled += other.throttled;
        self.running += other.running;
        self.waiting += other.waiting;
        self.pause_seconds = self.pause_seconds.max(other.pause_seconds);
        self.left = [self.left, other.left].into_iter().flatten().min();
    }
}

/// The remaining quota in ACR's header (first), the IETF draft's or Docker Hub's:
/// `RateLimit-Remaining: 76;w=21600`.
pub(crate) fn left(headers: &HeaderMap) -> Option<u64> {
    const NAMES: [&str; 3] = [
        "x-ms-ratelimit-remaining-calls-per-second",
        "ratelimit-remaining",
        "x-ratelimit-remaining",
    ];
    let value = NAMES.iter().find_map(|name| headers.get(*name))?.to_str().ok()?;
    let digits = value.trim().split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

struct Window {
    max: u32,
    /// The longest wait for a permit.
    turn_wait: Duration,
    state: Mutex<State>,
}

struct State {
    window: f64,
    running: u32,
    /// The running requests of each party, where several share the window.
    running_of: HashMap<Party, usize>,
    is_shared: bool,
    /// The waiting requests, by their numbers.
    line: RoundRobin<u64>,
    /// Granted requests to be notified; they count as running from then on.
    told: HashMap<u64, Arc<Notify>>,
    next: u64,
    paused_until: Option<Instant>,
    cut_at: Option<Instant>,
    throttled: u64,
    /// The share of 429 among the last answers.
    refused_share: f64,
    /// The rest of the quota, when the registry states it.
    left: Option<u64>,
}

/// The weight of one answer in the share of refusals.
const ANSWER_WEIGHT: f64 = 1.0 / 16.0;

impl State {
    /// Grants as many waiting requests as the window has room for.
    fn serve(&mut self, now: Instant) {
        let is_paused = self.paused_until.is_some_and(|until| until > now);
        while !is_paused && self.running < whole_u32(self.window) {
            let may = Self::may(self.is_shared, &self.running_of, self.running, self.window);
            let Some((party, number)) = self.line.pop(may, |_| Eligibility::Free) else { return };
            self.begin(&party);
            if let Some(told) = self.told.remove(&number) {
                told.notify_one();
            }
        }
    }

    /// Whether one more request of a party may run.
    fn may(
        is_shared: bool,
        running_of: &HashMap<Party, usize>,
        running: u32,
        window: f64,
    ) -> impl Fn(&Party) -> bool {
        let window = whole_u32(window);
        let share = (usize::try_from(window).unwrap_or(usize::MAX) / SHARES).max(1);
        move |party| {
            let own = running_of.get(party).copied().unwrap_or(0);
            // A registry that has cut its window answers at once, so each party soon gets a
            // permit.
            !is_shared
                || window < SHARED_WINDOW_MIN
                || *party == Party::Ourselves
                || own < share
                || running < window / 2
        }
    }

    fn begin(&mut self, party: &Party) {
        self.running += 1;
        *self.running_of.entry(party.clone()).or_default() += 1;
    }

    fn end(&mut self, party: &Party) {
        self.running -= 1;
        if let Some(count) = self.running_of.get_mut(party) {
            *count -= 1;
            if *count == 0 {
                self.running_of.remove(party);
            }
        }
    }

    /// The end of the pause; an error when that is after `latest`.
    fn pause(&self, now: Instant, latest: Instant) -> Result<Option<Instant>, ClientError> {
        let pause = self.paused_until.filter(|until| *until > now);
        match pause.filter(|until| *until > latest) {
            Some(until) => {
                let seconds = (until - now).as_secs_f64().ceil();
                Err(ClientError::Busy { retry_after_seconds: whole(seconds).max(1) })
            }
            None => Ok(pause),
        }
    }

    /// Records an answer; whether the registry refuses most requests.
    fn refuses_most(&mut self, refused: bool) -> bool {
        let share = if refused { 1.0 } else { 0.0 };
        self.refused_share += (share - self.refused_share) * ANSWER_WEIGHT;
        self.refused_share > 0.5
    }
}

/// A waiting request. Dropped, it leaves the queue and returns a permit that was granted and not
/// taken.
struct Waiting<'a> {
    lane: &'a Window,
    number: u64,
    party: &'a Party,
    told: Arc<Notify>,
    is_gone: bool,
}

/// Permission for one request, which ends when its answer begins.
pub(crate) struct ConcurrencyPermit {
    lane: Arc<Window>,
    party: Party,
}

impl ConcurrencyLimit {
    /// Windows shared by all requests.
    pub(crate) fn new(reads_max: u32, writes_max: u32) -> Self {
        Self {
            reads: Arc::new(Window::new(reads_max, WINDOW_WAIT_MAX, true)),
            writes: Arc::new(Window::new(writes_max, BUSY_PATIENCE, true)),
        }
    }

    /// Windows for one login, which are not shared between parties.
    pub(crate) fn of_one(reads_max: u32, writes_max: u32) -> Self {
        Self {
            reads: Arc::new(Window::new(reads_max, WINDOW_WAIT_MAX, false)),
            writes: Arc::new(Window::new(writes_max, BUSY_PATIENCE, false)),
        }
    }

    /// Waits for a permit. A pause longer than `patience` fails at once; several short pauses and
    /// the requests of others are waited for, within `WINDOW_WAIT_MAX`; writes wait longer.
    pub(crate) async fn enter(
        &self,
        class: RequestClass,
        patience: Duration,
        party: &Party,
    ) -> Result<ConcurrencyPermit, ClientError> {
        let lane = match class {
            RequestClass::Read => &self.reads,
            RequestClass::Write => &self.writes,
        };
        lane.enter(patience, party).await?;
        Ok(ConcurrencyPermit { lane: Arc::clone(lane), party: party.clone() })
    }

    pub(crate) fn states(&self) -> [WindowState; 2] {
        [self.reads.known(), self.writes.known()]
    }
}

impl Window {
    fn new(max: u32, turn_wait: Duration, is_shared: bool) -> Self {
        let state = State {
            window: f64::from(max),
            running: 0,
            running_of: HashMap::new(),
            is_shared,
            line: RoundRobin::default(),
            told: HashMap::new(),
            next: 0,
            paused_until: None,
            cut_at: None,
            throttled: 0,
            refused_share: 0.0,
            left: None,
        };
        Self { max: max.max(1), turn_wait, state: Mutex::new(state) }
    }

    async fn enter(&self, patience: Duration, party: &Party) -> Result<(), ClientError> {
        let brief = patience.is_zero();
        let deadline = Instant::now() + if brief { TURN_WAIT_BRIEF } else { self.turn_wait };
        let Some(mut waiting) = self.queue(party, deadline.min(Instant::now() + patience))? else {
            return Ok(());
        };
        loop {
            let latest = deadline.min(Instant::now() + patience);
            let Look::Wait(pause) = waiting.look(latest)? else { return Ok(()) };
            let until = pause.unwrap_or(deadline).min(deadline);
            let told = tokio::time::timeout_at(until, waiting.told.notified()).await;
            let is_late = told.is_err() && until == deadline;
            if is_late && matches!(waiting.look(latest)?, Look::Wait(_)) {
                return Err(ClientError::Busy { retry_after_seconds: 1 });
            }
        }
    }

    /// Enters the queue; `None` when it is empty and the window has room.
    fn queue<'a>(
        &'a self,
        party: &'a Party,
        latest: Instant,
    ) -> Result<Option<Waiting<'a>>, ClientError> {
        let (mut state, now) = (self.state.lock(), Instant::now());
        let pause = state.pause(now, latest)?;
        state.serve(now);
        let may_run =
            State::may(state.is_shared, &state.running_of, state.running, state.window)(party);
        let is_free = state.running < whole_u32(state.window) && may_run;
        if pause.is_none() && state.line.of(party) == 0 && is_free {
            state.begin(party);
            return Ok(None);
        }
        if state.line.len() >= UPSTREAM_WAITING_MAX {
            return Err(ClientError::TooMany(ClientBound::Requests));
        }
        let has_share = state.line.of(party) >= PARTY_UPSTREAM_WAITING_MAX;
        if has_share && *party != Party::Ourselves {
            return Err(ClientError::TooMany(ClientBound::PartyRequests));
        }
        let (number, told) = (state.next, Arc::new(Notify::new()));
        state.next += 1;
        state.line.push(party, number);
        state.told.insert(number, Arc::clone(&told));
        Ok(Some(Waiting { lane: self, number, party, told, is_gone: false }))
    }

    fn known(&self) -> WindowState {
        let (state, now) = (self.state.lock(), Instant::now());
        let pause = state.paused_until.map(|until| until.saturating_duration_since(now));
        WindowState {
            window: whole_u32(state.window),
            throttled: state.throttled,
            running: state.running,
            waiting: state.line.len(),
            pause_seconds: whole(pause.unwrap_or_default().as_secs_f64().ceil()),
            left: state.left,
        }
    }
}

/// The state of a waiting request.
enum Look {
    Go,
    /// The request waits until then, when there is a pause.
    Wait(Option<Instant>),
}

impl Waiting<'_> {
    fn look(&mut self, latest: Instant) -> Result<Look, ClientError> {
        let (mut state, now) = (self.lane.state.lock(), Instant::now());
        state.serve(now);
        if !state.told.contains_key(&self.number) {
            self.is_gone = true;
            return Ok(Look::Go);
        }
        state.pause(now, latest).map(Look::Wait)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.is_gone {
            return;
        }
        let mut state = self.lane.state.lock();
        if state.told.remove(&self.number).is_some() {
            state.line.remove(&self.number);
        } else {
            state.end(self.party);
            state.serve(Instant::now());
        }
    }
}

impl ConcurrencyPermit {
    /// Records the rest of the quota from an answer; an answer without it changes nothing.
    pub(crate) fn left(&self, headers: &HeaderMap) {
        if let Some(left) = left(headers) {
            self.lane.state.lock().left = Some(left);
        }
    }

    /// Records an answer: the window grows by one for each window of answers.
    pub(crate) fn answered(&self) {
        let mut state = self.lane.state.lock();
        state.refuses_most(false);
        let window = state.window + 1.0 / state.window;
        state.window = window.min(f64::from(self.lane.max));
    }

    /// Counts a 429 to one of many logins, without a pause for the others.
    pub(crate) fn noted(&self) {
        self.lane.state.lock().throttled += 1;
    }

    /// Records a 429: all requests wait for the time of its `Retry-After`, then the window halves,
    /// unless the registry accepts most requests and names a time: then the pause is enough.
    /// Requests that ran together cut the window once; whether this one did.
    pub(crate) fn throttled(&self, retry_after: Option<Duration>) -> bool {
        let (mut state, now) = (self.lane.state.lock(), Instant::now());
        state.throttled += 1;
        let refuses_most = state.refuses_most(true);
        let cut = (refuses_most || retry_after.is_none())
            && state.cut_at.is_none_or(|at| now.duration_since(at) >= QUOTA_CUT_PERIOD);
        if cut {
            state.cut_at = Some(now);
            let least = f64::from(self.lane.max.min(WINDOW_MIN));
            state.window = (state.window.min(f64::from(state.running)) / 2.0).max(least);
        }
        if let Some(pause) = retry_after {
            // A pause of years is not obeyed: the registry is tried again after the longest wait.
            let until = now + pause.min(QUOTA_WAIT_MAX);
            state.paused_until = Some(state.paused_until.map_or(until, |known| known.max(until)));
        }
        cut
    }
}

impl Drop for ConcurrencyPermit {
    fn drop(&mut self) {
        // Grants all the room: after growth the window has more than this request's place.
        let mut state = self.lane.state.lock();
        state.end(&self.party);
        state.serve(Instant::now());
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is 1 or more")]
fn whole_u32(window: f64) -> u32 {
    window as u32
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds, bounded")]
fn whole(seconds: f64) -> u64 {
    seconds as u64
}

#[cfg(test)]
mod tests;
