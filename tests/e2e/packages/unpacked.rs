//! Layouts of `wharf package` in the engines: each accepts them, and all unpack the same tree, the
//! folder's tree under the stated policy of modes and owners.

use std::collections::btree_map::Entry;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use wharf_testkit::clients::require;
use wharf_testkit::images::sha256;

use super::trees::{Kind, Tree, assert_same};
use super::{Engine, Workshop, odd_root};
use crate::clients::{daemon, run};
use crate::fixture::START;

/// When every file of the offer's image was made.
const CREATED: i64 = 1_772_352_000;

/// The offer of the tests: a root filesystem with every oddity of folders, a layer with changes to
/// it, and another platform.
fn scene() -> Option<Workshop> {
    let shop = Workshop::new(
        "      platforms:
        - platform: linux/amd64
          layers:
            - { dir: root }
            - { dir: above, into: /usr/lib, owner: \"33:44\" }
        - platform: linux/arm64
          layers: [{ dir: above }]
",
    );
    odd_root::make(&shop.path("root")).then_some(())?;
    fs::create_dir_all(shop.path("above/locked")).unwrap();
    fs::write(shop.path("above/first"), "replaced\n").unwrap();
    fs::write(shop.path("above/locked/more"), "more\n").unwrap();
    shop.packaged();
    Some(shop)
}

/// The expected tree of the folders: modes as in git, and one owner.
fn expected(shop: &Workshop) -> Tree {
    let policy = |uid: u32, gid: u32| {
        move |_: &Path, node: &mut super::trees::Node| {
            node.owner = (uid, gid);
            node.mode = match node.kind {
                Kind::File(_) if node.mode & 0o100 == 0 => 0o644,
                Kind::Link(_) => 0o777,
                _ => 0o755,
            };
            node.time = node.time.map(|_| CREATED);
        }
    };
    let below = Tree::read(&shop.path("root")).map(policy(0, 0));
    let above = Tree::read(&shop.path("above")).map(policy(33, 44));
    let mut whole = below;
    for (path, node) in above.0 {
        // An existing folder keeps its mode and owner, as with `COPY` of other builders.
        let place = whole.0.entry(Path::new("usr/lib").join(path));
        match place {
            Entry::Occupied(there) if there.get().kind == Kind::Folder => {}
            Entry::Occupied(mut there) => drop(there.insert(node)),
            Entry::Vacant(free) => {
                free.insert(node);
            }
        }
    }
    // The replaced name is another file now.
    let rest: Vec<PathBuf> = vec!["etc/third".into(), "usr/lib/second".into()];
    for name in &rest {
        whole.0.get_mut(name).unwrap().names.clone_from(&rest);
    }
    whole
}

#[tokio::test(flavor = "multi_thread")]
async fn umoci_unpacks_what_the_folders_hold() {
    let Some(umoci) = require("umoci") else { return };
    let Some(shop) = scene() else { return };
    let image = format!("{}:1.4.0-linux-amd64", shop.layout().display());
    umoci.run_ok(["unpack", "--image", &image, &shop.text("bundle")]).await.unwrap();
    assert_same("umoci", &Tree::read(&shop.path("bundle/rootfs")), &expected(&shop));
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_copies_it_into_every_form_and_its_layers_unpack_alike() {
    let Some(skopeo) = require("skopeo") else { return };
    let Some(shop) = scene() else { return };
    let from = shop.reference("1.4.0-linux-amd64");
    let (dir, archive) = (shop.text("dir"), shop.text("docker.tar"));
    skopeo.run_ok(["copy", "--quiet", &from, &format!("dir:{dir}")]).await.unwrap();
    let manifest: Value =
        serde_json::from_slice(&fs::read(format!("{dir}/manifest.json")).unwrap()).unwrap();
    fs::create_dir(shop.path("by-tar")).unwrap();
    for layer in super::layers(&manifest) {
        let name = layer.strip_prefix("sha256:").unwrap();
        let mut tar = Command::new("tar");
        tar.args(["--xattrs", "--xattrs-include=*", "--numeric-owner", "-C"]);
        tar.arg(shop.path("by-tar")).args(["-xpzf", &format!("{dir}/{name}")]);
        assert!(tar.status().unwrap().success());
    }
    assert_same("tar", &Tree::read(&shop.path("by-tar")), &expected(&shop));
    let to = format!("docker-archive:{archive}:quayline.example/tide:1");
    skopeo.run_ok(["copy", "--quiet", &from, &to]).await.unwrap();
    // All platforms at once, from the index.
    let all = format!("oci-archive:{}:latest", shop.text("all.tar"));
    skopeo.run_ok(["copy", "--quiet", "--all", &shop.reference("latest"), &all]).await.unwrap();
    let Some(podman) = require("podman") else { return };
    let podman = Engine::new(podman);
    podman.run(&["load", "--quiet", "--input", &archive]).await;
    let mounted = podman.run(&["image", "mount", "quayline.example/tide:1"]).await;
    assert_same("podman load", &Tree::read(Path::new(&mounted)), &expected(&shop));
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_pulls_and_runs_it() {
    let Some(podman) = require("podman") else { return };
    let Some(shop) = scene() else { return };
    let podman = Engine::new(podman);
    let pull = ["pull", "--quiet", &super::adopted::local("1.4.0-all")];
    let id = podman.run_in(&shop.path("out"), &pull).await;
    let mounted = podman.run(&["image", "mount", &id]).await;
    assert_same("podman pull", &Tree::read(Path::new(&mounted)), &expected(&shop));
    let script = "cat /usr/lib/first && readlink /bin && stat -c %u:%g /usr/lib/first && id -u";
    let run = ["--entrypoint=/bin/busybox", &id, "sh", "-c", script];
    let printed = podman.container(&run).await;
    assert_eq!(printed, "replaced\nusr/bin\n33:44\n1200");
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_loads_it() {
    let (Some(docker), Some(skopeo)) = (require("docker"), require("skopeo")) else { return };
    let Some(shop) = scene() else { return };
    let folder = TempDir::with_prefix("dockerd-").unwrap();
    let Some((mut process, host)) = daemon(&docker, folder.path()).await else { return };
    let from = shop.reference("1.4.0-linux-amd64");
    let to = format!("docker-archive:{}:quayline.example/tide:1", shop.text("docker.tar"));
    skopeo.run_ok(["copy", "--quiet", &from, &to]).await.unwrap();
    run(&docker, &["-H", &host, "load", "--input", &shop.text("docker.tar")]).await;
    let format = "{{json .RootFS.Layers}}";
    let ids =
        run(&docker, &["-H", &host, "inspect", "-f", format, "quayline.example/tide:1"]).await;
    let ids: Vec<String> = serde_json::from_str(&ids).unwrap();
    // The driver copies: the folder of the uppermost layer is the whole image.
    let chain = ids.into_iter().reduce(|chain, id| sha256(format!("{chain} {id}").as_bytes()));
    let chain = chain.unwrap();
    let name = chain.strip_prefix("sha256:").unwrap();
    let data = folder.path().join("data");
    let id = fs::read_to_string(data.join(format!("image/vfs/layerdb/sha256/{name}/cache-id")));
    let root = data.join("vfs/dir").join(id.unwrap());
    assert_same("docker load", &Tree::read(&root), &expected(&shop));
    process.terminate(START).await.unwrap();
}
