//! The table of pending deliveries: lanes, pauses, refusals, bounds.

use super::table::{DeliveryStanding, NextDelivery, OutboxTable};
use super::*;
use crate::limits::{DELIVERY_PAUSE, DELIVERY_PAUSE_MAX, DELIVERY_WORKERS_MAX};
use tokio::time::Instant;
use wharf_oci::{Algorithm, Digester};
use wharf_store::contract::errand;
use wharf_store::{BlobInfo, Delivery, LastError, Refusal};

const UPSTREAM: &str = "https://acme.azurecr.io";

fn repo() -> RepoName {
    "a/b".parse().unwrap()
}

fn delivery(seed: u8, size_bytes: u64) -> Delivery {
    let digest = Digester::digest(Algorithm::Sha256, &[seed]);
    errand(&repo(), seed.into()).of(BlobInfo { digest, size_bytes })
}

fn alice() -> Party {
    Party::Caller("alice".into())
}

fn workers(table: &mut OutboxTable, now: Instant) -> usize {
    match table.next(UPSTREAM, now) {
        NextDelivery::Work(workers) => workers,
        NextDelivery::Later(_) | NextDelivery::Nothing => 0,
    }
}

fn down() -> Error {
    Error::UpstreamFailed { operation: "testing", reason: "it is down".to_owned() }
}

fn troubled(delivery: &Delivery, refused: Option<Refusal>) -> Delivery {
    let trouble = LastError { at_ms: 1, tries: 1, reason: "no".to_owned(), refused };
    Delivery { trouble: Some(trouble), ..delivery.clone() }
}

#[test]
fn a_lane_has_a_few_workers_and_each_key_one_of_them() {
    let (mut table, now) = (OutboxTable::new(1000), Instant::now());
    for seed in 0..10 {
        table.add(delivery(seed, 1), alice());
    }
    assert_eq!(workers(&mut table, now), DELIVERY_WORKERS_MAX);
    assert_eq!(workers(&mut table, now), 0);
    let first = table.take(UPSTREAM, now).unwrap();
    // Pushed again during its transfer: no other worker takes it.
    let again = Delivery { errand: errand(&repo(), 99), ..first.clone() };
    table.add(again.clone(), alice());
    for _ in 1..10 {
        let other = table.take(UPSTREAM, now).unwrap();
        assert_ne!(other.digest, first.digest);
        table.settle(&other);
    }
    assert!(table.take(UPSTREAM, now).is_none());
    // The table starts no worker in vain for a key that only its own worker can take.
    assert_eq!(workers(&mut table, now), 0);
    table.settle(&first);
    assert_eq!(table.take(UPSTREAM, now), Some(again));
}

#[test]
fn a_lane_that_fails_goes_on_soon_while_a_manifest_waits_for_it() {
    let (mut table, mut now) = (OutboxTable::new(1000), Instant::now());
    let owed = delivery(1, 1);
    table.add(owed.clone(), alice());
    let soon = DELIVERY_PAUSE * 2;
    for _ in 0..6 {
        assert_eq!(workers(&mut table, now), 1);
        let taken = table.take(UPSTREAM, now).unwrap();
        table.failed(&troubled(&taken, None), &down(), now);
        assert!(table.take(UPSTREAM, now).is_none());
        table.hasten(&repo(), &[owed.digest], now + soon);
        match table.next(UPSTREAM, now) {
            NextDelivery::Later(until) => assert!(until <= now + soon),
            NextDelivery::Work(_) | NextDelivery::Nothing => panic!("no timer"),
        }
        now += soon;
    }
    let other = delivery(2, 1).digest;
    assert!(table.hasten(&repo(), &[other], now).is_empty(), "nobody waits for what is not owed");
}

