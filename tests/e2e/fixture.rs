//! The common parts of the tests of `wharfd`: a real process on a store of its own, alone or before
//! the double, and a client of the registry API.
//!
//! Every process listens on port 0 and is ended by its guard.

mod api;
mod behind;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use wharf_double::{Account, AcrDouble, DoubleConfig};
use wharf_testkit::http::{Answer, Client};
use wharf_testkit::images;
use wharf_testkit::processes::{Process, product};
use wharf_testkit::registry::Registry;
use wharf_testkit::relay::Relay;

pub(crate) use api::{Api, code, message};
pub(crate) use behind::{assert_all_stored_is_right, assert_blobs_are_right};

/// How long `wharfd` may take to listen; opening a store is most of it.
pub(crate) const START: Duration = Duration::from_secs(30);
/// The longest wait of a test for any other event.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(5);
/// The environment variable with the password for the double.
const PASSWORD_VARIABLE: &str = "E2E_UPSTREAM_PASSWORD";

pub(crate) const USER: &str = "publisher";
pub(crate) const PASSWORD: &str = "a secret";
const READER: &str = "reader";

/// The bytes of `images::noise`, whole.
pub(crate) fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut content = Vec::new();
    std::io::copy(&mut images::noise(seed, bytes as u64), &mut content).unwrap();
    content
}

/// Waits until `look` returns a value; `what` names the event for the panic.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        sleep(POLL).await;
    }
}

/// `wharfd` with these arguments, and nothing of its configuration in the environment.
pub(crate) fn command<A: AsRef<std::ffi::OsStr>>(
    arguments: impl IntoIterator<Item = A>,
) -> Command {
    let mut command = Command::new(product("wharfd").unwrap());
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        let name_text = name_text.to_ascii_uppercase();
        let is_ours = name_text.starts_with("WHARFD_") || name_text.starts_with("OTEL_");
        if is_ours || name_text.ends_with("_PROXY") {
            command.env_remove(name);
        }
    }
    // Refusals come at once here; `patience.rs` tests the hold before a refusal.
    command.args(arguments).env(PASSWORD_VARIABLE, PASSWORD).env("WHARFD_HOLD", "0");
    command
}

/// A running `wharfd` and its store. The store outlives a kill, and goes with this.
pub(crate) struct Wharfd {
    pub(crate) api: Api,
    process: Process,
    admin: SocketAddr,
    folder: TempDir,
    starts: u32,
    how: How,
}

/// How `wharfd` is started, besides its configuration.
#[derive(Default)]
pub(crate) struct How {
    /// Further command-line arguments.
    pub(crate) arguments: Vec<String>,
    /// Further variables of its environment.
    pub(crate) variables: Vec<(&'static str, String)>,
}

impl Wharfd {
    /// A registry of its own.
    pub(crate) async fn alone() -> Self {
        Self::with_config("").await
    }

    /// With these lines in its configuration besides listeners and store.
    pub(crate) async fn with_config(lines: &str) -> Self {
        Self::started(lines, How::default()).await
    }

    /// The same, and it holds requests for as long as it does for people.
    pub(crate) async fn holding(lines: &str) -> Self {
        let variables = vec![("WHARFD_HOLD", "45".to_owned())];
        Self::started(lines, How { variables, ..How::default() }).await
    }

    /// The same, and it logs so much.
    pub(crate) async fn logging(log: &'static str, lines: &str) -> Self {
        let variables = vec![("WHARFD_LOG", log.to_owned())];
        Self::started(lines, How { variables, ..How::default() }).await
    }

    /// The same, started in another way.
    pub(crate) async fn started(lines: &str, how: How) -> Self {
        let folder = TempDir::with_prefix("wharfd-").unwrap();
        let config = format!(
            "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nstore = \"{}\"\n{lines}",
            folder.path().join("store").display()
        );
        std::fs::write(folder.path().join("wharfd.toml"), config).unwrap();
        let (process, addr, admin) = spawn(folder.path(), 0, &how).await;
        let api = Api::new(format!("http://{addr}"), Client::new());
        Self { api, process, admin, folder, starts: 1, how }
    }

    /// Changes its configuration, for its next start or SIGHUP.
    pub(crate) fn rewrite(&self, change: impl FnOnce(String) -> String) {
        let path = self.folder.path().join("wharfd.toml");
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, change(before)).unwrap();
    }

    /// Sends SIGHUP.
    pub(crate) fn hang_up(&mut self) {
        self.process.signal(Signal::HUP).unwrap();
    }

    /// Sends SIGTERM, and does not wait for the end.
    pub(crate) fn terminate(&mut self) {
        self.process.signal(Signal::TERM).unwrap();
    }

    /// The response of the admin address.
    pub(crate) async fn admin(&self, path: &str) -> Answer {
        Client::new().get(format!("http://{}{path}", self.admin)).send().await.unwrap()
    }

