//! The contents of an image: rows of rules about secrets, packages and files.

use super::*;

pub(super) const KEY: Magic = Magic::PrivateKey("PKCS #8");

pub(super) const SECRET_ROWS: &[Row] = &[
    ("IMG-018", ERROR, |tree, _| tree[0].push(file("app/tls.key", KEY))),
    // Hidden by the layer above it.
    ("IMG-018", ERROR, |tree, _| {
        tree[0].push(file("app/tls.key", KEY));
        tree.push(vec![text("app/.wh.tls.key", "")]);
    }),
    ("IMG-018", ERROR, |tree, _| tree[0].push(file("etc/ssh/ssh_host_rsa_key", Magic::Other))),
    ("IMG-018", PEACE, |tree, _| {
        tree[0].push(file("etc/ssh/ssh_host_rsa_key.pub", Magic::Other));
        tree[0].push(text("etc/ssl/certs/ca-certificates.crt", "-----BEGIN CERTIFICATE-----"));
        tree[0].push(text("app/.env.example", "A=1"));
        tree[0].push(text("root/.bashrc", "alias ll='ls -l'"));
        tree[0].push(text("root/.bash_history", ""));
        tree[0].push(folder("root/.ssh"));
        tree[0].push(text("root/.docker/config.json", "{\"auths\":{}}"));
        tree[0].push(text("root/.npmrc", "//r.example/:_authToken=${NPM_TOKEN}"));
        tree[0].push(text("usr/lib/python3/test/.netrc", "password x"));
    }),
    ("IMG-018", WARNING, |tree, _| {
        tree[0].push(file("usr/lib/node_modules/tls/test/fixtures/agent.pem", KEY));
    }),
    ("IMG-018", WARNING, |tree, _| {
        tree[0].push(file("etc/ssl/private/ssl-cert-snakeoil.key", KEY));
    }),
    // Keys in accounts and settings count under any folder name.
    ("IMG-018", ERROR, |tree, _| tree[0].push(file("home/demo/.ssh/id_rsa", KEY))),
    ("IMG-018", ERROR, |tree, _| tree[0].push(file("etc/ssl/private/www.example.dev.key", KEY))),
    ("IMG-018", ERROR, |tree, _| {
        tree[0].push(text("home/test/.aws/credentials", "aws_secret_access_key = x"));
    }),
    ("IMG-018", WARNING, |tree, _| {
        tree[0].push(text("app/demo/.aws/credentials", "aws_secret_access_key = x"));
    }),
    // A crowd of lesser files hides no grave one.
    ("IMG-018", ERROR, |tree, _| {
        for number in 0..30 {
            tree[0].push(text(&format!("home/u{number}/.bash_history"), "ls"));
        }
        tree[0].push(file("srv/tls.key", KEY));
    }),
    ("IMG-018", WARNING, |tree, _| tree[0].push(text("root/.bash_history", "ls"))),
    ("IMG-018", WARNING, |tree, _| tree[0].push(text("app/.git/HEAD", "ref: x"))),
    ("IMG-018", WARNING, |tree, _| tree[0].push(text("app/.env", "DEBUG=1"))),
    ("IMG-018", ERROR, |tree, _| tree[0].push(text("app/.env", "A=1\nK=AKIAABCDEFGHIJKLMNOP"))),
    ("IMG-018", WARNING, |tree, _| tree[0].push(text("root/.ssh/known_hosts", "h k"))),
    ("IMG-018", ERROR, |tree, _| {
        tree[0].push(text("root/.aws/credentials", "[default]\naws_secret_access_key = x"));
    }),
    ("IMG-018", ERROR, |tree, _| {
        tree[0].push(text("root/.docker/config.json", "{\"auths\":{\"r\":{\"auth\":\"eA==\"}}}"));
    }),
    ("IMG-018", WARNING, |tree, _| tree[0].push(file("root/.netrc", Magic::Other))),
    ("IMG-019", WARNING, |tree, _| {
        login(tree, "root:x:0:0::/:/bin/sh", "root:$6$salt$hash:1::::::");
    }),
    ("IMG-019", WARNING, |tree, _| login(tree, "root:x:0:0::/:/bin/sh", "root::1::::::")),
    ("IMG-019", PEACE, |tree, _| login(tree, "root:x:0:0::/:/bin/sh", "root:*:1::::::")),
    ("IMG-019", PEACE, |tree, _| login(tree, "root:x:0:0::/:/bin/sh", "root:!$6$s$hash:1:")),
    ("IMG-019", PEACE, |tree, _| {
        login(tree, "app:x:9:9::/:/usr/sbin/nologin", "app:$6$salt$hash:1::::::");
    }),
    // No shell is in the image.
    ("IMG-019", PEACE, |tree, _| {
        login(tree, "root:x:0:0::/:/bin/bash", "root:$6$salt$hash:1::::::");
    }),
    ("IMG-025", ERROR, |tree, _| tree[0].push(file("srv/x", Magic::Eicar))),
    ("IMG-025", ERROR, |tree, _| {
        tree[0].push(file("srv/x", Magic::Eicar));
        tree.push(vec![text("srv/.wh.x", "")]);
    }),
    ("IMG-025", PEACE, |tree, _| tree[0].push(file("srv/x", Magic::Other))),
];

