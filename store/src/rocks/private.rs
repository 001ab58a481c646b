//! Access to the files of a store: its owner alone. Other users of the machine could read the
//! content of repositories, and the key for tokens.
//!
//! The store creates files for its owner alone; RocksDB's files follow the mask of the process, set by
//! its program. Wider modes, left by an earlier version or set by hand, are logged and
//! corrected. A correction is impossible in a folder of another owner (a volume for a group) or on
//! a file system without modes: the log says so, and the store is used all the same.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::Uid;
use rustix::process::geteuid;

use super::schema::MARKER;
use crate::limits::STORE_FOLDERS_MAX;
use crate::{Result, StoreError};

/// The mode bits of group and others.
const OTHERS: u32 = 0o077;

/// Creates a folder and its missing parents, for their owner only.
pub(super) fn make(folder: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| StoreError::io("creating", folder, error))
}

/// Whether root works in the folder of another user. That user may put links and files into it
/// meanwhile, so modes stay as they are: nothing outside of it must change.
fn is_somebody_elses(folder: &Path) -> bool {
    let owner = fs::metadata(folder).map(|about| about.uid());
    geteuid().is_root() && owner.is_ok_and(|uid| !Uid::from_raw(uid).is_root())
}

/// An error when root would open the store of another user. That user could not read root's new
/// files any more, and could make root write to places out of the user's own reach.
pub(super) fn require_own(folder: &Path) -> Result<()> {
    let Ok(about) = fs::symlink_metadata(folder.join(MARKER)) else { return Ok(()) };
    if !geteuid().is_root() || Uid::from_raw(about.uid()).is_root() {
        return Ok(());
    }
    let reason = format!("it is the store of user {}; run this as that user", about.uid());
    Err(StoreError::io("opening as the superuser", folder, io::Error::other(reason)))
}

/// The result of a correction of modes.
#[derive(Default)]
struct ModeReport {
    files: u64,
    /// The number of uncorrected files, and the first of them.
    left: u64,
    first: Option<(PathBuf, io::Error)>,
}

/// Removes the access of group and others from a folder and its content, and logs it.
pub(super) fn mend(folder: &Path) {
    if is_somebody_elses(folder) {
        tracing::warn!(
            folder = %folder.display(),
            "the superuser has a store in a folder of somebody else: what is made in it is not theirs, and \
             modes stay as they are"
        );
        return;
    }
    let mended = mend_all(folder);
    let shown = folder.display();
    if mended.files > 0 {
        tracing::warn!(
            folder = %shown,
            files = mended.files,
            "others on this machine could read a store; now its owner alone can"
        );
    }
    if let Some((path, error)) = mended.first {
        tracing::warn!(
            folder = %shown,
            files = mended.left,
            path = %path.display(),
            %error,
            "others on this machine may read a store, and that cannot be mended here: give it a folder \
             that is its own, with mode 700"
        );
    }
}

fn mend_all(folder: &Path) -> ModeReport {
    each(folder, mend_one)
}

/// Calls `act` for a folder and its content; its flag marks the folder itself.
fn each(folder: &Path, act: impl Fn(&Path, bool) -> io::Result<bool>) -> ModeReport {
    let mut mended = ModeReport::default();
    // The folder comes before its content: from then on no other user reaches the content.
    let mut open = vec![folder.to_owned()];
    let mut folders = 0;
    while let Some(path) = open.pop() {
        mended.note(&path, act(&path, path == folder));
        folders += 1;
        if folders > STORE_FOLDERS_MAX {
            break;
        }
        // A folder without a readable listing cannot be opened either, and that error has the
        // reason.
        for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(entry.path()),
                Ok(kind) if kind.is_file() => {
                    let path = entry.path();
                    mended.note(&path, act(&path, false));
                }
                // The maker of a socket sets its mode; the target of a link is not the store's.
                _ => {}
            }
        }
    }
    mended
}

