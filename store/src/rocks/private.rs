//! Who may look into a store: its owner. Other users of the machine would read what repositories keep
//! from them, and the key that signs tokens.
//!
//! What is made here is made so; RocksDB asks the mask of the process, which is its program's to set. What
//! is found wider, of an earlier version or by somebody's hand, is said and mended. Where that cannot be,
//! because the folder is somebody else's (a volume that a group may write to) or its file system keeps no
//! modes, it is said, and the store is used all the same.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::process::geteuid;

use crate::limits::STORE_FOLDERS_MAX;
use crate::{Result, StoreError};

/// What others have in the mode of a file.
const OTHERS: u32 = 0o077;

/// Makes a folder for its owner, with those above it that are missing.
pub(super) fn make(folder: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| StoreError::io("creating", folder, error))
}

/// Of a store that the superuser works on in the place of its owner, with `wharfd store` most often: what
/// they make, they alone could read, so it is given to the owner in the end, and what an earlier run
/// that was killed left.
pub(super) struct Owner {
    folder: PathBuf,
    uid: Uid,
    gid: Gid,
}

impl Owner {
    /// None, where who works on it is the owner, or could not give anything away.
    pub(super) fn of(folder: &Path) -> Option<Self> {
        let about = fs::metadata(folder).ok()?;
        let (uid, gid) = (Uid::from_raw(about.uid()), Gid::from_raw(about.gid()));
        (geteuid().is_root() && !uid.is_root()).then(|| Self {
            folder: folder.to_owned(),
            uid,
            gid,
        })
    }

    fn give(&self, path: &Path) -> io::Result<bool> {
        if fs::symlink_metadata(path)?.uid() != Uid::ROOT.as_raw() {
            return Ok(false);
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::open(path, flags, Mode::empty())?;
        rustix::fs::fchown(file, Some(self.uid), Some(self.gid))?;
        Ok(true)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let given = each(&self.folder, |path, _| self.give(path));
        if let Some((path, error)) = given.first {
            tracing::warn!(
                folder = %self.folder.display(),
                path = %path.display(),
                %error,
                "the owner of a store may not be able to read what was made in it"
            );
        }
    }
}

/// What was done about a folder and all that is in it.
#[derive(Default)]
struct Mended {
    files: u64,
    /// How many stay as they are, with the first of them.
    left: u64,
    first: Option<(PathBuf, io::Error)>,
}

/// Takes from a folder, and from all that is in it, what others have, and says so in the log.
pub(super) fn mend(folder: &Path) {
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

fn mend_all(folder: &Path) -> Mended {
    each(folder, mend_one)
}

/// Does something to a folder and to all that is in it; it is told which one is that folder.
fn each(folder: &Path, act: impl Fn(&Path, bool) -> io::Result<bool>) -> Mended {
    let mut mended = Mended::default();
    // The folder before what is in it: then nobody else comes to that.
    let mut open = vec![folder.to_owned()];
    let mut folders = 0;
    while let Some(path) = open.pop() {
        mended.note(&path, act(&path, path == folder));
        folders += 1;
        if folders > STORE_FOLDERS_MAX {
            break;
        }
        // What cannot be listed is not opened either, which says why.
        for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(entry.path()),
                Ok(kind) if kind.is_file() => {
                    let path = entry.path();
                    mended.note(&path, act(&path, false));
                }
                // A socket has its mode from its maker; what a link leads to is not the store's.
                _ => {}
            }
        }
    }
    mended
}

impl Mended {
    fn note(&mut self, path: &Path, result: io::Result<bool>) {
        match result {
            Ok(true) => self.files += 1,
            Ok(false) => {}
            // It went meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                self.left += 1;
                self.first.get_or_insert((path.to_owned(), error));
            }
        }
    }
}

/// Whether a file or folder was wider. The folder that was named may be a link.
fn mend_one(path: &Path, may_be_link: bool) -> io::Result<bool> {
    let about = if may_be_link { fs::metadata(path)? } else { fs::symlink_metadata(path)? };
    if about.mode() & OTHERS == 0 {
        return Ok(false);
    }
    let link = if may_be_link { OFlags::empty() } else { OFlags::NOFOLLOW };
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | link;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let narrow = Mode::from_raw_mode(file.metadata()?.mode() & 0o7777 & !OTHERS);
    rustix::fs::fchmod(&file, narrow)?;
    if file.metadata()?.mode() & OTHERS != 0 {
        return Err(io::Error::other("the file system keeps no modes"));
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

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
        // By way of a link to the store it is the store.
        set(&folder, 0o755);
        std::os::unix::fs::symlink(&folder, outside.path().join("way")).unwrap();
        assert_eq!(mend_all(&outside.path().join("way")).files, 1);
        assert_eq!(mode(&folder), 0o700);
    }

    #[test]
    fn what_the_superuser_makes_in_the_store_of_another_is_given_to_them() {
        if !geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        assert!(Owner::of(folder.path()).is_none(), "it is the superuser's own");
        let (uid, gid) = (Some(Uid::from_raw(65_532)), Some(Gid::from_raw(65_533)));
        rustix::fs::chown(folder.path(), uid, gid).unwrap();
        let owner = Owner::of(folder.path()).unwrap();
        make(&folder.path().join("db")).unwrap();
        let file = folder.path().join("db/CURRENT");
        fs::write(&file, "x").unwrap();
        drop(owner);
        for path in [folder.path().join("db"), file] {
            let about = fs::metadata(&path).unwrap();
            assert_eq!((about.uid(), about.gid()), (65_532, 65_533), "{}", path.display());
        }
    }

    #[test]
    fn a_folder_that_is_not_there_has_no_mode() {
        let folder = tempfile::tempdir().unwrap();
        let mended = mend_all(&folder.path().join("none"));
        assert_eq!((mended.files, mended.left), (0, 0));
    }
}
