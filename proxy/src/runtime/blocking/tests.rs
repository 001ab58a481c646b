//! More writers than write slots: their order, and their bytes in memory.

use std::time::Duration;

use bytes::Bytes;
use wharf_client::runtime::party::Party;
use wharf_client::runtime::subscribers::Subscribers;
use wharf_oci::{Algorithm, Digester};
use wharf_store::contract::noise;
use wharf_store::limits::SEGMENT_BYTES;
use wharf_store::{BlobStore, Retention, RocksStore};

use super::write_slots::{WriteOwner, WriteSlot, WriteSlots};
use super::*;
use crate::limits::{TURN_BYTES, UNPLACED_BYTES_MAX};

/// Longer than any test takes without a deadlock.
const PATIENCE: Duration = Duration::from_mins(1);

struct Harbour {
    blocking: BlockingPool,
    store: RocksStore,
    _folder: tempfile::TempDir,
}

fn harbour(places: usize) -> Harbour {
    let folder = tempfile::tempdir().unwrap();
    let store = RocksStore::open(folder.path()).unwrap();
    let blocking =
        BlockingPool { places: Arc::new(WriteSlots::new(places)), ..BlockingPool::default() };
    Harbour { blocking, store, _folder: folder }
}

impl Harbour {
    fn pump(&self) -> BlobFeed {
        BlobFeed::new(self.blocking.clone(), self.store.begin().unwrap())
    }
}

async fn feed(pump: &mut BlobFeed, mut content: Bytes) {
    while !content.is_empty() {
        let frame = content.split_to(content.len().min(50_000));
        pump.append(frame).await.unwrap();
    }
}