#[test]
fn failures_pause_a_lane_for_longer_and_longer_and_anything_that_arrives_ends_that() {
    let (mut table, mut now) = (OutboxTable::new(1000), Instant::now());
    let owed = [delivery(1, 1), delivery(2, 1)];
    for delivery in &owed {
        table.add(delivery.clone(), alice());
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
            NextDelivery::Later(until) => assert_eq!(until, now + pause),
            NextDelivery::Work(_) | NextDelivery::Nothing => panic!("no timer"),
        }
        assert!(matches!(table.next(UPSTREAM, now), NextDelivery::Nothing), "one timer is enough");
        now += pause;
        pause = (pause * 2).min(DELIVERY_PAUSE_MAX);
        assert_eq!(workers(&mut table, now), 2);
    }
    let digests = owed.each_ref().map(|delivery| delivery.digest);
    let DeliveryStanding::Owed { count: 2, failing: Some(_), .. } =
        table.standing(&repo(), &digests, 0)
    else {
        panic!("it fails");
    };
    let taken = table.take(UPSTREAM, now).unwrap();
    table.settle(&taken);
    let DeliveryStanding::Owed { count: 1, failing: None, .. } =
        table.standing(&repo(), &digests, 0)
    else {
        panic!("it is back");
    };
    let asked = Error::UpstreamBusy { retry_after_seconds: 300 };
    let taken = table.take(UPSTREAM, now).unwrap();
    table.failed(&troubled(&taken, None), &asked, now);
    assert!(table.take(UPSTREAM, now + DELIVERY_PAUSE_MAX).is_none(), "it was asked to wait");
}

#[test]
fn a_refusal_is_told_once_and_tried_again_for_the_next_who_asks() {
    let (mut table, now) = (OutboxTable::new(1000), Instant::now());
    let owed = delivery(1, 1);
    table.add(owed.clone(), alice());
    assert_eq!(workers(&mut table, now), 1);
    let refused = Refusal { status: 400, code: "SIZE_INVALID".to_owned() };
    let digests = [owed.digest];
    for _ in 0..2 {
        assert_eq!(table.urge(&repo(), &digests), [UPSTREAM]);
        let taken = table.take(UPSTREAM, now).unwrap();
        table.failed(&troubled(&taken, Some(refused.clone())), &down(), now);
        assert!(table.take(UPSTREAM, now).is_none(), "nobody asked");
        assert_eq!(table.state(0).refused, 1);
        table.urge(&repo(), &digests);
        assert!(table.take(UPSTREAM, now).is_none(), "nobody was told");
        let DeliveryStanding::Refused(digest, error) = table.standing(&repo(), &digests, 0) else {
            panic!("it was refused");
        };
        assert_eq!((digest, error.response().status.as_u16()), (owed.digest, 400));
        assert!(error.message().contains(&owed.digest.to_string()), "{error}");
    }
    // As an earlier process left it: the next request gets a try.
    let mut table = OutboxTable::new(1000);
    table.restore(troubled(&owed, Some(refused)));
    assert!(table.take(UPSTREAM, now).is_none());
    table.urge(&repo(), &digests);
    assert!(table.take(UPSTREAM, now).is_some());
}

#[test]
fn what_is_held_is_nobodys_turn_until_everybody_let_go_of_it() {
    let (mut table, now) = (OutboxTable::new(1000), Instant::now());
    let owed = delivery(1, 1);
    let key = (repo(), owed.digest);
    assert_eq!(table.hold(&key), None);
    table.add(owed.clone(), alice());
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
    let mut table = OutboxTable::new(100);
    let nobody = Party::Ourselves;
    let reserve = |table: &mut OutboxTable, bytes| table.reserve(&nobody, bytes, 0);
    assert!(reserve(&mut table, 60).unwrap().is_none());
    let full = reserve(&mut table, 60);
    assert!(matches!(full, Err(Error::PendingFull { limit_bytes: 100, .. })));
    table.release(&nobody, 60);
    table.add(delivery(1, 60), nobody.clone());
    table.add(delivery(1, 60), nobody.clone());
    table.add(delivery(2, 40), nobody.clone());
    assert!(reserve(&mut table, 1).is_err() && table.room(&nobody, 0, 0).is_ok());
    assert!(table.forget(&(repo(), delivery(1, 60).digest)));
    assert!(!table.forget(&(repo(), delivery(1, 60).digest)));
    reserve(&mut table, 60).unwrap();
    table.release(&nobody, 60);
    for _ in 1..wharf_store::limits::DELIVERIES_MAX {
        reserve(&mut table, 0).unwrap();
    }
    assert!(matches!(table.room(&nobody, 0, 0), Err(Error::TooMany(_))));
}

