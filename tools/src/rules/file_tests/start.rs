//! The start of a container: rows of rules about programs, interpreters and users, and about
//! machines.

use super::*;

pub(super) const START_ROWS: &[Row] = &[
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
    // The first class of permission bits that fits the user counts.
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
    // A file an upper layer removed.
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
    // A script its user may start and not read.
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
    // Shells and inits hand a file of unknown format to a shell.
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

pub(super) const MACHINE_ROWS: &[Row] = &[
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
    // Libraries of another architecture in its own folder, and a file without program format.
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
    // Only the loader's cache knows the library.
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
