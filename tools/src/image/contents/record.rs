//! The digests of files that were read by an earlier run, so that what did not change is not read
//! again. The record is this machine's alone, and may be deleted at any time.
//!
//! Invariant: an entry counts only for a file with the same path, size, times and inode. A file that
//! changed within the last moments is never recorded: one that changes again in the same tick of the
//! clock would look the same (Git's rule for its index).

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};

use crate::image::attest::description::FileDigests;
use crate::temporary::Temporary;

/// The name of the record in the folder of what speeds runs up.
const FILE: &str = "file-digests";

/// What the record begins with; another version is another text.
const MAGIC: &[u8; 24] = b"wharf file digests v1\n\0\0";

/// How many files are remembered: 23 MiB on disk.
const ENTRIES_MAX: usize = 200_000;

/// Bytes of an entry: key, stamp, digests.
const ENTRY_BYTES: usize = 16 + 48 + 32 + 20;

/// How old a change must be where times have parts of seconds; the coarsest tick of Linux is 10 ms.
const SETTLED: Duration = Duration::from_millis(100);
/// The same where they have none (older file systems count pairs of seconds).
const SETTLED_COARSE: Duration = Duration::from_secs(3);

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    size_bytes: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
    inode: u64,
}

/// The record, to be asked and added to by several threads.
#[derive(Debug)]
pub struct Record {
    /// Where it is kept; nowhere when this run is not to leave anything.
    path: Option<PathBuf>,
    began: SystemTime,
    entries: Mutex<BTreeMap<[u8; 16], Entry>>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    stamp: Stamp,
    digests: FileDigests,
    is_used: bool,
    is_new: bool,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            size_bytes: metadata.len(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            ctime: (metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
        }
    }

    pub(super) const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Whether it changed so long before `now` that another change could be told from it.
    fn is_settled(&self, now: SystemTime) -> bool {
        [self.mtime, self.ctime].into_iter().all(|(seconds, nanos)| {
            let wait = if nanos == 0 { SETTLED_COARSE } else { SETTLED };
            let (Ok(seconds), Ok(nanos)) = (u64::try_from(seconds), u32::try_from(nanos)) else {
                // Before 1970 is long ago.
                return seconds < 0;
            };
            let changed = UNIX_EPOCH.checked_add(Duration::new(seconds, nanos));
            changed.and_then(|changed| changed.checked_add(wait)).is_some_and(|from| from <= now)
        })
    }

    fn bytes(&self) -> [u8; 48] {
        let words = [
            self.size_bytes.to_le_bytes(),
            self.mtime.0.to_le_bytes(),
            self.mtime.1.to_le_bytes(),
            self.ctime.0.to_le_bytes(),
            self.ctime.1.to_le_bytes(),
            self.inode.to_le_bytes(),
        ];
        let mut bytes = [0; 48];
        for (slot, byte) in bytes.iter_mut().zip(words.into_iter().flatten()) {
            *slot = byte;
        }
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(*bytes.get(at * 8..)?.first_chunk::<8>()?);
        Some(Self {
            size_bytes: u64::from_le_bytes(word(0)?),
            mtime: (i64::from_le_bytes(word(1)?), i64::from_le_bytes(word(2)?)),
            ctime: (i64::from_le_bytes(word(3)?), i64::from_le_bytes(word(4)?)),
            inode: u64::from_le_bytes(word(5)?),
        })
    }
}

impl Record {
    /// Reads the record in a folder; one that is not there, damaged or of another version is empty.
    #[must_use]
    pub fn open(folder: &Path) -> Self {
        let path = folder.join(FILE);
        let entries = read(&path).unwrap_or_default();
        Self { path: Some(path), began: SystemTime::now(), entries: Mutex::new(entries) }
    }

    /// A record that remembers for this run only.
    #[must_use]
    pub fn unkept() -> Self {
        Self { path: None, began: SystemTime::now(), entries: Mutex::default() }
    }

    pub(super) fn find(&self, path: &Path, stamp: &Stamp) -> Option<FileDigests> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get_mut(&key(path))?;
        if entry.stamp != *stamp {
            return None;
        }
        entry.is_used = true;
        Some(entry.digests)
    }

    pub(super) fn add(&self, path: &Path, stamp: Stamp, digests: FileDigests) {
        if stamp.is_settled(self.began) {
            self.trust(path, stamp, digests);
        }
    }

    /// Takes an entry whatever the clock says.
    pub(super) fn trust(&self, path: &Path, stamp: Stamp, digests: FileDigests) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = Entry { stamp, digests, is_used: true, is_new: true };
        let key = key(path);
        if entries.len() < ENTRIES_MAX || entries.contains_key(&key) {
            entries.insert(key, entry);
        }
    }

    /// Writes the record, when there is anything new in it. That it cannot be written costs time at
    /// the next run and nothing else.
    pub fn save(&self) {
        let Some(path) = &self.path else { return };
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.values().any(|entry| entry.is_new) {
            // What nobody asked for may be of another offer with the same output.
            let room = ENTRIES_MAX.saturating_sub(entries.values().filter(|at| at.is_used).count());
            let unused = entries.iter().filter(|(_, entry)| !entry.is_used).take(room);
            let kept = entries.iter().filter(|(_, entry)| entry.is_used).chain(unused);
            let _ = write(path, kept);
        }
    }
}

/// Paths are remembered by a part of their hash.
fn key(path: &Path) -> [u8; 16] {
    let hash: [u8; 32] = Sha256::digest(path.as_os_str().as_bytes()).into();
    hash.first_chunk().copied().unwrap_or_default()
}

fn read(path: &Path) -> Option<BTreeMap<[u8; 16], Entry>> {
    let most = MAGIC.len() + 32 + ENTRIES_MAX * ENTRY_BYTES;
    let metadata = fs::symlink_metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > most as u64 {
        return None;
    }
    let bytes = fs::read(path).ok()?;
    let (content, sum) = bytes.split_last_chunk::<32>()?;
    let proven: [u8; 32] = Sha256::digest(content).into();
    if proven != *sum {
        return None;
    }
    let rest = content.strip_prefix(MAGIC)?;
    rest.chunks(ENTRY_BYTES).map(parse).collect()
}

fn parse(bytes: &[u8]) -> Option<([u8; 16], Entry)> {
    let (key, rest) = bytes.split_first_chunk::<16>()?;
    let (stamp, rest) = rest.split_first_chunk::<48>()?;
    let (sha256, rest) = rest.split_first_chunk::<32>()?;
    let digests = FileDigests { sha256: *sha256, sha1: *rest.first_chunk()? };
    let stamp = Stamp::parse(stamp)?;
    Some((*key, Entry { stamp, digests, is_used: false, is_new: false }))
}

fn write<'e>(
    path: &Path,
    entries: impl Iterator<Item = (&'e [u8; 16], &'e Entry)>,
) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)?;
    let fresh = Temporary::new(path.with_extension("tmp"));
    let mut out = std::io::BufWriter::new(fs::File::create(fresh.path())?);
    let mut sum = Sha256::new();
    let mut put = |bytes: &[u8]| {
        sum.update(bytes);
        out.write_all(bytes)
    };
    put(MAGIC)?;
    for (key, Entry { stamp, digests, .. }) in entries {
        put(key)?;
        put(&stamp.bytes())?;
        put(&digests.sha256)?;
        put(&digests.sha1)?;
    }
    out.write_all(&sum.finalize())?;
    out.into_inner()?.sync_data()?;
    fs::rename(fresh.path(), path)
}

#[cfg(test)]
mod tests;
