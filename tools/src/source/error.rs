//! Why nothing can be read from a source, or one blob of it cannot be used.

use std::fmt;
use std::io;

use wharf_oci::{Digest, ParseError, Platform};

use crate::image::tar_walk::TarFault;
use crate::output::visible;
use crate::registry::{ImageRefError, RegistryError};

/// The failure to find an image. A stranger's names are shown without a terminal's control
/// characters.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Nothing is there.
    #[error("{} does not exist{}", visible(.location), visible(.advice))]
    Missing {
        location: String,
        /// Advice on the likely intention.
        advice: String,
    },
    /// It is no image, but a file people often have beside images.
    #[error("{} {}", visible(.location), .is)]
    NotAnImage {
        location: String,
        /// Its kind, and advice.
        is: NotAnImage,
    },
    /// A layout without the form of a layout.
    #[error("{} is not an OCI image layout: {}", visible(.location), visible(.reason))]
    NotALayout { location: String, reason: String },
    /// A docker-archive without the form of one.
    #[error("{} is not a docker-archive: {}", visible(.location), visible(.reason))]
    NotADockerArchive { location: String, reason: String },
    /// It cannot be read.
    #[error("cannot read {}", visible(.location))]
    Read { location: String, source: io::Error },
    /// An archive with a damaged tar.
    #[error("{} is an archive that is damaged: {}; make or download it again", visible(.location), .fault)]
    Damaged { location: String, fault: TarFault },
    /// An archive beyond the cost limits of one archive.
    #[error("{} has {}, which is more than is looked at", visible(.location), visible(.what))]
    TooMuch { location: String, what: String },
    /// It has no image of the requested name.
    #[error("{} has no image {}; it has {}", visible(.location), visible(.name), visible(.there))]
    NoSuchName { location: String, name: String, there: String },
    /// The registry has no manifest of that name.
    #[error("{} is not on the registry; is it pushed, and is the name right?", visible(.location))]
    NotOnRegistry { location: String },
    /// The registry failed.
    #[error("cannot read {}", visible(.location))]
    Registry { location: String, source: RegistryError },
    /// A text without the form of a target.
    #[error("`{}` is nothing on this disk, and no image on a registry", visible(.text))]
    Reference { text: String, source: ImageRefError },
    /// A form of other tools, unknown to this one.
    #[error("`{}`: {}", visible(.text), visible(.reason))]
    Unread {
        text: String,
        /// The reason, and advice.
        reason: &'static str,
    },
}

/// Why a blob of a source cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// It is not there.
    #[error("the blob {digest} is missing")]
    Missing { digest: Digest },
    /// An index lists it, and the save left it out.
    #[error(
        "the image for {} ({digest}) is listed and not there: this is a partial save, of \
         some platforms; save all of them (skopeo copy --all, docker save without --platform after \
         each platform was pulled)",
        visible(&.platform.to_string())
    )]
    MissingPlatform { digest: Digest, platform: Platform },
    /// A layer of `manifest.json`, missing in the archive.
    #[error("the layer {digest} is missing: the archive has no `{}`", visible(.name))]
    MissingMember {
        digest: Digest,
        /// Its name there.
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
    /// Its content has another digest.
    #[error(transparent)]
    Mismatch(#[from] wharf_oci::Mismatch),
    /// The registry's bytes for a digest have another one.
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
    /// An error of the disk, or of the stream.
    pub(super) const fn read(digest: Digest, source: io::Error) -> Self {
        Self::Read { digest, source }
    }

    /// A registry's error about a blob.
    pub(super) fn of_registry(digest: Digest, error: RegistryError) -> Self {
        match error {
            RegistryError::Manifest { source, .. } => Self::Manifest { digest, source },
            RegistryError::Content { reason, .. } => Self::Content { digest, reason },
            error => Self::Registry { digest, source: Box::new(error) },
        }
    }
}

/// A file or folder of another kind than an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnImage {
    pub(super) what: &'static str,
    pub(super) advice: &'static str,
}

impl fmt::Display for NotAnImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "is {}, not an image; {}", self.what, self.advice)
    }
}
