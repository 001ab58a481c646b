#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::num::NonZeroUsize;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;

use super::*;
use crate::image::gzip::compress;
use crate::offer::layers::{DirInput, TarInput};

fn dir_layer(path: &str) -> DirInput {
    DirInput {
        path: path.parse().unwrap(),
        into: "/".parse().unwrap(),
        owner: "0:0".parse().unwrap(),
        exclude: Vec::new(),
    }
}

fn created() -> Timestamp {
    "2026-11-01T00:00:00Z".parse().unwrap()
}

fn pack(folder: &Path, input: &LayerInput) -> Result<Vec<u8>, LayerError> {
    let layer = Layer { inputs: vec![input.clone()], comment: None };
    let mut tar = Vec::new();
    prepare(folder, &layer, created(), &FileView::merge(&[]))?.write(&mut tar)?;
    Ok(tar)
}

fn names(tar: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!(header.mtime().unwrap(), 1_793_491_200);
            format!(
                "{} {:o} {}:{}",
                String::from_utf8_lossy(&entry.path_bytes()),
                header.mode().unwrap(),
                header.uid().unwrap(),
                header.gid().unwrap()
            )
        })
        .collect()
}

/// A folder made in the given order of names.
fn sample(folder: &Path, order: &[&str]) {
    let root = folder.join("root");
    fs::create_dir(&root).unwrap();
    for name in order {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, name.as_bytes()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }
    for folder in ["a", "a/deep"] {
        fs::set_permissions(root.join(folder), fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(root.join("a-b"), fs::Permissions::from_mode(0o4755)).unwrap();
    symlink("../etc//x", root.join("link")).unwrap();
}

#[test]
fn the_order_of_creation_does_not_show() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    sample(one.path(), &["a/z", "a-b", "a/deep/x", "b"]);
    sample(two.path(), &["b", "a/deep/x", "a-b", "a/z"]);
    let source = LayerInput::Dir(dir_layer("root"));
    let tar = pack(one.path(), &source).unwrap();
    assert!(tar == pack(two.path(), &source).unwrap());
    assert_eq!(
        names(&tar),
        [
            "a/ 755 0:0",
            "a-b 4755 0:0",
            "a/deep/ 755 0:0",
            "a/deep/x 644 0:0",
            "a/z 644 0:0",
            "b 644 0:0",
            "link 777 0:0"
        ]
    );
}

#[test]
fn into_owner_and_exclude_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    sample(folder.path(), &["a/z", "a-b", "a/deep/x", "b.pyc", "a/c.pyc"]);
    fs::set_permissions(folder.path().join("root"), fs::Permissions::from_mode(0o750)).unwrap();
    let layer = DirInput {
        into: "/opt/app".parse().unwrap(),
        owner: "7:8".parse().unwrap(),
        exclude: vec!["*.pyc".parse().unwrap(), "a/deep".parse().unwrap()],
        ..dir_layer("root")
    };
    let tar = pack(folder.path(), &LayerInput::Dir(layer)).unwrap();
    assert_eq!(
        names(&tar),
        [
            "opt/ 755 0:0",
            "opt/app/ 750 7:8",
            "opt/app/a/ 755 7:8",
            "opt/app/a-b 4755 7:8",
            "opt/app/a/z 644 7:8",
            "opt/app/link 777 7:8"
        ]
    );
}

#[test]
fn missing_folders_wrong_kinds_and_sockets_are_named() {
    let folder = tempfile::tempdir().unwrap();
    sample(folder.path(), &["a/z", "a-b", "a/deep/x"]);
    let missing = pack(folder.path(), &LayerInput::Dir(dir_layer("gone"))).unwrap_err();
    assert!(missing.to_string().ends_with("gone does not exist; build it first"));
    let file = pack(folder.path(), &LayerInput::Dir(dir_layer("root/a-b"))).unwrap_err();
    assert!(matches!(file, LayerError::WrongKind { what: "folder", .. }));
    let _socket = UnixListener::bind(folder.path().join("root/socket")).unwrap();
    let socket = pack(folder.path(), &LayerInput::Dir(dir_layer("root"))).unwrap_err();
    assert!(matches!(socket, LayerError::Special { .. }));
}

#[test]
fn a_ready_tar_passes_as_it_stands_and_one_that_engines_refuse_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(5);
    builder.append_data(&mut header, "file", b"bytes".as_slice()).unwrap();
    let bytes = builder.into_inner().unwrap();
    fs::write(folder.path().join("x.tar"), &bytes).unwrap();
    let source = LayerInput::Tar(TarInput { path: "x.tar".parse().unwrap() });
    assert!(pack(folder.path(), &source).unwrap() == bytes);

    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..5].copy_from_slice(b"../up");
    header.set_size(0);
    header.set_cksum();
    fs::write(folder.path().join("x.tar"), header.as_bytes()).unwrap();
    assert!(pack(folder.path(), &source).unwrap() == header.as_bytes());
    let twice = [header.as_bytes().as_slice(), header.as_bytes()].concat();
    fs::write(folder.path().join("x.tar"), twice).unwrap();
    let error = pack(folder.path(), &source).unwrap_err();
    assert!(matches!(error, LayerError::Refused { entry, .. } if entry == "../up"));

    let mut gzip = Vec::new();
    compress::<io::Error>(NonZeroUsize::MIN, &mut gzip, |w| w.write_all(&bytes.repeat(9))).unwrap();
    gzip.resize(4096, 1);
    fs::write(folder.path().join("x.tar"), &gzip).unwrap();
    assert!(matches!(pack(folder.path(), &source), Err(LayerError::NotATar { .. })));
}
