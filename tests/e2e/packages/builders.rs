//! One root filesystem as a layer by us, by buildah and by umoci: all unpack to the same tree, the
//! tree of the folder. The tests state the differences of our policy (one owner, no devices).

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};
use std::path::Path;
use std::process::Command;

use wharf_testkit::clients::{require, skipped};

use super::trees::{Kind, Tree, assert_same};
use super::{Engine, Workshop, odd_root, one_platform};

/// The tag of the only platform.
const TAG: &str = "1.4.0-linux-amd64";

/// Unpacks an image by umoci, with every attribute of the tar.
async fn unpack(layout: &Path, tag: &str, bundle: &Path) -> Option<Tree> {
    let umoci = require("umoci")?;
    let image = format!("{}:{tag}", layout.display());
    umoci.run_ok(["unpack", "--image", &image, &bundle.display().to_string()]).await.unwrap();
    Some(Tree::read(&bundle.join("rootfs")))
}

/// Removes the times, because each builder sets its own, except for copied files.
fn timeless(tree: Tree) -> Tree {
    tree.map(|_, node| node.time = None)
}

/// The tree of the folder copied into a container by buildah.
async fn by_buildah(shop: &Workshop) -> Option<Tree> {
    let buildah = Engine::new(require("buildah")?);
    let container = buildah.run(&["from", "scratch"]).await;
    let mounted = buildah.run(&["mount", &container]).await;
    let from = format!("{}/.", shop.text("root"));
    let copied = Command::new("cp").args(["-a", &from, &mounted]).status().unwrap();
    assert!(copied.success());
    buildah.run(&["umount", &container]).await;
    buildah.run(&["commit", "--quiet", "--rm", &container, "localhost/odd:1"]).await;
    let to = format!("oci:{}:1", shop.text("buildah"));
    buildah.run(&["push", "--quiet", "localhost/odd:1", &to]).await;
    unpack(&shop.path("buildah"), "1", &shop.path("buildah-bundle")).await
}

/// The tree of the same folder by umoci.
async fn by_umoci(shop: &Workshop) -> Option<Tree> {
    let umoci = require("umoci")?;
    let layout = shop.text("umoci");
    let image = format!("{layout}:1");
    umoci.run_ok(["init", "--layout", &layout]).await.unwrap();
    umoci.run_ok(["new", "--image", &image]).await.unwrap();
    umoci.run_ok(["insert", "--image", &image, &shop.text("root"), "/"]).await.unwrap();
    unpack(&shop.path("umoci"), "1", &shop.path("umoci-bundle")).await
}

/// The tree of a bundle with the copied folder, repacked by umoci.
async fn by_repacking(shop: &Workshop) -> Option<Tree> {
    let umoci = require("umoci")?;
    let (layout, bundle) = (shop.text("repacked"), shop.text("bundle"));
    let image = format!("{layout}:1");
    umoci.run_ok(["init", "--layout", &layout]).await.unwrap();
    umoci.run_ok(["new", "--image", &image]).await.unwrap();
    umoci.run_ok(["unpack", "--image", &image, &bundle]).await.unwrap();
    let (from, to) = (format!("{}/.", shop.text("root")), format!("{bundle}/rootfs/"));
    assert!(Command::new("cp").args(["-a", &from, &to]).status().unwrap().success());
    umoci.run_ok(["repack", "--image", &format!("{layout}:2"), &bundle]).await.unwrap();
    unpack(&shop.path("repacked"), "2", &shop.path("repacked-bundle")).await
}

