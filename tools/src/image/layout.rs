//! An OCI image layout that is read: a folder, or the same in a tar (an OCI archive).
//!
//! A layout may come from a stranger. Invariant: every size is bounded before it is read, nothing
//! is opened through a symbolic link, and no input makes this panic. Whether blobs are what their
//! digests say is proven in `verify`, not here.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::Deserialize;
use wharf_oci::{
    Descriptor, Digest, MANIFEST_SIZE_BYTES_MAX, Manifest, MediaType, ParseError, Tag,
};

use super::tar_walk::{TarFault, TarWalk, WalkedKind};
use crate::input;

/// The annotation that names a tag in `index.json`.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The file that makes a folder a layout, and what it says.
pub const LAYOUT_FILE: &str = "oci-layout";

/// The only version of the format.
pub const LAYOUT_VERSION: &str = "1.0.0";

/// Largest `oci-layout` file.
const LAYOUT_FILE_BYTES_MAX: u64 = 4096;

/// How many members of an archive are remembered.
const MEMBERS_MAX: usize = 100_000;

/// Why there is no layout to read.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// Nothing is there.
    #[error("{path} does not exist")]
    Missing {
        /// Where.
        path: PathBuf,
    },
    /// Something else is there.
    #[error("{path} is not an OCI image layout: {reason}")]
    NotALayout {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An archive that is no tar.
    #[error("{path} is neither a folder nor a tar: {fault}")]
    NotATar {
        /// Which file.
        path: PathBuf,
        /// Why not.
        fault: TarFault,
    },
}

/// Why a blob of a layout cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// It is not there.
    #[error("the blob {digest} is missing")]
    Missing {
        /// Which.
        digest: Digest,
    },
    /// It is a link or a folder.
    #[error("the blob {digest} is not a regular file")]
    NotAFile {
        /// Which.
        digest: Digest,
    },
    /// Its size differs from the descriptor's.
    #[error("the blob {digest} has {actual} bytes; its descriptor says {expected}")]
    Size {
        /// Which.
        digest: Digest,
        /// The descriptor's size.
        expected: u64,
        /// The file's.
        actual: u64,
    },
    /// Its content is not what the digest says.
    #[error(transparent)]
    Mismatch(#[from] wharf_oci::Mismatch),
    /// It is no manifest.
    #[error("the blob {digest} is not a manifest that can be used")]
    Manifest {
        /// Which.
        digest: Digest,
        /// Why not.
        source: ParseError,
    },
    /// It cannot be read.
    #[error("the blob {digest} cannot be read")]
    Read {
        /// Which.
        digest: Digest,
        /// Why.
        source: io::Error,
    },
}

/// A layout, with its `index.json` read.
#[derive(Debug)]
pub struct Layout {
    path: PathBuf,
    /// Where each file of an archive lies in it; `None` for a folder.
    members: Option<BTreeMap<Vec<u8>, (u64, u64)>>,
    roots: Vec<Descriptor>,
}

/// A blob, open at its first byte. Reads go by offset, so that several can share one file.
#[derive(Debug)]
pub struct BlobFile {
    file: File,
    start: u64,
    size_bytes: u64,
    position: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayoutFile {
    image_layout_version: String,
}

impl Layout {
    /// Opens a folder or an archive, and reads `oci-layout` and `index.json`.
    pub fn open(path: &Path) -> Result<Self, LayoutError> {
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(LayoutError::Missing { path: path.to_owned() });
            }
            Err(source) => return Err(LayoutError::Read { path: path.to_owned(), source }),
        };
        let members = if metadata.is_dir() { None } else { Some(members(path)?) };
        let mut layout = Self { path: path.to_owned(), members, roots: Vec::new() };
        let wrong = |reason: String| LayoutError::NotALayout { path: path.to_owned(), reason };
        let marker = layout.read_small(LAYOUT_FILE, LAYOUT_FILE_BYTES_MAX)?;
        let marker: LayoutFile = serde_json::from_slice(&marker)
            .map_err(|error| wrong(format!("its {LAYOUT_FILE} cannot be read: {error}")))?;
        if marker.image_layout_version != LAYOUT_VERSION {
            let version: String = marker.image_layout_version.chars().take(40).collect();
            return Err(wrong(format!("it has version {version}, known is {LAYOUT_VERSION}")));
        }
        let index = layout.read_small("index.json", MANIFEST_SIZE_BYTES_MAX)?;
        let index = Manifest::parse(Bytes::from(index), Some(&MediaType::OCI_INDEX))
            .map_err(|error| wrong(format!("its index.json: {error}")))?;
        index.children().clone_into(&mut layout.roots);
        Ok(layout)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What `index.json` lists.
    #[must_use]
    pub fn roots(&self) -> &[Descriptor] {
        &self.roots
    }

