//! Folders, and files in them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use super::{Case, End, layer};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "a socket",
        make: |folder| {
            let path = bad(folder).join("talk.sock");
            // The socket file stays after its listener is gone.
            drop(UnixListener::bind(path).unwrap());
        },
        image: layer!("{ dir: bad }"),
        end: End::Refused(&["bad/talk.sock", "socket"]),
    },
    Case {
        name: "a named pipe",
        make: |folder| {
            let path = bad(folder).join("pipe");
            assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
        },
        image: layer!("{ dir: bad }"),
        end: End::Refused(&["bad/pipe", "pipe"]),
    },
    Case {
        name: "a named pipe as the tar",
        make: |folder| {
            let path = bad(folder).join("layer.tar");
            assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
        },
        image: layer!("{ tar: bad/layer.tar }"),
        end: End::Refused(&["bad/layer.tar", "is not a file"]),
    },
    Case {
        name: "a folder that links to itself",
        make: |folder| {
            symlink("round", folder.join("about")).unwrap();
            symlink("about", folder.join("round")).unwrap();
        },
        image: layer!("{ dir: round }"),
        end: End::Refused(&["/round", "symbolic link"]),
    },
    Case {
        name: "a folder that is not there",
        make: |_| (),
        image: layer!("{ dir: nowhere }"),
        end: End::Refused(&["/nowhere", "does not exist"]),
    },
    Case {
        name: "a file that is taken for a folder",
        make: |folder| fs::write(folder.join("bad"), "x").unwrap(),
        image: layer!("{ dir: bad }"),
        end: End::Refused(&["/bad is not a folder"]),
    },
    Case {
        name: "a link loop inside, which is kept as it is",
        make: |folder| {
            symlink("itself", bad(folder).join("itself")).unwrap();
            symlink("../../../..", bad(folder).join("up")).unwrap();
            fs::write(bad(folder).join("Name"), "1").unwrap();
            fs::write(bad(folder).join("name"), "2").unwrap();
        },
        image: layer!("{ dir: bad }"),
        end: End::Warned(&["name", "case"]),
    },
    Case {
        name: "a name that is not UTF-8",
        make: |folder| {
            fs::write(bad(folder).join(OsStr::from_bytes(b"na\xffme")), "x").unwrap();
        },
        image: layer!("{ dir: bad }"),
        end: End::Warned(&["na\\xffme", "UTF-8"]),
    },
    Case {
        name: "a folder beside the offer's",
        make: |folder| {
            let other = folder.parent().unwrap().join("beside-the-offer");
            fs::create_dir_all(&other).unwrap();
            fs::write(other.join("x"), "x").unwrap();
        },
        image: layer!("{ dir: ../beside-the-offer }"),
        end: End::Warned(&["../beside-the-offer", "offer"]),
    },
    Case {
        name: "a folder that a link leads out to",
        make: |folder| {
            let other = folder.parent().unwrap().join("beside-the-offer");
            fs::create_dir_all(&other).unwrap();
            fs::write(other.join("x"), "x").unwrap();
            symlink(&other, folder.join("out-there")).unwrap();
        },
        image: layer!("{ dir: out-there }"),
        end: End::Warned(&["out-there", "offer"]),
    },
    Case {
        name: "a name that engines take for a deletion",
        make: |folder| fs::write(bad(folder).join(".wh.file"), "").unwrap(),
        image: layer!("{ dir: bad }"),
        end: End::Refused(&[".wh.file"]),
    },
    Case {
        name: "a file where a folder of a lower layer is",
        make: |folder| fs::write(bad(folder).join("folder"), "x").unwrap(),
        image: layer!("{ dir: bad }"),
        end: End::Refused(&["`folder` is a folder of", "good", "bad"]),
    },
    Case {
        name: "an absolute path",
        make: |_| (),
        image: layer!("{ dir: /etc }"),
        end: End::NotRead(&["`/etc`", "relative"]),
    },
    Case {
        name: "a place that climbs",
        make: |folder| drop(bad(folder)),
        image: layer!("{ dir: bad, into: /a/../../b }"),
        end: End::NotRead(&["/a/../../b"]),
    },
    Case {
        name: "a Dockerfile",
        make: |folder| fs::write(folder.join("Dockerfile"), "FROM scratch\n").unwrap(),
        image: "      adopt: Dockerfile\n      platforms: [{ platform: linux/amd64 }]\n",
        end: End::NotRead(&["Dockerfile", "adopt"]),
    },
];

/// The folder of the bad files.
fn bad(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("bad");
    fs::create_dir_all(&path).unwrap();
    path
}
