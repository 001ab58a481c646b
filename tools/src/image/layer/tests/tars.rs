//! Tars as they stand, and written anew.

use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::process::Command;

use proptest::prelude::*;
use serde_json::json;
use tar::EntryType;

use super::*;
use crate::image::facts::EngineRefusal;
use crate::image::tar_rules::EntryRules;
use crate::image::tar_walk::TarWalk;

const MTIME: u64 = 1_700_000_007;

/// An entry: type flag, path, link, content.
type New<'a> = (u8, &'a str, &'a str, &'a [u8]);

/// A tar of these entries, header by header, so nothing about them is cleaned.
pub(super) fn raw(entries: &[New<'_>]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (flag, path, link, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(EntryType::new(*flag));
        header.set_mode(if *flag == b'5' { 0o750 } else { 0o4711 });
        header.set_uid(3);
        header.set_gid(4);
        header.set_mtime(MTIME);
        header.set_size(content.len() as u64);
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        tar.extend_from_slice(header.as_bytes());
        tar.extend_from_slice(content);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

impl Bench {
    fn put(&self, path: &str, bytes: &[u8]) {
        fs::write(self.path(path), bytes).unwrap();
    }

    /// The entries of the layer of a tar: path, mode, owner, link or content.
    fn anew(&self, layer: serde_json::Value) -> Vec<String> {
        told(&self.tar(layer))
    }
}

/// Each entry in a line; times are as the archive has them, or those of the image.
pub(super) fn told(tar: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(tar);
    let lines = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        let header = entry.header();
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let (mode, uid) = (header.mode().unwrap(), header.uid().unwrap());
        let mut text = format!("{path} {mode:o} {uid}:{}", header.gid().unwrap());
        if let Some(link) = entry.link_name_bytes() {
            let arrow = if header.entry_type().is_hard_link() { "=" } else { "->" };
            write!(text, " {arrow} {}", String::from_utf8_lossy(&link)).unwrap();
        }
        if !content.is_empty() {
            write!(text, " {content}").unwrap();
        }
        if header.mtime().unwrap() != MTIME {
            assert_eq!(header.mtime().unwrap(), 1_793_491_200);
            text += " created";
        }
        text
    });
    lines.collect()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    liblzma::bufread::XzEncoder::new(bytes, 1).read_to_end(&mut out).unwrap();
    out
}

#[test]
fn a_tar_is_the_layer_however_it_is_compressed_and_whatever_its_name() {
    let bench = Bench::new();
    let tar = raw(&[(b'5', "./", "", b""), (b'0', "../up", "", b"x"), (b'0', "/abs", "", b"y")]);
    let halves = tar.split_at(700);
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9];
    for packed in [
        tar.clone(),
        gzip(&tar),
        [gzip(halves.0), gzip(halves.1), gzip(b""), vec![0; 100]].concat(),
        zstd(&tar),
        [&skippable[..], &zstd(halves.0), &skippable, &zstd(halves.1)].concat(),
        xz(&tar),
        [xz(halves.0), vec![0; 4], xz(halves.1)].concat(),
    ] {
        bench.put("name.zip", &packed);
        assert!(bench.tar(json!({"tar": "name.zip"})) == tar);
        let error = bench.error(json!({"tar": "name.zip", "into": "/"}));
        assert!(error.contains("`../up` of") && error.contains("leaves the root"), "{error}");
    }
}

#[test]
fn what_is_no_tar_is_told_in_words() {
    let bench = Bench::new();
    let tar = raw(&[(b'0', "a", "", b"x")]);
    let told = |bytes: &[u8]| {
        bench.put("x", bytes);
        let whole = |error: LayerError| {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            format!("{error}: {}", source.unwrap_or_default())
        };
        let plain = whole(bench.prepare(json!({"tar": "x"})).unwrap_err());
        let anew = whole(bench.prepare(json!({"tar": "x", "into": "/"})).unwrap_err());
        assert_eq!(plain, anew);
        plain
    };
    assert!(told(b"text").contains("is not a tar, plain or compressed"));
    assert!(told(&tar[..400]).contains("is not a tar"));
    let packed = gzip(&tar);
    assert!(told(&packed[..packed.len() - 3]).ends_with("it ends in the middle"));
    assert!(told(&[packed, vec![7; 9]].concat()).ends_with("other bytes stand behind it"));
    assert!(told(b"BZh91AY&SY").contains("bzip2, which is not read; compress it with"));
}

