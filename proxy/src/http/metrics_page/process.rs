//! The process by the kernel's counters, and the build's version.

use std::fs;

use crate::observe::metrics::page::{Kind, Page};

/// The content of `/proc` for this process at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ProcessState {
    resident_bytes: u64,
    threads: u64,
    open_fds: u64,
    max_fds: u64,
    /// Seconds of CPU, in user and in kernel mode.
    cpu_seconds: f64,
    /// Seconds since 1970.
    start_seconds: f64,
}

/// The kernel counts CPU time for programs in hundredths of a second on every platform (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

impl ProcessState {
    /// Reads the files; an unreadable one is zero. Blocks, briefly.
    pub(crate) fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let of_status = |name: &str| number_after(&status, name);
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let booted = fs::read_to_string("/proc/stat").unwrap_or_default();
        let ticks = stat_fields(&stat);
        let seconds = |ticks: u64| as_float(ticks) / TICKS_PER_SECOND;
        Self {
            resident_bytes: of_status("VmRSS:") * 1024,
            threads: of_status("Threads:"),
            open_fds: fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64),
            max_fds: number_after(&limits, "Max open files"),
            cpu_seconds: seconds(ticks.cpu),
            start_seconds: as_float(number_after(&booted, "btime")) + seconds(ticks.started),
        }
    }
}

struct Ticks {
    cpu: u64,
    started: u64,
}

/// Fields 14, 15 and 22 of `/proc/self/stat`; the name before them may hold anything.
fn stat_fields(stat: &str) -> Ticks {
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let field = |number: usize| -> u64 {
        let field = after_name.split_whitespace().nth(number - 3);
        field.and_then(|field| field.parse().ok()).unwrap_or(0)
    };
    Ticks { cpu: field(14) + field(15), started: field(22) }
}

/// The first number after a word at the begin of a line.
fn number_after(text: &str, word: &str) -> u64 {
    let rest = text.lines().find_map(|line| line.strip_prefix(word));
    let number = rest.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0)
}

#[expect(clippy::cast_precision_loss, reason = "seconds and ticks of one process need no 53 bits")]
const fn as_float(number: u64) -> f64 {
    number as f64
}

/// Under the names common to all client libraries of Prometheus.
pub(super) fn render(page: &mut Page, state: &ProcessState) {
    let version = env!("CARGO_PKG_VERSION");
    page.family("wharfd_build_info", Kind::Gauge, "Which version this is; always 1.")
        .row(&[("version", version)], 1);
    page.single(
        "process_resident_memory_bytes",
        Kind::Gauge,
        "Memory that is resident.",
        state.resident_bytes,
    );
    page.single("process_open_fds", Kind::Gauge, "Open file descriptors.", state.open_fds);
    page.single("process_max_fds", Kind::Gauge, "Most of them that may be open.", state.max_fds);
    page.single("process_threads", Kind::Gauge, "Threads.", state.threads);
    page.family("process_cpu_seconds_total", Kind::Counter, "CPU time, user and system.")
        .fraction(&[], state.cpu_seconds);
    page.family("process_start_time_seconds", Kind::Gauge, "When it started, since 1970.")
        .fraction(&[], state.start_seconds);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_files_and_a_start() {
        let state = ProcessState::read();
        assert!(state.resident_bytes > 1_000_000 && state.threads > 0, "{state:?}");
        assert!(state.open_fds > 2 && state.max_fds >= state.open_fds, "{state:?}");
        assert!(state.start_seconds > 1_700_000_000.0, "{state:?}");
    }

    #[test]
    fn a_name_with_spaces_and_brackets_moves_no_field() {
        let numbers: Vec<_> = (4..=22).map(|number| number.to_string()).collect();
        let ticks = stat_fields(&format!("1 (a) b)) S {}", numbers.join(" ")));
        assert_eq!((ticks.cpu, ticks.started), (14 + 15, 22));
    }
}
