//! How much memory the files of an image may take.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::image::files::ENTRY_BYTES;

/// Bytes for the entries of all layers and the views of all platforms together: a million files with
/// paths of a hundred bytes, and the process stays under 256 MiB.
const FILES_BYTES_MAX: usize = 160 << 20;

/// Bytes of texts for rules, in all layers together.
const TEXTS_BYTES_MAX: usize = 32 << 20;

const _: () = assert!(1_000_000 * (ENTRY_BYTES + 100) < FILES_BYTES_MAX);

/// Remarks on entries, in all layers together; entries an engine refuses are named all the same.
const FAULTS_MAX: usize = 5_000;

/// The remaining amount of each.
#[derive(Debug)]
pub struct ReadBudget {
    faults: AtomicUsize,
    files_bytes: AtomicUsize,
    texts_bytes: AtomicUsize,
}

impl Default for ReadBudget {
    fn default() -> Self {
        Self::new()
    }
}

impl ReadBudget {
    /// All of it.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            faults: AtomicUsize::new(FAULTS_MAX),
            files_bytes: AtomicUsize::new(FILES_BYTES_MAX),
            texts_bytes: AtomicUsize::new(TEXTS_BYTES_MAX),
        }
    }

    /// Takes so many bytes for entries; `false` when they are not left.
    pub(super) fn take(&self, bytes: usize) -> bool {
        take(&self.files_bytes, bytes)
    }

    /// Takes the place of a fault of an entry.
    pub(super) fn take_fault(&self) -> bool {
        take(&self.faults, 1)
    }

    /// Takes so many bytes for a text.
    pub(super) fn take_text(&self, bytes: usize) -> bool {
        take(&self.texts_bytes, bytes)
    }
}

fn take(left: &AtomicUsize, bytes: usize) -> bool {
    let taken =
        left.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
    taken.is_ok()
}
