//! The memory budget: which reservations are granted, and how all of them come back.

use wharf_client::{MemoryFull, MemoryOwner};

use super::*;

const BOUNDS: MemoryBounds = MemoryBounds { most: 100, share: 40 };

fn pool() -> Arc<MemoryGauge> {
    Arc::new(MemoryGauge::default())
}

fn budget(pool: &Arc<MemoryGauge>, last: u8) -> MemoryBudget {
    pool.budget(Party::behind([10, 0, 0, last].into()), BOUNDS)
}

fn refused<T>(taken: Result<T, MemoryFull>) -> MemoryOwner {
    let Err(MemoryFull(owner)) = taken.map(drop) else { panic!("it was given") };
    owner
}

/// On a connection of its own, so that only the other bounds count.
fn take(budget: &MemoryBudget, bytes: u64) -> Result<Reservation, MemoryFull> {
    budget.clone().on(&Arc::default()).take(bytes)
}

#[test]
fn no_party_has_more_than_its_share_and_all_have_no_more_than_there_is() {
    let pool = pool();
    let parties: Vec<_> = (0..4).map(|last| budget(&pool, last)).collect();
    let first = take(&parties[0], 40).unwrap();
    assert_eq!(refused(take(&parties[0], 1)), MemoryOwner::Party);
    // Another budget of the same party.
    assert_eq!(refused(take(&budget(&pool, 0), 1)), MemoryOwner::Party);
    let _second = take(&parties[1], 40).unwrap();
    let third = take(&parties[2], 20).unwrap();
    assert_eq!(refused(take(&parties[3], 1)), MemoryOwner::All);
    assert_eq!((pool.bytes(), pool.largest()), (100, 40));
    drop(third);
    let _fourth = take(&parties[3], 20).unwrap();
    drop(first);
    assert_eq!(pool.bytes(), 60);
}

#[test]
fn what_is_refused_leaves_nothing_behind_and_what_was_held_is_held() {
    let (pool, of) = (pool(), BOUNDS.share);
    let budget = budget(&pool, 1);
    let mut hold = take(&budget, 10).unwrap();
    let _other = take(&budget, 20).unwrap();
    hold.grow_to(20).unwrap();
    assert_eq!(refused(hold.grow_to(of)), MemoryOwner::Party);
    assert_eq!((pool.bytes(), pool.largest()), (40, 40));
    drop(hold);
    assert_eq!((pool.bytes(), pool.largest()), (20, 20));
}

#[test]
fn one_connection_has_a_part_of_the_share() {
    let pool = pool();
    let connection = Arc::default();
    let here = budget(&pool, 1).on(&connection);
    let hold = here.take(20).unwrap();
    assert_eq!(refused(here.take(1)), MemoryOwner::Connection);
    assert_eq!(refused(budget(&pool, 1).on(&connection).take(1)), MemoryOwner::Connection);
    let _elsewhere = take(&budget(&pool, 1), 20).unwrap();
    drop(hold);
    assert!(here.take(20).is_ok());
    assert_eq!(connection.load(Ordering::Relaxed), 0);
}

#[test]
fn whoever_holds_nothing_may_take_one_body_however_large_it_is() {
    let pool = pool();
    let mut large = budget(&pool, 1).take(30).unwrap();
    large.grow_to(500).unwrap();
    assert_eq!(refused(take(&budget(&pool, 1), 1)), MemoryOwner::Party);
    assert_eq!(refused(take(&budget(&pool, 2), 1)), MemoryOwner::All);
}

#[test]
fn what_is_covered_is_held_until_its_last_part_is_gone() {
    let pool = pool();
    let bytes = cover(Bytes::from_static(&[7; 30]), take(&budget(&pool, 1), 30).unwrap());
    let part = bytes.slice(29..);
    drop(bytes);
    assert_eq!((pool.bytes(), part.as_ref()), (30, &[7][..]));
    drop(part);
    assert_eq!(pool.bytes(), 0);
}

#[test]
fn pieces_count_for_their_party_and_in_all_only_when_no_store_has_them() {
    let pool = pool();
    let budget = budget(&pool, 1);
    let (mut stored, mut passing) = (budget.pieces(), budget.pieces());
    stored.set(45, false);
    assert_eq!(pool.bytes(), 0);
    assert!(budget.may_begin().is_ok(), "past its share while there is room");
    passing.set(50, true);
    passing.set(51, true);
    assert_eq!((pool.bytes(), pool.largest()), (51, 0));
    assert_eq!(refused(budget.may_begin()), MemoryOwner::Party);
    assert!(self::budget(&pool, 2).may_begin().is_ok());
    drop(stored);
    passing.set(30, true);
    assert!(budget.may_begin().is_ok());
    drop(passing);
    assert_eq!(pool.bytes(), 0);
}

#[test]
fn segments_that_only_readers_have_take_room_from_everybody() {
    let (pool, out) = (pool(), Arc::new(AtomicU64::new(90)));
    let seen = Arc::clone(&out);
    pool.watch(move || seen.load(Ordering::Relaxed));
    let _one = take(&budget(&pool, 1), 10).unwrap();
    assert_eq!(pool.bytes(), 100);
    assert_eq!(refused(take(&budget(&pool, 2), 1)), MemoryOwner::All);
    assert_eq!(refused(budget(&pool, 2).may_begin()), MemoryOwner::All);
    out.store(0, Ordering::Relaxed);
    assert!(take(&budget(&pool, 2), 1).is_ok());
}

#[test]
fn what_is_shared_is_counted_once_in_all_and_for_each_who_has_it() {
    let pool = pool();
    let (one, other) = (budget(&pool, 1), budget(&pool, 2));
    let _shared = one.take_shared(40).unwrap();
    let _holds = (one.take_own(40).unwrap(), other.take_own(40).unwrap());
    assert_eq!((pool.bytes(), pool.largest()), (40, 40));
    assert_eq!(refused(one.take_own(1)), MemoryOwner::Party);
}

#[test]
fn a_party_that_holds_nothing_is_forgotten() {
    let pool = pool();
    let (one, again) = (budget(&pool, 1), budget(&pool, 1));
    assert_eq!(one.identity(), again.identity());
    let hold = take(&one, 1).unwrap();
    drop((one, again));
    assert_eq!(pool.parties.lock().len(), 1);
    drop(hold);
    assert!(pool.parties.lock().is_empty());
}

#[test]
fn everyone_should_hold_less_once_much_is_held() {
    let pool = pool();
    assert!(!pool.is_short());
    let much = budget(&pool, 1).take_anyway(BYTES_IN_FLIGHT_SHORT - 10);
    assert!(!pool.is_short());
    let reading = pool.reading(10);
    assert!(pool.is_short());
    assert_eq!(pool.bytes(), BYTES_IN_FLIGHT_SHORT - 10, "nobody is refused for it");
    drop(reading);
    assert!(!pool.is_short());
    drop(much);
}
