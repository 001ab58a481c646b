//! Images built by others: an archive of buildah is adopted whole, pushed and run with its layers'
//! digests kept; and images from a registry, a layout and an archive are used as bases, each
//! platform separately.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use wharf_testkit::clients::{Client, require};
use wharf_testkit::images::sha256;
use wharf_testkit::registry::Registry;

use super::trees::{Tree, assert_same};
use super::{Engine, Workshop, layers, manifest, offer, said};
use crate::corpus::run::program;
use crate::fixture::Wharfd;

/// The tag of a platform in the layouts of the tests.
const AMD64: &str = "1.4.0-linux-amd64";

/// An image by buildah: busybox, a link and a text, in two layers.
struct Built {
    buildah: Engine,
    folder: TempDir,
}

impl Built {
    async fn image() -> Option<Self> {
        let buildah = Engine::new(require("buildah")?);
        let busybox = require("busybox")?;
        let folder = TempDir::with_prefix("built-").unwrap();
        let built = Self { buildah, folder };
        let root = built.folder.path().join("root");
        fs::create_dir_all(root.join("bin")).unwrap();
        fs::copy(busybox.path(), root.join("bin/busybox")).unwrap();
        fs::write(root.join("greeting"), "hello from below\n").unwrap();
        built.commit("scratch", &root, "localhost/built:1").await;
        let second = built.folder.path().join("second");
        fs::create_dir_all(&second).unwrap();
        fs::write(second.join("second"), "a second layer\n").unwrap();
        built.commit("localhost/built:1", &second, "localhost/built:2").await;
        Some(built)
    }

    async fn commit(&self, from: &str, root: &Path, name: &str) {
        let container = self.buildah.run(&["from", "--pull-never", from]).await;
        let container = container.as_str();
        let root = root.display().to_string();
        self.buildah.run(&["copy", "--quiet", container, &root, "/"]).await;
        let entrypoint = "[\"/bin/busybox\",\"cat\",\"/greeting\",\"/second\"]";
        let config = ["config", "--entrypoint", entrypoint, "--user", "1200:1200"];
        self.buildah
            .run(&[&config[..], &["--label", "built.by=buildah", container]].concat())
            .await;
        self.buildah.run(&["commit", "--quiet", "--rm", container, name]).await;
    }

    /// Writes it in a form; the file.
    async fn push(&self, form: &str, name: &str, file: &Path) {
        let to = format!("{form}:{}:{name}", file.display());
        self.buildah.run(&["push", "--quiet", "localhost/built:2", &to]).await;
    }
}

/// The layers of an archive or layout as skopeo reads them.
async fn layers_of(skopeo: &Client, image: &str) -> Vec<String> {
    let raw = skopeo.run_ok(["inspect", "--raw", "--tls-verify=false", image]).await.unwrap();
    layers(&serde_json::from_str::<Value>(&raw.stdout).unwrap())
}

