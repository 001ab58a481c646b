//! Readers of a blob in flight, from several threads, at any offset, whatever the splits of the
//! writer and however little memory there is: right bytes, in order, and none of the last segment
//! before the digest is proven.

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;
use wharf_store::contract::noise;
use wharf_store::limits::SEGMENT_BYTES;
use wharf_store::{
    BlobStore, BlobWriter, InFlight, MemoryStore, ReadyBlob, Retention, RocksStore, StoreOptions,
    Tail,
};

use crate::ground::{MIB, digest_of, hash_of};

/// How long a reader waits for a writer that does nothing but write: then it was never woken.
const PATIENCE: Duration = Duration::from_mins(1);

/// A store with a folder that lives as long as the tests.
struct Rocks {
    store: RocksStore,
    _folder: tempfile::TempDir,
}

fn rocks(hot_bytes: u64) -> Rocks {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions { hot_bytes, ..StoreOptions::default() };
    Rocks { store: RocksStore::open_with(folder.path(), &options).unwrap(), _folder: folder }
}

static ROOMY: LazyLock<Rocks> = LazyLock::new(|| rocks(96 * MIB as u64));
static TIGHT: LazyLock<Rocks> = LazyLock::new(|| rocks(MIB as u64));

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// How a writer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Published,
    Proven,
    Mismatch,
    Dropped,
}

/// One blob in flight and who reads it.
#[derive(Debug, Clone)]
struct Scene {
    size: usize,
    pieces: Vec<usize>,
    /// Where each reader begins, and after how many appends it joins.
    readers: Vec<(usize, usize)>,
    /// After which appends the writer lets go of its memory.
    settles: Vec<bool>,
    /// Whether the size is known from the begin, and before which appends they are shown.
    is_sized: bool,
    shows: Vec<bool>,
    end: End,
}

fn scenes() -> impl Strategy<Value = Scene> {
    let segments = 0..24_usize;
    let size = (segments, prop_oneof![Just(0), Just(1), 0..SEGMENT_BYTES]);
    let pieces = proptest::collection::vec(
        prop_oneof![1..5_000_usize, Just(SEGMENT_BYTES), 1..(3 * SEGMENT_BYTES)],
        1..6,
    );
    let readers = proptest::collection::vec((any::<prop::sample::Index>(), 0..20_usize), 1..5);
    let end = prop_oneof![
        4 => Just(End::Published),
        1 => Just(End::Proven),
        1 => Just(End::Mismatch),
        2 => Just(End::Dropped),
    ];
    let settles = proptest::collection::vec(prop::bool::weighted(0.2), 1..6);
    let shows = proptest::collection::vec(any::<bool>(), 1..6);
    let all = (size, pieces, readers, settles, (any::<bool>(), shows), end);
    all.prop_map(|((segments, more), pieces, readers, settles, (is_sized, shows), end)| {
        let size = segments * SEGMENT_BYTES + more;
        // Small pieces of a large blob would take minutes: each is at least a thousandth of it.
        let pieces = pieces.into_iter().map(|piece| piece.max(size / 1000)).collect();
        let readers = readers.into_iter().map(|(at, join)| (at.index(size + 1), join)).collect();
        Scene { size, pieces, readers, settles, is_sized, shows, end }
    })
}

/// What a reader was told at the end.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    End,
    Abandoned,
    /// What was on disk went with the writer.
    Failed(String),
}

/// Reads from `from` to the end and compares; what it was told, and where.
fn follow(
    in_flight: &InFlight,
    content: &Bytes,
    from: usize,
    proving: &AtomicBool,
) -> (Told, usize) {
    let last_segment = content.len().saturating_sub(1) / SEGMENT_BYTES * SEGMENT_BYTES;
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut waiting = Context::from_waker(&waker);
    let end = Instant::now() + PATIENCE;
    let mut at = from;
    loop {
        let bytes = match in_flight.poll_read(at as u64, &mut waiting) {
            Poll::Ready(Tail::Bytes(bytes)) => bytes,
            Poll::Ready(Tail::Stored) => match in_flight.read_stored(at as u64) {
                Ok(bytes) => bytes,
                Err(error) => return (Told::Failed(error.to_string()), at),
            },
            Poll::Ready(Tail::End) => return (Told::End, at),
            Poll::Ready(Tail::Abandoned(_)) => return (Told::Abandoned, at),
            Poll::Pending => {
                assert!(Instant::now() < end, "nobody woke the reader at {at}");
                std::thread::park_timeout(PATIENCE);
                continue;
            }
        };
        assert!(!bytes.is_empty(), "no bytes at {at}");
        assert!(content[at..].starts_with(&bytes), "wrong bytes at {at}");
        at += bytes.len();
        let early = at > last_segment && !proving.load(Ordering::SeqCst);
        assert!(!early, "a byte of the last segment before its digest was proven, at {at}");
    }
}

