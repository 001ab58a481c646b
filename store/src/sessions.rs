//! The seam for uploads across restarts of the process. Each backend has its own record of them.
//!
//! Invariant: a resumed upload has exactly the bytes up to its offset, and their hash.

use wharf_oci::{RepoName, UploadId};

use crate::Result;
use crate::blob::{BlobStore, BlobWriter};

/// A new upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUpload {
    /// The identifier of the upload.
    pub id: UploadId,
    /// The target repository.
    pub repo: RepoName,
    /// The name of the one caller allowed to continue the upload, if it has an owner; never empty.
    pub owner: Option<String>,
}

impl NewUpload {
    /// An upload without an owner.
    #[must_use]
    pub fn unowned(id: UploadId, repo: &RepoName) -> Self {
        Self { id, repo: repo.clone(), owner: None }
    }
}

/// An upload at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedUpload {
    /// The identifier of the upload.
    pub id: UploadId,
    /// The target repository.
    pub repo: RepoName,
    /// The name of the one caller allowed to continue the upload, if it has an owner.
    pub owner: Option<String>,
    /// The number of durable bytes.
    pub offset: u64,
    /// The time of the last save, in milliseconds since 1970.
    pub saved_ms: u64,
}

/// A blob store with uploads. Appended bytes are durable at the end of each run, and all of them
/// after [`BlobWriter::suspend`].
pub trait UploadStore: BlobStore {
    /// A writer with a durable state under the upload's identifier. Dropping the writer forgets the
    /// upload; [`BlobWriter::suspend`], or an end of the process without a drop, leaves it
    /// resumable.
    fn begin_upload(&self, upload: NewUpload) -> Result<BlobWriter>;

    /// Resumes an upload at rest; `None` when there is none with this identifier.
    fn resume_upload(&self, id: UploadId) -> Result<Option<BlobWriter>>;

    /// Every upload at rest.
    fn saved_uploads(&self) -> Result<Vec<SavedUpload>>;

    /// Forgets an upload at rest; `false` when there is none with this identifier.
    fn forget_upload(&self, id: UploadId) -> Result<bool>;
}
