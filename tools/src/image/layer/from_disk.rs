//! Files of this machine's disk on their way into a layer, once the choice of paths is made.
//!
//! Invariant: a file is written as it was at the look; any change is an error.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Stat, fstat};
use wharf_oci::Digester;

use super::LayerError;
use super::beneath::{Beneath, is_change};
use crate::image::files::{FileKind, LayerFiles};
use crate::image::stamp::ShortStamp;
use crate::image::tar_write::{AppendError, Attribute, EntryHeader, EntryKind, TarWriter};
use crate::offer::layers::Modes;

/// The entries of a layer from below one folder.
#[derive(Debug)]
pub(super) struct FromDisk {
    pub(super) root: PathBuf,
    pub(super) mtime: u64,
    /// The number of the first entry in the layer.
    pub(super) first: usize,
    /// One for each entry.
    pub(super) sources: Vec<EntrySource>,
    pub(super) prefixes: Vec<Prefix>,
    /// By the number of the entry, from `first`.
    pub(super) attributes: HashMap<usize, Attribute>,
    /// The latest change of a file, in nanoseconds since 1970.
    pub(super) newest_change: i128,
    /// Whether the input is a file, and not a folder.
    pub(super) is_one_file: bool,
}

/// The files of an input on this machine's disk.
#[derive(Debug, Clone, Copy)]
pub struct DiskFiles<'a> {
    input: &'a FromDisk,
    files: &'a LayerFiles,
}

impl DiskFiles<'_> {
    /// The folder they are in.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.input.root
    }

    /// Shows every file with content of its own, in the order of the layer: its path in the image,
    /// its path on disk, and its stamp at the look.
    pub fn each(&self, see: &mut dyn FnMut(&[u8], &Path, ShortStamp)) -> Result<(), LayerError> {
        self.input.each(self.files, &mut |header, source| {
            if let Some(stamp) = source.stamp {
                let relative = self.input.source_path(header.path, source.prefix);
                see(header.path, &self.input.root.join(OsStr::from_bytes(&relative)), stamp);
            }
            Ok(())
        })
    }
}

/// From where an entry comes.
#[derive(Debug)]
pub(super) struct EntrySource {
    /// The stamp of a file with content in the layer.
    pub(super) stamp: Option<ShortStamp>,
    /// The prefix of its path, by number.
    pub(super) prefix: u16,
}

/// A path on disk and its path in the image; paths below the first go below the second.
#[derive(Debug)]
pub(super) struct Prefix {
    /// The path on disk, from the root of the input.
    pub(super) source: Vec<u8>,
    /// The path in the image.
    pub(super) image: Vec<u8>,
}

impl FromDisk {
    /// Its files among those of the layer.
    pub(super) const fn files<'a>(&'a self, files: &'a LayerFiles) -> DiskFiles<'a> {
        DiskFiles { input: self, files }
    }

    /// Writes the entries.
    pub(super) fn write<W: Write + ?Sized>(
        &self,
        files: &LayerFiles,
        tar: &mut TarWriter<'_, W>,
    ) -> Result<(), LayerError> {
        let failed = |source| LayerError::Read { path: self.root.clone(), source };
        let root = Beneath::open(&self.root).map_err(failed)?;
        self.each(files, &mut |header, source| {
            let Some(stamp) = source.stamp else { return Ok(tar.append(header)?) };
            let relative = self.source_path(header.path, source.prefix);
            let path = || self.root.join(OsStr::from_bytes(&relative));
            write_file(&root, &relative, header, stamp, tar).map_err(|error| error.at(path()))
        })
    }

    /// Takes everything the bytes follow from into a digest.
    pub(super) fn digest(&self, files: &LayerFiles, digester: &mut Digester) {
        let told = self.each(files, &mut |header, source| {
            header.digest(digester);
            digester.update(&source.stamp.map_or([0; 8], ShortStamp::bytes));
            Ok(())
        });
        debug_assert!(told.is_ok());
    }

