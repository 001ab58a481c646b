//! Sources other than images, and sources with only the look of an image.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use wharf_testkit::handmade::{Entry, Handmade, Packing};
use wharf_testkit::images::sha256;

use super::{archived, run_on};
use crate::corpus::run::in_parallel;
use crate::fixture::noise;

/// A source named by mistake, or made to do harm.
struct Bad {
    what: &'static str,
    /// Makes it in an empty folder.
    make: fn(&Path),
    /// The named target.
    target: &'static str,
    code: i32,
    /// A part of the message.
    says: &'static str,
}

const BAD: &[Bad] = &[
    Bad { what: "nothing", make: |_| (), target: "x", code: 2, says: "does not exist" },
    Bad {
        what: "an empty file",
        make: |at| fs::write(at.join("x"), []).unwrap(),
        target: "x",
        code: 2,
        says: "x",
    },
    Bad {
        what: "noise",
        make: |at| fs::write(at.join("x"), noise(9, 100_000)).unwrap(),
        target: "x",
        code: 2,
        says: "x",
    },
    Bad {
        what: "an archive that breaks off",
        make: |at| {
            let whole = healthy_archive(at);
            fs::write(at.join("x"), &whole[..whole.len() / 2]).unwrap();
        },
        target: "x",
        code: 2,
        says: "damaged",
    },
    Bad {
        what: "an archive in gzip that breaks off",
        make: |at| {
            let whole = Packing::Gzip.pack(&healthy_archive(at)).unwrap();
            fs::write(at.join("x"), &whole[..whole.len() / 2]).unwrap();
        },
        target: "x",
        code: 2,
        says: "x",
    },
    Bad {
        what: "an archive in zstd that breaks off",
        make: |at| {
            let whole = Packing::Zstd.pack(&healthy_archive(at)).unwrap();
            fs::write(at.join("x"), &whole[..whole.len() / 2]).unwrap();
        },
        target: "x",
        code: 2,
        says: "x",
    },
    Bad {
        what: "an archive that age encrypted",
        make: |at| {
            let head = "age-encryption.org/v1\n-> X25519 nothing\nbm90aGluZw\n--- bm90aGluZw\n";
            fs::write(at.join("x"), [head.as_bytes(), &noise(3, 5_000)].concat()).unwrap();
        },
        target: "x",
        code: 2,
        says: "x",
    },
    Bad {
        what: "an archive that GnuPG encrypted",
        // A packet of a session key, then one of encrypted data (RFC 9580 §5).
        make: |at| {
            let head = [0x84, 0x0c, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 0, 0xd2, 0xea];
            fs::write(at.join("x"), [head.as_slice(), &noise(4, 5_000)].concat()).unwrap();
        },
        target: "x",
        code: 2,
        says: "x",
    },
    Bad {
        what: "a named pipe that nobody writes to",
        make: |at| pipe(&at.join("x")),
        target: "x",
        code: 2,
        says: "x",
    },
    Bad {
        what: "a device without an end",
        make: |_| (),
        target: "/dev/zero",
        code: 2,
        says: "/dev/zero",
    },
    Bad {
        what: "a device without a byte",
        make: |_| (),
        target: "/dev/null",
        code: 2,
        says: "/dev/null",
    },
    Bad {
        what: "a layout whose index is a named pipe",
        make: |at| {
            Handmade::healthy().write(at).unwrap();
            fs::remove_file(at.join("index.json")).unwrap();
            pipe(&at.join("index.json"));
        },
        target: ".",
        code: 2,
        says: "index.json",
    },
    Bad {
        what: "a layout with a named pipe for a layer",
        make: |at| {
            let written = Handmade::healthy().write(at).unwrap();
            fs::remove_file(written.layer(0, 0)).unwrap();
            pipe(&written.layer(0, 0));
        },
        target: ".",
        code: 1,
        says: "not a regular file",
    },
    Bad {
        what: "a layout whose blobs are a link to elsewhere",
        make: |at| {
            Handmade::healthy().write(at).unwrap();
            fs::rename(at.join("blobs"), at.join("other")).unwrap();
            std::os::unix::fs::symlink("other", at.join("blobs")).unwrap();
        },
        target: ".",
        code: 1,
        says: "IMG-003",
    },
    Bad {
        what: "an index that is too large",
        make: |at| {
            Handmade::healthy().write(at).unwrap();
            fs::write(at.join("index.json"), " ".repeat(5 << 20)).unwrap();
        },
        target: ".",
        code: 2,
        says: "larger than",
    },
    Bad {
        what: "an index that is nested too deep to be read",
        make: |at| {
            Handmade::healthy().write(at).unwrap();
            fs::write(at.join("index.json"), "[".repeat(1 << 20)).unwrap();
        },
        target: ".",
        code: 2,
        says: "index.json",
    },
    Bad {
        what: "an index that lists itself",
        make: |at| {
            Handmade::healthy().write(at).unwrap();
            let name = sha256(b"itself");
            let itself = index(&[entry(&name, 400)]);
            fs::write(blob(at, &name), format!("{itself:<400}")).unwrap();
            fs::write(at.join("index.json"), index(&[entry(&name, 400)]).to_string()).unwrap();
        },
        target: ".",
        code: 1,
        says: "IMG-003",
    },
    Bad {
        what: "five thousand images that are not there",
        make: |at| {
            Handmade::healthy().write(at).unwrap();
            let gone: Vec<Value> =
                (0..5_000).map(|number: u32| entry(&sha256(&number.to_be_bytes()), 7)).collect();
            fs::write(at.join("index.json"), index(&gone).to_string()).unwrap();
        },
        target: ".",
        code: 1,
        says: "more than",
    },
    Bad {
        what: "a layer that says nothing for 300 MiB",
        make: |at| {
            let mut image = Handmade::healthy_alone();
            let layer = image.platforms[0].app();
            layer.entries.push(Entry::file("srv/tide/sea", vec![0; 300 << 20]));
            layer.pack(Packing::Zstd);
            image.write(at).unwrap();
        },
        target: ".",
        code: 0,
        says: "passed",
    },
    Bad {
        what: "an entry with a name of 64 MiB",
        make: |at| {
            let mut image = Handmade::healthy_alone();
            let mut long = Entry::new(b'L', "././@LongLink");
            long.content = vec![b'a'; 64 << 20];
            image.platforms[0].app().entries.extend([long, Entry::file("a", "")]);
            image.write(at).unwrap();
        },
        target: ".",
        code: 1,
        says: "IMG-032",
    },
    Bad {
        what: "twenty thousand files with long names",
        make: |at| {
            let mut image = Handmade::healthy_alone();
            let names = (0..20_000).map(|number| format!("srv/{number:080}"));
            let files = names.map(|name| Entry::file(name, ""));
            image.platforms[0].app().entries.extend(files);
            image.write(at).unwrap();
        },
        target: ".",
        code: 0,
        says: "passed",
    },
    Bad {
        what: "half a gigabyte of nothing in gzip",
        make: |at| {
            let members = Packing::Gzip.pack(&vec![0; 32 << 20]).unwrap().repeat(16);
            fs::write(at.join("x.tar.gz"), members).unwrap();
        },
        target: "x.tar.gz",
        code: 2,
        says: "x.tar.gz",
    },
];

