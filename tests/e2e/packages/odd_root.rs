//! A small root filesystem with everything of real ones: programs, links of both kinds, special
//! bits, capabilities, odd modes, several owners, odd names.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};
use std::path::Path;
use std::process::Command;

use wharf_testkit::clients::{require, skipped};

/// Makes it. `false`, after a loud word, where this process may not give files to others.
pub(super) fn make(root: &Path) -> bool {
    let (Some(busybox), Some(setcap)) = (require("busybox"), require("setcap")) else {
        return false;
    };
    if !rustix::process::getuid().is_root() {
        skipped("only root gives files to other users");
        return false;
    }
    for folder in ["etc", "var/lib/deep/er", "home/ann", "empty", "usr/bin", "usr/lib/locked"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::copy(busybox.path(), root.join("usr/bin/busybox")).unwrap();
    mode(root, "usr/bin/busybox", 0o755);
    for (name, text) in [
        ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n"),
        ("etc/group", "root:x:0:\nann:x:1000:\nshadow:x:42:\n"),
        ("etc/shadow", "root:*:19000::::::\n"),
        ("home/ann/notes", "mine\n"),
        ("usr/bin/ping", "#!/bin/sh\necho pong\n"),
        ("usr/bin/su", "#!/bin/sh\nid\n"),
        ("usr/bin/write", "#!/bin/sh\n"),
        ("usr/lib/locked/none", "nobody reads this\n"),
        ("usr/lib/first", "the same file\n"),
        ("etc/zero", ""),
    ] {
        fs::write(root.join(name), text).unwrap();
    }
    // Links: absolute, relative, to a folder, to nothing, to itself, up and out.
    for (target, name) in [
        ("usr/bin", "bin"),
        ("/usr/bin/busybox", "usr/bin/sh"),
        ("../usr/lib/first", "etc/relative"),
        ("/nowhere/at/all", "etc/dangling"),
        ("loop", "etc/loop"),
        ("../../../../../../etc/passwd", "etc/climbs"),
    ] {
        symlink(target, root.join(name)).unwrap();
    }
    // One file under three names, in two folders.
    for name in ["usr/lib/second", "etc/third"] {
        fs::hard_link(root.join("usr/lib/first"), root.join(name)).unwrap();
    }
    fs::write(root.join(OsStr::from_bytes("etc/grüße und mehr".as_bytes())), "hello\n").unwrap();
    let long = format!("var/lib/deep/er/{}", "x".repeat(200));
    fs::write(root.join(&long), "long\n").unwrap();
    special(root, setcap.path());
    true
}

fn special(root: &Path, setcap: &Path) {
    for (name, uid, gid) in
        [("home/ann", 1000, 1000), ("home/ann/notes", 1000, 1000), ("etc/shadow", 0, 42)]
    {
        lchown(root.join(name), Some(uid), Some(gid)).unwrap();
    }
    lchown(root.join("etc/dangling"), Some(3_000_000), Some(7)).unwrap();
    lchown(root.join("usr/bin/write"), Some(0), Some(5)).unwrap();
    for (name, bits) in [
        ("etc/shadow", 0o640),
        ("home/ann", 0o700),
        ("home/ann/notes", 0o600),
        ("usr/bin/ping", 0o755),
        ("usr/bin/su", 0o4755),
        ("usr/bin/write", 0o2755),
        ("empty", 0o1777),
        ("usr/lib/locked", 0o2750),
        ("usr/lib/locked/none", 0o000),
        ("var/lib/deep", 0o711),
        ("usr/lib/first", 0o666),
    ] {
        mode(root, name, bits);
    }
    let file = root.join("usr/bin/ping");
    let given = Command::new(setcap).arg("cap_net_raw+ep").arg(file).status().unwrap();
    assert!(given.success(), "setcap needs a file system with attributes");
}

fn mode(root: &Path, name: &str, bits: u32) {
    fs::set_permissions(root.join(name), fs::Permissions::from_mode(bits)).unwrap();
}
