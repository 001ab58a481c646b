//! Accounting, eviction, quarantine, scrub, backup, upgrade.

mod formats;

use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rocksdb::WriteBatch;
use wharf_oci::{Algorithm, Digest, Digester, Manifest, RepoName};

use super::RocksStore;
use super::evict;
use super::schema::{self, BLOBS, HOLDERS, JOURNAL, META, NUMBERS, PARENTS, TOTALS};
use crate::blob::BlobStore;
use crate::blob_info::Retention;
use crate::contract::{errand, noise, put, read_all};
use crate::limits::{LIMIT_BYTES_MIN, SEGMENT_BYTES};
use crate::upkeep::{Eviction, Progress, ScrubPlan, StoreOptions};
use crate::{Delivery, DeliveryStore, ManifestStore, StoreError};

const MIB: usize = 1024 * 1024;

fn store() -> (tempfile::TempDir, RocksStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = RocksStore::open(folder.path()).unwrap();
    (folder, store)
}

fn limited(limit_bytes: u64) -> (tempfile::TempDir, RocksStore) {
    let folder = tempfile::tempdir().unwrap();
    let how = StoreOptions { limit_bytes: Some(limit_bytes), ..StoreOptions::default() };
    let store = RocksStore::open_with(folder.path(), &how).unwrap();
    (folder, store)
}

fn cache(store: &RocksStore, content: &Bytes) -> crate::Result<Digest> {
    let digest = Digester::digest(Algorithm::Sha256, content);
    let mut writer = store.begin()?;
    let mut rest = content.clone();
    while !rest.is_empty() {
        writer.append(rest.split_to(MIB.min(rest.len())))?;
    }
    writer.verify(&digest)?.unwrap().publish(Retention::Cached)?;
    Ok(digest)
}

fn go_on(_: &Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// As `du` counts: blocks, each file once.
fn du(folder: &Path) -> u64 {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        bytes += match entry.metadata() {
            Ok(about) if about.is_dir() => du(&entry.path()),
            Ok(about) => about.blocks() * 512,
            // RocksDB deleted the file after it was listed.
            Err(_) => 0,
        };
    }
    bytes
}

/// The reaper frees in its own time.
fn runs_shrink_to(store: &RocksStore, bytes: usize) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while store.usage().unwrap().run_bytes > bytes as u64 {
        assert!(Instant::now() < deadline, "forgotten and not freed");
        std::thread::yield_now();
    }
}

#[test]
fn usage_is_what_du_says() {
    let (folder, store) = store();
    for seed in 0..6 {
        put(&store, &noise(20 * MIB + 12_345, seed), MIB);
        put(&store, &noise(300_000, 100 + seed), MIB);
    }
    let first = put(&store, &noise(30 * MIB, 50), MIB);
    assert!(store.remove(&first).unwrap());
    runs_shrink_to(&store, 130 * MIB);
    let usage = store.usage().unwrap();
    let du = du(folder.path());
    assert!(usage.disk_bytes.abs_diff(du) * 50 < du, "{usage:?}, du says {du}");
    assert_eq!((usage.blobs, usage.cached_blobs), (12, 0));
    assert_eq!(usage.blob_bytes, 6 * (20 * MIB as u64 + 12_345 + 300_000));
}

#[test]
fn the_limit_holds_under_churn_and_the_least_recently_used_go() {
    let (folder, store) = limited(LIMIT_BYTES_MIN);
    let favourite = cache(&store, &noise(10 * MIB, 999)).unwrap();
    let mut first = None;
    for seed in 0..40 {
        let digest = cache(&store, &noise(20 * MIB, seed)).unwrap();
        first.get_or_insert(digest);
        assert!(store.open(&favourite).unwrap().is_some(), "it was read all the time");
        let du = du(folder.path());
        assert!(du <= LIMIT_BYTES_MIN, "{du} bytes after {seed}");
    }
    assert_eq!(store.stat(&first.unwrap()).unwrap(), None);
    let usage = store.usage().unwrap();
    assert!(usage.evicted_blobs >= 28 && usage.cached_bytes > LIMIT_BYTES_MIN / 2, "{usage:?}");
    assert!(store.verify(&mut go_on).unwrap().damage.is_empty());
}

