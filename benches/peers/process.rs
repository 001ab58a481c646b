//! Programs under measurement: output in files, readiness by polling, resource usage as counted by
//! Linux, and a certain end. This module knows nothing of registries.
//!
//! The cost of a program includes its child processes, because nginx works in children.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::report::float;

/// How often readiness and ends are looked for.
const POLL: Duration = Duration::from_millis(2);
/// How long a program may take to be ready, or to end when asked.
const PATIENCE: Duration = Duration::from_mins(1);
const TAIL_BYTES: usize = 2048;

/// A running program. Dropping it ends it.
pub(crate) struct Process {
    name: String,
    child: Child,
    pub(crate) stdout: PathBuf,
    pub(crate) stderr: PathBuf,
}

impl Process {
    /// Starts a command; its output goes to `NAME.stdout` and `NAME.stderr` in `folder`.
    pub(crate) fn start(name: &str, command: &mut Command, folder: &Path) -> anyhow::Result<Self> {
        let stdout = folder.join(format!("{name}.stdout"));
        let stderr = folder.join(format!("{name}.stderr"));
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&stdout)?)
            .stderr(File::create(&stderr)?)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self { name: name.to_owned(), child, stdout, stderr })
    }

    /// Polls until `find` returns a value, or the program ends.
    pub(crate) fn wait_for<T>(
        &mut self,
        mut find: impl FnMut(&Self) -> Option<T>,
    ) -> anyhow::Result<T> {
        let begin = Instant::now();
        loop {
            let exited = self.child.try_wait()?;
            if let Some(found) = find(self) {
                return Ok(found);
            }
            if let Some(status) = exited {
                bail!("{} ended with {status}; it said:\n{}", self.name, self.tail());
            }
            ensure!(begin.elapsed() < PATIENCE, "{} is not ready:\n{}", self.name, self.tail());
            pause(POLL);
        }
    }

    /// The first result of `find` over the complete lines of output.
    pub(crate) fn line<T>(&self, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        [&self.stdout, &self.stderr].into_iter().find_map(|path| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            whole.lines().find_map(&find)
        })
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        self.end()
    }

    fn end(&mut self) -> anyhow::Result<()> {
        if self.child.try_wait()?.is_none() {
            kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        }
        let begin = Instant::now();
        while self.child.try_wait()?.is_none() {
            if begin.elapsed() > PATIENCE {
                self.child.kill()?;
                self.child.wait()?;
                bail!("{} did not end when asked:\n{}", self.name, self.tail());
            }
            pause(POLL);
        }
        Ok(())
    }

    fn tail(&self) -> String {
        let text = fs::read_to_string(&self.stderr).unwrap_or_default();
        let start = text.floor_char_boundary(text.len().saturating_sub(TAIL_BYTES));
        text.get(start..).unwrap_or_default().to_owned()
    }

    /// The program's own process and its children.
    fn family(&self) -> Vec<u32> {
        let own = self.child.id();
        let path = format!("/proc/{own}/task/{own}/children");
        let children = fs::read_to_string(path).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|word| word.parse().ok());
        std::iter::once(own).chain(children).collect()
    }

    /// Processor time of the program in seconds, in user and system mode.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = |pid: u32| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let ticks: u64 = self.family().into_iter().map(|pid| ticks(&stat(pid))).sum();
        float(ticks) / float(rustix::param::clock_ticks_per_second())
    }

    /// Resident memory in MiB.
    pub(crate) fn resident_mib(&self) -> f64 {
        self.memory_mib("VmRSS:")
    }

    /// The peak of resident memory since [`Self::forget_peak`], in MiB. Pages shared by children
    /// count once for each child.
    pub(crate) fn peak_mib(&self) -> f64 {
        self.memory_mib("VmHWM:")
    }

    pub(crate) fn forget_peak(&self) {
        for pid in self.family() {
            // Without permission to write this file, the peak covers the whole life of the process.
            let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
        }
    }

    fn memory_mib(&self, field: &str) -> f64 {
        let kib: u64 = self.family().into_iter().map(|pid| status_kib(pid, field)).sum();
        float(kib) / 1024.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

fn status_kib(pid: u32, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// `utime` + `stime` of a line of `/proc/PID/stat`: the 12th and 13th word after the name. The name
/// is in brackets and may contain any character.
fn ticks(stat: &str) -> u64 {
    let (_, words) = stat.rsplit_once(')').unwrap_or_default();
    words.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum()
}

#[expect(clippy::disallowed_methods, reason = "polls have deadlines, and delays are what is made")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_any_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 31 9 9 20 0 1 0 100 1 1";
        assert_eq!(ticks(stat), 281);
        assert_eq!(ticks(""), 0);
    }

    #[test]
    fn a_program_is_accounted_for_and_ended() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo ready; sleep 100 & wait"]);
        let mut process = Process::start("sh", &mut command, folder.path()).unwrap();
        let ready = |process: &Process| process.line(|line| (line == "ready").then_some(()));
        process.wait_for(ready).unwrap();
        process.wait_for(|process| (process.family().len() == 2).then_some(())).unwrap();
        assert!(process.resident_mib() > 0.0 && process.peak_mib() > 0.0);
        let sleeping = process.family()[1];
        process.stop().unwrap();
        kill_process(Pid::from_raw(i32::try_from(sleeping).unwrap()).unwrap(), Signal::KILL)
            .unwrap();
    }
}