impl ModeReport {
    fn note(&mut self, path: &Path, result: io::Result<bool>) {
        match result {
            Ok(true) => self.files += 1,
            Ok(false) => {}
            // The file is gone.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                self.left += 1;
                self.first.get_or_insert((path.to_owned(), error));
            }
        }
    }
}

/// Corrects one mode; `true` when it was wider. The named folder itself may be a link.
fn mend_one(path: &Path, may_be_link: bool) -> io::Result<bool> {
    let about = if may_be_link { fs::metadata(path)? } else { fs::symlink_metadata(path)? };
    if about.mode() & OTHERS == 0 {
        return Ok(false);
    }
    if about.is_symlink() {
        return Ok(false);
    }
    // Not by a descriptor: a close of a lock file drops the lock of this process on it.
    fs::set_permissions(path, Permissions::from_mode(about.mode() & 0o7777 & !OTHERS))?;
    if fs::metadata(path)?.mode() & OTHERS != 0 {
        return Err(io::Error::other("the file system keeps no modes"));
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn what_others_have_is_taken_from_them_and_nothing_else() {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("store");
        make(&folder.join("db")).unwrap();
        assert_eq!((mode(&folder), mode(&folder.join("db"))), (0o700, 0o700));
        let theirs = outside.path().join("theirs");
        for (path, wide) in [
            (theirs.clone(), 0o644),
            (folder.join("db/run"), 0o664),
            (folder.join("key"), 0o400),
            (folder.join("program"), 0o755),
        ] {
            fs::write(&path, "x").unwrap();
            set(&path, wide);
        }
        std::os::unix::fs::symlink(&theirs, folder.join("link")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.join("broken")).unwrap();
        set(&folder, 0o2775);
        set(&folder.join("db"), 0o755);
        let mended = mend_all(&folder);
        assert!(mended.first.is_none(), "{:?}", mended.first);
        assert_eq!((mended.files, mended.left), (4, 0));
        assert_eq!(mode(&folder), 0o2700);
        assert_eq!(mode(&folder.join("db")), 0o700);
        assert_eq!(mode(&folder.join("db/run")), 0o600);
        assert_eq!(mode(&folder.join("key")), 0o400);
        assert_eq!(mode(&folder.join("program")), 0o700);
        assert_eq!(mode(&theirs), 0o644, "a link leads out of the store");
        assert_eq!(mend_all(&folder).files, 0);
        // A link to the store leads to the store.
        set(&folder, 0o755);
        std::os::unix::fs::symlink(&folder, outside.path().join("way")).unwrap();
        assert_eq!(mend_all(&outside.path().join("way")).files, 1);
        assert_eq!(mode(&folder), 0o700);
    }

    #[test]
    fn the_superuser_leaves_the_modes_in_a_folder_of_another_alone() {
        if !geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        set(&file, 0o644);
        assert!(!is_somebody_elses(folder.path()));
        rustix::fs::chown(folder.path(), Some(Uid::from_raw(65_532)), None).unwrap();
        mend(folder.path());
        assert_eq!(mode(&file), 0o644);
        // Root does not open the store of another user at all.
        assert!(require_own(folder.path()).is_ok());
        let marker = folder.path().join(MARKER);
        fs::write(&marker, "x").unwrap();
        assert!(require_own(folder.path()).is_ok());
        rustix::fs::chown(&marker, Some(Uid::from_raw(65_532)), None).unwrap();
        let refused = require_own(folder.path()).unwrap_err();
        let reason = std::error::Error::source(&refused).unwrap().to_string();
        assert!(reason.contains("user 65532"), "{reason}");
    }

    #[test]
    fn a_folder_that_is_not_there_has_no_mode() {
        let folder = tempfile::tempdir().unwrap();
        let mended = mend_all(&folder.path().join("none"));
        assert_eq!((mended.files, mended.left), (0, 0));
    }
}
