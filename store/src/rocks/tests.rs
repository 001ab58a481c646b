//! The contract on every store, and the tests of the store on disk alone.

use std::process::Command;

use bytes::Bytes;
use proptest::prelude::*;
use wharf_oci::{Algorithm, Digester, Span};

use super::RocksStore;
use crate::blob::BlobStore;
use crate::blob_info::Retention;
use crate::contract::{self, noise, put, read_all};
use crate::fault::{FaultStore, Operation};
use crate::limits::{RUN_SEGMENTS_MAX, SEGMENT_BYTES};
use crate::memory::MemoryStore;
use crate::{ManifestStore, NewUpload, StoreError, StoreOptions, UploadStore};

fn store() -> (tempfile::TempDir, RocksStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = RocksStore::open(folder.path()).unwrap();
    (folder, store)
}

#[test]
fn a_probe_writes_and_leaves_nothing_behind() {
    let (folder, store) = store();
    store.probe().unwrap();
    assert!(store.engine.get(super::META, super::PROBE).unwrap().is_none());
    let found = store.verify(&mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    assert!(found.complete && found.damage.is_empty(), "{found:?}");
    drop(store);
    RocksStore::open(folder.path()).unwrap().probe().unwrap();
    let (folder, store) = self::store();
    std::fs::remove_dir_all(folder.path()).unwrap();
    assert!(matches!(store.probe(), Err(StoreError::Io { .. })));
}

/// Bytes in run files, ingested or not.
fn run_bytes(store: &RocksStore) -> u64 {
    let files = store.engine.db().live_files().unwrap();
    files
        .iter()
        .filter(|file| file.column_family_name.starts_with("epoch"))
        .map(|file| file.size as u64)
        .sum()
}

/// The seeds of the fuzz target `uploads`, and random input, on both stores.
#[test]
fn any_acts_leave_uploads_as_the_model_says() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/uploads");
    let files = std::fs::read_dir(folder).unwrap();
    let mut inputs: Vec<_> =
        files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(!inputs.is_empty());
    inputs.extend((0..8).map(|seed| noise(120, seed).to_vec()));
    let folder = tempfile::tempdir().unwrap();
    let rocks = RocksStore::open(folder.path()).unwrap();
    for input in &inputs {
        contract::acts::uploads(&rocks, input);
        contract::acts::uploads(&MemoryStore::default(), input);
    }
}

/// Random input, on both stores; afterwards the records agree.
#[test]
fn any_acts_leave_what_names_a_digest_as_the_model_says() {
    let folder = tempfile::tempdir().unwrap();
    let rocks = RocksStore::open(folder.path()).unwrap();
    for seed in 0..24 {
        let input = noise(160, seed);
        contract::parents::acts(&rocks, &input);
        contract::parents::acts(&MemoryStore::default(), &input);
        let found = rocks.verify(&mut |_| std::ops::ControlFlow::Continue(())).unwrap();
        assert!(found.complete && found.damage.is_empty(), "{found:?}");
    }
}

#[test]
fn every_store_keeps_the_contract() {
    let (_folder, rocks) = store();
    contract::blobs(&rocks);
    contract::manifests(&rocks);
    contract::links(&rocks);
    contract::deliveries(&rocks);
    contract::uploads(&rocks);
    let memory = MemoryStore::default();
    contract::blobs(&memory);
    contract::manifests(&memory);
    contract::links(&memory);
    contract::deliveries(&memory);
    contract::uploads(&memory);
    contract::blobs(&FaultStore::new(memory.clone()));
    contract::uploads(&FaultStore::new(memory));
    let (_folder, rocks) = store();
    let rocks = FaultStore::new(rocks);
    contract::blobs(&rocks);
    contract::uploads(&rocks);
}

