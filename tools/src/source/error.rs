//! Why nothing can be read from a source, or one blob of it cannot be used.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use wharf_oci::{Digest, ParseError};

use crate::image::tar_walk::TarFault;

/// Why there is no image to read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
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

/// Why a blob of a source cannot be used.
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
        /// What there is.
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
        /// Why: an error of the disk, or of the registry.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl BlobError {
    /// An error of the disk.
    pub(super) fn read(digest: Digest, error: io::Error) -> Self {
        Self::Read { digest, source: error.into() }
    }
}
