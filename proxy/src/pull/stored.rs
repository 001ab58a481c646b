//! A blob in the store, with its first bytes read before the answer begins: a blob found corrupt by
//! then can still be fetched anew.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tracing::Instrument as _;
use wharf_oci::{ByteRange, ContentRange, Digest, RepoName};
use wharf_store::{BlobReader, StoreError};

use super::Cache;
use crate::Error;
use crate::runtime::body::{Batch, read_batch};
use crate::runtime::spans;
use crate::runtime::store::Store;

/// A blob in the store, or the requested part of it.
pub(crate) struct StoredBlob {
    /// The range, for a part.
    pub(crate) part: Option<ContentRange>,
    /// The first bytes.
    pub(crate) first: VecDeque<Bytes>,
    /// The rest.
    pub(crate) rest: BlobReader,
}

/// The store's answer for a repository.
pub(super) enum StoredLookup {
    Stored(StoredBlob),
    /// No byte of the range exists.
    Outside {
        size_bytes: u64,
    },
    /// The repository is not known to have the blob; the store may have it.
    Foreign,
    Absent,
    /// The bytes differ from the stored ones. The store has put them aside.
    Corrupt,
}

impl Cache {
    /// Looks for a blob and begins to read it, in one job; with `repo`, only when the blob is
    /// linked to it.
    pub(super) async fn find(
        &self,
        repo: Option<&RepoName>,
        digest: &Digest,
        range: Option<ByteRange>,
    ) -> Result<StoredLookup, Error> {
        let (store, repo, wanted) = (Arc::clone(&self.store), repo.cloned(), *digest);
        let batch = Batch::begin(&self.blocking);
        let found = self.blocking.run(move || {
            if let Some(repo) = repo
                && !store.has_blob(&repo, &wanted)?
            {
                return Ok(StoredLookup::Foreign);
            }
            match open(&*store, &wanted, range, &batch) {
                Err(error @ StoreError::Corrupt { .. }) => {
                    tracing::error!(digest = %wanted, %error, "a blob is corrupt and not served");
                    Ok(StoredLookup::Corrupt)
                }
                opened => opened,
            }
        });
        Ok(found.instrument(spans::step("look-up")).await?)
    }
}

fn open(
    store: &dyn Store,
    digest: &Digest,
    range: Option<ByteRange>,
    batch: &Batch,
) -> Result<StoredLookup, StoreError> {
    let Some(mut reader) = store.open(digest)? else {
        return Ok(StoredLookup::Absent);
    };
    let size_bytes = reader.info().size_bytes;
    let mut part = None;
    if let Some(range) = range {
        let Some(span) = range.resolve(size_bytes) else {
            return Ok(StoredLookup::Outside { size_bytes });
        };
        part = Some(ContentRange { span, size_bytes });
        reader = reader.narrow(span);
    }
    let (rest, first) = read_batch(reader, batch);
    Ok(StoredLookup::Stored(StoredBlob { part, first: first?, rest }))
}
