//! The libraries found by a program's loader, and the missing ones: the order of glibc's and of
//! musl's is reduced to their folders. Too wide a search misses a fault; too narrow a search stops
//! a working release, so an unknown library counts as found.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::roots::Root;
use crate::image::files::{Elf, File, FileKind, Magic};

/// How many libraries of one program are followed; a desktop's largest have some 300.
const LIBRARIES_MAX: usize = 2000;
/// How many configuration files of the loader are read.
const CONFIGURATIONS_MAX: usize = 100;
/// Libraries within musl's loader itself.
const MUSL_OWN: [&[u8]; 9] = [
    b"libc.",
    b"libpthread.",
    b"librt.",
    b"libm.",
    b"libdl.",
    b"libutil.",
    b"libxnet.",
    b"ld-musl-",
    b"ld-linux-",
];

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Missing {
    pub(super) name: Vec<u8>,
    /// The program or library in need of it.
    pub(super) wanted_by: Vec<u8>,
}

/// The search's result for the libraries of a program.
pub(super) struct Libraries {
    pub(super) missing: BTreeSet<Missing>,
    /// Whether a file was not looked into.
    pub(super) is_unknown: bool,
}

struct Search<'r, 'a> {
    root: &'r Root<'a>,
    /// Where the loader looks for the libraries of everybody.
    folders: Vec<Vec<u8>>,
    loader: Option<File<'a>>,
    is_musl: bool,
    /// Every library by its name, wherever it is; made when it is needed.
    anywhere: Option<BTreeMap<&'a [u8], File<'a>>>,
    has_cache: bool,
}

impl Libraries {
    /// Looks for the libraries of a program, for theirs, and so on.
    pub(super) fn of<'a>(root: &Root<'a>, program: &File<'a>, elf: &'a Elf) -> Self {
        let loader_path = elf.interpreter.as_deref().unwrap_or_default();
        let mut search = Search::new(root, elf, loader_path);
        let mut libraries = Self { missing: BTreeSet::new(), is_unknown: false };
        let mut seen: BTreeSet<Vec<u8>> = BTreeSet::new();
        // DT_RPATH of a program holds for its libraries too; the facts do not tell it from
        // DT_RUNPATH.
        let mut inherited: Vec<Vec<u8>> = Vec::new();
        let mut left = VecDeque::from([(*program, elf)]);
        while let Some((file, elf)) = left.pop_front() {
            let Some(needed) = &elf.needed else {
                libraries.is_unknown = true;
                continue;
            };
            inherited.extend(runpath(&file, elf));
            for name in needed {
                if seen.len() >= LIBRARIES_MAX || !seen.insert(name.to_vec()) {
                    continue;
                }
                if search.is_loader(name) {
                    continue;
                }
                let Some(found) = search.find(name, &inherited, elf) else {
                    let wanted_by = file.path().to_vec();
                    libraries.missing.insert(Missing { name: name.to_vec(), wanted_by });
                    continue;
                };
                left.extend(elf_of(&found).map(|elf| (found, elf)));
            }
        }
        libraries
    }
}

fn elf_of<'a>(file: &File<'a>) -> Option<&'a Elf> {
    match &file.content().magic {
        Magic::Elf(elf) => Some(elf),
        _ => None,
    }
}

/// The folders a file names, `$ORIGIN` being its own.
fn runpath(file: &File<'_>, elf: &Elf) -> Vec<Vec<u8>> {
    let own = file.path().iter().rposition(|c| *c == b'/').and_then(|at| file.path().get(..at));
    let own = [b"/", own.unwrap_or_default()].concat();
    elf.runpath
        .iter()
        .map(|folder| {
            let folder = replace(folder, b"${ORIGIN}", &own);
            replace(&folder, b"$ORIGIN", &own)
        })
        .collect()
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    match text.windows(from.len()).position(|part| part == from) {
        Some(at) => {
            let (before, rest) = text.split_at(at);
            [before, to, rest.get(from.len()..).unwrap_or_default()].concat()
        }
        None => text.to_vec(),
    }
}

