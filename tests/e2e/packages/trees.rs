//! Folders as seen by a container: names, kinds, modes, owners, contents, links, times and
//! capabilities, and the differences between two.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::lgetxattr;
use wharf_testkit::images::sha256;

/// A name and its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// With setuid, setgid and sticky.
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    /// In seconds; of a file or link only.
    pub(super) time: Option<i64>,
    pub(super) capability: Option<Vec<u8>>,
    /// All names of the same file, when there are several.
    pub(super) names: Vec<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    /// The hash of its content.
    File(String),
    Link(PathBuf),
    /// `c`, `b` or `p`, and the number.
    Device(char, u64),
    Socket,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, mode, owner, time, capability, names } = self;
        write!(f, "{kind:?} {mode:04o} {owner:?} {time:?} {capability:?} {names:?}")
    }
}

/// Everything below a folder, by path; the folder itself is not of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tree(pub(super) BTreeMap<PathBuf, Node>);

impl Tree {
    pub(super) fn read(root: &Path) -> Self {
        let mut nodes = BTreeMap::new();
        let mut names: BTreeMap<(u64, u64), Vec<PathBuf>> = BTreeMap::new();
        let mut open = vec![root.to_owned()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let about = fs::symlink_metadata(&path).unwrap();
                let name = path.strip_prefix(root).unwrap().to_owned();
                if about.is_dir() {
                    open.push(path.clone());
                } else if about.nlink() > 1 {
                    names.entry((about.dev(), about.ino())).or_default().push(name.clone());
                }
                nodes.insert(name, Node::read(&path, &about));
            }
        }
        for mut names in names.into_values().filter(|names| names.len() > 1) {
            names.sort();
            for name in &names {
                nodes.get_mut(name).unwrap().names.clone_from(&names);
            }
        }
        Self(nodes)
    }

    /// Changes every node, where another policy is the stated one.
    pub(super) fn map(mut self, change: impl Fn(&Path, &mut Node)) -> Self {
        self.0.iter_mut().for_each(|(path, node)| change(path, node));
        self
    }

    pub(super) fn get(&self, path: &str) -> &Node {
        self.0.get(Path::new(OsStr::from_bytes(path.as_bytes()))).unwrap_or_else(|| {
            panic!("no {path} in {:?}", self.0.keys().collect::<Vec<_>>());
        })
    }
}

impl Node {
    fn read(path: &Path, about: &fs::Metadata) -> Self {
        let kind = about.file_type();
        let device = |letter| Kind::Device(letter, about.rdev());
        let kind = match () {
            () if kind.is_dir() => Kind::Folder,
            () if kind.is_symlink() => Kind::Link(fs::read_link(path).unwrap()),
            () if kind.is_char_device() => device('c'),
            () if kind.is_block_device() => device('b'),
            () if kind.is_fifo() => device('p'),
            () if kind.is_socket() => Kind::Socket,
            () => Kind::File(sha256(&fs::read(path).unwrap())),
        };
        let mut value = [0; 64];
        let capability = lgetxattr(path, "security.capability", &mut value[..]);
        let mode = if matches!(kind, Kind::Link(_)) { 0o777 } else { about.mode() & 0o7777 };
        Self {
            time: (kind != Kind::Folder).then(|| about.mtime()),
            kind,
            mode,
            owner: (about.uid(), about.gid()),
            capability: capability.ok().map(|length| value[..length].to_vec()),
            names: Vec::new(),
        }
    }
}

/// Fails with every difference between two trees.
pub(super) fn assert_same(what: &str, tree: &Tree, expected: &Tree) {
    let mut differences = Vec::new();
    for (path, node) in &tree.0 {
        let shown = path.display();
        match expected.0.get(path) {
            None => differences.push(format!("+ {shown} {node}")),
            Some(other) if other != node => {
                differences.push(format!("{shown}\n    is       {node}\n    expected {other}"));
            }
            Some(_) => {}
        }
    }
    for (path, node) in expected.0.iter().filter(|(path, _)| !tree.0.contains_key(*path)) {
        differences.push(format!("- {} {node}", path.display()));
    }
    assert!(differences.is_empty(), "{what}:\n{}", differences.join("\n"));
}
