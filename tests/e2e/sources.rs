//! `wharf verify` and `wharf push` on every form of an image from real clients: the same image
//! gives the same findings from any of them, and a registry serves each blob once.

mod forms;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use wharf_double::{AcrDouble, DoubleConfig, Fault, FaultRule, Kind};
use wharf_testkit::clients::{self, COMMAND_TIME, Client, Output};
use wharf_testkit::http;
use wharf_testkit::images::{Layout, Recipe};
use wharf_testkit::processes::product;
use wharf_testkit::registry::Registry;

use crate::fixture::{Api, Stage};
use forms::Forms;

const REPO: &str = "acme/app";

/// The end of a `wharf` run, and its output.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    pub(crate) fn result(&self) -> Value {
        let all: Value = serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr));
        all["result"].clone()
    }
}

/// Runs `wharf` in a shell line, with its path as `$0` and the words as `$@`.
pub(crate) async fn shell(line: &str, words: &[&OsStr]) -> Said {
    let mut command = Command::new("sh");
    command.arg("-c").arg(line).arg(product("wharf").unwrap()).args(words);
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy().to_ascii_uppercase();
        if name_text.starts_with("WHARF_") || name_text.ends_with("_PROXY") {
            command.env_remove(name);
        }
    }
    let output = tokio::time::timeout(COMMAND_TIME, command.output()).await.unwrap().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    Said { code: output.status.code().unwrap(), stdout, stderr }
}

/// `wharf` with these words.
pub(crate) async fn wharf(words: &[&str]) -> Said {
    let words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
    shell("exec \"$0\" \"$@\" </dev/null", &words).await
}

pub(crate) async fn verify(targets: &[&str]) -> Said {
    let options = ["verify", "--output-format", "json", "--plain-http"];
    wharf(&[&options[..], targets].concat()).await
}

/// A report's findings about images, without their places and digests.
pub(crate) fn essence(said: &Said) -> Value {
    let result = said.result();
    let findings: Vec<Value> =
        result["findings"].as_array().unwrap().iter().map(of_finding).collect();
    serde_json::json!({"findings": findings, "outcomes": result["outcomes"]})
}

