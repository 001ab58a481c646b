//! The body of an answer on its way to a client. Its pieces in memory are counted here (whole and
//! relayed bodies count themselves, `runtime/body.rs`, `pull/bypass.rs`). Over HTTP/2, where a
//! client grants a window for each body, a stuck body is noticed here.
//!
//! Invariant: time runs only between a piece passed on and the connection's next poll; waits here
//! or at an upstream make no client slow.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::http2_body::{Counted, Http2Body};
use super::timeouts::{ConnectionTimeouts, RequestGuard};
use crate::runtime::body::{Body, BodyError};
use crate::runtime::memory_gauge::MemoryBudget;

/// A body, and the guard of its request.
pub(super) struct TimedBody {
    kind: Kind,
    _open: RequestGuard,
}

#[expect(clippy::large_enum_variant, reason = "a box would cost most answers an allocation")]
enum Kind {
    /// Over HTTP/1.1, where the connection has the timeouts.
    Whole(Counted),
    /// Over HTTP/2.
    Stream(Arc<Mutex<Http2Body>>),
}

impl TimedBody {
    /// The body of an answer to this request.
    pub(super) fn new(
        body: Body,
        open: RequestGuard,
        watch: &ConnectionTimeouts,
        is_http2: bool,
        budget: &MemoryBudget,
    ) -> Self {
        let counted = Counted::new(body, budget);
        let kind = if is_http2 {
            let given = Arc::new(Mutex::new(Http2Body::new(counted, watch.min_rate())));
            watch.follow(&given);
            Kind::Stream(given)
        } else {
            Kind::Whole(counted)
        };
        Self { kind, _open: open }
    }
}

impl HttpBody for TimedBody {
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
