//! Layers: what an offer lists, made into one tar.
//!
//! A layer is made in two steps. First its inputs are looked at: names and attributes, and what
//! stands below in the image. Then it is written, which can wait, and goes on beside others.
//! Invariant: a layer streams, it is never whole in memory; nothing that a runtime would refuse
//! leaves here.

mod beneath;
mod entries;
mod error;
mod folder;
mod from_disk;
mod notes;
mod ready_tar;
mod setting;
mod single_file;
mod stamp;
mod xattrs;

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use wharf_oci::{Algorithm, Digest, Digester};

use self::entries::LayerEntries;
pub use self::error::{LayerError, Whose};
pub use self::from_disk::DiskFiles;
use self::from_disk::FromDisk;
pub use self::notes::Note;
use self::ready_tar::PreparedTar;
pub use self::setting::{Below, Setting};
use self::stamp::{Stamp, changed_at};
use super::files::LayerFiles;
use super::tar_write::TarWriter;
use crate::offer::layers::{Layer, LayerInput};

/// How many entries a layer may have: their paths are held in memory to be sorted.
const ENTRIES_MAX: usize = 2_000_000;

/// A layer whose inputs were looked at.
#[derive(Debug)]
pub struct PreparedLayer {
    inputs: Vec<PreparedInput>,
    files: Arc<LayerFiles>,
    notes: Vec<Note>,
    origin: Origin,
}

#[derive(Debug)]
enum PreparedInput {
    FromDisk(FromDisk),
    Tar(PreparedTar),
}

/// What the bytes of a layer follow from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Equal of two layers only when their bytes are: over every entry, and over device, inode,
    /// size and times of every file whose content goes in.
    pub digest: Digest,
    /// When anything of those files last changed, in nanoseconds since 1970. The kernel's clock
    /// for that may stand still for some milliseconds: what was read in the same moment may have
    /// changed after it without a trace.
    pub newest_change: i128,
}

/// Where the content of an input is.
#[derive(Debug, Clone, Copy)]
pub enum ContentPlace<'a> {
    /// In the files of a folder.
    Folder(DiskFiles<'a>),
    /// In one file, which becomes a file.
    File(DiskFiles<'a>),
    /// In an archive.
    Archive(&'a Path),
}

/// Looks at the inputs of a layer; `below` is what stands below it in its image.
pub fn prepare(
    setting: &Setting<'_>,
    layer: &Layer,
    below: &Below<'_>,
) -> Result<PreparedLayer, LayerError> {
    let mut entries = LayerEntries::new(below);
    let mut inputs = Vec::new();
    let mut digester = Digester::new(Algorithm::Sha256);
    digester.update(env!("CARGO_PKG_VERSION").as_bytes());
    let mut newest_change = i128::MIN;
    for input in &layer.inputs {
        check_source(setting.offer_folder, input)?;
        entries.begin_input(input.to_string());
        setting.tell_of_place(input, &mut entries);
        inputs.push(match input {
            LayerInput::Dir(dir) => {
                PreparedInput::FromDisk(folder::prepare(setting, dir, &mut entries)?)
            }
            LayerInput::File(file) => {
                PreparedInput::FromDisk(single_file::prepare(setting, file, &mut entries)?)
            }
            LayerInput::Tar(tar) => {
                let path = setting.offer_folder.join(tar.path.as_str());
                let changed = archive_origin(&path, input, &mut digester)?;
                newest_change = newest_change.max(changed);
                PreparedInput::Tar(ready_tar::prepare(&path, entries.files_mut())?)
            }
        });
    }
    let (files, notes) = entries.finish();
    for input in &inputs {
        if let PreparedInput::FromDisk(input) = input {
            input.digest(&files, &mut digester);
            newest_change = newest_change.max(input.newest_change);
        }
    }
    let origin = Origin { digest: digester.finish().digest, newest_change };
    Ok(PreparedLayer { inputs, files: Arc::new(files), notes, origin })
}

/// Takes an archive, what is made of it, and when it changed into a digest; returns the time.
fn archive_origin(
    path: &Path,
    input: &LayerInput,
    digester: &mut Digester,
) -> Result<i128, LayerError> {
    let failed = |source| LayerError::Read { path: path.to_owned(), source };
    let stat = rustix::fs::stat(path).map_err(|error| failed(error.into()))?;
    // The derived form names every key, so that one that is added later cannot be forgotten.
    digester.update(format!("{input:?}").as_bytes());
    digester.update(&Stamp::of(&stat).bytes());
    Ok(changed_at(&stat))
}

impl PreparedLayer {
    /// What the layer will hold.
    #[must_use]
    pub const fn files(&self) -> &Arc<LayerFiles> {
        &self.files
    }

    /// What a person should know of it.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// What its bytes follow from.
    #[must_use]
    pub const fn origin(&self) -> Origin {
        self.origin
    }

    /// Where the content of each input is, in their order.
    pub fn content_places(&self) -> impl Iterator<Item = ContentPlace<'_>> {
        self.inputs.iter().map(|input| match input {
            PreparedInput::FromDisk(input) if input.is_one_file => {
                ContentPlace::File(input.files(&self.files))
            }
            PreparedInput::FromDisk(input) => ContentPlace::Folder(input.files(&self.files)),
            PreparedInput::Tar(tar) => ContentPlace::Archive(tar.path()),
        })
    }

    /// Writes the uncompressed tar. What changed since it was looked at is an error.
    pub fn write(&self, out: &mut dyn Write) -> Result<(), LayerError> {
        if let [PreparedInput::Tar(tar)] = self.inputs.as_slice() {
            return tar.write(out);
        }
        let mut tar = TarWriter::new(out);
        for input in &self.inputs {
            match input {
                PreparedInput::FromDisk(input) => input.write(&self.files, &mut tar)?,
                PreparedInput::Tar(_) => {
                    return Err(io::Error::from(io::ErrorKind::Unsupported).into());
                }
            }
        }
        Ok(tar.finish()?)
    }
}

/// Checks that what the offer names is there, without reading it.
pub fn check_source(folder: &Path, input: &LayerInput) -> Result<(), LayerError> {
    let path = folder.join(input.path().as_str());
    let (what, kind) = match input {
        LayerInput::Dir(_) => ("folder", "folder"),
        LayerInput::File(_) => ("file", "file"),
        LayerInput::Tar(_) => ("tar", "file"),
    };
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(LayerError::Missing { what, path });
        }
        Err(source) => return Err(LayerError::Read { path, source }),
    };
    let fits = match input {
        LayerInput::Dir(_) => metadata.is_dir(),
        LayerInput::File(_) | LayerInput::Tar(_) => metadata.is_file(),
    };
    if fits { Ok(()) } else { Err(LayerError::WrongKind { what: kind, path }) }
}

#[cfg(test)]
mod tests;