/// The tree of the folder by our builder with this layer.
async fn by_us(shop: &Workshop, layer: &str, bundle: &str) -> Option<Tree> {
    shop.write_offer(&one_platform(layer));
    shop.packaged();
    unpack(&shop.layout(), TAG, &shop.path(bundle)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_filesystem_is_the_same_from_us_from_buildah_and_from_umoci() {
    let shop = Workshop::new(&one_platform("{ dir: root }"));
    if !odd_root::make(&shop.path("root")) {
        return;
    }
    let folder = Tree::read(&shop.path("root"));
    let Some(umoci) = by_umoci(&shop).await else { return };
    assert_same("umoci insert against the folder", &timeless(umoci), &timeless(folder.clone()));
    let repacked = by_repacking(&shop).await.unwrap();
    assert_same("umoci repack against the folder", &timeless(repacked), &timeless(folder.clone()));
    let Some(buildah) = by_buildah(&shop).await else { return };
    assert_same("buildah against the folder", &timeless(buildah), &timeless(folder.clone()));
    // The tar of the folder keeps all of it.
    let mut tar = Command::new("tar");
    tar.args(["--xattrs", "--xattrs-include=security.*", "--numeric-owner", "--format=pax"]);
    tar.args(["-C", &shop.text("root"), "-cf", &shop.text("root.tar"), "."]);
    assert!(tar.status().unwrap().success());
    let ours = by_us(&shop, "{ tar: root.tar }", "by-tar").await.unwrap();
    assert_same("our layer of a tar", &ours, &folder);
    // Of a folder, with its bits: everything is root's, unless the offer names another owner.
    let ours = by_us(&shop, "{ dir: root, modes: kept }", "by-dir").await.unwrap();
    let owned = folder.clone().map(|_, node| node.owner = (0, 0));
    assert_same("our layer of a folder", &timeless(ours), &timeless(owned.clone()));
    // And by the default policy without a key: modes as in git.
    let ours = by_us(&shop, "{ dir: root }", "by-policy").await.unwrap();
    let normal = owned.map(|_, node| {
        node.mode = match node.kind {
            Kind::File(_) if node.mode & 0o100 == 0 => 0o644,
            Kind::Link(_) => 0o777,
            _ => 0o755,
        };
    });
    assert_same("our layer of a folder, by the policy", &timeless(ours), &timeless(normal));
}

/// Builds a package of oddities: special bits, owners, links of both kinds, an empty folder; with
/// this compression.
fn build_package(shop: &Workshop, compression: &str) {
    let (root, out) = (shop.path("package"), shop.text("odd.deb"));
    let control = "Package: odd\nVersion: 1:2.0~rc1-3\nArchitecture: all\n\
                   Maintainer: A <a@quayline.dev>\nDescription: odd things\n";
    for (name, text) in [
        ("DEBIAN/control", control),
        ("usr/bin/tool", "#!/bin/sh\n"),
        ("usr/share/doc/odd/copyright", "License: MIT\n"),
        ("etc/odd/secret", "none\n"),
    ] {
        fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
        fs::write(root.join(name), text).unwrap();
    }
    fs::create_dir_all(root.join("var/empty")).unwrap();
    for (name, mode, owner) in [
        ("usr/bin/tool", 0o4755, (0, 0)),
        ("etc/odd/secret", 0o640, (0, 42)),
        ("etc/odd", 0o750, (1000, 42)),
        ("var/empty", 0o3777, (0, 8)),
    ] {
        lchown(root.join(name), Some(owner.0), Some(owner.1)).unwrap();
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::hard_link(root.join("usr/bin/tool"), root.join("usr/bin/again")).unwrap();
    symlink("../../etc/odd", root.join("usr/share/odd")).unwrap();
    symlink("/nowhere", root.join("usr/share/dangling")).unwrap();
    let mut command = Command::new("dpkg-deb");
    command.args(["--build", &format!("-Z{compression}")]).arg(&root).arg(&out);
    let built = command.output().unwrap();
    assert!(built.status.success(), "{}", super::said(&built));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_debian_package_is_unpacked_as_dpkg_does() {
    let Some(dpkg) = require("dpkg-deb") else { return };
    if !rustix::process::getuid().is_root() {
        return skipped("only root gives files to other users");
    }
    for compression in ["gzip", "xz", "zstd", "none"] {
        let shop = Workshop::new("");
        build_package(&shop, compression);
        let ours = by_us(&shop, "{ deb: odd.deb }", "bundle").await.unwrap();
        dpkg.run_ok(["-x", &shop.text("odd.deb"), &shop.text("by-dpkg")]).await.unwrap();
        // The package list for scanners is ours; dpkg -x leaves no trace.
        let list = Path::new("var/lib");
        let mut expected = Tree::read(&shop.path("by-dpkg"));
        let (mut ours, own) = (timeless(ours), list.join("dpkg"));
        ours.0.retain(|path, _| path != list && !path.starts_with(&own));
        expected.0.retain(|path, _| path != list);
        assert_same(compression, &ours, &timeless(expected));
    }
}