    /// Adds lines to its configuration, for the next start.
    pub(crate) fn reconfigure(&self, lines: &str) {
        let path = self.folder.path().join("wharfd.toml");
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, before + lines).unwrap();
    }

    /// Ends it without a warning, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
    }

    /// Starts it again on the same store, after it ended; its port is another one.
    pub(crate) async fn start_again(&mut self) {
        let (process, addr, admin) = spawn(self.folder.path(), self.starts, &self.how).await;
        self.starts += 1;
        self.process = process;
        self.admin = admin;
        self.api = Api::new(format!("http://{addr}"), Client::new());
    }

    /// Sends SIGTERM and waits for its end.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        self.process.terminate(PATIENCE).await.unwrap()
    }

    /// Sends SIGTERM and does not wait.
    pub(crate) fn signal_stop(&mut self) {
        self.process.signal(Signal::TERM).unwrap();
    }

    /// Waits for its requested end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        self.process.wait(PATIENCE).await.unwrap()
    }

    /// The response of the admin address: status and text.
    pub(crate) async fn admin_get(&self, path: &str) -> (u16, String) {
        let answer = Client::new().get(format!("http://{}{path}", self.admin)).send().await;
        let answer = answer.unwrap();
        (answer.status.as_u16(), answer.text())
    }

    /// Where operators ask.
    pub(crate) fn admin_base(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// `HOST:PORT`, as clients name it.
    pub(crate) fn host(&self) -> String {
        self.api.base().trim_start_matches("http://").to_owned()
    }

    /// Its log.
    pub(crate) fn log(&self) -> String {
        self.process.stderr()
    }

    /// The peak of its resident memory, as counted by the kernel.
    pub(crate) fn peak_memory_bytes(&self) -> usize {
        self.memory("VmHWM:")
    }

    /// Its resident memory at the moment.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory("VmRSS:")
    }

    fn memory(&self, kind: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.pid()));
        let status = status.unwrap();
        let found = status.lines().find_map(|line| line.strip_prefix(kind)).unwrap();
        found.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    /// The id of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The folder of the store.
    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Runs `wharfd store NAME --store …` with more arguments.
    pub(crate) async fn store_command(&self, name: &str, more: &[&str]) -> Said {
        self.command_on_store("store", name, more).await
    }

    /// Runs `wharfd push NAME --store …` with more arguments.
    pub(crate) async fn push_command(&self, name: &str, more: &[&str]) -> Said {
        self.command_on_store("push", name, more).await
    }

    async fn command_on_store(&self, group: &str, name: &str, more: &[&str]) -> Said {
        let store = self.store();
        let mut arguments = vec![group.as_ref(), name.as_ref(), "--store".as_ref()];
        arguments.push(store.as_os_str());
        arguments.extend(more.iter().map(std::ffi::OsStr::new));
        run_to_end(arguments).await
    }

    /// The text of all metrics.
    pub(crate) async fn metrics(&self) -> String {
        let answer = Client::new().get(format!("http://{}/metrics", self.admin)).send().await;
        answer.unwrap().text()
    }

    /// A metric, with its labels as they are printed.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let text = self.metrics().await;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no metric {name} in:\n{text}")).parse().unwrap()
    }

    /// Waits until a metric has reached a value.
    pub(crate) async fn metric_reaches(&self, name: &str, value: u64) {
        let what = format!("{name} to reach {value}");
        eventually(&what, async || (self.metric(name).await >= value).then_some(())).await;
    }

    /// Waits until no download is going on.
    pub(crate) async fn fills_are_over(&self) {
        let over = async || (self.metric("wharfd_fills").await == 0).then_some(());
        eventually("the end of all downloads", over).await;
    }
}

/// The end of a `wharfd store` run, and its output.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    /// The result of a command with JSON output: one object and nothing else.
    pub(crate) fn json(&self) -> serde_json::Value {
        let parsed = serde_json::from_str(&self.stdout);
        parsed.unwrap_or_else(|error| panic!("{error}: {:?} {:?}", self.stdout, self.stderr))
    }
}

/// Runs `wharfd store` with these arguments to its end.
pub(crate) async fn store_command<A: AsRef<std::ffi::OsStr>>(
    arguments: impl IntoIterator<Item = A>,
) -> Said {
    let arguments = arguments.into_iter().map(|argument| argument.as_ref().to_owned());
    run_to_end(std::iter::once("store".into()).chain(arguments)).await
}

/// Runs `wharfd` with these arguments to its end.
async fn run_to_end<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> Said {
    let folder = TempDir::new().unwrap();
    let mut command = command(arguments);
    let mut process = Process::spawn("store", &mut command, folder.path()).unwrap();
    let status = process.wait(PATIENCE).await.unwrap();
    let code = status.code().expect("no signal ended it");
    Said { code, stdout: process.stdout(), stderr: process.stderr() }
}

/// The size of a folder on disk, as by `du`: blocks, and each file once for any number of links.
pub(crate) fn disk_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let mut files = std::collections::HashMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        // A folder deleted meanwhile takes no space.
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let Ok(about) = entry.metadata() else { continue };
            files.insert(about.ino(), about.blocks() * 512);
            if about.is_dir() {
                open.push(entry.path());
            }
        }
    }
    files.values().sum()
}

