//! One piece of work for many who want its result: the first asker starts it, the others wait for
//! the same answer. Used for downloads, manifests and tokens.
//!
//! Invariant: the work is nobody's: it runs on its own, so that an asker who goes away neither ends
//! it nor keeps it. A piece of work that ends without an answer is an error for all who wait.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use wharf_oci::RepoName;

use crate::Error;
use crate::limits::JOINS_MAX;
use crate::telemetry;
use crate::upstream::Fingerprint;

type Answer<V> = Option<Result<V, Error>>;
type Running<K, V> = Arc<Mutex<HashMap<K, Run<V>>>>;

/// For whom work is done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Whose {
    /// With whose login; none for this proxy's own.
    pub(crate) login: Option<Fingerprint>,
    /// For which repository, where what fails for one says nothing of another.
    pub(crate) repo: Option<RepoName>,
}

impl From<Option<Fingerprint>> for Whose {
    fn from(login: Option<Fingerprint>) -> Self {
        Self { login, repo: None }
    }
}

impl Whose {
    /// Whether a failure of what was done for `theirs` says nothing of what is asked for here.
    fn is_not_told_by(&self, theirs: &Self, error: &Error) -> bool {
        theirs.repo != self.repo || (theirs.login != self.login && error.is_about_login())
    }
}

/// Work that is going on.
struct Run<V> {
    answer: watch::Receiver<Answer<V>>,
    whose: Whose,
}

/// How an asker came to an answer.
enum Part {
    Began,
    Joined(Whose),
}

/// Work that is going on, by key.
pub(crate) struct Flights<K, V> {
    running: Running<K, V>,
    limit: usize,
    name: &'static str,
}

/// The work's side: gives the answer, perhaps long before the work is over. While it exists, those
/// who ask join; dropping it ends the work.
pub(crate) struct Promise<K: Eq + Hash, V> {
    key: K,
    running: Running<K, V>,
    answer: watch::Sender<Answer<V>>,
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// At most `limit` pieces of work at once; `name` is what there are too many of.
    #[must_use]
    pub(crate) fn new(limit: usize, name: &'static str) -> Self {
        Self { running: Arc::default(), limit, name }
    }

    /// The answer for `key`, and whether this call joined work that was going on.
    pub(crate) async fn ask<W>(
        &self,
        key: K,
        work: impl FnOnce(Promise<K, V>) -> W + Send,
    ) -> Result<(V, bool), Error>
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let (answer, part) = self.join_or_start(&Whose::default(), key, work)?;
        let value = wait(answer).await?;
        Ok((value, matches!(part, Part::Joined(_))))
    }

    /// The same for work that is done for somebody: whoever joined somebody else's asks anew when it
    /// failed for a reason that is only theirs.
    pub(crate) async fn ask_as<W>(
        &self,
        whose: impl Into<Whose>,
        key: K,
        work: impl Fn(Promise<K, V>) -> W + Send + Sync,
    ) -> Result<(V, bool), Error>
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let (whose, mut joins) = (whose.into(), 0);
        loop {
            let (answer, part) = self.join_or_start(&whose, key.clone(), &work)?;
            match (wait(answer).await, part) {
                (Ok(value), part) => return Ok((value, matches!(part, Part::Joined(_)))),
                (Err(error), Part::Joined(theirs)) if whose.is_not_told_by(&theirs, &error) => {
                    joins += 1;
                    if joins > JOINS_MAX {
                        return Err(Error::TooMany(self.name));
                    }
                }
                (Err(error), _) => return Err(error),
            }
        }
    }

    /// Starts work that nobody waits for, unless it is going on.
    pub(crate) fn begin<W>(
        &self,
        whose: impl Into<Whose>,
        key: K,
        work: impl FnOnce(Promise<K, V>) -> W,
    ) where
        W: Future<Output = ()> + Send + 'static,
    {
        if let Err(error) = self.join_or_start(&whose.into(), key, work) {
            tracing::debug!(%error, "work in the background was not started");
        }
    }

    fn join_or_start<W>(
        &self,
        whose: &Whose,
        key: K,
        work: impl FnOnce(Promise<K, V>) -> W,
    ) -> Result<(watch::Receiver<Answer<V>>, Part), Error>
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let mut running = lock(&self.running);
        if let Some(run) = running.get(&key) {
            return Ok((run.answer.clone(), Part::Joined(run.whose.clone())));
        }
        if running.len() >= self.limit {
            return Err(Error::TooMany(self.name));
        }
        let (sender, receiver) = watch::channel(None);
        let whose = whose.clone();
        running.insert(key.clone(), Run { answer: receiver.clone(), whose });
        drop(running);
        let promise = Promise { key, running: Arc::clone(&self.running), answer: sender };
        tokio::spawn(telemetry::branch().carry(self.name, work(promise)));
        Ok((receiver, Part::Began))
    }

    /// How many pieces of work are going on.
    #[must_use]
    pub(crate) fn count(&self) -> usize {
        lock(&self.running).len()
    }
}

