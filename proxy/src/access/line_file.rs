//! Files beside the configuration: read whole, bounded, line by line.

use std::io::Read as _;
use std::path::Path;

use crate::limits::ACCESS_FILE_BYTES_MAX;

/// The error in a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LineError {
    pub(crate) number: usize,
    pub(crate) reason: String,
}

/// The lines with content, with their numbers. `#` begins a comment line.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let trimmed = text.lines().map(str::trim);
    (1..).zip(trimmed).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// A text file, when it is not too large for one.
pub(crate) fn read(path: &Path) -> std::io::Result<String> {
    read_all(&std::fs::File::open(path)?)
}

/// Reads all text of an open file.
pub(super) fn read_all(file: &std::fs::File) -> std::io::Result<String> {
    let mut text = String::new();
    file.take(ACCESS_FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > ACCESS_FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("more than {ACCESS_FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}
