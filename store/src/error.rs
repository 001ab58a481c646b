//! What can go wrong in a store, named by what happened. Absence is `None`, not an error.

use std::path::PathBuf;

use wharf_oci::Digest;

/// What every operation of a store returns.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Why an operation of a store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk has no room left.
    #[error("no space left while {operation} {key}")]
    Full {
        /// What was tried.
        operation: &'static str,
        /// On what.
        key: String,
    },
    /// Stored bytes are not what was stored. Reading again will not help.
    #[error("corrupt data while {operation} {key}: {reason}")]
    Corrupt {
        /// What was tried.
        operation: &'static str,
        /// On what.
        key: String,
        /// How it shows.
        reason: String,
    },
    /// The database failed in another way.
    #[error("database error while {operation} {key}")]
    Database {
        /// What was tried.
        operation: &'static str,
        /// On what.
        key: String,
        /// Its words.
        source: rocksdb::Error,
    },
    /// The file system failed.
    #[error("{operation} {} failed", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// Where.
        path: PathBuf,
        /// Its words.
        source: std::io::Error,
    },
    /// The folder holds something that is not a store.
    #[error("{} is not empty and not a wharf store; choose another folder", path.display())]
    NotAStore {
        /// The folder.
        path: PathBuf,
    },
    /// The store was written by a later version of this program.
    #[error(
        "{} has store format {found}, this program reads up to {known}; use a newer wharfd",
        path.display()
    )]
    NewerFormat {
        /// The folder.
        path: PathBuf,
        /// The format it says it has.
        found: u32,
        /// The newest we know.
        known: u32,
    },
    /// Another process has the store open.
    #[error("{} is in use by another process{}", path.display(), named(*holder))]
    Locked {
        /// The folder.
        path: PathBuf,
        /// The id of that process, when the system says it.
        holder: Option<u32>,
    },
    /// The blob left the store while it was read.
    #[error("{digest} was removed while it was read")]
    Removed {
        /// Which.
        digest: Digest,
    },
    /// A limit on disk that no store can keep.
    #[error(
        "a limit of {limit_bytes} bytes is too small for a store; give it at least {least_bytes}"
    )]
    LimitTooSmall {
        /// As given.
        limit_bytes: u64,
        /// The least that works.
        least_bytes: u64,
    },
    /// A backup or a restored store would be written over something.
    #[error("{} exists already; choose a folder that does not", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// There is no store where one was expected.
    #[error("there is no wharf store in {}", path.display())]
    NoStore {
        /// The folder.
        path: PathBuf,
    },
    /// The writer of a blob in flight ended without a proven digest.
    #[error("the blob in flight was given up: {reason}")]
    Abandoned {
        /// Why.
        reason: String,
    },
    /// A fault a test asked for.
    #[cfg(any(test, feature = "test-util"))]
    #[error("injected fault while {operation}")]
    Injected {
        /// What was tried.
        operation: &'static str,
    },
}

fn named(holder: Option<u32>) -> String {
    holder.map_or_else(String::new, |id| format!(" (process {id})"))
}

impl StoreError {
    /// Names a database error after what it is: corruption, a full disk, or itself.
    pub(crate) fn database(
        operation: &'static str,
        key: impl Into<String>,
        source: rocksdb::Error,
    ) -> Self {
        let key = key.into();
        match source.kind() {
            rocksdb::ErrorKind::Corruption => {
                Self::Corrupt { operation, key, reason: source.to_string() }
            }
            rocksdb::ErrorKind::IOError if source.as_ref().contains("No space left") => {
                Self::Full { operation, key }
            }
            _ => Self::Database { operation, key, source },
        }
    }

    /// A value its decoder refused.
    pub(crate) fn undecodable(operation: &'static str, key: impl Into<String>) -> Self {
        Self::Corrupt { operation, key: key.into(), reason: "the record is malformed".to_owned() }
    }

    /// Names a file system error, with a full disk told apart.
    pub(crate) fn io(
        operation: &'static str,
        path: impl Into<PathBuf>,
        source: std::io::Error,
    ) -> Self {
        let path = path.into();
        if source.kind() == std::io::ErrorKind::StorageFull {
            return Self::Full { operation, key: path.display().to_string() };
        }
        Self::Io { operation, path, source }
    }
}
