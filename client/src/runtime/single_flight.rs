//! One piece of work for many callers with the same key: the first caller starts it, the others
//! wait for the same answer. Used for downloads, manifests and tokens.
//!
//! Invariants: the work belongs to no caller: it runs in its own task, so that a departing caller
//! neither ends nor keeps it. Only where places are short, work without subscribers for a while is
//! told to end. Work that ends without an answer is an error for all waiting callers. No party has
//! more than its share of the places; a caller that joins takes none.

mod runs;

use std::fmt::Display;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;
use tracing::{Instrument as _, Span};
use wharf_oci::RepoName;

use crate::caller_login::Fingerprint;
use crate::limits::{JOINS_MAX, SHARES};
use crate::runtime::mutex::Mutex;
use crate::runtime::party;
use crate::runtime::party::Party;
use crate::runtime::subscribers::{Subscribers, Subscription};
use runs::{FlightBounds, Run, Runs};

type Answer<V, E> = Option<Result<V, E>>;
type Running<K, V, E> = Arc<Mutex<Runs<K, V, E>>>;

/// A kind of work.
pub trait FlightKind: Copy + Send + Sync + 'static {
    /// How the work fails.
    type Error: FlightError;

    /// There is too much work of this kind.
    fn too_many(self) -> Self::Error;

    /// The span of one piece of work, begun by the current task.
    fn span(self) -> Span;
}

/// How work fails.
pub trait FlightError: Display + Clone + Send + Sync + 'static {
    /// The work ended without an answer.
    fn no_answer() -> Self;

    /// Whether the failure concerns the login sent to a registry: another caller may succeed.
    fn is_about_login(&self) -> bool;

    /// Whether one party's share of the memory is full; other parties are not affected.
    fn is_about_a_share(&self) -> bool;
}

/// The login and repository of a piece of work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnBehalfOf {
    /// The caller's login; none for this program's own.
    pub login: Option<Fingerprint>,
    /// The repository, where a failure for one says nothing of another.
    pub repo: Option<RepoName>,
}

impl From<Option<Fingerprint>> for OnBehalfOf {
    fn from(login: Option<Fingerprint>) -> Self {
        Self { login, repo: None }
    }
}

impl OnBehalfOf {
    /// Whether a failure of work for `theirs` says nothing about this request.
    fn is_not_told_by(&self, theirs: &Self, error: &impl FlightError) -> bool {
        theirs.repo != self.repo
            || (theirs.login != self.login && error.is_about_login())
            || error.is_about_a_share()
    }
}

/// Whether a caller began the work or joined it.
enum Role {
    Began,
    Joined(OnBehalfOf),
}

/// An answer with the caller's subscription: while it is kept, the work is wanted.
pub struct FlightAnswer<V> {
    /// The answer.
    pub value: V,
    /// Whether the work was already running.
    pub joined: bool,
    /// While it is kept, the work is wanted.
    pub subscription: Subscription,
}

/// A caller waiting for an answer.
struct Entered<V, E> {
    answer: watch::Receiver<Answer<V, E>>,
    part: Role,
    subscription: Subscription,
}

/// The state of a key.
enum Place<K: Clone + Eq + Hash, V, E> {
    Here(Entered<V, E>),
    Free(Leader<K, V, E>, Entered<V, E>),
    /// Work that was told to end and is not over.
    Ending(watch::Receiver<Answer<V, E>>),
}

/// Running work, by key.
pub struct SingleFlight<K, V, F: FlightKind> {
    running: Running<K, V, F::Error>,
    limit: usize,
    share: AtomicUsize,
    /// The places kept for parties with a known name or address.
    kept_for_known: usize,
    /// Whether work told to end is aborted, or ends itself.
    cuts: bool,
    kind: F,
}

/// The work's side: gives the answer, perhaps long before the work is over. While it exists, later
/// callers join; dropping it ends the work.
pub struct Leader<K: Clone + Eq + Hash, V, E> {
    key: K,
    running: Running<K, V, E>,
    answer: watch::Sender<Answer<V, E>>,
    end: watch::Receiver<bool>,
    subscribers: Subscribers,
}

