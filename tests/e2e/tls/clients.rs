//! Real clients over TLS, each told of the authority in its own way.

use std::path::Path;
use std::process::Command;

use tokio::process::Command as AsyncCommand;
use wharf_testkit::clients::{self, COMMAND_TIME, Client};
use wharf_testkit::images::{Layout, Recipe};
use wharf_testkit::processes::Process;

use super::scene::Scene;
use crate::fixture::START;

const PLATFORMS: [&str; 2] = ["amd64", "arm64"];

fn image(folder: &Path, seed: u64) -> Layout {
    let recipe = Recipe::new(seed, &[100_000, 2_000_000]).architectures(&PLATFORMS);
    recipe.write(folder, "1.0").unwrap()
}

async fn run(client: &Client, arguments: &[&str]) -> String {
    client.run_ok(arguments).await.unwrap().stdout
}

/// A folder with `ca.crt`, as clients of this family want it.
fn certificates(scene: &Scene) -> String {
    let folder = scene.path("certs.d");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("ca.crt"), &scene.authority.pem).unwrap();
    folder.display().to_string()
}

async fn assert_served(scene: &Scene, repo: &str, layout: &Layout) {
    let mut peer = scene.connect(&["h2"]).await;
    let (status, top) = peer.get(&format!("/v2/{repo}/manifests/1.0")).await.unwrap();
    assert_eq!(status, 200);
    assert_eq!(top, layout.read(&layout.top).unwrap());
    for blob in layout.content() {
        let (status, content) =
            peer.get(&format!("/v2/{repo}/blobs/{}", blob.digest)).await.unwrap();
        assert!(status == 200 && content == layout.read(blob).unwrap(), "{}", blob.digest);
    }
}