#[test]
fn what_is_no_image_is_said_to_be_none_and_what_is_too_much_is_left() {
    let wrong = in_parallel(&BAD.iter().collect::<Vec<_>>(), |_, bad| {
        let folder = TempDir::with_prefix("bad-").unwrap();
        (bad.make)(folder.path());
        let target = folder.path().join(bad.target);
        let ended = run_on(["verify".as_ref(), target.as_os_str()], Stdio::null(), folder.path());
        let text = ended.text();
        let fits = ended.code == Some(bad.code) && text.contains(bad.says);
        (!fits).then(|| format!("{}: {:?}, said {text}", bad.what, ended.code))
    });
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_missing_target_does_not_lose_the_report_of_the_others() {
    let folder = TempDir::with_prefix("bad-").unwrap();
    let at = |name: &str| folder.path().join(name);
    Handmade::healthy().write(&at("good")).unwrap();
    let mut broken = Handmade::healthy();
    broken.on_folder = |written| fs::remove_file(written.layer(0, 1));
    broken.write(&at("broken")).unwrap();
    let targets = [at("gone"), at("good"), at("broken")];
    let arguments = ["verify", "--output-format", "json"].iter().map(Into::into);
    let arguments = arguments.chain(targets.iter().map(|at| at.as_os_str().to_owned()));
    let ended = run_on(arguments, Stdio::null(), folder.path());
    let text = ended.text();
    assert_ne!(ended.code, Some(0), "{text}");
    assert!(text.contains("gone"), "{text}");
    assert!(text.contains("IMG-003"), "{text}");
    assert!(text.contains("good"), "{text}");
}

#[test]
fn what_may_not_be_read_is_said_to_be_so() {
    let folder = TempDir::with_prefix("bad-").unwrap();
    let file = folder.path().join("x");
    fs::write(&file, healthy_archive(folder.path())).unwrap();
    // Root may read every file, so a file without rights proves nothing here. A folder in the place
    // of the marker is unreadable for every user.
    Handmade::healthy().write(&folder.path().join("layout")).unwrap();
    let marker = folder.path().join("layout/oci-layout");
    fs::remove_file(&marker).unwrap();
    fs::create_dir(&marker).unwrap();
    let layout = folder.path().join("layout");
    let ended = run_on(["verify".as_ref(), layout.as_os_str()], Stdio::null(), folder.path());
    assert_eq!(ended.code, Some(2), "{}", ended.text());
    assert!(ended.text().contains("oci-layout"), "{}", ended.text());
}

fn healthy_archive(at: &Path) -> Vec<u8> {
    let layout = at.join("layout");
    Handmade::healthy().write(&layout).unwrap();
    let archive = archived(&layout);
    fs::remove_dir_all(layout).unwrap();
    archive
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn blob(layout: &Path, digest: &str) -> std::path::PathBuf {
    layout.join("blobs").join(digest.replacen(':', "/", 1))
}

fn entry(digest: &str, size: u64) -> Value {
    json!({
        "mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest, "size": size,
    })
}

fn index(entries: &[Value]) -> Value {
    json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": entries,
    })
}
