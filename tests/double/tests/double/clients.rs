//! Real clients push to and pull from the double.

use std::collections::BTreeSet;
use std::path::Path;

use tempfile::TempDir;
use wharf_double::Kind;
use wharf_testkit::clients;
use wharf_testkit::images::{Layout, Recipe};

use super::{PASSWORD, Stage, USER};

/// The blobs of a layout, by name.
fn blobs(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder.join("blobs/sha256")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn top_of(folder: &Path) -> serde_json::Value {
    let index = std::fs::read(folder.join("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    index["manifests"][0]["digest"].clone()
}

fn layout(folder: &Path) -> Layout {
    let recipe = Recipe::new(11, &[20, 300_000, 1_500_000]).architectures(&["amd64", "arm64"]);
    recipe.write(&folder.join("in"), "v1").unwrap()
}

#[tokio::test]
async fn skopeo_pushes_and_pulls_back_an_equal_multi_platform_image() {
    let Some(skopeo) = clients::require("skopeo") else {
        return;
    };
    let Some(stage) = Stage::start().await else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let layout = layout(folder.path());
    let remote = format!("docker://{}/acme/web:v1", stage.host());
    let credentials = format!("{USER}:{PASSWORD}");
    let copy = ["--insecure-policy", "copy", "--all"];
    let push = ["--dest-tls-verify=false", "--dest-creds", &credentials];
    let names = [layout.reference(), remote.clone()];
    let push = copy.into_iter().chain(push).chain(names.iter().map(String::as_str));
    skopeo.run_ok(push).await.unwrap();

    let pulled = folder.path().join("out");
    let pull = ["--src-tls-verify=false", "--src-creds", &credentials];
    let names = [remote, format!("oci:{}:v1", pulled.display())];
    let pull = copy.into_iter().chain(pull).chain(names.iter().map(String::as_str));
    skopeo.run_ok(pull).await.unwrap();

    assert_eq!(top_of(&pulled), layout.top.digest.as_str());
    assert_eq!(blobs(&pulled), blobs(&layout.folder));
    let counts = stage.double.counts();
    for blob in layout.content() {
        let copied = std::fs::read(pulled.join("blobs/sha256").join(&blob.digest[7..])).unwrap();
        assert_eq!(copied, layout.read(blob).unwrap());
        assert_eq!(counts.served(Kind::UploadPut, &blob.digest), 1, "{}", blob.digest);
        assert_eq!(counts.served(Kind::StorageGet, &blob.digest), 1, "{}", blob.digest);
    }
    assert!(counts.answered(Kind::Token, 200) > 0, "skopeo must have used tokens");
    let stored = |entry: &&wharf_double::Entry| entry.kind == Kind::StorageGet;
    let journal = stage.double.journal();
    assert!(journal.iter().filter(stored).all(|entry| entry.status == 200));
}

#[tokio::test]
async fn skopeo_lists_every_tag_over_all_pages() {
    let Some(skopeo) = clients::require("skopeo") else {
        return;
    };
    let start = Stage::start_with(|mut config| {
        config.habits.page_size = 3;
        config
    });
    let Some(stage) = start.await else { return };
    let folder = TempDir::new().unwrap();
    let layout = Recipe::new(5, &[10]).write(&folder.path().join("in"), "v1").unwrap();
    let credentials = format!("{USER}:{PASSWORD}");
    for number in 0..7 {
        let remote = format!("docker://{}/acme/web:v{number}", stage.host());
        let options = ["--insecure-policy", "copy", "--dest-tls-verify=false", "--dest-creds"];
        let names = [credentials.clone(), layout.reference(), remote];
        let arguments = options.into_iter().chain(names.iter().map(String::as_str));
        skopeo.run_ok(arguments).await.unwrap();
    }
    let remote = format!("docker://{}/acme/web", stage.host());
    let list = ["list-tags", "--tls-verify=false", "--creds", &credentials, &remote];
    let output = skopeo.run_ok(list).await.unwrap();
    let listed: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    let wanted: Vec<String> = (0..7).map(|number| format!("v{number}")).collect();
    assert_eq!(listed["Tags"], serde_json::json!(wanted));
    assert_eq!(stage.double.counts().answered(Kind::Tags, 200), 3);
}

#[tokio::test]
async fn skopeo_is_refused_with_wrong_credentials() {
    let Some(skopeo) = clients::require("skopeo") else {
        return;
    };
    let Some(stage) = Stage::start().await else {
        return;
    };
    let remote = format!("docker://{}/acme/web:v1", stage.host());
    let inspect = ["inspect", "--tls-verify=false", "--creds", "publisher:wrong", &remote];
    let output = skopeo.run(inspect).await.unwrap();
    assert!(!output.status.success());
    assert!(stage.double.counts().answered(Kind::Token, 401) > 0, "{}", output.stderr);
}

/// Podman compresses layers again while it pushes them, so it cannot say how long they are.
#[tokio::test]
async fn podman_logs_in_pulls_and_pushes() {
    let (Some(podman), Some(skopeo)) = (clients::require("podman"), clients::require("skopeo"))
    else {
        return;
    };
    let start = Stage::start_with(|mut config| {
        config.habits.refuse_chunked = false;
        config
    });
    let Some(stage) = start.await else { return };
    let folder = TempDir::new().unwrap();
    let layout = Recipe::new(6, &[20, 100_000]).write(&folder.path().join("in"), "v1").unwrap();
    let planted = format!("docker://{}/acme/web:v1", stage.registry.addr());
    let names = [layout.reference(), planted];
    let plant = ["--insecure-policy", "copy", "--dest-tls-verify=false"];
    skopeo.run_ok(plant.into_iter().chain(names.iter().map(String::as_str))).await.unwrap();

    let path = |name: &str| folder.path().join(name).display().to_string();
    let (root, run, auth) = (path("root"), path("run"), path("auth.json"));
    let here = ["--root", &root, "--runroot", &run, "--storage-driver", "vfs"];
    let podman = async |arguments: &[&str]| {
        podman.run_ok(here.iter().chain(arguments).copied()).await.unwrap().stdout
    };
    let [plain, file] = ["--tls-verify=false", "--authfile"];
    let host = stage.host();
    let (first, second) = (format!("{host}/acme/web:v1"), format!("{host}/acme/again:v2"));
    podman(&["login", plain, file, &auth, "-u", USER, "-p", PASSWORD, &host]).await;
    let pulled = podman(&["pull", "-q", plain, file, &auth, &first]).await;
    let config = layout.images[0].config.digest.trim_start_matches("sha256:");
    assert_eq!(pulled.trim(), config);
    podman(&["push", "-q", plain, file, &auth, &first, &second]).await;
    podman(&["rmi", "-f", config]).await;
    let pulled = podman(&["pull", "-q", plain, file, &auth, &second]).await;
    assert_eq!(pulled.trim(), config);
    let counts = stage.double.counts();
    assert_eq!(counts.answered(Kind::ManifestPut, 201), 1);
    assert_eq!(counts.served(Kind::StorageGet, &layout.images[0].config.digest), 2);
}
