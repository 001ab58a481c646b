//! Files below a folder, opened without following a link on the way: a swap of a folder for a link
//! during the read cannot lead the reader out of it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2};
use rustix::io::Errno;

/// Without waiting for the other end of a named pipe, and without taking a controlling terminal.
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

/// An open folder.
#[derive(Debug)]
pub(super) struct Beneath {
    folder: OwnedFd,
}

impl Beneath {
    /// Opens a folder. Links on the way to it are followed: the offer named it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
        Ok(Self { folder: openat(CWD, path, flags, Mode::empty())? })
    }

    /// The kernel's attributes of the folder.
    pub(super) fn stat(&self) -> io::Result<Stat> {
        Ok(fstat(&self.folder)?)
    }

    /// Opens a folder below it; the empty path is the folder itself.
    pub(super) fn folder(&self, relative: &[u8]) -> io::Result<OwnedFd> {
        let relative = if relative.is_empty() { b"." } else { relative };
        Ok(open_below(self.folder.as_fd(), relative, READ | OFlags::DIRECTORY)?)
    }

    /// Opens a file below it. The result may be of any kind but a link.
    pub(super) fn file(&self, relative: &[u8]) -> io::Result<OwnedFd> {
        Ok(open_below(self.folder.as_fd(), relative, READ)?)
    }
}

fn open_below(
    folder: BorrowedFd<'_>,
    relative: &[u8],
    flags: OFlags,
) -> rustix::io::Result<OwnedFd> {
    match openat2(folder, relative, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        // Old kernels do not know the call, and sandboxes forbid calls unknown to them.
        Err(Errno::NOSYS | Errno::PERM) => step_down(folder, relative, flags),
        opened => opened,
    }
}

/// One folder after another.
fn step_down(
    folder: BorrowedFd<'_>,
    relative: &[u8],
    flags: OFlags,
) -> rustix::io::Result<OwnedFd> {
    let step = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::DIRECTORY;
    let mut at: Option<OwnedFd> = None;
    let mut rest = relative;
    while let Some(slash) = rest.iter().position(|byte| *byte == b'/') {
        let (part, after) = rest.split_at(slash);
        let here = at.as_ref().map_or(folder, AsFd::as_fd);
        at = Some(openat(here, part, step, Mode::empty())?);
        rest = after.get(1..).unwrap_or_default();
    }
    openat(at.as_ref().map_or(folder, AsFd::as_fd), rest, flags, Mode::empty())
}

/// Whether an error means a missing file, or a file of another kind than before.
pub(super) fn is_change(error: &io::Error) -> bool {
    Errno::from_io_error(error)
        .is_some_and(|errno| matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs::{self, File};
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use super::*;

    type Open = fn(BorrowedFd<'_>, &[u8]) -> rustix::io::Result<OwnedFd>;

    #[test]
    fn links_on_the_way_are_not_followed_by_either_way_of_opening() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("in/a/b")).unwrap();
        fs::create_dir(folder.path().join("out")).unwrap();
        fs::write(folder.path().join("in/a/b/f"), "inside").unwrap();
        fs::write(folder.path().join("out/f"), "outside").unwrap();
        symlink("../../out", folder.path().join("in/a/link")).unwrap();
        symlink("f", folder.path().join("in/a/b/alias")).unwrap();
        let beneath = Beneath::open(&folder.path().join("in")).unwrap();
        let opens: [Open; 2] = [
            |folder, path| open_below(folder, path, READ),
            |folder, path| step_down(folder, path, READ),
        ];
        for open in opens {
            let mut text = String::new();
            let file = open(beneath.folder.as_fd(), b"a/b/f").unwrap();
            File::from(file).read_to_string(&mut text).unwrap();
            assert_eq!(text, "inside");
            for path in [b"a/link/f".as_slice(), b"a/b/alias", b"a/gone", b"a/b/f/x"] {
                let error = io::Error::from(open(beneath.folder.as_fd(), path).unwrap_err());
                assert!(is_change(&error), "{error}");
            }
        }
        assert!(beneath.folder(b"").is_ok());
        assert!(beneath.folder(b"a/link").is_err());
    }
}
