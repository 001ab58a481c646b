//! Rules about programs and libraries: the machine of the platform, and the libraries needed by a
//! program.

use std::collections::BTreeSet;

use super::image_start::each_chain;
use super::libraries::{Libraries, triplets};
use super::roots::{Need, Root, each_root, shown, some_of, words};
use super::start::search_path;
use super::{Check, Findings, ImageView, Rule, Severity};
use crate::image::files::{Elf, ElfKind, File, FileKind, Machine, Magic};

/// Where libraries are, besides the folder of the platform's own.
const LIBRARY_FOLDERS: [&str; 6] =
    ["lib", "lib64", "usr/lib", "usr/lib64", "usr/local/lib", "usr/local/lib64"];

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "IMG-042",
        title: "programs and libraries are built for the platform of the image",
        severity: Severity::Error,
        source: "execve(2); INFERENCE",
        why: "`exec format error` on every customer's node: files of one platform were copied into the image of another.",
        fix: "build for each platform, and copy the files of that platform (`TARGETARCH`)",
        check: Check::Image(machines),
    },
    Rule {
        id: "IMG-043",
        title: "the libraries that the program needs are in the image",
        severity: Severity::Error,
        source: "ld.so(8); INFERENCE (musl's loader)",
        why: "The loader ends the program before its first line.",
        fix: "install the package of the library, or link statically",
        check: Check::Image(|view, judge| {
            each_chain(view, judge, |judge, root, chain| {
                let mut applies = false;
                for (file, elf) in chain.files.iter().filter_map(|file| Some((file, elf(file)?))) {
                    if elf.interpreter.is_none() {
                        continue;
                    }
                    applies = true;
                    let libraries = Libraries::of(root, file, elf);
                    if libraries.is_unknown {
                        judge.not_looked_at(super::Gap::Files);
                    }
                    for missing in &libraries.missing {
                        let message = format!(
                            "{} needs the library `{}` of {}, which is not in the image",
                            chain.what,
                            words(&missing.name),
                            shown(&missing.wanted_by)
                        );
                        judge.error("config", message);
                    }
                }
                applies
            });
        }),
    },
];

fn elf<'a>(file: &File<'a>) -> Option<&'a Elf> {
    match &file.content().magic {
        Magic::Elf(elf) => Some(elf),
        _ => None,
    }
}

/// How an ELF file fits a platform.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    Runs,
    /// On some machines of the platform.
    Perhaps,
    Never,
}

/// `None` for an architecture nothing is known of.
fn fit(architecture: &str, elf: &Elf) -> Option<Fit> {
    let (machine, is_64, big_endian) = match architecture {
        "amd64" => (Machine::X86_64, true, false),
        "386" => (Machine::X86, false, false),
        "arm64" => (Machine::AARCH64, true, false),
        "arm" => (Machine::ARM, false, false),
        "s390x" => (Machine::S390, true, true),
        "ppc64" => (Machine::PPC64, true, true),
        "ppc64le" => (Machine::PPC64, true, false),
        "riscv64" => (Machine::RISCV, true, false),
        "mips" => (Machine::MIPS, false, true),
        "mipsle" => (Machine::MIPS, false, false),
        "mips64" => (Machine::MIPS, true, true),
        "mips64le" => (Machine::MIPS, true, false),
        "loong64" => (Machine::LOONGARCH, true, false),
        _ => return None,
    };
    if elf.machine == machine && elf.is_64 == is_64 && elf.big_endian == big_endian {
        return Some(Fit::Runs);
    }
    Some(match (architecture, elf.machine) {
        // x32, and programs of the 32-bit machine before.
        ("amd64", Machine::X86_64 | Machine::X86) => Fit::Runs,
        ("arm64", Machine::ARM) => Fit::Perhaps,
        _ => Fit::Never,
    })
}

fn machines(view: &ImageView<'_>, judge: &mut Findings<'_>) {
    let mut started = BTreeSet::new();
    each_chain(view, judge, |judge, root, chain| {
        let architecture = root.config.architecture.as_str();
        let elves = chain.files.iter().filter_map(|file| Some((file, elf(file)?)));
        for (file, elf) in elves {
            started.insert((root.image.descriptor.digest, file.path().to_vec()));
            let of = describe(elf);
            let message = format!("{} is {of}: {}", chain.what, shown(file.path()));
            match fit(architecture, elf) {
                Some(Fit::Never) => judge.error("config", message),
                Some(Fit::Perhaps) => judge.warning("config", message),
                Some(Fit::Runs) | None => {}
            }
        }
        true
    });
    let mut others = Vec::new();
    each_root(view, judge, Need::All, |judge, root| {
        let looked = ["programs", "libraries"].map(|what| {
            let folders = match what {
                "programs" => search_path(root).map(|path| path.as_bytes().to_vec()).collect(),
                _ => library_folders(root),
            };
            let files = elves_in(root, &folders, what == "libraries");
            let foreign: Vec<&File<'_>> = files
                .iter()
                .filter(|file| {
                    let key = (root.image.descriptor.digest, file.path().to_vec());
                    !started.contains(&key)
                        && elf(file).and_then(|elf| fit(&root.config.architecture, elf))
                            == Some(Fit::Never)
                })
                .collect();
            if !foreign.is_empty() {
                let message = format!(
                    "{} {what} are for other machines: {}",
                    foreign.len(),
                    some_of(foreign.iter().map(|file| file.path()))
                );
                judge.warning("", message);
            }
            !files.is_empty()
        });
        others.extend(looked);
        looked.contains(&true)
    });
}

fn describe(elf: &Elf) -> String {
    let name = elf.machine.name();
    let bits = if elf.is_64 { 64 } else { 32 };
    match name {
        Some(name) => format!("a {bits}-bit file for {name}"),
        None => format!("a {bits}-bit file for the machine {}", elf.machine.0),
    }
}

/// The folders the loader of the platform looks in, not those of other platforms beside them.
fn library_folders(root: &Root<'_>) -> Vec<Vec<u8>> {
    let triplets = triplets(&root.config.architecture);
    let own = triplets.iter().flat_map(|triplet| {
        ["lib", "usr/lib"].map(|folder| format!("{folder}/{triplet}").into_bytes())
    });
    LIBRARY_FOLDERS.iter().map(|folder| folder.as_bytes().to_vec()).chain(own).collect()
}

/// Programs or libraries directly in these folders, each once.
fn elves_in<'a>(root: &Root<'a>, folders: &[Vec<u8>], only_libraries: bool) -> Vec<File<'a>> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for folder in folders {
        let Some(folder) = root.find(folder).filter(|at| at.kind() == FileKind::Folder) else {
            continue;
        };
        if !seen.insert(folder.path()) {
            continue;
        }
        let files = root.files.children(folder.path()).filter(|file| {
            let kind = elf(file).map(|elf| elf.kind);
            let is_library = file.path().split(|c| *c == b'/').next_back().is_some_and(is_library);
            match kind {
                Some(ElfKind::Shared) => !only_libraries || is_library,
                Some(ElfKind::Executable) => !only_libraries,
                Some(ElfKind::Other) | None => false,
            }
        });
        found.extend(files);
    }
    found
}

fn is_library(name: &[u8]) -> bool {
    name.ends_with(b".so") || name.windows(4).any(|part| part == b".so.")
}
