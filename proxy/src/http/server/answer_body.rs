//! The body of an answer on its way to a client. Its pieces in memory are counted here (whole and
//! relayed bodies count themselves, `runtime/body.rs`, `pull/bypass.rs`). Over HTTP/2, where a client
//! grants a window for each stream, it is passed on piece by piece, and the stream has a timeout of its
//! own.
//!
//! Invariant: time runs only between a piece passed on and the connection's next poll; waits here
//! or at an upstream make no client slow.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;
use wharf_client::runtime::min_rate::{MinRate, RateDebt};

use crate::limits::HTTP2_PIECE_BYTES;
use crate::runtime::body::{Body, BodyError};
use crate::runtime::memory_gauge::{MemoryBudget, StreamReservation};

/// A body, and the guard of its request.
pub(super) struct AnswerBody<G> {
    passage: Passage,
    _request: G,
}

#[expect(clippy::large_enum_variant, reason = "a box would cost most answers an allocation")]
enum Passage {
    /// Over HTTP/1.1, where the connection has the timeouts.
    Whole(Counted),
    /// Over HTTP/2.
    Stream(Arc<Mutex<Http2Body>>),
}

/// A body with counted bytes in memory.
struct Counted {
    body: Body,
    /// None for a body that counts itself.
    pieces: Option<StreamReservation>,
}

/// A body passed on piece by piece.
pub(super) struct Http2Body {
    body: Option<Counted>,
    /// Bytes taken from the body and not passed on yet.
    rest: Bytes,
    debt: RateDebt,
    /// When the last piece was passed on, until the next poll.
    since: Option<Instant>,
}

impl<G> AnswerBody<G> {
    /// The body of an answer over HTTP/1.1.
    pub(super) fn whole(body: Body, request: G, budget: &MemoryBudget) -> Self {
        Self { passage: Passage::Whole(Counted::new(body, budget)), _request: request }
    }

    /// The body of an answer over HTTP/2, and its stream for the connection's timeouts.
    pub(super) fn stream(
        body: Body,
        request: G,
        budget: &MemoryBudget,
        min_rate: MinRate,
    ) -> (Self, Arc<Mutex<Http2Body>>) {
        let stream = Arc::new(Mutex::new(Http2Body::new(Counted::new(body, budget), min_rate)));
        let passage = Passage::Stream(Arc::clone(&stream));
        (Self { passage, _request: request }, stream)
    }
}

impl<G: Unpin> HttpBody for AnswerBody<G> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let next = match &mut self.passage {
            Passage::Whole(counted) => counted.poll_next(context),
            Passage::Stream(stream) => {
                stream.lock().unwrap_or_else(PoisonError::into_inner).poll_next(context)
            }
        };
        next.map(|next| next.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.passage {
            Passage::Whole(counted) => counted.body.is_end_stream(),
            Passage::Stream(stream) => {
                stream.lock().unwrap_or_else(PoisonError::into_inner).is_end()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.passage {
            Passage::Whole(counted) => counted.body.size_hint(),
            Passage::Stream(stream) => {
                stream.lock().unwrap_or_else(PoisonError::into_inner).size_hint()
            }
        }
    }
}

impl Counted {
    /// Counted from its creation on, not only from the first poll.
    fn new(body: Body, budget: &MemoryBudget) -> Self {
        let pieces = body.ready_bytes().map(|ready| {
            let mut pieces = budget.pieces();
            pieces.set(ready, false);
            pieces
        });
        Self { body, pieces }
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let next = ready!(Pin::new(&mut self.body).poll_frame(context));
        let next = next.map(|frame| frame.map(|frame| frame.into_data().unwrap_or_default()));
        let given = next.as_ref().and_then(|next| next.as_ref().ok()).map_or(0, Bytes::len);
        if let (Some(pieces), Some(ready)) = (&mut self.pieces, self.body.ready_bytes()) {
            pieces.set(ready + given as u64, false);
        }
        Poll::Ready(next)
    }
}

impl Http2Body {
    fn new(counted: Counted, min_rate: MinRate) -> Self {
        Self { body: Some(counted), rest: Bytes::new(), debt: RateDebt::new(min_rate), since: None }
    }

    /// When the stream will have been stuck for too long.
    pub(super) fn due(&self) -> Option<Instant> {
        self.body.as_ref()?;
        Some(self.since? + self.debt.left()?)
    }

    /// Drops the body's memory. A later poll returns an error.
    pub(super) fn give_up(&mut self) {
        self.body = None;
        self.rest = Bytes::new();
    }

    /// Whether the body was given up.
    pub(super) const fn is_given_up(&self) -> bool {
        self.body.is_none()
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if let Some(since) = self.since.take() {
            // The check of the timeouts ends the stream; here the debt is only counted.
            let _ = self.debt.waited(since.elapsed());
        }
        let Some(counted) = &mut self.body else {
            return Poll::Ready(Some(Err(BodyError::NotTaken)));
        };
        while self.rest.is_empty() {
            match ready!(counted.poll_next(context)) {
                Some(Ok(bytes)) => self.rest = bytes,
                end => return Poll::Ready(end),
            }
        }
        let piece = self.rest.split_to(self.rest.len().min(HTTP2_PIECE_BYTES));
        self.debt.moved(piece.len());
        self.since = Some(Instant::now());
        Poll::Ready(Some(Ok(piece)))
    }

    fn is_end(&self) -> bool {
        let body = self.body.as_ref();
        self.rest.is_empty() && body.is_some_and(|counted| counted.body.is_end_stream())
    }

    /// Not exact once the body was given up: the announced rest will not come.
    fn size_hint(&self) -> SizeHint {
        let Some(counted) = &self.body else { return SizeHint::default() };
        let rest = self.rest.len() as u64;
        match counted.body.size_hint().exact() {
            Some(bytes) => SizeHint::with_exact(bytes + rest),
            None => SizeHint::default(),
        }
    }
}
