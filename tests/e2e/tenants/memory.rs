//! The resident memory of `wharfd`, as counted by the kernel.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::fixture::Wharfd;

const MIB: u64 = 1024 * 1024;
/// The longest time to clean up after a siege: lost connections are noticed, bodies given up.
const RETURN: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);
/// The most memory kept after a siege: the store's segments in memory, and the holes of the
/// allocator.
pub(super) const KEPT_BYTES_MAX: u64 = 128 * MIB;

/// The memory of one process, from a moment on.
pub(super) struct Memory {
    pid: u32,
    before: u64,
}

/// The remains after the hostile two have left.
pub(super) struct Left {
    pub(super) resident: u64,
    /// As it counts itself; `None` when it is back at nothing.
    pub(super) in_flight: Option<u64>,
}

impl Memory {
    /// The peak counts from here.
    pub(super) fn watch(wharfd: &Wharfd) -> Self {
        let pid = wharfd.pid();
        // 5 is the peak's (proc(5), clear_refs).
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
        Self { pid, before: field(pid, "VmRSS:") }
    }

    pub(super) fn before(&self) -> u64 {
        self.before
    }

    /// The most since the watch began.
    pub(super) fn peak(&self) -> u64 {
        field(self.pid, "VmHWM:")
    }

    /// Waits until nothing is in flight and memory is back, for a while.
    pub(super) async fn returned(&self, wharfd: &Wharfd) -> Left {
        let until = Instant::now() + RETURN;
        loop {
            let in_flight = wharfd.metric("wharfd_limit_used{limit=\"bytes_in_flight\"}").await;
            let resident = field(self.pid, "VmRSS:");
            let back = resident <= self.before + KEPT_BYTES_MAX;
            if (in_flight == 0 && back) || Instant::now() >= until {
                return Left { resident, in_flight: Some(in_flight).filter(|bytes| *bytes > 0) };
            }
            sleep(POLL).await;
        }
    }
}

fn field(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    value.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