fn play(store: &dyn BlobStore, scene: &Scene, seed: u64) {
    let content = noise(scene.size, seed);
    let proving = AtomicBool::new(false);
    let mut writer = store.begin().expect("begin");
    let in_flight = writer.in_flight();
    if scene.is_sized {
        in_flight.expect(scene.size as u64);
    }
    std::thread::scope(|scope| {
        let mut readers = Vec::new();
        let mut join = |appends: usize| {
            for (from, _) in scene.readers.iter().filter(|(_, join)| *join == appends) {
                let (in_flight, content, proving) = (in_flight.clone(), &content, &proving);
                let follow = move || (*from, follow(&in_flight, content, *from, proving));
                readers.push(scope.spawn(follow));
            }
        };
        let mut rest = content.clone();
        for (appends, piece) in scene.pieces.iter().cycle().enumerate() {
            join(appends);
            if rest.is_empty() {
                // Those that would join later do so when all is written.
                (appends + 1..20).for_each(&mut join);
                break;
            }
            let piece = rest.split_to((*piece).min(rest.len()));
            if scene.shows[appends % scene.shows.len()] {
                // Some of it is shown twice, and nothing before what it follows is there.
                in_flight.show(writer.size_bytes(), &piece[..piece.len() / 2]);
                in_flight.show(writer.size_bytes() + 1 + piece.len() as u64, b"after a gap");
                in_flight.show(writer.size_bytes(), &piece);
            }
            writer.append(piece).expect("append");
            if scene.settles[appends % scene.settles.len()] {
                writer.flush_run().expect("settle");
            }
        }
        // Kept until all have read, because dropping it forgets what is on disk.
        let _ready = end(writer, scene, &content, &proving);
        for reader in readers {
            let (from, (told, at)) = reader.join().expect("a reader");
            if matches!(scene.end, End::Published | End::Proven) {
                assert_eq!((told, at), (Told::End, content.len()), "from {from}");
            } else {
                assert_ne!(told, Told::End, "from {from} to {at}");
            }
        }
    });
    let digest = digest_of(&content);
    let found = hash_of(store, &digest).expect("read");
    let expected = (scene.end == End::Published).then_some(digest);
    assert_eq!(found, expected);
    store.remove(&digest).expect("remove");
}

fn end(
    writer: BlobWriter,
    scene: &Scene,
    content: &Bytes,
    proving: &AtomicBool,
) -> Option<ReadyBlob> {
    let digest = digest_of(content);
    match scene.end {
        End::Published | End::Proven => {
            proving.store(true, Ordering::SeqCst);
            let mut ready = writer.verify(&digest).expect("verify").expect("the digest is right");
            if scene.settles[0] {
                ready.flush_run().expect("settle");
            }
            if scene.end == End::Proven {
                return Some(ready);
            }
            ready.publish(Retention::Kept).expect("publish");
        }
        End::Mismatch => {
            let other = digest_of(b"other content");
            assert!(writer.verify(&other).expect("verify").is_err());
        }
        End::Dropped => drop(writer),
    }
    None
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn readers_in_memory_see_right_bytes(scene in scenes(), seed in any::<u64>()) {
        play(&MemoryStore::default(), &scene, seed);
    }

    #[test]
    fn readers_of_a_store_on_disk_see_right_bytes(scene in scenes(), seed in any::<u64>()) {
        play(&ROOMY.store, &scene, seed);
    }

    #[test]
    fn readers_see_right_bytes_when_segments_leave_memory(
        scene in scenes(),
        seed in any::<u64>(),
    ) {
        play(&TIGHT.store, &scene, seed);
    }
}

/// What is shown is there before its segment is full, counted, and let go of with that; the last
/// segment is not shown.
#[test]
fn bytes_are_shown_before_their_segment_is_full() {
    let rocks = rocks(MIB as u64);
    let content = noise(2 * SEGMENT_BYTES + 10, 8);
    let mut writer = rocks.store.begin().unwrap();
    let in_flight = writer.in_flight();
    in_flight.show(0, &content[..5]);
    assert_eq!(in_flight.visible_bytes(), 0, "nobody knows whether these are the last");
    in_flight.expect(content.len() as u64);
    in_flight.show(0, &content[..5]);
    in_flight.show(5, &content[5..9]);
    assert_eq!((in_flight.visible_bytes(), rocks.store.in_flight_bytes()), (9, 9));
    let Some(Tail::Bytes(bytes)) = in_flight.try_read(3) else { panic!("it was shown") };
    assert_eq!(bytes, content[3..5]);
    in_flight.show(9, &content[9..]);
    assert_eq!(in_flight.visible_bytes(), 2 * SEGMENT_BYTES as u64);
    writer.append(content.clone()).unwrap();
    assert_eq!(rocks.store.in_flight_bytes(), 2 * SEGMENT_BYTES as u64);
    drop(writer);
    drop(in_flight);
    assert_eq!(rocks.store.in_flight_bytes(), 0);
}

/// With little memory the first segments are on disk while the blob still arrives: otherwise the
/// property above proves nothing.
#[test]
fn segments_leave_memory_when_it_is_short() {
    let rocks = rocks(MIB as u64);
    let content = noise(40 * SEGMENT_BYTES, 7);
    let mut writer = rocks.store.begin().unwrap();
    let in_flight = writer.in_flight();
    let mut most = 0;
    for piece in 0..40 {
        writer.append(content.slice(piece * SEGMENT_BYTES..(piece + 1) * SEGMENT_BYTES)).unwrap();
        most = most.max(rocks.store.usage().unwrap().in_flight_bytes);
    }
    assert!(matches!(in_flight.try_read(0), Some(Tail::Stored)));
    assert!(most <= 4 * MIB as u64, "{most} bytes in memory of a limit of one MiB");
    let ready = writer.verify(&digest_of(&content)).unwrap().unwrap();
    ready.publish(Retention::Cached).unwrap();
    assert_eq!(follow(&in_flight, &content, 0, &AtomicBool::new(true)).0, Told::End);
}
