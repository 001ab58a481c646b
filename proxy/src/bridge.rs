//! The only file that moves work to blocking threads. Bounded: past the bound, jobs wait.
//!
//! Invariant: bytes handed to a [`Pump`] are appended in their order, and a caller that goes away in
//! the middle of a call loses none of them: what was taken stays in the pump.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinHandle};
use wharf_oci::{Digest, Mismatch};
use wharf_store::limits::SEGMENT_BYTES;
use wharf_store::{BlobWriter, ReadyBlob, StoreError};

use crate::Error;
use crate::limits::{BATCH_BYTES, BATCHES_AHEAD_MAX, BLOCKING_JOBS_MAX};

/// Runs store calls off the async threads.
#[derive(Clone)]
pub(crate) struct Bridge {
    permits: Arc<Semaphore>,
    ahead: Arc<Semaphore>,
}

/// Room for a job whose result nobody waits for yet, and for that result.
pub(crate) struct RoomAhead {
    job: OwnedSemaphorePermit,
    result: OwnedSemaphorePermit,
}

impl Default for Bridge {
    fn default() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(BLOCKING_JOBS_MAX)),
            ahead: Arc::new(Semaphore::new(BATCHES_AHEAD_MAX)),
        }
    }
}

impl Bridge {
    /// Runs a job and waits for it. When the caller goes away the job still runs to its end.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        unwind(self.start(job).await.await)
    }

    /// Starts a job once there is room for it.
    pub(crate) async fn start<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        spawn(self.room().await, job)
    }

    /// Room for a job ahead of its need; `None` when there is none at this moment.
    pub(crate) fn room_ahead(&self) -> Option<RoomAhead> {
        let result = Arc::clone(&self.ahead).try_acquire_owned().ok()?;
        let job = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        Some(RoomAhead { job, result })
    }

    /// Starts a job; its room is free again when the result is taken, or nobody can take it.
    pub(crate) fn begin<T: Send + 'static>(
        room: RoomAhead,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send {
        let RoomAhead { job: permit, result } = room;
        let running = spawn(permit, job);
        async move {
            let value = unwind(running.await);
            drop(result);
            value
        }
    }

    /// Room for one job, kept until it is used.
    async fn room(&self) -> OwnedSemaphorePermit {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        permit.expect("the semaphore is never closed")
    }
}

fn spawn<T: Send + 'static>(
    room: OwnedSemaphorePermit,
    job: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    #[expect(clippy::disallowed_methods, reason = "this is the bridge")]
    tokio::task::spawn_blocking(move || {
        let _room = room;
        job()
    })
}

/// The result of a job; a panic in it goes on in the caller. Jobs are never cancelled.
fn unwind<T>(result: Result<T, JoinError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Feeds a writer from async code: collects a batch while the one before is hashed and stored.
pub(crate) struct Pump {
    bridge: Bridge,
    stage: Stage,
    batch: Vec<Bytes>,
    batch_bytes: usize,
    taken_bytes: u64,
}

enum Stage {
    Idle(BlobWriter),
    Working(JoinHandle<Result<BlobWriter, StoreError>>),
    Failed(Error),
}

impl Pump {
    /// A pump into this writer.
    #[must_use]
    pub(crate) const fn new(bridge: Bridge, writer: BlobWriter) -> Self {
        let taken_bytes = writer.size_bytes();
        let stage = Stage::Idle(writer);
        Self { bridge, stage, batch: Vec::new(), batch_bytes: 0, taken_bytes }
    }

    /// How many bytes the writer has or will have: those that it began with, and all that were taken.
    #[must_use]
    pub(crate) const fn taken_bytes(&self) -> u64 {
        self.taken_bytes
    }

    /// Takes bytes. Waits only when a whole batch is behind.
    pub(crate) async fn append(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.taken_bytes += bytes.len() as u64;
        self.batch_bytes += bytes.len();
        self.batch.push(bytes);
        let finished = match &self.stage {
            Stage::Idle(_) => true,
            Stage::Working(job) => job.is_finished(),
            Stage::Failed(error) => return Err(error.clone()),
        };
        if self.batch_bytes >= BATCH_BYTES || (finished && self.batch_bytes >= SEGMENT_BYTES) {
            self.flush().await?;
        }
        Ok(())
    }

    /// Proves that everything taken is `digest`; the writer is used up.
    pub(crate) async fn verify(self, digest: Digest) -> Result<Result<ReadyBlob, Mismatch>, Error> {
        self.end(move |writer| writer.verify(&digest)).await
    }

    /// Lets the upload rest with everything that was taken.
    pub(crate) async fn suspend(self) -> Result<(), Error> {
        self.end(BlobWriter::suspend).await
    }

    /// Appends what was taken, then does the last thing that is done with the writer.
    async fn end<T: Send + 'static>(
        mut self,
        last: impl FnOnce(BlobWriter) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Error> {
        self.settle().await?;
        let Stage::Idle(mut writer) = self.stage else {
            return Err(Error::UploadUnknown);
        };
        let batch = self.batch;
        let ended = self.bridge.run(move || {
            append_all(&mut writer, batch)?;
            last(writer)
        });
        Ok(ended.await?)
    }

    /// Starts on the batch; waits for the one before.
    async fn flush(&mut self) -> Result<(), Error> {
        self.settle().await?;
        // Nothing is awaited past this line: a caller that goes away leaves the pump whole.
        let room = self.bridge.room().await;
        match std::mem::replace(&mut self.stage, Stage::Failed(Error::UploadUnknown)) {
            Stage::Idle(mut writer) => {
                let batch = std::mem::take(&mut self.batch);
                self.batch_bytes = 0;
                let job = spawn(room, move || append_all(&mut writer, batch).map(|()| writer));
                self.stage = Stage::Working(job);
            }
            other => self.stage = other,
        }
        Ok(())
    }

    /// Waits until the writer is idle. Safe to give up in the middle.
    async fn settle(&mut self) -> Result<(), Error> {
        if let Stage::Working(job) = &mut self.stage {
            self.stage = match unwind(job.await) {
                Ok(writer) => Stage::Idle(writer),
                Err(error) => Stage::Failed(error.into()),
            };
        }
        match &self.stage {
            Stage::Failed(error) => Err(error.clone()),
            Stage::Idle(_) | Stage::Working(_) => Ok(()),
        }
    }
}

fn append_all(writer: &mut BlobWriter, batch: Vec<Bytes>) -> Result<(), StoreError> {
    batch.into_iter().try_for_each(|bytes| writer.append(bytes))
}