#[test]
fn a_damaged_record_does_not_keep_others_from_being_evicted() {
    let (_folder, store) = limited(LIMIT_BYTES_MIN);
    let damaged = [1, 2].map(|seed| cache(&store, &noise(20 * MIB, seed)).unwrap());
    drop(store.open(&damaged[1]).unwrap());
    let blob = store.engine.blob_record(&damaged[1]).unwrap().unwrap();
    let mut batch = WriteBatch::default();
    let blobs = store.engine.family(BLOBS).unwrap();
    batch.put_cf(&blobs, schema::digest_key(&damaged[0]), b"lies");
    let numbers = store.engine.family(NUMBERS).unwrap();
    batch.put_cf(&numbers, blob.number.to_be_bytes(), b"lies");
    store.engine.write(batch, "planting", String::new).unwrap();
    for seed in 10..22 {
        cache(&store, &noise(30 * MIB, seed)).unwrap();
    }
    assert!(store.usage().unwrap().evicted_blobs > 0);
    assert!(matches!(store.stat(&damaged[0]), Err(StoreError::Corrupt { .. })));
}

#[test]
fn the_limit_holds_for_small_blobs() {
    let (folder, store) = limited(LIMIT_BYTES_MIN);
    for seed in 0..900 {
        cache(&store, &noise(500_000, seed)).unwrap();
        if seed % 50 == 0 {
            let du = du(folder.path());
            assert!(du <= LIMIT_BYTES_MIN, "{du} bytes after {seed}");
        }
    }
    let usage = store.usage().unwrap();
    assert!(usage.evicted_blobs > 0 && usage.cached_bytes > LIMIT_BYTES_MIN / 8, "{usage:?}");
}

