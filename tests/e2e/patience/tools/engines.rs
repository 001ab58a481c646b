//! Engines: podman, buildah, docker and containerd keep images in stores of their own.

use super::super::cell::{Cell, TAG};
use super::Tool;
use wharf_testkit::clients;

/// How podman or buildah is told to keep to a folder of its own.
pub(super) struct Storage {
    more: &'static [&'static str],
}

pub(super) const PODMAN: Storage = Storage { more: &["--cgroup-manager=cgroupfs"] };
pub(super) const BUILDAH: Storage = Storage { more: &[] };

/// The id of an image in these engines: the digest of its configuration.
fn id(cell: &Cell<'_>) -> String {
    cell.layout.images[0].config.digest.trim_start_matches("sha256:").to_owned()
}

async fn in_storage(
    cell: &Cell<'_>,
    storage: &Storage,
    arguments: &[&str],
) -> Result<String, String> {
    let (root, runroot) = (cell.path("root"), cell.path("runroot"));
    let here = ["--storage-driver=vfs", "--root", &root, "--runroot", &runroot];
    cell.run(&[&here[..], storage.more, arguments].concat()).await
}

pub(super) async fn load(cell: &Cell<'_>, storage: &Storage) -> Result<(), String> {
    let from = cell.layout.reference();
    in_storage(cell, storage, &["pull", "-q", &from]).await.map(drop)
}

pub(super) async fn pull(cell: &Cell<'_>, storage: &Storage) -> Result<(), String> {
    let there = format!("docker://{}", cell.reference());
    let said = in_storage(cell, storage, &["pull", "-q", "--tls-verify=false", &there]).await?;
    is_id(&said, &id(cell))
}

pub(super) async fn push(cell: &Cell<'_>, storage: &Storage) -> Result<String, String> {
    let there = format!("docker://{}", cell.reference());
    let id = id(cell);
    in_storage(cell, storage, &["push", "-q", "--tls-verify=false", &id, &there]).await
}

fn is_id(said: &str, id: &str) -> Result<(), String> {
    if said.contains(id) { Ok(()) } else { Err(format!("it has {said:?}, not {id}")) }
}

async fn docker(cell: &Cell<'_>, arguments: &[&str]) -> Result<String, String> {
    let config = cell.path("home");
    let here = ["--config", &config, "-H", cell.ground.socket(Tool::Docker)];
    cell.run(&[&here[..], arguments].concat()).await
}

pub(super) async fn load_docker(cell: &Cell<'_>) -> Result<(), String> {
    let skopeo = clients::require("skopeo").ok_or("skopeo is missing")?;
    let archive = cell.path("archive.tar");
    let to = format!("docker-archive:{archive}:{}", cell.reference());
    cell.run_by(&skopeo, &["copy", "-q", &cell.layout.reference(), &to]).await?;
    docker(cell, &["load", "-q", "-i", &archive]).await.map(drop)
}

pub(super) async fn pull_docker(cell: &Cell<'_>) -> Result<(), String> {
    let there = cell.reference();
    docker(cell, &["pull", "-q", &there]).await?;
    let said = docker(cell, &["image", "inspect", "-f", "{{.Id}}", &there]).await?;
    is_id(&said, &id(cell))
}

pub(super) async fn push_docker(cell: &Cell<'_>) -> Result<String, String> {
    docker(cell, &["push", "-q", &cell.reference()]).await
}

/// Each cell has a namespace of its own.
async fn ctr(cell: &Cell<'_>, arguments: &[&str]) -> Result<String, String> {
    let namespace = cell.repo.replace('/', "-");
    let here = ["--address", cell.ground.socket(cell.tool), "--namespace", &namespace];
    cell.run(&[&here[..], arguments].concat()).await
}

pub(super) async fn import(cell: &Cell<'_>) -> Result<(), String> {
    let archive = cell.path("in.tar");
    let mut builder = tar::Builder::new(std::fs::File::create(&archive).unwrap());
    builder.append_dir_all(".", cell.path("in")).unwrap();
    builder.finish().unwrap();
    let base = format!("{}/{}", cell.host, cell.repo);
    let import = ["images", "import", "--no-unpack", "--base-name", &base];
    let local: &[&str] = if cell.tool == Tool::Ctr1 { &[] } else { &["--local"] };
    ctr(cell, &[&import[..], local, &[&archive]].concat()).await.map(drop)
}

/// By the client itself.
pub(super) async fn fetch(cell: &Cell<'_>) -> Result<(), String> {
    ctr(cell, &["content", "fetch", "--plain-http", &cell.reference()]).await?;
    is_kept(cell).await
}

/// By the daemon.
pub(super) async fn pull_by_daemon(cell: &Cell<'_>) -> Result<(), String> {
    let pull = ["images", "pull", "--plain-http", "--platform", "linux/amd64"];
    ctr(cell, &[&pull[..], &[&cell.reference()]].concat()).await?;
    is_kept(cell).await
}

async fn is_kept(cell: &Cell<'_>) -> Result<(), String> {
    let kept = ctr(cell, &["content", "ls", "-q"]).await?;
    let missing = cell.layout.content().find(|blob| !kept.contains(&blob.digest));
    missing.map_or(Ok(()), |blob| Err(format!("{} was not pulled", blob.digest)))
}

pub(super) async fn push_by_ctr(cell: &Cell<'_>) -> Result<String, String> {
    let local: &[&str] = if cell.tool == Tool::Ctr2Local { &["--local"] } else { &[] };
    let there = format!("{}/{}:{TAG}", cell.host, cell.repo);
    ctr(cell, &[&["images", "push", "--plain-http"][..], local, &[&there]].concat()).await
}
