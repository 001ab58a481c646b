//! Images made by hand, compared.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use wharf_oci::{Algorithm, Descriptor, Digest, Digester, MediaType};

use super::text::{DiffForm, image as written, release};
use super::*;
use crate::image::config::{Empty, ImageConfig};
use crate::image::facts::LayerFacts;
use crate::image::files::{
    FileContent, FileKind, FileView, LayerFiles, LayerFilesBuilder, NewFile,
};
use crate::output::Paint;

const fn read_from<'a>(location: &'a str, images: &'a BTreeMap<String, ImageFacts>) -> Release<'a> {
    Release { location, images }
}

fn digest(of: &str) -> Digest {
    let mut digester = Digester::new(Algorithm::Sha256);
    digester.update(of.as_bytes());
    digester.finish().digest
}

fn descriptor(of: &str, size: u64) -> Descriptor {
    let media_type: MediaType = "application/vnd.oci.image.layer.v1.tar+gzip".parse().unwrap();
    Descriptor::new(media_type, digest(of), size)
}

/// The content a test puts into a file.
struct Put {
    path: &'static str,
    new: NewFile<'static>,
    content: Option<FileContent>,
    hash: u8,
}

fn put(path: &'static str, hash: u8) -> Put {
    let new = NewFile { path: path.as_bytes(), size_bytes: 4, ..NewFile::default() };
    Put { path, new, content: None, hash }
}

fn text_file(path: &'static str, text: &'static str) -> Put {
    let mut put = put(path, 0);
    put.new.size_bytes = text.len() as u64;
    put.content = Some(FileContent::of_text(text));
    put
}

fn layer(files: Vec<Put>) -> Arc<LayerFiles> {
    let mut layer = LayerFilesBuilder::new();
    for file in files {
        layer.push(&NewFile { path: file.path.as_bytes(), ..file.new });
        if let Some(content) = file.content {
            layer.content(content);
        }
        if file.hash != 0 {
            layer.content_hash([file.hash; 16]);
        }
    }
    Arc::new(layer.finish())
}

/// An image for one platform, with these layers (name, size, files) over one another.
fn image(architecture: &str, layers: Vec<(&str, u64, Vec<Put>)>) -> PlatformImage {
    let mut config = ImageConfig {
        os: "linux".to_owned(),
        architecture: architecture.to_owned(),
        ..ImageConfig::default()
    };
    let (mut facts, mut files) = (Vec::new(), Vec::new());
    let mut name = architecture.to_owned();
    for (layer_name, size, content) in layers {
        config.rootfs.diff_ids.push(digest(&format!("tar of {layer_name}")));
        let descriptor = descriptor(layer_name, size);
        facts.push(LayerFacts { descriptor, uncompressed_bytes: Some(size * 2) });
        files.push(layer(content));
        name.push_str(layer_name);
    }
    PlatformImage {
        descriptor: descriptor(&name, 7),
        config: Some(config),
        config_descriptor: None,
        annotations: std::collections::BTreeMap::new(),
        layers: facts,
        files: Some(Arc::new(FileView::merge(&files))),
    }
}

fn facts(images: Vec<PlatformImage>) -> ImageFacts {
    ImageFacts { location: "out/a".to_owned(), images, ..ImageFacts::default() }
}

fn compared(before: Vec<Put>, after: Vec<Put>) -> PlatformDiff {
    let before = facts(vec![image("amd64", vec![("one", 10, before)])]);
    let after = facts(vec![image("amd64", vec![("two", 20, after)])]);
    let mut diff = images(&before, &after, ListBounds::default());
    assert!(!diff.is_equal());
    diff.platforms.remove(0)
}

#[test]
fn an_image_is_equal_to_itself() {
    let one = facts(vec![image("amd64", vec![("x", 1, vec![put("a", 1)])])]);
    let diff = images(&one, &one, ListBounds::default());
    assert!(diff.is_equal());
    assert!(diff.platforms[0].files.as_ref().unwrap().is_empty());
    let text = written(&diff, DiffForm::Text(Paint::PLAIN));
    assert!(text.contains("linux/amd64: equal"), "{text}");
}

#[test]
fn platforms_are_matched_and_others_came_or_went() {
    let before = facts(vec![image("amd64", vec![]), image("arm64", vec![])]);
    let mut v8 = image("arm64", vec![("x", 1, vec![])]);
    v8.config.as_mut().unwrap().variant = Some("v8".to_owned());
    let after = facts(vec![v8, image("riscv64", vec![])]);
    let diff = images(&before, &after, ListBounds::default());
    assert_eq!(diff.platforms.len(), 1);
    assert_eq!(diff.platforms[0].after.platform, "linux/arm64/v8");
    assert_eq!(diff.platforms_removed[0].platform, "linux/amd64");
    assert_eq!(diff.platforms_added[0].platform, "linux/riscv64");
}