/// Starts `wharfd serve` with the configuration in `folder`; returns its listen addresses, public
/// and admin.
async fn spawn(folder: &Path, number: u32, how: &How) -> (Process, SocketAddr, SocketAddr) {
    let config = folder.join("wharfd.toml");
    let mut command = command(["serve", "--config"]);
    command.arg(&config).args(&how.arguments);
    command.envs(how.variables.iter().map(|(name, value)| (name, value)));
    let name = format!("wharfd-{number}");
    let mut process = Process::spawn(&name, &mut command, folder).unwrap();
    let addr = process.wait_for_line(START, |line| address_after(line, "listening on ")).await;
    let admin = process.wait_for_line(START, |line| address_after(line, "admin on ")).await;
    (process, addr.unwrap(), admin.unwrap())
}

/// The address at the end of a log line.
pub(crate) fn address_after(line: &str, words: &str) -> Option<SocketAddr> {
    // In JSON more follows.
    line.split_once(words)?.1.split('"').next()?.trim().parse().ok()
}

/// How a [`Stage`] differs from the usual.
pub(crate) struct Setup {
    /// The double, before it starts.
    pub(crate) double: DoubleConfig,
    /// Lines in the upstream's part of wharfd's configuration.
    pub(crate) upstream: String,
    /// Lines in the part before.
    pub(crate) lines: &'static str,
    user: &'static str,
    /// For how many seconds `wharfd` holds a request at most.
    hold: &'static str,
}

impl Setup {
    /// Tags are served for so long without asking.
    pub(crate) fn tag_ttl(mut self, seconds: u64) -> Self {
        let _ = writeln!(self.upstream, "tag_ttl_seconds = {seconds}");
        self
    }

    /// These lines stand in wharfd's configuration.
    pub(crate) fn lines(self, lines: &'static str) -> Self {
        Self { lines, ..self }
    }

    /// `wharfd` holds requests for as long as it does for people.
    pub(crate) fn holding(self) -> Self {
        Self { hold: "45", ..self }
    }

    /// `wharfd` may only read at the upstream.
    pub(crate) fn read_only(self) -> Self {
        Self { user: READER, ..self }
    }
}

/// `wharfd` before the double before an empty `docker-registry`.
pub(crate) struct Stage {
    pub(crate) wharfd: Wharfd,
    pub(crate) double: AcrDouble,
    /// Between `wharfd` and the registry port of the double.
    pub(crate) front: Relay,
    /// Between `wharfd` and the storage port of the double, where the bytes of blobs come from.
    pub(crate) storage: Relay,
    /// The registry behind, past the double.
    pub(crate) origin: Api,
    /// Kept for its end.
    pub(crate) registry: Registry,
}

impl Stage {
    /// `None` without `docker-registry`; `Registry::start` has reported it.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with(|setup| setup).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(Setup) -> Setup) -> Option<Self> {
        let registry = Registry::start().await.unwrap()?;
        let (front, storage) = (Relay::start().await.unwrap(), Relay::start().await.unwrap());
        let mut double = double_config(&registry);
        double.storage_public = Some(storage.addr().to_string());
        let setup =
            change(Setup { double, upstream: String::new(), lines: "", user: USER, hold: "0" });
        let double = AcrDouble::start(setup.double).await.unwrap();
        front.point_to(double.addr());
        storage.point_to(double.storage_addr());
        let upstream = upstream_lines(&front.url(), setup.user);
        let config = format!("{}{upstream}{}", setup.lines, setup.upstream);
        let variables = vec![("WHARFD_HOLD", setup.hold.to_owned())];
        let wharfd = Wharfd::started(&config, How { variables, ..How::default() }).await;
        let origin = Api::new(registry.url(), Client::new());
        Some(Self { wharfd, double, front, storage, origin, registry })
    }

    /// The way through `wharfd`.
    pub(crate) fn api(&self) -> &Api {
        &self.wharfd.api
    }
}

/// The part of wharfd's configuration about one upstream, with a login.
pub(crate) fn upstream_lines(url: &str, user: &str) -> String {
    let url = format!("[[upstream]]\nurl = \"{url}\"\n");
    format!("{url}username = \"{user}\"\npassword_env = \"{PASSWORD_VARIABLE}\"\n")
}

/// A double before this registry with the usual accounts, among them one with read access only.
pub(crate) fn double_config(registry: &Registry) -> DoubleConfig {
    DoubleConfig::new(registry.url())
        .account(Account::admin(USER, PASSWORD))
        .account(Account::reader(READER, PASSWORD))
}

/// An address without a listener, for as long as the socket lives: the socket is bound, so no other
/// test can take the port, and connections are refused.
pub(crate) fn held_port() -> (tokio::net::TcpSocket, std::net::SocketAddr) {
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = held.local_addr().unwrap();
    (held, address)
}