#[tokio::test]
async fn curl_and_openssl_see_the_versions_that_they_ask_for() {
    let Some(curl) = clients::require("curl") else { return };
    let Some(openssl) = clients::require("openssl") else { return };
    let scene = Scene::start().await;
    let (ca, host) = (scene.path("ca.pem").display().to_string(), scene.wharfd.host());
    let url = format!("https://{host}/v2/");
    for (option, version) in [("--http2", "2 200"), ("--http1.1", "1.1 200")] {
        let format = "%{http_version} %{http_code}";
        let asked = ["-s", "-o", "/dev/null", "-w", format, "--cacert", &ca, option, &url];
        assert_eq!(run(&curl, &asked).await, version);
    }
    let unknown = curl.run(["-s", &url]).await.unwrap();
    assert_eq!(unknown.status.code(), Some(60), "without the authority nobody is believed");
    for (option, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let asked = ["s_client", "-connect", &host, "-CAfile", &ca, "-verify_return_error", option];
        let said = run(&openssl, &asked).await;
        assert!(said.contains(version), "{said}");
    }
    let old =
        openssl.run(["s_client", "-connect", &host, "-CAfile", &ca, "-tls1_1"]).await.unwrap();
    assert!(!old.status.success(), "{}", old.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_pushes_and_pulls_over_tls() {
    let Some(skopeo) = clients::require("skopeo") else { return };
    let scene = Scene::start().await;
    let layout = image(&scene.path("in"), 1);
    let there = format!("docker://{}/tls/skopeo:1.0", scene.wharfd.host());
    let certs = certificates(&scene);
    let push = ["copy", "--all", "--dest-cert-dir", &certs, &layout.reference(), &there];
    run(&skopeo, &push).await;
    assert_served(&scene, "tls/skopeo", &layout).await;
    let back = format!("oci:{}:1.0", scene.path("out").display());
    run(&skopeo, &["copy", "--all", "--src-cert-dir", &certs, &there, &back]).await;
    let unknown = skopeo.run(["inspect", there.as_str()]).await.unwrap();
    assert!(!unknown.status.success() && unknown.stderr.contains("x509"), "{}", unknown.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_pushes_and_pulls_over_tls() {
    let Some(podman) = clients::require("podman") else { return };
    let scene = Scene::start().await;
    let layout = image(&scene.path("in"), 2);
    let certs = certificates(&scene);
    let path = |name: &str| scene.path(name).display().to_string();
    let (root, runroot) = (path("root"), path("run"));
    let here = ["--storage-driver=vfs", "--root", &root, "--runroot", &runroot];
    let there = format!("docker://{}/tls/podman:1.0", scene.wharfd.host());
    let command = async |arguments: &[&str]| run(&podman, &[&here[..], arguments].concat()).await;
    command(&["manifest", "create", "both"]).await;
    command(&["manifest", "add", "--all", "both", &layout.reference()]).await;
    command(&["manifest", "push", "--all", "--cert-dir", &certs, "both", &there]).await;
    for (image, architecture) in layout.images.iter().zip(PLATFORMS) {
        let pull = ["pull", "-q", "--cert-dir", &certs, "--arch", architecture, &there];
        let id = command(&pull).await;
        assert_eq!(format!("sha256:{}", id.trim()), image.config.digest, "{architecture}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn crane_pushes_and_pulls_over_tls() {
    let Some(crane) = clients::require("crane") else { return };
    let scene = Scene::start().await;
    let layout = image(&scene.path("in"), 3);
    let there = format!("{}/tls/crane:1.0", scene.wharfd.host());
    // Where its language looks for authorities.
    let with_authority = async |arguments: &[&str]| {
        let mut command = AsyncCommand::new(crane.path());
        command.args(arguments).env("SSL_CERT_FILE", scene.path("ca.pem"));
        let output = crane.run_with(&mut command, COMMAND_TIME).await.unwrap();
        assert!(output.status.success(), "{}{}", output.stdout, output.stderr);
        output.stdout
    };
    let source = scene.path("in").display().to_string();
    with_authority(&["push", "--index", &source, &there]).await;
    let digest = with_authority(&["digest", &there]).await;
    let mut peer = scene.connect(&["http/1.1"]).await;
    let path = format!("/v2/tls/crane/manifests/{}", digest.trim());
    assert_eq!(peer.get(&path).await.unwrap().0, 200);
    for blob in layout.content() {
        let path = format!("/v2/tls/crane/blobs/{}", blob.digest);
        assert!(peer.get(&path).await.unwrap().1 == layout.read(blob).unwrap());
    }
    let out = scene.path("out").display().to_string();
    with_authority(&["pull", "--format=oci", &there, &out]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_pushes_and_pulls_over_tls() {
    let Some(docker) = clients::require("docker") else { return };
    let scene = Scene::start().await;
    let folder = tempfile::tempdir().unwrap();
    let Some((mut process, host)) = daemon(&docker, &scene, folder.path()).await else { return };
    let archive = folder.path().join("rootfs.tar");
    let mut builder = tar::Builder::new(std::fs::File::create(&archive).unwrap());
    let content = crate::fixture::noise(4, 3_000_000);
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, "data", content.as_slice()).unwrap();
    builder.finish().unwrap();
    let name = format!("{}/tls/docker:1.0", scene.wharfd.host());
    run(&docker, &["-H", &host, "import", &archive.display().to_string(), &name]).await;
    run(&docker, &["-H", &host, "push", &name]).await;
    run(&docker, &["-H", &host, "rmi", &name]).await;
    run(&docker, &["-H", &host, "pull", &name]).await;
    let done = scene.wharfd.metric("wharfd_tls_handshakes_total{result=\"done\"}").await;
    assert!(done > 0, "it came over TLS");
    process.terminate(START).await.unwrap();
}

/// A daemon of this test's own; `None`, with a loud word, where none can run.
async fn daemon(docker: &Client, scene: &Scene, folder: &Path) -> Option<(Process, String)> {
    let program = clients::require("dockerd")?;
    let path = |name: &str| folder.join(name).display().to_string();
    let host = format!("unix://{}", path("socket"));
    let mut command = Command::new(program.path());
    command.args(["--iptables=false", "--ip6tables=false", "--bridge=none"]);
    command.args(["--storage-driver=vfs", "--data-root", &path("data")]);
    command.args(["--exec-root", &path("exec"), "--pidfile", &path("pid"), "-H", &host]);
    command.env("SSL_CERT_FILE", scene.path("ca.pem"));
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