#[test]
fn two_single_images_are_compared_whatever_their_platforms() {
    let before = facts(vec![image("amd64", vec![])]);
    let diff = images(&before, &facts(vec![image("arm64", vec![])]), ListBounds::default());
    assert_eq!(diff.platforms.len(), 1);
    let changes = &diff.platforms[0].configuration.items;
    assert_eq!(changes[0].key, "architecture");
}

#[test]
fn files_come_go_and_change() {
    let mut moded = put("mode", 1);
    moded.new.mode = 0o600;
    let mut owned = put("owner", 1);
    owned.new.owner = (7, 8);
    let mut grown = put("size", 2);
    grown.new.size_bytes = 5;
    let link = |target: &'static str| {
        let mut link = put("link", 0);
        link.new.kind = FileKind::Symlink;
        link.new.link = target.as_bytes();
        link.new.size_bytes = 0;
        link
    };
    let mut folder = put("kind", 0);
    folder.new.kind = FileKind::Folder;
    let same = |path| put(path, 1);
    let before = ["content", "gone", "kind", "mode", "owner", "same", "size"].map(same);
    let before = before.into_iter().chain([link("a"), put("unknown", 0)]).collect();
    let after = vec![
        put("content", 2),
        folder,
        moded,
        owned,
        same("same"),
        grown,
        link("b"),
        put("unknown", 0),
        put("new", 3),
    ];
    let files = compared(before, after).files.unwrap();
    let paths = |files: &BoundedList<FileSummary>| {
        files.items.iter().map(|file| file.path.clone()).collect::<Vec<_>>()
    };
    assert_eq!(paths(&files.added), ["new"]);
    assert_eq!(paths(&files.removed), ["gone"]);
    let changed = files.changed.items.iter();
    let changed: Vec<_> = changed.map(|file| (file.after.path.as_str(), &*file.differs)).collect();
    let expected: Vec<(&str, &[&str])> = vec![
        ("content", &["content"]),
        ("kind", &["kind"]),
        ("link", &["link"]),
        ("mode", &["mode"]),
        ("owner", &["owner"]),
        ("size", &["size"]),
    ];
    assert_eq!(changed, expected);
    assert_eq!(files.contents_unknown, 1);
}

#[test]
fn the_same_layer_holds_the_same_files() {
    let shared = || ("shared", 5, vec![put("a", 0)]);
    let before = facts(vec![image("amd64", vec![shared()])]);
    let after = facts(vec![image("amd64", vec![shared(), ("top", 1, vec![put("b", 0)])])]);
    let diff = images(&before, &after, ListBounds::default()).platforms.remove(0);
    let files = diff.files.unwrap();
    assert_eq!((files.contents_unknown, files.changed.total(), files.added.total()), (0, 0, 1));
    assert_eq!((diff.layers.shared, diff.layers.shared_bytes, diff.layers.added_bytes), (1, 5, 1));
    assert_eq!(diff.layers.added.items[0].number, 2);
}

#[test]
fn a_layer_that_was_compressed_anew_is_told_from_a_new_one() {
    let one = facts(vec![image("amd64", vec![("x", 5, vec![])])]);
    let mut other = one.clone();
    other.images[0].layers[0].descriptor = descriptor("x again", 4);
    other.images[0].descriptor = descriptor("other", 1);
    let layers = images(&one, &other, ListBounds::default()).platforms.remove(0).layers;
    assert_eq!((layers.recompressed.total(), layers.added.total(), layers.shared), (1, 0, 0));
    assert_eq!(layers.added_bytes, 4);
}

#[test]
fn packages_of_every_manager_are_compared() {
    let dpkg = |version: &'static str| text_file("var/lib/dpkg/status", version);
    let old = "Package: a\nVersion: 1.9\n\nPackage: b\nVersion: 2\n\nPackage: c\nVersion: 1\n";
    let new = "Package: a\nVersion: 1.10\n\nPackage: b\nVersion: 1\n\nPackage: d\nVersion: 1\n";
    let apk = text_file("lib/apk/db/installed", "P:musl\nV:1.2\nA:x\n\n");
    let record = text_file("var/lib/dpkg/status.d/tz", "Package: tz\nVersion: 7\n");
    let diff = compared(vec![dpkg(old), record], vec![dpkg(new), apk]);
    let packages = diff.packages.unwrap();
    let lines: Vec<String> = packages
        .items
        .iter()
        .map(|package| format!("{} {}", package.name, package.change.as_str()))
        .collect();
    let expected =
        ["a upgraded", "b downgraded", "c removed", "d added", "tz removed", "musl added"];
    assert_eq!(lines, expected);
}

