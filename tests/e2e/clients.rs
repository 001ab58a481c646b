//! Real clients through `wharfd` to the double before `docker-registry`: an engine's image goes in
//! and comes out, with the same digest on all sides. `clients/platforms.rs` has an image of two
//! platforms with every client, `clients/referrers.rs` has the clients' attachments.

mod oci_client;
pub(crate) mod platforms;
mod referrers;

use std::path::Path;
use std::process::Command;

use wharf_testkit::clients::{self, Client};
use wharf_testkit::images::{Layout, Recipe};
use wharf_testkit::processes::Process;

use crate::fixture::{START, Stage, noise};

pub(crate) use platforms::{containerd, containerd_by};

fn image(seed: u64, folder: &Path) -> Layout {
    let recipe = Recipe::new(seed, &[200_000, 3_000_000]).architectures(&["amd64", "arm64"]);
    recipe.write(folder, "1.0").unwrap()
}

/// The digest of the tag at the registry behind and through `wharfd`.
async fn assert_everywhere(stage: &Stage, repo: &str, digest: &str) {
    for (side, api) in [("behind", &stage.origin), ("through", stage.api())] {
        let head = api.head_manifest(repo, "1.0").await;
        assert_eq!(head.header("docker-content-digest"), digest, "{side}");
    }
}

/// Runs a client; a failure panics with its output.
pub(crate) async fn run(client: &Client, arguments: &[&str]) -> String {
    client.run_ok(arguments).await.unwrap().stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_pulls_what_is_behind_and_pushes_it_to_another_repository() {
    let Some(podman) = clients::require("podman") else { return };
    let Some(stage) = Stage::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let layout = image(2, &folder.path().join("in"));
    stage.origin.push_layout("clients/podman", &layout).await;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (root, runroot, digest) = (path("root"), path("run"), path("digest"));
    let here = ["--storage-driver=vfs", "--root", &root, "--runroot", &runroot];
    let from = format!("{}/clients/podman:1.0", stage.wharfd.host());
    let to = format!("{}/clients/podman-again:1.0", stage.wharfd.host());
    run(&podman, &[&here[..], &["pull", "-q", "--tls-verify=false", &from][..]].concat()).await;
    let push = ["push", "-q", "--tls-verify=false", "--digestfile", &digest, &from, &to];
    run(&podman, &[&here[..], &push[..]].concat()).await;
    let pushed = std::fs::read_to_string(&digest).unwrap();
    assert_everywhere(&stage, "clients/podman-again", pushed.trim()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn buildah_builds_from_it_and_pushes_back() {
    let Some(buildah) = clients::require("buildah") else { return };
    let Some(stage) = Stage::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let layout = image(3, &folder.path().join("in"));
    stage.origin.push_layout("clients/buildah", &layout).await;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (root, runroot, digest) = (path("root"), path("run"), path("digest"));
    let here = ["--storage-driver=vfs", "--root", &root, "--runroot", &runroot];
    let from = format!("docker://{}/clients/buildah:1.0", stage.wharfd.host());
    let to = format!("docker://{}/clients/built:1.0", stage.wharfd.host());
    let container =
        run(&buildah, &[&here[..], &["from", "-q", "--tls-verify=false", &from][..]].concat())
            .await;
    run(&buildah, &[&here[..], &["commit", "-q", container.trim(), "built"][..]].concat()).await;
    let push = ["push", "-q", "--tls-verify=false", "--digestfile", &digest, "built", &to];
    run(&buildah, &[&here[..], &push[..]].concat()).await;
    let pushed = std::fs::read_to_string(&digest).unwrap();
    assert_everywhere(&stage, "clients/built", pushed.trim()).await;
}

/// A daemon of this test's own, ended with its guard. `None`, with a loud word, where none can run:
/// without root, for instance.
pub(crate) async fn daemon(docker: &Client, folder: &Path) -> Option<(Process, String)> {
    daemon_with(docker, folder, &[]).await
}

/// The same with more arguments.
pub(crate) async fn daemon_with(
    docker: &Client,
    folder: &Path,
    more: &[&str],
) -> Option<(Process, String)> {
    let program = clients::require("dockerd")?;
    let path = |name: &str| folder.join(name).display().to_string();
    let host = format!("unix://{}", path("socket"));
    let mut command = Command::new(program.path());
    command.args(["--iptables=false", "--ip6tables=false", "--bridge=none"]);
    command.args(["--storage-driver=vfs", "--data-root", &path("data")]);
    command.args(["--exec-root", &path("exec"), "--pidfile", &path("pid"), "-H", &host]);
    command.args(more);
    let mut process = Process::spawn("dockerd", &mut command, folder).unwrap();
    let up =
        process.wait_for_line(START, |line| line.contains("API listen on").then_some(())).await;
    let answers = docker.run(["-H", &host, "version"]).await;
    if up.is_ok() && answers.is_ok_and(|output| output.status.success()) {
        return Some((process, host));
    }
    clients::skipped(&format!("no docker daemon can run here:\n{}", process.stderr()));
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_pushes_and_pulls() {
    let Some(docker) = clients::require("docker") else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some((mut process, host)) = daemon(&docker, folder.path()).await else { return };
    let Some(stage) = Stage::start().await else { return };
    let archive = folder.path().join("rootfs.tar");
    let mut builder = tar::Builder::new(std::fs::File::create(&archive).unwrap());
    let content = noise(4, 3_000_000);
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, "data", content.as_slice()).unwrap();
    builder.finish().unwrap();
    let name = format!("{}/clients/docker:1.0", stage.wharfd.host());
    run(&docker, &["-H", &host, "import", &archive.display().to_string(), &name]).await;
    run(&docker, &["-H", &host, "push", &name]).await;
    let inspect = ["-H", &host, "inspect", "-f", "{{index .RepoDigests 0}}", &name];
    let digest = run(&docker, &inspect).await;
    let digest = digest.trim().rsplit_once('@').unwrap().1.to_owned();
    assert_everywhere(&stage, "clients/docker", &digest).await;
    run(&docker, &["-H", &host, "rmi", &name]).await;
    let pulled = run(&docker, &["-H", &host, "pull", &name]).await;
    assert!(pulled.contains(&digest), "{pulled}");
    process.terminate(START).await.unwrap();
}
