//! `RocksStore`: the store on disk. With the files below it, the only `use rocksdb`.
//!
//! A blob gets a number. A large one is written as runs (sorted files of up to 64 MiB, ingested
//! whole into the epoch's column family, never compacted); a small one goes into the batch that
//! publishes it. Invariant: a digest is visible only after one synced batch named its number, and
//! by then all of its segments are durable.

mod engine;
mod lease;
mod names;
mod read;
mod recover;
mod schema;
mod write;

use std::path::Path;
use std::sync::Arc;

use rocksdb::WriteBatch;
use wharf_oci::Digest;

use crate::blob::{BlobInfo, BlobReader, BlobStore, BlobWriter};
use crate::in_flight::MemoryBudget;
use crate::limits::IN_FLIGHT_BYTES_MAX;
use crate::{Result, StoreError};

use engine::Engine;
use lease::Reaper;
#[cfg(any(test, feature = "test-util"))]
pub(crate) use names::referrer;
use read::SegmentSource;
use schema::{BLOBS, DOOMED, Located, NUMBERS};
use write::RocksSink;

/// A store in a folder, open for one process. Dropping it closes the database once no reader is
/// left.
pub struct RocksStore {
    engine: Arc<Engine>,
    reaper: Arc<Reaper>,
    budget: Arc<MemoryBudget>,
}

impl RocksStore {
    /// Opens the store in `folder`, or makes one when the folder is empty or missing.
    ///
    /// Bytes without a published digest, left by a process that was killed, are freed here.
    /// Errors: [`StoreError::NotAStore`], [`StoreError::NewerFormat`], [`StoreError::Locked`].
    pub fn open(folder: &Path) -> Result<Self> {
        let engine = Arc::new(Engine::open(folder)?);
        recover::recover(&engine)?;
        let reaper = Arc::new(Reaper::start(Arc::clone(&engine))?);
        let budget = Arc::new(MemoryBudget::new(IN_FLIGHT_BYTES_MAX));
        Ok(Self { engine, reaper, budget })
    }

    /// How many bytes blobs in flight keep in memory.
    #[must_use]
    pub fn in_flight_bytes(&self) -> u64 {
        self.budget.used_bytes()
    }

    fn locate(&self, digest: &Digest) -> Result<Option<Located>> {
        self.engine.located(digest)
    }
}

impl BlobStore for RocksStore {
    fn stat(&self, digest: &Digest) -> Result<Option<BlobInfo>> {
        let located = self.locate(digest)?;
        Ok(located.map(|located| BlobInfo { digest: *digest, size_bytes: located.size_bytes }))
    }

    fn open(&self, digest: &Digest) -> Result<Option<BlobReader>> {
        // The lease is taken first: a removal between the two look-ups would free the bytes.
        let Some(located) = self.locate(digest)? else {
            return Ok(None);
        };
        let lease = self.reaper.lease(located.number);
        if self.locate(digest)? != Some(located) {
            return self.open(digest);
        }
        let info = BlobInfo { digest: *digest, size_bytes: located.size_bytes };
        let source = SegmentSource::published(Arc::clone(&self.engine), located, lease);
        Ok(Some(BlobReader::new(info, Arc::new(source))))
    }

    fn begin(&self) -> Result<BlobWriter> {
        let sink = RocksSink::begin(Arc::clone(&self.engine), &self.reaper)?;
        Ok(BlobWriter::new(Box::new(sink), Arc::clone(&self.budget)))
    }

    fn remove(&self, digest: &Digest) -> Result<bool> {
        let _publishing = self.engine.publishing();
        let Some(located) = self.locate(digest)? else {
            return Ok(false);
        };
        let number = located.number.to_be_bytes();
        let mut batch = WriteBatch::default();
        batch.delete_cf(&self.engine.family(BLOBS)?, schema::digest_key(digest));
        batch.delete_cf(&self.engine.family(NUMBERS)?, number);
        batch.put_cf(&self.engine.family(DOOMED)?, number, located.place.encode());
        self.engine.write(batch, "removing", || digest.to_string())?;
        self.reaper.doom(located.number, located.place);
        Ok(true)
    }
}

impl std::fmt::Debug for RocksStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RocksStore({})", self.engine.folder().display())
    }
}

/// A value that its decoder refused.
fn undecodable(operation: &'static str, key: impl Into<String>) -> StoreError {
    StoreError::Corrupt { operation, key: key.into(), reason: "the record is malformed".to_owned() }
}

#[cfg(test)]
mod tests;
