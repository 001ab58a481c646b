//! `FaultStore`: a wrapper around a blob store with faults injected by a test. Counts operations,
//! decides nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use wharf_oci::{Digest, HashResult, HashState, UploadId};

use crate::blob::{BlobReader, BlobStore, BlobWriter};
use crate::blob_info::BlobInfo;
use crate::segment_cache::Pressure;
use crate::sessions::{NewUpload, SavedUpload, UploadStore};
use crate::sink::{PublishAs, Published, Sink};
use crate::source::Source;
use crate::{Result, StoreError};

/// An operation to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// [`BlobStore::stat`].
    Stat,
    /// [`BlobStore::open`].
    Open,
    /// [`BlobStore::begin`].
    Begin,
    /// [`BlobStore::remove`].
    Remove,
    /// [`BlobWriter::make_room`].
    MakeRoom,
    /// Taking a segment.
    Put,
    /// [`BlobWriter::flush_run`], and the end of a run.
    EndRun,
    /// Suspending an upload.
    Suspend,
    /// Publishing.
    Publish,
}

/// Passes every operation to the store behind, but fails the n-th call of one.
#[derive(Clone)]
pub struct FaultStore<S> {
    inner: S,
    /// Calls before the failing one; without an entry, no fault.
    plan: Arc<Plan>,
}

#[derive(Default)]
struct Plan(Mutex<BTreeMap<Operation, u64>>);

impl Plan {
    fn pass(&self, operation: Operation, words: &'static str) -> Result<()> {
        let mut plan = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match plan.get_mut(&operation) {
            Some(0) => {
                plan.remove(&operation);
                Err(StoreError::Injected { operation: words })
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl<S: BlobStore> FaultStore<S> {
    /// A store without faults.
    #[must_use]
    pub fn new(inner: S) -> Self {
        Self { inner, plan: Arc::default() }
    }

    /// Lets `passing` calls of `operation` pass and fails the one after them, once.
    pub fn fail_after(&self, operation: Operation, passing: u64) {
        let mut plan = self.plan.0.lock().unwrap_or_else(PoisonError::into_inner);
        plan.insert(operation, passing);
    }

    fn around(&self, writer: BlobWriter) -> BlobWriter {
        let plan = Arc::clone(&self.plan);
        writer.wrap(|inner| Box::new(FaultSink { inner, plan }))
    }

    /// The store behind.
    pub const fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S: BlobStore> BlobStore for FaultStore<S> {
    fn stat(&self, digest: &Digest) -> Result<Option<BlobInfo>> {
        self.plan.pass(Operation::Stat, "stat")?;
        self.inner.stat(digest)
    }

    fn open(&self, digest: &Digest) -> Result<Option<BlobReader>> {
        self.plan.pass(Operation::Open, "open")?;
        self.inner.open(digest)
    }

    fn begin(&self) -> Result<BlobWriter> {
        self.plan.pass(Operation::Begin, "begin")?;
        Ok(self.around(self.inner.begin()?))
    }

    fn remove(&self, digest: &Digest) -> Result<bool> {
        self.plan.pass(Operation::Remove, "remove")?;
        self.inner.remove(digest)
    }
}

impl<S: UploadStore> UploadStore for FaultStore<S> {
    fn begin_upload(&self, upload: NewUpload) -> Result<BlobWriter> {
        self.plan.pass(Operation::Begin, "begin")?;
        Ok(self.around(self.inner.begin_upload(upload)?))
    }

    fn resume_upload(&self, id: UploadId) -> Result<Option<BlobWriter>> {
        self.plan.pass(Operation::Begin, "begin")?;
        Ok(self.inner.resume_upload(id)?.map(|writer| self.around(writer)))
    }

    fn saved_uploads(&self) -> Result<Vec<SavedUpload>> {
        self.inner.saved_uploads()
    }

    fn forget_upload(&self, id: UploadId) -> Result<bool> {
        self.plan.pass(Operation::Remove, "remove")?;
        self.inner.forget_upload(id)
    }
}

struct FaultSink {
    inner: Box<dyn Sink>,
    plan: Arc<Plan>,
}

impl Sink for FaultSink {
    fn put(&mut self, segment: Bytes) -> Result<()> {
        self.plan.pass(Operation::Put, "put")?;
        self.inner.put(segment)
    }

    fn make_room(&mut self, bytes: u64) -> Result<()> {
        self.plan.pass(Operation::MakeRoom, "make_room")?;
        self.inner.make_room(bytes)
    }

    fn stored_segments(&self) -> u64 {
        self.inner.stored_segments()
    }

    fn source(&self) -> Arc<dyn Source> {
        self.inner.source()
    }

    fn publish(self: Box<Self>, hashed: HashResult, how: PublishAs<'_>) -> Result<Published> {
        self.plan.pass(Operation::Publish, "publish")?;
        self.inner.publish(hashed, how)
    }

    fn is_full(&self, pressure: Pressure) -> bool {
        self.inner.is_full(pressure)
    }

    fn is_resumable(&self) -> bool {
        self.inner.is_resumable()
    }

    fn end_run(&mut self, hash: Option<HashState>) -> Result<()> {
        self.plan.pass(Operation::EndRun, "end_run")?;
        self.inner.end_run(hash)
    }

    fn flush_run(&mut self, hash: Option<HashState>, size_bytes: Option<u64>) -> Result<()> {
        self.plan.pass(Operation::EndRun, "settle")?;
        self.inner.flush_run(hash, size_bytes)
    }

    fn suspend(&mut self, hash: HashState, tail: &[u8]) -> Result<()> {
        self.plan.pass(Operation::Suspend, "suspend")?;
        self.inner.suspend(hash, tail)
    }

    fn leave(&mut self) {
        self.inner.leave();
    }
}
