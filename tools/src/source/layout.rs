//! An OCI image layout: a folder, or the same in a tar (an OCI archive).

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::Deserialize;
use wharf_oci::{Descriptor, Digest, MANIFEST_SIZE_BYTES_MAX, Manifest, MediaType};

use super::blob::BlobFile;
use super::error::{BlobError, SourceError};
use super::files::Files;
use crate::image::layout::{INDEX_FILE, LAYOUT_FILE, LAYOUT_VERSION};

/// Largest `oci-layout` file.
const LAYOUT_FILE_BYTES_MAX: u64 = 4096;

/// A layout.
#[derive(Debug)]
pub(super) struct Layout {
    path: PathBuf,
    files: Files,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayoutFile {
    image_layout_version: String,
}

impl Layout {
    /// Reads `oci-layout` and `index.json`; gives back what the latter lists.
    pub(super) fn open(path: &Path, files: Files) -> Result<(Self, Vec<Descriptor>), SourceError> {
        let layout = Self { path: path.to_owned(), files };
        let wrong = |reason: String| SourceError::NotALayout { path: path.to_owned(), reason };
        let marker = layout.read_small(LAYOUT_FILE, LAYOUT_FILE_BYTES_MAX)?;
        let marker: LayoutFile = serde_json::from_slice(&marker)
            .map_err(|error| wrong(format!("its {LAYOUT_FILE} cannot be read: {error}")))?;
        if marker.image_layout_version != LAYOUT_VERSION {
            let version: String = marker.image_layout_version.chars().take(40).collect();
            return Err(wrong(format!("it has version {version}, known is {LAYOUT_VERSION}")));
        }
        let index = layout.read_small(INDEX_FILE, MANIFEST_SIZE_BYTES_MAX)?;
        let index = Manifest::parse(Bytes::from(index), Some(&MediaType::OCI_INDEX))
            .map_err(|error| wrong(format!("its {INDEX_FILE}: {error}")))?;
        let roots = index.children().to_vec();
        Ok((layout, roots))
    }

    /// Opens a blob of whatever size.
    pub(super) fn open_blob(&self, digest: Digest) -> Result<BlobFile, BlobError> {
        let name = format!("blobs/{}/{}", digest.algorithm(), digest.hex());
        self.files.open(&name).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => BlobError::Missing { digest },
            io::ErrorKind::InvalidInput => BlobError::NotAFile { digest },
            _ => BlobError::read(digest, error),
        })
    }

    fn read_small(&self, name: &str, limit_bytes: u64) -> Result<Vec<u8>, SourceError> {
        let wrong = |reason| SourceError::NotALayout { path: self.path.clone(), reason };
        let failed = |source| SourceError::Read { path: self.path.join(name), source };
        let file = self.files.open(name).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => wrong(format!("it has no {name}")),
            io::ErrorKind::InvalidInput => wrong(format!("its {name} is not a regular file")),
            _ => failed(error),
        })?;
        if file.size_bytes() > limit_bytes {
            return Err(wrong(format!("its {name} is larger than {limit_bytes} bytes")));
        }
        let mut bytes = Vec::new();
        file.take(limit_bytes).read_to_end(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }
}