impl<K, V, F> SingleFlight<K, V, F>
where
    F: FlightKind,
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// At most `limit` pieces of work at once, and a share of them for each party.
    #[must_use]
    pub fn new(limit: usize, kind: F) -> Self {
        let share = AtomicUsize::new((limit / SHARES).max(1));
        let running = Arc::new(Mutex::new(Runs::new()));
        Self { running, limit, share, kept_for_known: 0, cuts: true, kind }
    }

    /// The same, for work that watches [`Leader::told_to_end`] itself.
    #[must_use]
    pub fn ending_themselves(self) -> Self {
        Self { cuts: false, ..self }
    }

    /// The same, with a share kept for parties with a known name or address: addresses without end
    /// take none of it.
    #[must_use]
    pub fn keeping_a_share_for_known(self) -> Self {
        Self { kept_for_known: self.limit / SHARES, ..self }
    }

    /// Sets how many places each party may have.
    pub fn share_out(&self, each: usize) {
        self.share.store(each, Ordering::Relaxed);
    }

    /// The answer for `key`, and whether this call joined running work.
    pub async fn ask<W>(
        &self,
        party: &Party,
        key: K,
        work: impl FnOnce(Leader<K, V, F::Error>) -> W + Send,
    ) -> Result<(V, bool), F::Error>
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let entered = self.enter(party, &OnBehalfOf::default(), &key, work).await?;
        let value = wait(entered.answer).await?;
        Ok((value, matches!(entered.part, Role::Joined(_))))
    }

    /// The same for work on behalf of a login or repository: a caller that joined another one's
    /// work asks anew when the work failed for a reason of the other one only.
    pub async fn ask_as<W>(
        &self,
        party: &Party,
        on_behalf_of: impl Into<OnBehalfOf>,
        key: K,
        work: impl Fn(Leader<K, V, F::Error>) -> W + Send + Sync,
    ) -> Result<(V, bool), F::Error>
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let asked = self.ask_to_stay(party, on_behalf_of, key, work).await?;
        Ok((asked.value, asked.joined))
    }

    /// The same for a caller that wants the work to go on after its answer.
    pub async fn ask_to_stay<W>(
        &self,
        party: &Party,
        on_behalf_of: impl Into<OnBehalfOf>,
        key: K,
        work: impl Fn(Leader<K, V, F::Error>) -> W + Send + Sync,
    ) -> Result<FlightAnswer<V>, F::Error>
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let (on_behalf_of, mut joins) = (on_behalf_of.into(), 0);
        loop {
            let Entered { answer, part, subscription } =
                self.enter(party, &on_behalf_of, &key, &work).await?;
            match (wait(answer).await, part) {
                (Ok(value), part) => {
                    return Ok(FlightAnswer {
                        value,
                        joined: matches!(part, Role::Joined(_)),
                        subscription,
                    });
                }
                (Err(error), Role::Joined(theirs))
                    if on_behalf_of.is_not_told_by(&theirs, &error) =>
                {
                    joins += 1;
                    if joins > JOINS_MAX {
                        return Err(self.kind.too_many());
                    }
                }
                (Err(error), _) => return Err(error),
            }
        }
    }

    /// Starts work without a waiting caller, unless it is running.
    pub fn begin<W>(
        &self,
        party: &Party,
        on_behalf_of: impl Into<OnBehalfOf>,
        key: &K,
        work: impl FnOnce(Leader<K, V, F::Error>) -> W,
    ) where
        W: Future<Output = ()> + Send + 'static,
    {
        match self.place(party, &on_behalf_of.into(), key) {
            Ok(Place::Free(promise, _)) => self.start(promise, work),
            Ok(Place::Here(_) | Place::Ending(_)) => {}
            Err(error) => tracing::debug!(%error, "work in the background was not started"),
        }
    }

    /// Joins running work, or starts it.
    async fn enter<W>(
        &self,
        party: &Party,
        on_behalf_of: &OnBehalfOf,
        key: &K,
        work: impl FnOnce(Leader<K, V, F::Error>) -> W + Send,
    ) -> Result<Entered<V, F::Error>, F::Error>
    where
        W: Future<Output = ()> + Send + 'static,
    {
        loop {
            match self.place(party, on_behalf_of, key)? {
                Place::Here(entered) => return Ok(entered),
                Place::Free(promise, entered) => {
                    self.start(promise, work);
                    return Ok(entered);
                }
                // Until the ending work drops its leader.
                Place::Ending(mut answer) => while answer.changed().await.is_ok() {},
            }
        }
    }

    fn place(
        &self,
        party: &Party,
        on_behalf_of: &OnBehalfOf,
        key: &K,
    ) -> Result<Place<K, V, F::Error>, F::Error> {
        let mut running = self.running.lock();
        if let Some(run) = running.get(key) {
            let answer = run.answer.clone();
            if run.is_ending() {
                return Ok(Place::Ending(answer));
            }
            let part = Role::Joined(run.on_behalf_of.clone());
            return Ok(Place::Here(Entered { answer, part, subscription: run.subscribers.take() }));
        }
        let (all, kept_for_known) = (self.limit, self.kept_for_known);
        let bounds = FlightBounds { all, each: self.share.load(Ordering::Relaxed), kept_for_known };
        if !running.make_room(party, bounds) {
            return Err(self.kind.too_many());
        }
        let (sender, answer) = watch::channel(None);
        let (end, ended) = watch::channel(false);
        let (subscribers, party, on_behalf_of) =
            (Subscribers::default(), party.clone(), on_behalf_of.clone());
        let entered =
            Entered { answer: answer.clone(), part: Role::Began, subscription: subscribers.take() };
        running.insert(
            key.clone(),
            Run { answer, on_behalf_of, party, subscribers: subscribers.clone(), end },
        );
        drop(running);
        let (key, running) = (key.clone(), Arc::clone(&self.running));
        Ok(Place::Free(Leader { key, running, answer: sender, end: ended, subscribers }, entered))
    }

    fn start<W>(
        &self,
        promise: Leader<K, V, F::Error>,
        work: impl FnOnce(Leader<K, V, F::Error>) -> W,
    ) where
        W: Future<Output = ()> + Send + 'static,
    {
        let (cuts, told) = (self.cuts, promise.told_to_end());
        let work = work(promise);
        let work = async move {
            if !cuts {
                return work.await;
            }
            tokio::select! {
                biased;
                () = work => {}
                () = told => {}
            }
        };
        tokio::spawn(party::hand_on(work.instrument(self.kind.span())));
    }

    /// How many pieces of work take a place.
    #[must_use]
    pub fn count(&self) -> usize {
        self.running.lock().count()
    }

    /// The most places of one party.
    #[must_use]
    pub fn largest(&self) -> usize {
        self.running.lock().largest()
    }

    /// How many pieces of work were told to end, without subscribers, to make room for another one.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.running.lock().ended()
    }
}