#[test]
fn small_blobs_count_as_not_given_back_until_the_table_is_written_anew_without_them() {
    let (_folder, store) = store();
    let digests: Vec<Digest> =
        (0..40).map(|seed| put(&store, &noise(100_000, seed), MIB)).collect();
    let deadline = Instant::now() + Duration::from_mins(1);
    let until = |is_so: &dyn Fn() -> bool| {
        while !is_so() {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
    };
    // A snapshot keeps RocksDB from dropping deletions, as a disk without room does.
    let reader = store.engine.db().snapshot();
    for digest in &digests {
        assert!(store.remove(digest).unwrap());
    }
    until(&|| store.engine.small_heap(0) >= 40 * 100_000);
    evict::give_back_small(&store.engine, 1).unwrap();
    assert!(store.engine.small_heap(0) >= 40 * 100_000);
    drop(reader);
    until(&|| {
        evict::give_back_small(&store.engine, 1).unwrap();
        store.engine.small_heap(0) == 0
    });
}

#[test]
fn what_is_kept_read_or_pending_is_never_evicted_and_the_store_says_full() {
    let (_folder, store) = limited(LIMIT_BYTES_MIN);
    let kept = put(&store, &noise(60 * MIB, 1), MIB);
    let read = cache(&store, &noise(60 * MIB, 2)).unwrap();
    let reader = store.open(&read).unwrap().unwrap();
    let mut pending = store.begin().unwrap();
    for _ in 0..40 {
        pending.append(noise(MIB, 3)).unwrap();
    }
    let refused = cache(&store, &noise(200 * MIB, 4)).unwrap_err();
    assert!(matches!(refused, StoreError::Full { .. }), "{refused}");
    assert_eq!(read_all(reader), noise(60 * MIB, 2));
    assert!(store.stat(&kept).unwrap().is_some() && store.stat(&read).unwrap().is_some());
    drop(pending);
    runs_shrink_to(&store, 130 * MIB);
    // Its last reader is gone, so now it goes.
    if let Err(error) = cache(&store, &noise(150 * MIB, 5)) {
        panic!("{error}: {:?} {:?}", store.usage().unwrap(), store.engine.space);
    }
    assert_eq!(store.stat(&read).unwrap(), None);
}

fn owe(store: &RocksStore, content: &Bytes, repo: &RepoName, id: u64) -> Delivery {
    let digest = Digester::digest(Algorithm::Sha256, content);
    let mut writer = store.begin().unwrap();
    writer.append(content.clone()).unwrap();
    writer.verify(&digest).unwrap().unwrap().publish_pending(&errand(repo, id)).unwrap()
}

#[test]
fn what_is_owed_is_not_evicted_until_it_is_delivered() {
    let (_folder, store) = limited(LIMIT_BYTES_MIN);
    let (one, other): (RepoName, RepoName) = ("one".parse().unwrap(), "other".parse().unwrap());
    let content = noise(30 * MIB, 1);
    // Cached before, pending from now on.
    let digest = cache(&store, &content).unwrap();
    store.link_blob(&other, &digest).unwrap();
    let delivery = owe(&store, &content, &one, 1);
    let small = owe(&store, &noise(1000, 2), &one, 2);
    for seed in 10..40 {
        cache(&store, &noise(20 * MIB, seed)).unwrap();
    }
    assert!(store.usage().unwrap().evicted_blobs > 0);
    store.evict(&Eviction::DownTo { disk_bytes: 0 }, &mut go_on).unwrap();
    store.evict(&Eviction::UnusedSince { ms: u64::MAX / 1000 }, &mut go_on).unwrap();
    store.evict(&Eviction::Repository(one.clone()), &mut go_on).unwrap();
    assert_eq!(read_all(store.open(&digest).unwrap().unwrap()), content);
    assert!(store.stat(&small.digest).unwrap().is_some());
    assert!(store.has_blob(&one, &digest).unwrap() && store.has_blob(&one, &small.digest).unwrap());
    assert_eq!(store.deliveries().unwrap().len(), 2);
    let found = store.verify(&mut go_on).unwrap();
    assert!(found.damage.is_empty(), "{found:?}");
    assert_eq!(store.usage().unwrap().cached_blobs, 0);
    assert!(store.delivered(&delivery).unwrap());
    assert_eq!(store.usage().unwrap().cached_blobs, 1);
    store.evict(&Eviction::DownTo { disk_bytes: 0 }, &mut go_on).unwrap();
    assert_eq!(store.stat(&digest).unwrap(), None);
    assert!(store.stat(&small.digest).unwrap().is_some());
    let found = store.verify(&mut go_on).unwrap();
    assert!(found.damage.is_empty(), "{found:?}");
}

#[test]
fn a_kept_blob_that_was_owed_stays_kept() {
    let (_folder, store) = store();
    let repo: RepoName = "one".parse().unwrap();
    let content = noise(3 * MIB, 7);
    put(&store, &content, MIB);
    let delivery = owe(&store, &content, &repo, 1);
    assert!(store.delivered(&delivery).unwrap());
    assert_eq!(store.usage().unwrap().cached_blobs, 0);
    // First pending, then kept.
    let content = noise(3 * MIB, 8);
    let delivery = owe(&store, &content, &repo, 2);
    put(&store, &content, MIB);
    cache(&store, &content).unwrap();
    assert_eq!(store.deliveries().unwrap(), std::slice::from_ref(&delivery));
    assert!(store.delivered(&delivery).unwrap());
    assert_eq!(store.usage().unwrap().cached_blobs, 0);
    assert!(store.verify(&mut go_on).unwrap().damage.is_empty());
}

#[test]
fn what_is_owed_and_lies_goes_into_quarantine_and_stays_owed() {
    let (_folder, store) = store();
    let repo: RepoName = "one".parse().unwrap();
    let (content, other) = (noise(MIB, 1), noise(MIB, 2));
    let delivery = owe(&store, &content, &repo, 1);
    let source = store.engine.blob_record(&put(&store, &other, MIB)).unwrap().unwrap();
    let blob = store.engine.blob_record(&delivery.digest).unwrap().unwrap();
    let segment = |number| schema::segment_key(number, 1);
    let bytes = store.engine.get(&source.place.family(), &segment(source.number)).unwrap().unwrap();
    let mut batch = WriteBatch::default();
    let family = store.engine.family(&blob.place.family()).unwrap();
    batch.put_cf(&family, segment(blob.number), bytes);
    store.engine.write(batch, "planting", String::new).unwrap();
    let plan = ScrubPlan { quarantine: true, from_start: true, ..ScrubPlan::default() };
    let found = store.scrub(&plan, &mut go_on).unwrap();
    assert_eq!(found.damage.len(), 1, "{found:?}");
    assert_eq!(store.stat(&delivery.digest).unwrap(), None);
    assert_eq!(store.deliveries().unwrap(), std::slice::from_ref(&delivery));
    let again = owe(&store, &content, &repo, 2);
    assert!(store.delivered(&again).unwrap());
    assert!(store.verify(&mut go_on).unwrap().damage.is_empty());
}

#[test]
fn what_is_owed_survives_reopening_and_its_damage_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let repo: RepoName = "one".parse().unwrap();
    let (first, second);
    {
        let store = RocksStore::open(folder.path()).unwrap();
        first = owe(&store, &noise(3 * MIB, 1), &repo, 1);
        second = owe(&store, &noise(300, 2), &repo, 2);
    }
    let store = RocksStore::open(folder.path()).unwrap();
    let mut owed = store.deliveries().unwrap();
    owed.sort_by_key(|delivery| delivery.errand.id);
    assert_eq!(owed, [first.clone(), second]);
    // A pending blob without a delivery would never be evicted.
    let mut batch = WriteBatch::default();
    let key = schema::holder_key(&first.digest, &repo);
    batch.delete_cf(&store.engine.family(JOURNAL).unwrap(), key);
    store.engine.write(batch, "planting", String::new).unwrap();
    assert_eq!(store.verify(&mut go_on).unwrap().damage.len(), 1);
}