#[test]
fn the_configuration_is_compared_value_by_value() {
    let before = facts(vec![image("amd64", vec![])]);
    let mut after = before.clone();
    after.images[0].descriptor = descriptor("other", 1);
    let start = &mut after.images[0].config.as_mut().unwrap().config;
    start.user = "7".to_owned();
    start.env = vec!["A=1".to_owned(), "B".to_owned()];
    start.exposed_ports.insert("80/tcp".to_owned(), Empty {});
    start.volumes.insert("/data".to_owned(), Empty {});
    start.entrypoint = vec!["/x".to_owned(), "y z".to_owned()];
    start.healthcheck.test = vec!["NONE".to_owned()];
    start.labels.insert("a".to_owned(), "b".to_owned());
    let diff = images(&before, &after, ListBounds::default()).platforms.remove(0);
    let keys: Vec<&str> = diff.configuration.items.iter().map(|it| it.key.as_str()).collect();
    let expected = [
        "entrypoint",
        "env.A",
        "env.B",
        "healthcheck",
        "labels.a",
        "ports.80/tcp",
        "user",
        "volumes./data",
    ];
    assert_eq!(keys, expected);
    assert_eq!(diff.configuration.items[0].after.as_deref(), Some("[\"/x\",\"y z\"]"));
    assert!(diff.configuration.items.iter().all(|it| it.before.is_none()));
}

#[test]
fn lists_end_and_say_what_is_left_out() {
    let many = facts(vec![image("amd64", vec![])]);
    let mut more = many.clone();
    more.images[0].descriptor = descriptor("other", 1);
    let env = (0..LISTED_MAX + 3).map(|number| format!("V{number}=x")).collect();
    more.images[0].config.as_mut().unwrap().config.env = env;
    let diff = images(&many, &more, ListBounds::default());
    let listed = &diff.platforms[0].configuration;
    assert_eq!((listed.items.len(), listed.left_out), (LISTED_MAX, 3));
    assert!(written(&diff, DiffForm::Markdown).contains("3 more; --all"));
    let all = images(&many, &more, ListBounds::ALL);
    assert_eq!(all.platforms[0].configuration.items.len(), LISTED_MAX + 3);
}

#[test]
fn files_that_were_not_read_are_not_called_equal() {
    let before = facts(vec![image("amd64", vec![("x", 1, vec![])])]);
    let mut after = before.clone();
    after.images[0].descriptor = descriptor("other", 1);
    after.images[0].files = Some(Arc::new(FileView::merge(&[Arc::new(LayerFiles::unread())])));
    let diff = images(&before, &after, ListBounds::default());
    assert_eq!(diff.platforms[0].files, None);
    assert!(written(&diff, DiffForm::Text(Paint::PLAIN)).contains("not compared"));
}

#[test]
fn hostile_names_are_inert_in_every_form() {
    let evil = "a\u{1b}[2J\n```\n# h\u{202e}<img src=x>`";
    let mut before = facts(vec![image("amd64", vec![])]);
    before.location = format!("`` {evil}");
    let mut after = before.clone();
    after.images[0].descriptor = descriptor("other", 1);
    let config = after.images[0].config.as_mut().unwrap();
    config.architecture = evil.to_owned();
    config.config.user = evil.to_owned();
    config.config.env = vec![format!("{evil}={evil}")];
    let diff = images(&before, &after, ListBounds::default());
    let plans = std::collections::BTreeMap::from([(evil.to_owned(), before.clone())]);
    let none = std::collections::BTreeMap::new();
    let whole = releases(read_from(evil, &plans), read_from("b", &none), ListBounds::default());
    for form in [DiffForm::Text(Paint::PLAIN), DiffForm::Markdown] {
        for text in [written(&diff, form), release(&whole, form)] {
            assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
            let fences = text.lines().filter(|line| line.starts_with("```")).count();
            let opened = text.lines().filter(|line| *line == "```diff").count();
            assert_eq!(fences, 2 * opened, "{text}");
            assert!(text.lines().all(|line| !line.starts_with("# h")), "{text}");
        }
    }
}

#[test]
fn releases_are_matched_by_plan() {
    let one = facts(vec![image("amd64", vec![])]);
    let of = |plans: &[&str]| plans.iter().map(|plan| ((*plan).to_owned(), one.clone())).collect();
    let diff = releases(
        read_from("a", &of(&["x", "y"])),
        read_from("b", &of(&["y", "z"])),
        ListBounds::default(),
    );
    assert_eq!(
        (diff.plans_removed.as_slice(), diff.plans_added.as_slice()),
        (["x".to_owned()].as_slice(), ["z".to_owned()].as_slice())
    );
    assert_eq!(diff.images[0].plan.as_deref(), Some("y"));
    assert!(!diff.is_equal() && diff.images[0].is_equal());
}