#[test]
fn a_failed_operation_publishes_nothing_and_the_next_try_succeeds() {
    let (_folder, rocks) = store();
    let store = FaultStore::new(rocks);
    let content = noise(8 * SEGMENT_BYTES, 1);
    let digest = Digester::digest(Algorithm::Sha256, &content);
    store.fail_after(Operation::Put, 4);
    let mut writer = store.begin().unwrap();
    assert!(matches!(writer.append(content.clone()), Err(StoreError::Injected { .. })));
    drop(writer);
    store.fail_after(Operation::Publish, 0);
    let mut writer = store.begin().unwrap();
    writer.append(content.clone()).unwrap();
    assert!(writer.verify(&digest).unwrap().unwrap().publish(Retention::Kept).is_err());
    assert_eq!(store.stat(&digest).unwrap(), None);
    put(&store, &content, 4096);
    assert_eq!(read_all(store.open(&digest).unwrap().unwrap()), content);
}

#[test]
fn an_upload_whose_run_or_rest_fails_is_forgotten_and_made_again() {
    let (_folder, rocks) = store();
    let store = FaultStore::new(rocks);
    let content = noise((RUN_SEGMENTS_MAX + 2) * SEGMENT_BYTES, 13);
    let digest = Digester::digest(Algorithm::Sha256, &content);
    let (id, repo) = (wharf_oci::UploadId::from_u128(9), "acme/base".parse().unwrap());
    store.fail_after(Operation::EndRun, 0);
    let mut writer = store.begin_upload(NewUpload::unowned(id, &repo)).unwrap();
    assert!(matches!(writer.append(content.clone()), Err(StoreError::Injected { .. })));
    drop(writer);
    assert!(store.resume_upload(id).unwrap().is_none());
    store.fail_after(Operation::Suspend, 0);
    let mut writer = store.begin_upload(NewUpload::unowned(id, &repo)).unwrap();
    writer.append(content.slice(..1000)).unwrap();
    assert!(writer.suspend().is_err());
    assert!(store.resume_upload(id).unwrap().is_none());
    let mut writer = store.begin_upload(NewUpload::unowned(id, &repo)).unwrap();
    writer.append(content.clone()).unwrap();
    writer.verify(&digest).unwrap().unwrap().publish(Retention::Kept).unwrap();
    assert_eq!(read_all(store.open(&digest).unwrap().unwrap()), content);
    assert_eq!(store.saved_uploads().unwrap(), []);
}

#[test]
fn published_content_survives_reopening_and_abandoned_content_is_freed() {
    let folder = tempfile::tempdir().unwrap();
    let large = noise((RUN_SEGMENTS_MAX + 3) * SEGMENT_BYTES, 2);
    let small = noise(1000, 3);
    let (large_digest, small_digest, before);
    {
        let store = RocksStore::open(folder.path()).unwrap();
        large_digest = put(&store, &large, 1 << 20);
        small_digest = put(&store, &small, 100);
        before = run_bytes(&store);
        assert!(before >= large.len() as u64);
        // Two runs are ingested, nothing is published: as after a crash, because the reaper is gone.
        let mut writer = store.begin().unwrap();
        writer.append(noise((2 * RUN_SEGMENTS_MAX + 1) * SEGMENT_BYTES, 4)).unwrap();
        std::mem::forget(writer);
        assert!(run_bytes(&store) > before);
        // The forgotten writer keeps the database open, so the test cannot reopen this store.
        let copy = tempfile::tempdir().unwrap();
        copy_store(folder.path(), copy.path());
        let store = RocksStore::open(copy.path()).unwrap();
        assert_eq!(run_bytes(&store), before);
        assert_eq!(read_all(store.open(&large_digest).unwrap().unwrap()), large);
        assert_eq!(read_all(store.open(&small_digest).unwrap().unwrap()), small);
        assert_eq!(std::fs::read_dir(copy.path().join("incoming")).unwrap().count(), 0);
    }
}

