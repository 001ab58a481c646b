//! The errors of a store, named by the event. Absence is `None`, not an error.

use std::path::PathBuf;

use wharf_oci::Digest;

/// The result of every operation of a store.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Why an operation of a store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk has no room left.
    #[error("no space left while {operation} {key}")]
    Full {
        /// The operation.
        operation: &'static str,
        /// The object of the operation.
        key: String,
    },
    /// Stored bytes differ from the written ones. Another read will not help.
    #[error("corrupt data while {operation} {key}: {reason}")]
    Corrupt {
        /// The operation.
        operation: &'static str,
        /// The object of the operation.
        key: String,
        /// The symptom.
        reason: String,
    },
    /// The database failed in another way.
    #[error("database error while {operation} {key}")]
    Database {
        /// The operation.
        operation: &'static str,
        /// The object of the operation.
        key: String,
        /// The error of RocksDB.
        source: rocksdb::Error,
    },
    /// The file system failed.
    #[error("{operation} {} failed", path.display())]
    Io {
        /// The operation.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The folder has content, and is no store.
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
        /// The format of the store.
        found: u32,
        /// The newest format of this program.
        known: u32,
    },
    /// Another process has the store open.
    #[error("{} is in use by another process{}", path.display(), named(*holder))]
    Locked {
        /// The folder.
        path: PathBuf,
        /// The identifier of the other process, when the system tells it.
        holder: Option<u32>,
    },
    /// The blob left the store while it was read.
    #[error("{digest} was removed while it was read")]
    Removed {
        /// The digest of the blob.
        digest: Digest,
    },
    /// The limit on disk is too small for any store.
    #[error(
        "a limit of {limit_bytes} bytes is too small for a store; give it at least {least_bytes}"
    )]
    LimitTooSmall {
        /// The limit, in bytes.
        limit_bytes: u64,
        /// The least limit, in bytes.
        least_bytes: u64,
    },
    /// The target of a backup or a restore exists already.
    #[error("{} exists already; choose a folder that does not", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// The folder has no store.
    #[error("there is no wharf store in {}", path.display())]
    NoStore {
        /// The folder.
        path: PathBuf,
    },
    /// The writer of a blob in flight ended without a proven digest.
    #[error("the blob in flight was given up: {reason}")]
    Abandoned {
        /// The reason.
        reason: String,
    },
    /// A fault injected by a test.
    #[cfg(any(test, feature = "test-util"))]
    #[error("injected fault while {operation}")]
    Injected {
        /// The operation.
        operation: &'static str,
    },
}

fn named(holder: Option<u32>) -> String {
    holder.map_or_else(String::new, |id| format!(" (process {id})"))
}

impl StoreError {
    /// The error for a database error: corruption, a full disk, or any other.
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

    /// The error for a record without a valid encoding.
    pub(crate) fn undecodable(operation: &'static str, key: impl Into<String>) -> Self {
        Self::Corrupt { operation, key: key.into(), reason: "the record is malformed".to_owned() }
    }

    /// The error for a file system error, with a full disk apart.
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
