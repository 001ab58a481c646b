//! Backup of an open store and restore into a new folder.
//!
//! Invariants: a folder with the marker is whole, because the marker is written last. Its owner
//! alone can read it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rocksdb::checkpoint::Checkpoint;

use super::{RocksStore, format, private, schema};
use crate::upkeep::{CopyReport, Progress, Watch};
use crate::{Result, StoreError};

impl RocksStore {
    /// Copies the store as it is at this moment into `to`, an absent folder, while the store stays
    /// in use. On the same file system runs are linked, so the copy takes no time, and no space
    /// until the store frees them.
    pub fn backup(&self, to: &Path) -> Result<CopyReport> {
        refuse_existing(to)?;
        // The copy is built beside `to` and renamed, so an interrupted backup is never taken for a
        // whole one.
        let partial = partial_of(to);
        if partial.exists() {
            fs::remove_dir_all(&partial)
                .map_err(|error| StoreError::io("clearing", &partial, error))?;
        }
        private::make(&partial)?;
        let key = || to.display().to_string();
        Checkpoint::new(self.engine.db())
            .and_then(|checkpoint| checkpoint.create_checkpoint(partial.join("db")))
            .map_err(|error| StoreError::database("backing up to", key(), error))?;
        format::mark(&partial)?;
        private::mend(&partial);
        fs::rename(&partial, to).map_err(|error| StoreError::io("renaming", &partial, error))?;
        if let Some(parent) = to.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            format::sync_folder(parent)?;
        }
        let files = files_under(to)?;
        let bytes = files.iter().map(|(_, bytes)| bytes).sum();
        Ok(CopyReport { folder: to.to_owned(), files: files.len() as u64, bytes })
    }

    /// Makes a new store in `to`, an absent folder, from a backup. Every file is copied, so the
    /// backup stays as it is. The new store is opened once as a proof.
    pub fn restore(from: &Path, to: &Path, watch: Watch<'_>) -> Result<CopyReport> {
        if format::found_format(from)?.is_none() {
            return Err(StoreError::NoStore { path: from.to_owned() });
        }
        refuse_existing(to)?;
        let partial = partial_of(to);
        if partial.exists() {
            fs::remove_dir_all(&partial)
                .map_err(|error| StoreError::io("clearing", &partial, error))?;
        }
        let copied = copy(from, &partial, watch)?;
        drop(Self::open(&partial)?);
        fs::rename(&partial, to).map_err(|error| StoreError::io("renaming", &partial, error))?;
        Ok(CopyReport { folder: to.to_owned(), ..copied })
    }
}

fn refuse_existing(to: &Path) -> Result<()> {
    if to.exists() { Err(StoreError::Exists { path: to.to_owned() }) } else { Ok(()) }
}

fn partial_of(to: &Path) -> PathBuf {
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    to.with_file_name(name)
}

/// Copies the database, then the marker.
fn copy(from: &Path, to: &Path, watch: Watch<'_>) -> Result<CopyReport> {
    let database = from.join("db");
    let files = files_under(&database)?;
    let mut progress = Progress {
        total: files.len() as u64,
        total_bytes: files.iter().map(|(_, bytes)| bytes).sum(),
        ..Progress::default()
    };
    let target = to.join("db");
    private::make(&target)?;
    for (path, _) in files {
        let name = path.file_name().unwrap_or_default();
        if name != "LOCK" {
            let copied = target.join(name);
            let bytes = copy_file(&path, &copied)
                .map_err(|error| StoreError::io("copying", &path, error))?;
            progress.done_bytes += bytes;
        }
        progress.done += 1;
        if watch(&progress).is_break() {
            let reason = "it was stopped; what was copied lies beside the target".to_owned();
            return Err(StoreError::Abandoned { reason });
        }
    }
    format::sync_folder(&target)?;
    copy_file(&from.join(schema::MARKER), &to.join(schema::MARKER))
        .map_err(|error| StoreError::io("copying", from, error))?;
    format::sync_folder(to)?;
    Ok(CopyReport { folder: to.to_owned(), files: progress.done, bytes: progress.done_bytes })
}

fn copy_file(from: &Path, to: &Path) -> io::Result<u64> {
    let bytes = fs::copy(from, to)?;
    fs::File::open(to)?.sync_all()?;
    Ok(bytes)
}

/// Every file below a folder, with its size. A store has one level of folders.
fn files_under(folder: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let failed = |error| StoreError::io("listing", folder, error);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let about = entry.metadata().map_err(failed)?;
        if about.is_dir() {
            files.extend(files_under(&entry.path())?);
        } else {
            files.push((entry.path(), about.len()));
        }
    }
    Ok(files)
}