async fn finish(pump: BlobFeed, content: &Bytes) {
    let digest = Digester::digest(Algorithm::Sha256, content);
    let ready = pump.verify(digest).await.unwrap().unwrap();
    ready.publish(Retention::Kept).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_that_stand_still_keep_nobody_out_and_go_on_later() {
    let harbour = harbour(2);
    let contents: Vec<Bytes> = (0..9).map(|seed| noise(5 * SEGMENT_BYTES + 77, seed)).collect();
    let half = contents[0].len() / 2;
    let play = async {
        let mut pumps = Vec::new();
        for content in &contents {
            let mut pump = harbour.pump();
            feed(&mut pump, content.slice(..half)).await;
            pumps.push(pump);
        }
        // All nine stopped in the middle, and only those with a slot have segments in memory.
        assert!(harbour.blocking.places().taken <= 2);
        assert!(harbour.blocking.places().handed_on >= 7);
        assert!(harbour.store.in_flight_bytes() <= 2 * half as u64);
        let whole = noise(3 * SEGMENT_BYTES, 99);
        let mut other = harbour.pump();
        feed(&mut other, whole.clone()).await;
        finish(other, &whole).await;
        for (mut pump, content) in pumps.into_iter().zip(&contents) {
            feed(&mut pump, content.slice(half..)).await;
            finish(pump, content).await;
        }
        assert_eq!(harbour.blocking.places().taken, 0);
        assert_eq!(harbour.store.in_flight_bytes(), 0);
    };
    tokio::time::timeout(PATIENCE, play).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_hands_its_place_on_after_its_turn_and_small_ones_never_wait() {
    let harbour = harbour(1);
    let turn = usize::try_from(TURN_BYTES).unwrap();
    let large = noise(2 * turn + 5_000, 1);
    let play = async {
        let mut first = harbour.pump();
        feed(&mut first, large.slice(..turn)).await;
        let mut second = harbour.pump();
        let content = noise(UNPLACED_BYTES_MAX, 2);
        feed(&mut second, content.slice(..UNPLACED_BYTES_MAX - 1)).await;
        let small = noise(1_000, 3);
        let mut third = harbour.pump();
        feed(&mut third, small.clone()).await;
        finish(third, &small).await;
        let last = content.slice(UNPLACED_BYTES_MAX - 1..);
        let waits = tokio::spawn(async move {
            feed(&mut second, last).await;
            finish(second, &content).await;
        });
        while harbour.blocking.places().waiting == 0 {
            tokio::task::yield_now().await;
        }
        // At the next border of a segment.
        feed(&mut first, large.slice(turn..)).await;
        waits.await.unwrap();
        assert!(harbour.blocking.places().handed_on >= 1);
        finish(first, &large).await;
        assert_eq!(harbour.blocking.places().taken, 0);
    };
    tokio::time::timeout(PATIENCE, play).await.unwrap();
}

#[tokio::test]
async fn a_place_is_free_when_its_writer_goes_away_or_a_wait_is_given_up() {
    let harbour = harbour(1);
    let content = noise(SEGMENT_BYTES, 1);
    let mut first = harbour.pump();
    feed(&mut first, content.clone()).await;
    let mut second = harbour.pump();
    let brief = Duration::from_millis(20);
    assert!(tokio::time::timeout(brief, feed(&mut second, content.clone())).await.is_err());
    assert_eq!(harbour.blocking.places(), WriteSlotsState { taken: 1, waiting: 0, handed_on: 0 });
    drop(first);
    assert_eq!(harbour.blocking.places().taken, 0);
    // The second feed has exactly the bytes counted before it gave up.
    let taken = usize::try_from(second.taken_bytes()).unwrap();
    feed(&mut second, content.slice(taken..)).await;
    finish(second, &content).await;
}

/// A writer waiting for a slot.
struct Waits(tokio::task::JoinHandle<WriteSlot>);

impl Waits {
    /// In the queue when this returns.
    async fn begin(places: &Arc<WriteSlots>, for_whom: WriteOwner) -> Self {
        let (before, asked) = (places.state().waiting, Arc::clone(places));
        let task = tokio::spawn(async move { asked.take(&for_whom).await });
        while places.state().waiting == before {
            tokio::task::yield_now().await;
        }
        Self(task)
    }

    async fn place(self) -> WriteSlot {
        tokio::time::timeout(PATIENCE, self.0).await.unwrap().unwrap()
    }
}

fn named(name: &str) -> WriteOwner {
    Party::Caller(name.into()).into()
}

#[tokio::test]
async fn a_third_party_gets_the_next_place_however_many_the_others_wait_for() {
    let places = Arc::new(WriteSlots::new(4));
    let mut held = Vec::new();
    for name in ["mallory", "oscar", "mallory", "oscar"] {
        held.push(places.take(&named(name)).await);
    }
    let mut others = Vec::new();
    for name in ["mallory", "oscar"].repeat(10) {
        others.push(Waits::begin(&places, named(name)).await);
    }
    let alice = Waits::begin(&places, named("alice")).await;
    drop(held.remove(0));
    let alice = alice.place().await;
    assert_eq!(places.state().waiting, 20);
    // Then the parties with the fewest slots, in the order of their requests.
    drop(held.remove(0));
    let mut others = others.into_iter();
    let (mallory, oscar) = (others.next().unwrap(), others.next().unwrap());
    let _mallory = mallory.place().await;
    drop(alice);
    let _oscar = oscar.place().await;
    // A writer that gave up is passed over, and no slot is lost.
    for other in others {
        other.0.abort();
    }
    drop(held);
    while places.state().waiting > 0 || places.state().taken > 2 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_nobody_wants_gets_a_place_after_everybody_else() {
    let places = Arc::new(WriteSlots::new(1));
    let subscribers = Subscribers::default();
    let unwanted = WriteOwner::those_at(subscribers.clone(), Party::Caller("alice".into()));
    let held = places.take(&unwanted).await;
    assert!(!places.are_wanted_before(&unwanted));
    let last = Waits::begin(&places, unwanted.clone()).await;
    // A wanted writer goes on while only unwanted ones wait.
    assert!(places.are_wanted_before(&unwanted) && !places.are_wanted_before(&named("bob")));
    let first = Waits::begin(&places, named("mallory")).await;
    assert!(places.are_wanted_before(&named("bob")));
    drop(held);
    let first = first.place().await;
    let second = Waits::begin(&places, named("mallory")).await;
    // The writer is wanted after all, and has had no slot meanwhile.
    let _seat = subscribers.take();
    drop(first);
    let last = last.place().await;
    drop(last);
    second.place().await;
}

/// Exactly so many bytes become visible in the end; earlier ones may be with a job.
async fn is_shown(pump: &BlobFeed, blob: &wharf_store::InFlight, bytes: usize) {
    let all = async {
        while blob.visible_bytes() < bytes as u64 {
            pump.show().await;
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.unwrap();
    assert_eq!(blob.visible_bytes(), bytes as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_shown_is_there_whenever_its_segment_is_stored() {
    let harbour = harbour(1);
    let content = noise(3 * SEGMENT_BYTES + 500, 9);
    let mut pump = harbour.pump();
    let writer = harbour.store.begin().unwrap();
    let blob = writer.in_flight();
    blob.expect(content.len() as u64);
    let mut shown = BlobFeed::new(harbour.blocking.clone(), writer);
    let mut at = 0;
    for (index, bytes) in [1_000, 300_000, 40_000, 200_000, 100_000].into_iter().enumerate() {
        feed(&mut shown, content.slice(at..at + bytes)).await;
        at += bytes;
        if index == 2 {
            // The feed loses its slot in the middle of a segment.
            feed(&mut pump, content.slice(..UNPLACED_BYTES_MAX)).await;
        }
        is_shown(&shown, &blob, at).await;
    }
    feed(&mut shown, content.slice(at..)).await;
    is_shown(&shown, &blob, 3 * SEGMENT_BYTES).await;
    finish(shown, &content).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_trickles_keeps_its_place_for_no_longer_than_one_that_stands_still() {
    let harbour = harbour(1);
    let content = noise(2 * SEGMENT_BYTES, 1);
    let play = async {
        let mut slow = harbour.pump();
        feed(&mut slow, content.slice(..SEGMENT_BYTES)).await;
        let trickle = {
            let content = content.clone();
            tokio::spawn(async move {
                for at in SEGMENT_BYTES.. {
                    slow.append(content.slice(at..=at)).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        };
        let other = noise(SEGMENT_BYTES, 2);
        let mut pump = harbour.pump();
        feed(&mut pump, other.clone()).await;
        finish(pump, &other).await;
        assert!(harbour.blocking.places().handed_on >= 1);
        trickle.abort();
    };
    tokio::time::timeout(PATIENCE, play).await.unwrap();
}

#[tokio::test]
async fn a_place_is_owed_by_a_party_that_has_more_than_that_of_who_waits() {
    let places = Arc::new(WriteSlots::new(3));
    let (mallory, alice) = (Party::Caller("mallory".into()), Party::Caller("alice".into()));
    let mut held = Vec::new();
    for name in ["mallory", "mallory", "alice"] {
        held.push(places.take(&named(name)).await);
    }
    let _one_more = Waits::begin(&places, named("mallory")).await;
    assert!(!places.are_owed_by(&mallory) && !places.are_owed_by(&alice), "its own can wait");
    let bob = Waits::begin(&places, named("bob")).await;
    assert!(places.are_owed_by(&mallory) && !places.are_owed_by(&alice));
    drop(held.remove(0));
    let _bob = bob.place().await;
    assert!(!places.are_owed_by(&mallory));
}

#[tokio::test]
async fn what_waits_to_be_written_is_held_by_whoever_sent_it() {
    let harbour = harbour(1);
    let mut pump = harbour.pump();
    pump.write_for(Party::Caller("alice".into()));
    feed(&mut pump, noise(UNPLACED_BYTES_MAX - 1, 1)).await;
    let held = harbour.blocking.held();
    assert_eq!(held.bytes(), UNPLACED_BYTES_MAX as u64 - 1);
    feed(&mut pump, noise(SEGMENT_BYTES, 2)).await;
    pump.append(Bytes::new()).await.unwrap();
    assert!(held.bytes() < SEGMENT_BYTES as u64, "{}", held.bytes());
    drop(pump);
    assert_eq!(held.bytes(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_parties_whose_jobs_hang_leave_room_for_a_third() {
    let blocking = BlockingPool::default();
    let (gate, open) = std::sync::mpsc::channel::<()>();
    let open = Arc::new(std::sync::Mutex::new(open));
    let mut hostile = Vec::new();
    for name in ["mallory", "oscar"].repeat(BLOCKING_JOBS_MAX) {
        let (blocking, open) = (blocking.clone(), Arc::clone(&open));
        let work =
            async move { blocking.run(move || open.lock().unwrap().recv().unwrap_err()).await };
        hostile.push(tokio::spawn(party::work_for(Party::Caller(name.into()), work)));
    }
    let all = hostile.len();
    let waits = async {
        while blocking.jobs().running + blocking.jobs().waiting < all {
            tokio::task::yield_now().await;
        }
        let alice = party::work_for(Party::Caller("alice".into()), blocking.run(|| 7));
        assert_eq!(alice.await, 7);
        assert!(blocking.jobs().running <= BLOCKING_JOBS_MAX * 3 / 4);
    };
    tokio::time::timeout(PATIENCE, waits).await.unwrap();
    drop(gate);
    for job in hostile {
        job.await.unwrap();
    }
    assert_eq!(blocking.jobs(), JobsState { running: 0, waiting: 0, ahead: 0 });
}
