//! The attestations of `wharf package`: formats for other programs, found by clients in the layout
//! and on registries, and harmless for every other use of the image.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tempfile::TempDir;
use wharf_testkit::clients::{Client, require, skipped};
use wharf_testkit::offers::{Offer, PLAN};
use wharf_testkit::registry::Registry;

use crate::corpus::run::program;
use crate::fixture::Wharfd;
use crate::schemas::{validate, validators};

/// The kinds of statements of every manifest, by their artifact types.
const KINDS: [&str; 3] =
    ["application/spdx+json", "application/vnd.cyclonedx+json", "application/vnd.in-toto+json"];

/// An offer with its folders, and the images made of it.
struct Shop {
    folder: TempDir,
}

impl Shop {
    /// An offer with these tags, as written in YAML; the image has a Debian root, as far as an
    /// image states its packages.
    fn new(tags: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // podman takes no layout at a path with capital letters.
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("attested-{}-{number}", std::process::id());
        let folder = tempfile::Builder::new().prefix(&name).rand_bytes(0).tempdir().unwrap();
        let mut offer = Offer::healthy();
        offer.replace(
            r#"[latest, "{version}-all", "{version}-test", "{version}-{platform}"]"#,
            tags,
        );
        offer.replace(
            "            - { dir: root/amd64 }\n",
            "            - { dir: root/amd64 }\n            - { tar: more.tar }\n",
        );
        offer.write(folder.path()).unwrap();
        let shop = Self { folder };
        for platform in ["amd64", "arm64"] {
            let root = format!("root/{platform}");
            shop.write(&format!("{root}/srv/tide/tided"), platform);
            shop.write(&format!("{root}/etc/os-release"), "ID=debian\nVERSION_ID=\"12\"\n");
            shop.write(&format!("{root}/var/lib/dpkg/status"), &status(platform));
        }
        let copyright = |licence: &str| {
            format!(
                "Format: https://x.example/1.0/\n\nFiles: *\nCopyright: a\nLicense: {licence}\n"
            )
        };
        for (package, licence) in [("tide-libs", "GPL-2+ or Expat"), ("libtide++", "Own-1")] {
            let path = format!("root/amd64/usr/share/doc/{package}/copyright");
            shop.write(&path, &copyright(licence));
        }
        for name in ["we \"ird\\name", "two\nlines", "\u{1b}[31mred", "ünï", "<&>"] {
            shop.write(&format!("more/{name}"), name);
        }
        let name = OsString::from_vec(b"\xff\xfe".to_vec());
        fs::write(shop.path("more").join(name), "not UTF-8").unwrap();
        let mut tar = Command::new("tar");
        tar.args(["--sort=name", "--mtime=@0", "-cf", "more.tar", "-C", "more", "."])
            .current_dir(shop.path(""));
        assert!(tar.status().unwrap().success());
        shop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Packages; where the layout is.
    fn package(&self, output: &str, jobs: &str) -> PathBuf {
        let mut wharf = program();
        wharf.arg("package").arg(self.path("offer.yaml")).args(["--jobs", jobs]);
        let done = wharf.arg("--output").arg(self.path(output)).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        self.path(output).join(PLAN)
    }
}

/// Two packages, one of them with an epoch and a plus.
fn status(architecture: &str) -> String {
    format!(
        "Package: tide-libs\nStatus: install ok installed\nArchitecture: {architecture}\n\
         Version: 5:1.0-1~deb12u1\n\nPackage: libtide++\nStatus: install ok installed\n\
         Architecture: {architecture}\nSource: tide-libs\nVersion: 1.0+b1-1\n"
    )
}

fn blob(layout: &Path, digest: &Value) -> Vec<u8> {
    let hex = digest.as_str().unwrap().trim_start_matches("sha256:");
    fs::read(layout.join("blobs/sha256").join(hex)).unwrap()
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// The statements about manifests of a layout: subject, kind, statement.
fn statements(layout: &Path) -> Vec<(String, String, Vec<u8>)> {
    let index = json(&fs::read(layout.join("index.json")).unwrap());
    let mut listed = index["manifests"].as_array().unwrap().clone();
    if let Some(list) = index["annotations"].get("wharf.referrers") {
        listed.extend(json(&blob(layout, list))["manifests"].as_array().unwrap().clone());
    }
    let referrers = listed.iter().filter(|entry| entry["artifactType"].is_string());
    let read = referrers.map(|entry| {
        let manifest = json(&blob(layout, &entry["digest"]));
        assert_eq!(manifest["artifactType"], entry["artifactType"]);
        assert_eq!(blob(layout, &manifest["config"]["digest"]), b"{}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let statement = blob(layout, &manifest["layers"][0]["digest"]);
        (text(&manifest["subject"]["digest"]), text(&entry["artifactType"]), statement)
    });
    read.collect()
}

#[test]
fn statements_are_the_same_bytes_on_any_machine() {
    let (one, two) = (Shop::new("auto"), Shop::new("auto"));
    let first = one.package("out", "1");
    let second = two.package("somewhere/else", "8");
    let index = |layout: &Path| fs::read(layout.join("index.json")).unwrap();
    assert_eq!(index(&first), index(&second));
    // Again, with the record of the first run.
    let third = one.package("out", "2");
    assert_eq!(index(&third), index(&second));
    let all = statements(&first);
    assert_eq!(all.len(), 9, "three of each platform and of the index");
    let place = one.path("").display().to_string();
    for (subject, kind, bytes) in all {
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(subject.trim_start_matches("sha256:")), "{kind}");
        assert!(!text.contains(&place) && !text.contains("/tmp"), "{kind} names this machine");
    }
}

#[tokio::test]
async fn statements_fit_their_formats() {
    let validators = match validators() {
        Ok(validators) => validators,
        Err(why) => return skipped(&format!("{why} (see tests/setup.sh)")),
    };
    let mut wanted = Vec::new();
    let shops = [Shop::new("auto"), Shop::new(r#"["{version}"]"#)];
    for (number, shop) in shops.iter().enumerate() {
        for (place, (_, kind, bytes)) in statements(&shop.package("out", "2")).iter().enumerate() {
            let kind = kind.trim_start_matches("application/").trim_start_matches("vnd.");
            let kind = kind.trim_end_matches("+json");
            let file = shop.path(&format!("{number}-{place}.{kind}.json"));
            fs::write(&file, bytes).unwrap();
            wanted.push(format!("{kind}={}", file.display()));
        }
    }
    assert_eq!(wanted.len(), 18);
    validate(&validators, &wanted).await;
}

#[test]
fn a_list_of_parts_has_packages_with_licences_and_files_with_digests() {
    let shop = Shop::new("auto");
    let all = statements(&shop.package("out", "2"));
    let cyclonedx = all.iter().find(|(_, kind, _)| kind == KINDS[1]).unwrap();
    let document = json(&cyclonedx.2);
    let components = document["components"].as_array().unwrap();
    let named = |name: &str| components.iter().find(|part| part["name"] == name).unwrap();
    let libs = named("tide-libs");
    let purl = "pkg:deb/debian/tide-libs@5:1.0-1~deb12u1?arch=amd64&distro=debian-12";
    assert_eq!(libs["purl"], purl);
    assert_eq!(libs["licenses"][0]["expression"], "GPL-2.0-or-later OR MIT");
    let other = named("libtide++");
    let purl =
        "pkg:deb/debian/libtide%2B%2B@1.0%2Bb1-1?arch=amd64&distro=debian-12&upstream=tide-libs";
    assert_eq!(other["purl"], purl);
    assert_eq!(other["licenses"][0]["license"]["name"], "Own-1");
    let program = named("/srv/tide/tided");
    // `printf amd64 | sha256sum`, and `sha1sum`.
    assert_eq!(
        program["hashes"][0]["content"],
        "5861314d7fccb39c2192173240eab44fa35ca66426201ca2acd0630a6258dd51"
    );
    assert_eq!(program["hashes"][1]["content"], "2395059e740ec74ddaadf44ba1fd6be5abeb4f3f");
    assert!(components.iter().any(|part| part["name"] == "/two\nlines"));
    assert!(components.iter().any(|part| part["name"] == "/\\xff\\xfe"));
}

#[tokio::test]
async fn layouts_with_statements_are_read_by_everybody() {
    let tools = ["skopeo", "umoci", "crane", "oras", "podman", "regctl"].map(require);
    let [Some(skopeo), Some(umoci), Some(crane), Some(oras), Some(podman), Some(regctl)] = tools
    else {
        return;
    };
    let Some(registry) = Registry::start().await.unwrap() else { return };
    let host = registry.addr().to_string();
    let ok = async |client: &Client, arguments: &[&str]| {
        client.run_ok(arguments.iter().copied()).await.unwrap().stdout
    };
    for (number, tags) in ["auto", r#"["{version}"]"#].into_iter().enumerate() {
        let shop = Shop::new(tags);
        let layout = shop.package("out", "2").display().to_string();
        let named = format!("{layout}:1.4.0");
        let path = |name: &str| shop.path(name).display().to_string();
        ok(&skopeo, &["copy", "--all", &format!("oci:{named}"), &format!("oci:{}:a", path("a"))])
            .await;
        let unpacked = umoci.run(["unpack", "--image", &named, &path("u")]).await.unwrap();
        // It takes no index over two platforms, with or without statements.
        assert!(unpacked.stderr.contains("ambiguous"), "{unpacked:?}");
        let to = format!("{host}/regctl:{number}");
        let plain = format!("reg={host},tls=disabled");
        ok(&regctl, &["--host", &plain, "image", "copy", &format!("ocidir://{named}"), &to]).await;
        let store = ["--storage-driver=vfs", "--root", &path("s"), "--runroot", &path("r")];
        let pull = ["pull", "--quiet", &format!("oci:{named}")];
        ok(&podman, &[store.as_slice(), &pull].concat()).await;
        if number == 0 {
            // All nine are found from the layout itself.
            let found = ok(&oras, &["discover", "--oci-layout", &named]).await;
            assert!(KINDS.iter().all(|kind| found.contains(kind)), "{found}");
            ok(&umoci, &["unpack", "--image", &format!("{layout}:1.4.0-linux-amd64"), &path("u")])
                .await;
        } else {
            // Without a name, programs find one image and take it.
            ok(&skopeo, &["copy", &format!("oci:{layout}"), &format!("dir:{}", path("d"))]).await;
            ok(&crane, &["push", "--insecure", &layout, &format!("{host}/crane:1")]).await;
            ok(
                &podman,
                &[store.as_slice(), &["pull", "--quiet", &format!("oci:{layout}")]].concat(),
            )
            .await;
        }
        let said = program().args(["verify", &layout, "--output-format", "json"]).output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        for rule in ["IMG-003", "SUP-001"] {
            assert!(said.contains(&format!("\"{rule}\": \"passed\"")), "{said}");
        }
    }
}

#[tokio::test]
async fn statements_go_along_to_registries_with_and_without_the_api() {
    let (Some(oras), Some(regctl)) = (require("oras"), require("regctl")) else { return };
    let Some(without) = Registry::start().await.unwrap() else { return };
    let with = Wharfd::alone().await;
    let hosts = [without.addr().to_string(), with.host()];
    for tags in ["auto", r#"["{version}"]"#] {
        let shop = Shop::new(tags);
        let layout = shop.package("out", "2");
        let subjects: Vec<String> =
            statements(&layout).into_iter().map(|(subject, ..)| subject).collect();
        for (number, host) in hosts.iter().enumerate() {
            let repo = format!("{host}/{}", if tags == "auto" { "auto" } else { "one" });
            let push = || {
                let mut wharf = program();
                wharf.args(["push", "--plain-http", "--output-format", "json"]).arg(&layout);
                let done = wharf.arg(format!("{repo}:1.4.0")).output().unwrap();
                assert!(done.status.success(), "{number}: {done:?}");
                json(&done.stdout)["result"]["items"][0].clone()
            };
            assert_eq!(push()["referrers"]["pushed"], 9);
            let again = push();
            assert_eq!(
                (&again["state"], &again["referrers"]["already"]),
                (&"unchanged".into(), &9.into())
            );
            assert_eq!(again["sentBytes"], 0);
            for subject in &subjects {
                let at = format!("{repo}@{subject}");
                let found = oras.run_ok(["discover", "--plain-http", &at]).await.unwrap().stdout;
                assert!(KINDS.iter().all(|kind| found.contains(kind)), "{found}");
                let plain = format!("reg={host},tls=disabled");
                let listed =
                    regctl.run_ok(["--host", &plain, "artifact", "list", &at]).await.unwrap();
                assert_eq!(listed.stdout.matches("ArtifactType").count(), 3, "{}", listed.stdout);
            }
        }
    }
}