/// Records a refusal of a blob at this time.
fn refuse(table: &mut OutboxTable, owed: &Delivery, at_ms: u64) {
    let refused = Refusal { status: 400, code: "SIZE_INVALID".to_owned() };
    let mut owed = troubled(owed, Some(refused));
    owed.trouble.as_mut().unwrap().at_ms = at_ms;
    table.failed(&owed, &down(), Instant::now());
}

fn minutes(count: u64) -> u64 {
    count * 60 * 1000
}

#[test]
fn a_refused_blob_makes_room_a_quarter_of_an_hour_after_it_was_told_or_an_hour_after_the_refusal() {
    let (mut table, bob) = (OutboxTable::new(100), Party::Caller("bob".into()));
    let [told, untold] = [delivery(1, 25), delivery(2, 25)];
    for owed in [&told, &untold] {
        table.add(owed.clone(), alice());
        refuse(&mut table, owed, minutes(1));
    }
    table.standing(&repo(), &[told.digest], minutes(2));
    // Her share stays hers for so long: no entry of others gives way, and they have room.
    let full = |table: &mut OutboxTable, now_ms| table.reserve(&alice(), 25, now_ms).is_err();
    assert!(full(&mut table, minutes(2)) && full(&mut table, minutes(17) - 1));
    assert!(table.room(&alice(), 1, minutes(17) - 1).is_err());
    assert!(table.room(&alice(), 1, minutes(17)).is_ok());
    let first = table.reserve(&alice(), 25, minutes(17)).unwrap().unwrap();
    assert_eq!(first.digest, told.digest);
    assert!(table.forget(&(repo(), told.digest)));
    assert!(table.reserve(&alice(), 25, minutes(17)).unwrap().is_none());
    assert!(full(&mut table, minutes(61) - 1));
    let next = table.reserve(&alice(), 25, minutes(61)).unwrap().unwrap();
    assert_eq!(next.digest, untold.digest);
    // Bob has his own share, and a blob without a refusal never gives way.
    table.add(delivery(3, 25), bob.clone());
    assert!(table.reserve(&bob, 25, minutes(61)).is_err());
    // When all is full, refused blobs give way to any party.
    table.add(delivery(4, 25), Party::Ourselves);
    let third = Party::Caller("carol".into());
    let gives_way = table.reserve(&third, 25, minutes(61)).unwrap().unwrap();
    assert_eq!(gives_way.digest, untold.digest);
}

#[test]
fn two_who_owe_all_they_can_leave_room_and_a_worker_for_a_third() {
    let (mut table, now) = (OutboxTable::new(1 << 20), Instant::now());
    let parties = [2, 3, 4].map(|last| Party::behind([127, 0, 0, last].into()));
    let mut number = 0_u64;
    let mut next = || {
        number += 1;
        let digest = Digester::digest(Algorithm::Sha256, &number.to_be_bytes());
        errand(&repo(), number).of(BlobInfo { digest, size_bytes: 1 })
    };
    for hostile in &parties[..2] {
        while table.room(hostile, 1, 0).is_ok() {
            table.add(next(), hostile.clone());
        }
    }
    let most = wharf_store::limits::DELIVERIES_MAX;
    assert_eq!(table.all().len(), most / 2 + most / 4);
    assert_eq!(workers(&mut table, now), DELIVERY_WORKERS_MAX);
    let sent: Vec<_> = (0..4).map(|_| table.take(UPSTREAM, now).unwrap()).collect();
    assert_eq!(workers(&mut table, now), 0, "both have some under way");
    // The third one waits for none of them.
    let (third, later) = (next(), next());
    table.reserve(&parties[2], 1, 0).unwrap();
    table.release(&parties[2], 1);
    for owed in [&third, &later] {
        table.add(owed.clone(), parties[2].clone());
    }
    assert_eq!(workers(&mut table, now), 1);
    assert_eq!(table.take(UPSTREAM, now), Some(third.clone()));
    assert_eq!(workers(&mut table, now), 0);
    // Nor does its second blob.
    table.settle(&third);
    assert_eq!(table.take(UPSTREAM, now), Some(later));
    for delivery in &sent {
        table.settle(delivery);
    }
    assert!(table.take(UPSTREAM, now).is_some());
}
