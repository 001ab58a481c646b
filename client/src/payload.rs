//! The body of a request to a registry: it can be made again, because the request may have to be
//! sent again, and it tells its progress.
//!
//! Invariant: every body has exactly the announced number of bytes, or breaks off.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use http_body_util::combinators::UnsyncBoxBody;

use crate::outbound::BoxError;

/// A body that the caller makes, as often as it is needed.
pub(crate) type SourceBody = UnsyncBoxBody<Bytes, BoxError>;

/// A request's content, for as many tries as it takes.
#[derive(Clone)]
pub(crate) enum Payload {
    /// Bytes in memory.
    Bytes(Bytes),
    /// Bytes read while they are sent, so that no request holds a chunk in memory.
    Made {
        /// The number of bytes.
        size_bytes: u64,
        /// Makes the body from its first byte.
        make: Arc<dyn Fn() -> SourceBody + Send + Sync>,
    },
}

/// A body on its way.
pub(crate) struct Outgoing {
    bytes: OutgoingBytes,
    sent: SentBytes,
}

enum OutgoingBytes {
    Whole(Full<Bytes>),
    Made(SourceBody),
}

/// The progress of a body.
#[derive(Clone, Default)]
pub(crate) struct SentBytes(Arc<AtomicU64>);

impl SentBytes {
    /// Bytes handed to the connection so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Payload {
    /// A payload without bytes.
    pub(crate) const fn empty() -> Self {
        Self::Bytes(Bytes::new())
    }

    /// The number of bytes.
    pub(crate) const fn size_bytes(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Made { size_bytes, .. } => *size_bytes,
        }
    }

    /// A body, and a handle on its progress.
    pub(crate) fn outgoing(&self) -> (Outgoing, SentBytes) {
        let bytes = match self {
            Self::Bytes(bytes) => OutgoingBytes::Whole(Full::new(bytes.clone())),
            Self::Made { make, .. } => OutgoingBytes::Made(make()),
        };
        let sent = SentBytes::default();
        (Outgoing { bytes, sent: sent.clone() }, sent)
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.size_bytes())
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(match &mut self.bytes {
            OutgoingBytes::Whole(body) => {
                Pin::new(body).poll_frame(context).map(|frame| frame.map(|f| f.map_err(Into::into)))
            }
            OutgoingBytes::Made(body) => Pin::new(body).poll_frame(context),
        });
        if let Some(bytes) = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()) {
            self.sent.0.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.bytes {
            OutgoingBytes::Whole(body) => body.is_end_stream(),
            OutgoingBytes::Made(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.bytes {
            OutgoingBytes::Whole(body) => body.size_hint(),
            OutgoingBytes::Made(body) => body.size_hint(),
        }
    }
}
