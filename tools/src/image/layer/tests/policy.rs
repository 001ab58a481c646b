//! Permission bits, owners, attributes, order and time.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixListener;

use proptest::prelude::*;
use rustix::fs::XattrFlags;
use serde_json::json;

use super::*;

#[test]
fn bits_are_those_that_git_keeps_and_special_ones_are_told_of() {
    let bench = Bench::new();
    for (name, mode) in [("a", 0o600), ("b", 0o700), ("c", 0o677), ("d", 0o4711), ("e", 0o666)] {
        bench.file(&format!("root/{name}"), name, mode);
    }
    bench.dir("root/tmp", 0o1777);
    bench.dir("root/deep", 0o700);
    bench.link("../etc//x", "root/z");
    let layer = json!({"dir": "root"});
    assert_eq!(
        bench.entries(layer.clone()),
        [
            "a 644 0:0",
            "b 755 0:0",
            "c 644 0:0",
            "d 755 0:0",
            "deep/ 755 0:0",
            "e 644 0:0",
            "tmp/ 755 0:0",
            "z 777 0:0 -> ../etc//x"
        ]
    );
    assert_eq!(
        bench.notes(layer),
        ["root: 2 paths (`d`, `tmp`) without setuid, setgid and sticky; `modes: kept` keeps them"]
    );
    let kept = json!({"dir": "root", "modes": "kept", "owner": "7:8"});
    assert_eq!(
        bench.entries(kept.clone())[..5],
        ["a 600 7:8", "b 700 7:8", "c 677 7:8", "d 4711 7:8", "deep/ 700 7:8"]
    );
    assert_eq!(bench.notes(kept), Vec::<String>::new());
}

#[test]
fn into_owner_and_exclude_are_kept_and_the_order_is_that_of_the_bytes() {
    let bench = Bench::new();
    for name in ["a/z", "a-b", "a/deep/x", "b.pyc", "a/c.pyc"] {
        bench.file(&format!("root/{name}"), name, 0o644);
    }
    let layer = json!({"dir": "root", "into": "/opt/app", "owner": "7:8",
        "exclude": ["*.pyc", "a/deep"]});
    assert_eq!(
        bench.entries(layer),
        [
            "opt/ 755 0:0",
            "opt/app/ 755 7:8",
            "opt/app/a/ 755 7:8",
            "opt/app/a-b 644 7:8",
            "opt/app/a/z 644 7:8"
        ]
    );
}

#[test]
fn what_cannot_go_in_is_named() {
    let bench = Bench::new();
    bench.file("root/file", "x", 0o644);
    let missing = bench.error(json!({"dir": "gone"}));
    assert!(missing.ends_with("gone does not exist; build it first"), "{missing}");
    let file = bench.error(json!({"dir": "root/file"}));
    assert!(file.ends_with("root/file is not a folder"), "{file}");
    bench.link("loop", "loop");
    assert!(matches!(bench.prepare(json!({"dir": "loop"})), Err(LayerError::Read { .. })));
    let socket = UnixListener::bind(bench.path("root/socket")).unwrap();
    let error = bench.error(json!({"dir": "root"}));
    assert!(error.contains("root/socket is a socket"), "{error}");
    assert!(bench.prepare(json!({"dir": "root", "exclude": ["socket"]})).is_ok());
    drop(socket);
    fs::remove_file(bench.path("root/socket")).unwrap();
    bench.file("root/.wh.lib", "", 0o644);
    let error = bench.error(json!({"dir": "root"}));
    assert!(error.starts_with("`.wh.lib` begins with `.wh.`: engines would"), "{error}");
    fs::remove_file(bench.path("root/.wh.lib")).unwrap();
    let long = format!("/{}", ["d".repeat(250).as_str(); 16].join("/"));
    bench.file(&format!("root/{}", "n".repeat(200)), "", 0o644);
    let error = bench.error(json!({"dir": "root", "into": long}));
    assert!(error.contains("is too long; a path has at most 4095 bytes"), "{error}");
    let error = bench.error(json!({"dir": "root", "into": format!("/{}", "n".repeat(256))}));
    assert!(error.contains("and a name 255"), "{error}");
}

