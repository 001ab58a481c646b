//! Writes an OCI image layout: in a staging folder beside its place, then put there in one step.
//!
//! Invariant: at the place of a layout there is, at every moment, nothing, the old layout or the
//! whole new one. A layout without a change is left alone.

mod blobs;

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::Serialize;
use wharf_oci::{Algorithm, Descriptor, Digest, Digester, MANIFEST_SIZE_BYTES_MAX, MediaType};

pub use self::blobs::copy_of;
use super::compress::Compressed;
use super::known_blocks;
use super::layout::{LAYOUT_FILE, LAYOUT_VERSION, REFERRERS};
use crate::offer::values::ImageId;
use crate::temporary::Temporary;

/// How the names of staging folders end, after a dot and the layout's name.
const STAGING: &str = ".tmp";

/// The name of the staging folder of layers, beside the records of blocks.
const LAYERS: &str = "layers.tmp";

/// Why a layout cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A file or folder cannot be made.
    #[error("cannot write {path}")]
    Write { path: PathBuf, source: io::Error },
    /// Another program writes layouts here.
    #[error("another wharf is writing to {path}; wait for it")]
    Busy {
        /// The folder of layouts.
        path: PathBuf,
    },
    /// A foreign file or folder stands at the layout's place.
    #[error("{path} is not a folder made by wharf; move it away")]
    Foreign { path: PathBuf },
}

/// The outcome for a finished layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LayoutOutcome {
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
    /// Goes when nothing came into it and it was not there before.
    _made: Option<Temporary>,
    /// Locked as long as it is open.
    _lock: File,
}

