//! Bodies: of our answers, and of our requests to upstreams. One type, so that a segment's way
//! needs no boxed body.
//!
//! Invariant: a body with an announced length either has exactly this many bytes or ends in an
//! error, which breaks the connection; it never ends early as if it were whole.

mod bypassed;
mod in_flight;
mod stored;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::mpsc;
use wharf_client::runtime::subscribers::Subscription;
use wharf_oci::Span;
use wharf_store::{BlobReader, InFlight, StoreError};

use crate::Error;
use crate::limits::SMALL_BODY_BYTES;
use crate::runtime::blocking::BlockingPool;
use crate::runtime::memory_gauge::{MemoryBudget, Reservation, cover};

pub(crate) use bypassed::RelayFrame;
use bypassed::RelayedBody;
pub(crate) use in_flight::Completion;
use in_flight::InFlightBody;

use stored::StoredBody;
pub(crate) use stored::{Batch, read_batch};

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The store could not go on.
    #[error("the store failed in the middle of a blob")]
    Store(#[from] StoreError),
    /// The download behind this body failed.
    #[error("the download broke off: {0}")]
    Abandoned(String),
    /// The body is shorter than announced.
    #[error("the blob ended {0} bytes early")]
    Short(u64),
    /// The client did not take it.
    #[error("the client did not take it")]
    NotTaken,
}

pub(crate) enum Body {
    /// Bytes in memory.
    Ready {
        /// The remaining parts.
        parts: VecDeque<Bytes>,
        /// The number of remaining bytes.
        left_bytes: u64,
        /// Whether the bytes count in the memory budget; the last part then ends the reservation.
        is_counted: bool,
    },
    /// A published blob, or a part of it.
    Stored(StoredBody),
    /// A blob in download, or a part of it.
    InFlight(InFlightBody),
    /// Bytes past the store.
    Relayed(RelayedBody),
}

impl Body {
    /// A body without bytes.
    #[must_use]
    pub(crate) const fn empty() -> Self {
        Self::Ready { parts: VecDeque::new(), left_bytes: 0, is_counted: false }
    }

    /// A body of these bytes.
    #[must_use]
    pub(crate) fn full(bytes: impl Into<Bytes>) -> Self {
        Self::parts(vec![bytes.into()])
    }

    /// A body of these parts in order, without a copy.
    #[must_use]
    pub(crate) fn parts(parts: Vec<Bytes>) -> Self {
        let left_bytes = parts.iter().map(|part| part.len() as u64).sum();
        Self::Ready { parts: parts.into(), left_bytes, is_counted: false }
    }

    /// A body of bytes that count in the memory budget ([`crate::runtime::memory_gauge::cover`]).
    #[must_use]
    pub(crate) fn counted(bytes: Bytes) -> Self {
        let left_bytes = bytes.len() as u64;
        Self::Ready { parts: VecDeque::from([bytes]), left_bytes, is_counted: true }
    }

    /// Reserves a whole body from here on until its last byte has left; an error when the budget
    /// has no room.
    pub(crate) fn count(&mut self, budget: &MemoryBudget) -> Result<(), Error> {
        if let Some(bytes) = self.uncounted_bytes() {
            self.cover(budget.take(bytes)?);
        }
        Ok(())
    }

    /// Like [`Self::count`], for an answer that must be given in any case.
    pub(crate) fn count_anyway(&mut self, budget: &MemoryBudget) {
        if let Some(bytes) = self.uncounted_bytes() {
            self.cover(budget.take_anyway(bytes));
        }
    }

    fn uncounted_bytes(&self) -> Option<u64> {
        match self {
            Self::Ready { left_bytes, is_counted: false, .. } => {
                Some(*left_bytes).filter(|bytes| *bytes > SMALL_BODY_BYTES)
            }
            _ => None,
        }
    }

    fn cover(&mut self, hold: Reservation) {
        let Self::Ready { parts, is_counted, .. } = self else { return };
        let hold = Arc::new(hold);
        for part in parts {
            *part = cover(std::mem::take(part), Arc::clone(&hold));
        }
        *is_counted = true;
    }

    /// A body of bytes already read, then of the reader's rest.
    #[must_use]
    pub(crate) fn stored(blocking: BlockingPool, first: VecDeque<Bytes>, rest: BlobReader) -> Self {
        Self::Stored(StoredBody::new(blocking.for_whom_asks(), first, rest))
    }

