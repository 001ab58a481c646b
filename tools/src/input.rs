//! Files a user names. Only regular ones are opened: the wait for a named pipe without a writer
//! would not end, and a pipe or a terminal can be read only once.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Opens a regular file; any other kind is an error with its name.
pub fn open(path: &Path) -> io::Result<File> {
    open_with(path, OpenOptions::new().read(true))
}

/// The same with other rights.
pub fn open_with(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    // Without this the call itself waits for the other end of a named pipe.
    let flags = rustix::fs::OFlags::NONBLOCK.bits();
    let file = options.custom_flags(flags.cast_signed()).open(path);
    // A pipe without a reader is not opened for writing at all.
    let kind = match &file {
        Ok(file) => file.metadata()?.file_type(),
        Err(_) => match std::fs::metadata(path) {
            Ok(metadata) => metadata.file_type(),
            Err(_) => return file,
        },
    };
    let found = if kind.is_file() {
        return file;
    } else if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    let reason = format!("it is {found}, and only regular files are read; save it to one first");
    Err(io::Error::new(io::ErrorKind::InvalidInput, reason))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_named_pipe_is_refused_at_once_and_a_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let status = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(status.success());
        let error = open(&pipe).unwrap_err().to_string();
        assert!(error.contains("a pipe"), "{error}");
        let error = open_with(&pipe, OpenOptions::new().append(true)).unwrap_err().to_string();
        assert!(error.contains("a pipe"), "{error}");
        assert!(open(folder.path()).unwrap_err().to_string().contains("a folder"));
        assert!(open(Path::new("/dev/zero")).unwrap_err().to_string().contains("a device"));
        let gone = open(&folder.path().join("gone")).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
        let file = folder.path().join("file");
        std::fs::write(&file, "text").unwrap();
        let mut text = String::new();
        open(&file).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
    }
}