#[test]
fn odd_names_go_in_as_they_are_and_are_told_of() {
    let bench = Bench::new();
    bench.file("root/Make", "1", 0o644);
    bench.file("root/make", "2", 0o644);
    let odd = bench.path("root").join(std::ffi::OsStr::from_bytes(b"x\xff"));
    fs::write(odd, "3").unwrap();
    let layer = json!({"dir": "root"});
    let tar = bench.tar(layer.clone());
    let mut archive = tar::Archive::new(tar.as_slice());
    let names: Vec<_> =
        archive.entries().unwrap().map(|entry| entry.unwrap().path_bytes().into_owned()).collect();
    assert_eq!(names, [b"Make".as_slice(), b"make", b"x\xff"]);
    assert_eq!(
        bench.notes(layer),
        [
            "root: names that are not UTF-8 go in as they are: 1 path (`x\\xff`)",
            "root: names that differ from others only in case: 1 path (`make`)"
        ]
    );
}

/// `cap_net_bind_service+ep`, for every user namespace and for one.
const SETS: [u8; 16] = [0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

#[test]
fn capabilities_are_kept_and_other_attributes_named() {
    if is_skipped("setting capabilities") {
        return;
    }
    let bench = Bench::new();
    bench.file("root/ping", "1", 0o755);
    bench.file("root/plain", "2", 0o644);
    fs::hard_link(bench.path("root/ping"), bench.path("root/pong")).unwrap();
    let second = [&[1, 0, 0, 2], SETS.as_slice()].concat();
    let set = |path: &str, name: &str, value: &[u8]| {
        rustix::fs::setxattr(bench.path(path), name, value, XattrFlags::empty())
    };
    set("root/ping", "security.capability", &second).unwrap();
    let layer = json!({"inputs": [
        {"dir": "root"},
        {"file": "root/ping", "into": "/bin/"},
    ]});
    if set("root/plain", "user.colour", b"red").is_err() {
        eprintln!("SKIPPED: this file system has no attributes of users");
    } else {
        assert_eq!(
            bench.notes(layer.clone()),
            ["root: the extended attribute `user.colour` stays out (1 paths, first `plain`)"]
        );
    }
    let tar = bench.tar(layer);
    let mut archive = tar::Archive::new(tar.as_slice());
    let mut found = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let records = entry.pax_extensions().unwrap().into_iter().flatten().map(|record| {
            let record = record.unwrap();
            (record.key().unwrap().to_owned(), record.value_bytes().to_vec())
        });
        found.insert(path, records.collect::<Vec<_>>());
    }
    let expected = [("SCHILY.xattr.security.capability".to_owned(), second)];
    assert_eq!(found["ping"], expected);
    assert_eq!(found["bin/ping"], expected);
    assert_eq!(found["pong"], []);
    assert_eq!(found["plain"], []);
}

/// A tree: paths with their content and whether they may be run.
fn trees() -> impl Strategy<Value = BTreeMap<String, (String, bool)>> {
    let name = "[a-c]{1,2}(/[d-f.-]x?){0,3}";
    prop::collection::btree_map(name, (".{0,20}", any::<bool>()), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_tree_gives_the_same_bytes_under_any_umask_and_in_any_order_of_making(
        tree in trees(), umasks in prop::array::uniform2(prop::sample::select(vec![0_u32, 0o22, 0o77, 0o27])),
    ) {
        let made: Vec<Vec<u8>> = umasks.iter().enumerate().map(|(turn, umask)| {
            let bench = Bench::new();
            bench.dir("root", 0o777 & !umask);
            let mut paths: Vec<_> = tree.iter().collect();
            if turn == 1 {
                paths.reverse();
            }
            for (path, (content, runs)) in paths {
                if path.contains("/.") && path.split('/').any(|part| part == ".") {
                    continue;
                }
                let path = bench.path("root").join(path);
                // A path of a file of the tree cannot be a folder too.
                if tree.keys().any(|other| {
                    bench.path("root").join(other) != path && path.starts_with(bench.path("root").join(other))
                }) {
                    continue;
                }
                let mut at = bench.path("root");
                let parts: Vec<_> = path.strip_prefix(&at).unwrap().iter().collect();
                for part in &parts[..parts.len() - 1] {
                    at = at.join(part);
                    if fs::create_dir(&at).is_ok() {
                        fs::set_permissions(&at, fs::Permissions::from_mode(0o777 & !umask)).unwrap();
                    }
                }
                fs::write(&path, content).unwrap();
                let bits = if *runs { 0o777 } else { 0o666 };
                fs::set_permissions(&path, fs::Permissions::from_mode(bits & !umask)).unwrap();
            }
            bench.tar(json!({"dir": "root", "into": "/srv"}))
        }).collect();
        prop_assert!(made[0] == made[1]);
        let names = entries(&made[0]);
        let mut sorted = names.clone();
        sorted.sort_by_key(|line| line.split(' ').next().unwrap().trim_end_matches('/').to_owned());
        prop_assert_eq!(names, sorted);
    }
}