#[test]
fn an_upload_of_a_killed_process_goes_on_at_the_border_of_its_last_run() {
    let folder = tempfile::tempdir().unwrap();
    let content = noise((2 * RUN_SEGMENTS_MAX + 9) * SEGMENT_BYTES + 77, 11);
    let border = RUN_SEGMENTS_MAX * SEGMENT_BYTES;
    let id = wharf_oci::UploadId::from_u128(5);
    let store = RocksStore::open(folder.path()).unwrap();
    let mut writer =
        store.begin_upload(NewUpload::unowned(id, &"acme/base".parse().unwrap())).unwrap();
    for (sent, least) in [(1000, 0), (border + 1000, border), (2 * border + 1000, border + 1)] {
        let from = usize::try_from(writer.size_bytes()).unwrap();
        writer.append(content.slice(from..sent)).unwrap();
        // A thread of its own ends a run.
        let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
        while store.engine.saved_offset(id) < least as u64 {
            assert!(std::time::Instant::now() < deadline, "{sent} bytes and no border");
            std::thread::yield_now();
        }
        let copy = tempfile::tempdir().unwrap();
        copy_store(folder.path(), copy.path());
        let killed = RocksStore::open(copy.path()).unwrap();
        let saved = killed.saved_uploads().unwrap();
        assert_eq!(saved.len(), 1);
        let durable = usize::try_from(saved[0].offset).unwrap();
        // Under memory pressure, here in the third round, runs end early.
        assert!(durable >= least && durable <= sent && durable.is_multiple_of(SEGMENT_BYTES));
        let mut resumed = killed.resume_upload(id).unwrap().unwrap();
        assert!(killed.resume_upload(id).unwrap().is_none(), "it is open");
        resumed.append(content.slice(durable..)).unwrap();
        let digest = Digester::digest(Algorithm::Sha256, &content);
        resumed.verify(&digest).unwrap().unwrap().publish(Retention::Kept).unwrap();
        assert_eq!(read_all(killed.open(&digest).unwrap().unwrap()), content);
    }
}

#[test]
fn a_writer_that_settled_holds_no_memory_and_its_upload_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let content = noise(5 * SEGMENT_BYTES + 77, 21);
    let digest = Digester::digest(Algorithm::Sha256, &content);
    let id = wharf_oci::UploadId::from_u128(6);
    let store = RocksStore::open(folder.path()).unwrap();
    let mut writer =
        store.begin_upload(NewUpload::unowned(id, &"acme/base".parse().unwrap())).unwrap();
    // A blob of few segments is in a run, too.
    for end in [SEGMENT_BYTES, 3 * SEGMENT_BYTES + 100] {
        let start = usize::try_from(writer.size_bytes()).unwrap();
        writer.append(content.slice(start..end)).unwrap();
        assert!(store.in_flight_bytes() > 0);
        writer.flush_run().unwrap();
        assert_eq!(store.in_flight_bytes(), 0);
        assert!(run_bytes(&store) >= (end / SEGMENT_BYTES * SEGMENT_BYTES) as u64);
    }
    assert_eq!(writer.in_flight().read_stored(0).unwrap(), content.slice(..SEGMENT_BYTES));
    let copy = tempfile::tempdir().unwrap();
    copy_store(folder.path(), copy.path());
    let killed = RocksStore::open(copy.path()).unwrap();
    let mut resumed = killed.resume_upload(id).unwrap().unwrap();
    assert_eq!(resumed.size_bytes(), 3 * SEGMENT_BYTES as u64);
    resumed.append(content.slice(3 * SEGMENT_BYTES..)).unwrap();
    writer.append(content.slice(3 * SEGMENT_BYTES + 100..)).unwrap();
    for (store, writer) in [(&store, writer), (&killed, resumed)] {
        let in_flight = writer.in_flight();
        let mut ready = writer.verify(&digest).unwrap().unwrap();
        ready.flush_run().unwrap();
        assert_eq!(store.in_flight_bytes(), 0);
        let last = 5 * SEGMENT_BYTES as u64;
        assert_eq!(in_flight.read_stored(last).unwrap(), content.slice(5 * SEGMENT_BYTES..));
        ready.publish(Retention::Kept).unwrap();
        assert_eq!(read_all(store.open(&digest).unwrap().unwrap()), content);
        assert_eq!(store.saved_uploads().unwrap(), []);
    }
}