impl<K: Eq + Hash, V> Promise<K, V> {
    /// Answers everyone who asked and who will ask while the work goes on.
    pub(crate) fn keep(&self, result: Result<V, Error>) {
        // An error is not for those who ask later: they start anew.
        if result.is_err() {
            lock(&self.running).remove(&self.key);
        }
        self.answer.send_replace(Some(result));
    }
}

impl<K: Eq + Hash, V> Drop for Promise<K, V> {
    fn drop(&mut self) {
        let mut running = lock(&self.running);
        // After an error, the key may belong to work that was started since.
        let ours = running
            .get(&self.key)
            .is_some_and(|run| run.answer.same_channel(&self.answer.subscribe()));
        if ours {
            running.remove(&self.key);
        }
    }
}

async fn wait<V: Clone>(mut answer: watch::Receiver<Answer<V>>) -> Result<V, Error> {
    let found = answer.wait_for(Option::is_some).await;
    let found = found.ok().and_then(|answer| answer.clone());
    found.unwrap_or_else(|| {
        Err(Error::UpstreamFailed {
            operation: "waiting for another request",
            reason: "it ended without an answer".to_owned(),
        })
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn many_askers_get_one_answer_from_one_piece_of_work() {
        let flights: Arc<Flights<u8, u32>> = Arc::new(Flights::new(10, "things"));
        let runs = Arc::new(AtomicU32::new(0));
        let (start, started) = watch::channel(false);
        let askers: Vec<_> = (0..50)
            .map(|_| {
                let (flights, runs, mut started) =
                    (Arc::clone(&flights), Arc::clone(&runs), started.clone());
                tokio::spawn(async move {
                    flights
                        .ask(1, |promise| async move {
                            started.wait_for(|go| *go).await.unwrap();
                            promise.keep(Ok(runs.fetch_add(1, Ordering::SeqCst)));
                        })
                        .await
                })
            })
            .collect();
        tokio::task::yield_now().await;
        start.send_replace(true);
        let mut joined = 0;
        for asker in askers {
            let (value, was_joined) = asker.await.unwrap().unwrap();
            assert_eq!(value, 0);
            joined += u32::from(was_joined);
        }
        assert_eq!((runs.load(Ordering::SeqCst), joined), (1, 49));
    }

    #[tokio::test]
    async fn work_that_ends_without_an_answer_is_an_error_and_the_next_ask_starts_anew() {
        let flights: Flights<u8, u32> = Flights::new(10, "things");
        assert!(flights.ask(1, |promise| async move { drop(promise) }).await.is_err());
        let refused = flights.ask(1, |promise| async move {
            promise.keep(Err(Error::UploadUnknown));
        });
        assert!(matches!(refused.await, Err(Error::UploadUnknown)));
        let again = flights.ask(1, |promise| async move { promise.keep(Ok(7)) }).await;
        assert_eq!(again.unwrap().0, 7);
    }

    #[tokio::test]
    async fn whoever_joined_a_caller_that_was_refused_asks_with_their_own_login() {
        let flights: Arc<Flights<u8, u32>> = Arc::new(Flights::new(10, "things"));
        let prints = crate::upstream::Fingerprints::new();
        let whose = |user| Some(prints.login(user, "secret").fingerprint());
        let (revoked, allowed) = (whose("revoked"), whose("allowed"));
        let (go, gone) = watch::channel(false);
        let leader = tokio::spawn({
            let (flights, gone) = (Arc::clone(&flights), gone.clone());
            async move {
                let work = |promise: Promise<u8, u32>| {
                    let mut gone = gone.clone();
                    async move {
                        gone.wait_for(|go| *go).await.unwrap();
                        let status = http::StatusCode::FORBIDDEN;
                        promise.keep(Err(Error::UpstreamDenied { status }));
                    }
                };
                flights.ask_as(revoked, 1, work).await
            }
        });
        while flights.count() == 0 {
            tokio::task::yield_now().await;
        }
        let own = |promise: Promise<u8, u32>| async move { promise.keep(Ok(7)) };
        let (mut others, mut polled) = (std::pin::pin!(flights.ask_as(allowed, 1, own)), false);
        let other = std::future::poll_fn(|context| {
            let poll = others.as_mut().poll(context);
            if !std::mem::replace(&mut polled, true) {
                assert!(poll.is_pending(), "it joined");
                go.send_replace(true);
            }
            poll
        });
        assert_eq!(other.await.unwrap(), (7, false));
        assert!(matches!(leader.await.unwrap(), Err(Error::UpstreamDenied { .. })));
    }

    #[tokio::test]
    async fn past_the_bound_an_asker_is_turned_away() {
        let flights: Flights<u8, u32> = Flights::new(1, "things");
        let (_keep, mut wait) = watch::channel(());
        let first = flights.ask(1, move |promise| async move {
            promise.keep(Ok(1));
            let _ = wait.changed().await;
            drop(promise);
        });
        first.await.unwrap();
        let second = flights.ask(2, |promise| async move { promise.keep(Ok(2)) }).await;
        assert!(matches!(second, Err(Error::TooMany("things"))));
        assert_eq!(flights.ask(1, |_| async {}).await.unwrap(), (1, true));
    }
}
