//! Images made from others: `wharf package` on images by buildah and podman, from archives and from
//! registries, and the engines' view of the result.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use wharf_testkit::clients::{Client, require};
use wharf_testkit::offers::{Offer, PLAN};
use wharf_testkit::registry::Registry;

use crate::corpus::run::program;
use crate::fixture::Wharfd;

/// The texts before and after the image in the offer's plan.
const IMAGE: (&str, &str) = ("      platforms:\n", "    resources:");

/// Buildah and skopeo, with a folder for everything.
struct Yard {
    folder: TempDir,
    buildah: Client,
    skopeo: Client,
}

/// The result of a `wharf` run.
struct Ran {
    code: Option<i32>,
    stdout: Value,
    stderr: String,
}

impl Yard {
    fn open() -> Option<Self> {
        let folder = TempDir::with_prefix("bases-").unwrap();
        Some(Self { folder, buildah: require("buildah")?, skopeo: require("skopeo")? })
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    async fn buildah(&self, arguments: &[&str]) -> String {
        let (root, run) = (self.path("storage"), self.path("run"));
        let stores = ["--storage-driver=vfs", "--root", &root, "--runroot", &run];
        let all = stores.iter().chain(arguments);
        self.buildah.run_ok(all).await.unwrap().stdout.trim().to_owned()
    }

    /// An image of a root folder with busybox behind merged `/usr`, as `base.tar` (OCI) and `docker.tar`.
    async fn build(&self) {
        let root = self.folder.path().join("root");
        for folder in ["usr/bin", "etc", "data"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        std::os::unix::fs::symlink("usr/bin", root.join("bin")).unwrap();
        let busybox = require("busybox").expect("setup.sh installs it");
        fs::copy(busybox.path(), root.join("usr/bin/busybox")).unwrap();
        fs::set_permissions(root.join("usr/bin/busybox"), fs::Permissions::from_mode(0o755))
            .unwrap();
        fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/false\n").unwrap();
        let container = self.buildah(&["from", "scratch"]).await;
        self.buildah(&["copy", "--quiet", &container, &root.display().to_string(), "/"]).await;
        let config = [
            "config",
            "--env=PATH=/usr/bin",
            "--env=TIDE=low",
            "--cmd=/usr/bin/busybox",
            "--user=1200:1200",
            "--workingdir=/data",
            "--label=from=base",
            "--stop-signal=SIGINT",
            "--port=9/tcp",
            &container,
        ];
        self.buildah(&config).await;
        self.buildah(&["commit", "--quiet", &container, "base"]).await;
        let archive = format!("oci-archive:{}:1", self.path("base.tar"));
        self.buildah(&["push", "--quiet", "base", &archive]).await;
        let archive = format!("docker-archive:{}:registry.example/tide:1", self.path("docker.tar"));
        self.buildah(&["push", "--quiet", "base", &archive]).await;
    }

    /// An offer with this image description; returns its path.
    fn offer(&self, name: &str, image: &str) -> PathBuf {
        let mut offer = Offer::healthy();
        let start = offer.text.find(IMAGE.0).unwrap();
        let end = offer.text.find(IMAGE.1).unwrap();
        offer.text.replace_range(start..end, image);
        let written = offer.write(self.folder.path()).unwrap();
        let path = self.folder.path().join(format!("{name}.yaml"));
        fs::rename(written, &path).unwrap();
        path
    }

    /// `wharf package` into a folder of its own.
    fn package(&self, name: &str, image: &str, more: &[&str]) -> Ran {
        let offer = self.offer(name, image);
        let mut command = program();
        command.args(["--output-format", "json", "--plain-http", "package", "--output"]);
        command.arg(self.path(name)).args(more).arg(offer);
        let out = command.output().unwrap();
        Ran {
            code: out.status.code(),
            stdout: serde_json::from_slice(&out.stdout).unwrap_or_default(),
            stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
        }
    }

    fn made(&self, name: &str, image: &str) -> Made {
        let ran = self.package(name, image, &[]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let layout = self.folder.path().join(name).join(PLAN);
        let read = |digest: &Value| -> Value {
            let hex = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
            serde_json::from_slice(&fs::read(layout.join("blobs/sha256").join(hex)).unwrap())
                .unwrap()
        };
        let digest = ran.stdout["result"]["plans"][0]["platforms"][0]["digest"].clone();
        let manifest = read(&digest);
        let config = read(&manifest["config"]["digest"]);
        Made { digest: digest.as_str().unwrap().to_owned(), manifest, config, layout }
    }

    /// The content of an image, as reported by skopeo.
    async fn inspect(&self, image: &str) -> (String, Vec<String>) {
        let arguments = ["inspect", "--tls-verify=false", "--override-arch=amd64", image];
        let said = self.skopeo.run_ok(arguments).await.unwrap().stdout;
        let said: Value = serde_json::from_str(&said).unwrap();
        let layers = said["Layers"].as_array().unwrap();
        let layers = layers.iter().map(|layer| layer.as_str().unwrap().to_owned()).collect();
        (said["Digest"].as_str().unwrap().to_owned(), layers)
    }
}

/// The image for linux/amd64 of the plan.
struct Made {
    digest: String,
    manifest: Value,
    config: Value,
    layout: PathBuf,
}

impl Made {
    fn layers(&self) -> Vec<String> {
        let layers = self.manifest["layers"].as_array().unwrap();
        layers.iter().map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
    }
}

/// The image part of an offer: keys of the image, and one platform with its own.
fn image(at_image: &str, at_platform: &str, config: &str) -> String {
    format!(
        "      {at_image}\n      platforms:\n        - platform: linux/amd64\n{at_platform}{config}"
    )
}

const APP: &str = "          layers: [{ dir: app, into: /srv }]\n";
const CONFIG: &str =
    "      config:\n        entrypoint: [/usr/bin/busybox]\n        env: { SEA: \"1\" }\n";

fn app(yard: &Yard) {
    fs::create_dir_all(yard.path("app")).unwrap();
    fs::write(Path::new(&yard.path("app")).join("tide"), "high").unwrap();
}

#[tokio::test]
async fn an_image_of_buildah_is_adopted_byte_for_byte_and_is_pushed_with_its_digests() {
    let Some(yard) = Yard::open() else { return };
    let Some(registry) = Registry::start().await.unwrap() else { return };
    yard.build().await;
    let source = format!("oci-archive:{}", yard.path("base.tar"));
    let (digest, layers) = yard.inspect(&source).await;
    let made = yard.made("adopted", &image("adopt: base.tar", "", ""));
    assert_eq!((&made.digest, &made.layers()), (&digest, &layers));
    assert_eq!(made.config["config"]["Labels"]["from"], "base");
    assert!(made.config["config"]["Labels"].get("org.opencontainers.image.title").is_none());
    let host = registry.addr().to_string();
    let reference = format!("{host}/tide:1.4.0-all");
    let mut push = program();
    push.args(["--plain-http", "push"]).arg(&made.layout).arg(&reference);
    assert!(push.status().unwrap().success());
    let copy = format!("docker://{host}/tide@{digest}");
    assert_eq!(yard.inspect(&copy).await, (digest, layers));
    // Layers of docker-archives are kept uncompressed as well, with a message about it.
    let ran = yard.package("plain", &image("adopt: docker.tar", "", ""), &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.is_empty() || ran.stderr.contains("not compressed"), "{}", ran.stderr);
}

#[tokio::test]
async fn layers_on_a_base_are_the_same_from_every_source_and_run() {
    let Some(yard) = Yard::open() else { return };
    let Some(registry) = Registry::start().await.unwrap() else { return };
    yard.build().await;
    app(&yard);
    let host = registry.addr().to_string();
    let from = format!("oci-archive:{}", yard.path("base.tar"));
    for (format, tag) in [("oci", "oci"), ("v2s2", "docker")] {
        let to = format!("docker://{host}/tide:{tag}");
        let copy = ["copy", "--quiet", "--dest-tls-verify=false", "--format", format, &from, &to];
        yard.skopeo.run_ok(copy).await.unwrap();
    }
    let wharfd = Wharfd::with_config(&format!("[[upstream]]\nurl = \"http://{host}\"\n")).await;
    let sources = [
        ("archive", "base.tar".to_owned()),
        ("registry", format!("{host}/tide:oci")),
        ("docker", format!("docker://{host}/tide:docker")),
        ("wharfd", format!("{}/tide:oci", wharfd.host())),
    ];
    let (_, below) = yard.inspect(&from).await;
    let mut configs = BTreeSet::new();
    for (name, source) in sources {
        let made = yard.made(name, &image(&format!("base: \"{source}\""), APP, CONFIG));
        assert_eq!(made.layers()[..1], below[..], "{name}");
        let layers = made.manifest["layers"].as_array().unwrap();
        let oci = "application/vnd.oci.image.layer.v1.tar+gzip";
        assert!(layers.iter().all(|layer| layer["mediaType"] == oci), "{name}: {layers:?}");
        let says = &made.manifest["annotations"]["org.opencontainers.image.base.name"];
        if source.contains("tide:") {
            assert_eq!(*says, json!(source.trim_start_matches("docker://")), "{name}");
        }
        configs.insert(made.config.to_string());
    }
    // The same configuration, for any form of the base.
    assert_eq!(configs.len(), 1, "{configs:#?}");
    let config: Value = serde_json::from_str(configs.first().unwrap()).unwrap();
    let runtime = &config["config"];
    assert_eq!(runtime["Env"], json!(["PATH=/usr/bin", "TIDE=low", "SEA=1"]));
    assert_eq!((&runtime["User"], &runtime["Cmd"]), (&json!("1200:1200"), &Value::Null));
    assert_eq!(
        (&runtime["WorkingDir"], &runtime["StopSignal"]),
        (&json!("/data"), &json!("SIGINT"))
    );
    assert_eq!(runtime["Labels"]["from"], "base");
    assert_eq!(runtime["Labels"]["org.opencontainers.image.title"], "Service");
    assert_eq!(config["history"].as_array().unwrap().len(), 2);
    // An engine unpacks both.
    let image = format!("{host}/made:1.4.0-all");
    let mut push = program();
    push.args(["--plain-http", "push"]).arg(yard.folder.path().join("archive").join(PLAN));
    assert!(push.arg(&image).status().unwrap().success());
    let container = yard.buildah(&["from", "--tls-verify=false", &image]).await;
    let mounted = yard.buildah(&["mount", &container]).await;
    let there = |path: &str| Path::new(&mounted).join(path);
    assert_eq!(fs::read_to_string(there("srv/tide")).unwrap(), "high");
    assert!(there("bin").is_symlink() && there("bin/busybox").is_file());
    yard.buildah(&["umount", &container]).await;
}

#[tokio::test]
async fn what_a_base_is_not_is_said_and_nothing_is_left() {
    let Some(yard) = Yard::open() else { return };
    let Some(registry) = Registry::start().await.unwrap() else { return };
    yard.build().await;
    app(&yard);
    let host = registry.addr().to_string();
    let from = format!("oci-archive:{}", yard.path("base.tar"));
    let to = format!("docker://{host}/tide:1");
    yard.skopeo.run_ok(["copy", "--quiet", "--dest-tls-verify=false", &from, &to]).await.unwrap();
    let pin = format!("{{ image: \"{host}/tide:1\", digest: \"sha256:{}\" }}", "7".repeat(64));
    let refused = |name: &str, image: &str, words: &[&str]| {
        let ran = yard.package(name, image, &[]);
        assert_eq!(ran.code, Some(2), "{name}: {}", ran.stderr);
        let message = ran.stdout["error"]["message"].as_str().unwrap().to_owned();
        for word in words {
            assert!(message.contains(word), "{name} should say {word}: {message}");
        }
        assert!(!Path::new(&yard.path(name)).join(PLAN).exists(), "{name}");
    };
    refused("pin", &image(&format!("base: {pin}"), APP, ""), &["sha256:7777", "its digest is"]);
    let arm = image("base: base.tar", APP, "").replace("linux/amd64", "linux/arm64");
    refused("arm", &arm, &["no image for linux/arm64; it has: linux/amd64", PLAN]);
    refused("gone", &image("adopt: gone.tar", "", ""), &["gone.tar does not exist"]);
    fs::write(yard.path("Dockerfile"), "FROM scratch\n").unwrap();
    refused("file", &image("dockerfile: Dockerfile", APP, ""), &["adopt: app.tar"]);
    refused("base", &image("adopt: Dockerfile", "", ""), &["docker buildx build", "buildah"]);
    let mut alone = program();
    let said = alone.arg("package").arg(yard.path("Dockerfile")).output().unwrap();
    assert_eq!(said.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&said.stderr).contains("adopt: app.tar"));
}

#[tokio::test]
async fn a_layer_that_is_here_is_not_fetched_again_and_a_check_fetches_none() {
    let Some(yard) = Yard::open() else { return };
    let Some(registry) = Registry::start().await.unwrap() else { return };
    yard.build().await;
    app(&yard);
    let host = registry.addr().to_string();
    let from = format!("oci-archive:{}", yard.path("base.tar"));
    let to = format!("docker://{host}/tide:1");
    yard.skopeo.run_ok(["copy", "--quiet", "--dest-tls-verify=false", &from, &to]).await.unwrap();
    let on_base = image(&format!("base: {host}/tide:1"), APP, CONFIG);
    // Attestations are off, because the software list needs the content of the layers.
    let adopted = image(&format!("adopt: {host}/tide:1\n      attestations: []"), "", "");
    let made = yard.made("first", &on_base);
    // The registry loses the layer, so a new request for it would fail.
    let layers = made.layers();
    let hex = layers[0].strip_prefix("sha256:").unwrap();
    let blob =
        registry.folder().join("root/docker/registry/v2/blobs/sha256").join(&hex[..2]).join(hex);
    assert!(blob.exists(), "{}", blob.display());
    fs::remove_dir_all(blob).unwrap();
    let checked = yard.package("first", &on_base, &["--check"]);
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    fs::write(Path::new(&yard.path("app")).join("tide"), "higher").unwrap();
    let again = yard.made("first", &on_base);
    assert_eq!(again.layers()[0], layers[0]);
    assert_ne!(again.digest, made.digest);
    // Of an adopted image digests and sizes are known without its layers.
    let counted = yard.package("second", &adopted, &["--dry-run"]);
    assert_eq!(counted.code, Some(0), "{}", counted.stderr);
    let failed = yard.package("second", &adopted, &[]);
    assert_ne!(failed.code, Some(0), "the layer is gone");
}

#[tokio::test]
async fn a_stale_layout_is_refused_by_push_and_found_by_verify() {
    let Some(yard) = Yard::open() else { return };
    yard.build().await;
    app(&yard);
    yard.made("out", &image("base: base.tar", APP, CONFIG));
    let changed =
        yard.offer("changed", &image("base: base.tar\n      revision: other", APP, CONFIG));
    let mut verify = program();
    verify.args(["--output-format", "json", "verify", "--offer"]).arg(&changed);
    let said = verify.arg("--layouts").arg(yard.path("out")).output().unwrap();
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    let found = said["result"]["findings"].as_array().unwrap();
    assert!(found.iter().any(|finding| finding["rule"] == "IMG-050"), "{found:#?}");
    let Some(registry) = Registry::start().await.unwrap() else { return };
    let mut push = program();
    push.env("WHARF_REGISTRY_HARBOUR", registry.addr().to_string());
    push.args(["--plain-http", "push", "--to", "harbour", "--layouts"]).arg(yard.path("out"));
    let said = push.arg(&changed).output().unwrap();
    let stderr = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(!said.status.success() && stderr.contains("was not made from"), "{stderr}");
}
