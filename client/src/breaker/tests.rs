use super::*;

const SECOND: Duration = Duration::from_secs(1);

const PARTY: Party = Party::Ourselves;

fn broken(path: &str) -> FailedTry<'_> {
    FailedTry { path, repo: Some("acme/web"), party: &PARTY, kind: FailureKind::Broken }
}

fn fail<'a>(breaker: &'a Breaker, failure: &FailedTry<'_>) -> Option<ProbeDuty<'a>> {
    admit(breaker).unwrap().failed(failure)
}

/// Permission for a try, when the probe is not due.
fn admit(breaker: &Breaker) -> Option<TryPermit<'_>> {
    admit_for(breaker, &PARTY)
}

fn admit_for<'a>(breaker: &'a Breaker, party: &Party) -> Option<TryPermit<'a>> {
    match breaker.admit(party).ok()? {
        BreakerAnswer::Try(leave) => Some(leave),
        BreakerAnswer::Probe(_) => None,
    }
}

fn trial(breaker: &Breaker) -> HalfOpenProbe<'_> {
    match breaker.admit(&PARTY).unwrap() {
        BreakerAnswer::Try(_) => panic!("it is no time for the probe"),
        BreakerAnswer::Probe(trial) => trial,
    }
}

/// A request to this repository gets no answer while the probe does; whether that opens the
/// breaker.
fn hang(breaker: &Breaker, party: &Party, number: usize) -> bool {
    let (path, repo) = (format!("/{number}"), format!("acme/{number}"));
    let kind = FailureKind::Late;
    let failure = FailedTry { path: &path, repo: Some(&repo), party, kind };
    let leave = admit_for(breaker, party);
    leave.and_then(|leave| leave.failed(&failure)).is_some_and(ProbeDuty::refuted)
}

/// The suspicion after many failures at many paths.
fn suspect(breaker: &Breaker) -> ProbeDuty<'_> {
    let paths = ["/a", "/b", "/c"];
    let mut raised = paths.iter().cycle().take(10).find_map(|path| fail(breaker, &broken(path)));
    raised.take().expect("failures in a row raise a suspicion")
}

