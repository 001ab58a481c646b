//! `wharf push` against a registry with ACR's habits: every kind of login, images of other
//! registries, and damage.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tempfile::TempDir;
use wharf_double::{Account, AcrDouble, DoubleConfig, Kind};
use wharf_testkit::http::Client;
use wharf_testkit::images::{Layout, Recipe};
use wharf_testkit::registry::Registry;

use crate::fixture::Api;
use crate::sources::{Said, shell};

const REPO: &str = "acme/app";
const USER: &str = "publisher";
const PASSWORD: &str = "planted-password-31ce";
const ENTRA_TOKEN: &str = "planted-entra-token-90ab";

/// The double, and an image in a layout.
struct Scene {
    folder: TempDir,
    double: AcrDouble,
    layout: Layout,
    behind: Registry,
}

impl Scene {
    async fn set(layer_bytes: &[u64]) -> Option<Self> {
        let behind = Registry::start().await.unwrap()?;
        let mut setup = DoubleConfig::new(behind.url()).account(Account::admin(USER, PASSWORD));
        setup.aad_token = Some(ENTRA_TOKEN.to_owned());
        let double = AcrDouble::start(setup).await.unwrap();
        let folder = TempDir::with_prefix("publishing-").unwrap();
        let recipe = Recipe::new(11, layer_bytes).architectures(&["amd64", "arm64"]);
        let layout = recipe.write(&folder.path().join("layout"), "1.0").unwrap();
        Some(Self { folder, double, layout, behind })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn to(&self, tag: &str) -> String {
        format!("{}/{REPO}:{tag}", self.double.addr())
    }

    /// Pushes the layout in a shell line around the words, without any other login.
    async fn push(&self, line: &str, tag: &str, options: &[&str]) -> Said {
        let (layout, to) = (self.path("layout").display().to_string(), self.to(tag));
        let words = ["push", &layout, &to, "--plain-http", "--output-format", "json"];
        let words: Vec<&OsStr> = words.iter().chain(options).map(OsStr::new).collect();
        let nowhere = self.path("none").display().to_string();
        let line = format!(
            "export HOME={nowhere} DOCKER_CONFIG={nowhere} XDG_RUNTIME_DIR={nowhere}; {line}"
        );
        shell(&line, &words).await
    }

    /// A script in place of `az`.
    fn az(&self, script: &str) -> String {
        let path = self.path("az");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        format!("WHARF_AZ={} exec \"$0\" \"$@\" </dev/null", path.display())
    }

    fn behind(&self) -> Api {
        Api::new(self.behind.url(), Client::new())
    }

    /// The digest that a tag has behind the double.
    async fn tagged(&self, tag: &str) -> Option<String> {
        let answer = self.behind().head_manifest(REPO, tag).await;
        let digest = answer.headers.get("docker-content-digest")?;
        Some(digest.to_str().unwrap().to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_comes_from_stdin_a_variable_a_file_or_a_key_vault() {
    let Some(scene) = Scene::set(&[5_000]).await else { return };
    let file = scene.path("password");
    fs::write(&file, format!("{PASSWORD}\nmore\n")).unwrap();
    let from_file = format!("--password-from=file:{}", file.display());
    let az = scene.az(&format!(
        "[ \"$*\" = \"keyvault secret show --query value --output tsv --vault-name quay-vault --name acr\" ] \
         || exit 1\necho {PASSWORD}"
    ));
    let plain = "exec \"$0\" \"$@\" </dev/null".to_owned();
    let piped = format!("printf '{PASSWORD}\\n' | \"$0\" \"$@\"");
    let variable = format!("SECRET={PASSWORD} exec \"$0\" \"$@\" </dev/null");
    for (number, (line, place)) in [
        (&piped, "--password-stdin"),
        (&variable, "--password-from=env:SECRET"),
        (&plain, from_file.as_str()),
        (&az, "--password-from=keyVault:quay-vault/acr"),
    ]
    .into_iter()
    .enumerate()
    {
        let tag = format!("{number}.0");
        let said = scene.push(line, &tag, &["--username", USER, place]).await;
        assert_eq!(said.code, 0, "{place}: {}", said.stderr);
        assert_eq!(scene.tagged(&tag).await.as_ref(), Some(&scene.layout.top.digest), "{place}");
    }
    let wrong = "printf 'wrong\\n' | \"$0\" \"$@\"";
    let said = scene.push(wrong, "9.0", &["--username", USER, "--password-stdin"]).await;
    assert_eq!(said.code, 4, "{}", said.stderr);
    let said = scene.push(&plain, "9.0", &["--username", USER, "--password-stdin"]).await;
    assert!(said.code == 2 && said.stderr.contains("has no password"), "{}", said.stderr);
    let said = scene.push(&plain, "9.0", &["--username", USER, "--password-from=env:NONE"]).await;
    assert!(said.code == 2 && said.stderr.contains("NONE is not set"), "{}", said.stderr);
    let said = scene.push(&plain, "9.0", &["--username", USER, "--password-from", PASSWORD]).await;
    assert!(said.code == 2 && !said.stderr.contains(PASSWORD), "{}", said.stderr);
    assert_eq!(scene.push(&plain, "9.0", &[]).await.code, 4, "nobody is logged in");
    let line = format!(
        "printf '{PASSWORD}\\n' | \"$0\" push - {} --username {USER} --password-stdin",
        scene.to("9.0")
    );
    let said = shell(&line, &[]).await;
    assert!(said.code == 2 && said.stderr.contains("both"), "{}", said.stderr);
    assert_eq!(scene.tagged("9.0").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn entra_id_logs_in_as_az_does() {
    let Some(scene) = Scene::set(&[5_000]).await else { return };
    let host = scene.double.addr().to_string();
    let az = scene.az(&format!(
        "[ \"$*\" = \"account get-access-token -o json --scope \
         https://containerregistry.azure.net/.default\" ] || exit 1\n\
         echo '{{\"accessToken\":\"{ENTRA_TOKEN}\",\"expires_on\":4102444800}}'"
    ));
    let said = scene.push(&az, "1.0", &["--entra", &host]).await;
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(scene.tagged("1.0").await.as_ref(), Some(&scene.layout.top.digest));
    let line = az.replacen("WHARF_AZ", &format!("WHARF_ENTRA=a.example,{host} WHARF_AZ"), 1);
    assert_eq!(scene.push(&line, "1.1", &[]).await.code, 0, "a list in the environment");
    for (script, word) in [
        ("echo secret-of-az >&2; exit 1", "log in with `az login`"),
        ("echo secret-of-az", "has no token"),
        ("echo '{\"accessToken\":\"secret-of-az\"}'", "did not accept the credentials"),
    ] {
        let az = scene.az(script);
        let said = scene.push(&az, "2.0", &["--entra", &host]).await;
        assert!(said.code == 4 && said.stderr.contains(word), "{script}: {}", said.stderr);
        assert!(!said.stderr.contains("secret-of-az"), "{}", said.stderr);
    }
    let other = scene.behind.addr().to_string();
    let az = scene.az(&format!("echo '{{\"accessToken\":\"{ENTRA_TOKEN}\"}}'"));
    let line = az.replace(
        "\"$@\"",
        &format!(
            "push {} {other}/a:1 --plain-http --entra {other}",
            scene.path("layout").display()
        ),
    );
    let said = shell(&line, &[]).await;
    assert!(said.code == 4 && said.stderr.contains("takes no Entra ID"), "{}", said.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_comes_from_another_registry_with_what_refers_to_it() {
    let Some(scene) = Scene::set(&[5_000, 2_000_000]).await else { return };
    let line = format!("SECRET={PASSWORD} exec \"$0\" \"$@\" </dev/null");
    let login = ["--username", USER, "--password-from", "env:SECRET"];
    let staging = Registry::start().await.unwrap().unwrap();
    let stage = Api::new(staging.url(), Client::new());
    stage.push_layout("stage/app", &scene.layout).await;
    let from = format!("docker://{}/stage/app:1.0", staging.addr());
    let words = ["push", &from, &scene.to("2.0"), "--plain-http", "--output-format", "json"];
    let words: Vec<&OsStr> = words.iter().chain(&login).map(OsStr::new).collect();
    let said = shell(&line, &words).await;
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(scene.tagged("2.0").await.as_ref(), Some(&scene.layout.top.digest));
    let again = shell(&line, &words).await;
    let item = again.result()["items"][0].clone();
    assert_eq!((&item["state"], &item["sentBytes"]), (&"unchanged".into(), &0.into()));
    // Another repository of the same registry: everything is mounted there.
    let from = scene.to("2.0");
    let to = format!("{}/acme/other:1.0", scene.double.addr());
    let words = ["push", &from, &to, "--plain-http", "--output-format", "json"];
    let words: Vec<&OsStr> = words.iter().chain(&login).map(OsStr::new).collect();
    let said = shell(&line, &words).await;
    assert_eq!(said.code, 0, "{}", said.stderr);
    let item = said.result()["items"][0].clone();
    assert_eq!(item["sentBytes"], 0, "{}", said.stdout);
    assert!(item["mountedBytes"].as_u64().unwrap() > 2_000_000, "{}", said.stdout);
    let missing = ["push", "docker://127.0.0.1:1/a:1", &scene.to("3.0"), "--plain-http"];
    let missing: Vec<&OsStr> = missing.iter().chain(&login).map(OsStr::new).collect();
    assert_eq!(shell(&line, &missing).await.code, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_damaged_image_nothing_is_sent() {
    let Some(scene) = Scene::set(&[40_000_000]).await else { return };
    let largest = scene.layout.content().max_by_key(|blob| blob.size).unwrap();
    let hex = largest.digest.trim_start_matches("sha256:");
    let path = scene.path("layout/blobs/sha256").join(hex);
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    let line = format!("SECRET={PASSWORD} exec \"$0\" \"$@\" </dev/null");
    let login = ["--username", USER, "--password-from", "env:SECRET"];
    let said = scene.push(&line, "1.0", &login).await;
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(said.stderr.contains("nothing of it was sent"), "{}", said.stderr);
    assert_eq!(scene.tagged("1.0").await, None);
    assert_eq!(scene.double.counts().total(Kind::ManifestPut), 0);
    assert_eq!(scene.behind().head_blob(REPO, &largest.digest).await.status, 404);
    assert_eq!(scene.double.open_uploads(), 0);
}
