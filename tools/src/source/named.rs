//! Common files besides images, by name and with advice. Only a file of no readable form is looked
//! at here, so a wrong guess costs a word, never an image.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use super::error::NotAnImage;
use super::members::MemberTable;
use crate::image::layout::{INDEX_FILE, LAYOUT_FILE};

/// How many bytes of a file are looked at.
pub(super) const HEAD_BYTES: usize = 4096;

/// How many folders of a root file system are enough to know one.
const ROOT_FOLDERS_MIN: usize = 3;

const ROOT_FOLDERS: [&str; 12] =
    ["bin", "boot", "dev", "etc", "home", "lib", "proc", "root", "sbin", "tmp", "usr", "var"];

const PUSH_AND_NAME: &str = "name the image on a registry (REGISTRY/REPOSITORY:TAG), or an OCI layout, \
                             an OCI archive or a docker-archive";
const BUILD_FIRST: &str = "build the image first, then name it: buildah build -t NAME . && \
                           buildah push NAME oci-archive:FILE";
const IMPORT_FIRST: &str = "it has files and no configuration; save the image instead of the container \
                            (docker save, podman save), or make one of it with `wharf package`";
const DECRYPT_FIRST: &str = "decrypt it first";

const fn is(what: &'static str, advice: &'static str) -> NotAnImage {
    NotAnImage { what, advice }
}

/// The kind of a file with this beginning, other than an archive.
pub(super) fn file(name: Option<&OsStr>, head: &[u8]) -> NotAnImage {
    if head.is_empty() {
        return is("an empty file", "whatever wrote it failed; make it again");
    }
    binary(head).or_else(|| text(name, head)).unwrap_or(is("a file of another kind", PUSH_AND_NAME))
}

/// By the bytes a format begins with.
fn binary(head: &[u8]) -> Option<NotAnImage> {
    let starts = |magic: &[u8]| head.starts_with(magic);
    let any = |magics: &[&[u8]]| magics.iter().any(|magic| starts(magic));
    let repack = "unpack it, and pack it as tar, gzip or zstd";
    Some(if starts(b"PK\x03\x04") || starts(b"PK\x05\x06") {
        is("a zip file", "unpack it and name the image inside")
    } else if any(&[b"hsqs", b"sqsh"]) {
        is("a squashfs file system", PUSH_AND_NAME)
    } else if head.get(32..41) == Some(b"SIF_MAGIC") {
        is("an Apptainer (SIF) image", "build the image as OCI, which Azure takes")
    } else if starts(b"QFI\xfb") || head.get(..9) == Some(b"conectix\0") || starts(b"KDMV") {
        is("a disk of a virtual machine", "the marketplace takes those as another kind of offer")
    } else if starts(b"BZh") {
        is("a bzip2 file", repack)
    } else if starts(b"\xfd7zXZ\0") {
        is("an xz file", repack)
    } else if starts(b"\x04\x22\x4d\x18") {
        is("an lz4 file", repack)
    } else if any(&[b"\x1f\x8b", b"\x28\xb5\x2f\xfd"]) {
        is("a file that is compressed twice", "decompress it once")
    } else if any(&[b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED FILE"]) {
        is("a file that age encrypted", DECRYPT_FIRST)
    } else if starts(b"-----BEGIN PGP MESSAGE") || is_openpgp(head) {
        is("a file that gpg encrypted", DECRYPT_FIRST)
    } else if starts(b"Salted__") {
        is("a file that openssl encrypted", DECRYPT_FIRST)
    } else if starts(b"\x7fELF") {
        is("a program", PUSH_AND_NAME)
    } else {
        return None;
    })
}

/// Whether a message begins with an encrypted session key (RFC 9580, §5.1 and §5.3).
fn is_openpgp(head: &[u8]) -> bool {
    // The old format with one or two bytes of length, the new one with one; then the version.
    matches!(head, [0x84 | 0x8c | 0xc1 | 0xc3, _, 3..=6, ..] | [0x85 | 0x8d, _, _, 3..=6, ..])
}

/// By the content of a text, or its file name.
fn text(name: Option<&OsStr>, head: &[u8]) -> Option<NotAnImage> {
    let cut = |error: std::str::Utf8Error| head.get(..error.valid_up_to()).unwrap_or_default();
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The end of the read bytes may cut a character.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(cut(error)).ok()?,
        Err(_) => return None,
    };
    let name = name.and_then(OsStr::to_str).unwrap_or_default().to_ascii_lowercase();
    let has = |key: &str| text.lines().any(|line| line.starts_with(key));
    let is_dockerfile = name.contains("dockerfile") || name.contains("containerfile");
    if is_dockerfile || has("FROM ") || has("# syntax=docker") {
        return Some(is("a Dockerfile", BUILD_FIRST));
    }
    if has("services:") || name.starts_with("docker-compose") || name.starts_with("compose.") {
        return Some(is(
            "a compose file",
            "build its images (docker compose build), and name each of them",
        ));
    }
    if name == "chart.yaml" || (has("apiVersion:") && has("appVersion:")) {
        return Some(is(
            "a Helm chart",
            "name the images that the chart runs; the chart belongs into a Kubernetes offer",
        ));
    }
    if has("apiVersion:") && has("kind:") {
        return Some(is("a Kubernetes manifest", "name the images that it runs"));
    }
    if name.starts_with("offer.y") || (has("offer:") && has("plans:")) {
        return Some(is("an offer file", "give it with --offer"));
    }
    let is_json = text.trim_start().starts_with(['{', '[']);
    if is_json && text.contains("\"schemaVersion\"") {
        return Some(is(
            "the JSON of a manifest or an index alone",
            "name the folder of the layout that it is in",
        ));
    }
    if text.contains("<html") || text.trim_start().starts_with("<!DOCTYPE") {
        return Some(is(
            "a web page",
            "a download was answered with a page, of a login perhaps; download it again",
        ));
    }
    Some(is("a text", PUSH_AND_NAME))
}

