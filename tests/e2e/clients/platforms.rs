//! Every client pushes the same image of two platforms through `wharfd` and pulls it back: index,
//! manifests and blobs have the same digests at the client, at `wharfd` and at the registry behind.
//!
//! podman and buildah make the index anew from the same images, so it is theirs. Debian's docker keeps
//! no index: as its users do, each platform is pushed by the daemon and `docker manifest` joins them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use wharf_testkit::clients::{self, Client};
use wharf_testkit::images::{Blob, Layout, Recipe, sha256};
use wharf_testkit::processes::Process;

use super::{daemon, run};
use crate::fixture::{Api, START, Stage};

const PLATFORMS: [&str; 2] = ["amd64", "arm64"];
const TAG: &str = "1.0";

/// The image, a folder for a client's files, and the target.
struct Scene {
    stage: Stage,
    layout: Layout,
    folder: TempDir,
    repo: String,
}

impl Scene {
    async fn set(client: &str, seed: u64) -> Option<Self> {
        let stage = Stage::start().await?;
        let folder = TempDir::with_prefix("clients-").unwrap();
        let recipe = Recipe::new(seed, &[200_000, 9_000_000]).architectures(&PLATFORMS);
        let layout = recipe.write(&folder.path().join("in"), TAG).unwrap();
        Some(Self { stage, layout, folder, repo: format!("clients/{client}") })
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// `HOST:PORT` of `wharfd`.
    fn host(&self) -> String {
        self.stage.wharfd.host()
    }

    /// `HOST:PORT/REPOSITORY:TAG`, as clients name it.
    fn reference(&self) -> String {
        format!("{}/{}:{TAG}", self.host(), self.repo)
    }

    /// The tag's content: the same at `wharfd` and at the upstream, and each part hashes to its
    /// digest.
    async fn pushed(&self) -> Pushed {
        let through = read(self.stage.api(), &self.repo).await;
        let behind = read(&self.stage.origin, &self.repo).await;
        assert_eq!(through.index, behind.index);
        assert_eq!(through.manifests, behind.manifests);
        assert!(through.content.keys().eq(behind.content.keys()));
        for (digest, bytes) in &through.content {
            assert_eq!(sha256(bytes), *digest, "at wharfd");
            assert!(*bytes == behind.content[digest], "{digest} differs behind wharfd");
        }
        through
    }

    /// The tag's content is the layout, to the byte.
    async fn assert_pushed_is_the_layout(&self) {
        let pushed = self.pushed().await;
        assert_eq!(pushed.index, self.layout.top.digest);
        let manifests = self.layout.images.iter().map(|image| &image.manifest.digest);
        assert!(pushed.manifests.iter().eq(manifests));
        for blob in everything(&self.layout) {
            assert!(pushed.content[&blob.digest] == self.layout.read(blob).unwrap());
        }
    }

    /// A layout pulled into `out` is complete, to the byte.
    fn assert_pulled_layout(&self) {
        for blob in everything(&self.layout) {
            let path = format!("out/blobs/{}", blob.digest.replace(':', "/"));
            let pulled = std::fs::read(self.folder.path().join(&path)).expect(&path);
            assert!(pulled == self.layout.read(blob).unwrap(), "{} differs", blob.digest);
        }
    }
}

/// Index, manifests, configs and layers.
fn everything(layout: &Layout) -> impl Iterator<Item = &Blob> {
    let manifests = layout.images.iter().map(|image| &image.manifest);
    layout.content().chain(manifests).chain([&layout.top])
}

/// One side's content under a tag.
struct Pushed {
    index: String,
    /// In the index' order.
    manifests: Vec<String>,
    /// In the manifests' order.
    configs: Vec<String>,
    /// Everything by its digest.
    content: BTreeMap<String, Vec<u8>>,
}

async fn read(api: &Api, repo: &str) -> Pushed {
    let top = api.get_manifest(repo, TAG).await;
    assert_eq!(top.status, 200, "{}", top.text());
    let index = top.header("docker-content-digest").to_owned();
    let (mut manifests, mut configs) = (Vec::new(), Vec::new());
    let mut content = BTreeMap::from([(index.clone(), top.body.to_vec())]);
    for entry in top.json().unwrap()["manifests"].as_array().expect("an index") {
        let digest = entry["digest"].as_str().unwrap().to_owned();
        let manifest = api.get_manifest(repo, &digest).await;
        assert_eq!(manifest.status, 200, "{}", manifest.text());
        let json = manifest.json().unwrap();
        content.insert(digest.clone(), manifest.body.to_vec());
        manifests.push(digest);
        configs.push(json["config"]["digest"].as_str().unwrap().to_owned());
        for blob in json["layers"].as_array().unwrap().iter().chain([&json["config"]]) {
            let digest = blob["digest"].as_str().unwrap();
            let answer = api.get_blob(repo, digest).await;
            assert_eq!(answer.status, 200, "{digest}: {}", answer.text());
            content.insert(digest.to_owned(), answer.body.to_vec());
        }
    }
    assert_eq!(manifests.len(), PLATFORMS.len());
    Pushed { index, manifests, configs, content }
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_pushes_and_pulls_two_platforms() {
    let Some(skopeo) = clients::require("skopeo") else { return };
    let Some(scene) = Scene::set("skopeo", 1).await else { return };
    let there = format!("docker://{}", scene.reference());
    let source = scene.layout.reference();
    run(&skopeo, &["copy", "--all", "--dest-tls-verify=false", &source, &there]).await;
    scene.assert_pushed_is_the_layout().await;
    let back = format!("oci:{}:{TAG}", scene.path("out"));
    run(&skopeo, &["copy", "--all", "--src-tls-verify=false", &there, &back]).await;
    scene.assert_pulled_layout();
}

#[tokio::test(flavor = "multi_thread")]
async fn crane_pushes_and_pulls_two_platforms() {
    let Some(crane) = clients::require("crane") else { return };
    let Some(scene) = Scene::set("crane", 1).await else { return };
    let there = scene.reference();
    run(&crane, &["push", "--insecure", &scene.path("in"), &there]).await;
    scene.assert_pushed_is_the_layout().await;
    let digest = run(&crane, &["digest", "--insecure", &there]).await;
    assert_eq!(digest.trim(), scene.layout.top.digest);
    run(&crane, &["pull", "--insecure", "--format=oci", &there, &scene.path("out")]).await;
    scene.assert_pulled_layout();
}

#[tokio::test(flavor = "multi_thread")]
async fn regctl_pushes_and_pulls_two_platforms() {
    let Some(regctl) = clients::require("regctl") else { return };
    let Some(scene) = Scene::set("regctl", 1).await else { return };
    let host = format!("reg={},tls=disabled", scene.host());
    let there = scene.reference();
    let regctl = async |arguments: &[&str]| {
        run(&regctl, &[&["--host", &host][..], arguments].concat()).await
    };
    regctl(&["image", "copy", &format!("ocidir://{}:{TAG}", scene.path("in")), &there]).await;
    scene.assert_pushed_is_the_layout().await;
    assert_eq!(regctl(&["image", "digest", &there]).await.trim(), scene.layout.top.digest);
    regctl(&["image", "copy", &there, &format!("ocidir://{}:{TAG}", scene.path("out"))]).await;
    scene.assert_pulled_layout();
}

#[tokio::test(flavor = "multi_thread")]
async fn oras_pushes_and_pulls_two_platforms() {
    let Some(oras) = clients::require("oras") else { return };
    let Some(scene) = Scene::set("oras", 1).await else { return };
    let there = scene.reference();
    let from = format!("{}:{TAG}", scene.path("in"));
    run(&oras, &["cp", "--from-oci-layout", &from, "--to-plain-http", &there]).await;
    scene.assert_pushed_is_the_layout().await;
    let digest = run(&oras, &["resolve", "--plain-http", &there]).await;
    assert_eq!(digest.trim(), scene.layout.top.digest);
    let out = format!("{}:{TAG}", scene.path("out"));
    run(&oras, &["cp", "--from-plain-http", &there, "--to-oci-layout", &out]).await;
    scene.assert_pulled_layout();
}

/// podman and buildah keep images, not an index of another's: they make a list of the same images.
async fn list_is_pushed_and_each_platform_pulled(client: &Client, name: &str, more: &[&str]) {
    let Some(scene) = Scene::set(name, 1).await else { return };
    let (root, runroot, file) = (scene.path("root"), scene.path("run"), scene.path("digest"));
    let here = ["--storage-driver=vfs", "--root", &root, "--runroot", &runroot];
    let command =
        async |arguments: &[&str]| run(client, &[&here[..], more, arguments].concat()).await;
    let there = format!("docker://{}", scene.reference());
    let push = ["manifest", "push", "--all", "--tls-verify=false", "--digestfile", &file];
    command(&["manifest", "create", "both"]).await;
    command(&["manifest", "add", "--all", "both", &scene.layout.reference()]).await;
    command(&[&push[..], &["both", &there]].concat()).await;
    let pushed = scene.pushed().await;
    assert_eq!(pushed.index, std::fs::read_to_string(&file).unwrap().trim());
    // Only the list is its own.
    let images = &scene.layout.images;
    assert!(pushed.manifests.iter().eq(images.iter().map(|image| &image.manifest.digest)));
    for blob in scene.layout.content() {
        assert!(pushed.content.contains_key(&blob.digest), "{}", blob.digest);
    }
    for (image, architecture) in images.iter().zip(PLATFORMS) {
        let pull = ["pull", "-q", "--tls-verify=false", "--arch", architecture, &there];
        let id = command(&pull).await;
        assert_eq!(format!("sha256:{}", id.trim()), image.config.digest, "{architecture}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_pushes_a_list_and_pulls_each_platform() {
    let Some(podman) = clients::require("podman") else { return };
    let more = ["--cgroup-manager=cgroupfs"];
    list_is_pushed_and_each_platform_pulled(&podman, "podman-list", &more).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn buildah_pushes_a_list_and_pulls_each_platform() {
    let Some(buildah) = clients::require("buildah") else { return };
    list_is_pushed_and_each_platform_pulled(&buildah, "buildah-list", &[]).await;
}

/// containerd of this test's own; its socket. `None`, with a loud word, where none can run.
pub(crate) async fn containerd(folder: &Path) -> Option<(Process, String)> {
    containerd_by(&clients::require("containerd")?, folder, "").await
}

/// The same by this program, with more lines in its configuration.
pub(crate) async fn containerd_by(
    program: &Client,
    folder: &Path,
    more: &str,
) -> Option<(Process, String)> {
    let root = folder.display();
    let config = format!(
        "version = 2\nroot = \"{root}/root\"\nstate = \"{root}/state\"\n\
         disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
         [grpc]\naddress = \"{root}/socket\"\n[ttrpc]\naddress = \"{root}/ttrpc\"\n\
         [plugins.\"io.containerd.internal.v1.opt\"]\npath = \"{root}/opt\"\n{more}"
    );
    let file = folder.join("config.toml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(program.path());
    command.arg("--config").arg(&file);
    let mut process = Process::spawn("containerd", &mut command, folder).unwrap();
    let booted = |line: &str| line.contains("successfully booted").then_some(());
    if process.wait_for_line(START, booted).await.is_err() {
        clients::skipped(&format!("no containerd can run here:\n{}", process.stderr()));
        return None;
    }
    Some((process, format!("{root}/socket")))
}

#[tokio::test(flavor = "multi_thread")]
async fn containerd_pushes_and_pulls_two_platforms() {
    let Some(ctr) = clients::require("ctr") else { return };
    let folder = TempDir::with_prefix("containerd-").unwrap();
    let Some((mut process, socket)) = containerd(folder.path()).await else { return };
    let Some(scene) = Scene::set("containerd", 1).await else { return };
    let (archive, there) = (scene.path("in.tar"), scene.reference());
    let mut builder = tar::Builder::new(std::fs::File::create(&archive).unwrap());
    builder.append_dir_all(".", scene.path("in")).unwrap();
    builder.finish().unwrap();
    let base = format!("{}/{}", scene.host(), scene.repo);
    let ctr = async |namespace: &str, arguments: &[&str]| {
        let here = ["--address", &socket, "--namespace", namespace];
        run(&ctr, &[&here[..], arguments].concat()).await
    };
    let import = ["images", "import", "--all-platforms", "--no-unpack", "--base-name", &base];
    ctr("pusher", &[&import[..], &[&archive]].concat()).await;
    ctr("pusher", &["images", "push", "--plain-http", &there]).await;
    scene.assert_pushed_is_the_layout().await;
    // Another namespace: it needs a command for each image, and reports its content.
    ctr("puller", &["content", "fetch", "--plain-http", "--all-platforms", &there]).await;
    let image = ctr("puller", &["images", "ls", &format!("name=={there}")]).await;
    assert!(image.contains(&scene.layout.top.digest), "{image}");
    let kept = ctr("puller", &["content", "ls", "-q"]).await;
    for blob in everything(&scene.layout) {
        assert!(kept.contains(&blob.digest), "{} is not in:\n{kept}", blob.digest);
    }
    process.terminate(START).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_pushes_each_platform_joins_them_and_pulls_each() {
    let (Some(docker), Some(skopeo)) = (clients::require("docker"), clients::require("skopeo"))
    else {
        return;
    };
    let folder = TempDir::with_prefix("docker-").unwrap();
    let Some((mut process, host)) = daemon(&docker, folder.path()).await else { return };
    let Some(scene) = Scene::set("docker-list", 1).await else { return };
    // `docker manifest` keeps its list in the configuration of the user.
    let (home, there) = (scene.path("home"), scene.reference());
    let docker = async |arguments: &[&str]| {
        let here = ["--config", &home, "-H", &host];
        run(&docker, &[&here[..], arguments].concat()).await
    };
    let tags = PLATFORMS.map(|architecture| format!("{there}-{architecture}"));
    let mut digests = Vec::new();
    for (tag, architecture) in tags.iter().zip(PLATFORMS) {
        let archive = scene.path(architecture);
        let to = format!("docker-archive:{archive}:{tag}");
        let source = scene.layout.reference();
        run(&skopeo, &["copy", "-q", "--override-arch", architecture, &source, &to]).await;
        docker(&["load", "-q", "-i", &archive]).await;
        docker(&["push", "-q", tag]).await;
        let digest = docker(&["inspect", "-f", "{{index .RepoDigests 0}}", tag]).await;
        digests.push(digest.trim().rsplit_once('@').unwrap().1.to_owned());
    }
    docker(&["manifest", "create", "--insecure", &there, &tags[0], &tags[1]]).await;
    let said = docker(&["manifest", "push", "--insecure", &there]).await;
    let pushed = scene.pushed().await;
    assert!(said.contains(&pushed.index), "{said}");
    assert_eq!(pushed.manifests, digests);
    for (image, architecture) in scene.layout.images.iter().zip(PLATFORMS) {
        assert!(pushed.configs.contains(&image.config.digest), "the image itself is the same");
        let platform = format!("linux/{architecture}");
        // Nothing of it is here when it is pulled.
        let every = docker(&["images", "-q", "--no-trunc"]).await;
        let every: Vec<_> = every.lines().collect();
        docker(&[&["rmi", "-f"][..], &every].concat()).await;
        docker(&["pull", "-q", "--platform", &platform, &there]).await;
        let about = docker(&["inspect", "-f", "{{.Id}} {{.RepoDigests}}", &there]).await;
        assert!(about.starts_with(&image.config.digest), "{about}");
        assert!(about.contains(&pushed.index), "{about}");
    }
    process.terminate(START).await.unwrap();
}