#[test]
fn runs_that_were_not_saved_are_cut_off_and_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let content = noise((RUN_SEGMENTS_MAX + 9) * SEGMENT_BYTES, 12);
    let id = wharf_oci::UploadId::from_u128(6);
    let store = RocksStore::open(folder.path()).unwrap();
    let mut writer =
        store.begin_upload(NewUpload::unowned(id, &"acme/base".parse().unwrap())).unwrap();
    let key = id.as_u128().to_be_bytes();
    let saved = store.engine.get(super::schema::SESSIONS, &key).unwrap().unwrap();
    writer.append(content.slice(..RUN_SEGMENTS_MAX * SEGMENT_BYTES)).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while store.engine.saved_offset(id) == 0 {
        assert!(std::time::Instant::now() < deadline, "no border");
        std::thread::yield_now();
    }
    // The earlier record: as after a kill between the run and its record.
    let mut batch = rocksdb::WriteBatch::default();
    batch.put_cf(&store.engine.family(super::schema::SESSIONS).unwrap(), key, saved);
    store.engine.write(batch, "planting", String::new).unwrap();
    let copy = tempfile::tempdir().unwrap();
    copy_store(folder.path(), copy.path());
    let killed = RocksStore::open(copy.path()).unwrap();
    assert_eq!(run_bytes(&killed), 0);
    let mut resumed = killed.resume_upload(id).unwrap().unwrap();
    resumed.append(content.clone()).unwrap();
    let digest = Digester::digest(Algorithm::Sha256, &content);
    resumed.verify(&digest).unwrap().unwrap().publish(Retention::Kept).unwrap();
    assert_eq!(read_all(killed.open(&digest).unwrap().unwrap()), content);
    assert!(run_bytes(&killed) < content.len() as u64 + (1 << 20));
}

#[test]
fn a_store_is_closed_when_it_is_dropped_also_right_after_a_writer_in_the_middle_of_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let content = noise((RUN_SEGMENTS_MAX + 9) * SEGMENT_BYTES, 13);
    for _ in 0..8 {
        let store = RocksStore::open(folder.path()).unwrap();
        let mut writer = store.begin().unwrap();
        // The writer is dropped while one run becomes readable.
        writer.append(content.clone()).unwrap();
        drop(writer);
        drop(store);
    }
    let store = RocksStore::open(folder.path()).unwrap();
    assert_eq!(run_bytes(&store), 0, "nothing is left of blobs that were given up");
}

impl super::engine::Engine {
    fn saved_offset(&self, id: wharf_oci::UploadId) -> u64 {
        let key = id.as_u128().to_be_bytes();
        let value = self.get(super::schema::SESSIONS, &key).unwrap().unwrap();
        super::records::Session::decode(&key, &value).unwrap().hash.size_bytes
    }
}

/// The disk after the machine stopped: a copy of the files as they are.
fn copy_store(from: &std::path::Path, to: &std::path::Path) {
    let status = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap();
    assert!(status.success());
    let _ = std::fs::remove_file(to.join("db/LOCK"));
}

#[test]
fn removing_frees_the_disk_and_a_store_reopens_after_a_clean_close() {
    let folder = tempfile::tempdir().unwrap();
    let content = noise(3 * 64 * SEGMENT_BYTES, 5);
    let digest;
    {
        let store = RocksStore::open(folder.path()).unwrap();
        digest = put(&store, &content, 1 << 20);
        assert!(run_bytes(&store) >= content.len() as u64);
        assert!(store.remove(&digest).unwrap());
    }
    let store = RocksStore::open(folder.path()).unwrap();
    assert_eq!(run_bytes(&store), 0);
    assert_eq!(store.stat(&digest).unwrap(), None);
    let other = put(&store, &noise(64 * SEGMENT_BYTES, 6), 1 << 20);
    assert!(store.stat(&other).unwrap().is_some());
}

