//! The body of a blob in the store.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use bytes::Bytes;
use wharf_store::limits::SEGMENT_BYTES;
use wharf_store::{BlobReader, StoreError};

use super::{BodyError, Job};
use crate::limits::BATCH_BYTES;
use crate::runtime::blocking::BlockingPool;
use crate::runtime::memory_gauge::ReadReservation;

/// Sends bytes in memory at once, and reads the rest in batches: the next one while the client
/// takes the one before, as long as a permit for it is free.
pub(crate) struct StoredBody {
    blocking: BlockingPool,
    ready: VecDeque<Bytes>,
    /// Of `ready`.
    pub(super) ready_bytes: u64,
    pub(super) left_bytes: u64,
    work: Work,
}

enum Work {
    Idle(BlobReader),
    Reading(Job<(BlobReader, Result<VecDeque<Bytes>, StoreError>)>),
    Over,
}

/// The size of one read, reserved until the read is over.
pub(crate) struct Batch {
    bytes: usize,
    _reading: ReadReservation,
}

impl Batch {
    /// A full batch, or one segment while memory is short.
    pub(crate) fn begin(blocking: &BlockingPool) -> Self {
        let bytes = if blocking.is_short() { SEGMENT_BYTES } else { BATCH_BYTES };
        Self { bytes, _reading: blocking.reading(bytes) }
    }
}

/// The next segments. Blocks.
pub(crate) fn read_batch(
    mut reader: BlobReader,
    batch: &Batch,
) -> (BlobReader, Result<VecDeque<Bytes>, StoreError>) {
    let mut segments = VecDeque::new();
    let mut bytes = 0;
    while bytes < batch.bytes {
        match reader.next_segment() {
            Ok(Some(segment)) => {
                bytes += segment.len();
                segments.push_back(segment);
            }
            Ok(None) => break,
            Err(error) => return (reader, Err(error)),
        }
    }
    (reader, Ok(segments))
}

impl StoredBody {
    /// A body of bytes already read, then of the reader's rest.
    pub(super) fn new(blocking: BlockingPool, first: VecDeque<Bytes>, rest: BlobReader) -> Self {
        let first_bytes: u64 = first.iter().map(|bytes| bytes.len() as u64).sum();
        let left_bytes = first_bytes + rest.left_bytes();
        Self {
            blocking,
            ready: first,
            ready_bytes: first_bytes,
            left_bytes,
            work: Work::Idle(rest),
        }
    }

    pub(super) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                self.ready_bytes = self.ready_bytes.saturating_sub(bytes.len() as u64);
                self.left_bytes = self.left_bytes.saturating_sub(bytes.len() as u64);
                return Poll::Ready(Some(Ok(bytes)));
            }
            match std::mem::replace(&mut self.work, Work::Over) {
                Work::Idle(mut reader) if reader.left_bytes() > 0 => {
                    if let Some(bytes) = reader.next_hot() {
                        self.ready_bytes += bytes.len() as u64;
                        self.ready.push_back(bytes);
                        self.work = Work::Idle(reader);
                    } else {
                        self.work = Work::Reading(self.read(reader));
                    }
                }
                Work::Idle(_) | Work::Over => return Poll::Ready(None),
                Work::Reading(mut job) => {
                    let Poll::Ready((reader, segments)) = job.as_mut().poll(context) else {
                        self.work = Work::Reading(job);
                        return Poll::Pending;
                    };
                    match segments {
                        Ok(segments) => {
                            self.ready_bytes =
                                segments.iter().map(|bytes| bytes.len() as u64).sum();
                            self.ready = segments;
                            self.work = self.ahead(reader);
                        }
                        Err(error) => return Poll::Ready(Some(Err(error.into()))),
                    }
                }
            }
        }
    }

    fn read(&self, reader: BlobReader) -> Job<(BlobReader, Result<VecDeque<Bytes>, StoreError>)> {
        let (blocking, batch) = (self.blocking.clone(), Batch::begin(&self.blocking));
        Box::pin(async move { blocking.run(move || read_batch(reader, &batch)).await })
    }

    /// Begins the next batch before the client asks for it.
    fn ahead(&self, reader: BlobReader) -> Work {
        let wanted = reader.left_bytes() > 0 && !self.blocking.is_short();
        let room = wanted.then(|| self.blocking.room_ahead());
        match room.flatten() {
            Some(room) => {
                let batch = Batch::begin(&self.blocking);
                Work::Reading(Box::pin(BlockingPool::begin(room, move || {
                    read_batch(reader, &batch)
                })))
            }
            None => Work::Idle(reader),
        }
    }
}