impl LayoutFolder {
    /// Makes the folder when it is not there, and locks it.
    pub fn open(path: &Path) -> Result<Self, WriteError> {
        let failed = |source| WriteError::Write { path: path.to_owned(), source };
        let made = Temporary::folder_if_used(path).map_err(failed)?;
        let lock = File::open(path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {
                remove_stale(path)?;
                Ok(Self { path: path.to_owned(), _made: made, _lock: lock })
            }
            Err(TryLockError::WouldBlock) => Err(WriteError::Busy { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the layout with this name is, or will be.
    #[must_use]
    pub fn place(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// A finished layer, not in a layout yet.
#[derive(Debug, Clone)]
pub struct MadeLayer {
    pub compressed: Compressed,
    /// Where it is; nowhere when only its digests are wanted.
    pub path: Option<PathBuf>,
}

/// The folder for finished layers before layouts take them.
#[derive(Debug)]
pub struct LayerStaging {
    staging: Temporary,
    /// The folder it is in goes when nothing else came into it.
    _beside: Option<Temporary>,
}

impl LayerStaging {
    /// Makes the folder, empty.
    pub fn begin(folder: &LayoutFolder) -> Result<Self, WriteError> {
        let beside = folder.path.join(known_blocks::FOLDER);
        let failed = |source| WriteError::Write { path: beside.clone(), source };
        if fs::symlink_metadata(&beside).is_ok_and(|found| !found.is_dir()) {
            return Err(WriteError::Foreign { path: beside });
        }
        let made = Temporary::folder_if_used(&beside).map_err(failed)?;
        let (staging, ()) = Temporary::make(beside.join(LAYERS), |path| fs::create_dir_all(path))
            .map_err(failed)?;
        Ok(Self { staging, _beside: made })
    }

    /// The path of a layer under construction.
    #[must_use]
    pub fn place(&self, number: usize) -> PathBuf {
        self.staging.path().join(number.to_string())
    }
}

/// A layout under construction. Dropped unfinished, it leaves nothing.
#[derive(Debug)]
pub struct LayoutWriter<'f> {
    place: Place<'f>,
    blobs: BTreeMap<Digest, u64>,
}

/// Where the blobs of a layout go.
#[derive(Debug)]
enum Place<'f> {
    /// Into a staging folder.
    Staged {
        /// Locked as long as a layout in it is made.
        _folder: &'f LayoutFolder,
        /// Goes with the writer; after a layout was replaced, the old one is in it.
        staging: Temporary,
        target: PathBuf,
    },
    /// Nowhere: only digests and sizes are wanted. Manifests and configurations are kept.
    Counted { small: BTreeMap<Digest, Vec<u8>> },
}

impl<'f> LayoutWriter<'f> {
    /// Starts the layout with this name.
    pub fn begin(folder: &'f LayoutFolder, name: &str) -> Result<Self, WriteError> {
        let path = folder.path.join(format!(".{name}{STAGING}"));
        let make = |path: &Path| fs::create_dir_all(path.join("blobs/sha256"));
        let (staging, ()) = Temporary::make(path.clone(), make)
            .map_err(|source| WriteError::Write { path, source })?;
        let place = Place::Staged { _folder: folder, staging, target: folder.place(name) };
        Ok(Self { place, blobs: BTreeMap::new() })
    }

    /// Starts a layout for its digests and sizes alone; nothing is written.
    #[must_use]
    pub const fn counted() -> Self {
        Self { place: Place::Counted { small: BTreeMap::new() }, blobs: BTreeMap::new() }
    }

    /// Adds a small blob.
    pub fn add(&mut self, media_type: MediaType, bytes: &[u8]) -> Result<Descriptor, WriteError> {
        let digest = Digester::digest(Algorithm::Sha256, bytes);
        let length = bytes.len() as u64;
        match &mut self.place {
            Place::Staged { staging, .. } => {
                let path = blob_path(staging.path(), &digest);
                fs::write(&path, bytes).map_err(|source| WriteError::Write { path, source })?;
            }
            // A blob above the manifest limit is no manifest and no configuration, and is not
            // compared as one.
            Place::Counted { small } if length <= MANIFEST_SIZE_BYTES_MAX => {
                small.insert(digest, bytes.to_vec());
            }
            Place::Counted { .. } => {}
        }
        self.blobs.insert(digest, length);
        Ok(Descriptor::new(media_type, digest, length))
    }

    /// Adds a finished layer.
    pub fn add_layer(&mut self, layer: &MadeLayer) -> Result<(), WriteError> {
        let Compressed { digest, size_bytes, .. } = layer.compressed;
        let is_new = self.blobs.insert(digest, size_bytes).is_none();
        match (&self.place, &layer.path) {
            (Place::Staged { staging, .. }, Some(from)) if is_new => {
                let path = blob_path(staging.path(), &digest);
                link_or_copy(from, &path).map_err(|source| WriteError::Write { path, source })
            }
            _ => Ok(()),
        }
    }

    /// Writes `index.json` with these roots and their referrers, and puts the layout in its place.
    /// For a counted layout it returns the manifests and configurations.
    pub fn finish(
        mut self,
        roots: &[Descriptor],
        referrers: &[Descriptor],
    ) -> Result<LayoutResult, WriteError> {
        let index = if let ([root], [_, ..]) = (roots, referrers) {
            let list = self.add(MediaType::OCI_INDEX, &index_json(referrers, None))?;
            index_json(std::slice::from_ref(root), Some(list.digest))
        } else {
            index_json(&[roots, referrers].concat(), None)
        };
        let (staging, target) = match self.place {
            Place::Staged { staging, target, .. } => (staging, target),
            Place::Counted { small } => {
                return Ok(LayoutResult::Counted(LayoutCount { small, blobs: self.blobs, index }));
            }
        };
        if is_in_place(&target, Some(staging.path()), &index, &self.blobs) {
            return Ok(LayoutResult::Placed(LayoutOutcome::Unchanged));
        }
        for (name, bytes) in [(LAYOUT_FILE, marker().as_bytes()), ("index.json", &index)] {
            let path = staging.path().join(name);
            fs::write(&path, bytes).map_err(|source| WriteError::Write { path, source })?;
        }
        staging.publish(|path| put_in_place(path, target)).map(LayoutResult::Placed)
    }
}

/// A finished layout.
#[derive(Debug)]
pub enum LayoutResult {
    /// It is in its place.
    Placed(LayoutOutcome),
    /// It was only counted.
    Counted(LayoutCount),
}

/// The small blobs of a counted layout.
#[derive(Debug, Clone, Default)]
pub struct LayoutCount {
    pub small: BTreeMap<Digest, Vec<u8>>,
    /// All its blobs with their sizes.
    pub blobs: BTreeMap<Digest, u64>,
    /// Its `index.json`.
    index: Vec<u8>,
}

impl LayoutCount {
    /// Whether this layout is at a place, every blob of it whole.
    #[must_use]
    pub fn is_at(&self, place: &Path) -> bool {
        is_in_place(place, None, &self.index, &self.blobs)
    }

    /// The first blob missing or damaged at a place, with its fault.
    #[must_use]
    pub fn damaged_at(&self, place: &Path) -> Option<(Digest, &'static str)> {
        self.blobs.keys().find_map(|digest| {
            let path = blob_path(place, digest);
            match copy_hashed(&path, digest.algorithm(), &mut io::sink()) {
                Err(_) => Some((*digest, "is missing, or cannot be read")),
                Ok(found) => (found != *digest).then_some((*digest, "is damaged")),
            }
        })
    }
}

/// Whether a layout may be put at a place: nothing is there, or a layout.
pub fn check_place(target: &Path) -> Result<(), WriteError> {
    match fs::symlink_metadata(target) {
        Ok(found) if !found.is_dir() || !target.join(LAYOUT_FILE).exists() => {
            Err(WriteError::Foreign { path: target.to_owned() })
        }
        _ => Ok(()),
    }
}

fn put_in_place(staging: &Path, target: PathBuf) -> Result<LayoutOutcome, WriteError> {
    let failed = |source| WriteError::Write { path: target.clone(), source };
    match fs::symlink_metadata(&target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::rename(staging, &target).map_err(failed)?;
            Ok(LayoutOutcome::Created)
        }
        Err(source) => Err(failed(source)),
        Ok(metadata) if !metadata.is_dir() || !target.join(LAYOUT_FILE).exists() => {
            Err(WriteError::Foreign { path: target })
        }
        // The old layout is in the staging folder after this, and goes with the writer.
        Ok(_) => renameat_with(CWD, staging, CWD, &target, RenameFlags::EXCHANGE)
            .map(|()| LayoutOutcome::Replaced)
            .map_err(|error| failed(error.into())),
    }
}

/// Whether the same layout is in place, every blob whole: running again heals a damaged one. A blob
/// linked from the place into the staging folder was proven at the link.
fn is_in_place(
    target: &Path,
    staging: Option<&Path>,
    index: &[u8],
    blobs: &BTreeMap<Digest, u64>,
) -> bool {
    let file_of = |path: &Path| fs::symlink_metadata(path).map(|at| (at.dev(), at.ino())).ok();
    let same = |path: PathBuf, expected: &[u8]| fs::read(path).is_ok_and(|bytes| bytes == expected);
    same(target.join("index.json"), index)
        && same(target.join(LAYOUT_FILE), marker().as_bytes())
        && blobs.iter().all(|(digest, size_bytes)| {
            let path = blob_path(target, digest);
            fs::symlink_metadata(&path)
                .is_ok_and(|found| found.is_file() && found.len() == *size_bytes)
                && (staging
                    .is_some_and(|staging| file_of(&path) == file_of(&blob_path(staging, digest)))
                    || copy_hashed(&path, digest.algorithm(), &mut io::sink())
                        .is_ok_and(|found| found == *digest))
        })
}

/// The content of the layout's marker file.
fn marker() -> String {
    format!("{{\"imageLayoutVersion\":\"{LAYOUT_VERSION}\"}}")
}

fn blob_path(layout: &Path, digest: &Digest) -> PathBuf {
    layout.join("blobs").join(digest.algorithm().to_string()).join(digest.hex())
}

/// The bytes of an `index.json` with these roots, and with the digest of the referrers' index if
/// the roots leave the referrers out.
fn index_json(roots: &[Descriptor], referrers: Option<Digest>) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Index<'a> {
        schema_version: u8,
        media_type: MediaType,
        manifests: &'a [Descriptor],
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        annotations: BTreeMap<&'static str, Digest>,
    }
    let annotations = referrers.map(|digest| (REFERRERS, digest)).into_iter().collect();
    let (schema_version, media_type) = (2, MediaType::OCI_INDEX);
    let index = Index { schema_version, media_type, manifests: roots, annotations };
    serde_json::to_vec(&index).expect("descriptors always serialise")
}

/// Gives a file a second name; where the file system has no such thing, a copy.
fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(|_| ()))
}

/// Copies a file and returns the digest of its bytes.
fn copy_hashed(path: &Path, algorithm: Algorithm, out: &mut dyn Write) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut digester = Digester::new(algorithm);
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

/// Removes the staging folders of killed runs. No run uses them: their folder is locked.
fn remove_stale(folder: &Path) -> Result<(), WriteError> {
    let failed = |source| WriteError::Write { path: folder.to_owned(), source };
    let beside = folder.join(known_blocks::FOLDER);
    if fs::symlink_metadata(&beside).is_ok_and(|found| found.is_dir()) {
        remove(&beside.join(LAYERS))?;
    }
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_staging = path
            .file_name()
            .and_then(|name| name.to_str()?.strip_prefix('.')?.strip_suffix(STAGING))
            .is_some_and(|plan| plan.parse::<ImageId>().is_ok());
        // Beside the blobs there are at most the files of `finish`, so a folder of any other form
        // is left alone.
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
