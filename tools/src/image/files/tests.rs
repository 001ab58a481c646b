#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use super::*;
use FileKind::{Folder, HardLink, Symlink};

fn file(path: &str) -> NewFile<'_> {
    NewFile { path: path.as_bytes(), ..NewFile::default() }
}

fn sized(path: &str, size_bytes: u64) -> NewFile<'_> {
    NewFile { size_bytes, ..file(path) }
}

fn folder(path: &str) -> NewFile<'_> {
    NewFile { kind: Folder, mode: 0o755, ..file(path) }
}

fn link<'a>(path: &'a str, target: &'a str) -> NewFile<'a> {
    NewFile { kind: Symlink, link: target.as_bytes(), ..file(path) }
}

fn hard<'a>(path: &'a str, target: &'a str) -> NewFile<'a> {
    NewFile { kind: HardLink, link: target.as_bytes(), ..file(path) }
}

fn layer(entries: &[NewFile<'_>]) -> Arc<LayerFiles> {
    let mut builder = LayerFilesBuilder::new();
    for entry in entries {
        builder.push(entry);
    }
    Arc::new(builder.finish())
}

fn merged(layers: &[&[NewFile<'_>]]) -> FileView {
    let layers: Vec<_> = layers.iter().map(|entries| layer(entries)).collect();
    FileView::merge(&layers)
}

/// Every path but the root, a folder with a slash, a link with its target, each with its layer.
fn shown(view: &FileView) -> Vec<String> {
    let files = view.iter().filter(|file| !file.path().is_empty());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let one = |file: File<'_>| match file.kind() {
        Folder => format!("{}/ {}", text(file.path()), file.layer()),
        Symlink => format!("{} -> {} {}", text(file.path()), text(file.link()), file.layer()),
        _ => format!("{} {}", text(file.path()), file.layer()),
    };
    files.map(one).collect()
}

#[test]
fn names_are_paths_in_the_root_however_they_are_spelled() {
    for (spelled, path) in [
        ("./a/b", "a/b"),
        ("/a//b/", "a/b"),
        ("a/../b", "b"),
        ("../../x", "x"),
        ("a./b/.", "a./b"),
        ("..x/...", "..x/..."),
        (".", ""),
        ("./", ""),
        ("", ""),
        (" a", " a"),
    ] {
        assert_eq!(clean(spelled.as_bytes()), path.as_bytes(), "{spelled}");
    }
}

#[test]
fn folders_that_only_a_name_implies_are_there() {
    let view = merged(&[&[file("a/b/c"), file("a-b")]]);
    assert_eq!(shown(&view), ["a/ 0", "a/b/ 0", "a/b/c 0", "a-b 0"]);
    assert_eq!((view.get(b"/a/b").unwrap().mode(), view.layers()[0].len()), (0o755, 2));
    assert_eq!(view.layers()[0].entries().count(), 2);
}

#[test]
fn whiteouts_take_away_what_lies_below_and_nothing_of_their_own_layer() {
    let lower: &[_] = &[folder("d"), file("d/old"), folder("e"), file("e/old"), file("f")];
    let cases: [(&[NewFile<'_>], &[&str]); 7] = [
        (&[file(".wh.d"), file("e/.wh.old"), file(".wh.f")], &["e/ 0"]),
        (&[file("d/.wh..wh..opq"), file("d/new")], &["d/ 0", "d/new 1", "e/ 0", "e/old 0", "f 0"]),
        (&[file("d/new"), file("d/.wh..wh..opq")], &["d/ 0", "d/new 1", "e/ 0", "e/old 0", "f 0"]),
        // A folder after its whiteout brings the old ones back, as docker and podman have it.
        (
            &[file(".wh.d"), folder("d/"), file("d/new")],
            &["d/ 1", "d/new 1", "d/old 0", "e/ 0", "e/old 0", "f 0"],
        ),
        (
            &[file(".wh.f"), folder("f/"), file("f/new")],
            &["d/ 0", "d/old 0", "e/ 0", "e/old 0", "f/ 1", "f/new 1"],
        ),
        (
            &[file(".wh.gone"), file(".wh..wh.plnk"), file(".wh.")],
            &["d/ 0", "d/old 0", "e/ 0", "e/old 0", "f 0"],
        ),
        (&[file(".wh..wh..opq"), file("n")], &["n 1"]),
    ];
    for (upper, expected) in cases {
        assert_eq!(shown(&merged(&[lower, upper])), expected, "{upper:?}");
    }
    // Files a middle layer took away do not come back.
    let view = merged(&[lower, &[file(".wh.d")], &[folder("d"), file("d/new")]]);
    assert_eq!(shown(&view)[..2], ["d/ 2", "d/new 2"]);
    assert!(view.get(b"d/old").is_none() && view.replacements().is_empty());
}

#[test]
fn what_replaces_a_link_or_a_full_folder_is_named() {
    let lower: &[_] =
        &[link("lib", "usr/lib"), file("usr/lib/x"), folder("etc"), file("etc/y"), folder("srv")];
    let upper: &[_] = &[file("lib/new"), file("etc"), file("srv"), link("usr", "opt")];
    let view = merged(&[lower, upper]);
    assert_eq!(shown(&view), ["etc 1", "lib/ 1", "lib/new 1", "srv 1", "usr -> opt 1"]);
    let named: Vec<_> = view
        .replacements()
        .iter()
        .map(|at| (at.path.as_ref(), at.lower_kind, at.upper_kind, at.is_implied))
        .collect();
    assert_eq!(
        named,
        [
            (b"etc".as_slice(), Folder, FileKind::File, false),
            (b"lib".as_slice(), Symlink, Folder, true),
            (b"usr".as_slice(), Folder, Symlink, false),
        ]
    );
    assert_eq!((view.replacements()[0].lower_layer, view.replacements()[0].upper_layer), (0, 1));
}

#[test]
fn entries_below_a_link_of_their_own_layer_lie_where_it_leads() {
    let view = merged(&[&[
        file("usr/lib/a"),
        link("lib", "/usr/lib"),
        file("lib/f"),
        link("up", "../../lib"),
        file("up/g"),
        hard("h", "up/f"),
    ]]);
    assert!(view.get(b"usr/lib/f").is_some() && view.get(b"usr/lib/g").is_some());
    assert_eq!(view.get(b"lib").unwrap().kind(), Symlink);
    assert_eq!(view.follow(b"/lib/f").unwrap().path(), b"usr/lib/f");
    assert_eq!(view.get(b"h").unwrap().kind(), FileKind::File);
    let circle = merged(&[&[link("a", "a/b"), file("a/c")]]);
    assert_eq!(shown(&circle), ["a -> a/b 0"]);
}

#[test]
fn hard_links_are_the_file_that_they_are_another_name_of() {
    let lower: &[_] = &[sized("bin/a", 7), hard("bin/b", "./bin/a"), hard("bin/c", "/bin/b")];
    let upper: &[_] = &[hard("d", "bin/c"), hard("later", "x"), file("x"), file("bin/.wh.a")];
    let view = merged(&[lower, upper]);
    let of = |path: &str| view.get(path.as_bytes()).map(|file| (file.size_bytes(), file.layer()));
    assert_eq!(of("bin/b"), Some((7, 0)));
    assert_eq!(of("bin/c"), Some((7, 0)));
    assert_eq!(of("d"), Some((7, 1)), "a file of a lower layer");
    assert_eq!(of("later"), None, "its target comes after it");
    assert_eq!(of("bin/a"), None);
    assert_eq!(view.get(b"d").unwrap().path(), b"d");
}

#[test]
fn links_are_followed_inside_the_root() {
    let view = merged(&[&[
        sized("usr/bin/python3.11", 9),
        link("usr/bin/python3", "python3.11"),
        link("bin", "usr/bin"),
        link("top", "/../../../bin/../bin/python3"),
        link("loop", "pool"),
        link("pool", "/loop"),
        link("gone", "usr/nothing/x"),
    ]]);
    assert_eq!(view.follow(b"/bin/python3").unwrap().size_bytes(), 9);
    assert_eq!(view.follow(b"top").unwrap().path(), b"usr/bin/python3.11");
    assert_eq!(view.follow(b"/").unwrap().kind(), Folder);
    assert!(matches!(view.follow(b"loop/x"), Err(BrokenPath::Loop(_))));
    assert_eq!(view.follow(b"gone").unwrap_err(), BrokenPath::Missing(b"usr/nothing".to_vec()));
    assert_eq!(
        view.follow(b"bin/python3/x").unwrap_err(),
        BrokenPath::NotAFolder(b"usr/bin/python3.11".to_vec())
    );
    assert!(view.follow(b"bin/python3/").is_err());
}

#[test]
fn children_are_those_of_the_folder_alone() {
    let view = merged(&[&[
        file("a/b/c/d"),
        file("a/b/c/e"),
        file("a/b.c"),
        file("a/x"),
        file("ab"),
        folder("empty"),
    ]]);
    let children = |path: &[u8]| -> Vec<String> {
        view.children(path).map(|at| String::from_utf8(at.path().to_vec()).unwrap()).collect()
    };
    assert_eq!(children(b"/a/"), ["a/b", "a/b.c", "a/x"]);
    assert_eq!(children(b""), ["a", "ab", "empty"]);
    assert!(children(b"empty").is_empty() && children(b"nothing").is_empty());
}

#[test]
fn a_layer_that_could_not_be_read_leaves_a_view_incomplete() {
    let unread = Arc::new(LayerFiles::unread());
    let view = FileView::merge(&[layer(&[file("a")]), unread, layer(&[file("b")])]);
    assert!(!view.is_complete());
    assert_eq!(shown(&view), ["a 0", "b 2"]);
    assert!(merged(&[&[file("a")]]).is_complete());
    assert!(FileView::merge(&[]).follow(b"/").is_ok());
}

#[test]
fn content_belongs_to_the_entry_before_it() {
    let mut builder = LayerFilesBuilder::new();
    builder.push(&sized("etc/passwd", 5));
    builder.content(FileContent::of_text("root:"));
    builder.push(&sized("a.sh", 9));
    builder.content(FileContent { magic: Magic::Script(b"/bin/sh".as_slice().into()), text: None });
    builder.push(&file("none"));
    builder.push(&hard("b.sh", "a.sh"));
    let view = FileView::merge(&[Arc::new(builder.finish())]);
    let magic = |path: &[u8]| view.get(path).unwrap().content().magic.clone();
    assert_eq!(
        view.get(b"etc/passwd").unwrap().content().text.as_deref(),
        Some(b"root:".as_slice())
    );
    assert_eq!(magic(b"b.sh"), Magic::Script(b"/bin/sh".as_slice().into()));
    assert_eq!((magic(b"none"), magic(b"etc")), (Magic::Empty, Magic::Other));
}

#[test]
fn what_engines_do_not_make_the_same_of_is_named() {
    let odd = |layers: &[&[NewFile<'_>]]| -> Vec<(OddityKind, Vec<u8>, usize)> {
        let view = merged(layers);
        view.oddities().iter().map(|at| (at.kind, at.path.to_vec(), at.layer)).collect()
    };
    let lower: &[_] = &[folder("d"), file("d/old"), link("lib", "usr/lib")];
    let upper: &[_] = &[file(".wh.d"), folder("d"), file("d/new"), file("lib/f")];
    assert_eq!(
        odd(&[lower, upper]),
        [(OddityKind::Revived, b"d".to_vec(), 1), (OddityKind::ThroughLink(0), b"lib".to_vec(), 1),]
    );
    let opaque: &[_] = &[file(".wh.d"), folder("d"), file("d/.wh..wh..opq")];
    assert_eq!(odd(&[lower, opaque]), []);
    // Nothing to hide: a ghost in a folder of one layer, and no oddity in a merged folder.
    let upper: &[_] = &[folder("new"), file("new/.wh.x"), file("d/.wh.y")];
    assert_eq!(odd(&[lower, upper]), [(OddityKind::Ghost, b"new/x".to_vec(), 1)]);
    assert_eq!(odd(&[lower, &[file(".wh.d")]]), []);
}
