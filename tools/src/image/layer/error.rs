//! Why a layer cannot be made, with the path that it is about.

use std::io;
use std::path::PathBuf;

use super::ENTRIES_MAX;
use crate::image::tar_walk::TarFault;

/// Why a layer cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// What the offer names is not there.
    #[error("{what} {path} does not exist; build it first")]
    Missing {
        /// `folder` or `tar`.
        what: &'static str,
        /// Where it should be.
        path: PathBuf,
    },
    /// It is there, but as something else.
    #[error("{path} is not a {what}")]
    WrongKind {
        /// `folder` or `file`.
        what: &'static str,
        /// Where.
        path: PathBuf,
    },
    /// Reading a file of the layer failed.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A socket, device or named pipe.
    #[error("{path} is a socket, a device or a named pipe; exclude it or remove it")]
    Special {
        /// Which.
        path: PathBuf,
    },
    /// More entries than can be sorted.
    #[error("{path} has more than {ENTRIES_MAX} entries; make several layers of it")]
    TooMany {
        /// The folder.
        path: PathBuf,
    },
    /// A ready tar that engines refuse to unpack.
    #[error("the entry `{entry}` of {path} {reason}")]
    Refused {
        /// The tar.
        path: PathBuf,
        /// The entry.
        entry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A ready tar that is none.
    #[error("{path} is not an uncompressed tar: {fault}")]
    NotATar {
        /// Which.
        path: PathBuf,
        /// Why not.
        fault: TarFault,
    },
    /// The layer could not be written.
    #[error("cannot write the layer")]
    Write(#[from] io::Error),
}
