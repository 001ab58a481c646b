//! The body of an answer on its way to a client: what it holds piece by piece is counted (what is whole
//! or passes by counts itself, `body.rs`, `cache/relay.rs`), and over HTTP/2, where a client says for each body how much it takes, it is
//! seen when nobody takes it.
//!
//! Invariant: time runs only between a piece that was given and the wish for the next; what is waited
//! for here or at an upstream makes no client slow.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;

use super::watch::{Open, Watch};
use crate::body::{Body, BodyError};
use crate::held::{Pieces, Purse};
use crate::limits::HTTP2_PIECE_BYTES;
use crate::min_rate::{MinRate, RateDebt};

/// A body, and the request that it answers.
pub(super) struct Watched {
    kind: Kind,
    _open: Open,
}

#[expect(clippy::large_enum_variant, reason = "a box would cost most answers an allocation")]
enum Kind {
    /// Over HTTP/1.1, where the connection is watched.
    Whole(Counted),
    /// Over HTTP/2.
    Stream(Arc<Mutex<Given>>),
}

/// A body whose bytes in memory are counted.
struct Counted {
    body: Body,
    /// None of one that counts itself.
    pieces: Option<Pieces>,
}

/// A body that is given piece by piece.
pub(super) struct Given {
    body: Option<Counted>,
    /// What was taken from the body and not given yet.
    rest: Bytes,
    debt: RateDebt,
    /// When the last piece was given, until the next is wanted.
    since: Option<Instant>,
}

impl Watched {
    /// The body of an answer to this request.
    pub(super) fn new(
        body: Body,
        open: Open,
        watch: &Watch,
        is_http2: bool,
        purse: &Purse,
    ) -> Self {
        let counted = Counted::new(body, purse);
        let kind = if is_http2 {
            let given = Arc::new(Mutex::new(Given::new(counted, watch.min_rate())));
            watch.follow(&given);
            Kind::Stream(given)
        } else {
            Kind::Whole(counted)
        };
        Self { kind, _open: open }
    }
}

impl Counted {
    /// Counted from now on, not only once it is asked for.
    fn new(body: Body, purse: &Purse) -> Self {
        let pieces = body.ready_bytes().map(|ready| {
            let mut pieces = purse.pieces();
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

impl Given {
    fn new(counted: Counted, min_rate: MinRate) -> Self {
        Self { body: Some(counted), rest: Bytes::new(), debt: RateDebt::new(min_rate), since: None }
    }

    /// When it will have been given for too long without being taken.
    pub(super) fn due(&self) -> Option<Instant> {
        self.body.as_ref()?;
        Some(self.since? + self.debt.left()?)
    }

    /// Lets go of what it has. Whoever wants more after all is told that it broke off.
    pub(super) fn give_up(&mut self) {
        self.body = None;
        self.rest = Bytes::new();
    }

    /// Whether it let go.
    pub(super) const fn is_given_up(&self) -> bool {
        self.body.is_none()
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if let Some(since) = self.since.take() {
            // The look of the watch ends it; here it is only counted.
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

    /// Not exact once it was given up: what is still announced will not come.
    fn size_hint(&self) -> SizeHint {
        let Some(counted) = &self.body else { return SizeHint::default() };
        let rest = self.rest.len() as u64;
        match counted.body.size_hint().exact() {
            Some(bytes) => SizeHint::with_exact(bytes + rest),
            None => SizeHint::default(),
        }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let next = match &mut self.kind {
            Kind::Whole(counted) => counted.poll_next(context),
            Kind::Stream(given) => {
                given.lock().unwrap_or_else(PoisonError::into_inner).poll_next(context)
            }
        };
        next.map(|next| next.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Whole(counted) => counted.body.is_end_stream(),
            Kind::Stream(given) => given.lock().unwrap_or_else(PoisonError::into_inner).is_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole(counted) => counted.body.size_hint(),
            Kind::Stream(given) => given.lock().unwrap_or_else(PoisonError::into_inner).size_hint(),
        }
    }
}