#[test]
fn a_kept_blob_stays_kept_whoever_publishes_it_again() {
    let (_folder, store) = store();
    let content = noise(3 * MIB, 7);
    cache(&store, &content).unwrap();
    assert_eq!(store.usage().unwrap().cached_blobs, 1);
    put(&store, &content, MIB);
    cache(&store, &content).unwrap();
    let usage = store.usage().unwrap();
    assert_eq!((usage.blobs, usage.cached_blobs, usage.cached_bytes), (1, 0, 0));
    assert!(store.verify(&mut go_on).unwrap().damage.is_empty());
}

#[test]
fn evicting_for_one_repository_leaves_what_another_has() {
    let (_folder, store) = store();
    let (one, other): (RepoName, RepoName) = ("one".parse().unwrap(), "other".parse().unwrap());
    let (shared, own) = (noise(2 * MIB, 1), noise(2 * MIB, 2));
    let (shared, own) = (cache(&store, &shared).unwrap(), cache(&store, &own).unwrap());
    for (repo, digest) in [(&one, &shared), (&other, &shared), (&one, &own)] {
        store.link_blob(repo, digest).unwrap();
    }
    let evicted = store.evict(&Eviction::Repository(one.clone()), &mut go_on).unwrap();
    assert_eq!((evicted.blobs, evicted.links), (1, 2));
    assert_eq!(store.stat(&own).unwrap(), None);
    assert!(store.stat(&shared).unwrap().is_some());
    assert!(store.has_blob(&other, &shared).unwrap() && !store.has_blob(&one, &shared).unwrap());
    assert!(store.unlink_blob(&other, &shared).unwrap());
    assert_eq!(store.stat(&shared).unwrap(), None);
}

#[test]
fn what_nobody_used_since_a_moment_goes_on_request() {
    let (_folder, store) = store();
    let old = cache(&store, &noise(2 * MIB, 1)).unwrap();
    let used = cache(&store, &noise(2 * MIB, 2)).unwrap();
    let before = super::recency::now_ms() + 1;
    while super::recency::now_ms() <= before {
        std::thread::yield_now();
    }
    drop(store.open(&used).unwrap());
    let evicted = store.evict(&Eviction::UnusedSince { ms: before }, &mut go_on).unwrap();
    assert_eq!(evicted.blobs, 1);
    assert_eq!(store.stat(&old).unwrap(), None);
    assert!(store.stat(&used).unwrap().is_some());
    store.evict(&Eviction::DownTo { disk_bytes: 0 }, &mut go_on).unwrap();
    assert_eq!(store.usage().unwrap().cached_blobs, 0);
}

