//! Debian packages on their way into a layer, unpacked as `dpkg -x` does, over the existing files:
//! links of a merged `/usr` are followed, and existing folders stay as they are.
//!
//! Scripts of packages do not run, and dependencies of a package are not resolved.

use std::fs;
use std::path::{Path, PathBuf};

use wharf_oci::{Digest, Platform};

use super::archive::{self, ArchiveFormat, ArchiveListing, PreparedArchive};
use super::entries::{Folder, FolderClaim, LayerEntries};
use super::records::RecordKind;
use super::rewriting::{self, AT_END, Step, StepKind, Wishes};
use super::{LayerError, Setting};
use crate::image::debian::{self, Control};
use crate::image::files::{FileKind, NewFile};
use crate::image::packages::DPKG_STATUS_FOLDER;
use crate::offer::globs::Glob;
use crate::offer::layers::DebInput;
use crate::offer::patterns::PathPattern;

/// How many files are looked at for one pattern; a mirror of all of Debian has as many packages.
const LOOKED_AT_MAX: usize = 200_000;

/// How many packages a layer may have.
const PACKAGES_MAX: usize = 10_000;

/// How deep folders are looked into for a pattern with `**`.
const DEPTH_MAX: usize = 40;

/// A package in a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebianPackage {
    /// Its file, from the folder of the offer.
    pub path: String,
    /// The digest of that file.
    pub digest: Digest,
    pub size_bytes: u64,
    /// The fields of its control file.
    pub control: Control,
    /// Its copyright file, when it has one of a fitting size.
    pub copyright: Option<Vec<u8>>,
}

/// The packages of one input.
#[derive(Debug, Default)]
pub(super) struct PreparedDebs {
    pub(super) archives: Vec<PreparedArchive>,
}

/// Finds the packages and plans their files. `packages` are those the layer has already.
pub(super) fn prepare(
    setting: &Setting<'_>,
    input: &DebInput,
    entries: &mut LayerEntries<'_>,
    packages: &mut Vec<DebianPackage>,
) -> Result<PreparedDebs, LayerError> {
    let wishes = Wishes {
        into: b"",
        owner: None,
        include: &input.include,
        exclude: &input.exclude,
        is_package: true,
        created: setting.created.unix_seconds(),
    };
    let mut prepared = PreparedDebs::default();
    let mut unused: Option<Vec<String>> = None;
    for (name, path) in find(setting.offer_folder, input)? {
        let found = archive::read(&path, ArchiveFormat::Package)?;
        entries.begin_input(format!("deb {name}"));
        let plan = rewriting::plan(&found.records.entries, &wishes, entries);
        let plan = plan.map_err(|fault| archive::not_planned(&path, fault))?;
        let mut steps = plan.steps;
        // A pattern without a match in one package may match in the others.
        unused = Some(match unused {
            None => plan.unused,
            Some(before) => before.into_iter().filter(|at| plan.unused.contains(at)).collect(),
        });
        let digest = found.digest;
        let Some((package, texts)) = described(name, found) else { continue };
        let same = |known: &&DebianPackage| known.control.name == package.control.name;
        if let Some(first) = packages.iter().find(same) {
            return Err(LayerError::SamePackage {
                name: package.control.name,
                first: first.path.clone(),
                second: package.path,
            });
        }
        if input.status {
            steps.extend(status(&package.control.name, texts, &wishes, entries)?);
        }
        packages.push(package);
        prepared.archives.push(PreparedArchive {
            path,
            form: ArchiveFormat::Package,
            digest,
            steps,
        });
    }
    for pattern in unused.unwrap_or_default() {
        entries.note(&input.paths.to_string(), format!("{pattern} matches nothing"));
    }
    Ok(prepared)
}

/// Checks the architecture of packages against a platform.
pub(super) fn check_platform(
    packages: &[DebianPackage],
    platform: &Platform,
) -> Result<(), LayerError> {
    let wrong = packages.iter().find(|at| !debian::runs_on(&at.control.architecture, platform));
    wrong.map_or(Ok(()), |package| {
        Err(LayerError::Architecture {
            path: package.path.clone(),
            architecture: package.control.architecture.clone(),
            platform: platform.to_string(),
        })
    })
}

/// The control file and the checksums.
type Texts = (Box<[u8]>, Option<Box<[u8]>>);

fn described(path: String, found: ArchiveListing) -> Option<(DebianPackage, Texts)> {
    let (control, text, md5sums) = found.package?;
    let copyright = found.records.copyright;
    let (digest, size_bytes) = (found.digest, found.size_bytes);
    Some((DebianPackage { path, digest, size_bytes, control, copyright }, (text, md5sums)))
}

