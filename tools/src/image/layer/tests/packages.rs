//! Debian packages: `dpkg-deb` builds them, and `dpkg -x` is the reference for their unpacked
//! files.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::tars::told;
use super::*;

/// Whether there is no `dpkg-deb` here, said loudly.
fn has_no_dpkg() -> bool {
    let found = Command::new("dpkg-deb").arg("--version").output().is_ok();
    if !found {
        eprintln!("SKIPPED: packages are built by dpkg-deb, which is not installed");
    }
    !found
}

impl Bench {
    /// Builds a package of the folder `NAME/`.
    fn build(&self, name: &str, architecture: &str, compression: &str) {
        let control = format!(
            "Package: {name}\nVersion: 1:2.0-1\nArchitecture: {architecture}\nSource: src-{name} (2.0)\n\
             Maintainer: Ann <ann@registry.example>\nSection: misc\nDescription: waves\n of text\n"
        );
        self.file(&format!("{name}/DEBIAN/control"), &control, 0o644);
        self.file(&format!("{name}/DEBIAN/md5sums"), "00  usr/x\n", 0o644);
        let built = Command::new("dpkg-deb")
            .arg(format!("-Z{compression}"))
            .args(["--build", name, &format!("{name}.deb")])
            .env("SOURCE_DATE_EPOCH", PACKED.to_string())
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    }

    /// A package with one file.
    fn small(&self, name: &str, file: &str) {
        self.file(&format!("{name}/{file}"), name, 0o644);
        self.build(name, "all", "gzip");
    }

