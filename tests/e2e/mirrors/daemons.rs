//! containerd and dockerd of a test's own, on folders of their own, with the examples as configuration.
//!
//! Each is a child of the test, ended by its guard. dockerd gets a ready containerd, so it starts
//! none to outlive it.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use wharf_testkit::clients::{self, Client};
use wharf_testkit::processes::Process;

use super::examples::Example;
use super::scene::{Scene, inside, run};
use crate::fixture::START;

/// containerd with its CRI plugin.
pub(super) struct Containerd {
    ctr: Client,
    hosts: PathBuf,
    process: Process,
    folder: TempDir,
}

impl Containerd {
    /// `None`, with a loud word, where none can run.
    pub(super) async fn start(scene: &Scene) -> Option<Self> {
        let (program, ctr) = (clients::require("containerd")?, clients::require("ctr")?);
        let folder = TempDir::with_prefix("containerd-").unwrap();
        let hosts = scene.certs_d(None);
        let cri = folder.path().join("cri.toml");
        cri_part(&hosts).write(&cri);
        let root = folder.path().display();
        let config = format!(
            "version = 2\nroot = \"{root}/root\"\nstate = \"{root}/state\"\n\
             imports = [\"{root}/cri.toml\"]\n\
             [grpc]\naddress = \"{root}/socket\"\n[ttrpc]\naddress = \"{root}/ttrpc\"\n\
             [plugins.\"io.containerd.internal.v1.opt\"]\npath = \"{root}/opt\"\n"
        );
        let file = folder.path().join("config.toml");
        std::fs::write(&file, config).unwrap();
        let mut command = inside(program.path());
        command.arg("--config").arg(&file);
        let mut process = Process::spawn("containerd", &mut command, folder.path()).unwrap();
        let booted = |line: &str| line.contains("successfully booted").then_some(());
        if process.wait_for_line(START, booted).await.is_err() {
            clients::skipped(&format!("no containerd can run here:\n{}", process.stderr()));
            return None;
        }
        Some(Self { ctr, hosts, process, folder })
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// `ctr` in a namespace of containerd's.
    pub(super) async fn ctr(&self, namespace: &str, arguments: &[&str]) -> String {
        let socket = self.socket().display().to_string();
        let here = ["--address", &socket, "--namespace", namespace];
        run(&self.ctr, &[&here[..], arguments].concat()).await
    }

    /// Pulls an image with the hosts of the examples; its digest.
    pub(super) async fn pull(&self, image: &str, more: &[&str]) -> String {
        self.pull_from(&self.hosts, image, more).await
    }

    /// The same with other hosts.
    pub(super) async fn pull_from(&self, hosts: &Path, image: &str, more: &[&str]) -> String {
        let hosts = hosts.display().to_string();
        let pull = ["images", "pull", "--hosts-dir", &hosts];
        self.ctr("test", &[&pull[..], more, &[image]].concat()).await;
        self.digest("test", image).await
    }

    /// The digest of an image in this containerd.
    pub(super) async fn digest(&self, namespace: &str, image: &str) -> String {
        let list = self.ctr(namespace, &["images", "ls", &format!("name=={image}")]).await;
        let line = list.lines().find(|line| line.starts_with(image));
        let line = line.unwrap_or_else(|| panic!("no {image} in:\n{list}"));
        line.split_whitespace().find(|word| word.starts_with("sha256:")).unwrap().to_owned()
    }

    pub(super) async fn stop(mut self) {
        assert!(self.process.terminate(START).await.unwrap().success());
    }
}

fn cri_part(hosts: &Path) -> Example {
    Example::read("kubernetes/containerd-config.toml")
        .with("\"/etc/containerd/certs.d\"", &format!("\"{}\"", hosts.display()))
}

/// dockerd with the example's `daemon.json`.
pub(super) struct Dockerd {
    docker: Client,
    host: String,
    process: Process,
    /// The containerd of dockerd; it knows the examples too.
    pub(super) containerd: Containerd,
    _folder: TempDir,
}

impl Dockerd {
    /// `None`, with a loud word, where none can run.
    pub(super) async fn start(scene: &Scene) -> Option<Self> {
        let (program, docker) = (clients::require("dockerd")?, clients::require("docker")?);
        let containerd = Containerd::start(scene).await?;
        let folder = TempDir::with_prefix("dockerd-").unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        scene.example("docker/daemon.json").write(Path::new(&path("daemon.json")));
        let host = format!("unix://{}", path("socket"));
        let mut command = inside(program.path());
        command.args(["--config-file", &path("daemon.json"), "--host", &host]);
        command.arg("--containerd").arg(containerd.socket());
        command.args(["--iptables=false", "--ip6tables=false", "--bridge=none"]);
        command.args(["--storage-driver=vfs", "--data-root", &path("data")]);
        command.args(["--exec-root", &path("exec"), "--pidfile", &path("pid")]);
        let mut process = Process::spawn("dockerd", &mut command, folder.path()).unwrap();
        let up = |line: &str| line.contains("API listen on").then_some(());
        if process.wait_for_line(START, up).await.is_err() {
            clients::skipped(&format!("no docker daemon can run here:\n{}", process.stderr()));
            return None;
        }
        Some(Self { docker, host, process, containerd, _folder: folder })
    }

    pub(super) async fn docker(&self, arguments: &[&str]) -> String {
        run(&self.docker, &[&["--host", &self.host][..], arguments].concat()).await
    }

    /// Pulls an image; returns the tag's digest.
    pub(super) async fn pull(&self, image: &str) -> String {
        self.docker(&["pull", "--quiet", image]).await;
        let digests = ["inspect", "--format", "{{index .RepoDigests 0}}", image];
        let digest = self.docker(&digests).await;
        digest.trim().rsplit_once('@').unwrap().1.to_owned()
    }

    /// Ends it, and its containerd.
    pub(super) async fn stop(mut self) {
        assert!(self.process.terminate(START).await.unwrap().success());
        self.containerd.stop().await;
    }
}