impl<K: Clone + Eq + Hash, V, E> Leader<K, V, E> {
    /// Answers every caller, present and later, while the work goes on.
    pub fn keep(&self, result: Result<V, E>) {
        // An error is not for later callers: they start anew.
        if result.is_err() {
            self.leave();
        }
        self.answer.send_replace(Some(result));
    }

    /// Resolves when another piece of work needs the place and this one has no subscribers.
    pub fn told_to_end(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut end = self.end.clone();
        async move {
            if end.wait_for(|end| *end).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The subscribers of the result.
    pub fn subscribers(&self) -> Subscribers {
        self.subscribers.clone()
    }

    /// After an error, the key may belong to later work.
    fn leave(&self) {
        let ours = self.answer.subscribe();
        self.running.lock().remove(&self.key, |run| run.answer.same_channel(&ours));
    }
}

impl<K: Clone + Eq + Hash, V, E> Drop for Leader<K, V, E> {
    fn drop(&mut self) {
        self.leave();
    }
}

async fn wait<V: Clone, E: FlightError>(mut answer: watch::Receiver<Answer<V, E>>) -> Result<V, E> {
    let found = answer.wait_for(Option::is_some).await;
    let found = found.ok().and_then(|answer| answer.clone());
    found.unwrap_or_else(|| Err(E::no_answer()))
}

#[cfg(test)]
mod tests;