    /// The tags that `index.json` names, in its order. Names that are no tags (other tools write
    /// whole references) are left out.
    pub fn tags(&self) -> impl Iterator<Item = (Tag, &Descriptor)> {
        self.roots.iter().filter_map(|root| {
            let tag = root.annotations.get(REF_NAME)?.parse().ok()?;
            Some((tag, root))
        })
    }

    /// The names that `index.json` gives, as they stand there: tags, or whole references.
    pub fn names(&self) -> impl Iterator<Item = (&str, &Descriptor)> {
        self.roots.iter().filter_map(|root| Some((root.annotations.get(REF_NAME)?.as_str(), root)))
    }

    /// Opens a blob; its size must be the descriptor's.
    pub fn open_blob(&self, descriptor: &Descriptor) -> Result<BlobFile, BlobError> {
        let digest = descriptor.digest;
        let read = |source| BlobError::Read { digest, source };
        let name = format!("blobs/{}/{}", digest.algorithm(), digest.hex());
        let blob = self.open_file(&name).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => BlobError::Missing { digest },
            io::ErrorKind::InvalidInput => BlobError::NotAFile { digest },
            _ => read(error),
        })?;
        if blob.size_bytes != descriptor.size {
            let (expected, actual) = (descriptor.size, blob.size_bytes);
            return Err(BlobError::Size { digest, expected, actual });
        }
        Ok(blob)
    }

    /// Reads a manifest and proves that it is what its descriptor says.
    pub fn manifest(&self, descriptor: &Descriptor) -> Result<Manifest, BlobError> {
        let digest = descriptor.digest;
        let refuse = |source| BlobError::Manifest { digest, source };
        if descriptor.size > MANIFEST_SIZE_BYTES_MAX {
            return Err(refuse(ParseError::ManifestTooLarge {
                size_bytes: descriptor.size,
                limit_bytes: MANIFEST_SIZE_BYTES_MAX,
            }));
        }
        let bytes = self.small_blob(descriptor)?;
        Manifest::parse(Bytes::from(bytes), Some(&descriptor.media_type)).map_err(refuse)
    }

    /// Reads a blob of at most 4 MiB (a manifest, a configuration), proven.
    pub fn small_blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, BlobError> {
        let digest = descriptor.digest;
        let read = |source| BlobError::Read { digest, source };
        let mut bytes = Vec::new();
        let blob = self.open_blob(descriptor)?;
        if blob.size_bytes > MANIFEST_SIZE_BYTES_MAX {
            return Err(read(io::ErrorKind::FileTooLarge.into()));
        }
        blob.take(MANIFEST_SIZE_BYTES_MAX).read_to_end(&mut bytes).map_err(read)?;
        let mut digester = wharf_oci::Digester::new(digest.algorithm());
        digester.update(&bytes);
        digester.finish().expect(&digest)?;
        Ok(bytes)
    }

    fn read_small(&self, name: &str, limit_bytes: u64) -> Result<Vec<u8>, LayoutError> {
        let wrong = |reason| LayoutError::NotALayout { path: self.path.clone(), reason };
        let blob = match self.open_file(name) {
            Ok(blob) => blob,
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound => return Err(wrong(format!("it has no {name}"))),
                io::ErrorKind::InvalidInput => {
                    return Err(wrong(format!("its {name} is not a regular file")));
                }
                _ => return Err(LayoutError::Read { path: self.path.join(name), source: error }),
            },
        };
        if blob.size_bytes > limit_bytes {
            return Err(wrong(format!("its {name} is larger than {limit_bytes} bytes")));
        }
        let mut bytes = Vec::new();
        blob.take(limit_bytes)
            .read_to_end(&mut bytes)
            .map_err(|source| LayoutError::Read { path: self.path.join(name), source })?;
        Ok(bytes)
    }

    /// Opens a file of the layout; something that is no file is `InvalidInput`.
    fn open_file(&self, name: &str) -> io::Result<BlobFile> {
        if let Some(members) = &self.members {
            let (start, size_bytes) =
                *members.get(name.as_bytes()).ok_or(io::ErrorKind::NotFound)?;
            return Ok(BlobFile { file: File::open(&self.path)?, start, size_bytes, position: 0 });
        }
        let mut path = self.path.clone();
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
        Ok(BlobFile { file, start: 0, size_bytes, position: 0 })
    }
}

