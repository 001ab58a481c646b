//! Files by name, in a folder or in a tar that is not unpacked.
//!
//! Invariant: in a folder nothing is opened through a symbolic link; of a tar nothing is written.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::blob::BlobFile;
use super::error::SourceError;
use crate::image::tar_walk::{TarWalk, WalkedKind};
use crate::input;

/// How many members of an archive are remembered.
const MEMBERS_MAX: usize = 100_000;

/// Where the files of a source are.
#[derive(Debug)]
pub(super) enum Files {
    /// In a folder.
    Folder(PathBuf),
    /// In a tar.
    Archive(Members),
}

/// The files of a tar, with where they lie in it.
#[derive(Debug)]
pub(super) struct Members {
    file: Arc<File>,
    places: BTreeMap<Vec<u8>, (u64, u64)>,
}

impl Files {
    /// Opens a file; something that is no file is `InvalidInput`.
    pub(super) fn open(&self, name: &str) -> io::Result<BlobFile> {
        let folder = match self {
            Self::Folder(folder) => folder,
            Self::Archive(members) => {
                let (start, size_bytes) =
                    *members.places.get(name.as_bytes()).ok_or(io::ErrorKind::NotFound)?;
                return Ok(BlobFile::new(Arc::clone(&members.file), start, size_bytes));
            }
        };
        let mut path = folder.clone();
        let mut parts = name.split('/').peekable();
        while let Some(part) = parts.next() {
            path.push(part);
            let kind = fs::symlink_metadata(&path)?.file_type();
            let fits = if parts.peek().is_some() { kind.is_dir() } else { kind.is_file() };
            if !fits {
                return Err(io::ErrorKind::InvalidInput.into());
            }
        }
        let file = File::open(&path)?;
        let size_bytes = file.metadata()?.len();
        Ok(BlobFile::new(Arc::new(file), 0, size_bytes))
    }
}

impl Members {
    /// Reads where the files of an archive lie. A name that comes twice counts where it came last,
    /// as when the tar is unpacked.
    pub(super) fn read(path: &Path) -> Result<Self, SourceError> {
        let read = |source| SourceError::Read { path: path.to_owned(), source };
        let not_a_tar = |fault| SourceError::NotATar { path: path.to_owned(), fault };
        let mut file = input::open(path).map_err(read)?;
        let mut places = BTreeMap::new();
        let mut walk = TarWalk::new();
        let mut too_many = false;
        let mut buffer = vec![0_u8; 256 * 1024];
        loop {
            let length = file.read(&mut buffer).map_err(read)?;
            if length == 0 {
                break;
            }
            walk.update(buffer.get(..length).unwrap_or_default(), &mut |entry| {
                let name = entry.path.strip_prefix(b"./").unwrap_or(entry.path);
                if entry.kind == WalkedKind::File {
                    too_many |= places.len() == MEMBERS_MAX;
                    places.insert(name.to_vec(), (entry.content_offset, entry.size_bytes));
                } else {
                    places.remove(name);
                }
                if too_many { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .map_err(not_a_tar)?;
            if too_many {
                let reason = format!("it has more than {MEMBERS_MAX} files");
                return Err(SourceError::NotALayout { path: path.to_owned(), reason });
            }
        }
        walk.finish().map_err(not_a_tar)?;
        Ok(Self { file: Arc::new(file), places })
    }
}
