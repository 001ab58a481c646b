//! Real clients log in to `wharfd` with their upstream logins, push and pull, and learn at once of
//! a wrong password.

use tempfile::TempDir;
use wharf_testkit::clients::{self, Client};
use wharf_testkit::images::{Layout, Recipe};

use super::scene::{ALICE, BANK, SHOP, Scene};
use crate::clients::{containerd, daemon, run};
use crate::fixture::START;

const TAG: &str = "1.0";

/// The stage, an image, and a folder for a client's files.
struct Desk {
    scene: Scene,
    layout: Layout,
    folder: TempDir,
}

impl Desk {
    async fn set(seed: u64) -> Option<Self> {
        let scene = Scene::set().await?;
        let folder = TempDir::with_prefix("logins-").unwrap();
        let recipe = Recipe::new(seed, &[200_000, 3_000_000]).architectures(&["amd64"]);
        let layout = recipe.write(&folder.path().join("in"), TAG).unwrap();
        Some(Self { scene, layout, folder })
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn host(&self) -> String {
        self.scene.wharfd.host()
    }

    fn image(&self, repo: &str) -> String {
        format!("{}/{repo}:{TAG}", self.host())
    }

    /// The image is behind, to the byte, and everything was done as alice.
    async fn assert_pushed_by_alice(&self) {
        self.scene.origin.assert_serves(SHOP, &self.layout).await;
        self.scene.assert_only(ALICE);
    }
}

/// Runs a client to its failure; returns its output.
async fn refused<A: AsRef<std::ffi::OsStr>>(client: &Client, arguments: &[A]) -> String {
    let output = client.run(arguments).await.unwrap();
    let said = format!("{}{}", output.stdout, output.stderr);
    assert!(!output.status.success(), "it succeeded: {said}");
    said.to_lowercase()
}

/// Whether the client's message is about a wrong login.
fn is_about_login(said: &str) -> bool {
    ["unauthorized", "401", "invalid username"].iter().any(|words| said.contains(words))
}

/// Whether the client's message is about a missing right.
fn is_about_leave(said: &str) -> bool {
    ["denied", "403", "forbidden"].iter().any(|words| said.contains(words))
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_logs_in_pushes_and_pulls() {
    let (Some(docker), Some(skopeo)) = (clients::require("docker"), clients::require("skopeo"))
    else {
        return;
    };
    let folder = TempDir::with_prefix("docker-").unwrap();
    let Some((mut process, socket)) = daemon(&docker, folder.path()).await else { return };
    let Some(desk) = Desk::set(11).await else { return };
    let (home, host) = (desk.path("home"), desk.host());
    let here = ["--config", &home, "-H", &socket];
    let login = |password| ["login", "-u", ALICE.0, "-p", password, &host];
    let said = refused(&docker, &[&here[..], &login("wrong")].concat()).await;
    assert!(is_about_login(&said), "{said}");
    run(&docker, &[&here[..], &login(ALICE.1)].concat()).await;
    let (archive, image) = (desk.path("archive"), desk.image(SHOP));
    let to = format!("docker-archive:{archive}:{image}");
    run(&skopeo, &["copy", "-q", &desk.layout.reference(), &to]).await;
    run(&docker, &[&here[..], &["load", "-q", "-i", &archive]].concat()).await;
    run(&docker, &[&here[..], &["push", "-q", &image]].concat()).await;
    desk.scene.assert_only(ALICE);
    let config = &desk.layout.images[0].config.digest;
    assert_eq!(desk.scene.by(ALICE).head_blob(SHOP, config).await.status, 200);
    run(&docker, &[&here[..], &["rmi", "-f", &image]].concat()).await;
    run(&docker, &[&here[..], &["pull", "-q", &image]].concat()).await;
    let elsewhere = desk.image(BANK);
    run(&docker, &[&here[..], &["tag", &image, &elsewhere]].concat()).await;
    let said = refused(&docker, &[&here[..], &["push", &elsewhere]].concat()).await;
    assert!(is_about_leave(&said), "{said}");
    run(&docker, &[&here[..], &["logout", &host]].concat()).await;
    let said = refused(&docker, &[&here[..], &["pull", &image]].concat()).await;
    assert!(is_about_login(&said) || said.contains("no basic auth"), "{said}");
    process.terminate(START).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_logs_in_pushes_and_pulls() {
    let (Some(podman), Some(skopeo)) = (clients::require("podman"), clients::require("skopeo"))
    else {
        return;
    };
    let Some(desk) = Desk::set(12).await else { return };
    let (root, runroot, keys) = (desk.path("root"), desk.path("run"), desk.path("auth.json"));
    let here = ["--storage-driver=vfs", "--root", &root, "--runroot", &runroot];
    let here = [&here[..], &["--cgroup-manager=cgroupfs"]].concat();
    let (host, image) = (desk.host(), desk.image(SHOP));
    let auth = ["--tls-verify=false", "--authfile", &keys];
    let login = |password| [&auth[..], &["-u", ALICE.0, "-p", password, &host]].concat();
    let said = refused(&podman, &[&here[..], &["login"], &login("wrong")].concat()).await;
    assert!(is_about_login(&said), "{said}");
    run(&podman, &[&here[..], &["login"], &login(ALICE.1)].concat()).await;
    let archive = desk.path("archive");
    let to = format!("docker-archive:{archive}:{image}");
    run(&skopeo, &["copy", "-q", &desk.layout.reference(), &to]).await;
    run(&podman, &[&here[..], &["load", "-q", "-i", &archive]].concat()).await;
    let push = |to| [&["push", "-q"], &auth[..], &[&image, to]].concat();
    run(&podman, &[&here[..], &push(&image)].concat()).await;
    desk.scene.assert_only(ALICE);
    run(&podman, &[&here[..], &["rmi", "-f", &image]].concat()).await;
    let pull = [&["pull", "-q"], &auth[..], &[&image]].concat();
    let id = run(&podman, &[&here[..], &pull].concat()).await;
    assert_eq!(format!("sha256:{}", id.trim()), desk.layout.images[0].config.digest);
    let said = refused(&podman, &[&here[..], &push(&desk.image(BANK))].concat()).await;
    assert!(is_about_leave(&said), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_logs_in_pushes_and_pulls() {
    let Some(skopeo) = clients::require("skopeo") else { return };
    let Some(desk) = Desk::set(13).await else { return };
    let (keys, host) = (desk.path("auth.json"), desk.host());
    let login = |password| {
        let auth = ["--tls-verify=false", "--authfile", &keys];
        [&["login"], &auth[..], &["-u", ALICE.0, "-p", password, &host]].concat()
    };
    let said = refused(&skopeo, &login("wrong")).await;
    assert!(is_about_login(&said), "{said}");
    run(&skopeo, &login(ALICE.1)).await;
    let there = format!("docker://{}", desk.image(SHOP));
    let keys = ["--authfile", &keys];
    let source = desk.layout.reference();
    let push = ["copy", "-q", "--all", "--dest-tls-verify=false", &source];
    run(&skopeo, &[&push[..], &keys, &[&there]].concat()).await;
    desk.assert_pushed_by_alice().await;
    let back = format!("oci:{}:{TAG}", desk.path("out"));
    let pull = ["copy", "-q", "--all", "--src-tls-verify=false", &there, &back];
    run(&skopeo, &[&pull[..], &keys].concat()).await;
    let elsewhere = format!("docker://{}", desk.image(BANK));
    let said = refused(&skopeo, &[&push[..], &keys, &[&elsewhere]].concat()).await;
    assert!(is_about_leave(&said), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn crane_logs_in_pushes_and_pulls() {
    let Some(crane) = clients::require("crane") else { return };
    let Some(desk) = Desk::set(14).await else { return };
    let (host, image) = (desk.host(), desk.image(SHOP));
    let crane = async |arguments: &[&str], works: bool| {
        let mut command = tokio::process::Command::new(crane.path());
        command.args(arguments).env("DOCKER_CONFIG", desk.path("home"));
        let output = crane.run_with(&mut command, clients::COMMAND_TIME).await.unwrap();
        let said = format!("{}{}", output.stdout, output.stderr);
        assert_eq!(output.status.success(), works, "{arguments:?}: {said}");
        said.to_lowercase()
    };
    crane(&["auth", "login", &host, "-u", ALICE.0, "-p", "wrong"], true).await;
    let push = ["push", "--insecure", &desk.path("in")];
    let said = crane(&[&push[..], &[&image]].concat(), false).await;
    assert!(is_about_login(&said), "{said}");
    crane(&["auth", "login", &host, "-u", ALICE.0, "-p", ALICE.1], true).await;
    crane(&[&push[..], &[&image]].concat(), true).await;
    desk.assert_pushed_by_alice().await;
    crane(&["pull", "--insecure", "--format=oci", &image, &desk.path("out")], true).await;
    let said = crane(&[&push[..], &[&desk.image(BANK)]].concat(), false).await;
    assert!(is_about_leave(&said), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn containerd_pushes_and_pulls_with_a_login() {
    let Some(ctr) = clients::require("ctr") else { return };
    let folder = TempDir::with_prefix("containerd-").unwrap();
    let Some((mut process, socket)) = containerd(folder.path()).await else { return };
    let Some(desk) = Desk::set(15).await else { return };
    let (archive, image) = (desk.path("in.tar"), desk.image(SHOP));
    let mut builder = tar::Builder::new(std::fs::File::create(&archive).unwrap());
    builder.append_dir_all(".", desk.path("in")).unwrap();
    builder.finish().unwrap();
    let base = format!("{}/{SHOP}", desk.host());
    let here = ["--address", &socket, "--namespace", "test"];
    let import = ["images", "import", "--all-platforms", "--no-unpack", "--base-name", &base];
    run(&ctr, &[&here[..], &import, &[&archive]].concat()).await;
    let (right, wrong) = (format!("{}:{}", ALICE.0, ALICE.1), format!("{}:wrong", ALICE.0));
    let push =
        |user| [&here[..], &["images", "push", "--plain-http", "--user", user, &image]].concat();
    let said = refused(&ctr, &push(&wrong)).await;
    assert!(is_about_login(&said), "{said}");
    run(&ctr, &push(&right)).await;
    desk.assert_pushed_by_alice().await;
    let fetch = ["content", "fetch", "--plain-http", "--all-platforms", "--user", &right, &image];
    run(&ctr, &[&here[..], &fetch].concat()).await;
    process.terminate(START).await.unwrap();
}
