#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use std::fs;

use super::*;
use crate::image::files::FileView;
use crate::image::layer::{Below, PreparedLayer, Setting, prepare};
use crate::image::stamp::Stamp;
use crate::offer::layers::Layer;
use sha2::Digest as _;
use wharf_oci::Timestamp;

fn layer(yaml: &str) -> Layer {
    serde_saphyr::from_str(yaml).unwrap()
}

fn prepared(folder: &Path, yaml: &str) -> PreparedLayer {
    let (output, created) = (folder.join("out"), Timestamp::default());
    let setting = Setting { offer_folder: folder, output: &output, created };
    let below = Below { files: &FileView::merge(&[]), names: &[] };
    prepare(&setting, &layer(yaml), &below).unwrap()
}

fn read_with(
    folder: &Path,
    yaml: &str,
    record: &ContentsRecord,
) -> Result<LayerContents, ContentsError> {
    LayerContents::read(&prepared(folder, yaml), record, NonZeroUsize::new(3).unwrap())
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    sha2::Sha256::digest(bytes).into()
}

#[test]
fn every_file_of_a_folder_has_its_digests_where_it_is_in_the_image() {
    let folder = tempfile::tempdir().unwrap();
    let app = folder.path().join("app");
    fs::create_dir_all(app.join("lib")).unwrap();
    fs::write(app.join("lib/a"), "one").unwrap();
    fs::write(app.join("empty"), "").unwrap();
    let contents =
        read_with(folder.path(), "{dir: app, into: /opt}", &ContentsRecord::unkept()).unwrap();
    assert_eq!(contents.digests(b"opt/lib/a").unwrap().sha256, sha256(b"one"));
    let sha1 = contents.digests(b"opt/empty").unwrap().sha1_hex();
    assert_eq!(sha1, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    assert!(contents.digests(b"opt/lib").is_none());
    // The output of `sha256sum` for the sorted names, hashed once more.
    let hex = |bytes: &[u8]| wharf_oci::Digester::digest(wharf_oci::Algorithm::Sha256, bytes).hex();
    let lines = format!("{}  empty\n{}  lib/a\n", hex(b""), hex(b"one"));
    let InputDigest::Folder(digest) = contents.inputs[0].digest else { panic!() };
    assert_eq!(digest, sha256(lines.as_bytes()));
    assert_eq!(contents.inputs[0].files, Some(2));
}

#[test]
fn more_files_than_a_batch_have_the_digest_of_all_for_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("a")).unwrap();
    for number in 0..1500 {
        fs::write(folder.path().join(format!("a/{number}")), number.to_string()).unwrap();
    }
    let prepared = prepared(folder.path(), "dir: a");
    let with = |jobs| {
        let jobs = NonZeroUsize::new(jobs).unwrap();
        LayerContents::read(&prepared, &ContentsRecord::unkept(), jobs).unwrap()
    };
    let (one, eight) = (with(1), with(8));
    assert_eq!(one.files, eight.files);
    assert_eq!(one.files.len(), 1500);
    let InputDigest::Folder(first) = one.inputs[0].digest else { panic!() };
    let InputDigest::Folder(second) = eight.inputs[0].digest else { panic!() };
    assert_eq!(first, second);
}

#[test]
fn large_files_are_hashed_by_two_threads_alike() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("a")).unwrap();
    let bytes = vec![7_u8; (33 << 20) + 5];
    fs::write(folder.path().join("a/big"), &bytes).unwrap();
    let contents = read_with(folder.path(), "dir: a", &ContentsRecord::unkept()).unwrap();
    let digests = contents.digests(b"big").unwrap();
    assert_eq!(digests.sha256, sha256(&bytes));
    let sha1: [u8; 20] = sha1::Sha1::digest(&bytes).into();
    assert_eq!(digests.sha1, sha1);
}

#[test]
fn files_of_a_tar_are_read_from_it_and_second_names_are_files_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(3);
    header.set_mode(0o644);
    tar.append_data(&mut header, "a/file", b"abc".as_slice()).unwrap();
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Link);
    link.set_size(0);
    tar.append_link(&mut link, "b", "a/file").unwrap();
    let bytes = tar.into_inner().unwrap();
    fs::write(folder.path().join("x.tar"), &bytes).unwrap();
    let contents = read_with(folder.path(), "tar: x.tar", &ContentsRecord::unkept()).unwrap();
    for path in [b"a/file".as_slice(), b"b"] {
        assert_eq!(contents.digests(path).unwrap().sha256, sha256(b"abc"));
    }
    let InputDigest::File(whole) = contents.inputs[0].digest else { panic!() };
    assert_eq!(whole.sha256, sha256(&bytes));
}

#[test]
fn a_file_that_the_record_proves_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("a")).unwrap();
    let path = folder.path().join("a/f");
    fs::write(&path, "one").unwrap();
    let record = ContentsRecord::unkept();
    let stamp = Stamp::of_metadata(&fs::metadata(&path).unwrap());
    let known = FileDigests { sha256: [9; 32], sha1: [9; 20] };
    record.trust(&path, &stamp, known);
    let contents = read_with(folder.path(), "dir: a", &record).unwrap();
    assert_eq!(contents.digests(b"f"), Some(&known));
    fs::write(&path, "two!").unwrap();
    let contents = read_with(folder.path(), "dir: a", &record).unwrap();
    assert_eq!(contents.digests(b"f").unwrap().sha256, sha256(b"two!"));
}

#[test]
fn a_file_that_is_not_what_went_into_the_layer_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("a")).unwrap();
    fs::write(folder.path().join("a/f"), "one").unwrap();
    for yaml in ["dir: a", "{file: a/f, into: /f}"] {
        let layer = prepared(folder.path(), yaml);
        layer.write(&mut Vec::new()).unwrap();
        fs::rename(folder.path().join("a/f"), folder.path().join("old")).unwrap();
        fs::write(folder.path().join("a/f"), "two").unwrap();
        let error =
            LayerContents::read(&layer, &ContentsRecord::unkept(), NonZeroUsize::MIN).unwrap_err();
        let ContentsError::Read { path, source } = error else { panic!("{error}") };
        assert!(path.ends_with("a/f") && source.to_string().contains("changed"), "{source}");
    }
}

#[test]
fn what_an_image_says_of_its_packages_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    for (path, text) in [
        ("etc/os-release", "ID=debian\n"),
        ("var/lib/dpkg/status", "Package: a\nVersion: 1\n"),
        ("usr/share/doc/a/copyright", "Format: x\n\nFiles: *\nLicense: Expat\n"),
    ] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let contents = read_with(folder.path(), "dir: root", &ContentsRecord::unkept()).unwrap();
    assert_eq!(contents.texts.get(b"etc/os-release").unwrap().as_ref(), b"ID=debian\n");
    assert!(contents.texts.get(b"var/lib/dpkg/status").is_some());
    let licence = contents.texts.licence("a").unwrap();
    assert_eq!(licence.expression(&str::to_owned), "MIT");
}
