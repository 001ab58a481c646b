//! Images with unfit files: the started program, its user, its folder, and the obstacles in its
//! way.

use serde_json::{Value, json};
use wharf_testkit::handmade::{AARCH64, Entry, Handmade, Layer, Program, X86_64, set};

use super::config::run;
use super::{Case, Error, Make, Warning, image};

const PROGRAM: &str = "srv/tide/tided";

pub(super) const CASES: &[Case] = &[
    image("IMG-040", Error, "no layer holds the program", |image| {
        run(image, "Entrypoint", json!(["/srv/tide/ebbd"]));
    }),
    image("IMG-040", Error, "the program is a folder", |image| {
        run(image, "Entrypoint", json!(["/srv/tide"]));
    }),
    image("IMG-040", Error, "nobody may execute the program", |image| {
        image.platforms[0].app().entry(PROGRAM).mode = 0o644;
    }),
    image("IMG-040", Error, "the user may not execute the program", |image| {
        image.platforms[0].app().entry(PROGRAM).mode = 0o700;
    }),
    image("IMG-040", Error, "the user may not enter the folder of the program", |image| {
        let folder = image.platforms[0].app().entry("srv/tide");
        (folder.mode, folder.owner) = (0o700, (7, 7));
    }),
    image("IMG-040", Error, "no folder of PATH holds the program", |image| {
        run(image, "Entrypoint", json!(["tided"]));
    }),
    image("IMG-040", Error, "the program is a link to nothing", |image| {
        add(image, [Entry::symlink("srv/tide/start", "tided.new")]);
        run(image, "Entrypoint", json!(["/srv/tide/start"]));
    }),
    image("IMG-040", Error, "the program is a link in a circle", |image| {
        add(image, [Entry::symlink("srv/tide/a", "b"), Entry::symlink("srv/tide/b", "a")]);
        run(image, "Entrypoint", json!(["/srv/tide/a"]));
    }),
    image("IMG-040", Error, "an upper layer removes the program", |image| {
        let whiteout = Layer::new(vec![Entry::file("srv/tide/.wh.tided", "")]);
        add_layer(image, whiteout);
    }),
    image("IMG-041", Error, "the loader of the program is missing", |image| {
        program(
            image,
            &Program { interpreter: Some("/lib/ld-musl-x86_64.so.1"), ..Program::of(X86_64) },
        );
    }),
    image("IMG-041", Error, "a script names a shell that is missing", |image| {
        start(image, "#!/bin/bash\nexec /srv/tide/tided\n");
    }),
    image("IMG-041", Error, "a script has line ends of Windows", |image| {
        shell(image);
        start(image, "#!/usr/bin/tide-sh\r\nexec /srv/tide/tided\r\n");
    }),
    image("IMG-041", Error, "the program is neither a program nor a script", |image| {
        start(image, "exec /srv/tide/tided\n");
    }),
    image("IMG-042", Error, "the program is for another machine", |image| {
        program(image, &Program::of(AARCH64));
    }),
    image("IMG-042", Warning, "programs beside it are for another machine", |image| {
        let other = Entry::program("usr/bin/ebb", Program::of(AARCH64).bytes());
        image.platforms[0].base().entries.push(other);
    }),
    image("IMG-043", Error, "a library of the program is missing", |image| {
        let entries = &mut image.platforms[0].base().entries;
        let loader = Program::of(X86_64).bytes();
        entries.push(Entry::program("usr/lib/ld-linux-x86-64.so.2", loader));
        entries.push(Entry::symlink("lib64", "usr/lib"));
        program(
            image,
            &Program {
                interpreter: Some("/lib64/ld-linux-x86-64.so.2"),
                needed: vec!["libtide.so.3"],
                ..Program::of(X86_64)
            },
        );
    }),
    image("IMG-044", Error, "the user is in no file", |image| run(image, "User", "captain".into())),
    image("IMG-044", Error, "the group is in no file", |image| {
        run(image, "User", "skipper:crew".into());
    }),
    image(
        "DEP-003",
        Warning,
        "a user by name, whom Kubernetes cannot prove not to be root",
        |image| {
            run(image, "User", "skipper:skipper".into());
        },
    ),
    image("IMG-045", Error, "the working folder is a file", |image| {
        run(image, "WorkingDir", "/srv/tide/tide.conf".into());
    }),
    image("IMG-045", Error, "the working folder would lie in a file", |image| {
        run(image, "WorkingDir", "/srv/tide/tide.conf/here".into());
    }),
    image("IMG-026", Warning, "a program runs with the rights of root", |image| {
        image.platforms[0].app().entry(PROGRAM).mode = 0o4755;
    }),
    image("IMG-030", Warning, "no file says under which terms", |image| {
        let is_terms = |entry: &Entry| {
            let path = String::from_utf8_lossy(&entry.path).to_ascii_lowercase();
            ["license", "notice", "copyright"].iter().any(|word| path.ends_with(word))
        };
        for layer in &mut image.platforms[0].layers {
            layer.entries.retain(|entry| !is_terms(entry));
        }
    }),
    image("IMG-047", Error, "an upper layer makes a folder of a link to one", |image| {
        add(image, [Entry::folder("lib"), Entry::file("lib/tide.so.1", "")]);
    }),
    image("IMG-047", Error, "a file goes through a link of the layer below", |image| {
        add(image, [Entry::file("bin/ebb", "")]);
    }),
    image("IMG-047", Warning, "an upper layer makes a file of a folder with content", |image| {
        add(image, [Entry::file("usr/share/doc/tide", "")]);
    }),
    image("IMG-023", Warning, "the distribution gets no updates", |image| {
        let text = "NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"9\"\nID=debian\n";
        image.platforms[0].base().entry("usr/lib/os-release").content = text.into();
    }),
    image("IMG-024", Warning, "OpenSSL is an old one", |image| {
        let entries = [
            Entry::folder("var"),
            Entry::folder("var/lib"),
            Entry::folder("var/lib/dpkg"),
            Entry::file(
                "var/lib/dpkg/status",
                "Package: openssl\nStatus: install ok installed\nArchitecture: amd64\n\
                 Version: 1.0.2u-1\n\n",
            ),
        ];
        image.platforms[0].base().entries.extend(entries);
    }),
];