#[test]
fn a_scrub_that_is_stopped_goes_on_and_puts_what_lies_into_quarantine() {
    let (_folder, store) = store();
    let digests: Vec<Digest> = (0..5).map(|seed| put(&store, &noise(MIB, seed), MIB)).collect();
    // A record with the number of another blob: only hashing finds it.
    let (a, b) = (store.engine.blob_record(&digests[1]).unwrap().unwrap(), &digests[2]);
    let b_located = store.engine.blob_record(b).unwrap().unwrap();
    let mut batch = WriteBatch::default();
    let segment = |number| schema::segment_key(number, 1);
    let family = store.engine.family(&b_located.place.family()).unwrap();
    let bytes = store.engine.get(&a.place.family(), &segment(a.number)).unwrap().unwrap();
    batch.put_cf(&family, segment(b_located.number), bytes);
    store.engine.write(batch, "planting", String::new).unwrap();

    let plan = ScrubPlan { quarantine: true, ..ScrubPlan::default() };
    let mut blobs = 0;
    let stopped = store.scrub(&plan, &mut |progress| {
        blobs = progress.done;
        if blobs == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let stopped = stopped.unwrap();
    assert_eq!((stopped.complete, stopped.blobs), (false, 2));
    let rest = store.scrub(&plan, &mut go_on).unwrap();
    assert!(rest.complete && rest.blobs == 3, "{rest:?}");
    assert_eq!(rest.damage.len(), 1);
    assert_eq!((rest.damage[0].digest, rest.damage[0].quarantined), (Some(*b), true));
    assert_eq!(store.stat(b).unwrap(), None);
    assert_eq!(store.usage().unwrap().quarantined_blobs, 1);
    put(&store, &noise(MIB, 2), MIB);
    assert_eq!(read_all(store.open(b).unwrap().unwrap()), noise(MIB, 2));
    assert!(store.verify(&mut go_on).unwrap().damage.is_empty());
    assert_eq!(store.evict(&Eviction::Quarantined, &mut go_on).unwrap().blobs, 1);
    assert_eq!(store.usage().unwrap().quarantined_blobs, 0);
}

#[test]
fn a_store_whose_sums_cannot_be_read_counts_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (large, small) = (noise(3 * MIB, 1), noise(1000, 2));
    let digest;
    {
        let store = RocksStore::open(folder.path()).unwrap();
        digest = put(&store, &large, MIB);
        put(&store, &small, MIB);
        let mut batch = WriteBatch::default();
        let meta = store.engine.family(META).unwrap();
        batch.put_cf(&meta, TOTALS, b"lies");
        batch.put_cf(&meta, schema::NEXT_NUMBER, b"lies");
        store.engine.write(batch, "planting", String::new).unwrap();
    }
    let store = RocksStore::open(folder.path()).unwrap();
    assert_eq!(store.usage().unwrap().blobs, 2);
    assert_eq!(read_all(store.open(&digest).unwrap().unwrap()), large);
    let third = put(&store, &noise(3 * MIB, 3), MIB);
    assert_eq!(read_all(store.open(&third).unwrap().unwrap()), noise(3 * MIB, 3));
    assert!(store.verify(&mut go_on).unwrap().damage.is_empty());
}

#[test]
fn a_backup_of_a_store_in_use_is_restored_as_it_was() {
    let (_folder, store) = store();
    let content = noise(70 * MIB, 1);
    let digest = put(&store, &content, MIB);
    let mut pending = store.begin().unwrap();
    pending.append(noise(80 * MIB, 2)).unwrap();
    let place = tempfile::tempdir().unwrap();
    let backup = place.path().join("backup");
    let copied = store.backup(&backup).unwrap();
    assert!(copied.bytes > 70 * MIB as u64);
    assert!(matches!(store.backup(&backup), Err(StoreError::Exists { .. })));
    assert!(store.remove(&digest).unwrap());
    drop((pending, store));
    let restored = place.path().join("restored");
    RocksStore::restore(&backup, &restored, &mut go_on).unwrap();
    let store = RocksStore::open(&restored).unwrap();
    assert_eq!(read_all(store.open(&digest).unwrap().unwrap()), content);
    assert!(store.verify(&mut go_on).unwrap().damage.is_empty());
    let usage = store.usage().unwrap();
    assert!(usage.run_bytes < 75 * MIB as u64, "the pending blob is gone: {usage:?}");
    let nothing = RocksStore::restore(place.path(), &place.path().join("x"), &mut go_on);
    assert!(matches!(nothing, Err(StoreError::NoStore { .. })));
}

#[test]
fn a_limit_that_is_too_small_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let how = StoreOptions { limit_bytes: Some(1000), ..StoreOptions::default() };
    let refused = RocksStore::open_with(folder.path(), &how).unwrap_err();
    assert!(matches!(refused, StoreError::LimitTooSmall { .. }), "{refused}");
}

#[test]
fn what_was_just_written_is_read_from_memory() {
    let (_folder, store) = store();
    let content = noise(8 * SEGMENT_BYTES, 3);
    let digest = put(&store, &content, MIB);
    assert!(store.usage().unwrap().hot_bytes >= content.len() as u64);
    assert_eq!(read_all(store.open(&digest).unwrap().unwrap()), content);
    assert!(store.remove(&digest).unwrap());
}
