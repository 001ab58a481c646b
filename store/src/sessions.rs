//! The seam for uploads that outlive the process. What a backend keeps of them is its own affair.
//!
//! Invariant: an upload that is resumed has exactly the bytes its offset says, and their hash.

use wharf_oci::{RepoName, UploadId};

use crate::Result;
use crate::blob::{BlobStore, BlobWriter};

/// An upload that is begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUpload {
    /// Its name.
    pub id: UploadId,
    /// Into which repository.
    pub repo: RepoName,
    /// Who alone may go on with it, if anybody; a name that is not empty.
    pub owner: Option<String>,
}

impl NewUpload {
    /// One that belongs to nobody in particular.
    #[must_use]
    pub fn unowned(id: UploadId, repo: &RepoName) -> Self {
        Self { id, repo: repo.clone(), owner: None }
    }
}

/// An upload at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedUpload {
    /// Its name.
    pub id: UploadId,
    /// Into which repository.
    pub repo: RepoName,
    /// Who alone may go on with it, if anybody.
    pub owner: Option<String>,
    /// How many bytes of it are durable.
    pub offset: u64,
    /// When it was saved, in milliseconds since 1970.
    pub saved_ms: u64,
}

/// A blob store that remembers uploads. What a writer appended is durable at the border of each run,
/// and wholly after [`BlobWriter::suspend`].
pub trait UploadStore: BlobStore {
    /// A writer whose progress is kept under the upload's name. Dropping it forgets the upload; only a process
    /// that ends without dropping it, or [`BlobWriter::suspend`], leaves it to be resumed.
    fn begin_upload(&self, upload: NewUpload) -> Result<BlobWriter>;

    /// Goes on with an upload at rest; `None` when there is none of this name.
    fn resume_upload(&self, id: UploadId) -> Result<Option<BlobWriter>>;

    /// Every upload at rest.
    fn saved_uploads(&self) -> Result<Vec<SavedUpload>>;

    /// Forgets an upload at rest; `false` when there is none of this name.
    fn forget_upload(&self, id: UploadId) -> Result<bool>;
}
