//! The contents of a layer's files: the digests of each, and the texts with the image's own account
//! of its packages. Read for the statements about an image, after its layers were written.
//!
//! Files on this disk are read in parallel, unless a record of an earlier run proves them
//! unchanged; for archives their layer is written once more, into a hashing sink. Invariant:
//! nothing here changes a byte of a layer; a file with changes during the read is an error.

mod digesting;
mod on_disk;
mod record;
mod texts;

use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

pub use self::record::ContentsRecord;
pub use self::texts::{OS_RELEASE, Texts};
use super::attest::description::{FILES_MAX, FileDigests};
use super::attest::provenance::InputDigest;
use super::files::{FileKind, clean};
use super::layer::{ContentPlace, LayerError, PreparedLayer};

/// The contents of a layer's files.
#[derive(Debug, Default)]
pub struct LayerContents {
    /// By path, sorted, each once; the first of too many.
    files: Vec<(Box<[u8]>, FileDigests)>,
    /// The kept texts.
    pub texts: Texts,
    /// The inputs of the layer, in its order.
    pub inputs: Vec<InputContents>,
}

/// The content of a layer's input.
#[derive(Debug, Clone, Copy)]
pub struct InputContents {
    pub digest: InputDigest,
    /// How many files it has, when it is a folder.
    pub files: Option<u64>,
}

/// Why contents could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ContentsError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    /// The layer, written once more.
    #[error(transparent)]
    Layer(#[from] LayerError),
}

impl LayerContents {
    /// Reads the contents of a layer.
    pub fn read(
        layer: &PreparedLayer,
        record: &ContentsRecord,
        jobs: NonZeroUsize,
    ) -> Result<Self, ContentsError> {
        let mut contents = Self::default();
        let mut has_archives = false;
        for place in layer.content_places() {
            let input = match place {
                ContentPlace::Archive(path) => {
                    has_archives = true;
                    let digests = on_disk::file(path, None, record)?;
                    InputContents { digest: InputDigest::File(digests), files: None }
                }
                ContentPlace::Archives(paths) => {
                    has_archives = true;
                    on_disk::several(&paths, record)?
                }
                ContentPlace::File(file) => on_disk::one(file, record, &mut contents)?,
                ContentPlace::Folder(folder) => {
                    on_disk::folder(folder, record, jobs, &mut contents)?
                }
            };
            contents.inputs.push(input);
        }
        if has_archives {
            contents.files.clear();
            contents.texts = Texts::default();
            digesting::read(layer, &mut contents)?;
        }
        contents.finish(layer);
        Ok(contents)
    }

    /// The digests of the file at a path.
    #[must_use]
    pub fn digests(&self, path: &[u8]) -> Option<&FileDigests> {
        let place = self.files.binary_search_by(|(known, _)| known.as_ref().cmp(path)).ok()?;
        self.files.get(place).map(|(_, digests)| digests)
    }

    /// Keeps the digests of a file, as far as any list could name it.
    fn push(&mut self, path: &[u8], digests: FileDigests) {
        if self.files.len() >= FILES_MAX {
            return;
        }
        self.files.push((clean(path).into_owned().into_boxed_slice(), digests));
    }

    /// Sorts the files, and gives second names the digests of their first.
    fn finish(&mut self, layer: &PreparedLayer) {
        // The last of two entries with one path counts, as in an unpacked layer.
        self.files.reverse();
        self.files.sort_by(|one, other| one.0.cmp(&other.0));
        self.files.dedup_by(|later, first| later.0 == first.0);
        let links = layer.files().entries().filter(|entry| entry.kind() == FileKind::HardLink);
        let links = links.filter_map(|link| {
            let digests = *self.digests(&clean(link.link()))?;
            Some((Box::from(link.path()), digests))
        });
        let links: Vec<(Box<[u8]>, FileDigests)> = links.collect();
        if !links.is_empty() {
            self.files.extend(links);
            self.files.sort_by(|one, other| one.0.cmp(&other.0));
        }
    }
}

fn read_error(path: &Path) -> impl Fn(io::Error) -> ContentsError {
    move |source| ContentsError::Read { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
