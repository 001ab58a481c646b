//! Where images are read from: one reader for every form in which people have them.
//!
//! A source may come from a stranger. Invariant: every size is bounded before it is read, nothing
//! is opened through a symbolic link, and no input makes this panic. Whether blobs are what their
//! digests say is proven in `verify`, not here.

mod blob;
mod error;
mod files;
mod layout;

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use bytes::Bytes;
use wharf_oci::{Descriptor, MANIFEST_SIZE_BYTES_MAX, Manifest, ParseError, Tag};

pub use self::blob::{Blob, BlobFile};
pub use self::error::{BlobError, SourceError};
use self::files::{Files, Members};
use self::layout::Layout;
use crate::image::layout::REF_NAME;

/// Something that holds images, open, with what it lists at the top.
#[derive(Debug)]
pub struct Source {
    location: String,
    form: Form,
    roots: Vec<Descriptor>,
}

/// How the images are kept.
#[derive(Debug)]
enum Form {
    Layout(Layout),
}

impl Source {
    /// Opens what is at a path of this disk.
    pub fn open_path(path: &Path) -> Result<Self, SourceError> {
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(SourceError::Missing { path: path.to_owned() });
            }
            Err(source) => return Err(SourceError::Read { path: path.to_owned(), source }),
        };
        let files = if metadata.is_dir() {
            Files::Folder(path.to_owned())
        } else {
            Files::Archive(Members::read(path)?)
        };
        let (layout, roots) = Layout::open(path, files)?;
        Ok(Self { location: path.display().to_string(), form: Form::Layout(layout), roots })
    }

    /// Where it is, as people call it: the folder, the archive, the reference.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.location
    }

    /// What it lists at the top.
    #[must_use]
    pub fn roots(&self) -> &[Descriptor] {
        &self.roots
    }

    /// The tags that it names, in its order. Names that are no tags (other tools write
    /// whole references) are left out.
    pub fn tags(&self) -> impl Iterator<Item = (Tag, &Descriptor)> {
        self.roots.iter().filter_map(|root| {
            let tag = root.annotations.get(REF_NAME)?.parse().ok()?;
            Some((tag, root))
        })
    }

    /// The names that it gives, as they stand there: tags, or whole references.
    pub fn names(&self) -> impl Iterator<Item = (&str, &Descriptor)> {
        self.roots.iter().filter_map(|root| Some((root.annotations.get(REF_NAME)?.as_str(), root)))
    }

    /// Opens a blob, to be read once; its size must be the descriptor's.
    pub fn open_blob(&self, descriptor: &Descriptor) -> Result<Blob, BlobError> {
        let digest = descriptor.digest;
        let blob = match &self.form {
            Form::Layout(layout) => Blob::File(layout.open_blob(digest)?),
        };
        match blob.size_bytes() {
            Some(actual) if actual != descriptor.size => {
                Err(BlobError::Size { digest, expected: descriptor.size, actual })
            }
            _ => Ok(blob),
        }
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
        let blob = self.open_blob(descriptor)?;
        if descriptor.size > MANIFEST_SIZE_BYTES_MAX {
            return Err(BlobError::read(digest, io::ErrorKind::FileTooLarge.into()));
        }
        let mut bytes = Vec::new();
        blob.take(MANIFEST_SIZE_BYTES_MAX)
            .read_to_end(&mut bytes)
            .map_err(|error| BlobError::read(digest, error))?;
        let mut digester = wharf_oci::Digester::new(digest.algorithm());
        digester.update(&bytes);
        digester.finish().expect(&digest)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::image::layout::LAYOUT_FILE;

    #[test]
    fn what_is_no_layout_is_said_to_be_none() {
        let folder = tempfile::tempdir().unwrap();
        let error = |path: &Path| Source::open_path(path).unwrap_err().to_string();
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
