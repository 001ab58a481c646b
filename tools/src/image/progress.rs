//! The progress of image making: the builder reports it, and the command shows it.
//!
//! A byte is a byte of a layer's uncompressed tar. The builder first announces the bytes to come,
//! as near as names and attributes tell, and then the end of each.

use std::io::{self, Write};

use super::files::{FileKind, LayerFiles};

/// The receiver of progress. Called by several threads, and for every piece of a layer.
pub trait Progress: Send + Sync {
    /// A plan is begun.
    fn plan_begun(&self, _plan: &str) {}

    /// So many bytes more are to come.
    fn expected(&self, _bytes: u64) {}

    /// So many of them were read and compressed.
    fn written(&self, _bytes: u64) {}

    /// So many of them need not be: the layer, or a part of it, was there.
    fn spared(&self, _bytes: u64) {}

    /// A plan is done.
    fn plan_done(&self, _plan: &str) {}
}

/// Ignores all progress.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {}

/// About how long the tar of a layer is: every entry has a header, and contents are padded.
#[must_use]
pub fn tar_bytes(files: &LayerFiles) -> u64 {
    const RECORD_BYTES: u64 = 512;
    let content = |kind: FileKind, bytes: u64| match kind {
        FileKind::File => bytes.div_ceil(RECORD_BYTES).saturating_mul(RECORD_BYTES),
        _ => 0,
    };
    files.entries().fold(2 * RECORD_BYTES, |sum, file| {
        sum.saturating_add(RECORD_BYTES).saturating_add(content(file.kind(), file.size_bytes()))
    })
}

/// A writer with a count of the bytes through it.
pub struct ReportingWriter<'a, W: ?Sized> {
    inner: &'a mut W,
    progress: &'a dyn Progress,
}

impl<'a, W: Write + ?Sized> ReportingWriter<'a, W> {
    /// Reports all bytes on their way into `inner`.
    pub const fn new(inner: &'a mut W, progress: &'a dyn Progress) -> Self {
        Self { inner, progress }
    }
}

impl<W: Write + ?Sized> Write for ReportingWriter<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.progress.written(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