    /// A body of a blob in flight, from the first byte; `size_bytes` when the sender announced it.
    #[must_use]
    pub(crate) fn in_flight(
        blocking: BlockingPool,
        blob: InFlight,
        size_bytes: Option<u64>,
    ) -> Self {
        Self::InFlight(InFlightBody::new(blocking.for_whom_asks(), blob, 0, size_bytes))
    }

    /// A body of a part of a blob in flight.
    #[must_use]
    pub(crate) fn in_flight_part(
        blocking: BlockingPool,
        blob: InFlight,
        span: Span,
        ending: Completion,
    ) -> Self {
        let blocking = blocking.for_whom_asks();
        let body = InFlightBody::new(blocking, blob, span.start(), Some(span.end()));
        Self::InFlight(body.ending(ending))
    }

    /// The same body with a subscription: while the body lives, its download is wanted.
    #[must_use]
    pub(crate) fn seated(self, subscription: Subscription) -> Self {
        match self {
            Self::InFlight(body) => Self::InFlight(body.seated(subscription)),
            other => other,
        }
    }

    /// The bytes in memory for the client, of a streamed body; `None` for a body that counts
    /// itself.
    #[must_use]
    pub(crate) const fn ready_bytes(&self) -> Option<u64> {
        match self {
            Self::Ready { .. } | Self::Relayed(_) => None,
            Self::Stored(body) => Some(body.ready_bytes),
            Self::InFlight(_) => Some(0),
        }
    }

    /// A body of a bypass; with its length, when announced.
    #[must_use]
    pub(crate) fn bypassed(pieces: mpsc::Receiver<RelayFrame>, left_bytes: Option<u64>) -> Self {
        Self::Relayed(RelayedBody::new(pieces, left_bytes))
    }
}

type Job<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let bytes = match self.get_mut() {
            Self::Ready { parts, left_bytes, .. } => {
                let part = parts.pop_front();
                *left_bytes -= part.as_ref().map_or(0, |part| part.len() as u64);
                part.map(Ok)
            }
            Self::Stored(body) => ready!(body.poll_next(context)),
            Self::InFlight(body) => ready!(body.poll_next(context)),
            Self::Relayed(body) => ready!(body.poll_next(context)),
        };
        Poll::Ready(bytes.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Ready { left_bytes, .. } => *left_bytes == 0,
            Self::Stored(body) => body.left_bytes == 0,
            Self::InFlight(_) | Self::Relayed(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Ready { left_bytes, .. } => SizeHint::with_exact(*left_bytes),
            Self::Stored(body) => SizeHint::with_exact(body.left_bytes),
            Self::InFlight(body) => {
                body.left_bytes().map_or_else(SizeHint::new, SizeHint::with_exact)
            }
            Self::Relayed(body) => body.left_bytes.map_or_else(SizeHint::new, SizeHint::with_exact),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::memory_gauge::{MemoryBounds, MemoryGauge};
    use http_body_util::BodyExt as _;
    use wharf_client::MemoryOwner;
    use wharf_client::runtime::party::Party;

    fn budget(held: &Arc<MemoryGauge>) -> MemoryBudget {
        held.budget(Party::Ourselves, MemoryBounds { most: 10_000, share: 8_000 })
    }

    #[tokio::test]
    async fn what_is_whole_is_held_from_the_moment_it_is_counted_until_its_last_byte_has_left() {
        let held = Arc::new(MemoryGauge::default());
        let mut body = Body::parts(vec![vec![7; 3_000].into(), vec![8; 1_000].into()]);
        body.count(&budget(&held)).unwrap();
        body.count(&budget(&held)).unwrap();
        assert_eq!(held.bytes(), 4_000, "before anybody asked for it");
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let last = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!((first.len(), last.len()), (3_000, 1_000));
        drop(body);
        drop(first);
        assert_eq!(held.bytes(), 4_000, "its connection has a part of it");
        drop(last);
        assert_eq!(held.bytes(), 0);
    }

    #[test]
    fn what_finds_no_room_is_refused_and_what_is_small_is_not() {
        let held = Arc::new(MemoryGauge::default());
        let _others = budget(&held).take_anyway(10_000);
        let mut body = Body::full(vec![7; 2_000]);
        let refused = body.count(&budget(&held)).unwrap_err();
        assert!(matches!(refused, Error::TooManyBytes(MemoryOwner::Party)));
        Body::full("{}").count(&budget(&held)).unwrap();
        body.count_anyway(&budget(&held));
        assert_eq!(held.bytes(), 12_000);
    }
}