#[test]
fn what_engines_refuse_is_named_with_what_mends_it() {
    let bench = Bench::new();
    let advice = "`into: /` beside `tar` writes the tar anew";
    for (entries, mended) in [
        (vec![(b'7', "f", "", b"x".as_slice())], Some(vec!["f 4711 3:4 x"])),
        (
            vec![(b'1', "l", "f", b""), (b'0', "f", "", b"x")],
            Some(vec!["f 4711 3:4 x", "l 4711 3:4 = f"]),
        ),
        (
            vec![(b'5', "d/", "", b""), (b'0', "d/f", "", b"x"), (b'5', "./d", "", b"")],
            Some(vec!["d/ 750 3:4", "d/f 4711 3:4 x"]),
        ),
        (vec![(b'0', "f", "", b"x"), (b'0', "./f", "", b"y")], None),
        (vec![(b'5', "f", "", b""), (b'0', "f", "", b"y")], None),
        (vec![(b'1', "l", "gone", b"")], None),
        (vec![(b'Z', "z", "", b"")], None),
        (vec![(b'0', "f", "", b""), (b'0', ".wh.f", "", b"")], None),
        (vec![(b'5', "d", "", b""), (b'1', "l", "d", b"")], None),
    ] {
        bench.put("x.tar", &raw(&entries));
        let error = bench.error(json!({"tar": "x.tar"}));
        assert_eq!(error.contains(advice), mended.is_some(), "{entries:?}: {error}");
        if let Some(lines) = mended {
            assert_eq!(bench.anew(json!({"tar": "x.tar", "into": "/"})), lines);
        } else {
            let error = bench.error(json!({"tar": "x.tar", "into": "/"}));
            assert!(error.contains('`'), "{error}");
        }
    }
}

#[test]
fn entries_keep_what_they_have_and_go_where_they_are_sent() {
    let bench = Bench::new();
    bench.put(
        "x.tar",
        &raw(&[
            (b'5', "./", "", b""),
            (b'0', "bin/run", "", b"x"),
            (b'1', "bin/again", "./bin/run", b""),
            (b'2', "bin/link", "/bin/run", b""),
            (b'3', "dev", "", b""),
            (b'6', "pipe", "", b""),
            (b'5', "bin", "", b""),
            (b'0', "etc/.wh.gone", "", b""),
            (b'0', "etc/skip.pyc", "", b"z"),
        ]),
    );
    assert_eq!(
        bench.anew(json!({"tar": "x.tar", "into": "/opt/app", "exclude": ["*.pyc", "never"]})),
        [
            "opt/ 755 0:0 created",
            "opt/app/ 750 3:4",
            "opt/app/bin/ 750 3:4",
            "opt/app/bin/run 4711 3:4 x",
            "opt/app/bin/again 4711 3:4 = opt/app/bin/run",
            "opt/app/bin/link 4711 3:4 -> /bin/run",
            "opt/app/dev 4711 3:4",
            "opt/app/pipe 4711 3:4",
            "opt/app/etc/ 755 0:0 created",
            "opt/app/etc/.wh.gone 4711 3:4",
        ]
    );
    let notes = bench.notes(json!({"tar": "x.tar", "exclude": ["*.pyc", "never"]}));
    assert_eq!(notes, ["x.tar: `exclude` never matches nothing"]);
    assert_eq!(
        bench.anew(json!({"tar": "x.tar", "owner": "7:8", "include": ["bin"]})),
        [
            "bin/ 750 7:8",
            "bin/run 4711 7:8 x",
            "bin/again 4711 7:8 = bin/run",
            "bin/link 4711 7:8 -> /bin/run",
        ]
    );
    // The only name in the layer has the content, and folders are as the tar lists them.
    for (only, line) in [("bin/again", "bin/again 4711 3:4 x"), ("bin/run", "bin/run 4711 3:4 x")] {
        let entries = bench.anew(json!({"tar": "x.tar", "include": [only]}));
        assert_eq!(entries, ["bin/ 750 3:4", line]);
    }
}

#[test]
fn attributes_stay_at_every_name_of_a_file() {
    let bench = Bench::new();
    let record = b"39 SCHILY.xattr.security.capability=\x01\x02\n";
    let tar = raw(&[(b'x', "pax", "", record), (b'0', "f", "", b"x"), (b'1', "l", "f", b"")]);
    bench.put("x.tar", &tar);
    let tar = bench.tar(json!({"tar": "x.tar", "into": "/"}));
    let mut found = Vec::new();
    TarWalk::new()
        .update(&tar, &mut |entry| {
            found.push((entry.path.to_vec(), entry.attributes.to_vec()));
            ControlFlow::Continue(())
        })
        .unwrap();
    let attributes = vec![(b"security.capability".to_vec(), b"\x01\x02".to_vec())];
    assert_eq!(found, [(b"f".to_vec(), attributes.clone()), (b"l".to_vec(), attributes)]);
}

