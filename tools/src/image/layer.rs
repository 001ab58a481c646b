//! Layers: a tar made from a folder, or a ready tar, on its way into gzip.
//!
//! Invariant: the bytes of a layer made from a folder follow from names, modes, contents, owner and
//! time alone; the order is that of the path bytes. A layer streams: it is never whole in memory.
//! Nothing that a runtime would refuse leaves here.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::facts::Refusal;
use super::gzip::BlockWriter;
use super::tar_rules::EntryRules;
use super::tar_walk::{TarFault, TarWalk};
use super::tar_write::{EntryHeader, EntryKind, TarWriter};
use crate::input;
use crate::offer::globs::Glob;
use crate::offer::model::{DirLayer, LayerSource};
use crate::offer::timestamp::Timestamp;

/// How many entries a layer may have: their paths are held in memory to be sorted.
const ENTRIES_MAX: usize = 2_000_000;

/// How much of a ready tar is read at once.
const COPY_BYTES: usize = 256 * 1024;

/// Why a layer cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// What the offer names is not there.
    #[error("{what} {path} does not exist; build it first")]
    Missing {
        /// `folder` or `tar`.
        what: &'static str,
        /// Where it should be.
        path: PathBuf,
    },
    /// It is there, but as something else.
    #[error("{path} is not a {what}")]
    WrongKind {
        /// `folder` or `file`.
        what: &'static str,
        /// Where.
        path: PathBuf,
    },
    /// Reading a file of the layer failed.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A socket, device or named pipe.
    #[error("{path} is a socket, a device or a named pipe; exclude it or remove it")]
    Special {
        /// Which.
        path: PathBuf,
    },
    /// More entries than can be sorted.
    #[error("{path} has more than {ENTRIES_MAX} entries; make several layers of it")]
    TooMany {
        /// The folder.
        path: PathBuf,
    },
    /// A ready tar that engines refuse to unpack.
    #[error("the entry `{entry}` of {path} {reason}")]
    Refused {
        /// The tar.
        path: PathBuf,
        /// The entry.
        entry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A ready tar that is none.
    #[error("{path} is not an uncompressed tar: {fault}")]
    NotATar {
        /// Which.
        path: PathBuf,
        /// Why not.
        fault: TarFault,
    },
    /// The layer could not be written.
    #[error("cannot write the layer")]
    Write(#[from] io::Error),
}

/// Checks that what the offer names is there, without reading it.
pub fn check_source(folder: &Path, source: &LayerSource) -> Result<(), LayerError> {
    let (path, what, kind) = match source {
        LayerSource::Dir(layer) => (folder.join(layer.path.as_str()), "folder", "folder"),
        LayerSource::Tar(path) => (folder.join(path.as_str()), "tar", "file"),
    };
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(LayerError::Missing { what, path });
        }
        Err(source) => return Err(LayerError::Read { path, source }),
    };
    let fits = match source {
        LayerSource::Dir(_) => metadata.is_dir(),
        LayerSource::Tar(_) => metadata.is_file(),
    };
    if fits { Ok(()) } else { Err(LayerError::WrongKind { what: kind, path }) }
}

/// Writes the uncompressed layer. Paths of the offer are looked for in `folder`.
pub fn write(
    folder: &Path,
    source: &LayerSource,
    created: Timestamp,
    out: &mut BlockWriter,
) -> Result<(), LayerError> {
    check_source(folder, source)?;
    match source {
        LayerSource::Dir(layer) => {
            write_dir(&folder.join(layer.path.as_str()), layer, created, out)
        }
        LayerSource::Tar(path) => write_tar(&folder.join(path.as_str()), out),
    }
}

fn write_dir(
    root: &Path,
    layer: &DirLayer,
    created: Timestamp,
    out: &mut BlockWriter,
) -> Result<(), LayerError> {
    let mut paths = Vec::new();
    collect(root, &mut Vec::new(), &layer.exclude, &mut paths)?;
    paths.sort_unstable();
    let mtime = created.unix_seconds();
    let owner = (layer.owner.uid, layer.owner.gid);
    let mut tar = TarWriter::new(out);
    let prefix = write_parents(root, layer, mtime, &mut tar)?;
    for relative in &paths {
        let path = root.join(std::ffi::OsStr::from_bytes(relative));
        let read = |source| LayerError::Read { path: path.clone(), source };
        let metadata = fs::symlink_metadata(&path).map_err(read)?;
        let in_image = [prefix.as_slice(), relative].concat();
        let mode = mode_of(&metadata);
        let header = |kind| EntryHeader { path: &in_image, kind, mode, owner, mtime };
        if metadata.is_dir() {
            tar.append(&header(EntryKind::Folder))?;
        } else if metadata.is_symlink() {
            let target = fs::read_link(&path).map_err(read)?;
            let kind = EntryKind::Symlink(target.as_os_str().as_bytes());
            // The mode of a link means nothing and differs between systems.
            tar.append(&EntryHeader { mode: 0o777, ..header(kind) })?;
        } else if metadata.is_file() {
            let mut file = File::open(&path).map_err(read)?;
            tar.append_file(&header(EntryKind::File(metadata.len())), &mut file).map_err(read)?;
        } else {
            return Err(LayerError::Special { path });
        }
    }
    Ok(tar.finish()?)
}

/// Writes the entries of `into` and the folders above it; returns what stands before every path.
fn write_parents(
    root: &Path,
    layer: &DirLayer,
    mtime: u64,
    tar: &mut TarWriter<'_, BlockWriter>,
) -> Result<Vec<u8>, LayerError> {
    if layer.into.is_root() {
        return Ok(Vec::new());
    }
    let into = layer.into.as_str().trim_start_matches('/').as_bytes();
    for (at, _) in into.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
        let path = into.get(..at).unwrap_or_default();
        let kind = EntryKind::Folder;
        tar.append(&EntryHeader { path, kind, mode: 0o755, owner: (0, 0), mtime })?;
    }
    let metadata =
        fs::metadata(root).map_err(|source| LayerError::Read { path: root.to_owned(), source })?;
    tar.append(&EntryHeader {
        path: into,
        kind: EntryKind::Folder,
        mode: mode_of(&metadata),
        owner: (layer.owner.uid, layer.owner.gid),
        mtime,
    })?;
    Ok([into, b"/"].concat())
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

/// Passes a ready tar on as it stands, looking at every entry on the way.
fn write_tar(path: &Path, out: &mut BlockWriter) -> Result<(), LayerError> {
    let read = |source| LayerError::Read { path: path.to_owned(), source };
    let not_a_tar = |fault| LayerError::NotATar { path: path.to_owned(), fault };
    let mut file = input::open(path).map_err(read)?;
    let mut walk = TarWalk::new();
    let mut rules = EntryRules::default();
    let mut refused = None;
    let mut buffer = vec![0_u8; COPY_BYTES];
    loop {
        let length = file.read(&mut buffer).map_err(read)?;
        if length == 0 {
            break;
        }
        let bytes = buffer.get(..length).unwrap_or_default();
        walk.update(bytes, &mut |entry| match rules.judge(entry) {
            Some(verdict) if verdict.refusal != Refusal::None => {
                refused = Some((entry.path.escape_ascii().to_string(), verdict.reason));
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        })
        .map_err(not_a_tar)?;
        if let Some((entry, reason)) = refused {
            return Err(LayerError::Refused { path: path.to_owned(), entry, reason });
        }
        out.write_all(bytes)?;
    }
    walk.finish().map_err(not_a_tar)
}

#[cfg(test)]
mod tests;
