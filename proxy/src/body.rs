//! Bodies: of our answers, and of our requests to upstreams. One type, so that nothing is boxed on
//! the way of a segment.
//!
//! Invariant: a body whose length was announced either has exactly that many bytes or ends in an
//! error, which breaks the connection; it never ends early as if it were whole.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use wharf_oci::Span;
use wharf_store::{BlobReader, InFlight, StoreError, Tail};

use crate::bridge::Bridge;
use crate::limits::BATCH_BYTES;

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The store could not go on.
    #[error("the store failed in the middle of a blob")]
    Store(#[from] StoreError),
    /// The download that this body follows did not end well.
    #[error("the download broke off: {0}")]
    Abandoned(String),
    /// There is less than was announced.
    #[error("the blob ended {0} bytes early")]
    Short(u64),
}

/// A body.
pub(crate) enum Body {
    /// Bytes that are at hand.
    Ready {
        /// What is left of them.
        parts: VecDeque<Bytes>,
        /// Their number.
        left_bytes: u64,
    },
    /// A published blob, or a part of it.
    Stored(StoredBody),
    /// A blob that is still arriving, or a part of it.
    InFlight(InFlightBody),
}

impl Body {
    /// No bytes.
    #[must_use]
    pub(crate) const fn empty() -> Self {
        Self::Ready { parts: VecDeque::new(), left_bytes: 0 }
    }

    /// These bytes.
    #[must_use]
    pub(crate) fn full(bytes: impl Into<Bytes>) -> Self {
        Self::parts(vec![bytes.into()])
    }

    /// These bytes, one after the other, without a copy.
    #[must_use]
    pub(crate) fn parts(parts: Vec<Bytes>) -> Self {
        let left_bytes = parts.iter().map(|part| part.len() as u64).sum();
        Self::Ready { parts: parts.into(), left_bytes }
    }

    /// Bytes that were read already, then what the reader has left.
    #[must_use]
    pub(crate) fn stored(bridge: Bridge, first: VecDeque<Bytes>, rest: BlobReader) -> Self {
        let first_bytes: u64 = first.iter().map(|bytes| bytes.len() as u64).sum();
        let left_bytes = first_bytes + rest.left_bytes();
        Self::Stored(StoredBody { bridge, ready: first, left_bytes, work: Work::Idle(rest) })
    }

    /// What arrives, from the first byte; `size_bytes` when the sender announced it.
    #[must_use]
    pub(crate) fn in_flight(bridge: Bridge, blob: InFlight, size_bytes: Option<u64>) -> Self {
        Self::InFlight(InFlightBody { bridge, blob, at: 0, end: size_bytes, reading: None })
    }

    /// The part of what arrives.
    #[must_use]
    pub(crate) fn in_flight_part(bridge: Bridge, blob: InFlight, span: Span) -> Self {
        let (at, end) = (span.start(), Some(span.end()));
        Self::InFlight(InFlightBody { bridge, blob, at, end, reading: None })
    }
}

type Job<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Reads a batch of segments at a time, only when the client has taken the one before.
pub(crate) struct StoredBody {
    bridge: Bridge,
    ready: VecDeque<Bytes>,
    left_bytes: u64,
    work: Work,
}

enum Work {
    Idle(BlobReader),
    Reading(Job<(BlobReader, Result<VecDeque<Bytes>, StoreError>)>),
    Over,
}

/// The next segments, as many as are handed over at once. Blocks.
pub(crate) fn read_batch(
    mut reader: BlobReader,
) -> (BlobReader, Result<VecDeque<Bytes>, StoreError>) {
    let mut segments = VecDeque::new();
    let mut bytes = 0;
    while bytes < BATCH_BYTES {
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
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                self.left_bytes = self.left_bytes.saturating_sub(bytes.len() as u64);
                return Poll::Ready(Some(Ok(bytes)));
            }
            match std::mem::replace(&mut self.work, Work::Over) {
                Work::Idle(reader) if reader.left_bytes() > 0 => {
                    let bridge = self.bridge.clone();
                    let job = async move { bridge.run(move || read_batch(reader)).await };
                    self.work = Work::Reading(Box::pin(job));
                }
                Work::Idle(_) | Work::Over => return Poll::Ready(None),
                Work::Reading(mut job) => {
                    let Poll::Ready((reader, segments)) = job.as_mut().poll(context) else {
                        self.work = Work::Reading(job);
                        return Poll::Pending;
                    };
                    match segments {
                        Ok(segments) => {
                            self.ready = segments;
                            self.work = Work::Idle(reader);
                        }
                        Err(error) => return Poll::Ready(Some(Err(error.into()))),
                    }
                }
            }
        }
    }
}

/// Follows a blob in flight at the pace of the client.
pub(crate) struct InFlightBody {
    bridge: Bridge,
    blob: InFlight,
    at: u64,
    end: Option<u64>,
    reading: Option<Job<Result<Bytes, StoreError>>>,
}

impl InFlightBody {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
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
                Tail::Stored => {
                    let (bridge, blob, at) = (self.bridge.clone(), self.blob.clone(), self.at);
                    let job = async move { bridge.run(move || blob.read_stored(at)).await };
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

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let bytes = match self.get_mut() {
            Self::Ready { parts, left_bytes } => {
                let part = parts.pop_front();
                *left_bytes -= part.as_ref().map_or(0, |part| part.len() as u64);
                part.map(Ok)
            }
            Self::Stored(body) => ready!(body.poll_next(context)),
            Self::InFlight(body) => ready!(body.poll_next(context)),
        };
        Poll::Ready(bytes.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Ready { left_bytes, .. } => *left_bytes == 0,
            Self::Stored(body) => body.left_bytes == 0,
            Self::InFlight(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Ready { left_bytes, .. } => SizeHint::with_exact(*left_bytes),
            Self::Stored(body) => SizeHint::with_exact(body.left_bytes),
            Self::InFlight(body) => match body.end {
                Some(end) => SizeHint::with_exact(end.saturating_sub(body.at)),
                None => SizeHint::new(),
            },
        }
    }
}
