//! The login throttle's limits, without a server.

use super::*;

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

fn failures() -> Arc<LoginThrottle> {
    Arc::new(LoginThrottle::new().unwrap())
}

fn login(failures: &LoginThrottle, name: &str, secret: &str, client: IpAddr) -> TriedLogin {
    let mark = failures.marks.from(client, &[name.as_bytes(), secret.as_bytes()]);
    TriedLogin { name: name.to_owned(), client, mark }
}

/// The attempts that may begin at once, without waiting.
fn begin(
    failures: &Arc<LoginThrottle>,
    name: &str,
    secret: &str,
    client: IpAddr,
) -> Result<Attempt, Error> {
    let begun = failures.try_begin(&login(failures, name, secret, client));
    begun.map(|begun| begun.expect("nothing is under way"))
}

fn is_held_back(failures: &Arc<LoginThrottle>, name: &str, client: IpAddr) -> bool {
    match begin(failures, name, "wrong", client) {
        Ok(attempt) => {
            attempt.failed();
            false
        }
        Err(error) => matches!(error, Error::TooManyLogins { .. }),
    }
}

fn succeed(failures: &Arc<LoginThrottle>, name: &str) {
    begin(failures, name, "right", CLIENT).ok().unwrap().succeeded();
}

/// Wrong passwords of many names, until the address is held back.
fn fill_address(failures: &Arc<LoginThrottle>) {
    for n in 0..LOGIN_FAILURES_BURST_ADDRESS {
        assert!(!is_held_back(failures, &format!("user-{n}"), CLIENT));
    }
    assert!(is_held_back(failures, "one more", CLIENT));
}

#[tokio::test(start_paused = true)]
async fn who_fails_often_waits_and_others_do_not() {
    let failures = failures();
    for _ in 0..LOGIN_FAILURES_BURST {
        assert!(!is_held_back(&failures, "alice", CLIENT));
    }
    assert!(is_held_back(&failures, "alice", CLIENT));
    assert!(!is_held_back(&failures, "alice", "192.0.2.2".parse().unwrap()));
    assert!(!is_held_back(&failures, "bob", CLIENT));
    tokio::time::advance(LOGIN_FAILURES_PERIOD).await;
    assert!(!is_held_back(&failures, "alice", CLIENT));
    assert!(is_held_back(&failures, "alice", CLIENT));
}

#[tokio::test(start_paused = true)]
async fn an_address_that_tries_many_names_waits() {
    let failures = failures();
    fill_address(&failures);
    let Err(Error::TooManyLogins { retry_after_seconds }) = begin(&failures, "x", "y", CLIENT)
    else {
        panic!()
    };
    assert_eq!(retry_after_seconds, LOGIN_FAILURES_PERIOD_ADDRESS.as_secs().max(1));
    let more = (0..50).filter(|n| !is_held_back(&failures, &format!("more-{n}"), CLIENT));
    assert_eq!(more.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_good_login_does_not_count() {
    let failures = failures();
    for _ in 0..10_000 {
        succeed(&failures, "alice");
    }
}

#[tokio::test(start_paused = true)]
async fn the_addresses_of_one_network_count_as_one() {
    let failures = failures();
    for n in 0..LOGIN_FAILURES_BURST {
        let client = format!("2001:db8::{n:x}").parse().unwrap();
        assert!(!is_held_back(&failures, "alice", client));
    }
    assert!(is_held_back(&failures, "alice", "2001:db8::ffff".parse().unwrap()));
    assert!(!is_held_back(&failures, "alice", "2001:db8:0:1::1".parse().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn what_was_right_lately_is_not_held_back_by_what_others_do_wrong() {
    let failures = failures();
    for name in ["alice", "bob"] {
        succeed(&failures, name);
    }
    fill_address(&failures);
    // The name keeps its own counter, also for another password.
    assert!(!is_held_back(&failures, "bob", CLIENT));
    for _ in 0..LOGIN_FAILURES_BURST {
        assert!(!is_held_back(&failures, "alice", CLIENT));
    }
    assert!(is_held_back(&failures, "alice", CLIENT));
    // Guesses do not hold back the right login itself.
    for _ in 0..100 {
        succeed(&failures, "alice");
    }
    let elsewhere = begin(&failures, "alice", "right", "192.0.2.2".parse().unwrap());
    elsewhere.ok().unwrap().given_up();
    tokio::time::advance(LOGINS_KNOWN_TIME).await;
    fill_address(&failures);
    assert!(begin(&failures, "alice", "right", CLIENT).is_err(), "that was long ago");
}

#[tokio::test(start_paused = true)]
async fn what_was_right_and_is_wrong_by_now_is_a_guess_like_any_other() {
    let failures = failures();
    succeed(&failures, "alice");
    for _ in 0..LOGIN_FAILURES_BURST {
        begin(&failures, "alice", "right", CLIENT).ok().unwrap().failed();
    }
    assert!(begin(&failures, "alice", "right", CLIENT).is_err());
}

#[tokio::test(start_paused = true)]
async fn right_logins_at_once_wait_for_each_other_and_are_not_refused() {
    let failures = failures();
    let all: Vec<_> = (0..10 * LOGIN_FAILURES_BURST)
        .map(|n| {
            let failures = Arc::clone(&failures);
            tokio::spawn(async move {
                // Many devices of one name, each with a token of its own.
                let login = login(&failures, "alice", &format!("right {n}"), CLIENT);
                let attempt = failures.begin(&login).await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
                attempt.succeeded();
                Ok::<_, Error>(())
            })
        })
        .collect();
    for one in all {
        one.await.unwrap().unwrap();
    }
    assert!(failures.counters.lock().under_way.is_empty());
}

#[tokio::test(start_paused = true)]
async fn guesses_at_once_are_no_more_than_guesses_in_a_row() {
    let failures = failures();
    let all: Vec<_> = (0..10 * LOGIN_FAILURES_BURST)
        .map(|n| {
            let failures = Arc::clone(&failures);
            tokio::spawn(async move {
                let login = login(&failures, "alice", &format!("guess {n}"), CLIENT);
                let attempt = failures.begin(&login).await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
                attempt.failed();
                Ok::<_, Error>(())
            })
        })
        .collect();
    let mut tried = 0;
    for one in all {
        tried += u32::from(one.await.unwrap().is_ok());
    }
    assert_eq!(tried, LOGIN_FAILURES_BURST);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_answered_counts_for_the_address_and_for_no_name() {
    let failures = failures();
    for _ in 0..LOGIN_FAILURES_BURST_ADDRESS {
        drop(begin(&failures, "alice", "?", CLIENT).ok().unwrap());
    }
    assert!(begin(&failures, "alice", "?", CLIENT).is_err());
    tokio::time::advance(LOGIN_FAILURES_PERIOD_ADDRESS).await;
    assert!(!is_held_back(&failures, "alice", CLIENT));
}

#[tokio::test(start_paused = true)]
async fn who_is_held_back_again_and_again_is_one_line_a_minute_for_each_network_and_word() {
    let failures = LoginThrottle::new().unwrap();
    let [one, beside, other] =
        ["2001:db8::1", "2001:db8::2", "192.0.2.1"].map(|a| a.parse().unwrap());
    assert!(failures.tells_of(one, "held back"));
    assert!(!failures.tells_of(one, "held back") && !failures.tells_of(beside, "held back"));
    assert!(failures.tells_of(one, "refresh"), "one word hides no other");
    assert!(failures.tells_of(other, "held back"));
    tokio::time::advance(crate::limits::AUDIT_REPEAT_TIME).await;
    assert!(failures.tells_of(beside, "held back"));
}
