//! The table of what is owed: lanes, pauses, refusals, bounds.

use super::table::{Next, Standing, Table};
use super::*;
use crate::limits::{DELIVERY_PAUSE, DELIVERY_PAUSE_MAX, DELIVERY_WORKERS_MAX};
use tokio::time::Instant;
use wharf_oci::{Algorithm, Digester};
use wharf_store::contract::errand;
use wharf_store::{BlobInfo, Delivery, Refused, Trouble};

const UPSTREAM: &str = "https://acme.azurecr.io";

fn repo() -> RepoName {
    "a/b".parse().unwrap()
}

fn delivery(seed: u8, size_bytes: u64) -> Delivery {
    let digest = Digester::digest(Algorithm::Sha256, &[seed]);
    errand(&repo(), seed.into()).of(BlobInfo { digest, size_bytes })
}

fn workers(table: &mut Table, now: Instant) -> usize {
    match table.next(UPSTREAM, now) {
        Next::Work(workers) => workers,
        Next::Later(_) | Next::Nothing => 0,
    }
}

fn down() -> Error {
    Error::UpstreamFailed { operation: "testing", reason: "it is down".to_owned() }
}

fn troubled(delivery: &Delivery, refused: Option<Refused>) -> Delivery {
    let trouble = Trouble { at_ms: 1, tries: 1, reason: "no".to_owned(), refused };
    Delivery { trouble: Some(trouble), ..delivery.clone() }
}

#[test]
fn a_lane_has_a_few_workers_and_each_key_one_of_them() {
    let (mut table, now) = (Table::new(1000), Instant::now());
    for seed in 0..10 {
        table.add(delivery(seed, 1));
    }
    assert_eq!(workers(&mut table, now), DELIVERY_WORKERS_MAX);
    assert_eq!(workers(&mut table, now), 0);
    let first = table.take(UPSTREAM, now).unwrap();
    // Pushed again while it is sent: nobody else takes it.
    let again = Delivery { errand: errand(&repo(), 99), ..first.clone() };
    table.add(again.clone());
    for _ in 1..10 {
        assert_ne!(table.take(UPSTREAM, now).unwrap().digest, first.digest);
    }
    assert!(table.take(UPSTREAM, now).is_none());
    // No worker is started in vain for what only its sender can take.
    assert_eq!(workers(&mut table, now), 0);
    table.settle(&first);
    assert_eq!(table.take(UPSTREAM, now), Some(again));
}

#[test]
fn failures_pause_a_lane_for_longer_and_longer_and_anything_that_arrives_ends_that() {
    let (mut table, mut now) = (Table::new(1000), Instant::now());
    let owed = [delivery(1, 1), delivery(2, 1)];
    for delivery in &owed {
        table.add(delivery.clone());
    }
    assert_eq!(workers(&mut table, now), 2);
    let mut pause = DELIVERY_PAUSE;
    for _ in 0..10 {
        let taken = [table.take(UPSTREAM, now).unwrap(), table.take(UPSTREAM, now).unwrap()];
        // Workers that fail together are one failure.
        for taken in &taken {
            table.failed(&troubled(taken, None), &down(), now);
        }
        assert!(table.take(UPSTREAM, now).is_none() && table.take(UPSTREAM, now).is_none());
        match table.next(UPSTREAM, now) {
            Next::Later(until) => assert_eq!(until, now + pause),
            Next::Work(_) | Next::Nothing => panic!("no timer"),
        }
        assert!(matches!(table.next(UPSTREAM, now), Next::Nothing), "one timer is enough");
        now += pause;
        pause = (pause * 2).min(DELIVERY_PAUSE_MAX);
        assert_eq!(workers(&mut table, now), 2);
    }
    let digests = owed.each_ref().map(|delivery| delivery.digest);
    let Standing::Owed { count: 2, failing: Some(_), .. } = table.standing(&repo(), &digests)
    else {
        panic!("it fails");
    };
    let taken = table.take(UPSTREAM, now).unwrap();
    table.settle(&taken);
    let Standing::Owed { count: 1, failing: None, .. } = table.standing(&repo(), &digests) else {
        panic!("it is back");
    };
    let asked = Error::UpstreamBusy { retry_after_seconds: 300 };
    let taken = table.take(UPSTREAM, now).unwrap();
    table.failed(&troubled(&taken, None), &asked, now);
    assert!(table.take(UPSTREAM, now + DELIVERY_PAUSE_MAX).is_none(), "it was asked to wait");
}