/// The kind of a tar with these members, and without an image.
pub(super) fn archive(table: &MemberTable) -> NotAnImage {
    let mut top = std::collections::BTreeSet::new();
    for name in table.names() {
        let first = name.split(|byte| *byte == b'/').find(|part| !part.is_empty());
        top.extend(first.and_then(|first| std::str::from_utf8(first).ok()));
    }
    let below = |file: &str| {
        top.iter().any(|folder| table.has_file(&format!("{folder}/{file}"))) || table.has_file(file)
    };
    if top.is_empty() {
        return is("an empty tar", "whatever wrote it failed; make it again");
    }
    if below(LAYOUT_FILE) && below(INDEX_FILE) {
        return is(
            "a tar of the folder of a layout",
            "pack what is in the folder instead: tar -C FOLDER -cf FILE .",
        );
    }
    if below("Chart.yaml") {
        return is(
            "a Helm chart",
            "name the images that the chart runs; the chart belongs into a Kubernetes offer",
        );
    }
    if table.has_file("repositories") {
        return is(
            "a docker-archive of docker before 1.10, without manifest.json",
            "load it and save it again with a newer docker",
        );
    }
    if ROOT_FOLDERS.iter().filter(|folder| top.contains(*folder)).count() >= ROOT_FOLDERS_MIN {
        return is("the tar of a root file system (docker export)", IMPORT_FIRST);
    }
    if below("Dockerfile") || below("Containerfile") {
        return is("the tar of a build folder", BUILD_FIRST);
    }
    is(
        "a tar without oci-layout or manifest.json",
        "save an image into it: skopeo copy docker://REFERENCE oci-archive:FILE",
    )
}

/// The kind of a folder without any layout.
pub(super) fn folder(path: &Path) -> Option<NotAnImage> {
    let has = |name: &str| path.join(name).is_file();
    let has_folder = |name: &str| path.join(name).is_dir();
    if fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none()) {
        return Some(is("an empty folder", "make the layout first (wharf package)"));
    }
    if has("version") && has("manifest.json") {
        return Some(is(
            "a folder that skopeo wrote as dir:",
            "copy it into a layout: skopeo copy dir:FOLDER oci:LAYOUT",
        ));
    }
    if has("manifest.json") {
        return Some(is(
            "a docker-archive that was unpacked",
            "name the archive itself, or pack it again: tar -C FOLDER -cf FILE .",
        ));
    }
    if has("offer.yaml") || has("offer.yml") {
        return Some(is("the folder of an offer", "give its file with --offer"));
    }
    if has("Chart.yaml") {
        return Some(is(
            "a Helm chart",
            "name the images that the chart runs; the chart belongs into a Kubernetes offer",
        ));
    }
    if has("Dockerfile") || has("Containerfile") {
        return Some(is("a build folder with a Dockerfile", BUILD_FIRST));
    }
    let compose = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
    if compose.iter().any(|name| has(name)) {
        return Some(is(
            "a folder with a compose file",
            "build its images (docker compose build), and name each of them",
        ));
    }
    if has("config.json") && has_folder("rootfs") {
        return Some(is("a bundle of a runtime, unpacked", "name the layout that it came from"));
    }
    if has_folder("overlay-images") || has_folder("vfs-images") || has_folder("image/overlay2") {
        return Some(is(
            "the storage of an engine",
            "save the image from it first (podman save, docker save)",
        ));
    }
    if path.file_name().is_some_and(|name| name == "blobs") && path.join("../index.json").is_file()
    {
        return Some(is("the blobs of a layout", "name the folder above it"));
    }
    if ROOT_FOLDERS.iter().filter(|folder| has_folder(folder)).count() >= ROOT_FOLDERS_MIN {
        return Some(is("a root file system", "make an image of it with `wharf package`"));
    }
    None
}