#[test]
fn memory_of_a_large_blob_in_flight_stays_under_the_budget() {
    let (_folder, store) = store();
    let mut writer = store.begin().unwrap();
    let in_flight = writer.in_flight();
    let piece = noise(SEGMENT_BYTES, 7);
    let mut most = 0;
    for _ in 0..1024 {
        writer.append(piece.clone()).unwrap();
        most = most.max(store.in_flight_bytes());
    }
    let slack = (crate::limits::RUN_SEGMENTS_SHORT * SEGMENT_BYTES) as u64;
    assert!(most <= crate::limits::HOT_BYTES_MAX + slack, "{most}");
    assert_eq!(in_flight.read_stored(0).unwrap(), piece);
    drop((writer, in_flight));
    assert_eq!(store.in_flight_bytes(), 0);
}

#[test]
fn segments_that_only_a_reader_has_are_told_from_those_that_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions { hot_bytes: 4 * SEGMENT_BYTES as u64, ..StoreOptions::default() };
    let store = RocksStore::open_with(folder.path(), &options).unwrap();
    let digest = put(&store, &noise(32 * SEGMENT_BYTES, 8), 1 << 20);
    let mut reader = store.open(&digest).unwrap().unwrap();
    let read: Vec<_> = std::iter::from_fn(|| reader.next_segment().unwrap()).collect();
    assert_eq!(read.len(), 32);
    let parts: Vec<_> = read.iter().map(|segment| segment.slice(..1)).collect();
    drop(read);
    // Other tests of this process add to the count, and take nothing away.
    let (read, all) = (store.read_bytes(), 32 * SEGMENT_BYTES as u64);
    assert!(read >= all / 2, "{read} of {all}: what is kept, and nothing else, is taken off");
    assert_eq!(parts.len(), 32);
}

#[test]
fn a_store_in_use_a_foreign_folder_and_a_newer_format_are_refused() {
    let (folder, store) = store();
    let again = RocksStore::open(folder.path());
    let own = std::process::id();
    assert!(
        matches!(&again, Err(StoreError::Locked { holder: Some(id), .. }) if *id == own),
        "{again:?}"
    );
    drop(store);
    std::fs::write(folder.path().join("WHARF-STORE"), "wharf store format 99\n").unwrap();
    let newer = RocksStore::open(folder.path()).unwrap_err();
    assert!(matches!(newer, StoreError::NewerFormat { found: 99, .. }));
    let foreign = tempfile::tempdir().unwrap();
    std::fs::write(foreign.path().join("file"), "x").unwrap();
    let error = RocksStore::open(foreign.path()).unwrap_err();
    assert!(matches!(error, StoreError::NotAStore { .. }));
}

#[test]
fn two_writers_of_one_digest_both_succeed() {
    let (_folder, store) = store();
    let content = noise(6 * SEGMENT_BYTES, 8);
    let digest = Digester::digest(Algorithm::Sha256, &content);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| put(&store, &content, 12_345));
        }
    });
    assert_eq!(read_all(store.open(&digest).unwrap().unwrap()), content);
    let tags = store.tags(&"a".parse().unwrap(), None, 1).unwrap();
    assert!(tags.is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_split_and_any_span_give_the_same_bytes(
        size in 0..(5 * SEGMENT_BYTES),
        pieces in proptest::collection::vec(1..(2 * SEGMENT_BYTES), 1..8),
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
    ) {
        let memory = MemoryStore::default();
        let content = noise(size, size as u64);
        let digest = Digester::digest(Algorithm::Sha256, &content);
        let mut writer = memory.begin().unwrap();
        let mut rest = content.clone();
        for piece in pieces.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let part: Bytes = rest.split_to((*piece).min(rest.len()));
            writer.append(part).unwrap();
        }
        writer.verify(&digest).unwrap().unwrap().publish(Retention::Kept).unwrap();
        let (a, b) = (from.index(size + 1), to.index(size + 1));
        if let Some(span) = Span::new(a.min(b) as u64, a.max(b) as u64) {
            let reader = memory.open(&digest).unwrap().unwrap().narrow(span);
            prop_assert_eq!(read_all(reader), content.slice(a.min(b)..a.max(b)));
        }
    }
}
