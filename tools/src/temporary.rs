//! What is on disk only while a command runs: staging folders and half-written files. A command
//! removes its own; when a signal ends the program, everything that is left is removed here.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// What to remove. Written by [`Temporary`] alone.
static LEFT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// How often a folder is removed into which somebody still writes.
const TRIES: usize = 20;

/// A file or folder that goes when this does.
#[derive(Debug)]
pub struct Temporary(PathBuf);

impl Temporary {
    /// Takes charge of a path, before anything is there.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        LEFT.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone());
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        remove(&self.0);
        LEFT.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// Removes everything that is left. Nothing is written any more after this: the program ends.
pub fn remove_all() {
    let left = std::mem::take(&mut *LEFT.lock().unwrap_or_else(PoisonError::into_inner));
    for path in left {
        for _ in 0..TRIES {
            if remove(&path) {
                break;
            }
        }
    }
}

/// Removes a file or a folder; whether nothing is there any more. What cannot be removed is left to
/// the next run.
fn remove(path: &Path) -> bool {
    match fs::symlink_metadata(path) {
        Err(_) => true,
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path).is_ok(),
        Ok(_) => fs::remove_file(path).is_ok(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn files_and_folders_go_with_their_owner() {
        let folder = tempfile::tempdir().unwrap();
        let (file, staging) = (folder.path().join("f"), folder.path().join("s"));
        {
            let (file, staging) = (Temporary::new(file.clone()), Temporary::new(staging.clone()));
            fs::write(file.path(), "half").unwrap();
            fs::create_dir_all(staging.path().join("blobs")).unwrap();
            let left = LEFT.lock().unwrap();
            assert!(left.contains(file.path()) && left.contains(staging.path()));
        }
        assert!(!file.exists() && !staging.exists());
        assert!(!LEFT.lock().unwrap().contains(&file));
    }
}
