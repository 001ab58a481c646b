//! `RocksStore`: the store on disk. With the files below it, the only `use rocksdb`.
//!
//! A blob gets a number. A large one is written as runs (sorted files of up to 32 MiB, ingested
//! whole into the epoch's column family, never compacted); a small one goes into the batch that
//! publishes it. Invariant: a digest is visible only after one synced batch named its number, and
//! by then all of its segments are durable.

mod backup;
mod ballast;
mod blob_records;
mod consistency;
mod deliveries;
mod engine;
mod evict;
mod forget;
mod format;
mod freeing;
mod holder;
mod journal;
mod lease;
mod links;
mod options;
mod parents;
mod part_pool;
mod part_store;
mod parts;
mod private;
mod read;
mod reaper;
mod recency;
mod recency_records;
mod records;
mod recover;
mod referrers;
mod repositories;
mod room;
mod runs;
mod schema;
mod scrub;
mod space;
mod start;
mod upgrade;
mod upkeep;
mod uploads;
mod write;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rocksdb::{IteratorMode, WriteBatch};
use wharf_oci::Digest;

use crate::blob::{BlobReader, BlobStore, BlobWriter};
use crate::blob_info::BlobInfo;
use crate::buffers;
use crate::limits::DISK_RESERVE_BYTES;
use crate::upkeep::{Eviction, EvictionReport, StoreOptions, Usage, Watch};
use crate::{Result, StoreError};

use engine::Engine;
use read::SegmentSource;
use reaper::Reaper;
use records::QuarantineRecord;
#[cfg(any(test, feature = "test-util"))]
pub(crate) use records::decode_anything;
use schema::{META, PROBE, QUARANTINE, SESSIONS};
use write::RocksSink;

/// A store in a folder, open for one process. A drop closes the database after the last reader; it
/// waits for the runs of dropped writers.
pub struct RocksStore {
    engine: Arc<Engine>,
    reaper: Arc<Reaper>,
}

impl RocksStore {
    /// Opens the store in `folder`; an empty or missing folder becomes a new store.
    ///
    /// Frees bytes without a record, left by a killed process, and upgrades a store of an older
    /// format. Errors: [`StoreError::NotAStore`], [`StoreError::NewerFormat`],
    /// [`StoreError::Locked`].
    pub fn open(folder: &Path) -> Result<Self> {
        Self::open_with(folder, &StoreOptions::default())
    }

    /// As [`RocksStore::open`], with a limit on disk, in memory, or both.
    pub fn open_with(folder: &Path, how: &StoreOptions) -> Result<Self> {
        let engine = Arc::new(start::open(folder, how)?);
        let reaper = Arc::new(Reaper::start(Arc::clone(&engine))?);
        Ok(Self { engine, reaper })
    }

    /// Whether `folder` has a store of a known format.
    pub fn exists(folder: &Path) -> Result<bool> {
        Ok(format::found_format(folder)?.is_some())
    }

    /// Measures contents and size of the store.
    pub fn usage(&self) -> Result<Usage> {
        let engine = &self.engine;
        engine.measure_records()?;
        let totals = engine.totals()?;
        let count = |sum: i64| sum.max(0).cast_unsigned();
        let (quarantined_blobs, quarantined_bytes) = self.quarantined()?;
        let (parts, part_bytes) = engine.parts.usage();
        let (disk_bytes, run_bytes) = (engine.space.used_bytes(), engine.space.run_bytes());
        Ok(Usage {
            format: schema::FORMAT,
            disk_bytes,
            limit_bytes: engine.space.limit_bytes(),
            run_bytes,
            record_bytes: disk_bytes.saturating_sub(run_bytes),
            blobs: count(totals.blobs),
            blob_bytes: count(totals.bytes),
            cached_blobs: count(totals.cached_blobs),
            cached_bytes: count(totals.cached_bytes),
            quarantined_blobs,
            quarantined_bytes,
            uploads: self.count_uploads()?,
            parts,
            part_bytes,
            in_flight_bytes: engine.segment_cache.in_flight_bytes(),
            hot_bytes: engine.segment_cache.kept_bytes(),
            evicted_blobs: engine.evicted.blobs.load(Ordering::Relaxed),
            evicted_bytes: engine.evicted.bytes.load(Ordering::Relaxed),
        })
    }

    /// Evicts now, independent of the limit. Blocks until the space is free.
    pub fn evict(&self, what: &Eviction, watch: Watch<'_>) -> Result<EvictionReport> {
        evict::evict(&self.engine, self.reaper.leases(), what, watch)
    }

