//! Layers: the inputs of an offer, made into one tar.
//!
//! A layer is made in two steps. First its inputs are looked at: names and attributes, and the
//! layers below in the image. Then it is written; the write can wait, and goes on beside others.
//! Invariant: a layer streams, it is never whole in memory; no entry a runtime would refuse leaves
//! here.

mod archive;
mod beneath;
mod debian;
mod entries;
mod error;
mod folder;
mod from_disk;
mod notes;
mod ready_tar;
mod records;
mod rewriting;
mod setting;
mod single_file;
mod xattrs;

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use wharf_oci::{Algorithm, Digest, Digester, Platform};

pub use self::debian::DebianPackage;
use self::debian::PreparedDebs;
pub use self::entries::Below;
use self::entries::LayerEntries;
pub use self::error::{EntryOrigin, LayerError};
pub use self::from_disk::DiskFiles;
use self::from_disk::FromDisk;
pub use self::notes::Note;
use self::ready_tar::PreparedTar;
pub use self::setting::Setting;
use super::files::{FileView, LayerFiles, Replacement, shown};
use super::tar_write::TarWriter;
use crate::offer::layers::{Layer, LayerInput};

/// A layer after the look at its inputs.
#[derive(Debug)]
pub struct PreparedLayer {
    inputs: Vec<PreparedInput>,
    files: Arc<LayerFiles>,
    notes: Vec<Note>,
    packages: Vec<DebianPackage>,
    origin: Origin,
}

#[derive(Debug)]
enum PreparedInput {
    FromDisk(FromDisk),
    Tar(PreparedTar),
    Debs(PreparedDebs),
}

/// The origin of a layer's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Two layers with equal digests have equal bytes: the digest is over every entry, over device,
    /// inode, size and times of every file with content in the layer, and over the content of
    /// archives.
    pub digest: Digest,
    /// The last change of any of those files, in nanoseconds since 1970. The kernel's clock for
    /// changes may stand still for some milliseconds: a file read in the same moment may have
    /// changed after it without a trace.
    pub newest_change: i128,
}

/// Where the content of an input is.
#[derive(Debug, Clone)]
pub enum ContentPlace<'a> {
    /// In the files of a folder.
    Folder(DiskFiles<'a>),
    /// In one file; it becomes one file of the layer.
    File(DiskFiles<'a>),
    /// In an archive.
    Archive(&'a Path),
    /// In several archives.
    Archives(Vec<&'a Path>),
}

/// Looks at the inputs of a layer; `below` has the layers under it in its image.
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
    let mut packages = Vec::new();
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
                let created = setting.created.unix_seconds();
                PreparedInput::Tar(if layer.inputs.len() == 1 && !tar.is_changed() {
                    ready_tar::prepare_as_it_stands(&path, tar, below, &mut entries)?
                } else {
                    ready_tar::prepare_anew(&path, tar, created, &mut entries)?
                })
            }
            LayerInput::Deb(deb) => {
                PreparedInput::Debs(debian::prepare(setting, deb, &mut entries, &mut packages)?)
            }
        });
    }
    let (files, notes) = entries.finish();
    let files = Arc::new(files);
    if let [PreparedInput::Tar(tar)] = inputs.as_slice()
        && tar.is_as_it_stands()
    {
        keeps_what_is_below(&files, below, &layer.inputs)?;
    }
    for input in &inputs {
        match input {
            PreparedInput::FromDisk(input) => {
                input.digest(&files, &mut digester);
                newest_change = newest_change.max(input.newest_change);
            }
            PreparedInput::Tar(tar) => tar.digest(&mut digester),
            PreparedInput::Debs(debs) => {
                debs.archives.iter().for_each(|archive| archive.digest(&mut digester));
            }
        }
    }
    let origin = Origin { digest: digester.finish().digest, newest_change };
    Ok(PreparedLayer { inputs, files, notes, packages, origin })
}

impl PreparedLayer {
    /// The files of the layer to be written.
    #[must_use]
    pub const fn files(&self) -> &Arc<LayerFiles> {
        &self.files
    }

    /// Remarks for a person about it.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// The Debian packages in it, in the order of their files.
    #[must_use]
    pub fn packages(&self) -> &[DebianPackage] {
        &self.packages
    }

    /// Checks its packages run on a platform.
    pub fn check_platform(&self, platform: &Platform) -> Result<(), LayerError> {
        debian::check_platform(&self.packages, platform)
    }

    /// The origin of its bytes.
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
            PreparedInput::Debs(debs) => {
                let paths = debs.archives.iter().map(|archive| archive.path.as_path());
                ContentPlace::Archives(paths.collect())
            }
        })
    }

    /// Writes the uncompressed tar. A change since the look at the inputs is an error.
    pub fn write(&self, out: &mut dyn Write) -> Result<(), LayerError> {
        if let [PreparedInput::Tar(tar)] = self.inputs.as_slice()
            && let Some(passed) = tar.pass_on(out)
        {
            return passed;
        }
        let mut tar = TarWriter::new(out);
        for input in &self.inputs {
            match input {
                PreparedInput::FromDisk(input) => input.write(&self.files, &mut tar)?,
                PreparedInput::Tar(archive) => archive.write(&mut tar)?,
                PreparedInput::Debs(debs) => {
                    debs.archives.iter().try_for_each(|archive| archive.write(&mut tar))?;
                }
            }
        }
        Ok(tar.finish()?)
    }
}

/// Checks a ready tar against links and folders below it: none may become another kind. Engines
/// choose the place of its entries, and a ready tar's bytes cannot be changed here to move them.
fn keeps_what_is_below(
    files: &Arc<LayerFiles>,
    below: &Below<'_>,
    inputs: &[LayerInput],
) -> Result<(), LayerError> {
    let lower = below.files.layers();
    let all: Vec<Arc<LayerFiles>> = lower.iter().chain([files]).cloned().collect();
    let view = FileView::merge(&all);
    let is_ours = |at: &&Replacement| at.upper_layer == lower.len();
    let Some(found) = view.replacements().iter().find(is_ours) else { return Ok(()) };
    let name = below.names.get(found.lower_layer).cloned().unwrap_or_default();
    Err(LayerError::Replaces {
        path: shown(&found.path),
        kind: found.upper_kind.name(),
        input: inputs.iter().map(ToString::to_string).collect(),
        lower_kind: found.lower_kind.name(),
        lower: EntryOrigin::Layer { number: found.lower_layer + 1, name },
        advice: "exclude it, or write the tar anew with `into: /`, which follows links",
    })
}

/// Checks for the existence of the offer's path, without reading it.
pub fn check_source(folder: &Path, input: &LayerInput) -> Result<(), LayerError> {
    let path = folder.join(input.path().as_str());
    let (what, kind) = match input {
        LayerInput::Deb(deb) => return debian::find(folder, deb).map(|_| ()),
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
        LayerInput::File(_) | LayerInput::Tar(_) | LayerInput::Deb(_) => metadata.is_file(),
    };
    if fits { Ok(()) } else { Err(LayerError::WrongKind { what: kind, path }) }
}

#[cfg(test)]
mod tests;
