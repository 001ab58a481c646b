//! Two registries, `wharfd` before both with the configuration of the examples, and clients with
//! `wharfd` as their mirror.
//!
//! Invariant: no client here reaches another machine. A client's attempt past the mirror goes to a
//! missing proxy.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::{NamedTempFile, TempDir};
use wharf_double::{Account, AcrDouble, DoubleConfig, Entry, Kind};
use wharf_testkit::clients::{COMMAND_TIME, Client};
use wharf_testkit::http;
use wharf_testkit::images::Layout;
use wharf_testkit::processes::Process;
use wharf_testkit::registry::Registry;

use super::examples::{Example, folder};
use crate::fixture::{Api, START, address_after, command};

/// The listen address of `wharfd` in the examples.
const LISTEN: &str = "127.0.0.1:5000";
const USER: &str = "reader";
const PASSWORD: &str = "a-password-of-a-reader";
/// Nothing listens there.
const NO_PROXY_HERE: &str = "http://127.0.0.1:1";

/// The double before a `docker-registry`.
pub(super) struct Origin {
    pub(super) double: AcrDouble,
    /// Past the double.
    pub(super) behind: Api,
    _registry: Registry,
}

impl Origin {
    async fn start(change: impl FnOnce(&mut DoubleConfig)) -> Option<Self> {
        let registry = Registry::start().await.unwrap()?;
        let mut config = DoubleConfig::new(registry.url());
        change(&mut config);
        let double = AcrDouble::start(config).await.unwrap();
        let behind = Api::new(registry.url(), http::Client::new());
        Some(Self { double, behind, _registry: registry })
    }

    /// The requests since the last call, without the logins.
    pub(super) fn came(&self) -> Vec<Entry> {
        let journal = self.double.journal();
        self.double.reset_counts();
        let logins = [Kind::Version, Kind::Token, Kind::Exchange];
        journal.into_iter().filter(|entry| !logins.contains(&entry.kind)).collect()
    }

    /// Asserts one read of each config and layer from its storage since the start of the counts.
    pub(super) fn assert_served_once(&self, layout: &Layout) {
        let counts = self.double.counts();
        for blob in layout.content() {
            assert_eq!(counts.served(Kind::StorageGet, &blob.digest), 1, "{}", blob.digest);
        }
    }
}

/// `wharfd` with the example's configuration.
pub(super) struct Scene {
    /// In the place of Docker Hub: pulls are anonymous.
    pub(super) hub: Origin,
    /// In the place of contoso.azurecr.io: pulls want a login.
    pub(super) contoso: Origin,
    pub(super) wharfd: Process,
    /// `HOST:PORT` of `wharfd`.
    pub(super) host: String,
    pub(super) folder: TempDir,
}

impl Scene {
    /// `None` without `docker-registry`; `Registry::start` has reported it.
    pub(super) async fn set() -> Option<Self> {
        let hub = Origin::start(|config| config.anonymous_pull = true).await?;
        let reader = Account::reader(USER, PASSWORD);
        let contoso = Origin::start(|config| config.accounts.push(reader)).await?;
        let folder = TempDir::with_prefix("mirrors-").unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("password"), PASSWORD).unwrap();
        Example::read("wharfd.toml")
            .with("https://contoso.azurecr.io", &contoso.double.url())
            .with("https://registry-1.docker.io", &hub.double.url())
            .with("\"https://*\"", "\"http://*\"")
            .with("\"*.azurecr.io\"", "\"127.0.0.1:*\"")
            .uncommented("username = \"reader\"")
            .uncommented("password_file")
            .with("/etc/wharfd/contoso-password", path("password").to_str().unwrap())
            .write(&path("wharfd.toml"));
        let mut command = command(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.arg("--config").arg(path("wharfd.toml")).arg("--store").arg(path("store"));
        let mut wharfd = Process::spawn("wharfd", &mut command, folder.path()).unwrap();
        let listening = |line: &str| address_after(line, "listening on ");
        let host = wharfd.wait_for_line(START, listening).await.unwrap().to_string();
        Some(Self { hub, contoso, wharfd, host, folder })
    }

    /// An example with the address of this `wharfd`.
    pub(super) fn example(&self, path: &str) -> Example {
        Example::read(path).with(LISTEN, &self.host)
    }

    /// The example's folder for containerd, with `docker.io` itself at `hub`, if given.
    pub(super) fn certs_d(&self, hub: Option<&str>) -> PathBuf {
        let certs_d = TempDir::new_in(self.folder.path()).unwrap().keep();
        for host in std::fs::read_dir(folder().join("containerd/certs.d")).unwrap() {
            let host = host.unwrap().file_name().into_string().unwrap();
            let mut hosts = self.example(&format!("containerd/certs.d/{host}/hosts.toml"));
            if let ("docker.io", Some(hub)) = (host.as_str(), hub) {
                hosts = hosts.with("https://registry-1.docker.io", hub);
            }
            hosts.write(&certs_d.join(host).join("hosts.toml"));
        }
        certs_d
    }

    /// The example's file for podman and skopeo, with `docker.io` itself at `hub`, if given.
    pub(super) fn registries_conf(&self, hub: Option<&str>) -> String {
        let mut example = self.example("podman/registries.conf");
        if let Some(hub) = hub {
            let there = format!("prefix = \"docker.io\"\nlocation = \"{hub}\"\ninsecure = true");
            example = example.with("location = \"docker.io\"", &there);
        }
        let file = NamedTempFile::new_in(self.folder.path()).unwrap();
        let path = file.into_temp_path().keep().unwrap();
        example.write(&path);
        path.display().to_string()
    }

    /// podman with folders of this scene and the example's file.
    pub(super) fn podman(&self, arguments: &[&str]) -> Vec<String> {
        let (root, runroot) = (self.path("podman"), self.path("podman-run"));
        let conf = self.registries_conf(None);
        let here = ["--registries-conf", &conf, "--root", &root, "--runroot", &runroot];
        let more = ["--storage-driver=vfs", "--cgroup-manager=cgroupfs"];
        here.iter().chain(&more).chain(arguments).map(|&word| word.to_owned()).collect()
    }

    /// A path in the folder of the scene.
    pub(super) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The way through `wharfd`.
    pub(super) fn api(&self) -> Api {
        Api::new(format!("http://{}", self.host), http::Client::new())
    }
}

/// A command with this machine as its only network.
pub(super) fn inside(program: &Path) -> Command {
    let mut command = Command::new(program);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
        command.env(name, NO_PROXY_HERE);
    }
    command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
    command
}

/// Runs a client inside, to success; returns its output.
pub(super) async fn run<A: AsRef<OsStr>>(client: &Client, arguments: &[A]) -> String {
    let mut command = tokio::process::Command::from(inside(client.path()));
    let output = client.run_with(command.args(arguments), COMMAND_TIME).await.unwrap();
    let (status, stdout, stderr) = (output.status, output.stdout, output.stderr);
    assert!(status.success(), "{:?} ended with {status}:\n{stdout}{stderr}", command.as_std());
    stdout
}
