//! The bytes of one blob, wherever they are: read once, from the first to the last.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use super::remote::RemoteBlob;

/// A blob, open at its first byte.
#[derive(Debug)]
pub enum Blob {
    /// A part of a file.
    File(BlobFile),
    /// On a registry.
    Remote(Box<RemoteBlob>),
}

/// A part of a file. Reads go by offset, so that several can share one file.
#[derive(Debug, Clone)]
pub struct BlobFile {
    file: Arc<File>,
    start: u64,
    size_bytes: u64,
    position: u64,
}

impl Blob {
    /// Its size, as far as its place says one.
    #[must_use]
    pub fn size_bytes(&self) -> Option<u64> {
        match self {
            Self::File(file) => Some(file.size_bytes),
            Self::Remote(blob) => blob.size_bytes(),
        }
    }
}

impl Read for Blob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Remote(blob) => blob.read(buffer),
        }
    }
}

impl BlobFile {
    /// So many bytes of a file from an offset on.
    #[must_use]
    pub const fn new(file: Arc<File>, start: u64, size_bytes: u64) -> Self {
        Self { file, start, size_bytes, position: 0 }
    }

    #[must_use]
    pub const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Whether both are the same part of the same file.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.file, &other.file) && self.place() == other.place()
    }

    /// Where in the file it is: its offset and its size.
    pub(super) const fn place(&self) -> (u64, u64) {
        (self.start, self.size_bytes)
    }

    /// The file, and where in it the blob starts.
    #[must_use]
    pub fn into_parts(self) -> (Arc<File>, u64) {
        (self.file, self.start)
    }
}

impl Read for BlobFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.size_bytes.saturating_sub(self.position);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = buffer.get_mut(..length).unwrap_or_default();
        let read = self.file.read_at(buffer, self.start.saturating_add(self.position))?;
        self.position += read as u64;
        Ok(read)
    }
}
