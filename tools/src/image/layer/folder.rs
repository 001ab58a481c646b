//! A folder on its way into a layer.
//!
//! Invariant: the entries follow from names, modes, contents, owner and time alone; their order is
//! that of the path bytes.

use std::fs::{self, File, Metadata};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{ENTRIES_MAX, LayerError};
use crate::image::files::{FileKind, LayerFilesBuilder, NewFile};
use crate::image::tar_write::{EntryHeader, EntryKind, TarWriter};
use crate::offer::globs::Glob;
use crate::offer::layers::DirInput;
use crate::offer::timestamp::Timestamp;

/// A folder whose names were read.
#[derive(Debug)]
pub(super) struct PreparedDir {
    root: PathBuf,
    input: DirInput,
    mtime: u64,
    /// The paths below the folder, sorted.
    paths: Vec<Vec<u8>>,
}

/// Reads the names in a folder.
pub(super) fn prepare(
    root: PathBuf,
    input: &DirInput,
    created: Timestamp,
    files: &mut LayerFilesBuilder,
) -> Result<PreparedDir, LayerError> {
    let mut paths = Vec::new();
    collect(&root, &mut Vec::new(), &input.exclude, &mut paths)?;
    paths.sort_unstable();
    let prepared = PreparedDir { root, input: input.clone(), mtime: created.unix_seconds(), paths };
    prepared.each_entry(&mut |header, _| {
        files.push(&as_file(header));
        Ok(())
    })?;
    Ok(prepared)
}

impl PreparedDir {
    /// Writes the entries.
    pub(super) fn write<W: Write + ?Sized>(
        &self,
        tar: &mut TarWriter<'_, W>,
    ) -> Result<(), LayerError> {
        self.each_entry(&mut |header, path| {
            if let EntryKind::File(_) = header.kind {
                let read = |source| LayerError::Read { path: path.to_owned(), source };
                let mut file = File::open(path).map_err(read)?;
                return tar.append_file(header, &mut file).map_err(read);
            }
            Ok(tar.append(header)?)
        })
    }

    /// Shows every entry in its order, with the path that it is read from.
    fn each_entry(
        &self,
        see: &mut dyn FnMut(&EntryHeader<'_>, &Path) -> Result<(), LayerError>,
    ) -> Result<(), LayerError> {
        let owner = (self.input.owner.uid, self.input.owner.gid);
        let mtime = self.mtime;
        let prefix = self.each_parent(see)?;
        for relative in &self.paths {
            let path = self.root.join(std::ffi::OsStr::from_bytes(relative));
            let read = |source| LayerError::Read { path: path.clone(), source };
            let metadata = fs::symlink_metadata(&path).map_err(read)?;
            let in_image = [prefix.as_slice(), relative].concat();
            let mode = mode_of(&metadata);
            let header =
                |kind| EntryHeader { path: &in_image, kind, mode, owner, mtime, attributes: &[] };
            if metadata.is_dir() {
                see(&header(EntryKind::Folder), &path)?;
            } else if metadata.is_symlink() {
                let target = fs::read_link(&path).map_err(read)?;
                let kind = EntryKind::Symlink(target.as_os_str().as_bytes());
                // The mode of a link means nothing and differs between systems.
                see(&EntryHeader { mode: 0o777, ..header(kind) }, &path)?;
            } else if metadata.is_file() {
                see(&header(EntryKind::File(metadata.len())), &path)?;
            } else {
                return Err(LayerError::Special { path });
            }
        }
        Ok(())
    }

    /// Shows the entries of `into` and the folders above it; returns what stands before every path.
    fn each_parent(
        &self,
        see: &mut dyn FnMut(&EntryHeader<'_>, &Path) -> Result<(), LayerError>,
    ) -> Result<Vec<u8>, LayerError> {
        let Self { root, input, mtime, .. } = self;
        if input.into.is_root() {
            return Ok(Vec::new());
        }
        let into = input.into.as_str().trim_start_matches('/').as_bytes();
        let header = |path, mode, owner| EntryHeader {
            path,
            kind: EntryKind::Folder,
            mode,
            owner,
            mtime: *mtime,
            attributes: &[],
        };
        for (at, _) in into.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            see(&header(into.get(..at).unwrap_or_default(), 0o755, (0, 0)), root)?;
        }
        let metadata =
            fs::metadata(root).map_err(|source| LayerError::Read { path: root.clone(), source })?;
        see(&header(into, mode_of(&metadata), (input.owner.uid, input.owner.gid)), root)?;
        Ok([into, b"/"].concat())
    }
}

/// An entry as the layers above see it.
fn as_file<'a>(header: &EntryHeader<'a>) -> NewFile<'a> {
    let none = [].as_slice();
    let (kind, size_bytes, link) = match header.kind {
        EntryKind::Folder => (FileKind::Folder, 0, none),
        EntryKind::File(size_bytes) => (FileKind::File, size_bytes, none),
        EntryKind::HardLink(target) => (FileKind::HardLink, 0, target),
        EntryKind::Symlink(target) => (FileKind::Symlink, 0, target),
        EntryKind::CharDevice(..) => (FileKind::CharDevice, 0, none),
        EntryKind::BlockDevice(..) => (FileKind::BlockDevice, 0, none),
        EntryKind::Fifo => (FileKind::Fifo, 0, none),
    };
    NewFile { path: header.path, kind, mode: header.mode, owner: header.owner, size_bytes, link }
}

fn mode_of(metadata: &Metadata) -> u32 {
    metadata.permissions().mode() & 0o7777
}

/// Collects the paths below a folder that are not excluded, relative to the first folder.
fn collect(
    folder: &Path,
    relative: &mut Vec<u8>,
    exclude: &[Glob],
    paths: &mut Vec<Vec<u8>>,
) -> Result<(), LayerError> {
    let read = |source| LayerError::Read { path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(read)? {
        let entry = entry.map_err(read)?;
        let kind = entry.file_type().map_err(read)?;
        let depth = relative.len();
        if depth > 0 {
            relative.push(b'/');
        }
        relative.extend_from_slice(entry.file_name().as_bytes());
        if !exclude.iter().any(|glob| glob.matches(relative)) {
            if kind.is_socket() || kind.is_fifo() || kind.is_block_device() || kind.is_char_device()
            {
                return Err(LayerError::Special { path: entry.path() });
            }
            if paths.len() == ENTRIES_MAX {
                return Err(LayerError::TooMany { path: folder.to_owned() });
            }
            paths.push(relative.clone());
            if kind.is_dir() {
                collect(&entry.path(), relative, exclude, paths)?;
            }
        }
        relative.truncate(depth);
    }
    Ok(())
}
