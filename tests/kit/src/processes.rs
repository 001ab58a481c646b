//! Child processes of tests: output in files, readiness by polling, a certain end.
//!
//! A child is always ended by its own id, and at the latest when its guard is dropped.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, bail};
pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use tokio::time::{Instant, sleep};

/// How often readiness and exits are looked for.
const POLL: Duration = Duration::from_millis(5);
/// How much of a child's output an error repeats.
const TAIL_BYTES: usize = 4096;

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    /// Starts a command; its output goes to `NAME.stdout` and `NAME.stderr` in `folder`.
    pub fn spawn(name: &str, command: &mut Command, folder: &Path) -> anyhow::Result<Self> {
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

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything on standard output so far.
    pub fn stdout(&self) -> String {
        read(&self.stdout)
    }

    /// Everything on standard error so far.
    pub fn stderr(&self) -> String {
        read(&self.stderr)
    }

    /// Waits until `find` returns a value for a complete line of the child's output. Fails, with
    /// the end of the child's standard error, when the child exits first or the time is up.
    pub async fn wait_for_line<T>(
        &mut self,
        time: Duration,
        find: impl Fn(&str) -> Option<T>,
    ) -> anyhow::Result<T> {
        let deadline = Instant::now() + time;
        loop {
            let exited = self.child.try_wait()?;
            for output in [self.stdout(), self.stderr()] {
                let whole = output.rsplit_once('\n').map_or("", |(whole, _)| whole);
                if let Some(found) = whole.lines().find_map(&find) {
                    return Ok(found);
                }
            }
            self.check(exited, deadline)?;
            sleep(POLL).await;
        }
    }

    /// Waits until a GET of this address has any response.
    pub async fn wait_for_http(&mut self, url: &str, time: Duration) -> anyhow::Result<()> {
        let client = crate::http::Client::new();
        let deadline = Instant::now() + time;
        loop {
            if client.get(url).send().await.is_ok() {
                return Ok(());
            }
            let exited = self.child.try_wait()?;
            self.check(exited, deadline)?;
            sleep(POLL).await;
        }
    }

    /// Waits until the child exits by itself.
    pub async fn wait(&mut self, time: Duration) -> anyhow::Result<ExitStatus> {
        let deadline = Instant::now() + time;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            self.check(None, deadline)?;
            sleep(POLL).await;
        }
    }

    /// Sends SIGTERM and waits for the exit.
    pub async fn terminate(&mut self, time: Duration) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait(time).await
    }

    /// Sends SIGKILL and waits until the child is gone.
    pub fn kill(&mut self) -> anyhow::Result<ExitStatus> {
        self.child.kill().with_context(|| format!("cannot kill {}", self.name))?;
        Ok(self.child.wait()?)
    }

    /// Sends a signal, unless the child has already exited.
    pub fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        // The child was not reaped yet, so its id belongs to no other process.
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).with_context(|| format!("cannot signal {}", self.name))
    }

    fn check(&self, exited: Option<ExitStatus>, deadline: Instant) -> anyhow::Result<()> {
        let stderr = self.stderr();
        let (_, tail) =
            stderr.split_at(stderr.floor_char_boundary(stderr.len().saturating_sub(TAIL_BYTES)));
        if let Some(status) = exited {
            bail!("{} ended too early with {status}; it said:\n{tail}", self.name);
        }
        if Instant::now() >= deadline {
            bail!("{} did not do in time what was waited for; it said:\n{tail}", self.name);
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An exited child cannot be killed, and a killed one need only be reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// The path of one of our programs (`wharfd`, `wharf`, `acr-double`), built from the present sources.
///
/// The build runs once per test process; `WHARF_BIN_DIR` names a folder with finished programs and
/// saves it.
pub fn product(name: &str) -> anyhow::Result<PathBuf> {
    let folder = match std::env::var_os("WHARF_BIN_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => build_products()?,
    };
    let path = folder.join(name);
    anyhow::ensure!(path.is_file(), "{} is not there; is WHARF_BIN_DIR right?", path.display());
    Ok(path)
}

fn build_products() -> anyhow::Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.clone().map_err(anyhow::Error::msg)
}

/// Builds with the profile of the running test: the test's program is in `target/PROFILE/deps`.
fn build() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let profile_folder =
        test.ancestors().find(|folder| !folder.ends_with("deps") && folder.is_dir());
    let folder = profile_folder.context("a test program lies in a folder")?.to_owned();
    let profile = match folder.file_name().and_then(OsStr::to_str) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target = folder.parent().context("a profile's folder lies in the target folder")?;
    let output = Command::new(cargo)
        .args(["build", "--bins", "-p", "wharf-proxy", "-p", "wharf-tools", "-p", "wharf-double"])
        .args(["--profile", profile])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TARGET_DIR", target)
        .stdin(Stdio::null())
        .output()
        .context("cannot start cargo")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    anyhow::ensure!(
        output.status.success(),
        "building wharfd, wharf and acr-double failed:\n{said}"
    );
    Ok(folder)
}