    fn run(&self, program: &str, args: &[&str]) {
        let done = Command::new(program).args(args).current_dir(self.folder.path()).output();
        let done = done.unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}

/// The time of everything in a package.
const PACKED: i64 = 1_700_000_000;

/// A time after the packing is the moment of the unpacking, at which tar makes a climbing link in a folder.
fn time(seconds: i64) -> String {
    if seconds > PACKED { "unpacked".to_owned() } else { seconds.to_string() }
}

/// Everything below a folder: kind, mode, owner, time, link, content; and the names of one file.
fn tree(root: &Path) -> BTreeMap<String, String> {
    fn walk(root: &Path, at: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let mut told = format!(
                "{:o} {}:{} {}",
                metadata.mode(),
                metadata.uid(),
                metadata.gid(),
                time(metadata.mtime())
            );
            if metadata.is_symlink() {
                write!(told, " -> {}", fs::read_link(&path).unwrap().display()).unwrap();
            } else if metadata.is_file() {
                write!(told, " x{} {:?}", metadata.nlink(), fs::read(&path).unwrap()).unwrap();
            }
            found.insert(path.strip_prefix(root).unwrap().display().to_string(), told);
            if metadata.is_dir() {
                walk(root, &path, found);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(root, root, &mut found);
    found
}

#[test]
fn a_package_becomes_what_dpkg_unpacks_in_every_compression() {
    if has_no_dpkg() || is_skipped("the owners of files") {
        return;
    }
    let bench = Bench::new();
    bench.file("tide/usr/bin/tide", "program", 0o4755);
    bench.file("tide/etc/tide/with space", "conf", 0o640);
    bench.file(
        "tide/usr/share/doc/tide/copyright",
        "Format: copyright-format/1.0\n\nFiles: *\nLicense: MIT\n\nLicense: GPL-2+\n text\n",
        0o644,
    );
    bench.file(&format!("tide/usr/share/{}/{}", "n".repeat(120), "m".repeat(120)), "long", 0o644);
    bench.file("tide/usr/lib/large", &"large ".repeat(50_000), 0o444);
    bench.dir("tide/var/spool/tide", 0o3770);
    bench.link("../share/doc", "tide/usr/bin/link");
    fs::hard_link(bench.path("tide/usr/bin/tide"), bench.path("tide/usr/bin/again")).unwrap();
    chown(bench.path("tide/var/spool/tide"), Some(1), Some(12)).unwrap();
    for compression in ["gzip", "xz", "zstd", "none"] {
        bench.build("tide", "all", compression);
        bench.run("dpkg", &["-x", "tide.deb", &format!("by-dpkg-{compression}")]);
        let layer = json!({"deb": "tide.deb", "dpkgStatus": false});
        fs::write(bench.path("layer.tar"), bench.tar(layer.clone())).unwrap();
        let ours = format!("by-us-{compression}");
        bench.dir(&ours, 0o755);
        // Without -P, tar makes climbing links at the end, and so changes the times of folders.
        bench.run("tar", &["-xPpf", "layer.tar", "--numeric-owner", "-C", &ours]);
        let expected = tree(&bench.path(&format!("by-dpkg-{compression}")));
        assert!(expected.len() > 12);
        assert_eq!(tree(&bench.path(&ours)), expected, "{compression}");
        let prepared = bench.prepare(layer).unwrap();
        let [package] = prepared.packages() else { panic!("one package") };
        assert_eq!(package.path, "tide.deb");
        assert_eq!(package.size_bytes, fs::metadata(bench.path("tide.deb")).unwrap().len());
        assert_eq!(
            (package.control.name.as_str(), package.control.version.as_str()),
            ("tide", "1:2.0-1")
        );
        assert_eq!(package.control.source, "src-tide");
        assert!(package.copyright.as_ref().is_some_and(|text| text.starts_with(b"Format:")));
        prepared.check_platform(&"linux/amd64".parse().unwrap()).unwrap();
    }
}

#[test]
fn packages_respect_a_merged_usr_and_folders_that_are_there() {
    if has_no_dpkg() {
        return;
    }
    let mut bench = Bench::new();
    bench.dir("base/usr/lib", 0o755);
    bench.dir("base/usr/bin", 0o711);
    bench.dir("base/opt", 0o700);
    bench.link("usr/lib", "base/lib");
    bench.link("usr/bin", "base/bin");
    bench.below(json!({"dir": "base", "modes": "kept", "owner": "5:6"}));
    bench.file("tide/lib/x86/libtide.so", "lib", 0o644);
    bench.file("tide/bin/tide", "bin", 0o755);
    bench.file("tide/opt/tide", "opt", 0o644);
    bench.file("tide/lib/x86/first", "two names", 0o644);
    fs::hard_link(bench.path("tide/lib/x86/first"), bench.path("tide/bin/second")).unwrap();
    bench.build("tide", "all", "xz");
    let tar = bench.tar(json!({"deb": "tide.deb", "dpkgStatus": false}));
    let mut paths: Vec<String> = entry_lines(&tar);
    paths.sort_unstable();
    assert_eq!(
        paths,
        [
            "opt/ 700 5:6",
            "opt/tide 644 0:0",
            "usr/ 755 5:6",
            "usr/bin/ 711 5:6",
            "usr/bin/second 644 0:0 file",
            "usr/bin/tide 755 0:0",
            "usr/lib/ 755 5:6",
            "usr/lib/x86/ 755 0:0",
            "usr/lib/x86/first 644 0:0 = usr/bin/second",
            "usr/lib/x86/libtide.so 644 0:0",
        ]
        .map(|line| line.replace(" file", ""))
    );
    // The same with a link of an earlier input of the same layer.
    bench.lower.clear();
    bench.link("usr/lib", "links/lib");
    let tar = bench.tar(json!({"inputs": [{"dir": "links"}, {"deb": "tide.deb"}]}));
    let paths = entry_lines(&tar);
    assert!(paths.contains(&"usr/lib/x86/libtide.so 644 0:0".to_owned()), "{paths:?}");
    assert!(!paths.iter().any(|path| path.starts_with("lib/")), "{paths:?}");
}

/// Path, mode, owner and link, without owners of this machine's user.
fn entry_lines(tar: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(tar);
    let lines = archive.entries().unwrap().map(|entry| {
        let entry = entry.unwrap();
        let header = entry.header();
        let mut told = format!(
            "{} {:o} {}:{}",
            String::from_utf8_lossy(&entry.path_bytes()),
            header.mode().unwrap(),
            header.uid().unwrap(),
            header.gid().unwrap()
        );
        if let Some(link) = entry.link_name_bytes() {
            write!(told, " = {}", String::from_utf8_lossy(&link)).unwrap();
        }
        told
    });
    lines.collect()
}

#[test]
fn scanners_find_packages_unless_the_offer_says_otherwise() {
    if has_no_dpkg() {
        return;
    }
    let bench = Bench::new();
    bench.small("tide", "usr/share/tide");
    bench.small("ebb", "usr/share/ebb");
    let layer = json!({"deb": ["tide.deb", "*.deb"]});
    let prepared = bench.prepare(layer.clone()).unwrap();
    let names: Vec<&str> = prepared.packages().iter().map(|at| at.control.name.as_str()).collect();
    assert_eq!(names, ["ebb", "tide"]);
    let tar = bench.tar(layer);
    let mut archive = tar::Archive::new(tar.as_slice());
    let mut texts = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        assert!(texts.insert(path, text).is_none(), "each path once");
    }
    let text = &texts["var/lib/dpkg/status.d/tide"];
    let listed =
        crate::image::packages::read(crate::image::packages::Manager::Dpkg, text.as_bytes());
    assert_eq!((listed[0].name.as_str(), listed[0].version.as_str()), ("tide", "1:2.0-1"));
    assert_eq!(texts["var/lib/dpkg/status.d/ebb.md5sums"], "00  usr/x\n");
    assert_eq!(texts["usr/share/ebb"], "ebb");
    let without = bench.tar(json!({"deb": "*.deb", "dpkgStatus": false}));
    assert!(!entry_lines(&without).iter().any(|line| line.contains("dpkg")));
}

#[test]
fn patterns_find_files_in_order_and_say_when_there_are_none() {
    let bench = Bench::new();
    for path in ["pool/b/x.deb", "pool/a/y.deb", "pool/a/deep/z.deb", "w.deb", "pool/a/y.txt"] {
        bench.file(path, "", 0o644);
    }
    let found = |patterns: serde_json::Value| {
        let layer: Layer = serde_json::from_value(json!({"deb": patterns})).unwrap();
        let LayerInput::Deb(input) = &layer.inputs[0] else { panic!("it is one of packages") };
        let found = debian::find(bench.folder.path(), input);
        found.map(|found| found.into_iter().map(|(name, _)| name).collect::<Vec<_>>())
    };
    assert_eq!(found(json!("*.deb")).unwrap(), ["w.deb"]);
    assert_eq!(found(json!("pool/*/*.deb")).unwrap(), ["pool/a/y.deb", "pool/b/x.deb"]);
    assert_eq!(
        found(json!(["w.deb", "./pool/**/*.deb"])).unwrap(),
        ["pool/a/deep/z.deb", "pool/a/y.deb", "pool/b/x.deb", "w.deb"]
    );
    let error = found(json!(["w.deb", "debs/*.deb"])).unwrap_err().to_string();
    assert!(error.starts_with("nothing matches ") && error.contains("debs/*.deb"), "{error}");
    let error = found(json!("gone.deb")).unwrap_err().to_string();
    assert!(error.ends_with("gone.deb does not exist; build it first"), "{error}");
}

#[test]
fn packages_that_do_not_fit_together_or_the_machine_are_told() {
    if has_no_dpkg() {
        return;
    }
    let bench = Bench::new();
    bench.small("tide", "usr/share/same");
    bench.small("ebb", "usr/share/same");
    let error = bench.error(json!({"deb": "*.deb"}));
    assert!(
        error.starts_with(
            "`usr/share/same` comes twice, from `deb ebb.deb` and from `deb tide.deb`"
        ),
        "{error}"
    );
    fs::copy(bench.path("tide.deb"), bench.path("tide2.deb")).unwrap();
    let error = bench.error(json!({"deb": "tide*.deb", "exclude": ["usr"]}));
    assert_eq!(error, "the package tide comes twice, from tide.deb and tide2.deb; leave one out");
    for (architecture, platform, runs) in [
        ("amd64", "linux/amd64", true),
        ("amd64", "linux/arm64", false),
        ("armhf", "linux/arm/v7", true),
        ("armhf", "linux/arm/v6", false),
        ("i386", "linux/386", true),
        ("all", "linux/riscv64", true),
    ] {
        bench.file("flow/usr/share/flow", "x", 0o644);
        bench.build("flow", architecture, "none");
        let prepared = bench.prepare(json!({"deb": "flow.deb"})).unwrap();
        let checked = prepared.check_platform(&platform.parse().unwrap());
        assert_eq!(checked.is_ok(), runs, "{architecture} on {platform}");
        if let Err(error) = checked {
            let expected = format!(
                "flow.deb is for the architecture {architecture}, and this image for {platform}"
            );
            assert_eq!(error.to_string(), expected);
        }
    }
}

#[test]
fn what_a_package_must_not_hold_is_an_error() {
    let bench = Bench::new();
    let deb = |data: &[u8]| {
        let control = super::tars::raw(&[(
            b'0',
            "control",
            "",
            b"Package: p\nVersion: 1\nArchitecture: all\n",
        )]);
        let mut bytes = crate::image::ar::MAGIC.to_vec();
        for (name, content) in
            [("debian-binary", b"2.0\n".as_slice()), ("control.tar", &control), ("data.tar", data)]
        {
            let size = content.len();
            bytes.extend(
                format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, 644).bytes(),
            );
            bytes.extend_from_slice(content);
        }
        fs::write(bench.path("p.deb"), bytes).unwrap();
    };
    for (entries, message) in [
        (vec![(b'3', "dev/null", "", b"".as_slice())], "is a device or a named pipe"),
        (vec![(b'0', "usr/../../x", "", b"")], "leaves the root of the archive"),
        (
            vec![(b'1', "l", "/etc/passwd", b"")],
            "is a hard link to `etc/passwd`, which the layer does",
        ),
        (vec![(b'0', "usr/.wh.x", "", b"")], "`usr/.wh.x` begins with `.wh.`"),
        (vec![(b'0', "f", "", b""), (b'0', "f", "", b"")], "`f` comes twice"),
    ] {
        deb(&super::tars::raw(&entries));
        let error = bench.error(json!({"deb": "p.deb"}));
        assert!(error.contains(message), "{error}");
    }
    deb(&super::tars::raw(&[(b'0', "f", "", b"x")])[..400]);
    let error = bench.error(json!({"deb": "p.deb"}));
    assert!(error.contains("p.deb cannot be unpacked: its `data.tar` is no tar"), "{error}");
    deb(&super::tars::raw(&[(b'0', "./f", "", b"x")]));
    assert_eq!(told(&bench.tar(json!({"deb": "p.deb", "dpkgStatus": false}))), ["f 4711 3:4 x"]);
    fs::write(bench.path("p.deb"), b"PK\x03\x04").unwrap();
    let error = bench.error(json!({"deb": "p.deb"}));
    assert!(
        error.ends_with("it is not a Debian package: it does not begin as an ar archive"),
        "{error}"
    );
}
