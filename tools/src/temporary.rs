//! The files on disk only during a command: staging folders and half-written files. A command
//! removes its own; when a signal ends the program, the rest is removed here.
//!
//! Invariant: once the program ends, nothing is made any more and nothing is put in its place, or
//! half of it could stay.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The paths to remove. Written by [`Temporary`] alone.
static LEFT: Mutex<Left> = Mutex::new(Left { is_ending: false, paths: BTreeMap::new() });

#[derive(Debug)]
struct Left {
    is_ending: bool,
    paths: BTreeMap<PathBuf, Kind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It goes with its content.
    Whole,
    /// A folder; it goes when empty.
    IfEmpty,
}

/// Most tries to remove a folder into which a writer still writes.
const TRIES: usize = 20;

/// A file or folder, removed with this value.
#[derive(Debug)]
pub struct Temporary {
    path: PathBuf,
    kind: Kind,
}

impl Temporary {
    /// Takes charge of a path, before anything is there.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        left().paths.insert(path.clone(), Kind::Whole);
        Self { path, kind: Kind::Whole }
    }

    /// Takes charge of a path and creates it; never in an ending program.
    pub fn make<T>(
        path: PathBuf,
        create: impl FnOnce(&Path) -> io::Result<T>,
    ) -> io::Result<(Self, T)> {
        let created = {
            let mut left = left();
            left.paths.insert(path.clone(), Kind::Whole);
            create(&path)
        };
        let temporary = Self { path, kind: Kind::Whole };
        Ok((temporary, created?))
    }

    /// Makes a folder and its parents, and keeps them if they are used in the end; `None` when the
    /// folder existed.
    pub fn folder_if_used(path: &Path) -> io::Result<Option<Self>> {
        if path.is_dir() {
            return Ok(None);
        }
        let mut left = left();
        fs::create_dir_all(path)?;
        left.paths.insert(path.to_owned(), Kind::IfEmpty);
        Ok(Some(Self { path: path.to_owned(), kind: Kind::IfEmpty }))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Does an act in one piece: the end of the program waits for it. It must not make, publish or
    /// drop a temporary itself.
    pub fn undisturbed<T>(act: impl FnOnce() -> T) -> T {
        let _left = left();
        act()
    }

    /// Puts the file in its place, by a rename; never in an ending program.
    pub fn publish<T>(&self, rename: impl FnOnce(&Path) -> T) -> T {
        let _left = left();
        rename(&self.path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        remove(&self.path, self.kind);
        left().paths.remove(&self.path);
    }
}

/// The list. During the program's end the call waits for it.
fn left() -> MutexGuard<'static, Left> {
    let left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    if !left.is_ending {
        return left;
    }
    drop(left);
    loop {
        std::thread::park();
    }
}

/// Removes the rest, because the program ends.
pub fn remove_all() {
    let paths = {
        let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
        left.is_ending = true;
        std::mem::take(&mut left.paths)
    };
    // A folder's content stands behind it in the list.
    for (path, kind) in paths.into_iter().rev() {
        for _ in 0..TRIES {
            if remove(&path, kind) {
                break;
            }
        }
    }
}

/// Removes a file or a folder; returns whether it is gone. A failed removal is left to the next
/// run.
fn remove(path: &Path, kind: Kind) -> bool {
    match fs::symlink_metadata(path) {
        Err(_) => true,
        Ok(_) if kind == Kind::IfEmpty => {
            // It fails for a used folder, as intended.
            let _ = fs::remove_dir(path);
            true
        }
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
            let (file, ()) = Temporary::make(file.clone(), |path| fs::write(path, "half")).unwrap();
            let staging = Temporary::new(staging.clone());
            fs::create_dir_all(staging.path().join("blobs")).unwrap();
            let left = LEFT.lock().unwrap();
            assert!(
                left.paths.contains_key(file.path()) && left.paths.contains_key(staging.path())
            );
        }
        assert!(!file.exists() && !staging.exists());
        assert!(!LEFT.lock().unwrap().paths.contains_key(&file));
    }

    #[test]
    fn what_could_not_be_made_is_not_in_charge_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none/x");
        assert!(Temporary::make(path.clone(), |path| fs::write(path, "x")).is_err());
        assert!(!LEFT.lock().unwrap().paths.contains_key(&path));
    }

    #[test]
    fn a_folder_stays_when_it_was_there_or_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let (used, unused) = (folder.path().join("a/used"), folder.path().join("unused"));
        drop(Temporary::folder_if_used(&unused).unwrap().unwrap());
        assert!(!unused.exists());
        let made = Temporary::folder_if_used(&used).unwrap().unwrap();
        fs::write(used.join("x"), "").unwrap();
        drop(made);
        assert!(used.join("x").exists());
        assert!(Temporary::folder_if_used(&used).unwrap().is_none());
    }
}
