//! Layers: what an offer lists, made into one tar.
//!
//! A layer is made in two steps. First its inputs are looked at: names and attributes, and what
//! stands below in the image. Then it is written, which can wait, and goes on beside others.
//! Invariant: a layer streams, it is never whole in memory; nothing that a runtime would refuse
//! leaves here.

mod error;
mod folder;
mod ready_tar;

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

pub use self::error::LayerError;
use self::folder::PreparedDir;
use self::ready_tar::PreparedTar;
use super::files::{FileView, LayerFiles, LayerFilesBuilder};
use super::tar_write::TarWriter;
use crate::offer::layers::{Layer, LayerInput};
use crate::offer::timestamp::Timestamp;

/// How many entries a layer may have: their paths are held in memory to be sorted.
const ENTRIES_MAX: usize = 2_000_000;

/// A layer whose inputs were looked at.
#[derive(Debug)]
pub struct PreparedLayer {
    inputs: Vec<PreparedInput>,
    files: Arc<LayerFiles>,
    notes: Vec<Note>,
}

#[derive(Debug)]
enum PreparedInput {
    Dir(PreparedDir),
    Tar(PreparedTar),
}

/// Something that a person should know of a layer, though it can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The input, as the offer writes its path.
    pub input: String,
    /// What, in one sentence.
    pub message: String,
}

/// Looks at the inputs of a layer. Paths of the offer are looked for in `folder`; `lower` is what a
/// container sees of the layers below.
pub fn prepare(
    folder: &Path,
    layer: &Layer,
    created: Timestamp,
    _lower: &FileView,
) -> Result<PreparedLayer, LayerError> {
    let mut files = LayerFilesBuilder::new();
    let mut inputs = Vec::new();
    for input in &layer.inputs {
        check_source(folder, input)?;
        let path = folder.join(input.path().as_str());
        inputs.push(match input {
            LayerInput::Dir(dir) => {
                PreparedInput::Dir(folder::prepare(path, dir, created, &mut files)?)
            }
            LayerInput::Tar(_) => PreparedInput::Tar(ready_tar::prepare(&path, &mut files)?),
        });
    }
    Ok(PreparedLayer { inputs, files: Arc::new(files.finish()), notes: Vec::new() })
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

    /// Writes the uncompressed tar. What changed since it was looked at is an error.
    pub fn write(&self, out: &mut dyn Write) -> Result<(), LayerError> {
        if let [PreparedInput::Tar(tar)] = self.inputs.as_slice() {
            return tar.write(out);
        }
        let mut tar = TarWriter::new(out);
        for input in &self.inputs {
            match input {
                PreparedInput::Dir(dir) => dir.write(&mut tar)?,
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
        LayerInput::Tar(_) => metadata.is_file(),
    };
    if fits { Ok(()) } else { Err(LayerError::WrongKind { what: kind, path }) }
}

#[cfg(test)]
mod tests;
