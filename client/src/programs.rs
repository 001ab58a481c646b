//! Credential programs: run with bounds on time and output.
//!
//! Invariant: a program's output goes only to the caller of this module, and no process started by
//! the program outlives its time.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use crate::limits::PROGRAM_OUTPUT_BYTES_MAX;

/// How a program ended.
pub struct ExitedProgram {
    /// Its exit code, or the signal that ended it.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: Vec<u8>,
}

/// Runs a program to its end with the given standard input, for at most this time. Its standard error is
/// discarded: it may hold the secret. The error says how it failed, to be read after its name.
pub async fn run(
    command: &mut Command,
    input: &[u8],
    at_most: Duration,
) -> Result<ExitedProgram, String> {
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot be started: {error}"))?;
    let mut group = Group(child);
    let ended = tokio::time::timeout(at_most, converse(&mut group.0, input)).await;
    ended.map_err(|_| format!("did not end within {} s", at_most.as_secs()))?
}

async fn converse(child: &mut Child, input: &[u8]) -> Result<ExitedProgram, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input reports that with its exit code.
        let _ = stdin.write_all(input).await;
    }
    let mut stdout = Vec::new();
    if let Some(pipe) = child.stdout.take() {
        let mut pipe = pipe.take(PROGRAM_OUTPUT_BYTES_MAX + 1);
        pipe.read_to_end(&mut stdout).await.map_err(unreadable)?;
    }
    if stdout.len() as u64 > PROGRAM_OUTPUT_BYTES_MAX {
        return Err(format!("printed more than {PROGRAM_OUTPUT_BYTES_MAX} bytes"));
    }
    let status = child.wait().await.map_err(unreadable)?;
    Ok(ExitedProgram { status, stdout })
}

/// A program with its whole process group: a killed shell does not take its children along.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // The id is valid until the program has been waited for; until then the system does not
        // reuse it.
        let pid = self.0.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        if let Some(pid) = pid {
            // A missing group is already dead.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn a_program_gets_its_input_and_its_output_is_returned() {
        let ended =
            run(&mut shell("read host; echo \"for $host\"; exit 3"), b"h\n", LONG).await.unwrap();
        assert_eq!((ended.stdout.as_slice(), ended.status.code()), (&b"for h\n"[..], Some(3)));
        assert!(run(&mut Command::new("/nonexistent/program"), b"", LONG).await.is_err());
    }

    #[tokio::test]
    async fn a_program_that_prints_without_end_is_ended() {
        let error =
            run(&mut shell("while :; do echo secret-word; done"), b"", LONG).await.err().unwrap();
        assert!(error.contains("bytes") && !error.contains("secret-word"), "{error}");
    }

    #[tokio::test]
    async fn who_gives_up_on_a_program_ends_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}.new; mv {0}.new {0}; wait", path.display());
        let mut command = shell(&script);
        let written = async {
            while !path.exists() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            _ = run(&mut command, b"", LONG) => panic!("it waits"),
            () = written => {}
        }
        let pid: i32 = std::fs::read_to_string(&path).unwrap().trim().parse().unwrap();
        // Dead, or a zombie waiting for its new parent.
        let gone = || {
            let status = std::fs::read_to_string(format!("/proc/{pid}/stat"));
            status.is_err() || status.is_ok_and(|text| text.contains(") Z "))
        };
        while !gone() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}