#[test]
fn a_refusal_is_told_once_and_tried_again_for_the_next_who_asks() {
    let (mut table, now) = (Table::new(1000), Instant::now());
    let owed = delivery(1, 1);
    table.add(owed.clone());
    assert_eq!(workers(&mut table, now), 1);
    let refused = Refused { status: 400, code: "SIZE_INVALID".to_owned() };
    let digests = [owed.digest];
    for _ in 0..2 {
        assert_eq!(table.urge(&repo(), &digests), [UPSTREAM]);
        let taken = table.take(UPSTREAM, now).unwrap();
        table.failed(&troubled(&taken, Some(refused.clone())), &down(), now);
        assert!(table.take(UPSTREAM, now).is_none(), "nobody asked");
        assert_eq!(table.state(0).refused, 1);
        table.urge(&repo(), &digests);
        assert!(table.take(UPSTREAM, now).is_none(), "nobody was told");
        let Standing::Refused(digest, error) = table.standing(&repo(), &digests) else {
            panic!("it was refused");
        };
        assert_eq!((digest, error.shown().status.as_u16()), (owed.digest, 400));
        assert!(error.message().contains(&owed.digest.to_string()), "{error}");
    }
    // As an earlier process left it: whoever asks gets a try.
    let mut table = Table::new(1000);
    table.restore(troubled(&owed, Some(refused)));
    assert!(table.take(UPSTREAM, now).is_none());
    table.urge(&repo(), &digests);
    assert!(table.take(UPSTREAM, now).is_some());
}

#[test]
fn what_is_held_is_nobodys_turn_until_everybody_let_go_of_it() {
    let (mut table, now) = (Table::new(1000), Instant::now());
    let owed = delivery(1, 1);
    let key = (repo(), owed.digest);
    assert_eq!(table.hold(&key), None);
    table.add(owed.clone());
    assert_eq!(workers(&mut table, now), 1);
    let taken = table.take(UPSTREAM, now).unwrap();
    for _ in 0..2 {
        assert_eq!(table.hold(&key).as_deref(), Some(UPSTREAM));
    }
    assert!(table.is_sending(&key) && !table.is_wanted(&taken) && table.is_owed(&taken));
    table.put_back(&taken);
    assert!(table.take(UPSTREAM, now).is_none());
    table.let_go(&key);
    assert_eq!(workers(&mut table, now), 0);
    table.let_go(&key);
    assert_eq!(workers(&mut table, now), 1);
    assert_eq!(table.take(UPSTREAM, now), Some(owed));
}

#[test]
fn bytes_and_numbers_have_a_bound_and_what_goes_makes_room() {
    let mut table = Table::new(100);
    table.reserve(60).unwrap();
    assert!(matches!(table.reserve(60), Err(Error::PendingFull { limit_bytes: 100 })));
    table.release(60);
    table.add(delivery(1, 60));
    table.add(delivery(1, 60));
    table.add(delivery(2, 40));
    assert!(table.reserve(1).is_err() && table.room(0).is_ok());
    assert!(table.forget(&(repo(), delivery(1, 60).digest)));
    assert!(!table.forget(&(repo(), delivery(1, 60).digest)));
    table.reserve(60).unwrap();
    table.release(60);
    for _ in 1..wharf_store::limits::DELIVERIES_MAX {
        table.reserve(0).unwrap();
    }
    assert!(matches!(table.room(0), Err(Error::TooMany(_))));
}
