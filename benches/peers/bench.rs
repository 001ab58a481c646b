//! The settings of every measurement (sizes, runs, folder), and the names of its cases.

use std::path::Path;

use tempfile::TempDir;

use crate::content::{GIB, KIB, MIB};

/// How much is measured.
pub(crate) struct Bench {
    pub(crate) quick: bool,
    pub(crate) runs: usize,
    pub(crate) bed: TempDir,
}

impl Bench {
    pub(crate) fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Where servers have their folders.
    pub(crate) fn folder(&self) -> &Path {
        self.bed.path()
    }
}

/// So many clients on a blob of this size.
pub(crate) fn case(bytes: usize, clients: usize) -> String {
    let plural = if clients == 1 { "" } else { "s" };
    format!("{}, {clients} client{plural}", size(bytes))
}

pub(crate) fn size(bytes: usize) -> String {
    match bytes {
        0..MIB => format!("{} KiB", bytes / KIB),
        MIB..GIB => format!("{} MiB", bytes / MIB),
        _ => format!("{} GiB", bytes / GIB),
    }
}

/// A word on progress.
#[expect(clippy::print_stderr, reason = "tables take minutes to come")]
pub(crate) fn say(what: &str) {
    eprintln!("bench-peers: {what}");
}