impl<'r, 'a> Search<'r, 'a> {
    fn new(root: &'r Root<'a>, elf: &Elf, loader: &[u8]) -> Self {
        let base = loader.rsplit(|c| *c == b'/').next().unwrap_or_default();
        let file = root.find(loader);
        // Alpine's libc6-compat puts musl's loader where glibc's is looked for.
        let real = file.as_ref().map(|file| file.path().rsplit(|c| *c == b'/').next());
        let base = real.flatten().filter(|real| is_musl_loader(real)).unwrap_or(base);
        let is_musl = is_musl_loader(base);
        let mut folders: Vec<Vec<u8>> = Vec::new();
        let given = root.variable("LD_LIBRARY_PATH").unwrap_or_default();
        folders.extend(given.split([':', ';']).map(|folder| folder.as_bytes().to_vec()));
        if is_musl {
            folders.extend(musl_folders(root, base));
        } else {
            folders.extend(glibc_folders(root, elf));
        }
        // A C library elsewhere (Nix, conda) knows its own folder.
        for path in [Some(loader), file.as_ref().map(File::path)].into_iter().flatten() {
            let folder = path.iter().rposition(|c| *c == b'/').and_then(|at| path.get(..at));
            folders.extend(folder.map(<[u8]>::to_vec));
        }
        let has_cache = root.find(b"etc/ld.so.cache").is_some();
        Self { root, folders, loader: file, is_musl, anywhere: None, has_cache }
    }

    fn is_loader(&self, name: &[u8]) -> bool {
        let is_own = |start: &&[u8]| name.starts_with(start);
        self.loader.is_some_and(|loader| loader.path().ends_with(name))
            || (self.is_musl && MUSL_OWN.iter().any(is_own))
    }

    fn find(&mut self, name: &[u8], inherited: &[Vec<u8>], elf: &Elf) -> Option<File<'a>> {
        if name.contains(&b'/') {
            return self.library(name, elf);
        }
        for folder in inherited.iter().chain(&self.folders) {
            // `$LIB` and `$PLATFORM` are words of the loader alone.
            if folder.contains(&b'$') {
                return self.anywhere(name, elf);
            }
            let path = [folder, b"/".as_slice(), name].concat();
            if let Some(found) = self.library(&path, elf) {
                return Some(found);
            }
        }
        // The cache names folders nothing else here says.
        if self.has_cache || (self.is_musl && self.musl_paths_unread()) {
            return self.anywhere(name, elf);
        }
        None
    }

    /// A library the loader takes: a file of the same class.
    fn library(&self, path: &[u8], elf: &Elf) -> Option<File<'a>> {
        let file = self.root.find(path).filter(|file| file.kind() == FileKind::File)?;
        let fits = elf_of(&file)
            .is_none_or(|found| found.is_64 == elf.is_64 && found.machine == elf.machine);
        fits.then_some(file)
    }

    fn anywhere(&mut self, name: &[u8], elf: &Elf) -> Option<File<'a>> {
        let root = self.root;
        let all = self.anywhere.get_or_insert_with(|| {
            let files = root
                .files
                .iter()
                .filter(|file| matches!(file.kind(), FileKind::File | FileKind::Symlink));
            let named = files
                .map(|file| (file.path().rsplit(|c| *c == b'/').next().unwrap_or_default(), file));
            named.filter(|(base, _)| base.windows(3).any(|part| part == b".so")).collect()
        });
        let path = all.get(name)?.path();
        self.library(path, elf)
    }

    fn musl_paths_unread(&self) -> bool {
        let mut paths = self.root.files.children(b"etc").filter(|file| {
            file.path().starts_with(b"etc/ld-musl-") && file.path().ends_with(b".path")
        });
        paths.any(|file| file.content().text.is_none())
    }
}

