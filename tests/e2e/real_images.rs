//! Images of programs from Debian packages, made by common tools: `wharf verify` finds no error in
//! any, and the same findings in every form of an image.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;
use wharf_testkit::clients::{Client, require};
use wharf_testkit::offers::Offer;
use wharf_testkit::registry::Registry;

use crate::corpus::run::{Said, look, program};
use crate::fixture::Wharfd;

/// A folder for everything, and the tools.
struct Shop {
    folder: TempDir,
    buildah: Client,
    podman: Client,
    skopeo: Client,
    umoci: Client,
    crane: Client,
    regctl: Client,
}

impl Shop {
    fn open() -> Option<Self> {
        Some(Self {
            folder: TempDir::with_prefix("real-").unwrap(),
            buildah: require("buildah")?,
            podman: require("podman")?,
            skopeo: require("skopeo")?,
            umoci: require("umoci")?,
            crane: require("crane")?,
            regctl: require("regctl")?,
        })
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Where podman and buildah keep images.
    fn stores(&self) -> Vec<String> {
        let (root, run) = (self.path("storage"), self.path("run"));
        ["--storage-driver=vfs", "--root", &root, "--runroot", &run].map(ToOwned::to_owned).to_vec()
    }

    /// Runs podman or buildah on that store; returns its output without the line break.
    async fn engine(&self, client: &Client, arguments: &[&str]) -> String {
        let all = self.stores().into_iter().chain(arguments.iter().map(|at| (*at).to_owned()));
        client.run_ok(all).await.unwrap().stdout.trim().to_owned()
    }

    /// A root folder with these programs of this machine, their libraries, a user and terms.
    async fn root(&self, name: &str, programs: &[&str]) -> String {
        let root = self.folder.path().join(name);
        for folder in ["etc", "tmp", "usr/share/doc/tide"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::write(
            root.join("etc/passwd"),
            "root:x:0:0::/:/bin/false\ntide:x:1200:1200::/:/bin/false\n",
        )
        .unwrap();
        fs::write(root.join("etc/group"), "root:x:0:\ntide:x:1200:\n").unwrap();
        fs::copy("/etc/os-release", root.join("etc/os-release")).unwrap();
        fs::write(root.join("usr/share/doc/tide/copyright"), "See the packages.\n").unwrap();
        for program in programs {
            let program = require(program).expect("setup.sh installs it");
            copy(program.path(), &root);
            let listed = Command::new("ldd").arg(program.path()).output().await.unwrap();
            for word in String::from_utf8_lossy(&listed.stdout).split_whitespace() {
                if word.starts_with('/') && Path::new(word).exists() {
                    copy(Path::new(word), &root);
                }
            }
        }
        root.display().to_string()
    }
}

/// Copies a file to its own path below a root; for a link the target's content, under the link's
/// name.
fn copy(file: &Path, root: &Path) {
    let to = root.join(file.strip_prefix("/").unwrap());
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(file, &to).unwrap();
    fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The result of `wharf verify` for a target.
fn verify(arguments: &[&str], stdin: Option<&Path>) -> Said {
    let mut command = program();
    command.args(["--output-format", "json", "--plain-http", "verify"]).args(arguments);
    if let Some(file) = stdin {
        command.stdin(Stdio::from(fs::File::open(file).unwrap()));
    }
    look(&mut command)
}

/// Fails unless nothing but warnings was found; their rules.
fn assert_passes(what: &str, said: &Said) -> BTreeSet<String> {
    assert_eq!(said.code, Some(0), "{what}: {said}");
    said.found.iter().map(|(rule, _)| rule.clone()).collect()
}

#[tokio::test]
async fn images_of_six_tools_pass() {
    let Some(shop) = Shop::open() else { return };
    let Some(registry) = Registry::start().await.unwrap() else { return };
    let host = registry.addr().to_string();

    // buildah, a static program; and a dynamic one.
    let busybox = shop.root("root-busybox", &["busybox"]).await;
    let layout = format!("oci:{}:1", shop.path("busybox"));
    let program = require("busybox").unwrap().path().display().to_string();
    from_scratch(&shop, &busybox, &format!("[\"{program}\",\"httpd\",\"-f\"]"), &layout).await;
    assert_passes("buildah, static", &verify(&[&shop.path("busybox")], None));

    // podman and a Containerfile.
    let root = shop.root("root-sed", &["sed", "gzip"]).await;
    let file = shop.path("Containerfile");
    let sed = require("sed").unwrap().path().display().to_string();
    let text = format!(
        "FROM scratch\nCOPY . /\nUSER 1200:1200\nWORKDIR /tmp\nENTRYPOINT [\"{sed}\"]\nCMD [\"-n\", \"p\"]\n"
    );
    fs::write(&file, text).unwrap();
    let arguments =
        ["build", "--isolation=chroot", "--tag", "localhost/sed:1", "--file", &file, &root];
    shop.engine(&shop.podman, &arguments).await;
    let layout = format!("oci:{}:1", shop.path("sed"));
    shop.engine(&shop.podman, &["push", "--quiet", "localhost/sed:1", &layout]).await;
    assert_passes("podman build", &verify(&[&shop.path("sed")], None));

    // umoci.
    let root = shop.root("root-nginx", &["nginx"]).await;
    let layout = shop.path("nginx");
    let image = format!("{layout}:1");
    let nginx = require("nginx").unwrap().path().display().to_string();
    shop.umoci.run_ok(["init", "--layout", &layout]).await.unwrap();
    shop.umoci.run_ok(["new", "--image", &image]).await.unwrap();
    shop.umoci.run_ok(["insert", "--image", &image, &root, "/"]).await.unwrap();
    let config =
        ["config", "--image", &image, "--config.user", "1200:1200", "--config.entrypoint", &nginx];
    shop.umoci
        .run_ok(config.into_iter().chain(["--config.exposedports", "8080/tcp"]))
        .await
        .unwrap();
    assert_passes("umoci", &verify(&[&layout], None));

    // crane appends a layer to an empty image and writes the rest on the registry.
    let root = shop.root("root-tar", &["tar"]).await;
    let tar = shop.path("layer.tar");
    let packed = Command::new("tar").args(["-C", &root, "-cf", &tar, "."]).status().await.unwrap();
    assert!(packed.success());
    let name = format!("{host}/tar:1");
    let program = require("tar").unwrap().path().display().to_string();
    shop.crane
        .run_ok(["append", "--insecure", "--oci-empty-base", "-f", &tar, "-t", &name])
        .await
        .unwrap();
    let mutate = ["mutate", "--insecure", &name, "--entrypoint", &program, "--user", "1200:1200"];
    shop.crane
        .run_ok(mutate.into_iter().chain(["--set-platform", "linux/amd64", "-t", &name]))
        .await
        .unwrap();
    assert_passes("crane append and mutate", &verify(&[&name], None));

    // regctl recompresses the layers of another image.
    let (from, to) =
        (format!("ocidir://{}:1", shop.path("sed")), format!("ocidir://{}:1", shop.path("zstd")));
    shop.regctl
        .run_ok(["image", "mod", &from, "--create", &to, "--layer-compress", "zstd"])
        .await
        .unwrap();
    assert_passes("regctl image mod", &verify(&[&shop.path("zstd")], None));

    // wharf itself, from an offer.
    let packaged = package(&shop, &busybox).await;
    assert_passes("wharf package", &verify(&[&packaged], None));
}

/// Builds an image of a root folder with buildah.
async fn from_scratch(shop: &Shop, root: &str, entrypoint: &str, to: &str) {
    let container = shop.engine(&shop.buildah, &["from", "scratch"]).await;
    shop.engine(&shop.buildah, &["copy", "--quiet", &container, root, "/"]).await;
    let config =
        ["config", "--user", "1200:1200", "--entrypoint", entrypoint, "--workingdir", "/tmp"];
    let labels = [
        "--label",
        "org.opencontainers.image.title=Tide",
        "--label",
        "org.opencontainers.image.version=1",
        "--label",
        "org.opencontainers.image.vendor=Quayline",
    ];
    let config: Vec<&str> = config.into_iter().chain(labels).chain([container.as_str()]).collect();
    shop.engine(&shop.buildah, &config).await;
    shop.engine(&shop.buildah, &["commit", "--quiet", "--rm", &container, "localhost/tide:1"])
        .await;
    shop.engine(&shop.buildah, &["push", "--quiet", "localhost/tide:1", to]).await;
}

/// The layout made by `wharf package` from a root folder.
async fn package(shop: &Shop, root: &str) -> String {
    let folder = shop.folder.path().join("offer");
    let mut offer = Offer::healthy();
    let program = require("busybox").unwrap().path().display().to_string();
    offer.replace("/srv/tide/tided", &program);
    offer.replace(
        "        - platform: linux/arm64\n          layers:\n            - { dir: root/arm64 }\n",
        "",
    );
    offer.replace("root/amd64", "root");
    let file = offer.write(&folder).unwrap();
    let copied = Command::new("cp").args(["-a", root]).arg(folder.join("root")).status().await;
    assert!(copied.unwrap().success());
    let output = program_output(&["package", &file.display().to_string()]);
    assert!(output.status.success(), "{output:?}");
    folder.join("out").join(wharf_testkit::offers::PLAN).display().to_string()
}

fn program_output(arguments: &[&str]) -> std::process::Output {
    program().args(arguments).output().unwrap()
}

#[tokio::test]
async fn one_image_passes_in_every_form_and_gives_the_same_findings() {
    let Some(shop) = Shop::open() else { return };
    let Some(registry) = Registry::start().await.unwrap() else { return };
    let host = registry.addr().to_string();
    let root = shop.root("root", &["sed", "busybox"]).await;
    let layout = shop.path("layout");
    let sed = require("sed").unwrap().path().display().to_string();
    from_scratch(&shop, &root, &format!("[\"{sed}\",\"-n\"]"), &format!("oci:{layout}:1")).await;
    let from = format!("oci:{layout}:1");
    let copy = async |to: String| {
        let arguments = ["copy", "--quiet", "--dest-tls-verify=false", &from, &to];
        shop.skopeo.run_ok(arguments).await.unwrap();
    };
    let (archive, docker) = (shop.path("oci.tar"), shop.path("docker.tar"));
    copy(format!("oci-archive:{archive}:1")).await;
    copy(format!("docker-archive:{docker}:localhost/tide:1")).await;
    copy(format!("docker://{host}/tide:1")).await;
    let saved = shop.path("podman.tar");
    shop.engine(&shop.podman, &["save", "--quiet", "--output", &saved, "localhost/tide:1"]).await;
    let crane = shop.path("crane.tar");
    shop.crane
        .run_ok(["pull", "--insecure", "--format=legacy", &format!("{host}/tide:1"), &crane])
        .await
        .unwrap();
    let squeezed = [("gzip", "gz"), ("zstd", "zst")];
    for (program, ending) in squeezed {
        let Some(client) = require(program) else { return };
        let out = fs::File::create(format!("{docker}.{ending}")).unwrap();
        let mut command = std::process::Command::new(client.path());
        assert!(command.args(["-q", "-c", &docker]).stdout(out).status().unwrap().success());
    }
    let wharfd = Wharfd::with_config(&format!("[[upstream]]\nurl = \"http://{host}\"\n")).await;
    let whole = verify(&[&layout], None);
    let expected = assert_passes("the layout", &whole);
    let (gz, zst) = (format!("{docker}.gz"), format!("{docker}.zst"));
    let forms: Vec<(&str, String, Option<PathBuf>)> = vec![
        ("an OCI archive", archive.clone(), None),
        ("an OCI archive on stdin", "-".to_owned(), Some(archive.into())),
        ("a docker-archive of skopeo", docker.clone(), None),
        ("the same in gzip", gz.clone(), None),
        ("the same in zstd", zst, None),
        ("the same in gzip on stdin", "-".to_owned(), Some(gz.into())),
        ("a docker-archive of podman", saved, None),
        ("a docker-archive of crane, of the old form", crane, None),
        ("a registry", format!("{host}/tide:1"), None),
        ("the same with a scheme", format!("docker://{host}/tide:1"), None),
        ("through wharfd", format!("{}/tide:1", wharfd.host()), None),
        ("a layout with its scheme", format!("oci:{layout}:1"), None),
    ];
    for (what, target, stdin) in forms {
        let said = verify(&[&target], stdin.as_deref());
        assert_eq!(assert_passes(what, &said), expected, "{what}: {said}\nagainst {whole}");
    }
}
