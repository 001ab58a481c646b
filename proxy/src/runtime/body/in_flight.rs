//! The body of a blob in download, or of a part of it.
//!
//! Invariant: an early end is an error, never an end.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use wharf_client::runtime::subscribers::Subscription;
use wharf_store::limits::SEGMENT_BYTES;
use wharf_store::{InFlight, StoreError, Tail};

use super::{BodyError, Job};
use crate::runtime::blocking::BlockingPool;

/// Follows a blob in flight at the pace of the client.
pub(crate) struct InFlightBody {
    blocking: BlockingPool,
    blob: InFlight,
    at: u64,
    end: Option<u64>,
    reading: Option<Job<Result<Bytes, StoreError>>>,
    ending: Completion,
    /// The last bytes of a part, until the whole blob is verified.
    held: Option<Bytes>,
    /// While the body is read, the download is wanted.
    _seat: Option<Subscription>,
}

/// When a part of a blob in flight is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Completion {
    /// Once the whole blob is verified: until then the part's last bytes are held back.
    Proven,
    /// Once its own bytes are there.
    Arrived,
}

impl InFlightBody {
    /// From `at` on, to the end or to `end`.
    pub(super) fn new(blocking: BlockingPool, blob: InFlight, at: u64, end: Option<u64>) -> Self {
        let ending = Completion::Arrived;
        Self { blocking, blob, at, end, reading: None, ending, held: None, _seat: None }
    }

    /// The same body with this completion.
    pub(super) fn ending(self, ending: Completion) -> Self {
        Self { ending, ..self }
    }

    /// The same body with a subscription to its download.
    pub(super) fn seated(self, subscription: Subscription) -> Self {
        Self { _seat: Some(subscription), ..self }
    }

    pub(super) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        if self.held.is_none() {
            let next = ready!(self.poll_arrived(context));
            let complete = self.end == Some(self.at) && self.ending == Completion::Proven;
            match next {
                Some(Ok(bytes)) if complete => self.held = Some(bytes),
                next => return Poll::Ready(next),
            }
        }
        match ready!(self.blob.poll_read(u64::MAX, context)) {
            Tail::Abandoned(reason) => Poll::Ready(Some(Err(BodyError::Abandoned(reason)))),
            Tail::Bytes(_) | Tail::Stored | Tail::End => Poll::Ready(self.held.take().map(Ok)),
        }
    }

    /// The bytes still to come, when their number is known.
    pub(super) fn left_bytes(&self) -> Option<u64> {
        let held = self.held.as_ref().map_or(0, |bytes| bytes.len() as u64);
        self.end.map(|end| end.saturating_sub(self.at) + held)
    }

    fn poll_arrived(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            if self.end == Some(self.at) && self.at > 0 {
                return Poll::Ready(None);
            }
            if let Some(job) = &mut self.reading {
                let read = ready!(job.as_mut().poll(context));
                self.reading = None;
                return Poll::Ready(Some(read.map(|bytes| self.take(bytes)).map_err(Into::into)));
            }
            match ready!(self.blob.poll_read(self.at, context)) {
                Tail::Bytes(bytes) => return Poll::Ready(Some(Ok(self.take(bytes)))),
                Tail::Stored if let Some(bytes) = self.blob.read_hot(self.at) => {
                    return Poll::Ready(Some(Ok(self.take(bytes))));
                }
                Tail::Stored => {
                    let (blocking, blob, at) = (self.blocking.clone(), self.blob.clone(), self.at);
                    let job = async move {
                        let reading = blocking.reading(SEGMENT_BYTES);
                        let read = move || {
                            let read = blob.read_stored(at);
                            drop(reading);
                            read
                        };
                        blocking.run(read).await
                    };
                    self.reading = Some(Box::pin(job));
                }
                Tail::End => {
                    let short = self.end.map_or(0, |end| end.saturating_sub(self.at));
                    let error = (short > 0).then_some(Err(BodyError::Short(short)));
                    return Poll::Ready(error);
                }
                Tail::Abandoned(reason) => {
                    return Poll::Ready(Some(Err(BodyError::Abandoned(reason))));
                }
            }
        }
    }

    fn take(&mut self, mut bytes: Bytes) -> Bytes {
        if let Some(end) = self.end {
            let left = usize::try_from(end.saturating_sub(self.at)).unwrap_or(usize::MAX);
            bytes.truncate(left);
        }
        self.at += bytes.len() as u64;
        bytes
    }
}
