//! The images of `wharf package` with their users: unpacked by the engines, beside other builders'
//! images of the same folder, with the same bytes on any machine, made from other builders' images,
//! and from bad input.

mod adopted;
mod bad_input;
mod builders;
mod changing;
mod interrupted;
mod odd_root;
mod same_bytes;
mod trees;
mod unpacked;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;
use wharf_testkit::clients::{COMMAND_TIME, Client};
use wharf_testkit::images::sha256;
use wharf_testkit::offers::{Offer, PLAN};

use crate::corpus::run::program;

/// A folder with an offer of one plan, and the files for its image.
struct Workshop {
    folder: TempDir,
}

impl Workshop {
    /// With these lines as the `platforms` of the image, and before them.
    fn new(image: &str) -> Self {
        let shop = Self { folder: TempDir::with_prefix("package-").unwrap() };
        shop.write_offer(image);
        shop
    }

    /// Writes the offer: `image` is the text between `tags` and `config`.
    fn write_offer(&self, image: &str) {
        offer(image).write(self.folder.path()).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// The layout of the plan.
    fn layout(&self) -> PathBuf {
        self.path("out").join(PLAN)
    }

    /// The layout as skopeo and podman name it, by one of its tags.
    fn reference(&self, tag: &str) -> String {
        format!("oci:{}:{tag}", self.layout().display())
    }

    /// Runs `wharf package` on the offer.
    fn package(&self, more: &[&str]) -> Output {
        self.package_command(more).output().unwrap()
    }

    fn package_command(&self, more: &[&str]) -> Command {
        let mut command = program();
        command.arg("package").arg(self.path("offer.yaml")).args(more);
        command.env_remove("SOURCE_DATE_EPOCH");
        command
    }

    /// The same with required success.
    fn packaged(&self) -> PathBuf {
        let output = self.package(&[]);
        assert!(output.status.success(), "{}", said(&output));
        self.layout()
    }
}

/// An offer of one plan; `image` is the text between `tags` and `config`.
fn offer(image: &str) -> Offer {
    let mut offer = Offer::healthy();
    let start = offer.text.find("      platforms:\n").unwrap();
    let end = offer.text.find("      config:\n").unwrap();
    offer.text.replace_range(start..end, image);
    offer
}

/// One platform with these layers.
fn one_platform(layers: &str) -> String {
    format!("      platforms:\n        - platform: linux/amd64\n          layers: [{layers}]\n")
}

/// The whole output of a program.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// Every file of a layout with the hash of its bytes, without the caches for the next run.
fn bytes_of(layout: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut open = vec![layout.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(layout).unwrap().display().to_string();
                files.insert(name, sha256(&fs::read(&path).unwrap()));
            }
        }
    }
    files
}

/// A blob of a layout.
fn blob(layout: &Path, digest: &str) -> Vec<u8> {
    let name = digest.strip_prefix("sha256:").unwrap();
    fs::read(layout.join("blobs/sha256").join(name)).unwrap()
}

/// The manifest of a platform's tag in a layout.
fn manifest(layout: &Path, tag: &str) -> Value {
    let index: Value =
        serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let roots = index["manifests"].as_array().unwrap();
    let named = |root: &&Value| root["annotations"]["org.opencontainers.image.ref.name"] == tag;
    let root = roots.iter().find(named).unwrap_or_else(|| panic!("no {tag} in {index}"));
    serde_json::from_slice(&blob(layout, root["digest"].as_str().unwrap())).unwrap()
}

/// The digests of an image's layers.
fn layers(manifest: &Value) -> Vec<String> {
    let layers = manifest["layers"].as_array().unwrap();
    layers.iter().map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
}

/// Podman or buildah on a store of the test's own.
struct Engine {
    client: Client,
    here: Vec<String>,
    _store: TempDir,
}

impl Engine {
    fn new(client: Client) -> Self {
        let store = TempDir::with_prefix("store-").unwrap();
        let path = |name: &str| store.path().join(name).display().to_string();
        let here = ["--storage-driver=vfs", "--root", &path("root"), "--runroot", &path("run")];
        let here = here.map(ToOwned::to_owned).to_vec();
        Self { client, here, _store: store }
    }

    /// Runs a podman container to its end; returns its output.
    async fn container(&self, arguments: &[&str]) -> String {
        // podman's own limits are higher than some machines allow.
        let limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"];
        let first = ["--cgroup-manager=cgroupfs", "run", "--rm", "--network=none"];
        self.run(&[&first[..], &limits, arguments].concat()).await
    }

    /// Runs a command, to success; returns its output without the line break.
    async fn run(&self, arguments: &[&str]) -> String {
        self.run_in(Path::new("/"), arguments).await
    }

    /// The same in a folder, so a path may be short.
    async fn run_in(&self, folder: &Path, arguments: &[&str]) -> String {
        let mut command = tokio::process::Command::new(self.client.path());
        command.args(&self.here).args(arguments).current_dir(folder);
        let output = self.client.run_with(&mut command, COMMAND_TIME).await.unwrap();
        let (status, stdout, stderr) = (output.status, output.stdout, output.stderr);
        assert!(status.success(), "{arguments:?} ended with {status}:\n{stdout}{stderr}");
        stdout.trim().to_owned()
    }
}
