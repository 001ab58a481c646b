//! Content that broke off: what is laid down is gone on with, and is in nobody's way.

use std::path::Path;

use bytes::Bytes;
use wharf_oci::{Algorithm, Digest, Digester};
use wharf_store::contract::noise;
use wharf_store::limits::{PARTS_MAX, SEGMENT_BYTES};
use wharf_store::{
    BlobStore, Eviction, PartKey, PartStore, ResumedPart, Retention, RocksStore, StoreOptions,
    Usage,
};

use crate::ground::{MIB, digest_of, go_on, hash_of, publish};

fn key(digest: Digest) -> PartKey {
    PartKey { source: "https://contoso.azurecr.io".to_owned(), digest }
}

/// Lays down the begin of this content.
fn lay_down(store: &RocksStore, content: &Bytes, bytes: usize) -> PartKey {
    let key = key(digest_of(content));
    let mut writer = store.begin().unwrap();
    writer.append(content.slice(..bytes)).unwrap();
    writer.lay_down(key.clone(), content.len() as u64).unwrap();
    key
}

fn usage(store: &RocksStore) -> Usage {
    store.usage().unwrap()
}

fn open(folder: &Path) -> RocksStore {
    RocksStore::open(folder).unwrap()
}

#[test]
fn a_part_is_gone_on_with_from_its_last_whole_segment_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for (segments, seed) in [(1, 1), (2, 2), (9, 3), (200, 4)] {
        let content = noise((segments + 3) * SEGMENT_BYTES + 5, seed);
        let key = lay_down(&store, &content, segments * SEGMENT_BYTES + 77);
        assert_eq!(usage(&store).parts, 1);
        assert!(usage(&store).part_bytes >= (segments * SEGMENT_BYTES) as u64);
        let elsewhere = PartKey { source: "https://other".to_owned(), ..key.clone() };
        assert!(store.take_up(&elsewhere).unwrap().is_none(), "another one may say another thing");
        let ResumedPart { mut writer, size_bytes } = store.take_up(&key).unwrap().unwrap();
        assert_eq!(
            (writer.size_bytes(), size_bytes),
            ((segments * SEGMENT_BYTES) as u64, content.len() as u64)
        );
        assert!(store.take_up(&key).unwrap().is_none());
        writer.append(content.slice(segments * SEGMENT_BYTES..)).unwrap();
        writer.verify(&key.digest).unwrap().unwrap().publish(Retention::Cached).unwrap();
        assert_eq!(hash_of(&store, &key.digest).unwrap(), Some(key.digest));
    }
    assert_eq!((usage(&store).parts, usage(&store).part_bytes), (0, 0));
}

#[test]
fn a_part_hashes_as_it_was_begun_and_may_be_laid_down_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let content = noise(6 * SEGMENT_BYTES, 5);
    let key = key(Digester::digest(Algorithm::Sha512, &content));
    let mut writer = store.begin().unwrap().hashing(Algorithm::Sha512);
    for segments in [2, 4] {
        writer
            .append(content.slice((segments - 2) * SEGMENT_BYTES..segments * SEGMENT_BYTES))
            .unwrap();
        writer.lay_down(key.clone(), content.len() as u64).unwrap();
        writer = store.take_up(&key).unwrap().unwrap().writer;
        assert_eq!(writer.size_bytes(), (segments * SEGMENT_BYTES) as u64);
    }
    writer.append(content.slice(4 * SEGMENT_BYTES..)).unwrap();
    writer.verify(&key.digest).unwrap().unwrap().publish(Retention::Cached).unwrap();
    assert_eq!(hash_of(&store, &key.digest).unwrap(), Some(key.digest));
}

#[test]
fn less_than_a_segment_leaves_nothing_and_there_are_so_many_parts_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let small = noise(SEGMENT_BYTES + 1, 6);
    let key = lay_down(&store, &small, SEGMENT_BYTES - 1);
    assert!(store.take_up(&key).unwrap().is_none());
    let first = lay_down(&store, &noise(3 * SEGMENT_BYTES, 0), SEGMENT_BYTES);
    for seed in 1..=PARTS_MAX as u64 {
        lay_down(&store, &noise(3 * SEGMENT_BYTES, 1_000 + seed), SEGMENT_BYTES);
    }
    assert_eq!(usage(&store).parts, PARTS_MAX as u64);
    assert!(store.take_up(&first).unwrap().is_none(), "the oldest goes");
}

#[test]
fn parts_go_before_anything_that_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions { limit_bytes: Some(256 * MIB as u64), ..StoreOptions::default() };
    let store = RocksStore::open_with(folder.path(), &options).unwrap();
    let whole = publish(&store, &noise(20 * MIB, 7), Retention::Cached).unwrap();
    // An eighth of the limit for all.
    let parts: Vec<_> = (0..3).map(|seed| noise(16 * MIB, 10 + seed)).collect();
    let keys: Vec<_> = parts.iter().map(|content| lay_down(&store, content, 15 * MIB)).collect();
    assert_eq!(usage(&store).parts, 2);
    assert!(store.take_up(&keys[0]).unwrap().is_none());
    let down = Eviction::DownTo { disk_bytes: usage(&store).disk_bytes - MIB as u64 };
    let evicted = store.evict(&down, &mut go_on).unwrap();
    assert_eq!((evicted.blobs, usage(&store).parts), (0, 1));
    for seed in 0..25 {
        publish(&store, &noise(10 * MIB, 100 + seed), Retention::Kept).unwrap();
        if usage(&store).parts == 0 {
            break;
        }
    }
    assert_eq!((usage(&store).parts, usage(&store).evicted_blobs), (0, 0));
    assert_eq!(hash_of(&store, &whole).unwrap(), Some(whole));
}

#[test]
fn a_store_with_parts_closes_and_the_next_start_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let content = noise(8 * MIB, 8);
    let key = {
        let store = open(folder.path());
        lay_down(&store, &content, 7 * MIB)
    };
    let store = open(folder.path());
    assert!(store.take_up(&key).unwrap().is_none());
    assert_eq!((usage(&store).parts, usage(&store).run_bytes), (0, 0));
}
