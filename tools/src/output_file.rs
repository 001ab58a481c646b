//! A file a user names to be written: the write half of `input`.
//!
//! Invariant: nothing but a regular file is ever replaced. A link stays and its target is written;
//! a device or a pipe is written into.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, fcntl_setfl};

use crate::temporary::Temporary;

/// How many links may lead to one another, as Linux counts (`path_resolution(7)`).
const LINKS_MAX: usize = 40;

/// The kernel's list of this process's open files.
const DESCRIPTORS: &str = "/proc/self/fd/";

/// Writes a whole text; a new file gets `mode`, less the umask.
///
/// A pipe without a reader, a folder, a socket and a disk are errors.
pub fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let place = follow(path)?;
    if let Some(descriptor) = place.to_str().and_then(|place| place.strip_prefix(DESCRIPTORS)) {
        return write_open(&place, descriptor, text);
    }
    match fs::symlink_metadata(&place).map(|found| found.file_type()) {
        Ok(kind) if kind.is_fifo() || kind.is_char_device() => write_into(&place, text),
        Ok(kind) if kind.is_dir() => Err(refusal("it is a folder; name a file in it")),
        Ok(kind) if !kind.is_file() => Err(refusal("it is no file, pipe or character device")),
        _ => replace(&place, text, mode),
    }
}

/// Writes over an existing file; its permissions stay as they are.
pub fn rewrite(path: &Path, text: &str) -> io::Result<()> {
    let permissions = fs::metadata(path)?.permissions();
    write(path, text, permissions.mode() & 0o777)?;
    // The umask took some away.
    fs::set_permissions(path, permissions)
}

/// Adds a text to the end of a file; a missing file is created.
pub fn append(path: &Path, text: &str) -> io::Result<()> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let mut file = OpenOptions::new().append(true).create(true).custom_flags(flags).open(path)?;
    file.write_all(text.as_bytes())
}

/// The target of links, existing or not; an open descriptor is one.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut place = path.to_owned();
    for _ in 0..LINKS_MAX {
        let folder = place.parent().and_then(|folder| folder.canonicalize().ok());
        if let (Some(folder), Some(name)) = (folder, place.file_name())
            && is_descriptors(&folder)
        {
            return Ok(Path::new(DESCRIPTORS).join(name));
        }
        match fs::read_link(&place) {
            // An absolute target replaces the folder.
            Ok(target) => place = place.parent().unwrap_or(Path::new("")).join(target),
            Err(_) => return Ok(place),
        }
    }
    Err(refusal("too many links lead to one another"))
}

/// `/dev/fd` and `/proc/self/fd` lead to the folder of this process.
fn is_descriptors(folder: &Path) -> bool {
    Path::new(DESCRIPTORS).canonicalize().is_ok_and(|descriptors| descriptors == folder)
}

/// Writes to an open file. Standard output keeps its place in a file of any kind.
fn write_open(place: &Path, descriptor: &str, text: &str) -> io::Result<()> {
    match descriptor {
        "1" => {
            let mut stdout = io::stdout().lock();
            stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
        }
        "2" => io::stderr().lock().write_all(text.as_bytes()),
        _ => write_into(place, text),
    }
}

/// Writes into a file in its place.
fn write_into(place: &Path, text: &str) -> io::Result<()> {
    // Without a reader, opening a pipe to write waits for ever, or fails where it must not wait.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let opened = OpenOptions::new().append(true).custom_flags(flags).open(place);
    let mut file: File = opened.map_err(|error| match error.raw_os_error() {
        Some(code) if code == rustix::io::Errno::NXIO.raw_os_error() => {
            refusal("nobody reads this pipe; start its reader first")
        }
        _ => error,
    })?;
    fcntl_setfl(&file, OFlags::APPEND)?;
    file.write_all(text.as_bytes())
}

/// Writes beside the place first, then moves there, so a reader never sees half a file.
fn replace(place: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut beside = place.as_os_str().to_owned();
    beside.push(format!(".{}.part", std::process::id()));
    // A temporary file that could not be renamed is of no use, and goes.
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let (beside, mut file) = Temporary::make(beside.into(), |path| options.open(path))?;
    file.write_all(text.as_bytes())?;
    beside.publish(|path| fs::rename(path, place))
}

fn refusal(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Read as _;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

    use super::*;

    fn names(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    fn node(path: &Path, kind: FileType, device: u64) -> rustix::io::Result<()> {
        mknodat(CWD, path, kind, Mode::RUSR | Mode::WUSR, device)
    }

    #[test]
    fn a_file_with_secrets_is_readable_by_its_owner_only_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("payload.json");
        fs::write(&path, "old").unwrap();
        write(&path, "secret", 0o600).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "secret");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(write(&folder.path().join("none/x"), "x", 0o666).is_err());
        assert!(write(folder.path(), "x", 0o666).is_err());
        assert_eq!(names(folder.path()), 1);
    }

    #[test]
    fn links_stay_and_what_they_lead_to_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("below")).unwrap();
        fs::write(at("below/file"), "old").unwrap();
        symlink("below/file", at("link")).unwrap();
        symlink("link", at("second")).unwrap();
        symlink(at("below/new"), at("dangling")).unwrap();
        symlink("round", at("round")).unwrap();
        for (link, file) in
            [("link", "below/file"), ("second", "below/file"), ("dangling", "below/new")]
        {
            write(&at(link), link, 0o666).unwrap();
            assert!(at(link).is_symlink(), "{link}");
            assert_eq!(fs::read_to_string(at(file)).unwrap(), link);
        }
        assert!(write(&at("round"), "x", 0o666).is_err());
        assert_eq!((names(folder.path()), names(&at("below"))), (5, 2));
    }

    #[test]
    fn a_pipe_is_written_into_and_refused_without_a_reader() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, link) = (folder.path().join("pipe"), folder.path().join("link"));
        node(&pipe, FileType::Fifo, 0).unwrap();
        symlink("pipe", &link).unwrap();
        let said = write(&pipe, "x", 0o666).unwrap_err().to_string();
        assert!(said.contains("start its reader"), "{said}");
        // More than a pipe holds, so the writer waits for the reader.
        let text = "0123456789".repeat(50_000);
        for path in [&pipe, &link] {
            // Open for both, it sees no end before the writer has come.
            let mut reader = OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
            std::thread::scope(|scope| {
                let writer = scope.spawn(|| write(path, &text, 0o666));
                let mut read = vec![0; text.len()];
                reader.read_exact(&mut read).unwrap();
                assert!(read == text.as_bytes());
                writer.join().unwrap().unwrap();
            });
        }
        assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
        assert_eq!(names(folder.path()), 2);
    }

    #[test]
    fn devices_stay_devices() {
        write(Path::new("/dev/null"), "x", 0o666).unwrap();
        let before = fs::symlink_metadata("/dev/null").unwrap();
        assert!(before.file_type().is_char_device());
        let folder = tempfile::tempdir().unwrap();
        let device = folder.path().join("null");
        // Only root may make one.
        if node(&device, FileType::CharacterDevice, makedev(1, 3)).is_ok() {
            // Not every file system lets devices be opened; none may lose them.
            let _ = write(&device, "x", 0o666);
            let after = fs::symlink_metadata(&device).unwrap();
            assert!(after.file_type().is_char_device());
            assert_eq!(after.rdev(), before.rdev());
            assert_eq!(names(folder.path()), 1);
        }
    }
}
