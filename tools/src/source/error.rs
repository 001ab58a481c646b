//! Why nothing can be read from a source, or one blob of it cannot be used.

use std::io;

use wharf_oci::{Digest, ParseError, Platform};

use super::named::NotAnImage;
use crate::image::tar_walk::TarFault;
use crate::output::visible;
use crate::registry::{ImageRefError, RegistryError};

/// Why there is no image to read. What strangers named is shown without what a terminal would obey.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Nothing is there.
    #[error("{} does not exist{}", visible(.location), visible(.advice))]
    Missing {
        location: String,
        /// What may have been meant.
        advice: String,
    },
    /// It is something that people have beside images.
    #[error("{} {}", visible(.location), .is)]
    NotAnImage {
        location: String,
        /// What it is, and what to do.
        is: NotAnImage,
    },
    /// A layout that is none.
    #[error("{} is not an OCI image layout: {}", visible(.location), visible(.reason))]
    NotALayout { location: String, reason: String },
    /// A docker-archive that is none.
    #[error("{} is not a docker-archive: {}", visible(.location), visible(.reason))]
    NotADockerArchive { location: String, reason: String },
    /// It cannot be read.
    #[error("cannot read {}", visible(.location))]
    Read { location: String, source: io::Error },
    /// An archive whose tar is damaged.
    #[error("{} is an archive that is damaged: {}; make or download it again", visible(.location), .fault)]
    Damaged { location: String, fault: TarFault },
    /// An archive that costs more than is spent on one.
    #[error("{} has {}, which is more than is looked at", visible(.location), visible(.what))]
    TooMuch { location: String, what: String },
    /// It has no image of the name that was asked for.
    #[error("{} has no image {}; it has {}", visible(.location), visible(.name), visible(.there))]
    NoSuchName { location: String, name: String, there: String },
    /// The registry has nothing of that name.
    #[error("{} is not on the registry; is it pushed, and is the name right?", visible(.location))]
    NotOnRegistry { location: String },
    /// The registry.
    #[error("cannot read {}", visible(.location))]
    Registry { location: String, source: RegistryError },
    /// A text that is no target.
    #[error("`{}` is nothing on this disk, and no image on a registry", visible(.text))]
    Reference { text: String, source: ImageRefError },
    /// A form that other tools have and this one does not read.
    #[error("`{}`: {}", visible(.text), visible(.reason))]
    Unread {
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
    Missing { digest: Digest },
    /// An index lists it, and whoever saved the index left it out.
    #[error(
        "the image for {} ({digest}) is listed and not there: this is a partial save, of \
         some platforms; save all of them (skopeo copy --all, docker save without --platform after \
         each platform was pulled)",
        visible(&.platform.to_string())
    )]
    MissingPlatform { digest: Digest, platform: Platform },
    /// A layer that `manifest.json` names, and the archive has not.
    #[error("the layer {digest} is missing: the archive has no `{}`", visible(.name))]
    MissingMember {
        digest: Digest,
        /// What it is called there.
        name: String,
    },
    /// It is a link or a folder.
    #[error("the blob {digest} is not a regular file")]
    NotAFile { digest: Digest },
    /// Its size differs from the descriptor's.
    #[error("the blob {digest} has {actual} bytes; its descriptor says {expected}")]
    Size {
        digest: Digest,
        /// The descriptor's size.
        expected: u64,
        actual: u64,
    },
    /// Its content is not what the digest says.
    #[error(transparent)]
    Mismatch(#[from] wharf_oci::Mismatch),
    /// A registry sent something else under its digest.
    #[error("the blob {digest} is not what the registry sends: {reason}")]
    Content { digest: Digest, reason: String },
    /// It is no manifest.
    #[error("the blob {digest} is not a manifest that can be used")]
    Manifest { digest: Digest, source: ParseError },
    /// It cannot be read.
    #[error("the blob {digest} cannot be read")]
    Read { digest: Digest, source: io::Error },
    /// Its registry cannot be asked for it.
    #[error("the blob {digest} could not be read from the registry")]
    Registry { digest: Digest, source: Box<RegistryError> },
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
