//! An OCI image layout that is written: in a staging folder beside its place, then put there in one
//! step.
//!
//! Invariant: at the place of a layout there is, at every moment, nothing, the old layout or the
//! whole new one. A layout that would not change is left alone.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Read, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::Serialize;
use wharf_oci::{Algorithm, Descriptor, Digest, Digester, MediaType};

use super::gzip::{BlockWriter, Compressed, compress};
use super::layout::{LAYOUT_FILE, LAYOUT_VERSION};
use crate::offer::words::PlanId;
use crate::temporary::Temporary;

/// How the names of staging folders end, after a dot and the layout's name.
const STAGING: &str = ".tmp";

/// Why a layout cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A file or folder cannot be made.
    #[error("cannot write {path}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another program writes layouts here.
    #[error("another wharf is writing to {path}; wait for it")]
    Busy {
        /// The folder of layouts.
        path: PathBuf,
    },
    /// Where the layout goes there is something else.
    #[error("{path} is not a folder made by wharf; move it away")]
    Foreign {
        /// Where.
        path: PathBuf,
    },
}

/// What became of a finished layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It was not there.
    Created,
    /// It took the place of another.
    Replaced,
    /// The same layout was there.
    Unchanged,
}

/// A folder of layouts, held for writing by this program alone.
#[derive(Debug)]
pub struct LayoutFolder {
    path: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

impl LayoutFolder {
    /// Makes the folder when it is not there, and locks it.
    pub fn open(path: &Path) -> Result<Self, WriteError> {
        let failed = |source| WriteError::Write { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(failed)?;
        let lock = File::open(path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {
                remove_stale(path)?;
                Ok(Self { path: path.to_owned(), _lock: lock })
            }
            Err(TryLockError::WouldBlock) => Err(WriteError::Busy { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Where the layout with this name is, or will be.
    #[must_use]
    pub fn place(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// A layout in its staging folder. Dropped unfinished, it leaves nothing.
#[derive(Debug)]
pub struct LayoutWriter<'f> {
    folder: &'f LayoutFolder,
    /// Goes with the writer; after a layout was replaced, the old one is in it.
    staging: Temporary,
    target: PathBuf,
    blobs: BTreeMap<Digest, u64>,
}

impl<'f> LayoutWriter<'f> {
    /// Starts the layout with this name.
    pub fn begin(folder: &'f LayoutFolder, name: &str) -> Result<Self, WriteError> {
        let staging = Temporary::new(folder.path.join(format!(".{name}{STAGING}")));
        let writer = Self { folder, staging, target: folder.place(name), blobs: BTreeMap::new() };
        let blobs = writer.staging.path().join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(|source| WriteError::Write { path: blobs, source })?;
        Ok(writer)
    }

    /// The folder of layouts.
    pub fn folder_path(&self) -> &Path {
        &self.folder.path
    }

    /// Adds a small blob.
    pub fn add(&mut self, media_type: MediaType, bytes: &[u8]) -> Result<Descriptor, WriteError> {
        let digest = Digester::digest(Algorithm::Sha256, bytes);
        let path = self.blob_path(&digest);
        fs::write(&path, bytes).map_err(|source| WriteError::Write { path, source })?;
        self.blobs.insert(digest, bytes.len() as u64);
        Ok(Descriptor::new(media_type, digest, bytes.len() as u64))
    }

    /// Adds a gzip layer made of what `produce` writes.
    pub fn add_layer<E: From<io::Error> + From<WriteError>>(
        &mut self,
        jobs: NonZeroUsize,
        produce: impl FnOnce(&mut BlockWriter) -> Result<(), E>,
    ) -> Result<Compressed, E> {
        let path = self.staging.path().join("layer.tmp");
        let failed = |source| E::from(WriteError::Write { path: path.clone(), source });
        let mut file = BufWriter::with_capacity(256 * 1024, File::create(&path).map_err(failed)?);
        let compressed = compress(jobs, &mut file, produce)?;
        drop(file);
        fs::rename(&path, self.blob_path(&compressed.digest)).map_err(failed)?;
        self.blobs.insert(compressed.digest, compressed.size_bytes);
        Ok(compressed)
    }

    /// Adds a layer that another layout of the folder has. `false` when it is not there, or not
    /// what it was: then it has to be made again.
    pub fn reuse_layer(&mut self, layer: &Compressed, from: &str) -> Result<bool, WriteError> {
        if self.blobs.contains_key(&layer.digest) {
            return Ok(true);
        }
        let name = format!("blobs/sha256/{}", layer.digest.hex());
        let source = self.folder.place(from).join(name);
        if !source.is_file() {
            return Ok(false);
        }
        let path = self.staging.path().join("layer.tmp");
        let failed = |source| WriteError::Write { path: path.clone(), source };
        let mut copy = File::create(&path).map_err(failed)?;
        let copied = copy_hashed(&source, &mut copy).map_err(failed)?;
        if copied != layer.digest {
            return Ok(false);
        }
        fs::rename(&path, self.blob_path(&layer.digest)).map_err(failed)?;
        self.blobs.insert(layer.digest, layer.size_bytes);
        Ok(true)
    }

    /// Writes `index.json` with these roots and puts the layout in its place.
    pub fn finish(self, roots: &[Descriptor]) -> Result<Outcome, WriteError> {
        let index = index_json(roots);
        if self.is_in_place(&index) {
            return Ok(Outcome::Unchanged);
        }
        let marker = format!("{{\"imageLayoutVersion\":\"{LAYOUT_VERSION}\"}}");
        for (name, bytes) in [(LAYOUT_FILE, marker.as_bytes()), ("index.json", &index)] {
            let path = self.staging.path().join(name);
            fs::write(&path, bytes).map_err(|source| WriteError::Write { path, source })?;
        }
        let failed = |source| WriteError::Write { path: self.target.clone(), source };
        match fs::symlink_metadata(&self.target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::rename(self.staging.path(), &self.target).map_err(failed)?;
                Ok(Outcome::Created)
            }
            Err(source) => Err(failed(source)),
            Ok(metadata) if !metadata.is_dir() || !self.target.join(LAYOUT_FILE).exists() => {
                Err(WriteError::Foreign { path: self.target.clone() })
            }
            // The old layout is in the staging folder after this, which goes with the writer.
            Ok(_) => {
                renameat_with(CWD, self.staging.path(), CWD, &self.target, RenameFlags::EXCHANGE)
                    .map(|()| Outcome::Replaced)
                    .map_err(|error| failed(error.into()))
            }
        }
    }

    /// Whether the same layout is in place, every blob whole: running again heals a damaged one.
    fn is_in_place(&self, index: &[u8]) -> bool {
        let same =
            |path: PathBuf, expected: &[u8]| fs::read(path).is_ok_and(|bytes| bytes == expected);
        same(self.target.join("index.json"), index)
            && self.target.join(LAYOUT_FILE).exists()
            && self.blobs.iter().all(|(digest, size_bytes)| {
                let path = self.target.join("blobs/sha256").join(digest.hex());
                fs::symlink_metadata(&path)
                    .is_ok_and(|found| found.is_file() && found.len() == *size_bytes)
                    && copy_hashed(&path, &mut io::sink()).is_ok_and(|found| found == *digest)
            })
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.staging.path().join("blobs/sha256").join(digest.hex())
    }
}

/// The bytes of an `index.json` with these roots.
#[must_use]
pub fn index_json(roots: &[Descriptor]) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Index<'a> {
        schema_version: u8,
        media_type: MediaType,
        manifests: &'a [Descriptor],
    }
    let index = Index { schema_version: 2, media_type: MediaType::OCI_INDEX, manifests: roots };
    serde_json::to_vec(&index).expect("descriptors always serialise")
}

/// Copies a file and says what its bytes were.
fn copy_hashed(path: &Path, out: &mut dyn Write) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut digester = Digester::new(Algorithm::Sha256);
    let mut buffer = vec![0_u8; 256 * 1024];
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            return Ok(digester.finish().digest);
        }
        let bytes = buffer.get(..length).unwrap_or_default();
        digester.update(bytes);
        out.write_all(bytes)?;
    }
}

/// Removes the staging folders that a run which was killed left behind. Nobody uses them: the folder
/// that they are in is locked.
fn remove_stale(folder: &Path) -> Result<(), WriteError> {
    let failed = |source| WriteError::Write { path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_staging = path
            .file_name()
            .and_then(|name| name.to_str()?.strip_prefix('.')?.strip_suffix(STAGING))
            .is_some_and(|plan| plan.parse::<PlanId>().is_ok());
        // Beside the blobs there is at most what `finish` writes, so another folder is left alone.
        if is_staging && path.join("blobs/sha256").is_dir() {
            remove(&path)?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), WriteError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(WriteError::Write { path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}
