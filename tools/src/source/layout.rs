//! An OCI image layout: a folder, or the same in a tar (an OCI archive).
//!
//! Since version 25 `docker save` writes one too, with a `manifest.json` beside it for older
//! readers; the names of images may stand only there.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use wharf_oci::{Descriptor, Digest, MANIFEST_SIZE_BYTES_MAX, Manifest, ManifestKind, MediaType};

use super::blob::BlobFile;
use super::docker::{self, DockerImage, MANIFEST_FILE};
use super::error::{BlobError, SourceError};
use super::members::{MemberLookup, Members};
use crate::image::algorithms;
use crate::image::layout::{
    IMAGE_NAME, INDEX_FILE, LAYOUT_FILE, LAYOUT_VERSION, REF_NAME, REFERRERS,
};

/// Largest `oci-layout` file.
const LAYOUT_FILE_BYTES_MAX: u64 = 4096;

/// Where the files of a layout are.
#[derive(Debug)]
pub(super) enum LayoutFiles {
    /// In a folder.
    Folder(PathBuf),
    /// In a tar.
    Archive(Members),
}

/// A layout, open.
#[derive(Debug)]
pub(super) struct Layout {
    location: String,
    files: LayoutFiles,
    /// The list of images, if some of them have digests by unknown algorithms.
    partly_read: Option<Bytes>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayoutFile {
    image_layout_version: String,
}

impl LayoutFiles {
    /// Opens a file; any other kind is `InvalidInput`.
    fn open(&self, name: &str) -> io::Result<BlobFile> {
        let folder = match self {
            Self::Folder(folder) => folder,
            Self::Archive(members) => {
                return match members.open(name) {
                    MemberLookup::File(file) => Ok(file),
                    MemberLookup::NotAFile => Err(io::ErrorKind::InvalidInput.into()),
                    MemberLookup::Nothing => Err(io::ErrorKind::NotFound.into()),
                };
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

impl Layout {
    /// Reads `oci-layout` and `index.json`, and returns the latter's list.
    pub(super) fn open(
        location: &str,
        files: LayoutFiles,
    ) -> Result<(Self, Vec<Descriptor>), SourceError> {
        let mut layout = Self { location: location.to_owned(), files, partly_read: None };
        let wrong =
            |reason: String| SourceError::NotALayout { location: location.to_owned(), reason };
        let marker = layout.read_small(LAYOUT_FILE, LAYOUT_FILE_BYTES_MAX)?;
        let marker: LayoutFile = serde_json::from_slice(&marker)
            .map_err(|error| wrong(format!("its {LAYOUT_FILE} cannot be read: {error}")))?;
        if marker.image_layout_version != LAYOUT_VERSION {
            let version: String = marker.image_layout_version.chars().take(40).collect();
            return Err(wrong(format!("it has version {version}, known is {LAYOUT_VERSION}")));
        }
        let index = layout.read_small(INDEX_FILE, MANIFEST_SIZE_BYTES_MAX)?;
        let index = Bytes::from(index);
        let parsed = match Manifest::parse(index.clone(), Some(&MediaType::OCI_INDEX)) {
            // The images with known digests are looked at all the same.
            Err(_) if !algorithms::unknown_in_manifest(&index).is_empty() => {
                layout.partly_read = Some(index.clone());
                Manifest::read(index, Some(&MediaType::OCI_INDEX))
            }
            parsed => parsed,
        };
        let index = parsed.map_err(|error| wrong(format!("its {INDEX_FILE}: {error}")))?;
        let mut roots = index.children().to_vec();
        layout.name(&mut roots);
        if let Some(list) = index.annotations().get(REFERRERS).and_then(|text| text.parse().ok()) {
            roots.extend(layout.referrers(list));
        }
        Ok((layout, roots))
    }

    /// The children of a referrers' list outside the roots. An unreadable list stands for itself,
    /// so the proof reports it.
    fn referrers(&self, list: Digest) -> Vec<Descriptor> {
        let read = || {
            let file = self.open_blob(list).ok()?;
            let mut bytes = Vec::new();
            file.take(MANIFEST_SIZE_BYTES_MAX + 1).read_to_end(&mut bytes).ok()?;
            let index = Manifest::parse(Bytes::from(bytes), Some(&MediaType::OCI_INDEX)).ok()?;
            index.prove(&list).ok()?;
            Some(index.children().to_vec())
        };
        read().unwrap_or_else(|| {
            let size_bytes = self.open_blob(list).map_or(0, |file| file.size_bytes());
            vec![Descriptor::new(MediaType::OCI_INDEX, list, size_bytes)]
        })
    }

    /// The list of images, if some of them have digests by unknown algorithms.
    pub(super) const fn partly_read(&self) -> Option<&Bytes> {
        self.partly_read.as_ref()
    }

    /// Whether older readers find a docker-archive in it.
    pub(super) fn is_docker_archive(&self) -> bool {
        match &self.files {
            LayoutFiles::Folder(_) => false,
            LayoutFiles::Archive(members) => members.table().has_file(MANIFEST_FILE),
        }
    }

    /// Gives roots without a name the one docker and containerd keep elsewhere.
    fn name(&self, roots: &mut [Descriptor]) {
        let LayoutFiles::Archive(members) = &self.files else { return };
        let is_named = |root: &Descriptor| root.annotations.contains_key(REF_NAME);
        for root in roots.iter_mut().filter(|root| !is_named(root)) {
            if let Some(name) = root.annotations.get(IMAGE_NAME).cloned() {
                root.annotations.insert(REF_NAME.to_owned(), name);
            }
        }
        if roots.iter().all(is_named) {
            return;
        }
        // It is for other readers; an unusable one takes nothing from this layout.
        let Ok(entries) = docker::entries(&self.location, members) else { return };
        for root in roots.iter_mut().filter(|root| !is_named(root)) {
            if let Some(name) = self.name_of(root, &entries) {
                root.annotations.insert(REF_NAME.to_owned(), name);
            }
        }
    }

    /// The first name of the docker entry with this image's configuration.
    fn name_of(&self, root: &Descriptor, entries: &[DockerImage]) -> Option<String> {
        let file = self.open_blob(root.digest).ok()?;
        let mut bytes = Vec::new();
        file.take(MANIFEST_SIZE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        let manifest = Manifest::parse(Bytes::from(bytes), Some(&root.media_type)).ok()?;
        let ManifestKind::Image { config, .. } = manifest.kind() else { return None };
        let hex = config.as_ref()?.digest.hex();
        let entry = entries.iter().find(|entry| entry.config.ends_with(&hex))?;
        entry.names().next().map(ToOwned::to_owned)
    }

    /// Opens a blob of any size.
    pub(super) fn open_blob(&self, digest: Digest) -> Result<BlobFile, BlobError> {
        let name = format!("blobs/{}/{}", digest.algorithm(), digest.hex());
        self.files.open(&name).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => BlobError::Missing { digest },
            io::ErrorKind::InvalidInput => BlobError::NotAFile { digest },
            _ => BlobError::read(digest, error),
        })
    }

    fn read_small(&self, name: &str, limit_bytes: u64) -> Result<Vec<u8>, SourceError> {
        let location = || self.location.clone();
        let wrong = |reason| SourceError::NotALayout { location: location(), reason };
        let failed =
            |source| SourceError::Read { location: format!("{}/{name}", self.location), source };
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