    /// Shows every entry in its order.
    fn each(
        &self,
        files: &LayerFiles,
        see: &mut dyn FnMut(&EntryHeader<'_>, &EntrySource) -> Result<(), LayerError>,
    ) -> Result<(), LayerError> {
        for (place, source) in self.sources.iter().enumerate() {
            let Some(file) = files.get(self.first + place) else { continue };
            let kind = match file.kind() {
                FileKind::File => EntryKind::File(file.size_bytes()),
                FileKind::HardLink => EntryKind::HardLink(file.link()),
                FileKind::Symlink => EntryKind::Symlink(file.link()),
                _ => EntryKind::Folder,
            };
            let attributes = self.attributes.get(&place).map(std::slice::from_ref);
            let header = EntryHeader {
                path: file.path(),
                kind,
                mode: file.mode(),
                owner: file.owner(),
                mtime: self.mtime,
                attributes: attributes.unwrap_or_default(),
            };
            see(&header, source)?;
        }
        Ok(())
    }

    /// From where in the folder an entry comes.
    fn source_path(&self, image: &[u8], prefix: u16) -> Vec<u8> {
        let Some(prefix) = self.prefixes.get(usize::from(prefix)) else { return Vec::new() };
        let rest = image.get(prefix.image.len()..).unwrap_or_default();
        let rest = rest.strip_prefix(b"/").unwrap_or(rest);
        joined(&prefix.source, rest)
    }
}

/// A path below a folder; either may be empty.
pub(super) fn joined(folder: &[u8], path: &[u8]) -> Vec<u8> {
    match (folder.is_empty(), path.is_empty()) {
        (true, _) => path.to_vec(),
        (_, true) => folder.to_vec(),
        _ => [folder, b"/", path].concat(),
    }
}

/// Why a file was not written.
enum FileFault {
    /// The file has changed since the look.
    Changed,
    Read(std::io::Error),
    Write(std::io::Error),
}

impl FileFault {
    /// With the path it is about.
    fn at(self, path: PathBuf) -> LayerError {
        match self {
            Self::Changed => LayerError::Changed { path },
            Self::Read(source) => LayerError::Read { path, source },
            Self::Write(source) => LayerError::Write(source),
        }
    }
}

/// Writes a file after a check of its stamp, and checks it once more at the end.
fn write_file<W: Write + ?Sized>(
    root: &Beneath,
    relative: &[u8],
    header: &EntryHeader<'_>,
    stamp: ShortStamp,
    tar: &mut TarWriter<'_, W>,
) -> Result<(), FileFault> {
    let opened = root.file(relative).map_err(|error| {
        if is_change(&error) { FileFault::Changed } else { FileFault::Read(error) }
    })?;
    write_open(opened.into(), header, stamp, tar)
}

/// Writes an open file after a check of its stamp, and checks it once more at the end.
fn write_open<W: Write + ?Sized>(
    mut file: File,
    header: &EntryHeader<'_>,
    stamp: ShortStamp,
    tar: &mut TarWriter<'_, W>,
) -> Result<(), FileFault> {
    let is_same = |file: &File| match fstat(file) {
        Ok(stat) => Ok(ShortStamp::of(&stat) == stamp),
        Err(error) => Err(FileFault::Read(error.into())),
    };
    if !is_same(&file)? {
        return Err(FileFault::Changed);
    }
    tar.append_file(header, &mut file)?;
    if is_same(&file)? { Ok(()) } else { Err(FileFault::Changed) }
}

impl From<AppendError> for FileFault {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Size => Self::Changed,
            AppendError::Read(source) => Self::Read(source),
            AppendError::Write(source) => Self::Write(source),
        }
    }
}

/// The bits a file or folder gets.
pub(super) fn mode_of(stat: &Stat, modes: Modes) -> u16 {
    let is_folder = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir();
    let bits = match modes {
        Modes::Kept => stat.st_mode & 0o7777,
        Modes::Normal if is_folder || stat.st_mode & 0o100 != 0 => 0o755,
        Modes::Normal => 0o644,
    };
    u16::try_from(bits).unwrap_or_default()
}
