//! Windows, pauses and the shares of parties.

use super::*;

const LONG: Duration = Duration::from_secs(20);

fn party(last: u8) -> Party {
    Party::behind([127, 0, 0, last].into())
}

#[tokio::test(start_paused = true)]
async fn nobody_asks_before_the_time_that_the_upstream_named() {
    let quota = ConcurrencyLimit::new(8, 8);
    let pass = quota.enter(RequestClass::Read, LONG, &party(1)).await.unwrap();
    pass.throttled(Some(Duration::from_secs(7)));
    drop(pass);
    let began = Instant::now();
    drop(quota.enter(RequestClass::Read, LONG, &party(1)).await.unwrap());
    assert!(began.elapsed() >= Duration::from_secs(7));
    // Writes have a window of their own.
    let pass = quota.enter(RequestClass::Write, Duration::ZERO, &party(1)).await.unwrap();
    pass.throttled(Some(Duration::from_secs(30)));
    let busy = quota.enter(RequestClass::Write, LONG, &party(1)).await;
    assert!(matches!(busy, Err(ClientError::Busy { retry_after_seconds: 30 })));
}

#[tokio::test(start_paused = true)]
async fn the_window_halves_once_for_a_storm_and_grows_back_slowly() {
    let quota = ConcurrencyLimit::of_one(16, 1);
    let mut passes = Vec::new();
    for _ in 0..16 {
        passes.push(quota.enter(RequestClass::Read, LONG, &party(1)).await.unwrap());
    }
    for pass in &passes {
        pass.throttled(None);
    }
    assert_eq!((quota.states()[0].window, quota.states()[0].throttled), (8, 16));
    let none = quota.enter(RequestClass::Read, Duration::from_millis(1), &party(1)).await;
    assert!(matches!(none, Err(ClientError::Busy { .. })));
    passes.truncate(7);
    for _ in 0..9 {
        quota.enter(RequestClass::Read, LONG, &party(1)).await.unwrap().answered();
    }
    assert_eq!(quota.states()[0].window, 9);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_refuses_a_few_and_says_for_how_long_keeps_its_window() {
    let quota = ConcurrencyLimit::new(16, 1);
    let window = || quota.states()[0].window;
    let second = Some(Duration::from_secs(1));
    for number in 0..100 {
        let pass = quota.enter(RequestClass::Read, LONG, &party(1)).await.unwrap();
        if number % 5 == 4 {
            pass.throttled(second);
        } else {
            pass.answered();
        }
    }
    assert_eq!(window(), 16);
    // A registry that refuses all requests does not, and neither does one without `Retry-After`.
    for _ in 0..20 {
        quota.enter(RequestClass::Read, LONG, &party(1)).await.unwrap().throttled(second);
    }
    let cut = window();
    assert!(cut < 16, "{cut}");
    let quota = ConcurrencyLimit::new(16, 1);
    for _ in 0..10 {
        quota.enter(RequestClass::Read, LONG, &party(1)).await.unwrap().answered();
    }
    quota.enter(RequestClass::Read, LONG, &party(1)).await.unwrap().throttled(None);
    assert!(quota.states()[0].window < 16);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_let_in_as_the_window_grows() {
    let quota = Arc::new(ConcurrencyLimit::of_one(16, 1));
    let first = quota.enter(RequestClass::Read, LONG, &party(1)).await.unwrap();
    first.throttled(None);
    assert_eq!(quota.states()[0].window, WINDOW_MIN);
    let mut passes = vec![first];
    for _ in 1..WINDOW_MIN {
        passes.push(quota.enter(RequestClass::Read, LONG, &party(1)).await.unwrap());
    }
    let waiters: Vec<_> = (0..8)
        .map(|_| {
            let quota = Arc::clone(&quota);
            tokio::spawn(
                async move { quota.enter(RequestClass::Read, LONG, &party(1)).await.unwrap() },
            )
        })
        .collect();
    tokio::task::yield_now().await;
    // No new request arrives: only the end of one request can admit two.
    for _ in 0..2 * WINDOW_MIN {
        passes[0].answered();
    }
    let grown = quota.states()[0].window;
    assert!(grown > WINDOW_MIN);
    passes.truncate(usize::try_from(WINDOW_MIN).unwrap() - 1);
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    let running = quota.reads.state.lock().running;
    assert_eq!(running, grown);
    waiters.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn two_who_ask_all_they_can_leave_room_in_the_line_for_a_third_and_go_in_rounds_with_it() {
    let quota = Arc::new(ConcurrencyLimit::new(1, 1));
    let first = quota.enter(RequestClass::Read, LONG, &party(2)).await.unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let ask = |last: u8| {
        let (quota, order) = (Arc::clone(&quota), Arc::clone(&order));
        tokio::spawn(async move {
            let pass = quota.enter(RequestClass::Read, LONG, &party(last)).await;
            order.lock().push(last);
            tokio::time::sleep(Duration::from_millis(100)).await;
            pass.map(drop)
        })
    };
    let hostile: Vec<_> = (0..2 * PARTY_UPSTREAM_WAITING_MAX + 20)
        .map(|n| ask(if n % 2 == 0 { 2 } else { 3 }))
        .collect();
    for _ in 0..100_000 {
        tokio::task::yield_now().await;
        if order.lock().len() == 20 {
            break;
        }
    }
    assert_eq!(std::mem::take(&mut *order.lock()).len(), 20, "the rest is refused");
    assert_eq!(quota.states()[0].waiting, 2 * PARTY_UPSTREAM_WAITING_MAX);
    let third = ask(4);
    tokio::task::yield_now().await;
    drop(first);
    third.await.unwrap().unwrap();
    let place = order.lock().iter().position(|last| *last == 4).unwrap();
    assert!(place <= 2, "it waited for {place} of others");
    hostile.iter().for_each(tokio::task::JoinHandle::abort);
    for task in hostile {
        let _ = task.await;
    }
    let state = quota.states()[0];
    assert_eq!((state.waiting, state.running), (0, 0), "who goes away leaves nothing");
    assert!(quota.reads.state.lock().told.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_comes_does_not_go_before_those_who_wait() {
    let quota = Arc::new(ConcurrencyLimit::new(1, 1));
    let pass = quota.enter(RequestClass::Read, LONG, &party(2)).await.unwrap();
    let other = Arc::clone(&quota);
    let waiting =
        tokio::spawn(
            async move { other.enter(RequestClass::Read, LONG, &party(3)).await.map(drop) },
        );
    tokio::task::yield_now().await;
    drop(pass);
    // The request has not run since its grant; the permit is its own all the same.
    let own = party(2);
    let mut late = std::pin::pin!(quota.enter(RequestClass::Read, LONG, &own));
    tokio::select! {
        biased;
        _ = &mut late => panic!("it went before the one that waits"),
        () = std::future::ready(()) => {}
    }
    waiting.await.unwrap().unwrap();
    late.await.unwrap();
}

#[test]
fn what_is_left_is_read_as_registries_say_it() {
    let said = |name: &'static str, value: &'static str| {
        left(&HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]))
    };
    assert_eq!(said("ratelimit-remaining", "76;w=21600"), Some(76));
    assert_eq!(said("x-ms-ratelimit-remaining-calls-per-second", "166.6"), Some(166));
    assert_eq!(said("x-ratelimit-remaining", "many"), None);
    assert_eq!(said("ratelimit-limit", "5"), None);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_ends_lets_the_next_one_in() {
    let quota = Arc::new(ConcurrencyLimit::new(1, 1));
    let first = quota.enter(RequestClass::Read, LONG, &party(1)).await.unwrap();
    let waiter = {
        let quota = Arc::clone(&quota);
        tokio::spawn(async move { quota.enter(RequestClass::Read, LONG, &party(1)).await.is_ok() })
    };
    tokio::task::yield_now().await;
    drop(first);
    assert!(waiter.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn two_whose_questions_hang_leave_a_third_its_part_of_the_window() {
    let quota = Arc::new(ConcurrencyLimit::new(16, 1));
    let mut hanging = Vec::new();
    for last in [2, 3] {
        for _ in 0..40 {
            let quota = Arc::clone(&quota);
            hanging.push(tokio::spawn(async move {
                let pass = quota.enter(RequestClass::Read, LONG, &party(last)).await;
                std::future::pending::<()>().await;
                drop(pass);
            }));
        }
    }
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    // The first party had half while no other wanted any, the second a quarter.
    assert_eq!(quota.states()[0].running, 8 + 4);
    let began = Instant::now();
    let third: Vec<_> = passes_of(&quota, 4).await;
    assert_eq!((third.len(), began.elapsed()), (4, Duration::ZERO));
    let ours = quota.enter(RequestClass::Read, Duration::ZERO, &Party::Ourselves).await;
    assert!(ours.is_err(), "the window itself holds for everybody");
    drop(third);
    hanging.iter().for_each(tokio::task::JoinHandle::abort);
    for task in hanging {
        let _ = task.await;
    }
    let state = quota.reads.state.lock();
    assert_eq!((state.running, state.running_of.len()), (0, 0));
}

/// Takes this many permits of another party, one after the other.
async fn passes_of(quota: &ConcurrencyLimit, count: usize) -> Vec<ConcurrencyPermit> {
    let mut passes = Vec::new();
    for _ in 0..count {
        passes.push(quota.enter(RequestClass::Read, LONG, &party(4)).await.unwrap());
    }
    passes
}