fn login(tree: &mut Tree, passwd: &str, shadow: &str) {
    tree[0].push(elf("bin/sh", |_| {}));
    tree[0].push(text("etc/passwd", passwd));
    tree[0].push(text("etc/shadow", shadow));
}

pub(super) const PACKAGE_ROWS: &[Row] = &[
    ("IMG-023", WARNING, |tree, _| {
        tree[0].push(text("etc/os-release", "ID=debian\nVERSION_ID=\"10\"\n"));
    }),
    ("IMG-023", WARNING, |tree, _| {
        tree[0].push(link("etc/os-release", "../usr/lib/os-release"));
        tree[0].push(text("usr/lib/os-release", "NAME=x\nID=alpine\nVERSION_ID=3.18.4\n"));
    }),
    ("IMG-023", PEACE, |tree, _| {
        tree[0].push(text("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n"));
    }),
    ("IMG-024", WARNING, |tree, _| {
        let status = "Package: libssl1.0.2\nStatus: install ok installed\nVersion: 1.0.2u-1\n";
        tree[0].push(text("var/lib/dpkg/status", status));
    }),
    ("IMG-024", WARNING, |tree, _| {
        tree[0].push(text("lib/apk/db/installed", "P:libcrypto1.1\nV:1.1.0i-r0\n\n"));
    }),
    ("IMG-024", PEACE, |tree, _| {
        tree[0].push(text("lib/apk/db/installed", "P:libcrypto1.1\nV:1.1.1k-r0\n\n"));
    }),
    ("IMG-024", PEACE, |tree, _| {
        let record = "Package: libssl3\nVersion: 3.0.17-1~deb12u2\n";
        tree[0].push(text("var/lib/dpkg/status.d/libssl3", record));
    }),
];

pub(super) const FILE_ROWS: &[Row] = &[
    ("IMG-026", WARNING, |tree, _| {
        tree[0].push(with_mode(0o4755, elf("usr/bin/su", |_| {})));
    }),
    ("IMG-026", WARNING, |tree, _| {
        tree[0].push(with_mode(0o2755, elf("usr/bin/wall", |_| {})));
    }),
    ("IMG-026", PEACE, |tree, _| {
        tree[0].push(with_mode(0o2775, folder("var/mail")));
        tree[0].push(with_mode(0o1777, folder("tmp")));
        tree[0].push(with_mode(0o2644, text("var/lock", "x")));
    }),
    ("IMG-030", WARNING, |tree, _| tree[0][1].path = "README".to_owned()),
    ("IMG-030", PEACE, |tree, _| tree[0][1].path = "usr/share/doc/a/copyright".to_owned()),
    ("IMG-047", ERROR, |tree, _| {
        tree[0].extend([link("lib", "usr/lib"), text("usr/lib/x", "x")]);
        tree.push(vec![folder("lib"), text("lib/y", "y")]);
    }),
    // Without an entry for the folder itself.
    ("IMG-047", ERROR, |tree, _| {
        tree[0].extend([link("lib", "usr/lib"), text("usr/lib/x", "x")]);
        tree.push(vec![text("lib/y", "y")]);
    }),
    ("IMG-047", WARNING, |tree, _| {
        tree[0].extend([link("data", "srv/data"), text("srv/data/x", "x")]);
        tree.push(vec![text("data/y", "y")]);
    }),
    ("IMG-047", WARNING, |tree, _| {
        tree[0].push(text("data/x", "x"));
        tree.push(vec![text("data", "y")]);
    }),
    // A merge of /usr, an upgraded link, and a folder removed before its replacement.
    ("IMG-047", PEACE, |tree, _| {
        tree[0].push(text("lib/x", "x"));
        tree.push(vec![text("usr/lib/x", "x"), link("lib", "usr/lib")]);
    }),
    ("IMG-047", PEACE, |tree, _| {
        tree[0].extend([link("etc/mtab", "/proc/mounts"), text("bin/tool", "1")]);
        tree.push(vec![text("etc/mtab", ""), link("bin/tool", "server")]);
    }),
];

/// The rule, and an image it is not about; linux/arm64 is left out of each.
pub(super) const NOT_APPLICABLE: &[(&str, Change)] = &[
    ("IMG-018", |_, config| config.os = "windows".to_owned()),
    ("IMG-019", |_, _| {}),
    ("IMG-023", |_, _| {}),
    ("IMG-023", |tree, _| tree[0].push(text("etc/os-release", "ID=wolfi\nVERSION_ID=2023\n"))),
    ("IMG-024", |_, _| {}),
    ("IMG-025", |_, config| config.os = "windows".to_owned()),
    ("IMG-026", |_, config| config.os = "windows".to_owned()),
    ("IMG-030", |_, config| config.os = "windows".to_owned()),
    ("IMG-040", |_, config| config.os = "windows".to_owned()),
    ("IMG-040", |_, config| start(config, &[])),
    ("IMG-041", |_, config| start(config, &["/none"])),
    ("IMG-042", |_, config| config.os = "windows".to_owned()),
    ("IMG-043", |_, _| {}),
    ("IMG-044", |_, config| config.config.user.clear()),
    ("DEP-003", |_, config| config.config.user.clear()),
    ("DEP-003", |_, config| config.os = "windows".to_owned()),
    ("IMG-045", |_, _| {}),
    ("IMG-046", |_, _| {}),
    ("IMG-047", |_, _| {}),
];