    /// Tries a small write durable across power loss: a record is written, synced and removed in
    /// one batch. Errors: those of a write, and [`StoreError::Full`] when records will soon have no
    /// room. Blocks.
    pub fn probe(&self) -> Result<()> {
        let free_bytes = space::free_bytes(self.engine.folder())?;
        if free_bytes < DISK_RESERVE_BYTES / 4 {
            return Err(StoreError::Full { operation: "trying", key: "a small write".to_owned() });
        }
        let meta = self.engine.family(META)?;
        let mut batch = WriteBatch::default();
        batch.put_cf(&meta, PROBE, []);
        batch.delete_cf(&meta, PROBE);
        self.engine.write(batch, "trying", || "a small write".to_owned())
    }

    /// Bytes of blobs in flight in memory.
    #[must_use]
    pub fn in_flight_bytes(&self) -> u64 {
        self.engine.segment_cache.in_flight_bytes()
    }

    /// Bytes of segments in memory for their readers only: no longer in the cache, or never. A
    /// shared segment counts once. Cheap.
    #[must_use]
    pub fn read_bytes(&self) -> u64 {
        let cache = &self.engine.segment_cache;
        buffers::made_bytes().saturating_sub(cache.in_flight_bytes() + cache.kept_bytes())
    }

    fn quarantined(&self) -> Result<(u64, u64)> {
        let family = self.engine.family(QUARANTINE)?;
        let (mut blobs, mut bytes) = (0, 0);
        for entry in self.engine.db().iterator_cf(&family, IteratorMode::Start) {
            let (_, value) =
                entry.map_err(|error| StoreError::database("listing", QUARANTINE, error))?;
            let record = QuarantineRecord::decode(&value)
                .ok_or_else(|| StoreError::undecodable("listing", QUARANTINE))?;
            blobs += 1;
            bytes += record.blob.size_bytes;
        }
        Ok((blobs, bytes))
    }

    fn count_uploads(&self) -> Result<u64> {
        let family = self.engine.family(SESSIONS)?;
        let mut uploads = 0;
        for entry in self.engine.db().iterator_cf(&family, IteratorMode::Start) {
            entry.map_err(|error| StoreError::database("listing", SESSIONS, error))?;
            uploads += 1;
        }
        Ok(uploads)
    }

    /// Notes a read in the order of use.
    fn touch(&self, number: u64) {
        if self.engine.recency.touch(number)
            && let Err(error) = recency_records::write_touched(&self.engine)
        {
            tracing::error!(%error, "the order of use could not be written");
        }
    }
}

impl BlobStore for RocksStore {
    fn stat(&self, digest: &Digest) -> Result<Option<BlobInfo>> {
        let blob = self.engine.blob_record(digest)?;
        Ok(blob.map(|blob| BlobInfo { digest: *digest, size_bytes: blob.size_bytes }))
    }

    fn open(&self, digest: &Digest) -> Result<Option<BlobReader>> {
        // The lease comes first: a removal between the two look-ups would free the bytes.
        let Some(blob) = self.engine.blob_record(digest)? else {
            return Ok(None);
        };
        let lease = self.reaper.lease(blob.number);
        if self.engine.blob_record(digest)?.is_none_or(|now| now.number != blob.number) {
            drop(lease);
            return self.open(digest);
        }
        self.touch(blob.number);
        let info = BlobInfo { digest: *digest, size_bytes: blob.size_bytes };
        let source = SegmentSource::published(Arc::clone(&self.engine), blob, lease);
        Ok(Some(BlobReader::new(info, Arc::new(source))))
    }

    fn begin(&self) -> Result<BlobWriter> {
        let sink = RocksSink::begin(Arc::clone(&self.engine), &self.reaper, None)?;
        Ok(BlobWriter::new(Box::new(sink), Arc::clone(&self.engine.segment_cache)))
    }

    fn remove(&self, digest: &Digest) -> Result<bool> {
        let _changing = self.engine.changing(digest);
        let Some(remains) = forget::remove(&self.engine, digest)? else {
            return Ok(false);
        };
        self.reaper.doom(remains);
        Ok(true)
    }
}

impl Drop for RocksStore {
    fn drop(&mut self) {
        // Parts hold leases, and through them the reaper.
        if let Err(error) = parts::forget_all(&self.engine, self.reaper.leases()) {
            tracing::error!(%error, "parts of blobs wait for the next start to be freed");
        }
        self.engine.await_background();
    }
}

impl std::fmt::Debug for RocksStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RocksStore({})", self.engine.folder().display())
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod upkeep_tests;
