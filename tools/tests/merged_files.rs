//! The merged files of an image beside what umoci and podman make of the same layers. Without these
//! programs, or without the rights that they need, there is nothing to compare.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};
use wharf_oci::{Algorithm, Digester};
use wharf_tools::image::files::{FileKind, FileView};
use wharf_tools::source::Source;
use wharf_tools::verify::{Limits, check};

/// An entry of a layer.
enum Entry {
    Folder(&'static str, u32),
    File(&'static str, &'static str),
    Link(&'static str, &'static str),
    Hard(&'static str, &'static str),
}
use Entry::{File, Folder, Hard, Link};

/// What is compared of a path: its kind, its mode, its owner, its size or where it leads.
#[derive(Debug, PartialEq, Eq)]
struct Seen(char, u32, (u32, u32), String);

type Tree = BTreeMap<Vec<u8>, Seen>;

fn tar_of(entries: &[Entry]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_ustar();
        header.set_mtime(1_700_000_000);
        header.set_mode(0o644);
        header.set_uid(7);
        header.set_gid(9);
        header.set_size(0);
        match entry {
            Folder(path, mode) => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(*mode);
                builder.append_data(&mut header, path, std::io::empty()).unwrap();
            }
            File(path, content) => {
                header.set_size(content.len() as u64);
                builder.append_data(&mut header, path, content.as_bytes()).unwrap();
            }
            Link(path, target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                builder.append_link(&mut header, path, target).unwrap();
            }
            Hard(path, target) => {
                header.set_entry_type(tar::EntryType::Link);
                builder.append_link(&mut header, path, target).unwrap();
            }
        }
    }
    builder.into_inner().unwrap()
}

/// Writes a layout of one image whose name is `1`.
fn layout(folder: &Path, layers: &[Vec<Entry>]) {
    fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    let put = |bytes: &[u8], media_type: &str| -> Value {
        let digest = Digester::digest(Algorithm::Sha256, bytes);
        fs::write(folder.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
        json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()})
    };
    let tars: Vec<Vec<u8>> = layers.iter().map(|entries| tar_of(entries)).collect();
    let gzip = |tar: &Vec<u8>| {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(tar).unwrap();
        put(&out.finish().unwrap(), "application/vnd.oci.image.layer.v1.tar+gzip")
    };
    let diff_id = |tar: &Vec<u8>| Digester::digest(Algorithm::Sha256, tar).to_string();
    let config = json!({
        "os": "linux", "architecture": "amd64", "config": {},
        "rootfs": {"type": "layers", "diff_ids": tars.iter().map(diff_id).collect::<Vec<_>>()},
    });
    let config = put(config.to_string().as_bytes(), "application/vnd.oci.image.config.v1+json");
    let layers: Vec<Value> = tars.iter().map(gzip).collect();
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers,
    });
    let mut root = put(manifest.to_string().as_bytes(), media_type);
    root["annotations"] = json!({"org.opencontainers.image.ref.name": "1"});
    let index = json!({"schemaVersion": 2, "manifests": [root]});
    fs::write(folder.join("index.json"), index.to_string()).unwrap();
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

fn view(folder: &Path) -> Arc<FileView> {
    let source = Source::open_path(folder).unwrap();
    let facts = check(&source, NonZeroUsize::MIN, &Limits::default());
    facts.images[0].files.clone().unwrap()
}

/// The files of a view. Folders that no layer lists have whatever owner the engine gives them.
fn of_view(view: &FileView) -> Tree {
    let files = view.iter().filter(|file| !file.path().is_empty());
    let seen = files.map(|file| {
        let text = match file.kind() {
            FileKind::Symlink => String::from_utf8_lossy(file.link()).into_owned(),
            FileKind::Folder => String::new(),
            _ => file.size_bytes().to_string(),
        };
        let (kind, mode) = match file.kind() {
            FileKind::Folder => ('d', file.mode()),
            FileKind::Symlink => ('l', 0),
            _ => ('f', file.mode()),
        };
        (file.path().to_vec(), Seen(kind, mode, file.owner(), text))
    });
    seen.collect()
}

fn of_disk(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).unwrap() {
            let path = folder.join(entry.unwrap().file_name());
            let full = root.join(&path);
            let metadata = fs::symlink_metadata(&full).unwrap();
            let owner = (metadata.uid(), metadata.gid());
            let mode = metadata.mode() & 0o7777;
            let seen = if metadata.is_dir() {
                folders.push(path.clone());
                Seen('d', mode, owner, String::new())
            } else if metadata.is_symlink() {
                let target = fs::read_link(&full).unwrap();
                Seen('l', 0, owner, target.to_string_lossy().into_owned())
            } else {
                Seen('f', mode, owner, metadata.len().to_string())
            };
            tree.insert(path.as_os_str().as_bytes().to_vec(), seen);
        }
    }
    tree
}

