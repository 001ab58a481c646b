//! Sources of images: one reader for every form people have.
//!
//! A source may come from a stranger. Invariant: every size is bounded before it is read, nothing
//! is opened through a symbolic link, and no input makes this panic. `verify`, not this module,
//! proves the blobs against their digests.

mod blob;
mod docker;
mod error;
mod layout;
mod members;
mod named;
mod open;
mod remote;
mod spool;
mod target;

use std::io::{self, Read as _};

use bytes::Bytes;
use wharf_oci::{Descriptor, MANIFEST_SIZE_BYTES_MAX, Manifest, ParseError, Tag};

pub use self::blob::{Blob, BlobFile};
use self::docker::DockerArchive;
pub use self::error::{BlobError, NotAnImage, SourceError};
use self::layout::Layout;
use self::remote::Remote;
pub use self::target::{PathForm, Target};
use crate::image::layout::REF_NAME;

/// An open container of images, with the descriptors at its top.
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
    DockerArchive(DockerArchive),
    Remote(Remote),
}

impl Source {
    /// The list of images, if some of them have digests by unknown algorithms: those are not among
    /// the roots.
    #[must_use]
    pub const fn partly_read(&self) -> Option<&Bytes> {
        match &self.form {
            Form::Layout(layout) => layout.partly_read(),
            Form::DockerArchive(_) | Form::Remote(_) => None,
        }
    }

    /// Whether it is on a registry.
    #[must_use]
    pub const fn is_remote(&self) -> bool {
        matches!(self.form, Form::Remote(_))
    }

    /// Whether it has no manifests of images, so that its manifests are made here.
    #[must_use]
    pub const fn makes_manifests(&self) -> bool {
        matches!(self.form, Form::DockerArchive(_))
    }

    /// Where it is, as people call it: the folder, the archive, the reference.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.location
    }

    /// The descriptors at its top.
    #[must_use]
    pub fn roots(&self) -> &[Descriptor] {
        &self.roots
    }

    /// Its tags, in its order: names in the form of tags, and the tags of whole references (written
    /// by other tools) unless they mean several images.
    pub fn tags(&self) -> impl Iterator<Item = (Tag, &Descriptor)> {
        let mut tags: Vec<(Tag, &Descriptor)> = Vec::new();
        let named = self.names().filter_map(|(name, root)| Some((name.parse().ok()?, root)));
        for (tag, root) in named {
            tags.push((tag, root));
        }
        let of_references: Vec<(Tag, &Descriptor)> = self
            .names()
            .filter_map(|(name, root)| Some((reference_tag(name)?.parse().ok()?, root)))
            .collect();
        for (tag, root) in &of_references {
            let means_another =
                |(other, at): &(Tag, &Descriptor)| other == tag && at.digest != root.digest;
            let is_known = tags.iter().any(|(known, _)| known == tag);
            if !is_known && !of_references.iter().any(means_another) {
                tags.push((tag.clone(), *root));
            }
        }
        tags.into_iter()
    }

    /// The names it gives, as they stand there: tags, or whole references.
    pub fn names(&self) -> impl Iterator<Item = (&str, &Descriptor)> {
        self.roots.iter().filter_map(|root| Some((root.annotations.get(REF_NAME)?.as_str(), root)))
    }

    /// Opens a blob, to be read once; its size must be the descriptor's.
    pub fn open_blob(&self, descriptor: &Descriptor) -> Result<Blob, BlobError> {
        let digest = descriptor.digest;
        let blob = match &self.form {
            Form::Layout(layout) => Blob::File(layout.open_blob(digest)?),
            Form::DockerArchive(archive) => Blob::File(archive.open_blob(digest)?),
            Form::Remote(remote) => Blob::Remote(Box::new(remote.open_blob(descriptor)?)),
        };
        has_size(descriptor, blob.size_bytes())?;
        Ok(blob)
    }

    /// Reads a manifest and proves it against its descriptor.
    pub fn manifest(&self, descriptor: &Descriptor) -> Result<Manifest, BlobError> {
        let digest = descriptor.digest;
        let refuse = |source| BlobError::Manifest { digest, source };
        if descriptor.size > MANIFEST_SIZE_BYTES_MAX {
            return Err(refuse(ParseError::ManifestTooLarge {
                size_bytes: descriptor.size,
                limit_bytes: MANIFEST_SIZE_BYTES_MAX,
            }));
        }
        let bytes = match &self.form {
            Form::Layout(_) => self.read_small(descriptor).map_err(|error| {
                match (error, &descriptor.platform) {
                    (BlobError::Missing { digest }, Some(platform)) => {
                        BlobError::MissingPlatform { digest, platform: platform.clone() }
                    }
                    (error, _) => error,
                }
            })?,
            Form::DockerArchive(archive) => {
                archive.manifest(&digest).cloned().ok_or(BlobError::Missing { digest })?
            }
            Form::Remote(remote) => {
                let bytes = remote.manifest(descriptor)?;
                has_size(descriptor, Some(bytes.len() as u64))?;
                bytes
            }
        };
        Manifest::parse(bytes, Some(&descriptor.media_type)).map_err(refuse)
    }

    /// Reads a blob of at most 4 MiB (a configuration), proven.
    pub fn small_blob(&self, descriptor: &Descriptor) -> Result<Bytes, BlobError> {
        let Form::Remote(remote) = &self.form else { return self.read_small(descriptor) };
        if let Some(bytes) = remote.kept(&descriptor.digest) {
            has_size(descriptor, Some(bytes.len() as u64))?;
            return Ok(bytes);
        }
        let bytes = self.read_small(descriptor)?;
        remote.keep(descriptor.digest, &bytes);
        Ok(bytes)
    }

    fn read_small(&self, descriptor: &Descriptor) -> Result<Bytes, BlobError> {
        let digest = descriptor.digest;
        let blob = self.open_blob(descriptor)?;
        if descriptor.size > MANIFEST_SIZE_BYTES_MAX {
            return Err(BlobError::read(digest, io::Error::from(io::ErrorKind::FileTooLarge)));
        }
        let mut bytes = Vec::new();
        blob.take(MANIFEST_SIZE_BYTES_MAX)
            .read_to_end(&mut bytes)
            .map_err(|error| BlobError::read(digest, error))?;
        let mut digester = wharf_oci::Digester::new(digest.algorithm());
        digester.update(&bytes);
        digester.finish().expect(&digest)?;
        Ok(Bytes::from(bytes))
    }
}

fn has_size(descriptor: &Descriptor, actual: Option<u64>) -> Result<(), BlobError> {
    let (digest, expected) = (descriptor.digest, descriptor.size);
    match actual {
        Some(actual) if actual != expected => Err(BlobError::Size { digest, expected, actual }),
        _ => Ok(()),
    }
}

/// The tag of a whole reference.
fn reference_tag(name: &str) -> Option<&str> {
    let (name, _) = name.split_once('@').unwrap_or((name, ""));
    let last = name.rsplit('/').next().unwrap_or_default();
    Some(last.split_once(':')?.1)
}

#[cfg(test)]
mod tests;
