//! Callers that join or begin, and work that is told to end.

use super::*;
use crate::error::{ClientBound, ClientError, failed};
use crate::limits::UNWANTED_GRACE;
use std::sync::atomic::{AtomicU32, Ordering};

const NOBODY: Party = Party::Ourselves;

/// Work of these tests.
#[derive(Clone, Copy)]
struct TestWork;

impl FlightKind for TestWork {
    type Error = ClientError;

    fn too_many(self) -> ClientError {
        ClientError::TooMany(ClientBound::TokenRequests)
    }

    fn span(self) -> Span {
        Span::none()
    }
}

#[tokio::test]
async fn many_askers_get_one_answer_from_one_piece_of_work() {
    let flights: Arc<SingleFlight<u8, u32, TestWork>> = Arc::new(SingleFlight::new(10, TestWork));
    let runs = Arc::new(AtomicU32::new(0));
    let (start, started) = watch::channel(false);
    let askers: Vec<_> = (0..50)
        .map(|_| {
            let (flights, runs, mut started) =
                (Arc::clone(&flights), Arc::clone(&runs), started.clone());
            tokio::spawn(async move {
                flights
                    .ask(&NOBODY, 1, |promise| async move {
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
    let flights: SingleFlight<u8, u32, TestWork> = SingleFlight::new(10, TestWork);
    assert!(flights.ask(&NOBODY, 1, |promise| async move { drop(promise) }).await.is_err());
    let refused = flights.ask(&NOBODY, 1, |promise| async move {
        promise.keep(Err(failed("testing", "refused")));
    });
    assert!(matches!(refused.await, Err(ClientError::Failed { .. })));
    let again = flights.ask(&NOBODY, 1, |promise| async move { promise.keep(Ok(7)) }).await;
    assert_eq!(again.unwrap().0, 7);
}

#[tokio::test]
async fn whoever_joined_a_caller_that_was_refused_asks_with_their_own_login() {
    let flights: Arc<SingleFlight<u8, u32, TestWork>> = Arc::new(SingleFlight::new(10, TestWork));
    let prints = crate::caller_login::Fingerprints::random();
    let on_behalf_of = |user| Some(prints.login(user, "secret").fingerprint());
    let (revoked, allowed) = (on_behalf_of("revoked"), on_behalf_of("allowed"));
    let (go, gone) = watch::channel(false);
    let leader = tokio::spawn({
        let (flights, gone) = (Arc::clone(&flights), gone.clone());
        async move {
            let work = |promise: Leader<u8, u32, ClientError>| {
                let mut gone = gone.clone();
                async move {
                    gone.wait_for(|go| *go).await.unwrap();
                    let status = http::StatusCode::FORBIDDEN;
                    promise.keep(Err(ClientError::Denied { status }));
                }
            };
            flights.ask_as(&NOBODY, revoked, 1, work).await
        }
    });
    while flights.count() == 0 {
        tokio::task::yield_now().await;
    }
    let own = |promise: Leader<u8, u32, ClientError>| async move { promise.keep(Ok(7)) };
    let (mut others, mut polled) =
        (std::pin::pin!(flights.ask_as(&NOBODY, allowed, 1, own)), false);
    let other = std::future::poll_fn(|context| {
        let poll = others.as_mut().poll(context);
        if !std::mem::replace(&mut polled, true) {
            assert!(poll.is_pending(), "it joined");
            go.send_replace(true);
        }
        poll
    });
    assert_eq!(other.await.unwrap(), (7, false));
    assert!(matches!(leader.await.unwrap(), Err(ClientError::Denied { .. })));
}

#[tokio::test]
async fn past_the_bound_an_asker_is_turned_away() {
    let flights: SingleFlight<u8, u32, TestWork> = SingleFlight::new(1, TestWork);
    let (_keep, mut wait) = watch::channel(());
    let first = flights.ask(&NOBODY, 1, move |promise| async move {
        promise.keep(Ok(1));
        let _ = wait.changed().await;
        drop(promise);
    });
    first.await.unwrap();
    let second = flights.ask(&NOBODY, 2, |promise| async move { promise.keep(Ok(2)) }).await;
    assert!(matches!(second, Err(ClientError::TooMany(_))));
    assert_eq!(flights.ask(&NOBODY, 1, |_| async {}).await.unwrap(), (1, true));
}

fn party(name: &str) -> Party {
    Party::Caller(name.into())
}

/// Work that answers at once and goes on until told to end, then until `over`.
async fn lasting(promise: Leader<u8, u8, ClientError>, value: u8, mut over: watch::Receiver<bool>) {
    promise.keep(Ok(value));
    promise.told_to_end().await;
    over.wait_for(|over| *over).await.unwrap();
}

struct Sky {
    flights: SingleFlight<u8, u8, TestWork>,
    over: watch::Sender<bool>,
}

impl Sky {
    fn new(limit: usize) -> Self {
        let flights = SingleFlight::new(limit, TestWork).ending_themselves();
        Self { flights, over: watch::channel(false).0 }
    }

    async fn ask(&self, name: &str, key: u8) -> Result<FlightAnswer<u8>, ClientError> {
        let over = self.over.subscribe();
        let work = |promise| lasting(promise, key, over.clone());
        self.flights.ask_to_stay(&party(name), None, key, work).await
    }
}

#[tokio::test]
async fn no_two_parties_take_all_places_and_a_third_always_gets_in() {
    let sky = Sky::new(8);
    let mut kept = Vec::new();
    for (name, from) in [("mallory", 10), ("oscar", 20)] {
        for key in from..from + 2 {
            kept.push(sky.ask(name, key).await.unwrap());
        }
        assert!(matches!(sky.ask(name, from + 2).await, Err(ClientError::TooMany(_))));
        // Joining another party's work costs nothing.
        assert!(sky.ask(name, 10).await.unwrap().joined);
    }
    assert!(!sky.ask("alice", 30).await.unwrap().joined);
    assert_eq!((sky.flights.count(), sky.flights.largest()), (5, 2));
    sky.flights.share_out(3);
    assert!(sky.ask("mallory", 12).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn work_that_nobody_wants_goes_on_until_its_place_is_needed() {
    let sky = Sky::new(8);
    let [first, second] =
        [sky.ask("mallory", 1).await.unwrap(), sky.ask("mallory", 2).await.unwrap()];
    tokio::time::advance(UNWANTED_GRACE * 2).await;
    assert!(sky.ask("mallory", 3).await.is_err(), "somebody wants both");
    drop(second);
    tokio::time::advance(UNWANTED_GRACE / 2).await;
    drop(first);
    assert!(sky.ask("mallory", 3).await.is_err(), "not for long enough");
    tokio::time::advance(UNWANTED_GRACE * 3).await;
    assert_eq!((sky.flights.count(), sky.flights.ended()), (2, 0));
    let third = sky.ask("mallory", 3).await.unwrap();
    assert_eq!((sky.flights.count(), sky.flights.ended()), (2, 1));
    // The first one lost its subscriber last, and goes on.
    assert!(sky.ask("mallory", 1).await.unwrap().joined);
    // A caller that wants the second one again waits until its leftovers are there, and begins it
    // anew.
    let mut again = std::pin::pin!(sky.ask("alice", 2));
    assert!(come_to(again.as_mut()).await.is_none());
    sky.over.send_replace(true);
    assert!(!again.await.unwrap().joined);
    drop(third);
}

/// Polls a future after all other tasks have run.
async fn come_to<T>(mut future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        std::task::Poll::Ready(value) => std::task::Poll::Ready(Some(value)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn when_all_places_are_taken_the_one_who_has_most_loses_what_nobody_wants() {
    let sky = Sky::new(4);
    sky.flights.share_out(3);
    drop(sky.ask("alice", 1).await.unwrap());
    tokio::time::advance(UNWANTED_GRACE).await;
    for key in 2..=4 {
        drop(sky.ask("mallory", key).await.unwrap());
        tokio::time::advance(UNWANTED_GRACE / 10).await;
    }
    assert_eq!(sky.flights.count(), 4);
    tokio::time::advance(UNWANTED_GRACE).await;
    let _bob = sky.ask("bob", 5).await.unwrap();
    let _carol = sky.ask("carol", 6).await.unwrap();
    // Two pieces of mallory's work made room, and alice's is still there.
    assert!(sky.ask("alice", 1).await.unwrap().joined);
    assert!(sky.ask("mallory", 4).await.unwrap().joined);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_hangs_for_nobody_is_cut_off_when_somebody_else_asks() {
    let flights: Arc<SingleFlight<u8, u8, TestWork>> = Arc::new(SingleFlight::new(1, TestWork));
    let hangs = |promise: Leader<u8, u8, ClientError>| async move {
        std::future::pending::<()>().await;
        drop(promise);
    };
    let asks = async {
        let _ = flights.ask(&party("mallory"), 1, hangs).await;
    };
    assert!(tokio::time::timeout(UNWANTED_GRACE * 2, asks).await.is_err());
    let own = |promise: Leader<u8, u8, ClientError>| async move { promise.keep(Ok(7)) };
    assert!(flights.ask(&party("alice"), 2, own).await.is_err());
    tokio::time::advance(UNWANTED_GRACE).await;
    assert_eq!(flights.ask(&party("alice"), 2, own).await.unwrap(), (7, false));
    assert_eq!(flights.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn however_many_came_before_there_is_a_place_for_one_more() {
    let flights: Arc<SingleFlight<u32, u8, TestWork>> = Arc::new(SingleFlight::new(256, TestWork));
    let mut keys = 0..;
    let mut hanging = Vec::new();
    // Each takes all it gets: a quarter, then half of the rest.
    for name in ["a", "b", "c", "d", "e", "f"] {
        for key in keys.by_ref().take(70) {
            let flights = Arc::clone(&flights);
            hanging.push(tokio::spawn(async move {
                let hangs = |promise: Leader<u32, u8, ClientError>| async move {
                    std::future::pending::<()>().await;
                    drop(promise);
                };
                flights.ask(&party(name), key, hangs).await
            }));
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    assert!(flights.count() < 256, "{}", flights.count());
    let own = |promise: Leader<u32, u8, ClientError>| async move { promise.keep(Ok(7)) };
    assert_eq!(flights.ask(&party("late"), 10_000, own).await.unwrap(), (7, false));
    hanging.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn addresses_without_end_leave_the_part_of_who_is_known_alone() {
    let flights = SingleFlight::<u32, u8, TestWork>::new(8, TestWork).keeping_a_share_for_known();
    let flights = Arc::new(flights);
    let hangs = |promise: Leader<u32, u8, ClientError>| async move {
        std::future::pending::<()>().await;
        drop(promise);
    };
    let mut hanging = Vec::new();
    for number in 0..20_u8 {
        let flights = Arc::clone(&flights);
        hanging.push(tokio::spawn(async move {
            let party = Party::behind([10, 0, 0, number].into());
            flights.ask(&party, number.into(), hangs).await
        }));
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(flights.count(), 6);
    let own = |promise: Leader<u32, u8, ClientError>| async move { promise.keep(Ok(7)) };
    assert_eq!(flights.ask(&party("alice"), 100, own).await.unwrap(), (7, false));
    hanging.iter().for_each(tokio::task::JoinHandle::abort);
}