#[test]
fn sparse_files_of_every_form_are_expanded() {
    let bench = Bench::new();
    let file = fs::File::create(bench.path("holes")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"end", 300_000).unwrap();
    let expected = fs::read(bench.path("holes")).unwrap();
    for form in ["gnu", "0.0", "0.1", "1.0"] {
        let version = format!("--sparse-version={form}");
        let format =
            if form == "gnu" { ["--format=gnu", "-S"] } else { ["--format=posix", &version] };
        let made = Command::new("tar")
            .args(format)
            .args(["--sparse", "-cf", "x.tar", "holes"])
            .current_dir(bench.folder.path())
            .status();
        assert!(made.unwrap().success());
        let tar = bench.tar(json!({"tar": "x.tar", "into": "/data"}));
        let mut archive = tar::Archive::new(tar.as_slice());
        let mut entries = archive.entries().unwrap();
        assert!(entries.next().unwrap().unwrap().path().unwrap().ends_with("data"));
        let mut entry = entries.next().unwrap().unwrap();
        assert_eq!(entry.path_bytes().as_ref(), b"data/holes", "{form}");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        assert!(content == expected, "{form}");
        let as_it_stands = bench.prepare(json!({"tar": "x.tar"}));
        assert_eq!(as_it_stands.is_err(), form == "gnu", "{form}");
    }
}

#[test]
fn a_global_header_is_noted_and_left_out_when_the_tar_is_written_anew() {
    let bench = Bench::new();
    let comment = b"16 comment=abcd\n";
    bench.put("x.tar", &raw(&[(b'g', "pax_global_header", "", comment), (b'0', "f", "", b"x")]));
    let notes = bench.notes(json!({"tar": "x.tar"}));
    assert!(notes[0].contains("a global PAX header, which umoci refuses"), "{notes:?}");
    assert!(bench.notes(json!({"tar": "x.tar", "into": "/"})).is_empty());
    assert_eq!(bench.anew(json!({"tar": "x.tar", "into": "/"})), ["f 4711 3:4 x"]);
}

#[test]
fn entries_are_led_through_the_links_of_lower_layers() {
    let mut bench = Bench::new();
    bench.dir("base/usr/lib", 0o711);
    bench.dir("base/srv", 0o700);
    bench.link("usr/lib", "base/lib");
    bench.below(json!({"dir": "base", "modes": "kept"}));
    bench.put("x.tar", &raw(&[(b'5', "lib", "", b""), (b'0', "lib/x", "", b"x")]));
    assert_eq!(
        bench.anew(json!({"tar": "x.tar", "into": "/"})),
        ["usr/ 755 0:0 created", "usr/lib/ 711 0:0 created", "usr/lib/x 4711 3:4 x"]
    );
    bench.put("x.tar", &raw(&[(b'0', "srv", "", b"x")]));
    let error = bench.error(json!({"tar": "x.tar", "into": "/"}));
    assert!(error.starts_with("`srv` is a folder of layer 1 (dir lower1)"), "{error}");
}