/// Pushes the layout's tag to a host with `wharf`; where it is now.
fn push(shop: &Workshop, host: &str, name: &str) -> String {
    let to = format!("{host}/adopted/{name}:1");
    let from = shop.reference(AMD64);
    let ran = program().args(["push", &from, &to, "--plain-http"]).output().unwrap();
    assert!(ran.status.success(), "{}", said(&ran));
    to
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_buildah_is_packaged_pushed_and_run_with_its_layers_as_they_are() {
    let (Some(podman), Some(skopeo)) = (require("podman"), require("skopeo")) else { return };
    let Some(registry) = Registry::start().await.unwrap() else { return };
    let Some(built) = Built::image().await else { return };
    let upstream = format!("[[upstream]]\nurl = \"{}\"\n", registry.url());
    let wharfd = Wharfd::with_config(&upstream).await;
    for (form, name) in [("oci-archive", "one"), ("docker-archive", "localhost/built:2")] {
        let shop = Workshop::new("");
        let archive = shop.path("built.tar");
        built.push(form, name, &archive).await;
        // The offer's own container settings would win.
        let mut offer =
            offer("      adopt: built.tar\n      platforms: [{ platform: linux/amd64 }]\n");
        offer.replace("        entrypoint: [/srv/tide/tided]\n        user: \"1200:1200\"\n", "");
        offer.write(&shop.path("")).unwrap();
        shop.packaged();
        let ours = manifest(&shop.layout(), AMD64);
        let theirs = layers_of(&skopeo, &format!("{form}:{}", archive.display())).await;
        assert_eq!(theirs.len(), 2);
        assert_eq!(layers(&ours), theirs, "{form}: the digests of the layers are kept");
        for host in [registry.addr().to_string(), wharfd.host()] {
            let place = push(&shop, &host, form);
            let there = layers_of(&skopeo, &format!("docker://{place}")).await;
            assert_eq!(there, theirs, "{form} at {host}");
            let podman = Engine::new(podman.clone());
            podman.run(&["pull", "--quiet", "--tls-verify=false", &place]).await;
            assert_eq!(
                podman.container(&[&place]).await,
                "hello from below\na second layer",
                "{form} {host}"
            );
            let label = ["image", "inspect", "-f", "{{index .Labels \"built.by\"}}", &place];
            assert_eq!(podman.run(&label).await, "buildah");
        }
    }
}

/// An image of two platforms, each with one small file of its own, on a registry and as a layout.
async fn two_platforms(built: &Built, host: &str) -> String {
    let list = "localhost/list:1";
    built.buildah.run(&["manifest", "create", list]).await;
    for arch in ["amd64", "arm64"] {
        let root = built.folder.path().join(arch);
        fs::create_dir_all(root.join("lib")).unwrap();
        fs::write(root.join("lib/arch"), format!("{arch}\n")).unwrap();
        let name = format!("localhost/{arch}:1");
        let container = built.buildah.run(&["from", "--arch", arch, "scratch"]).await;
        let root = root.display().to_string();
        built.buildah.run(&["copy", "--quiet", &container, &root, "/"]).await;
        built.buildah.run(&["config", "--arch", arch, "--env", "BELOW=yes", &container]).await;
        built.buildah.run(&["commit", "--quiet", "--rm", &container, &name]).await;
        built.buildah.run(&["manifest", "add", "--arch", arch, list, &name]).await;
    }
    let place = format!("{host}/below/two:1");
    let to = format!("docker://{place}");
    let push = ["manifest", "push", "--all", "--quiet", "--tls-verify=false", list, &to];
    built.buildah.run(&push).await;
    place
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_from_a_registry_a_layout_and_an_archive_lies_below_each_platform() {
    let (Some(umoci), Some(skopeo)) = (require("umoci"), require("skopeo")) else { return };
    let Some(registry) = Registry::start().await.unwrap() else { return };
    let Some(built) = Built::image().await else { return };
    let host = registry.addr().to_string();
    let place = two_platforms(&built, &host).await;
    let shop = Workshop::new("");
    let (layout, amd64, arm64) =
        (shop.text("below"), shop.text("amd64.tar"), shop.text("arm64.tar"));
    let copy = async |all: &[&str], to: &str| {
        let from = format!("docker://{place}");
        let first = ["copy", "--quiet", "--src-tls-verify=false"];
        skopeo.run_ok([&first[..], all, &[&from, to]].concat()).await.unwrap();
    };
    copy(&["--all"], &format!("oci:{layout}:1")).await;
    copy(&["--override-arch=amd64"], &format!("docker-archive:{amd64}:localhost/a:1")).await;
    copy(&["--override-arch=arm64"], &format!("docker-archive:{arm64}:localhost/b:1")).await;
    fs::create_dir_all(shop.path("above/srv")).unwrap();
    fs::write(shop.path("above/srv/own"), "ours\n").unwrap();
    let each = |first: &str, second: &str| {
        let platform = |arch: &str, base: &str| {
            format!(
                "        - platform: linux/{arch}\n{base}          layers: [{{ dir: above }}]\n"
            )
        };
        format!("      platforms:\n{}{}", platform("amd64", first), platform("arm64", second))
    };
    let own = |file: &str| format!("          base: {file}\n");
    let mut seen = BTreeSet::new();
    for (form, image) in [
        ("registry", format!("      base: \"docker://{place}\"\n{}", each("", ""))),
        ("layout", format!("      base: \"oci:below:1\"\n{}", each("", ""))),
        ("archives", each(&own("amd64.tar"), &own("docker-archive:arm64.tar"))),
    ] {
        shop.write_offer(&image);
        let ran = shop.package(&["--plain-http"]);
        assert!(ran.status.success(), "{form}: {}", said(&ran));
        for arch in ["amd64", "arm64"] {
            seen.insert((arch, stands_on_its_base(&shop, &umoci, form, arch).await));
        }
    }
    assert_eq!(seen.len(), 2, "the same tree from each form: {seen:?}");
    by_podman_as_by_umoci(&shop, &umoci).await;
}

/// A platform has its base's layers, and its own above; returns the number of names.
async fn stands_on_its_base(shop: &Workshop, umoci: &Client, form: &str, arch: &str) -> usize {
    let tag = format!("1.4.0-linux-{arch}");
    let ours = manifest(&shop.layout(), &tag);
    assert_eq!(layers(&ours).len(), 2, "{form}");
    let config = super::blob(&shop.layout(), ours["config"]["digest"].as_str().unwrap());
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["architecture"], arch);
    let env = config["config"]["Env"].to_string();
    assert!(env.contains("BELOW=yes"), "{form}: what the base sets stays: {env}");
    let bundle = TempDir::with_prefix("bundle-").unwrap();
    let (image, to) = (
        format!("{}:{tag}", shop.layout().display()),
        bundle.path().join("bundle").display().to_string(),
    );
    umoci.run_ok(["unpack", "--image", &image, &to]).await.unwrap();
    let tree = Tree::read(&bundle.path().join("bundle/rootfs"));
    let text = |path: &str| format!("{:?}", tree.get(path).kind);
    assert!(text("lib/arch").contains(&sha256(format!("{arch}\n").as_bytes())), "{form}");
    assert!(text("srv/own").contains(&sha256(b"ours\n")), "{form}");
    tree.0.len()
}

/// Both unpack the platform of this machine alike.
async fn by_podman_as_by_umoci(shop: &Workshop, umoci: &Client) {
    let Some(podman) = require("podman") else { return };
    let podman = Engine::new(podman);
    let id = podman.run_in(&shop.path("out"), &["pull", "--quiet", &local(AMD64)]).await;
    let mounted = podman.run(&["image", "mount", &id]).await;
    let bundle = shop.text("bundle");
    let image = format!("{}:{AMD64}", shop.layout().display());
    umoci.run_ok(["unpack", "--image", &image, &bundle]).await.unwrap();
    let times = |tree: Tree| tree.map(|_, node| node.time = None);
    let umoci = times(Tree::read(&shop.path("bundle/rootfs")));
    assert_same("podman beside umoci", &times(Tree::read(Path::new(&mounted))), &umoci);
}

/// A tag of the layout as podman takes it in the folder of layouts. With a path before it, podman 4.3
/// makes a name of the path, and refuses capital letters in it.
pub(super) fn local(tag: &str) -> String {
    format!("oci:{}:{tag}", wharf_testkit::offers::PLAN)
}
