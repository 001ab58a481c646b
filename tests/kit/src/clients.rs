//! Real clients, run as a user runs them.
//!
//! A missing client is a failure in CI and a loud skip elsewhere; a test never passes silently for
//! want of one.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

/// How long one command of a client may take.
pub const COMMAND_TIME: Duration = Duration::from_mins(2);
/// The kept part of each output of a command; the rest is read and dropped.
const OUTPUT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A program on this machine.
#[derive(Clone, Debug)]
pub struct Client {
    name: String,
    path: PathBuf,
}

/// The result of a command.
#[derive(Clone, Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// Finds a program in `PATH`, in Go's folder of programs, or in the system's own folders. For a
/// missing program this panics if `CI` is set; elsewhere it prints a notice and returns `None`, and
/// the test ends early.
pub fn require(name: &str) -> Option<Client> {
    let found = find(name);
    if found.is_none() {
        missing(&format!("{name} is not installed (see tests/setup.sh)"));
    }
    found
}

/// The folder of the clients for trials, filled by `tests/setup.sh trials`.
pub fn trials_folder() -> PathBuf {
    let named = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")));
    cache.unwrap_or_default().join("wharf/trials-1")
}

/// Finds a program where [`require`] does. Returns `None` without a notice when it is missing: the
/// caller reports it.
pub fn optional(name: &str) -> Option<Client> {
    find(name)
}

/// A program at a path below [`trials_folder`]. `None`, without a word, when it is missing.
pub fn of_trials(path: &str) -> Option<Client> {
    let path = trials_folder().join(path);
    path.is_file().then(|| Client { name: path.display().to_string(), path })
}

fn missing(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what}, and CI must not skip");
    skipped(what);
}

/// Reports a skipped test, for a reason other than a missing program.
#[expect(clippy::print_stderr, reason = "a skipped test must be seen, and tests have no log")]
pub fn skipped(what: &str) {
    eprintln!("\n*** SKIPPED: {what}; what needs it is NOT tested ***\n");
}

fn find(name: &str) -> Option<Client> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin"];
    let folders = std::env::split_paths(&path).chain(go_folders());
    let folders = folders.chain(system.iter().map(PathBuf::from));
    let path = folders.map(|folder| folder.join(name)).find(|path| path.is_file())?;
    Some(Client { name: name.to_owned(), path })
}

/// Where `go install` puts programs: `GOBIN`, else `bin` of the first folder of `GOPATH`, else of
/// `~/go`.
fn go_folders() -> impl Iterator<Item = PathBuf> {
    let named = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let first = |path| std::env::split_paths(&path).next();
    let path = named("GOPATH").and_then(first);
    let home = || named("HOME").map(|home| PathBuf::from(home).join("go"));
    let bin = path.or_else(home).map(|path| path.join("bin"));
    named("GOBIN").map(PathBuf::from).into_iter().chain(bin)
}

impl Client {
    /// Where the program is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs the program and waits for its end, successful or not.
    pub async fn run<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> anyhow::Result<Output> {
        self.run_with(Command::new(&self.path).args(arguments), COMMAND_TIME).await
    }

    /// Runs the program; any end but success is an error with the program's output.
    pub async fn run_ok<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> anyhow::Result<Output> {
        let mut command = Command::new(&self.path);
        let output = self.run_with(command.args(arguments), COMMAND_TIME).await?;
        anyhow::ensure!(
            output.status.success(),
            "{:?} ended with {}:\n{}{}",
            command.as_std(),
            output.status,
            output.stdout,
            output.stderr
        );
        Ok(output)
    }

    /// Runs a prepared command of this program within a time; afterwards it is killed.
    pub async fn run_with(&self, command: &mut Command, time: Duration) -> anyhow::Result<Output> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", self.name))?;
        let stdout = collect(child.stdout.take());
        let stderr = collect(child.stderr.take());
        let all = async { tokio::join!(stdout, stderr, child.wait()) };
        let (stdout, stderr, status) = tokio::time::timeout(time, all)
            .await
            .with_context(|| format!("{:?} took more than {time:?}", command.as_std()))?;
        Ok(Output { status: status?, stdout: stdout?, stderr: stderr? })
    }
}

async fn collect(pipe: Option<impl AsyncRead + Unpin>) -> anyhow::Result<String> {
    let mut kept = Vec::new();
    if let Some(mut pipe) = pipe {
        (&mut pipe).take(OUTPUT_BYTES_MAX).read_to_end(&mut kept).await?;
        tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
    }
    Ok(String::from_utf8_lossy(&kept).into_owned())
}