/// Layers that every engine makes the same of.
fn alike() -> Vec<Vec<Vec<Entry>>> {
    vec![
        vec![
            vec![
                Folder("d", 0o750),
                File("d/old", "1"),
                File("d/kept", "22"),
                Folder("e", 0o755),
                Folder("e/f", 0o700),
                File("e/f/g", "333"),
                File("./top", "4"),
                Link("lib", "usr/lib"),
                Folder("usr", 0o755),
                Folder("usr/lib", 0o755),
                File("lib/through", "55"),
                Hard("usr/second", "/d/kept"),
            ],
            vec![
                Folder("d", 0o711),
                File("d/.wh.old", ""),
                File("d/new", "6"),
                Folder("e", 0o755),
                File("e/.wh..wh..opq", ""),
                File("e/h", "7"),
                File("top", "88"),
                Folder("usr/lib", 0o755),
                Link("usr/lib/up", "../../../../etc/passwd"),
            ],
            vec![
                File(".wh.top", ""),
                File("e", "now a file"),
                Folder("lib", 0o755),
                File("lib/x", ""),
            ],
            vec![Folder("e", 0o700), File("e/again", "9"), File("named", "0")],
        ],
        vec![
            vec![Folder("a", 0o755), File("a/b", "1"), Folder("a/c", 0o755), File("a/c/d", "2")],
            vec![Folder("a", 0o755), File("a/.wh.c", ""), File(".wh..wh.plnk", "")],
            vec![Folder("a", 0o755), Folder("a/c", 0o755), File("a/c/new", "3")],
        ],
    ]
}

/// Layers of which umoci makes something else.
fn of_overlays() -> Vec<Vec<Vec<Entry>>> {
    vec![
        vec![
            vec![Folder("d", 0o755), File("d/old", "1")],
            vec![File(".wh.d", ""), Folder("d", 0o755), File("d/new", "2")],
        ],
        vec![
            vec![Folder("usr", 0o755), Folder("usr/lib", 0o755), Link("lib", "/usr/lib")],
            vec![File("lib/f", "3")],
        ],
    ]
}

/// Runs a program in a folder; what it wrote, or what it said when it failed.
fn run(folder: &Path, program: &str, arguments: &[&str]) -> Result<String, String> {
    let command = Command::new(program).args(arguments).current_dir(folder).output();
    let output = command.map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Whether a program is here and answers; as nobody but root, owners are not what layers say.
fn answers(program: &str, arguments: &[&str]) -> bool {
    let is_here = run(Path::new("/"), program, arguments).is_ok();
    let is_root = run(Path::new("/"), "id", &["-u"]).is_ok_and(|id| id == "0");
    if !(is_here && is_root) {
        eprintln!("not compared: {program} does not answer, or this is not root");
    }
    is_here && is_root
}

/// Folders that are only implied are compared by kind.
fn compare(ours: &mut Tree, theirs: &mut Tree, implied: &[&str]) {
    for tree in [&mut *ours, &mut *theirs] {
        for path in implied {
            if let Some(seen) = tree.get_mut(path.as_bytes()) {
                *seen = Seen('d', 0, (0, 0), String::new());
            }
        }
    }
    assert_eq!(ours, theirs);
}

const IMPLIED: [&str; 2] = ["lib", "usr"];

#[test]
fn umoci_unpacks_what_is_seen() {
    if !answers("umoci", &["--version"]) {
        return;
    }
    for layers in alike() {
        let bed = tempfile::tempdir().unwrap();
        layout(&bed.path().join("image"), &layers);
        run(bed.path(), "umoci", &["unpack", "--image", "image:1", "bundle"]).unwrap();
        let mut ours = of_view(&view(&bed.path().join("image")));
        compare(&mut ours, &mut of_disk(&bed.path().join("bundle/rootfs")), &IMPLIED);
    }
}

#[test]
fn podman_mounts_what_is_seen() {
    let bed = tempfile::tempdir().unwrap();
    let (root, state) = (bed.path().join("root"), bed.path().join("state"));
    let storage = ["--root", root.to_str().unwrap(), "--runroot", state.to_str().unwrap()];
    if !answers("podman", &[&storage, ["info"].as_slice()].concat()) {
        return;
    }
    let podman = |arguments: &[&str]| run(bed.path(), "podman", &[&storage, arguments].concat());
    for (number, layers) in alike().into_iter().chain(of_overlays()).enumerate() {
        // A name in capitals would be no reference.
        let name = format!("image{number}");
        layout(&bed.path().join(&name), &layers);
        let id = podman(&["pull", "-q", &format!("oci:{name}:1")]).unwrap();
        let mount = podman(&["image", "mount", &id]).unwrap();
        let mut theirs = of_disk(Path::new(&mount));
        podman(&["image", "unmount", &id]).unwrap();
        let mut ours = of_view(&view(&bed.path().join(&name)));
        compare(&mut ours, &mut theirs, &IMPLIED);
    }
    // It leaves its folder mounted on itself, which would keep the folder from being removed.
    let _ = run(bed.path(), "umount", &[root.join("overlay").to_str().unwrap()]);
}