#[test]
fn links_to_links_come_after_what_they_lead_to() {
    let bench = Bench::new();
    let entries: &[New<'_>] =
        &[(b'1', "c", "b", b""), (b'1', "b", "a", b""), (b'0', "a", "", b"x")];
    bench.put("x.tar", &raw(entries));
    let tar = bench.tar(json!({"tar": "x.tar", "into": "/o"}));
    let mut archive = tar::Archive::new(tar.as_slice());
    let names: Vec<String> = archive
        .entries()
        .unwrap()
        .map(|entry| String::from_utf8(entry.unwrap().path_bytes().into_owned()).unwrap())
        .collect();
    assert_eq!(names, ["o/", "o/a", "o/b", "o/c"]);
    bench.put("x.tar", &raw(&entries[..2]));
    let error = bench.error(json!({"tar": "x.tar", "into": "/o"}));
    assert!(error.contains("hard link"), "{error}");
}

#[test]
fn what_may_be_less_than_was_meant_is_told() {
    let bench = Bench::new();
    let whole = raw(&[(b'0', "a", "", b"x")]);
    let told = |bytes: &[u8], key: &str| {
        bench.put("x.tar", bytes);
        let layer = match key {
            "" => json!({"tar": "x.tar"}),
            key => json!({"tar": "x.tar", key: "/"}),
        };
        bench.notes(layer).join("; ")
    };
    for key in ["", "into"] {
        assert_eq!(told(&whole, key), "");
        let cut = &whole[..whole.len() - 1024];
        assert!(told(cut, key).contains("no end-of-archive record"));
        let joined = [whole.as_slice(), &whole].concat();
        assert!(told(&joined, key).contains("`tar -A` joins them"));
        assert!(told(&[gzip(&whole), gzip(&whole)].concat(), key).contains("behind its end"));
        // tar fills its last block with zeros.
        assert_eq!(told(&[whole.clone(), vec![0; 9000]].concat(), key), "");
    }
}

#[test]
fn a_tar_that_would_make_something_else_of_what_lies_below_is_refused() {
    let mut bench = Bench::new();
    bench.file("lower0/usr/bin/tool", "tool", 0o755);
    bench.file("lower0/etc/conf/a", "a", 0o644);
    bench.link("usr/bin", "lower0/bin");
    bench.below(json!({"dir": "lower0"}));
    let file: &[u8] = b"z";
    let cases: [(&[New<'_>], &str); 3] = [
        (&[(b'5', "bin/", "", b""), (b'0', "bin/z", "", file)], "`bin` is a symbolic link of"),
        (&[(b'0', "bin/z", "", file)], "`bin` is a symbolic link of"),
        (&[(b'0', "etc", "", file)], "`etc` is a folder of"),
    ];
    for (entries, expected) in cases {
        bench.put("x.tar", &raw(entries));
        let error = bench.error(json!({"tar": "x.tar"}));
        assert!(error.contains(expected) && error.contains("layer 1"), "{error}");
        assert!(error.contains("`into: /`"), "{error}");
    }
    // Beside the existing files it goes in.
    bench.put("x.tar", &raw(&[(b'0', "usr/bin/z", "", file)]));
    assert!(bench.prepare(json!({"tar": "x.tar"})).is_ok());
}

#[test]
fn what_is_removed_and_made_anew_in_one_tar_is_refused() {
    let mut bench = Bench::new();
    bench.file("lower0/usr/bin/tool", "tool", 0o755);
    bench.link("usr/bin", "lower0/bin");
    bench.below(json!({"dir": "lower0"}));
    for removed in ["bin", "usr/bin"] {
        let (folder, name) = removed.rsplit_once('/').unwrap_or(("", removed));
        let whiteout = format!("{folder}/.wh.{name}");
        let entry = format!("{removed}/n");
        let whiteout = whiteout.trim_start_matches('/');
        bench.put("x.tar", &raw(&[(b'0', whiteout, "", b""), (b'0', &entry, "", b"n")]));
        let error = bench.error(json!({"tar": "x.tar", "into": "/"}));
        assert!(error.contains(&entry) && error.contains("a layer of its own"), "{error}");
        bench.put("x.tar", &raw(&[(b'0', whiteout, "", b""), (b'0', "else", "", b"n")]));
        assert!(bench.prepare(json!({"tar": "x.tar", "into": "/"})).is_ok());
    }
}

#[test]
fn names_that_leave_the_root_and_other_lies_are_errors() {
    let bench = Bench::new();
    let long = "n/".repeat(49);
    let records = [
        b"12 path=a\0b\n".as_slice(),
        b"44 GNU.sparse.size=9999999999999999999999\n",
        b"62 GNU.sparse.map=0,9\n21 GNU.sparse.size=4\n",
    ];
    for (entries, message) in [
        (vec![(b'0', "../up", "", b"".as_slice())], "leaves the root of the archive by `..`"),
        (vec![(b'0', "a/..", "", b"")], "has the name of the root, and is no folder"),
        (vec![(b'0', "a/../../up", "", b"")], "leaves the root of the archive"),
        (vec![(b'0', "f", "", b""), (b'1', "l", "../f", b"")], "is a hard link to what leaves"),
        (vec![(b'2', "l", "", b"")], "is a symbolic link to no usable name"),
        (vec![(b'x', "p", "", records[0]), (b'0', "f", "", b"")], "has no usable name"),
        (vec![(b'x', "p", "", records[1]), (b'0', "f", "", b"")], "extended header"),
        (vec![(b'x', "p", "", records[2]), (b'0', "f", "", b"")], "extended header"),
        (vec![(b'S', "f", "", b"xyz")], "is a sparse file that has not as many bytes"),
        (vec![(b'0', "f", "", b""), (b'0', "f/x", "", b"")], "`f` is a file of `tar x.tar`"),
        (vec![(b'2', "a", "b", b""), (b'2', "b", "a", b""), (b'0', "a/x", "", b"")], "more links"),
        (vec![(b'0', &long, "", b"")], ""),
    ] {
        bench.put("x.tar", &raw(&entries));
        match bench.prepare(json!({"tar": "x.tar", "into": "/"})) {
            Err(error) => assert!(error.to_string().contains(message), "{error} / {message}"),
            Ok(_) => assert!(message.is_empty(), "{message}"),
        }
    }
}

#[test]
fn a_bomb_of_a_sparse_file_is_told_before_anything_is_written() {
    let bench = Bench::new();
    let records =
        b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n37 GNU.sparse.realsize=9000000000000\n";
    let content = [b"0\n".as_slice(), &[0; 510]].concat();
    bench.put("x.tar", &raw(&[(b'x', "p", "", records), (b'0', "f", "", &content)]));
    let error = bench.error(json!({"tar": "x.tar", "into": "/"}));
    assert!(error.contains("has more than 68719476736 bytes of content"), "{error}");
}

#[test]
fn a_tar_that_changes_after_it_was_looked_at_is_an_error() {
    let bench = Bench::new();
    let before = raw(&[(b'0', "f", "", b"x"), (b'0', "g", "", b"y")]);
    for (at, flip) in [(512, 1_u8), (1537, 1), (0, b'f' ^ b'h')] {
        for layer in [json!({"tar": "x.tar"}), json!({"tar": "x.tar", "into": "/"})] {
            bench.put("x.tar", &before);
            let prepared = bench.prepare(layer).unwrap();
            let mut after = before.clone();
            after[at] ^= flip;
            bench.put("x.tar", &after);
            let error = prepared.write(&mut io::sink()).unwrap_err();
            assert!(matches!(error, LayerError::Changed { .. } | LayerError::NotATar { .. }));
            bench.put("x.tar", &before[..1000]);
            assert!(prepared.write(&mut io::sink()).is_err());
        }
    }
}

#[test]
fn tars_and_folders_share_a_layer() {
    let bench = Bench::new();
    bench.file("app/etc/mine", "m", 0o644);
    bench.put("x.tar", &raw(&[(b'0', "etc/x", "", b"x"), (b'0', "usr/x", "", b"x")]));
    let tar = bench.tar(json!({"inputs": [{"dir": "app"}, {"tar": "x.tar"}]}));
    assert_eq!(
        told(&tar),
        [
            "etc/ 755 0:0 created",
            "etc/mine 644 0:0 m created",
            "etc/x 4711 3:4 x",
            "usr/ 755 0:0 created",
            "usr/x 4711 3:4 x"
        ]
    );
    let error = bench.error(json!({"inputs": [{"tar": "x.tar"}, {"tar": "x.tar"}]}));
    assert!(error.starts_with("`etc/x` comes twice, from `tar x.tar` and from"), "{error}");
}

proptest! {
    #[test]
    fn what_is_written_anew_is_refused_by_no_engine(
        entries in prop::collection::vec(
            (prop::sample::select(b"01257S".to_vec()), "[ab]{1,2}(/[ab.]{1,2}){0,2}", "[ab](/[ab])?"),
            0..8,
        ),
        into in prop::sample::select(vec!["/", "/a/b"]), exclude in "[ab]",
    ) {
        let entries: Vec<New<'_>> = entries
            .iter()
            .map(|(flag, path, link)| (*flag, path.as_str(), link.as_str(), b"".as_slice()))
            .collect();
        let bench = Bench::new();
        bench.put("x.tar", &raw(&entries));
        let layer = json!({"tar": "x.tar", "into": into, "exclude": [exclude]});
        if let Ok(prepared) = bench.prepare(layer) {
            let mut tar = Vec::new();
            prepared.write(&mut tar).unwrap();
            let mut rules = EntryRules::default();
            let mut refused = None;
            let mut count = 0;
            TarWalk::new()
                .update(&tar, &mut |entry| {
                    count += 1;
                    let verdict = rules.judge(entry).filter(|at| at.refusal != EngineRefusal::None);
                    refused = refused.take().or(verdict);
                    ControlFlow::Continue(())
                })
                .unwrap();
            prop_assert_eq!(refused, None);
            prop_assert_eq!(count, prepared.files().entries().count());
        }
    }
}
