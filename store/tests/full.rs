//! A disk that is full: the store says so by that name, loses nothing, goes on reading, and writes
//! again once there is room. Each test mounts a small disk of its own, which takes root.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use wharf_oci::{Digest, RepoName, UploadId};
use wharf_store::contract::noise;
use wharf_store::limits::{BALLAST_BYTES, SEGMENT_BYTES};
use wharf_store::{
    BlobStore, Eviction, ManifestStore, NewUpload, Result, Retention, RocksStore, StoreError,
    StoreOptions, UploadStore,
};

use crate::ground::{MIB, digest_of, go_on, hash_of, publish, say, within};

/// With what a store holds for a start.
const DISK_MIB: usize = 440;
/// How long a store may take to notice that there is room again.
const RECOVERY: Duration = Duration::from_secs(30);
/// More than fits, so that a store that never says that it is full ends the test.
const WRITES_MAX: u64 = 5_000;

/// A small disk in memory; gone when dropped.
struct Disk {
    folder: tempfile::TempDir,
    /// One at a time: they are made of memory.
    _alone: MutexGuard<'static, ()>,
}

impl Disk {
    /// `None` after a loud word when this process may not mount; in CI, where it may, that fails.
    fn mount() -> Option<Self> {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={DISK_MIB}m");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &size, "wharf-full"]).arg(folder.path());
        let output = command.output();
        if output.as_ref().is_ok_and(|output| output.status.success()) {
            return Some(Self { folder, _alone: alone });
        }
        let why = output.map_or_else(
            |error| error.to_string(),
            |output| String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        let root = rustix::process::getuid().is_root();
        assert!(!(root && std::env::var_os("CI").is_some()), "no disk could be mounted: {why}");
        say(&format!("SKIPPED: no disk can be mounted ({}); full disks NOT tested", why.trim()));
        None
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Another program takes all that is left.
    fn fill(&self) -> PathBuf {
        let path = self.folder.path().join("other");
        let mut file = std::fs::File::create(&path).unwrap();
        for piece in [vec![1; MIB], vec![1; 4096]] {
            loop {
                match file.write_all(&piece) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A store that a failed test still holds must not keep the disk mounted.
        let _ = Command::new("umount").arg("--lazy").arg(self.folder.path()).status();
    }
}

fn open(folder: &Path) -> RocksStore {
    let options = StoreOptions { hot_bytes: 8 * MIB as u64, ..StoreOptions::default() };
    RocksStore::open_with(folder, &options).expect("open")
}

/// Sizes of blobs on both sides of the small border, in turn.
fn content(index: u64) -> Bytes {
    let sizes = [1000, 9 * MIB, SEGMENT_BYTES + 1, 2 * MIB + 5, 30_000, 17 * MIB];
    noise(sizes[usize::try_from(index).unwrap() % sizes.len()], index + 1)
}

fn is_full<T>(result: &Result<T>) -> bool {
    matches!(result, Err(StoreError::Full { .. }))
}

fn all_are_there(store: &RocksStore, published: &[Digest]) {
    for digest in published {
        assert_eq!(hash_of(store, digest).expect("read"), Some(*digest));
    }
}

/// Opens it again: nothing is lost, nothing is damaged.
fn all_are_there_after_reopening(folder: &Path, published: &[Digest]) {
    let store = open(folder);
    all_are_there(&store, published);
    let verified = store.verify(&mut go_on).expect("verify");
    assert!(verified.complete && verified.damage.is_empty(), "{verified:?}");
}

/// Publishes kept blobs of these sizes until the store is full.
fn write_until_full(store: &RocksStore, content: impl Fn(u64) -> Bytes) -> Vec<Digest> {
    let mut published = Vec::new();
    for index in 0..WRITES_MAX {
        let content = content(index);
        match publish(store, &content, Retention::Kept) {
            Ok(digest) => published.push(digest),
            Err(StoreError::Full { .. }) => {
                assert_eq!(store.stat(&digest_of(&content)).expect("stat"), None);
                return published;
            }
            Err(error) => panic!("a full disk is not called full: {error:?}"),
        }
    }
    panic!("{WRITES_MAX} blobs fit onto a disk of {DISK_MIB} MiB");
}

fn remove_all(store: &RocksStore, digests: &[Digest]) {
    for digest in digests {
        assert!(store.remove(digest).expect("remove"));
    }
}

/// Publishes what fits again, as soon as the store has noticed.
fn publish_within(store: &RocksStore, content: &Bytes, since: &str) -> Digest {
    within(RECOVERY, || match publish(store, content, Retention::Kept) {
        Ok(_) => Ok(()),
        Err(StoreError::Full { .. }) => Err(format!("still full although {since}")),
        Err(error) => panic!("although {since}: {error:?}"),
    });
    digest_of(content)
}

#[test]
fn kept_blobs_fill_a_disk_and_none_is_lost() {
    let Some(disk) = Disk::mount() else {
        return;
    };
    let store = open(&disk.store());
    let mut published = write_until_full(&store, content);
    let bytes: u64 = published.iter().map(|d| store.stat(d).unwrap().unwrap().size_bytes).sum();
    assert!(bytes > (DISK_MIB * MIB / 2) as u64, "full with {bytes} bytes");
    let small = write_until_full(&store, |index| noise(100_000, 10_000 + index));
    all_are_there(&store, &published);
    all_are_there(&store, &small);
    // What is said of blobs is small and still has its room.
    let repo: RepoName = "acme/base".parse().unwrap();
    store.link_blob(&repo, &published[0]).expect("link");
    let upload = store.begin_upload(NewUpload::unowned(UploadId::from_u128(1), &repo)).and_then(
        |mut writer| {
            writer.append(content(5))?;
            writer.suspend()
        },
    );
    assert!(is_full(&upload), "{upload:?}");
    all_are_there(&store, &published);
    remove_all(&store, &small);
    let after_small = noise(small.len() * 100_000 / 2, 99_998);
    published.push(publish_within(&store, &after_small, "all small blobs were removed"));
    let removed = published.split_off(published.len() / 2);
    remove_all(&store, &removed);
    let late = noise(20 * MIB, 99_999);
    published.push(publish_within(&store, &late, "half of the blobs were removed"));
    drop(store);
    all_are_there_after_reopening(&disk.store(), &published);
}

#[test]
fn cached_blobs_make_room_and_writes_go_on() {
    let Some(disk) = Disk::mount() else {
        return;
    };
    let store = open(&disk.store());
    let kept: Vec<Digest> = (0..12)
        .map(|index| publish(&store, &content(index), Retention::Kept).expect("publish"))
        .collect();
    let mut written = 0;
    for index in 1_000..WRITES_MAX {
        let content = content(index);
        written += content.len();
        let digest = publish(&store, &content, Retention::Cached).expect("what is cached leaves");
        assert_eq!(hash_of(&store, &digest).expect("read"), Some(digest));
        if written > 3 * DISK_MIB * MIB {
            break;
        }
    }
    all_are_there(&store, &kept);
    assert!(store.usage().expect("usage").evicted_blobs > 0);
    drop(store);
    all_are_there_after_reopening(&disk.store(), &kept);
}

/// Everything that writes, each done or refused because the disk is full; how often it was refused.
fn write_in_every_way(store: &RocksStore, index: u64, published: &mut Vec<Digest>) -> u64 {
    let repo: RepoName = "acme/base".parse().unwrap();
    let mut refused = 0;
    let mut judge = |what: &str, result: Result<()>| match result {
        Ok(()) => {}
        Err(StoreError::Full { .. }) => refused += 1,
        Err(error) => panic!("{what} on a full disk: {error:?}"),
    };
    for (size, retention) in
        [(3 * MIB, Retention::Kept), (5_000, Retention::Kept), (2 * MIB, Retention::Cached)]
    {
        let content = noise(size, 1_000_000 + index * 10 + size as u64);
        let result = publish(store, &content, retention);
        if let (Ok(digest), Retention::Kept) = (&result, retention) {
            published.push(*digest);
        }
        judge("publishing", result.map(|_| ()));
    }
    judge("linking", store.link_blob(&repo, &digest_of(&index.to_be_bytes())));
    let upload = UploadId::from_u128(u128::from(index));
    let rests = store.begin_upload(NewUpload::unowned(upload, &repo)).and_then(|mut writer| {
        writer.append(noise(MIB, index))?;
        writer.suspend()
    });
    judge("letting an upload rest", rests);
    judge("forgetting an upload", store.forget_upload(upload).map(|_| ()));
    refused
}

#[test]
fn another_program_fills_the_disk_and_gives_it_back() {
    let Some(disk) = Disk::mount() else {
        return;
    };
    let store = open(&disk.store());
    let mut kept: Vec<Digest> = (0..12)
        .map(|index| publish(&store, &content(index), Retention::Kept).expect("publish"))
        .collect();
    for index in 2_000..2_012 {
        publish(&store, &content(index), Retention::Cached).expect("publish");
    }
    for round in 0..3 {
        let other = disk.fill();
        let refused: u64 =
            (0..10).map(|index| write_in_every_way(&store, round * 100 + index, &mut kept)).sum();
        assert!(refused > 0, "a disk without room refused nothing");
        all_are_there(&store, &kept);
        std::fs::remove_file(other).unwrap();
        let late = noise(5 * MIB, 5_000 + round);
        kept.push(publish_within(&store, &late, "the other program went away"));
        let refused = write_in_every_way(&store, round * 100 + 50, &mut kept);
        assert_eq!(refused, 0, "something is still refused with room on the disk");
        all_are_there(&store, &kept);
    }
    drop(store);
    all_are_there_after_reopening(&disk.store(), &kept);
}

/// Whether the store holds what a start needs.
fn holds_ballast(folder: &Path) -> bool {
    std::fs::metadata(folder.join("ballast")).is_ok_and(|about| about.len() >= BALLAST_BYTES)
}

#[test]
fn a_store_on_a_disk_that_others_filled_opens_and_is_made_smaller() {
    let Some(disk) = Disk::mount() else {
        return;
    };
    let store = open(&disk.store());
    let kept: Vec<Digest> = (0..6)
        .map(|index| publish(&store, &content(index), Retention::Kept).expect("publish"))
        .collect();
    // Small ones lie in the log, which the next start folds in.
    for index in 0..180 {
        publish(&store, &noise(100_000, 20_000 + index), Retention::Cached).expect("publish");
    }
    for index in 3_000..3_006 {
        publish(&store, &content(index), Retention::Cached).expect("publish");
    }
    assert!(holds_ballast(&disk.store()), "taken when there was room");
    drop(store);
    let other = disk.fill();
    let store = open(&disk.store());
    assert!(!holds_ballast(&disk.store()), "given to the start");
    all_are_there(&store, &kept);
    let evicted = store.evict(&Eviction::DownTo { disk_bytes: 0 }, &mut go_on).expect("evict");
    // The upkeep may have been first.
    let before = store.usage().expect("usage").evicted_bytes;
    assert!(evicted.bytes + before > 10 * MIB as u64, "{evicted:?}");
    all_are_there(&store, &kept);
    drop(store);
    // Once more, with what is left of it.
    all_are_there(&open(&disk.store()), &kept);
    std::fs::remove_file(other).unwrap();
    all_are_there_after_reopening(&disk.store(), &kept);
    assert!(holds_ballast(&disk.store()), "taken again");
}

#[test]
fn a_store_that_cannot_be_written_says_why() {
    let Some(disk) = Disk::mount() else {
        return;
    };
    drop(open(&disk.store()));
    let remount = |how: &str| {
        let options = format!("remount,{how}");
        let mut command = Command::new("mount");
        assert!(command.args(["-o", &options]).arg(disk.folder.path()).status().unwrap().success());
    };
    remount("ro");
    let refused = RocksStore::open(&disk.store());
    let said = refused.map(drop).map_err(|error| {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error}: {}", source.unwrap_or_default())
    });
    remount("rw");
    assert!(said.as_ref().is_err_and(|said| said.contains("Read-only file system")), "{said:?}");
    drop(open(&disk.store()));
}
