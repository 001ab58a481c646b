//! Requests admitted at once, queued requests, and their order.

use super::*;

const RATE: Rate = Rate { per_second: 2, burst: 3 };
const SECOND: Duration = Duration::from_secs(1);

fn user(name: &str) -> RateKey {
    RateKey::User(Party::Caller(name.into()))
}

/// Whether the request has its token at once.
fn goes(rates: &Rates, who: RateKey, now: Instant) -> bool {
    matches!(rates.come(who, RATE, now, Some(now)), Ok(Came::Goes))
}

#[test]
fn a_burst_is_let_through_and_then_the_rate() {
    let (rates, start) = (Rates::default(), Instant::now());
    let at = |ms| start + Duration::from_millis(ms);
    for _ in 0..3 {
        assert!(goes(&rates, user("a"), at(0)));
    }
    let told = rates.come(user("a"), RATE, at(0), Some(at(499)));
    let Err(RateRefusal::TooLate(wait)) = told else { panic!("it has to wait for longer") };
    assert_eq!(wait.as_millis(), 500);
    assert!(goes(&rates, user("b"), at(0)), "others are not meant");
    assert!(goes(&rates, user("a"), at(501)));
    assert!(!goes(&rates, user("a"), at(600)));
    let later = (0..10).filter(|_| goes(&rates, user("a"), at(60_000)));
    assert_eq!(later.count(), 3, "a long pause saves up no more than a burst");
}

#[test]
fn names_without_end_take_no_memory_and_buy_nothing() {
    let (rates, now) = (Rates::default(), Instant::now());
    for number in 0..RATES_MAX {
        assert!(goes(&rates, user(&number.to_string()), now));
    }
    let more = (0..100).filter(|n| goes(&rates, user(&format!("x{n}")), now));
    assert_eq!(more.count(), 3, "all of these share one bucket");
    assert_eq!(rates.count(), RATES_MAX + 1);
    assert!(goes(&rates, user("y"), now + Duration::from_mins(1)));
    assert!(rates.count() < 10, "those that are full again made room");
}

/// Queues requests in this order, one behind the other, and reports each token.
async fn come(
    rates: &Arc<Rates>,
    count: u32,
    done: &Arc<Mutex<Vec<u32>>>,
) -> Vec<tokio::task::JoinHandle<()>> {
    let mut tasks = Vec::new();
    for number in 0..count {
        let (rates, done) = (Arc::clone(rates), Arc::clone(done));
        tasks.push(tokio::spawn(async move {
            rates.turn(user("a"), RATE, None).await.unwrap();
            done.lock().unwrap().push(number);
        }));
        tokio::task::yield_now().await;
    }
    tasks
}

#[tokio::test(start_paused = true)]
async fn who_is_past_the_rate_waits_and_goes_in_the_order_of_coming() {
    let (rates, done, began) = (Arc::new(Rates::default()), Arc::default(), Instant::now());
    for task in come(&rates, 9, &done).await {
        task.await.unwrap();
    }
    assert_eq!(*done.lock().unwrap(), (0..9).collect::<Vec<_>>());
    // Three at once, and six at two in a second; the clock of the runtime has steps.
    let took = began.elapsed();
    assert!(took >= 3 * SECOND && took < 4 * SECOND, "{took:?}");
    assert_eq!(rates.waiting(), 0);
    // No token was saved up meanwhile.
    assert!(!goes(&rates, user("a"), Instant::now()));
}

#[tokio::test(start_paused = true)]
async fn whoever_is_behind_somebody_who_went_away_moves_up() {
    let (rates, done) = (Arc::new(Rates::default()), Arc::default());
    let mut tasks = come(&rates, 23, &done).await;
    assert_eq!(rates.waiting(), 20);
    let began = Instant::now();
    // All but the last queued requests, in no order.
    for gone in (3..22).rev().step_by(2).chain((4..22).step_by(2)) {
        tasks[gone].abort();
    }
    tasks.pop().unwrap().await.unwrap();
    assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
    assert_eq!(*done.lock().unwrap(), [0, 1, 2, 22]);
    assert_eq!(rates.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_would_wait_for_too_long_is_told_at_once_and_takes_nobodys_turn() {
    let (rates, done) = (Arc::new(Rates::default()), Arc::default());
    let tasks = come(&rates, 5, &done).await;
    let (began, latest) = (Instant::now(), Instant::now() + SECOND);
    for _ in 0..100 {
        let told = rates.turn(user("a"), RATE, Some(latest)).await;
        assert!(matches!(told, Err(RateRefusal::TooLate(wait)) if wait > SECOND), "{told:?}");
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(rates.turn(user("a"), RATE, Some(latest + SECOND)).await.unwrap() > SECOND);
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn so_many_wait_and_no_more_and_one_party_leaves_places_to_others() {
    let (rates, done) = (Arc::new(Rates::default()), Arc::default());
    let most = u32::try_from(PARTY_RATE_WAITING_MAX).unwrap();
    let tasks = come(&rates, 3 + most, &done).await;
    assert_eq!(rates.waiting(), PARTY_RATE_WAITING_MAX);
    assert_eq!(rates.turn(user("a"), RATE, None).await, Err(RateRefusal::Full));
    for _ in 0..4 {
        assert!(rates.turn(user("b"), RATE, None).await.is_ok());
    }
    for task in tasks {
        task.abort();
    }
}