fn open(breaker: &Breaker) {
    assert!(suspect(breaker).confirmed());
    assert_eq!(breaker.known(), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_open_it_when_the_probe_fails_and_one_answer_between_makes_no_row() {
    let breaker = Breaker::default();
    for _ in 0..BREAKER_FAILURES * 4 {
        assert!(fail(&breaker, &broken("/a")).is_none());
        admit(&breaker).unwrap().answered();
    }
    open(&breaker);
    assert!(matches!(breaker.admit(&PARTY), Err(ClientError::Down { .. })));
}

#[tokio::test(start_paused = true)]
async fn whatever_fails_how_often_opens_nothing_while_the_probe_is_answered() {
    let breaker = Breaker::default();
    let mut probes = 0;
    for number in 0..1_000 {
        let path = format!("/v2/acme/web/manifests/{}", number % 50);
        if let Some(suspicion) = fail(&breaker, &broken(&path)) {
            probes += 1;
            assert!(!suspicion.refuted());
        }
        tokio::time::advance(SECOND / 100).await;
        assert_eq!(breaker.known(), BreakerState::Closed);
    }
    assert!((2..=11).contains(&probes), "one probe a second is enough, not {probes}");
}

#[tokio::test(start_paused = true)]
async fn a_path_that_fails_for_itself_does_not_count_for_a_while() {
    let breaker = Breaker::default();
    let raise = || (0..10).find_map(|_| fail(&breaker, &broken("/odd")));
    assert!(!raise().unwrap().refuted());
    for _ in 0..5 {
        tokio::time::advance(SECOND).await;
        assert!(raise().is_none());
    }
    tokio::time::advance(FAILING_PATH_TIME).await;
    assert!(raise().is_some(), "what was so once is not so for ever");
}

#[tokio::test(start_paused = true)]
async fn one_wait_in_vain_is_suspicion_enough() {
    let breaker = Breaker::default();
    let late = FailedTry { kind: FailureKind::Late, ..broken("/slow") };
    assert!(fail(&breaker, &late).unwrap().confirmed());
    assert_eq!(breaker.known(), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn repositories_without_an_answer_open_it_although_a_gateway_answers_the_probe() {
    let opened = async |kind, repos: usize| {
        let (breaker, mut opened) = (Breaker::default(), false);
        for number in 0..40 {
            let (path, repo) = (format!("/{number}"), format!("acme/{}", number % repos));
            let failure = FailedTry { path: &path, repo: Some(&repo), party: &PARTY, kind };
            let raised = admit(&breaker).and_then(|leave| leave.failed(&failure));
            opened |= raised.is_some_and(ProbeDuty::refuted);
            tokio::time::advance(SECOND / 2).await;
        }
        opened
    };
    assert!(opened(FailureKind::Unanswered, BREAKER_REPOSITORIES).await);
    assert!(!opened(FailureKind::Unanswered, BREAKER_REPOSITORIES - 1).await);
    assert!(!opened(FailureKind::Broken, 40).await);
}

#[tokio::test(start_paused = true)]
async fn failures_with_long_pauses_between_make_no_row() {
    let breaker = Breaker::default();
    for _ in 0..BREAKER_FAILURES * 4 {
        assert!(fail(&breaker, &broken("/a")).is_none());
        tokio::time::advance(BREAKER_ROW_TIME + SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_probe_at_a_time_and_an_answer_meanwhile_is_worth_more() {
    let breaker = Breaker::default();
    let suspicion = suspect(&breaker);
    assert!((0..20).all(|_| fail(&breaker, &broken("/a")).is_none()));
    admit(&breaker).unwrap().answered();
    assert!(!suspicion.confirmed());
    assert_eq!(breaker.known(), BreakerState::Closed);
    // The request with the probe duty was cancelled.
    drop(suspect(&breaker));
    open(&breaker);
}

#[tokio::test(start_paused = true)]
async fn one_trial_at_a_time_and_longer_pauses_while_the_upstream_is_gone() {
    let breaker = Breaker::default();
    open(&breaker);
    tokio::time::advance(BREAKER_PAUSE).await;
    let found = trial(&breaker);
    assert!(breaker.admit(&PARTY).is_err(), "the probe belongs to the trial");
    found.failed();
    tokio::time::advance(BREAKER_PAUSE).await;
    assert!(breaker.admit(&PARTY).is_err());
    tokio::time::advance(BREAKER_PAUSE).await;
    trial(&breaker).answered();
    assert_eq!(breaker.known(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_goes_away_is_followed_by_another() {
    let breaker = Breaker::default();
    open(&breaker);
    tokio::time::advance(BREAKER_PAUSE).await;
    drop(trial(&breaker));
    drop(trial(&breaker));
    trial(&breaker).answered();
    assert!(admit(&breaker).is_some());
}

#[tokio::test(start_paused = true)]
async fn who_lets_repositories_hang_is_turned_away_and_nobody_else() {
    let breaker = Breaker::default();
    let [mallory, oscar, alice] = ["mallory", "oscar", "alice"].map(|n| Party::Caller(n.into()));
    let mut number = 0;
    let mut let_hang = async |party: &Party| {
        number += 1;
        tokio::time::advance(SECOND * 2).await;
        hang(&breaker, party, number)
    };
    while !let_hang(&mallory).await && !let_hang(&oscar).await {
        assert_eq!(breaker.known(), BreakerState::Closed);
    }
    for hostile in [&mallory, &oscar] {
        assert!(matches!(breaker.admit(hostile), Err(ClientError::Down { .. })), "{hostile}");
    }
    let asks = admit_for(&breaker, &alice).expect("nothing of hers failed");
    // Also while the probe is under way.
    tokio::time::advance(BREAKER_PAUSE).await;
    let Ok(BreakerAnswer::Probe(found)) = breaker.admit(&mallory) else { panic!("it is time") };
    assert!(admit_for(&breaker, &alice).is_some());
    found.answered();
    asks.answered();
    assert_eq!(breaker.known(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn who_finds_out_that_there_is_no_answer_does_not_ask_again_at_once() {
    let breaker = Breaker::default();
    let alice = Party::Caller("alice".into());
    let mut number = 0;
    while !hang(&breaker, &PARTY, number) {
        number += 1;
        tokio::time::advance(SECOND * 2).await;
    }
    assert!(!hang(&breaker, &alice, 1_000));
    assert!(matches!(breaker.admit(&alice), Err(ClientError::Down { .. })));
    // Once the probe fails too, the breaker is open for all.
    tokio::time::advance(BREAKER_PAUSE).await;
    trial(&breaker).failed();
    let bob = Party::Caller("bob".into());
    assert!(matches!(breaker.admit(&bob), Err(ClientError::Down { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_before_nothing_is_found_out_again_at_once_until_something_is_answered() {
    let breaker = Breaker::default();
    let unanswered = async |number: usize| {
        let (path, repo) = (format!("/{number}"), format!("acme/{}", number % 5));
        let kind = FailureKind::Unanswered;
        let failure = FailedTry { path: &path, repo: Some(&repo), party: &PARTY, kind };
        let raised = admit(&breaker).and_then(|leave| leave.failed(&failure));
        tokio::time::advance(SECOND / 2).await;
        raised.is_some_and(ProbeDuty::refuted)
    };
    let mut after = Vec::new();
    for round in 0..3 {
        let mut tries = 0;
        while !unanswered(round * 100 + tries).await {
            tries += 1;
        }
        after.push(tries);
        tokio::time::advance(BREAKER_PAUSE).await;
        trial(&breaker).answered();
    }
    assert!(after[1] < after[0] && after[2] < after[0], "{after:?}");
    admit(&breaker).unwrap().answered();
    // The breaker counts as at the start.
    for number in 0..3 {
        assert!(!unanswered(1_000 + number).await);
    }
    assert_eq!(breaker.known(), BreakerState::Closed);
}
