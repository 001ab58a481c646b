//! The digests of files by an earlier run: unchanged files are not read again. The record belongs
//! to this machine alone, and may be deleted at any time.
//!
//! Invariant: an entry counts only for a file with the same path, size, times and inode. A file
//! with a change in the last moments is never recorded: a second change in the same tick of the
//! clock would leave the same stamp (Git's rule for its index).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

use crate::image::attest::description::FileDigests;
use crate::image::stamp::Stamp;
use crate::temporary::Temporary;

/// The name of the record in the folder of caches.
const FILE: &str = "file-digests";

/// The start of the record; another version has another text.
const MAGIC: &[u8; 24] = b"wharf file digests v3\n\0\0";

/// How many files are remembered: 13 MiB on disk and in memory.
const ENTRIES_MAX: usize = 200_000;

/// Bytes of an entry: key and digests.
const ENTRY_BYTES: usize = 16 + 32 + 20;

/// A part of the hash of a path and a stamp.
type Key = [u8; 16];

/// The record, to be asked and added to by several threads.
#[derive(Debug)]
pub struct ContentsRecord {
    /// Where it is kept; nowhere when this run is not to leave anything.
    path: Option<PathBuf>,
    began: SystemTime,
    /// The entries of earlier runs, by key, and whether this run used each.
    known: Vec<(Key, FileDigests)>,
    used: Vec<AtomicBool>,
    learned: Mutex<BTreeMap<Key, FileDigests>>,
}

impl ContentsRecord {
    /// Reads the record in a folder; a missing or damaged record, or one of another version, is
    /// empty.
    #[must_use]
    pub fn open(folder: &Path) -> Self {
        let path = folder.join(FILE);
        let known = read(&path).unwrap_or_default();
        let used = known.iter().map(|_| AtomicBool::new(false)).collect();
        Self { path: Some(path), known, used, ..Self::unkept() }
    }

    /// A record for this run only.
    #[must_use]
    pub fn unkept() -> Self {
        let (known, used, learned) = (Vec::new(), Vec::new(), Mutex::default());
        Self { path: None, began: SystemTime::now(), known, used, learned }
    }

    pub(super) fn find(&self, path: &Path, stamp: &Stamp) -> Option<FileDigests> {
        let key = key(path, stamp);
        if let Ok(place) = self.known.binary_search_by(|(known, _)| known.cmp(&key)) {
            self.used.get(place)?.store(true, Ordering::Relaxed);
            return self.known.get(place).map(|(_, digests)| *digests);
        }
        self.learned().get(&key).copied()
    }

    pub(super) fn add(&self, path: &Path, stamp: Stamp, digests: FileDigests) {
        if stamp.is_settled(self.began) {
            self.trust(path, &stamp, digests);
        }
    }

    /// Takes an entry without a look at the clock.
    pub(super) fn trust(&self, path: &Path, stamp: &Stamp, digests: FileDigests) {
        let mut learned = self.learned();
        if learned.len() < ENTRIES_MAX {
            learned.insert(key(path, stamp), digests);
        }
    }

    /// Writes the record if it has new entries. A failed write costs time at the next run and
    /// nothing else.
    pub fn save(&self) {
        let (Some(path), learned) = (&self.path, self.learned()) else { return };
        if learned.is_empty() {
            return;
        }
        let known = || self.known.iter().zip(&self.used);
        let is_used = |(_, used): &(_, &AtomicBool)| used.load(Ordering::Relaxed);
        // An unused entry may belong to another offer with the same output.
        let used = known().filter(is_used).map(|(entry, _)| entry);
        let unused = known().filter(|at| !is_used(at)).map(|(entry, _)| entry);
        let fresh = learned.iter().map(|(key, digests)| (*key, *digests));
        let all = fresh.chain(used.chain(unused).copied()).take(ENTRIES_MAX);
        let mut all: Vec<(Key, FileDigests)> = all.collect();
        all.sort_unstable_by_key(|(key, _)| *key);
        let _ = write(path, &all);
    }

    fn learned(&self) -> MutexGuard<'_, BTreeMap<Key, FileDigests>> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(path: &Path, stamp: &Stamp) -> Key {
    let mut hash = Sha256::new();
    hash.update(stamp.bytes().collect::<Vec<u8>>());
    hash.update(path.as_os_str().as_bytes());
    let hash: [u8; 32] = hash.finalize().into();
    hash.first_chunk().copied().unwrap_or_default()
}

/// The entries of a record, sorted.
fn read(path: &Path) -> Option<Vec<(Key, FileDigests)>> {
    let around = MAGIC.len() + 32;
    let metadata = fs::symlink_metadata(path).ok()?;
    let length = usize::try_from(metadata.len()).ok()?;
    let entries = length.checked_sub(around)? / ENTRY_BYTES;
    let fits = length == around + entries * ENTRY_BYTES && entries <= ENTRIES_MAX;
    if !metadata.is_file() || !fits {
        return None;
    }
    let mut file = BufReader::new(File::open(path).ok()?);
    let mut hash = Sha256::new();
    let mut magic = [0; MAGIC.len()];
    file.read_exact(&mut magic).ok()?;
    hash.update(magic);
    let mut all = Vec::with_capacity(entries);
    for _ in 0..entries {
        let mut bytes = [0; ENTRY_BYTES];
        file.read_exact(&mut bytes).ok()?;
        hash.update(bytes);
        all.push(parse(&bytes)?);
    }
    let mut sum = [0; 32];
    file.read_exact(&mut sum).ok()?;
    let proven: [u8; 32] = hash.finalize().into();
    let is_sorted = all.is_sorted_by_key(|(key, _)| *key);
    (magic == *MAGIC && proven == sum && is_sorted).then_some(all)
}

fn parse(bytes: &[u8]) -> Option<(Key, FileDigests)> {
    let (key, rest) = bytes.split_first_chunk::<16>()?;
    let (sha256, rest) = rest.split_first_chunk::<32>()?;
    Some((*key, FileDigests { sha256: *sha256, sha1: *rest.first_chunk()? }))
}

fn write(path: &Path, entries: &[(Key, FileDigests)]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)?;
    let fresh = Temporary::new(path.with_extension("tmp"));
    let mut out = std::io::BufWriter::new(File::create(fresh.path())?);
    let mut sum = Sha256::new();
    let mut put = |bytes: &[u8]| {
        sum.update(bytes);
        out.write_all(bytes)
    };
    put(MAGIC)?;
    for (key, digests) in entries {
        put(key)?;
        put(&digests.sha256)?;
        put(&digests.sha1)?;
    }
    out.write_all(&sum.finalize())?;
    out.into_inner()?.sync_data()?;
    fs::rename(fresh.path(), path)
}

#[cfg(test)]
mod tests;
