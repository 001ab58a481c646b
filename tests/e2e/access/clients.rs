//! Real clients log in for real: with a password, with a long-lived token of ours, and with a token
//! of an issuer. They push and pull within their rights, and are refused everything else.

use tokio::process::Command;
use wharf_testkit::clients::{self, COMMAND_TIME, Client, Output};
use wharf_testkit::images::{Layout, Recipe};

use super::issuer::TestIssuer;
use super::scene::{RULES, Scene};
use crate::clients::{daemon, platforms};
use crate::fixture::START;

/// A registry, an image, and three ways to log in.
struct Gate {
    scene: Scene,
    layout: Layout,
    logins: [(&'static str, String); 3],
    _issuer: TestIssuer,
}

impl Gate {
    async fn set() -> Self {
        let issuer = TestIssuer::start().await;
        let scene = Scene::with("", RULES, &issuer.lines()).await;
        let recipe = Recipe::new(7, &[3_000, 200_000]).architectures(&["amd64"]);
        let layout = recipe.write(&scene.folder.path().join("in"), "1.0").unwrap();
        let logins = [
            ("alice", "alice-password".to_owned()),
            ("ci-1", scene.token.clone()),
            ("anything", issuer.token()),
        ];
        scene.plant("secret/app").await;
        Self { scene, layout, logins, _issuer: issuer }
    }

    fn host(&self) -> String {
        self.scene.wharfd.host()
    }

    fn path(&self, name: &str) -> String {
        self.scene.folder.path().join(name).display().to_string()
    }

    /// The pushed image is complete, and visible to its owners alone.
    async fn assert_pushed(&self, repo: &str) {
        let pushed = self.scene.root().get_manifest(repo, "1.0").await;
        assert_eq!(pushed.status, 200, "{repo}");
        assert_eq!(self.scene.bob().get_manifest(repo, "1.0").await.status, 403);
    }
}

/// Runs a client with these variables.
async fn attempt(client: &Client, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(client.path());
    command.args(arguments).envs(variables.iter().copied());
    client.run_with(&mut command, COMMAND_TIME).await.unwrap()
}

async fn run(client: &Client, variables: &[(&str, &str)], arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = attempt(client, variables, arguments).await;
    assert!(status.success(), "{arguments:?}:\n{stdout}{stderr}");
    stdout
}

/// It fails, because it may not.
async fn refused(client: &Client, variables: &[(&str, &str)], arguments: &[&str]) {
    let Output { status, stdout, stderr } = attempt(client, variables, arguments).await;
    let said = format!("{stdout}{stderr}").to_lowercase();
    let words = [
        "unauthorized",
        "denied",
        "authentication required",
        "401",
        "403",
        "login is needed",
        "login was refused",
        "does not allow",
        "insufficient_scope",
        "invalid username",
        "authorization failed",
    ];
    assert!(!status.success(), "{arguments:?} was let in:\n{said}");
    assert!(words.iter().any(|word| said.contains(word)), "{arguments:?}:\n{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_logs_in() {
    let Some(skopeo) = clients::require("skopeo") else { return };
    let gate = Gate::set().await;
    let (host, source) = (gate.host(), gate.layout.reference());
    for (user, secret) in &gate.logins {
        let auth = gate.path(&format!("auth-{user}"));
        let login =
            ["login", "--tls-verify=false", "--authfile", &auth, "-u", user, "-p", secret, &host];
        run(&skopeo, &[], &login).await;
        let push = ["copy", "-q", "--dest-tls-verify=false", "--authfile", &auth, &source];
        let to = format!("docker://{host}/team/skopeo-{user}:1.0");
        run(&skopeo, &[], &[&push[..], &[&to]].concat()).await;
        gate.assert_pushed(&format!("team/skopeo-{user}")).await;
        let pull = ["copy", "-q", "--src-tls-verify=false", "--authfile", &auth, &to];
        let out = format!("dir:{}", gate.path(&format!("out-{user}")));
        run(&skopeo, &[], &[&pull[..], &[&out]].concat()).await;
        let secret = format!("docker://{host}/secret/app:1.0");
        refused(&skopeo, &[], &[&push[..], &[&secret]].concat()).await;
        let inspect = ["inspect", "--tls-verify=false", "--authfile", &auth, &secret];
        refused(&skopeo, &[], &inspect).await;
    }
    let auth = gate.path("auth-none");
    let login =
        ["login", "--tls-verify=false", "--authfile", &auth, "-u", "alice", "-p", "wrong", &host];
    refused(&skopeo, &[], &login).await;
    let there = format!("docker://{host}/team/skopeo-alice:1.0");
    refused(&skopeo, &[], &["inspect", "--tls-verify=false", "--authfile", &auth, &there]).await;
    let credentials = ["inspect", "--tls-verify=false", "--creds", "alice:alice-password", &there];
    run(&skopeo, &[], &credentials).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_logs_in() {
    let Some(podman) = clients::require("podman") else { return };
    let gate = Gate::set().await;
    let (host, root, runroot) = (gate.host(), gate.path("root"), gate.path("run"));
    let here = [
        "--storage-driver=vfs",
        "--cgroup-manager=cgroupfs",
        "--root",
        &root,
        "--runroot",
        &runroot,
    ];
    gate.scene.root().push_layout("base", &gate.layout).await;
    let pull = ["pull", "-q", "--tls-verify=false", "--creds", "bob:bob-password"];
    let base = format!("{host}/base:1.0");
    let id = run(&podman, &[], &[&here[..], &pull, &[&base]].concat()).await;
    let id = id.trim();
    for (user, secret) in &gate.logins {
        let auth = gate.path(&format!("auth-{user}"));
        let at = ["--tls-verify=false", "--authfile", &auth];
        let login = [&here[..], &["login"], &at, &["-u", user, "-p", secret, &host]].concat();
        run(&podman, &[], &login).await;
        let to = format!("{host}/team/podman-{user}:1.0");
        run(&podman, &[], &[&here[..], &["push", "-q"], &at, &[id, &to]].concat()).await;
        gate.assert_pushed(&format!("team/podman-{user}")).await;
        run(&podman, &[], &[&here[..], &["pull", "-q"], &at, &[&to]].concat()).await;
        let forbidden = format!("{host}/secret/app:1.0");
        refused(&podman, &[], &[&here[..], &["push", "-q"], &at, &[id, &forbidden]].concat()).await;
        refused(&podman, &[], &[&here[..], &["pull", "-q"], &at, &[&forbidden]].concat()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn crane_logs_in() {
    let Some(crane) = clients::require("crane") else { return };
    let gate = Gate::set().await;
    let host = gate.host();
    for (user, secret) in &gate.logins {
        let home = gate.path(&format!("home-{user}"));
        let own = [("DOCKER_CONFIG", home.as_str())];
        run(&crane, &own, &["auth", "login", "--insecure", "-u", user, "-p", secret, &host]).await;
        let to = format!("{host}/team/crane-{user}:1.0");
        run(&crane, &own, &["push", "--index", &gate.path("in"), &to]).await;
        gate.assert_pushed(&format!("team/crane-{user}")).await;
        run(&crane, &own, &["digest", &to]).await;
        // Layers are mounted from where they may be pulled.
        run(&crane, &own, &["copy", &to, &format!("{host}/team/crane-copy-{user}:1.0")]).await;
        let forbidden = format!("{host}/secret/app:1.0");
        refused(&crane, &own, &["digest", &forbidden]).await;
        refused(&crane, &own, &["copy", &to, &forbidden]).await;
        let catalog = run(&crane, &own, &["catalog", &host]).await;
        assert!(catalog.contains("team/crane") && !catalog.contains("secret"), "{catalog}");
    }
    let nobody = gate.path("home-none");
    let there = format!("{host}/team/crane-alice:1.0");
    refused(&crane, &[("DOCKER_CONFIG", &nobody)], &["digest", &there]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn regctl_logs_in() {
    let Some(regctl) = clients::require("regctl") else { return };
    let gate = Gate::set().await;
    let (host, from) = (gate.host(), format!("ocidir://{}:1.0", gate.path("in")));
    for (user, secret) in &gate.logins {
        let config = gate.path(&format!("regctl-{user}.json"));
        let own = [("REGCTL_CONFIG", config.as_str())];
        run(&regctl, &own, &["registry", "set", "--tls", "disabled", &host]).await;
        run(&regctl, &own, &["registry", "login", "-u", user, "-p", secret, &host]).await;
        let to = format!("{host}/team/regctl-{user}:1.0");
        run(&regctl, &own, &["image", "copy", &from, &to]).await;
        gate.assert_pushed(&format!("team/regctl-{user}")).await;
        let out = format!("ocidir://{}:1.0", gate.path(&format!("regctl-out-{user}")));
        run(&regctl, &own, &["image", "copy", &to, &out]).await;
        let forbidden = format!("{host}/secret/app:1.0");
        refused(&regctl, &own, &["image", "digest", &forbidden]).await;
        refused(&regctl, &own, &["image", "copy", &from, &forbidden]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn oras_logs_in() {
    let Some(oras) = clients::require("oras") else { return };
    let gate = Gate::set().await;
    let (host, from) = (gate.host(), format!("{}:1.0", gate.path("in")));
    for (user, secret) in &gate.logins {
        let config = gate.path(&format!("oras-{user}.json"));
        let login = [
            "login",
            "--plain-http",
            "--registry-config",
            &config,
            "-u",
            user,
            "-p",
            secret,
            &host,
        ];
        run(&oras, &[], &login).await;
        let to = format!("{host}/team/oras-{user}:1.0");
        let push =
            ["cp", "--from-oci-layout", &from, "--to-plain-http", "--to-registry-config", &config];
        run(&oras, &[], &[&push[..], &[&to]].concat()).await;
        gate.assert_pushed(&format!("team/oras-{user}")).await;
        let out = format!("{}:1.0", gate.path(&format!("oras-out-{user}")));
        let pull = ["cp", "--from-plain-http", "--from-registry-config", &config, &to];
        run(&oras, &[], &[&pull[..], &["--to-oci-layout", &out]].concat()).await;
        let forbidden = format!("{host}/secret/app:1.0");
        refused(&oras, &[], &[&push[..], &[&forbidden]].concat()).await;
        let resolve = ["resolve", "--plain-http", "--registry-config", &config, &forbidden];
        refused(&oras, &[], &resolve).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn containerd_logs_in() {
    let Some(ctr) = clients::require("ctr") else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some((mut process, socket)) = platforms::containerd(folder.path()).await else { return };
    let gate = Gate::set().await;
    let archive = gate.path("in.tar");
    let mut builder = tar::Builder::new(std::fs::File::create(&archive).unwrap());
    builder.append_dir_all(".", gate.path("in")).unwrap();
    builder.finish().unwrap();
    let host = gate.host();
    for (user, secret) in &gate.logins {
        let (base, login) = (format!("{host}/team/ctr-{user}"), format!("{user}:{secret}"));
        let here = ["--address", &socket, "--namespace", user];
        let import = ["images", "import", "--no-unpack", "--base-name", &base, &archive];
        run(&ctr, &[], &[&here[..], &import].concat()).await;
        let to = format!("{base}:1.0");
        let push = ["images", "push", "--plain-http", "--user", &login, &to];
        run(&ctr, &[], &[&here[..], &push].concat()).await;
        gate.assert_pushed(&format!("team/ctr-{user}")).await;
        let there = ["--address", &socket, "--namespace", "puller"];
        let fetch = ["content", "fetch", "--plain-http", "--user", &login, &to];
        run(&ctr, &[], &[&there[..], &fetch].concat()).await;
        let forbidden = format!("{host}/secret/app:1.0");
        let fetch = ["content", "fetch", "--plain-http", "--user", &login, &forbidden];
        refused(&ctr, &[], &[&there[..], &fetch].concat()).await;
        run(&ctr, &[], &[&here[..], &["images", "tag", &to, &forbidden]].concat()).await;
        let push = ["images", "push", "--plain-http", "--user", &login, &forbidden];
        refused(&ctr, &[], &[&here[..], &push].concat()).await;
    }
    process.terminate(START).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_logs_in() {
    let (Some(docker), Some(skopeo)) = (clients::require("docker"), clients::require("skopeo"))
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let Some((mut process, daemon)) = daemon(&docker, folder.path()).await else { return };
    let gate = Gate::set().await;
    let host = gate.host();
    let archive = gate.path("docker.tar");
    let to = format!("docker-archive:{archive}:local/image:1.0");
    run(&skopeo, &[], &["copy", "-q", &gate.layout.reference(), &to]).await;
    for (user, secret) in &gate.logins {
        let home = gate.path(&format!("docker-{user}"));
        let here = ["--config", &home, "-H", &daemon];
        let wrong = [&here[..], &["login", "-u", user, "-p", "wrong", &host]].concat();
        refused(&docker, &[], &wrong).await;
        run(&docker, &[], &[&here[..], &["login", "-u", user, "-p", secret, &host]].concat()).await;
        run(&docker, &[], &[&here[..], &["load", "-q", "-i", &archive]].concat()).await;
        let there = format!("{host}/team/docker-{user}:1.0");
        run(&docker, &[], &[&here[..], &["tag", "local/image:1.0", &there]].concat()).await;
        run(&docker, &[], &[&here[..], &["push", "-q", &there]].concat()).await;
        gate.assert_pushed(&format!("team/docker-{user}")).await;
        run(&docker, &[], &[&here[..], &["rmi", "-f", &there, "local/image:1.0"]].concat()).await;
        run(&docker, &[], &[&here[..], &["pull", "-q", &there]].concat()).await;
        let forbidden = format!("{host}/secret/app:1.0");
        run(&docker, &[], &[&here[..], &["tag", &there, &forbidden]].concat()).await;
        refused(&docker, &[], &[&here[..], &["push", "-q", &forbidden]].concat()).await;
        refused(&docker, &[], &[&here[..], &["pull", "-q", &forbidden]].concat()).await;
        run(&docker, &[], &[&here[..], &["rmi", "-f", &there, &forbidden]].concat()).await;
        // The client keeps a token in place of the password.
        if *user == "alice" {
            let kept = std::fs::read_to_string(format!("{home}/config.json")).unwrap();
            assert!(kept.contains("identitytoken"), "{kept}");
        }
        run(&docker, &[], &[&here[..], &["logout", &host]].concat()).await;
        refused(&docker, &[], &[&here[..], &["pull", "-q", &there]].concat()).await;
    }
    process.terminate(START).await.unwrap();
}