fn of_finding(finding: &Value) -> Value {
    let keys = ["rule", "severity", "message", "platforms", "path", "layer"];
    keys.iter().map(|key| ((*key).to_owned(), finding[*key].clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_image_gives_the_same_findings_in_every_form() {
    let Some(forms) = Forms::make().await else { return };
    let expected = essence(&verify(&[&forms.path("layout")]).await);
    let rules: Vec<&str> = expected["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["rule"].as_str().unwrap())
        .collect();
    assert!(rules.contains(&"IMG-013") && rules.contains(&"IMG-017"), "{rules:?}");
    let targets = forms.targets();
    assert!(targets.len() >= 15, "{targets:?}");
    for target in targets {
        let said = verify(&[&target]).await;
        assert_eq!(said.code, 1, "{target}: {}", said.stderr);
        assert_eq!(essence(&said), expected, "{target}");
        assert_eq!(said.result()["images"][0]["proof"], "proven", "{target}");
    }
    for name in ["docker.tar", "docker.tar.gz", "oci.tar.zst"] {
        let path = forms.path(name);
        let line = "cat \"$1\" | \"$0\" verify --output-format json -";
        let said = shell(line, &[OsStr::new(&path)]).await;
        assert_eq!(essence(&said), expected, "{name} from a pipe");
        let line = "\"$0\" verify --output-format json - < \"$1\"";
        let said = shell(line, &[OsStr::new(&path)]).await;
        assert_eq!(essence(&said), expected, "{name} as standard input");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_can_be_pushed_and_is_pulled_by_others() {
    let Some(forms) = Forms::make().await else { return };
    let Some(skopeo) = clients::require("skopeo") else { return };
    let registry = forms.registry.addr();
    for (number, name) in ["docker.tar", "podman.tar", "crane.tar", "oci.tar.gz"].iter().enumerate()
    {
        let to = format!("{registry}/pushed/{number}:1.0");
        let said = wharf(&["push", &forms.path(name), &to, "--plain-http"]).await;
        assert_eq!(said.code, 0, "{name}: {}", said.stderr);
        let out = forms.path(&format!("pulled-{number}"));
        let (from, into) = (format!("docker://{to}"), format!("oci:{out}:x"));
        skopeo.run_ok(["copy", "--src-tls-verify=false", &from, &into]).await.unwrap();
        assert_eq!(essence(&verify(&[&out]).await), essence(&verify(&[&forms.path(name)]).await));
    }
    let to = format!("{registry}/pushed/pipe:1.0");
    let line = "cat \"$1\" | \"$0\" push - \"$2\" --plain-http";
    let path = forms.path("docker.tar.gz");
    let said = shell(line, &[OsStr::new(&path), OsStr::new(&to)]).await;
    assert_eq!(said.code, 0, "{}", said.stderr);
    let remote = format!("docker://{to}");
    let said = wharf(&["push", &remote, &format!("{to}-2"), "--plain-http"]).await;
    assert_eq!(said.code, 0, "{}", said.stderr);
}

/// The double, with its redirects to the storage, before a registry with an image.
struct Origin {
    double: AcrDouble,
    layout: Layout,
    _registry: Registry,
    _folder: TempDir,
}

impl Origin {
    async fn start(layer_bytes: &[u64]) -> Option<Self> {
        let registry = Registry::start().await.unwrap()?;
        let mut config = DoubleConfig::new(registry.url());
        config.anonymous_pull = true;
        let double = AcrDouble::start(config).await.unwrap();
        let folder = TempDir::new().unwrap();
        let recipe = Recipe::new(7, layer_bytes).architectures(&["amd64", "arm64"]);
        let layout = recipe.write(folder.path(), "1.0").unwrap();
        let behind = Api::new(registry.url(), http::Client::new());
        behind.push_layout(REPO, &layout).await;
        Some(Self { double, layout, _registry: registry, _folder: folder })
    }

    fn host(&self) -> String {
        self.double.url().trim_start_matches("http://").to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_blob_of_a_remote_index_is_read_once() {
    let Some(origin) = Origin::start(&[1_000, 3_000_000, 200_000]).await else { return };
    let digest = &origin.layout.top.digest;
    for reference in [format!("{REPO}:1.0"), format!("{REPO}@{digest}")] {
        origin.double.reset_counts();
        let said = verify(&[&format!("{}/{reference}", origin.host())]).await;
        let result = said.result();
        let images = result["images"].as_array().unwrap();
        assert_eq!(images.len(), 2, "{}", said.stdout);
        assert!(images.iter().all(|image| image["proof"] == "proven"), "{}", said.stdout);
        let counts = origin.double.counts();
        for blob in origin.layout.content() {
            assert_eq!(counts.served(Kind::StorageGet, &blob.digest), 1, "{}", blob.digest);
        }
        // The index and its two images.
        assert_eq!(counts.answered(Kind::ManifestGet, 200), 3);
        assert_eq!(counts.total(Kind::ManifestHead), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_breaks_off_goes_on_where_it_was() {
    let Some(origin) = Origin::start(&[3_000_000]).await else { return };
    let largest = origin.layout.content().max_by_key(|blob| blob.size).unwrap();
    let cut = FaultRule::next(Kind::StorageGet, Fault::CutBody { after: 1_000_000 });
    origin.double.set_fault(cut.of_digest(&largest.digest));
    let said = verify(&[&format!("{}/{REPO}:1.0", origin.host())]).await;
    let result = said.result();
    let images = result["images"].as_array().unwrap();
    assert!(images.iter().all(|image| image["proof"] == "proven"), "{}", said.stdout);
    let most: u64 = origin.layout.content().map(|blob| blob.size).sum();
    assert!(origin.double.counts().storage_bytes() < most + 1_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_sends_something_else_is_found_out() {
    let Some(origin) = Origin::start(&[300_000]).await else { return };
    let largest = origin.layout.content().max_by_key(|blob| blob.size).unwrap();
    for (fault, words) in [
        (Fault::WrongByteAt { offset: 1000 }, "bytes that came are"),
        (Fault::LongBody { bytes: 5 }, "its descriptor says"),
        (Fault::ShortBody { bytes: 5 }, "its descriptor says"),
    ] {
        let rule = FaultRule::next(Kind::StorageGet, fault).of_digest(&largest.digest);
        origin.double.set_fault(rule);
        let said = verify(&[&format!("{}/{REPO}:1.0", origin.host())]).await;
        assert_eq!(said.code, 1, "{fault:?}: {}", said.stdout);
        let findings = said.result()["findings"].to_string();
        assert!(findings.contains(words), "{fault:?}: {findings}");
        assert!(findings.contains("IMG-003"), "{fault:?}: {findings}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn through_wharfd_it_is_the_same_image() {
    let Some(stage) = Stage::start().await else { return };
    let folder = TempDir::new().unwrap();
    let recipe = Recipe::new(9, &[2_000, 300_000]).architectures(&["amd64", "arm64"]);
    let layout = recipe.write(&folder.path().join("layout"), "1.0").unwrap();
    stage.origin.push_layout(REPO, &layout).await;
    let direct = verify(&[&format!("{}/{REPO}:1.0", stage.registry.addr())]).await;
    let through = verify(&[&format!("{}/{REPO}:1.0", stage.wharfd.host())]).await;
    let on_disk = verify(&[folder.path().join("layout").to_str().unwrap()]).await;
    assert_eq!(essence(&through), essence(&direct));
    assert_eq!(essence(&through), essence(&on_disk));
    let digests = |said: &Said| {
        let images = said.result()["images"].clone();
        let images = images.as_array().unwrap().iter();
        images.map(|image| image["digest"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(digests(&through), digests(&on_disk));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_target_that_cannot_be_read_loses_no_report_of_the_others() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let recipe = Recipe::new(3, &[1_000]);
    recipe.write(Path::new(&path("many/a")), "1.0").unwrap();
    recipe.write(Path::new(&path("many/b")), "1.0").unwrap();
    std::fs::write(path("Dockerfile"), "FROM scratch\n").unwrap();
    let targets = [path("many"), path("gone"), path("Dockerfile"), "127.0.0.1:1/a:1".to_owned()];
    let said = verify(&targets.each_ref().map(String::as_str)).await;
    assert_eq!(said.code, 3, "{}", said.stderr);
    let result = said.result();
    assert_eq!(result["images"].as_array().unwrap().len(), 2);
    assert_eq!(result["summary"]["passed"], false);
    let unread = result["unread"].as_array().unwrap();
    let words = ["does not exist", "is a Dockerfile", "cannot reach"];
    assert_eq!(unread.len(), words.len());
    for (unread, word) in unread.iter().zip(words) {
        let error = unread["error"].as_str().unwrap();
        assert!(error.contains(word), "{error}");
    }
    // All failed alike: their cause's code.
    assert_eq!(verify(&[&path("gone"), &path("Dockerfile")]).await.code, 2);
    assert_eq!(verify(&["127.0.0.1:1/a:1", "127.0.0.1:1/b:1"]).await.code, 5);
    assert_eq!(verify(&[&path("gone")]).await.code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_that_nobody_writes_and_a_device_are_refused_at_once() {
    let folder = TempDir::new().unwrap();
    let pipe = folder.path().join("pipe");
    Client::clone(&clients::require("mkfifo").unwrap()).run_ok([&pipe]).await.unwrap();
    for (target, word) in
        [(pipe.to_str().unwrap(), "it is a pipe"), ("/dev/zero", "it is a device")]
    {
        let said = verify(&[target]).await;
        assert_eq!(said.code, 2);
        assert!(said.stderr.contains(word), "{}", said.stderr);
    }
    // Files with names like options or images.
    std::fs::write(folder.path().join("-x"), "").unwrap();
    let line = "cd \"$1\" && exec \"$0\" verify -- -x";
    let said = shell(line, &[folder.path().as_os_str()]).await;
    assert!(said.stderr.contains("-x is an empty file"), "{}", said.stderr);
    let host = folder.path().join("r.example:5000");
    std::fs::create_dir(&host).unwrap();
    Recipe::new(3, &[1_000]).write(&host.join("a:1"), "1.0").unwrap();
    let line = "cd \"$1\" && exec \"$0\" verify r.example:5000/a:1";
    let said = shell(line, &[folder.path().as_os_str()]).await;
    assert!(said.stdout.contains("linux/amd64"), "{}", said.stderr);
}
