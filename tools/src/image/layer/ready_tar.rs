//! A tar that somebody else made, on its way into a layer.

use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::LayerError;
use crate::image::facts::Refusal;
use crate::image::files::{FileKind, LayerFilesBuilder, NewFile};
use crate::image::tar_rules::EntryRules;
use crate::image::tar_walk::{TarWalk, Walked, WalkedKind};
use crate::input;

/// How much of a tar is read at once.
const COPY_BYTES: usize = 256 * 1024;

/// A tar whose entries were looked at.
#[derive(Debug)]
pub(super) struct PreparedTar {
    path: PathBuf,
}

/// Looks at every entry of a tar.
pub(super) fn prepare(
    path: &Path,
    files: &mut LayerFilesBuilder,
) -> Result<PreparedTar, LayerError> {
    let mut rules = EntryRules::default();
    walk(path, &mut std::io::sink(), &mut |entry| {
        if let Some(verdict) = rules.judge(entry)
            && verdict.refusal != Refusal::None
        {
            return Err(LayerError::Refused {
                path: path.to_owned(),
                entry: entry.path.escape_ascii().to_string(),
                reason: verdict.reason,
            });
        }
        if let Some(kind) = kind_of(entry.kind) {
            files.push(&NewFile {
                path: entry.path,
                kind,
                mode: entry.mode,
                owner: entry.owner,
                size_bytes: entry.sparse_bytes.unwrap_or(entry.size_bytes),
                link: entry.link,
            });
        }
        Ok(())
    })?;
    Ok(PreparedTar { path: path.to_owned() })
}

impl PreparedTar {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Passes the tar on as it stands.
    pub(super) fn write(&self, out: &mut dyn Write) -> Result<(), LayerError> {
        walk(&self.path, out, &mut |_| Ok(()))
    }
}

const fn kind_of(kind: WalkedKind) -> Option<FileKind> {
    match kind {
        WalkedKind::File => Some(FileKind::File),
        WalkedKind::HardLink => Some(FileKind::HardLink),
        WalkedKind::Symlink => Some(FileKind::Symlink),
        WalkedKind::CharDevice => Some(FileKind::CharDevice),
        WalkedKind::BlockDevice => Some(FileKind::BlockDevice),
        WalkedKind::Folder => Some(FileKind::Folder),
        WalkedKind::Fifo => Some(FileKind::Fifo),
        WalkedKind::Unknown(_) => None,
    }
}

/// Reads a tar to its end, and shows every entry.
fn walk(
    path: &Path,
    out: &mut dyn Write,
    see: &mut dyn FnMut(&Walked<'_>) -> Result<(), LayerError>,
) -> Result<(), LayerError> {
    let read = |source| LayerError::Read { path: path.to_owned(), source };
    let not_a_tar = |fault| LayerError::NotATar { path: path.to_owned(), fault };
    let mut file = input::open(path).map_err(read)?;
    let mut walk = TarWalk::new();
    let mut refused = None;
    let mut buffer = vec![0_u8; COPY_BYTES];
    loop {
        let length = file.read(&mut buffer).map_err(read)?;
        if length == 0 {
            break;
        }
        let bytes = buffer.get(..length).unwrap_or_default();
        walk.update(bytes, &mut |entry| match see(entry) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                refused = Some(error);
                ControlFlow::Break(())
            }
        })
        .map_err(not_a_tar)?;
        if let Some(error) = refused {
            return Err(error);
        }
        out.write_all(bytes)?;
    }
    walk.finish().map_err(not_a_tar)
}
