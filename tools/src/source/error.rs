//! Why nothing can be read from a source, or one blob of it cannot be used.

use std::io;

use wharf_oci::{Digest, ParseError, Platform};

use super::named::NotAnImage;
use crate::image::tar_walk::TarFault;
use crate::registry::{ImageRefError, RegistryError};

/// Why there is no image to read. Locations are as they were named; who shows them makes what a
/// terminal would obey visible.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Nothing is there.
    #[error("{location} does not exist{advice}")]
    Missing {
        /// Where.
        location: String,
        /// What may have been meant.
        advice: String,
    },
    /// It is something that people have beside images.
    #[error("{location} {is}")]
    NotAnImage {
        /// Where.
        location: String,
        /// What it is, and what to do.
        is: NotAnImage,
    },
    /// A layout that is none.
    #[error("{location} is not an OCI image layout: {reason}")]
    NotALayout {
        /// Where.
        location: String,
        /// What is wrong.
        reason: String,
    },
    /// A docker-archive that is none.
    #[error("{location} is not a docker-archive: {reason}")]
    NotADockerArchive {
        /// Where.
        location: String,
        /// What is wrong.
        reason: String,
    },
    /// It cannot be read.
    #[error("cannot read {location}")]
    Read {
        /// Which file.
        location: String,
        /// Why.
        source: io::Error,
    },
    /// An archive whose tar is damaged.
    #[error("{location} is an archive that is damaged: {fault}; make or download it again")]
    Damaged {
        /// Which file.
        location: String,
        /// How.
        fault: TarFault,
    },
    /// An archive that costs more than is spent on one.
    #[error("{location} has {what}, which is more than is looked at")]
    TooMuch {
        /// Which file.
        location: String,
        /// More than which bound.
        what: String,
    },
    /// It has no image of the name that was asked for.
    #[error("{location} has no image {name}; it has {there}")]
    NoSuchName {
        /// Where.
        location: String,
        /// What was asked for.
        name: String,
        /// What is there.
        there: String,
    },
    /// The registry has nothing of that name.
    #[error("{location} is not on the registry; is it pushed, and is the name right?")]
    NotOnRegistry {
        /// The reference.
        location: String,
    },
    /// The registry.
    #[error("cannot read {location}")]
    Registry {
        /// The reference.
        location: String,
        /// Why.
        source: RegistryError,
    },
    /// A text that is no target.
    #[error("`{text}` cannot be read")]
    Reference {
        /// The text.
        text: String,
        /// Why not.
        source: ImageRefError,
    },
    /// A form that other tools have and this one does not read.
    #[error("`{text}`: {reason}")]
    Unread {
        /// The text.
        text: String,
        /// Why not, and what to do.
        reason: &'static str,
    },
}

/// Why a blob of a source cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// It is not there.
    #[error("the blob {digest} is missing")]
    Missing {
        /// Which.
        digest: Digest,
    },
    /// An index lists it, and whoever saved the index left it out.
    #[error(
        "the image for {platform} ({digest}) is listed and not there: this is a partial save, of \
         some platforms; save all of them (skopeo copy --all, docker save without --platform after \
         each platform was pulled)"
    )]
    MissingPlatform {
        /// Which.
        digest: Digest,
        /// For what.
        platform: Platform,
    },
    /// A layer that `manifest.json` names, and the archive has not.
    #[error("the layer {digest} is missing: the archive has no `{name}`")]
    MissingMember {
        /// Which.
        digest: Digest,
        /// What it is called there.
        name: String,
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
        /// What there is.
        actual: u64,
    },
    /// Its content is not what the digest says.
    #[error(transparent)]
    Mismatch(#[from] wharf_oci::Mismatch),
    /// A registry sent something else under its digest.
    #[error("the blob {digest} is not what the registry sends: {reason}")]
    Content {
        /// Which.
        digest: Digest,
        /// What came.
        reason: String,
    },
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
    /// Its registry cannot be asked for it.
    #[error("the blob {digest} could not be read from the registry")]
    Registry {
        /// Which.
        digest: Digest,
        /// Why.
        source: Box<RegistryError>,
    },
}

impl BlobError {
    /// An error of the disk, or of what streams.
    pub(super) const fn read(digest: Digest, source: io::Error) -> Self {
        Self::Read { digest, source }
    }

    /// What a registry says of a blob.
    pub(super) fn of_registry(digest: Digest, error: RegistryError) -> Self {
        match error {
            RegistryError::Manifest { source, .. } => Self::Manifest { digest, source },
            RegistryError::Content { reason, .. } => Self::Content { digest, reason },
            error => Self::Registry { digest, source: Box::new(error) },
        }
    }
}