/// Programs with an odd look; all of them start.
pub(super) const HEALTHY: &[(&str, Make)] = &[
    (
        "a program that PATH finds",
        Make::Image(|image| {
            add(image, [Entry::symlink("usr/bin/start", "../../srv/tide/tided")]);
            run(image, "Entrypoint", json!(["start"]));
        }),
    ),
    (
        "a program of the group's",
        Make::Image(|image| {
            let entry = image.platforms[0].app().entry(PROGRAM);
            (entry.mode, entry.owner) = (0o750, (0, 1200));
        }),
    ),
    (
        "a script with its shell",
        Make::Image(|image| {
            shell(image);
            start(image, "#!/usr/bin/tide-sh\nexec /srv/tide/tided\n");
        }),
    ),
    (
        "a user by number and a group by name",
        Make::Image(|image| run(image, "User", "1200:skipper".into())),
    ),
    (
        "a user that no file has, by number",
        Make::Image(|image| run(image, "User", "4711:4711".into())),
    ),
    (
        "a working folder that is made",
        Make::Image(|image| run(image, "WorkingDir", "/var/tide".into())),
    ),
    (
        "a library beside the program",
        Make::Image(|image| {
            let entries = &mut image.platforms[0].base().entries;
            let loader = Program::of(X86_64).bytes();
            entries.push(Entry::program("usr/lib/ld-linux-x86-64.so.2", &loader));
            entries.push(Entry::file("usr/lib/libtide.so.3", &loader));
            entries.push(Entry::symlink("lib64", "usr/lib"));
            program(
                image,
                &Program {
                    interpreter: Some("/lib64/ld-linux-x86-64.so.2"),
                    needed: vec!["libtide.so.3"],
                    ..Program::of(X86_64)
                },
            );
        }),
    ),
];

/// Adds entries to the upper layer of linux/amd64.
fn add<const N: usize>(image: &mut Handmade, entries: [Entry; N]) {
    image.platforms[0].app().entries.extend(entries);
}

/// Adds a layer on top of linux/amd64.
pub(super) fn add_layer(image: &mut Handmade, layer: Layer) {
    let platform = &mut image.platforms[0];
    platform.layers.push(layer);
    let history = platform.config.get_mut("history").and_then(Value::as_array_mut).unwrap();
    history.push(json!({ "created": "2026-03-01T08:00:00Z", "created_by": "RUN more" }));
}

/// Another program in the place of the old one.
fn program(image: &mut Handmade, program: &Program) {
    image.platforms[0].app().entry(PROGRAM).content = program.bytes();
}

/// A script as the started program.
fn start(image: &mut Handmade, text: &str) {
    add(image, [Entry::program("srv/tide/start", text)]);
    let run = image.platforms[0].run();
    set(run, "Entrypoint", json!(["/srv/tide/start"]));
}

/// Adds a shell.
fn shell(image: &mut Handmade) {
    let shell = Entry::program("usr/bin/tide-sh", Program::of(X86_64).bytes());
    image.platforms[0].base().entries.push(shell);
}
