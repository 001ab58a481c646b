//! Every rule about files with an image that breaks it, with ones that it must leave in peace, and
//! with ones that it is not about.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::zero_sized_map_values)]

use std::collections::BTreeSet;
use std::sync::Arc;

use super::image_tests::{digest, evidence, facts};
use super::*;
use crate::image::config::{Empty, ImageConfig};
use crate::image::facts::{ImageFacts, LayerFacts};
use crate::image::files::{
    Content, Elf, ElfKind, FileKind, FileView, LayerFiles, LayerFilesBuilder, Machine, Magic,
    NewFile,
};
use crate::offer::fixture::{OFFER, parse};

/// An entry of a layer of the tests.
#[derive(Clone)]
pub(super) struct Item {
    path: String,
    kind: FileKind,
    mode: u32,
    owner: (u32, u32),
    size_bytes: u64,
    link: String,
    content: Option<Content>,
}

/// The layers of one platform, bottom first.
pub(super) type Tree = Vec<Vec<Item>>;

type Change = fn(&mut Tree, &mut ImageConfig);
type Row = (&'static str, Option<Severity>, Change);

fn item(path: &str, kind: FileKind, mode: u32) -> Item {
    let (path, link) = (path.to_owned(), String::new());
    Item { path, kind, mode, owner: (0, 0), size_bytes: 0, link, content: None }
}

fn file(path: &str, magic: Magic) -> Item {
    let content = Some(Content { magic, text: None });
    Item { size_bytes: 9, content, ..item(path, FileKind::File, 0o755) }
}

fn text(path: &str, text: &str) -> Item {
    let content = Some(Content::of_text(text.as_bytes().to_vec()));
    Item { size_bytes: text.len() as u64, content, ..item(path, FileKind::File, 0o644) }
}

fn folder(path: &str) -> Item {
    item(path, FileKind::Folder, 0o755)
}

fn link(path: &str, target: &str) -> Item {
    Item { link: target.to_owned(), ..item(path, FileKind::Symlink, 0o777) }
}

fn script(path: &str, line: &str) -> Item {
    file(path, Magic::Script(line.as_bytes().into()))
}

fn with_mode(mode: u32, item: Item) -> Item {
    Item { mode, ..item }
}

fn elf(path: &str, change: impl FnOnce(&mut Elf)) -> Item {
    let mut elf = Elf {
        machine: Machine::X86_64,
        is_64: true,
        big_endian: false,
        kind: ElfKind::Executable,
        interpreter: None,
        needed: Some(Vec::new()),
        runpath: Vec::new(),
    };
    change(&mut elf);
    file(path, Magic::Elf(Box::new(elf)))
}

fn library(path: &str, needed: &[&str]) -> Item {
    elf(path, |elf| {
        elf.kind = ElfKind::Shared;
        elf.needed = Some(needed.iter().map(|name| name.as_bytes().into()).collect());
    })
}

fn dynamic(path: &str, loader: &str, needed: &[&str]) -> Item {
    elf(path, |elf| {
        elf.interpreter = Some(loader.as_bytes().into());
        elf.needed = Some(needed.iter().map(|name| name.as_bytes().into()).collect());
    })
}

fn layer(items: &[Item]) -> Arc<LayerFiles> {
    let mut builder = LayerFilesBuilder::new();
    for item in items {
        let Item { path, kind, mode, owner, size_bytes, link, content } = item;
        let (path, link) = (path.as_bytes(), link.as_bytes());
        builder.push(&NewFile {
            path,
            kind: *kind,
            mode: *mode,
            owner: *owner,
            size_bytes: *size_bytes,
            link,
        });
        if let Some(content) = content {
            builder.content(content.clone());
        }
    }
    Arc::new(builder.finish())
}

/// The files of an image that breaks no rule.
pub(super) fn base(machine: Machine) -> Tree {
    vec![vec![elf("bin/server", |elf| elf.machine = machine), text("LICENSE", "MIT")]]
}

pub(super) fn view(tree: &Tree) -> Arc<FileView> {
    Arc::new(FileView::merge(&tree.iter().map(|items| layer(items)).collect::<Vec<_>>()))
}

/// The image of the tests with other files on linux/amd64.
fn changed(change: Change) -> ImageFacts {
    let mut facts = facts();
    let mut tree = base(Machine::X86_64);
    let image = &mut facts.images[0];
    change(&mut tree, image.config.as_mut().unwrap());
    image.files = Some(view(&tree));
    let model = image.layers[0].clone();
    let layers = (0..tree.len()).map(|place| {
        let mut descriptor = model.descriptor.clone();
        descriptor.digest = digest(&format!("layer {place}"));
        LayerFacts { descriptor, ..model }
    });
    image.layers = layers.collect();
    facts
}

fn judged(facts: &ImageFacts) -> Judgement {
    let file = parse(OFFER).unwrap();
    judge_image(facts, Some((&file, 0)), &evidence(), Profile::Strict)
}

const ERROR: Option<Severity> = Some(Severity::Error);
const WARNING: Option<Severity> = Some(Severity::Warning);
/// The rule has nothing to say.
const PEACE: Option<Severity> = None;
const GLIBC: &str = "/lib64/ld-linux-x86-64.so.2";
const MUSL: &str = "/lib/ld-musl-x86_64.so.1";

fn start(config: &mut ImageConfig, words: &[&str]) {
    config.config.entrypoint = words.iter().map(|word| (*word).to_owned()).collect();
}

fn env(config: &mut ImageConfig, entry: &str) {
    config.config.env.push(entry.to_owned());
}

const START_ROWS: &[Row] = &[
    ("IMG-040", ERROR, |_, config| start(config, &["/bin/servr"])),
    ("IMG-040", ERROR, |_, config| start(config, &["servr"])),
    ("IMG-040", PEACE, |_, config| start(config, &["server"])),
    ("IMG-040", ERROR, |_, config| {
        start(config, &["server"]);
        env(config, "PATH=/opt/bin:/sbin");
    }),
    ("IMG-040", PEACE, |_, config| {
        start(config, &["./server"]);
        config.config.working_dir = "/bin".to_owned();
    }),
    ("IMG-040", ERROR, |_, config| start(config, &["./server"])),
    ("IMG-040", ERROR, |_, config| start(config, &["/bin"])),
    ("IMG-040", ERROR, |tree, _| tree[0][0].mode = 0o644),
    ("IMG-040", ERROR, |tree, _| tree[0][0].mode = 0o700),
    ("IMG-040", PEACE, |tree, _| {
        tree[0][0].mode = 0o700;
        tree[0][0].owner = (999, 0);
    }),
    ("IMG-040", PEACE, |tree, _| {
        tree[0][0].mode = 0o750;
        tree[0][0].owner = (0, 999);
    }),
    // The first set that is about somebody counts.
    ("IMG-040", ERROR, |tree, _| {
        tree[0][0].mode = 0o617;
        tree[0][0].owner = (999, 0);
    }),
    ("IMG-040", PEACE, |tree, config| {
        tree[0][0].mode = 0o700;
        tree[0][0].owner = (5, 5);
        config.config.user = "0".to_owned();
    }),
    ("IMG-040", ERROR, |tree, config| {
        tree[0][0].mode = 0o644;
        config.config.user = "0".to_owned();
    }),
    ("IMG-040", ERROR, |tree, _| tree[0].insert(0, with_mode(0o700, folder("bin")))),
    // A member of the group by /etc/group.
    ("IMG-040", PEACE, |tree, config| {
        config.config.user = "app".to_owned();
        tree[0][0].mode = 0o750;
        tree[0][0].owner = (0, 50);
        tree[0].push(text("etc/passwd", "app:x:9:9::/:\n"));
        tree[0].push(text("etc/group", "tools:x:50:app\n"));
    }),
    // A link into the place of a package manager, as Nix has them.
    ("IMG-040", PEACE, |tree, config| {
        tree[0].push(link("bin/run", "/nix/store/abc/bin/run"));
        tree[0].push(elf("nix/store/abc/bin/run", |_| {}));
        start(config, &["run"]);
    }),
    ("IMG-040", ERROR, |tree, config| {
        tree[0].push(link("bin/run", "/nix/store/abc/bin/run"));
        start(config, &["/bin/run"]);
    }),
    ("IMG-040", ERROR, |tree, config| {
        tree[0].extend([link("bin/a", "b"), link("bin/b", "a")]);
        start(config, &["/bin/a"]);
    }),
    // Hard links and links of busybox.
    ("IMG-040", PEACE, |tree, config| {
        tree[0].push(elf("bin/busybox", |_| {}));
        let hard =
            Item { link: "bin/busybox".to_owned(), ..item("bin/sh", FileKind::HardLink, 0o755) };
        tree[0].push(hard);
        start(config, &["/bin/sh", "-c", "exec server --x"]);
    }),
    ("IMG-040", ERROR, |tree, config| {
        tree[0].push(elf("bin/sh", |_| {}));
        start(config, &["/bin/sh", "-c", "exec servr --x"]);
    }),
    ("IMG-040", PEACE, |tree, config| {
        tree[0].push(elf("bin/sh", |_| {}));
        start(config, &["/bin/sh", "-c", "[ -f /x ] && servr"]);
    }),
    // The shell form in an image without a shell.
    ("IMG-040", ERROR, |_, config| start(config, &["/bin/sh", "-c", "server"])),
    ("IMG-040", ERROR, |tree, config| {
        tree[0].push(elf("sbin/tini", |_| {}));
        start(config, &["/sbin/tini", "--", "/bin/servr"]);
    }),
    // A file that an upper layer removed.
    ("IMG-040", ERROR, |tree, _| tree.push(vec![text("bin/.wh.server", "")])),
    ("IMG-041", ERROR, |tree, _| tree[0][0] = script("bin/server", "/bin/bash")),
    ("IMG-041", PEACE, |tree, _| {
        tree[0][0] = script("bin/server", "/bin/bash -e");
        tree[0].push(elf("bin/bash", |_| {}));
    }),
    ("IMG-041", ERROR, |tree, _| {
        tree[0][0] = script("bin/server", "/bin/bash\r");
        tree[0].push(elf("bin/bash", |_| {}));
    }),
    ("IMG-041", ERROR, |tree, _| {
        tree[0][0] = script("bin/server", "/usr/bin/env node");
        tree[0].push(elf("usr/bin/env", |_| {}));
    }),
    ("IMG-041", PEACE, |tree, _| {
        tree[0][0] = script("bin/server", "/usr/bin/env -S node --x");
        tree[0].push(elf("usr/bin/env", |_| {}));
        tree[0].push(elf("usr/local/bin/node", |_| {}));
    }),
    // A script that its user may start and not read.
    ("IMG-041", ERROR, |tree, _| {
        tree[0][0] = with_mode(0o711, script("bin/server", "/bin/sh"));
        tree[0].push(elf("bin/sh", |_| {}));
    }),
    ("IMG-041", ERROR, |tree, _| {
        tree[0][0] = script("bin/server", "/bin/a");
        tree[0].push(script("bin/a", "/bin/b"));
        tree[0].push(script("bin/b", "/bin/a"));
    }),
    ("IMG-041", ERROR, |tree, _| tree[0][0] = file("bin/server", Magic::Other)),
    // Shells and inits give to a shell what the kernel does not know.
    ("IMG-041", PEACE, |tree, config| {
        tree[0].push(elf("bin/sh", |_| {}));
        tree[0].push(file("run.sh", Magic::Other));
        start(config, &["/bin/sh", "-c", "exec /run.sh"]);
    }),
    ("IMG-041", ERROR, |tree, _| tree[0][0] = file("bin/server", Magic::Empty)),
    ("IMG-041", ERROR, |tree, _| {
        tree[0][0] = elf("bin/server", |elf| elf.kind = ElfKind::Other);
    }),
    // Built for musl, put on glibc.
    ("IMG-041", ERROR, |tree, _| tree[0][0] = dynamic("bin/server", MUSL, &[])),
    ("IMG-041", PEACE, |tree, _| {
        tree[0][0] = dynamic("bin/server", GLIBC, &[]);
        tree[0].push(link("lib64", "usr/lib64"));
        tree[0].push(library("usr/lib64/ld-linux-x86-64.so.2", &[]));
    }),
    ("IMG-044", ERROR, |_, config| config.config.user = "app".to_owned()),
    ("IMG-044", ERROR, |tree, config| {
        tree[0].push(text("etc/passwd", "app:x:9:9::/:\n"));
        config.config.user = "app:web".to_owned();
    }),
    ("IMG-044", PEACE, |tree, config| {
        tree[0].push(text("etc/passwd", "app:x:9:9::/:\n"));
        config.config.user = "app".to_owned();
    }),
    ("IMG-044", PEACE, |_, config| config.config.user = "65532:65532".to_owned()),
    ("DEP-003", WARNING, |tree, config| {
        tree[0].push(text("etc/passwd", "app:x:9:9::/:\n"));
        config.config.user = "app".to_owned();
    }),
    ("DEP-003", PEACE, |tree, config| {
        tree[0].push(text("etc/passwd", "app:x:9:9::/:\n"));
        config.config.user = "9:app".to_owned();
    }),
    ("DEP-003", PEACE, |_, config| config.config.user = "app".to_owned()),
    ("DEP-003", PEACE, |_, config| config.config.user.clear()),
    ("IMG-016", WARNING, |tree, config| {
        tree[0].push(text("etc/passwd", "app:x:9:9::/:\ntoor:x:0:0::/:\n"));
        config.config.user = "toor".to_owned();
    }),
    ("IMG-016", PEACE, |tree, config| {
        tree[0].push(text("etc/passwd", "app:x:9:9::/:\ntoor:x:0:0::/:\n"));
        config.config.user = "app".to_owned();
    }),
    ("IMG-045", ERROR, |_, config| config.config.working_dir = "/LICENSE".to_owned()),
    ("IMG-045", ERROR, |_, config| config.config.working_dir = "/LICENSE/x".to_owned()),
    ("IMG-045", PEACE, |_, config| config.config.working_dir = "/new/place".to_owned()),
    ("IMG-045", PEACE, |_, config| config.config.working_dir = "/bin".to_owned()),
    ("IMG-046", ERROR, |_, config| volume(config, "/LICENSE")),
    ("IMG-046", ERROR, |tree, config| {
        tree[0].extend([link("data", "data2"), link("data2", "data")]);
        volume(config, "/data");
    }),
    ("IMG-046", PEACE, |_, config| volume(config, "/data/x")),
];

fn volume(config: &mut ImageConfig, path: &str) {
    config.config.volumes.insert(path.to_owned(), Empty {});
}

const MACHINE_ROWS: &[Row] = &[
    ("IMG-042", ERROR, |tree, _| tree[0] = base(Machine::AARCH64)[0].clone()),
    ("IMG-042", ERROR, |tree, _| {
        tree[0][0] = script("bin/server", "/bin/sh");
        tree[0].push(elf("bin/sh", |elf| elf.machine = Machine::AARCH64));
    }),
    ("IMG-042", ERROR, |tree, _| {
        tree[0][0] = elf("bin/server", |elf| elf.machine = Machine(0x1234));
    }),
    // Programs of 32 bits run on amd64.
    ("IMG-042", PEACE, |tree, _| {
        tree[0][0] = elf("bin/server", |elf| {
            elf.machine = Machine::X86;
            elf.is_64 = false;
        });
    }),
    ("IMG-042", WARNING, |tree, _| {
        tree[0].push(elf("usr/bin/tool", |elf| elf.machine = Machine::AARCH64));
    }),
    ("IMG-042", WARNING, |tree, _| {
        let foreign = |elf: &mut Elf| {
            elf.machine = Machine::AARCH64;
            elf.kind = ElfKind::Shared;
        };
        tree[0].push(elf("usr/lib/x86_64-linux-gnu/libz.so.1", foreign));
    }),
    // Libraries of another architecture in its own folder, and what is no program.
    ("IMG-042", PEACE, |tree, _| {
        let foreign = |elf: &mut Elf| {
            elf.machine = Machine::AARCH64;
            elf.kind = ElfKind::Shared;
        };
        tree[0].push(elf("usr/lib/aarch64-linux-gnu/libz.so.1", foreign));
        tree[0].push(elf("usr/lib/firmware/boot.so", foreign));
        tree[0].push(elf("usr/bin/probe.o", |elf| {
            elf.machine = Machine(247);
            elf.kind = ElfKind::Other;
        }));
    }),
    ("IMG-043", ERROR, |tree, _| with_loader(tree, &["libz.so.1"])),
    // The library of a library.
    ("IMG-043", ERROR, |tree, _| {
        with_loader(tree, &["libz.so.1"]);
        tree[0].push(library("usr/lib/x86_64-linux-gnu/libz.so.1", &["liby.so.2"]));
    }),
    ("IMG-043", PEACE, |tree, _| {
        with_loader(tree, &["libz.so.1", "ld-linux-x86-64.so.2"]);
        tree[0].push(link("usr/lib/x86_64-linux-gnu/libz.so.1", "libz.so.1.3"));
        tree[0].push(library("usr/lib/x86_64-linux-gnu/libz.so.1.3", &["libc.so.6"]));
        tree[0].push(library("lib/x86_64-linux-gnu/libc.so.6", &["libz.so.1"]));
    }),
    // Of the same name, for another machine.
    ("IMG-043", ERROR, |tree, _| {
        with_loader(tree, &["libz.so.1"]);
        tree[0].push(elf("usr/lib/libz.so.1", |elf| elf.machine = Machine::AARCH64));
    }),
    ("IMG-043", PEACE, |tree, config| {
        with_loader(tree, &["libz.so.1"]);
        tree[0].push(library("opt/z/libz.so.1", &[]));
        env(config, "LD_LIBRARY_PATH=/opt/y:/opt/z");
    }),
    ("IMG-043", PEACE, |tree, _| {
        with_loader(tree, &["libz.so.1"]);
        tree[0].push(library("opt/z/libz.so.1", &[]));
        tree[0].push(text("etc/ld.so.conf", "# all\ninclude /etc/ld.so.conf.d/*.conf\n"));
        tree[0].push(text("etc/ld.so.conf.d/z.conf", "/opt/z\n"));
    }),
    ("IMG-043", PEACE, |tree, _| {
        with_loader(tree, &["libz.so.1"]);
        if let Some(Magic::Elf(elf)) = tree[0][0].content.as_mut().map(|at| &mut at.magic) {
            elf.runpath = vec![b"$ORIGIN/../opt".as_slice().into()];
        }
        tree[0].push(library("opt/libz.so.1", &[]));
    }),
    // Where only the loader's cache says that something is.
    ("IMG-043", PEACE, |tree, _| {
        with_loader(tree, &["libz.so.1"]);
        tree[0].push(library("srv/odd/libz.so.1", &[]));
        tree[0].push(file("etc/ld.so.cache", Magic::Other));
    }),
    ("IMG-043", PEACE, |tree, _| {
        tree[0][0] = dynamic("bin/server", MUSL, &["libc.musl-x86_64.so.1", "libz.so.1"]);
        tree[0].push(library("lib/ld-musl-x86_64.so.1", &[]));
        tree[0].push(library("usr/local/lib/libz.so.1", &[]));
    }),
    ("IMG-043", ERROR, |tree, _| {
        tree[0][0] = dynamic("bin/server", MUSL, &["libz.so.1"]);
        tree[0].push(library("lib/ld-musl-x86_64.so.1", &[]));
        tree[0].push(library("usr/lib64/libz.so.1", &[]));
    }),
    // Alpine's libc6-compat: musl's loader under the name of glibc's.
    ("IMG-043", PEACE, |tree, _| {
        tree[0][0] = dynamic("bin/server", GLIBC, &["libc.so.6", "libpthread.so.0"]);
        tree[0].push(library("lib/ld-musl-x86_64.so.1", &[]));
        tree[0].push(link("lib/libc.musl-x86_64.so.1", "ld-musl-x86_64.so.1"));
        tree[0].push(link("lib64/ld-linux-x86-64.so.2", "../lib/libc.musl-x86_64.so.1"));
    }),
    // A C library in a place of its own.
    ("IMG-043", PEACE, |tree, _| {
        let loader = "/nix/store/g/lib/ld-linux-x86-64.so.2";
        tree[0][0] = dynamic("bin/server", loader, &["libc.so.6"]);
        tree[0].push(library("nix/store/g/lib/ld-linux-x86-64.so.2", &[]));
        tree[0].push(library("nix/store/g/lib/libc.so.6", &[]));
    }),
];

fn with_loader(tree: &mut Tree, needed: &[&str]) {
    tree[0][0] = dynamic("bin/server", GLIBC, needed);
    tree[0].push(library("lib64/ld-linux-x86-64.so.2", &[]));
}

const KEY: Magic = Magic::PrivateKey("PKCS #8");

const SECRET_ROWS: &[Row] = &[
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
    // Accounts and settings are somebody's, whatever they are called.
    ("IMG-018", ERROR, |tree, _| tree[0].push(file("home/demo/.ssh/id_rsa", KEY))),
    ("IMG-018", ERROR, |tree, _| tree[0].push(file("etc/ssl/private/www.example.dev.key", KEY))),
    ("IMG-018", ERROR, |tree, _| {
        tree[0].push(text("home/test/.aws/credentials", "aws_secret_access_key = x"));
    }),
    ("IMG-018", WARNING, |tree, _| {
        tree[0].push(text("app/demo/.aws/credentials", "aws_secret_access_key = x"));
    }),
    // A crowd of lesser things hides none that is grave.
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

const PACKAGE_ROWS: &[Row] = &[
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

const FILE_ROWS: &[Row] = &[
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
    // A merge of /usr, an upgraded link, and a folder that was removed first.
    ("IMG-047", PEACE, |tree, _| {
        tree[0].push(text("lib/x", "x"));
        tree.push(vec![text("usr/lib/x", "x"), link("lib", "usr/lib")]);
    }),
    ("IMG-047", PEACE, |tree, _| {
        tree[0].extend([link("etc/mtab", "/proc/mounts"), text("bin/tool", "1")]);
        tree.push(vec![text("etc/mtab", ""), link("bin/tool", "server")]);
    }),
];

/// The rule, and an image that it is not about; linux/arm64 is left out of each.
const NOT_APPLICABLE: &[(&str, Change)] = &[
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

const ROWS: [&[Row]; 5] = [START_ROWS, MACHINE_ROWS, SECRET_ROWS, PACKAGE_ROWS, FILE_ROWS];

/// The rules that this file has rows for.
pub(super) fn ids() -> BTreeSet<&'static str> {
    ROWS.into_iter().flatten().filter(|row| row.1.is_some()).map(|row| row.0).collect()
}

/// The rules that it shows not to apply somewhere.
pub(super) fn not_applicable_ids() -> BTreeSet<&'static str> {
    NOT_APPLICABLE.iter().map(|row| row.0).collect()
}

#[test]
fn every_file_rule_finds_what_breaks_it_and_nothing_else() {
    let mut wrong = Vec::new();
    for (row, (id, expected, change)) in ROWS.into_iter().flatten().enumerate() {
        let found = judged(&changed(*change)).findings;
        let of_rule: Vec<_> = found.iter().filter(|at| at.rule == *id).collect();
        let fits = match expected {
            None => of_rule.is_empty(),
            Some(severity) => of_rule.iter().any(|at| at.severity == *severity),
        };
        if !fits {
            wrong.push(format!("row {row} {id} {expected:?}: {of_rule:#?}"));
        }
        for finding in of_rule {
            assert_eq!(finding.place.platforms, ["linux/amd64"]);
            assert!(finding.severity <= find(id).unwrap().severity);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn file_rules_say_of_what_they_are_not_about_that_they_do_not_apply() {
    for (row, (id, change)) in NOT_APPLICABLE.iter().enumerate() {
        let mut facts = changed(*change);
        facts.images.truncate(1);
        assert_eq!(judged(&facts).outcomes[id], Outcome::NotApplicable, "row {row} {id}");
    }
}

#[test]
fn without_all_files_nothing_is_said_of_what_is_not_there() {
    let mut facts = changed(|tree, config| {
        tree[0].clear();
        tree[0].push(file("app/tls.key", KEY));
        config.config.user = "app".to_owned();
    });
    facts.images.truncate(1);
    let known = facts.images[0].files.as_ref().unwrap().layers().to_vec();
    let layers = [known, vec![Arc::new(LayerFiles::unread())]].concat();
    facts.images[0].files = Some(Arc::new(FileView::merge(&layers)));
    let judgement = judged(&facts);
    for id in ids().into_iter().filter(|id| *id != "IMG-016") {
        let expected = if id == "IMG-018" { Outcome::Failed } else { Outcome::NotLookedAt };
        assert_eq!(judgement.outcomes[id], expected, "{id}");
        assert!(judgement.gaps[&Gap::Files].contains(id), "{id}");
    }
    facts.images[0].files = None;
    let judgement = judged(&facts);
    let mut looked = ids().into_iter().filter(|id| *id != "IMG-016");
    assert!(looked.all(|id| judgement.outcomes[id] == Outcome::NotLookedAt));
}

#[test]
fn what_an_upper_layer_hides_is_named_with_its_layer_and_said_to_be_there() {
    let facts = changed(|tree, _| {
        tree[0].push(file("app/tls.key", KEY));
        tree.push(vec![text("app/.wh.tls.key", "")]);
    });
    let found = judged(&facts).findings;
    let key = found.iter().find(|at| at.rule == "IMG-018").unwrap();
    assert!(key.message.contains("can still be pulled"), "{}", key.message);
    assert_eq!(key.place.path.as_deref(), Some("/app/tls.key"));
    assert_eq!(key.place.layer.unwrap().number, 1);
}

#[test]
fn many_findings_of_one_rule_are_counted_and_not_listed() {
    let facts = changed(|tree, _| {
        for number in 0..1000 {
            tree[0].push(file(&format!("app/{number}.key"), KEY));
            tree[0].push(with_mode(0o4755, elf(&format!("bin/s{number}"), |_| {})));
        }
    });
    let found = judged(&facts).findings;
    let of = |id: &str| found.iter().filter(|at| at.rule == id).count();
    assert_eq!((of("IMG-018"), of("IMG-026")), (21, 1));
    let rest = found.iter().rfind(|at| at.rule == "IMG-018").unwrap();
    assert!(rest.message.contains("980"), "{}", rest.message);
    assert!(found.iter().all(|at| at.message.len() < 500));
}
