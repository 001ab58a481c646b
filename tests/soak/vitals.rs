//! The resources of a process: memory, connections, files, threads, as counted by Linux.

use std::fmt;
use std::fs;

use anyhow::Context as _;

const MIB: u64 = 1024 * 1024;
/// `BLOCKING_JOBS_MAX` of `wharfd`, because its threads stay for ten seconds after their last job,
/// plus the threads of RocksDB and the runtime.
const THREADS_MAX: u64 = 256 + 44;

/// Of one process at one time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vitals {
    pub(crate) resident: u64,
    pub(crate) peak: u64,
    pub(crate) sockets: usize,
    pub(crate) files: usize,
    pub(crate) threads: u64,
}

impl Vitals {
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).context("it is gone")?;
        let field = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        let (mut sockets, mut files) = (0, 0);
        for entry in fs::read_dir(format!("/proc/{pid}/fd"))?.flatten() {
            // A file closed meanwhile does not count.
            let Ok(target) = fs::read_link(entry.path()) else { continue };
            if target.to_string_lossy().starts_with("socket:") {
                sockets += 1;
            } else {
                files += 1;
            }
        }
        let (resident, peak) = (field("VmRSS:") * 1024, field("VmHWM:") * 1024);
        Ok(Self { resident, peak, sockets, files, threads: field("Threads:") })
    }

    /// The most resident memory at the end. The fill of the hot cache, of RocksDB's blocks and of
    /// the allocator's caches differs each time; a leak of a few KiB per request passes this limit
    /// within a minute.
    pub(crate) fn resident_max(&self) -> u64 {
        self.resident + self.resident / 5 + 32 * MIB
    }

    pub(crate) const fn has_few_threads(&self) -> bool {
        self.threads <= THREADS_MAX
    }

    /// Connections to upstreams stay for a while.
    pub(crate) fn sockets_max(&self) -> usize {
        self.sockets + 16
    }

    /// RocksDB opens as many tables as the store has, and the store's limit bounds them.
    pub(crate) fn files_max(&self) -> usize {
        self.files + self.files / 2 + 64
    }
}

impl fmt::Display for Vitals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} MiB resident ({} at most), {} connections, {} files, {} threads",
            self.resident / MIB,
            self.peak / MIB,
            self.sockets,
            self.files,
            self.threads
        )
    }
}