/// The files scanners read about a package: its control file, and the checksums of its files.
fn status(
    name: &str,
    (control, md5sums): Texts,
    wishes: &Wishes<'_>,
    entries: &mut LayerEntries<'_>,
) -> Result<Vec<Step>, LayerError> {
    let folder = entries.resolve(DPKG_STATUS_FOLDER.as_bytes())?;
    let mut steps = Vec::new();
    let step = |path: &[u8], kind, mode, owner| Step {
        at: AT_END,
        path: path.into(),
        kind,
        mode,
        owner,
        mtime: wishes.created,
        attributes: Box::default(),
    };
    for path in rewriting::prefixes(&folder) {
        let claim = FolderClaim::Needed;
        if entries.add_folder(&Folder { path, mode: 0o755, owner: (0, 0), claim })? {
            let added = entries.get(entries.len().saturating_sub(1));
            let (mode, owner) = added.map_or((0o755, (0, 0)), |at| (at.mode(), at.owner()));
            steps.push(step(path, StepKind::Entry(RecordKind::Folder), mode, owner));
        }
    }
    let files = [(String::new(), Some(control)), (".md5sums".to_owned(), md5sums)];
    for (end, text) in files {
        let Some(text) = text else { continue };
        let path = [folder.as_slice(), b"/", name.as_bytes(), end.as_bytes()].concat();
        let size_bytes = text.len() as u64;
        let kind = FileKind::File;
        entries.add(&NewFile { path: &path, kind, size_bytes, ..NewFile::default() })?;
        steps.push(step(&path, StepKind::Text(text), 0o644, (0, 0)));
    }
    Ok(steps)
}

/// The files of the input's patterns, each once, in the order of their paths.
pub(super) fn find(folder: &Path, input: &DebInput) -> Result<Vec<(String, PathBuf)>, LayerError> {
    let mut names = Vec::new();
    for pattern in input.paths.iter() {
        let found = matching(folder, pattern)?;
        if found.is_empty() {
            return Err(LayerError::NoMatch { pattern: folder.join(pattern.text().as_str()) });
        }
        names.extend(found);
    }
    names.sort_unstable();
    names.dedup();
    if names.len() > PACKAGES_MAX {
        let (path, what) = (folder.to_owned(), format!("more than {PACKAGES_MAX} packages"));
        return Err(LayerError::TooMuch { path, what });
    }
    Ok(names.into_iter().map(|name| (name.clone(), folder.join(name))).collect())
}

fn matching(folder: &Path, pattern: &PathPattern) -> Result<Vec<String>, LayerError> {
    let Some((below, glob)) = pattern.parts() else {
        let path = folder.join(pattern.text().as_str());
        return match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => Ok(vec![pattern.text().to_string()]),
            Ok(_) => Err(LayerError::WrongKind { what: "file", path }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(LayerError::Missing { what: "package", path })
            }
            Err(source) => Err(LayerError::Read { path, source }),
        };
    };
    let mut search = Search { root: folder.join(below), glob, found: Vec::new(), looked_at: 0 };
    search.folder("", depth(glob))?;
    let prefix = if below.is_empty() { String::new() } else { format!("{below}/") };
    Ok(search.found.into_iter().map(|name| format!("{prefix}{name}")).collect())
}

/// How many folders deep a pattern can match.
fn depth(glob: &Glob) -> usize {
    let mut parts = glob.as_str().split('/');
    if parts.clone().any(|part| part == "**") { DEPTH_MAX } else { parts.by_ref().count() - 1 }
}

struct Search<'g> {
    root: PathBuf,
    glob: &'g Glob,
    found: Vec<String>,
    looked_at: usize,
}

impl Search<'_> {
    /// Looks at the entries of a folder below the root. Links to folders are not followed.
    fn folder(&mut self, relative: &str, depth: usize) -> Result<(), LayerError> {
        let path = self.root.join(relative);
        let read = |source| LayerError::Read { path: path.clone(), source };
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(read(error)),
        };
        for entry in entries {
            let entry = entry.map_err(read)?;
            self.looked_at += 1;
            if self.looked_at > LOOKED_AT_MAX {
                let what = format!("more than {LOOKED_AT_MAX} files to look at for a pattern");
                return Err(LayerError::TooMuch { path: self.root.clone(), what });
            }
            // No pattern, being a text, can match a name outside UTF-8.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let name = if relative.is_empty() { name } else { format!("{relative}/{name}") };
            let kind = entry.file_type().map_err(read)?;
            if kind.is_dir() {
                if depth > 0 {
                    self.folder(&name, depth - 1)?;
                }
            } else if self.glob.matches(name.as_bytes()) && entry.path().is_file() {
                self.found.push(name);
            }
        }
        Ok(())
    }
}
