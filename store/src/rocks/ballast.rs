//! The ballast: a file without content, reserved disk space for a start. When the disk is full the
//! ballast is removed before the database opens, because the open writes: it flushes the log of
//! records.
//!
//! Invariant: the ballast takes only space of no other use to the store, and its space counts as
//! the store's.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, OFlags, fallocate};
use rustix::io::Errno;

use super::engine::Engine;
use super::evict;
use super::lease::Leases;
use super::space::{Reserve, free_bytes};
use crate::limits::{BALLAST_BYTES, BALLAST_SHARE, DISK_RESERVE_BYTES};
use crate::{Result, StoreError};

fn path(folder: &Path) -> PathBuf {
    folder.join("ballast")
}

/// The size of the ballast for a limit, in bytes; zero for a low limit.
fn wanted_bytes(limit_bytes: Option<u64>) -> u64 {
    let is_small = limit_bytes.is_some_and(|limit| limit / BALLAST_SHARE < BALLAST_BYTES);
    if is_small { 0 } else { BALLAST_BYTES }
}

/// The size of the ballast on disk, in bytes.
fn held_bytes(folder: &Path) -> u64 {
    fs::metadata(path(folder)).map_or(0, |about| about.blocks() * 512)
}

/// Removes the ballast before the database opens, when the disk has less free space than the
/// ballast.
pub(super) fn release_if_full(folder: &Path) -> Result<()> {
    let free_bytes = free_bytes(folder)?;
    if free_bytes >= BALLAST_BYTES {
        return Ok(());
    }
    match fs::remove_file(path(folder)) {
        Ok(()) => {
            tracing::warn!(
                free_bytes,
                "the disk of the store is full; nothing is stored until there is room"
            );
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::io("removing", path(folder), error)),
    }
}

/// Makes the ballast after the database opened, if it is missing and nothing has to be evicted for
/// it.
pub(super) fn hold(engine: &Engine) -> Result<()> {
    let missing = missing_bytes(engine);
    if missing == 0 || engine.space.reserve(engine.folder(), missing, Reserve::Written)?.is_err() {
        return Ok(());
    }
    fill(engine, missing)
}

/// Makes a missing ballast during upkeep, when the disk has plenty of space. Cached blobs are
/// evicted for it, when the limit of the store leaves no room.
pub(super) fn hold_again(engine: &Engine, leases: &Leases) -> Result<()> {
    let missing = missing_bytes(engine);
    if missing == 0 || free_bytes(engine.folder())? < DISK_RESERVE_BYTES + 2 * missing {
        return Ok(());
    }
    match evict::reserve(engine, leases, missing, Reserve::Written, "the ballast") {
        Ok(()) => fill(engine, missing),
        Err(StoreError::Full { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn missing_bytes(engine: &Engine) -> u64 {
    wanted_bytes(engine.space.limit_bytes()).saturating_sub(held_bytes(engine.folder()))
}

/// Writes the ballast into reserved space.
fn fill(engine: &Engine, reserved_bytes: u64) -> Result<()> {
    let path = path(engine.folder());
    let made = make(&path, BALLAST_BYTES);
    let measured = engine.measure_records();
    engine.space.release(reserved_bytes);
    match made {
        Err(error) if error.kind() == ErrorKind::StorageFull => measured,
        Err(error) => Err(StoreError::io("writing", path, error)),
        Ok(()) => measured,
    }
}

/// A file with every block allocated; without room for all of them, no file.
fn make(path: &Path, bytes: u64) -> io::Result<()> {
    let link = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).custom_flags(link);
    let file = options.open(path)?;
    let made = match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_through(file, bytes),
        other => other.map_err(Into::into),
    };
    made.inspect_err(|_| {
        let _ = fs::remove_file(path);
    })
}

fn write_through(mut file: File, bytes: u64) -> io::Result<()> {
    let piece = vec![0x5a; 1024 * 1024];
    let mut left = bytes;
    while left > 0 {
        let now = piece.get(..usize::try_from(left).unwrap_or(usize::MAX)).unwrap_or(&piece);
        file.write_all(now)?;
        left -= now.len() as u64;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_store_holds_nothing() {
        assert_eq!(wanted_bytes(None), BALLAST_BYTES);
        assert_eq!(wanted_bytes(Some(1 << 30)), BALLAST_BYTES);
        assert_eq!(wanted_bytes(Some(256 << 20)), 0);
    }

    #[test]
    fn every_block_of_it_is_there_and_it_goes_with_what_cannot_be() {
        let folder = tempfile::tempdir().unwrap();
        make(&path(folder.path()), 3 << 20).unwrap();
        assert!(held_bytes(folder.path()) >= 3 << 20);
        write_through(File::create(path(folder.path())).unwrap(), 3 << 19).unwrap();
        assert_eq!(fs::metadata(path(folder.path())).unwrap().len(), 3 << 19);
        assert!(make(&path(folder.path()), u64::MAX / 2).is_err());
        assert!(!path(folder.path()).exists());
        // With room on the disk the ballast stays.
        make(&path(folder.path()), 4096).unwrap();
        release_if_full(folder.path()).unwrap();
        assert!(path(folder.path()).exists());
    }
}