impl BlobFile {
    /// Its size.
    #[must_use]
    pub const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The file, and where in it the blob starts.
    #[must_use]
    pub fn into_parts(self) -> (File, u64) {
        (self.file, self.start)
    }

    /// Fills the buffer from this offset; fewer bytes come only at the end of the blob.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(filled as u64);
            let left = usize::try_from(self.size_bytes.saturating_sub(at)).unwrap_or(usize::MAX);
            let rest = rest.get_mut(..left.min(rest.len())).unwrap_or_default();
            let read = self.file.read_at(rest, self.start.saturating_add(at))?;
            if read == 0 {
                break;
            }
            filled += read;
        }
        Ok(filled)
    }
}

impl Read for BlobFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.read_at(self.position, buffer)?;
        self.position += read as u64;
        Ok(read)
    }
}

/// Where the files of an archive lie. A name that comes twice counts where it came last, as when
/// the tar is unpacked.
fn members(path: &Path) -> Result<BTreeMap<Vec<u8>, (u64, u64)>, LayoutError> {
    let read = |source| LayoutError::Read { path: path.to_owned(), source };
    let not_a_tar = |fault| LayoutError::NotATar { path: path.to_owned(), fault };
    let mut file = input::open(path).map_err(read)?;
    let mut members = BTreeMap::new();
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
                too_many |= members.len() == MEMBERS_MAX;
                members.insert(name.to_vec(), (entry.content_offset, entry.size_bytes));
            } else {
                members.remove(name);
            }
            if too_many { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .map_err(not_a_tar)?;
        if too_many {
            let reason = format!("it has more than {MEMBERS_MAX} files");
            return Err(LayoutError::NotALayout { path: path.to_owned(), reason });
        }
    }
    walk.finish().map_err(not_a_tar)?;
    Ok(members)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn what_is_no_layout_is_said_to_be_none() {
        let folder = tempfile::tempdir().unwrap();
        let error = |path: &Path| Layout::open(path).unwrap_err().to_string();
        assert!(error(&folder.path().join("gone")).ends_with("gone does not exist"));
        assert!(error(folder.path()).ends_with("it has no oci-layout"));
        fs::write(folder.path().join(LAYOUT_FILE), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
        assert!(error(folder.path()).contains("version 2.0.0"));
        fs::write(folder.path().join(LAYOUT_FILE), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        assert!(error(folder.path()).ends_with("it has no index.json"));
        fs::write(folder.path().join("index.json"), "{").unwrap();
        assert!(error(folder.path()).contains("its index.json"));
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("x")).unwrap();
        fs::rename(folder.path().join("x"), folder.path().join("index.json")).unwrap();
        assert!(error(folder.path()).ends_with("its index.json is not a regular file"));
        let text = folder.path().join("text");
        fs::write(&text, "x".repeat(600)).unwrap();
        assert!(error(&text).contains("neither a folder nor a tar"));
    }
}