fn is_musl_loader(name: &[u8]) -> bool {
    name.starts_with(b"ld-musl-") || name.starts_with(b"libc.musl-")
}

fn musl_folders(root: &Root<'_>, loader: &[u8]) -> Vec<Vec<u8>> {
    let name = loader.strip_suffix(b".so.1").unwrap_or(loader);
    let path = [b"etc/", name, b".path"].concat();
    let text = root.find(&path).and_then(|file| file.content().text.as_deref());
    let Some(text) = text else {
        return ["lib", "usr/local/lib", "usr/lib"].map(|at| at.as_bytes().to_vec()).to_vec();
    };
    text.split(|c| matches!(c, b':' | b'\n')).map(|at| at.trim_ascii().to_vec()).collect()
}

fn glibc_folders(root: &Root<'_>, elf: &Elf) -> Vec<Vec<u8>> {
    let mut folders = Vec::new();
    let mut left = VecDeque::from([b"etc/ld.so.conf".to_vec()]);
    let mut read = 0;
    while let Some(path) = left.pop_front() {
        read += 1;
        if read > CONFIGURATIONS_MAX {
            break;
        }
        let text = root.find(&path).and_then(|file| file.content().text.as_deref());
        for line in text.unwrap_or_default().split(|c| *c == b'\n') {
            let line = line.split(|c| *c == b'#').next().unwrap_or_default().trim_ascii();
            match line.strip_prefix(b"include") {
                Some(pattern) => left.extend(included(root, pattern.trim_ascii())),
                None => folders.extend(line.split(|c| b":, \t".contains(c)).map(<[u8]>::to_vec)),
            }
        }
    }
    let own = if elf.is_64 { ["lib64", "usr/lib64"] } else { ["lib32", "usr/lib32"] };
    let usual = ["lib", "usr/lib"].into_iter().chain(own).map(ToOwned::to_owned);
    let debian = triplets(&root.config.architecture)
        .iter()
        .flat_map(|triplet| ["lib", "usr/lib"].map(|folder| format!("{folder}/{triplet}")));
    folders.extend(usual.chain(debian).map(String::into_bytes));
    folders.extend([b"lib/i386-linux-gnu".to_vec(), b"usr/lib/i386-linux-gnu".to_vec()]);
    folders.retain(|folder| !folder.is_empty());
    folders
}

/// The files of an `include`: one, or a folder's files fitting `*.conf` or `*`.
fn included(root: &Root<'_>, pattern: &[u8]) -> Vec<Vec<u8>> {
    let Some(star) = pattern.iter().position(|c| *c == b'*') else { return vec![pattern.to_vec()] };
    let (start, end) = (pattern.get(..star), pattern.get(star + 1..));
    let start = start.unwrap_or_default().strip_prefix(b"/").unwrap_or_default();
    let end = end.unwrap_or_default();
    let folder = start.strip_suffix(b"/").unwrap_or(start);
    let files = root.files.children(folder).map(|file| file.path().to_vec());
    files.filter(|path| path.starts_with(start) && path.ends_with(end)).collect()
}

/// Debian's names for the folders of an architecture.
pub(super) fn triplets(architecture: &str) -> &'static [&'static str] {
    match architecture {
        "amd64" => &["x86_64-linux-gnu"],
        "386" => &["i386-linux-gnu"],
        "arm64" => &["aarch64-linux-gnu"],
        "arm" => &["arm-linux-gnueabihf", "arm-linux-gnueabi"],
        "s390x" => &["s390x-linux-gnu"],
        "ppc64le" => &["powerpc64le-linux-gnu"],
        "riscv64" => &["riscv64-linux-gnu"],
        "mips64le" => &["mips64el-linux-gnuabi64"],
        "loong64" => &["loongarch64-linux-gnu"],
        _ => &[],
    }
}
