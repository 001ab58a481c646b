//! The files of a chart, read from its folder within bounds. A link counts as its target when the
//! target is a file or a folder of the chart; a link out of the chart is named and not read.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::ignored::Ignored;
use crate::input;

/// Most files of a chart with its subcharts.
pub const FILES_MAX: usize = 4_000;
/// Deepest folder below the chart.
pub const DEPTH_MAX: usize = 24;
/// Largest file; Helm 3 refuses larger ones.
pub const FILE_BYTES_MAX: u64 = 5 * 1024 * 1024;
/// Most bytes together.
pub const CHART_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Why a chart cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// There is nothing.
    #[error("there is no folder {}", .0.display())]
    Missing(PathBuf),
    /// It is a packed chart, or no folder.
    #[error("{} is no folder; the packaging tool takes an unpacked chart", .0.display())]
    NotAFolder(PathBuf),
    /// It has no `Chart.yaml`.
    #[error("{} holds no Chart.yaml, so it is no Helm chart", .0.display())]
    NoChart(PathBuf),
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// It holds more than a chart may.
    #[error("{} {excess}", path.display())]
    TooMuch { path: PathBuf, excess: String },
    /// Helm does not take its `.helmignore`.
    #[error("{}:{line}: Helm does not take this pattern", path.display())]
    Pattern {
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
    },
    /// A name is not UTF-8.
    #[error("a name in {} is not UTF-8", .0.display())]
    Name(PathBuf),
}

/// A file of a chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartFile {
    /// Its path in the chart, with `/`.
    pub path: String,
    pub bytes: Vec<u8>,
}

impl ChartFile {
    /// Its text, when it is UTF-8; a byte order mark is no part of it.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        let text = std::str::from_utf8(&self.bytes).ok()?;
        Some(text.strip_prefix('\u{feff}').unwrap_or(text))
    }
}

/// The content of a chart's folder.
pub(super) struct FolderListing {
    pub(super) files: Vec<ChartFile>,
    pub(super) astray: Vec<String>,
}

/// Reads it all.
pub(super) fn read(folder: &Path) -> Result<FolderListing, ChartError> {
    let failed = |path: &Path, source| ChartError::Read { path: path.to_owned(), source };
    match fs::metadata(folder) {
        Ok(found) if !found.is_dir() => return Err(ChartError::NotAFolder(folder.to_owned())),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ChartError::Missing(folder.to_owned()));
        }
        Err(error) => return Err(failed(folder, error)),
    }
    let real = folder.canonicalize().map_err(|error| failed(folder, error))?;
    let ignored = ignored(folder)?;
    let mut walk = Walk {
        folder,
        real,
        ignored,
        files: BTreeMap::new(),
        astray: Vec::new(),
        size: 0,
        folders: 0,
        links: Vec::new(),
    };
    walk.folder("", 0)?;
    if !walk.files.contains_key("Chart.yaml") {
        return Err(ChartError::NoChart(folder.to_owned()));
    }
    let files = walk.files.into_iter().map(|(path, bytes)| ChartFile { path, bytes }).collect();
    Ok(FolderListing { files, astray: walk.astray })
}

fn ignored(folder: &Path) -> Result<Ignored, ChartError> {
    let path = folder.join(".helmignore");
    let text = match take(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(ChartError::Read { path, source }),
    };
    Ignored::read(&text).map_err(|line| ChartError::Pattern { path, line })
}

fn take(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

struct Walk<'a> {
    folder: &'a Path,
    real: PathBuf,
    ignored: Ignored,
    files: BTreeMap<String, Vec<u8>>,
    astray: Vec<String>,
    size: u64,
    folders: usize,
    /// The targets of the links on the present path.
    links: Vec<PathBuf>,
}

impl Walk<'_> {
    fn folder(&mut self, below: &str, depth: usize) -> Result<(), ChartError> {
        let at = self.folder.join(below);
        if depth > DEPTH_MAX {
            let excess = format!("lies deeper than {DEPTH_MAX} folders");
            return Err(ChartError::TooMuch { path: at, excess });
        }
        self.folders += 1;
        if self.folders > FILES_MAX {
            let excess = format!("holds more than {FILES_MAX} folders");
            return Err(ChartError::TooMuch { path: self.folder.to_owned(), excess });
        }
        let failed = |source| ChartError::Read { path: at.clone(), source };
        for entry in fs::read_dir(&at).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| ChartError::Name(at.clone()))?;
            let slash = if below.is_empty() { "" } else { "/" };
            let path = format!("{below}{slash}{name}");
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_symlink() {
                self.link(path, depth)?;
            } else if self.ignored.takes(&path, kind.is_dir()) {
                // Helm does not take it either.
            } else if kind.is_dir() {
                self.folder(&path, depth + 1)?;
            } else {
                self.file(path)?;
            }
        }
        Ok(())
    }

    /// A link to a file or a folder of the chart adds it a second time; a link in a circle adds
    /// nothing.
    fn link(&mut self, path: String, depth: usize) -> Result<(), ChartError> {
        let from = self.folder.join(&path);
        let inside = from.canonicalize().ok().filter(|at| at.starts_with(&self.real));
        let is_folder = inside.as_ref().is_some_and(|at| at.is_dir());
        if self.ignored.takes(&path, is_folder) {
            return Ok(());
        }
        match inside {
            Some(at) if is_folder => {
                let above = from.parent().and_then(|above| above.canonicalize().ok());
                if above.is_none_or(|above| above.starts_with(&at)) || self.links.contains(&at) {
                    self.astray.push(path);
                    return Ok(());
                }
                self.links.push(at);
                let read = self.folder(&path, depth + 1);
                self.links.pop();
                read
            }
            Some(at) if at.is_file() => self.file(path),
            _ => {
                self.astray.push(path);
                Ok(())
            }
        }
    }

    fn file(&mut self, path: String) -> Result<(), ChartError> {
        let at = self.folder.join(&path);
        let too_much = |excess: String| ChartError::TooMuch { path: at.clone(), excess };
        if self.files.len() >= FILES_MAX {
            let path = self.folder.to_owned();
            let excess = format!("holds more than {FILES_MAX} files");
            return Err(ChartError::TooMuch { path, excess });
        }
        let bytes = take(&at).map_err(|source| ChartError::Read { path: at.clone(), source })?;
        let size = bytes.len() as u64;
        if size > FILE_BYTES_MAX {
            return Err(too_much(format!("has more than {FILE_BYTES_MAX} bytes")));
        }
        self.size += size;
        if self.size > CHART_BYTES_MAX {
            return Err(too_much(format!("brings the chart over {CHART_BYTES_MAX} bytes")));
        }
        self.files.insert(path, bytes);
        Ok(())
    }
}
