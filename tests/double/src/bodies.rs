//! Bodies on an unharmed way through the double: counted or drained.
//!
//! Everything streams; nothing here holds more than one frame.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::counts::{Flow, Recorder};
use wharf_testkit::http::{Body, BoxError};

/// The part of a refused body to read before the response leaves. The kernel resets a connection
/// closed with unread bytes, and the response can be lost with it.
const DRAIN_BYTES_MAX: usize = 256 * 1024 * 1024;

pub(crate) async fn drain(mut body: Body) {
    let mut left = DRAIN_BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        let Some(rest) = left.checked_sub(bytes) else {
            return;
        };
        left = rest;
    }
}

/// Reads this many bytes of a request and drops it.
pub(crate) async fn read_some(mut body: Body, bytes: u64) {
    let mut seen = 0;
    while seen < bytes {
        let Some(Ok(frame)) = body.frame().await else {
            return;
        };
        seen += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
}

/// Counts the content on its way through.
pub(crate) struct Counted {
    inner: Body,
    recorder: Arc<Recorder>,
    flow: Flow,
}

impl Counted {
    pub(crate) fn wrap(inner: Body, recorder: Arc<Recorder>, flow: Flow) -> Body {
        Self { inner, recorder, flow }.boxed_unsync()
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = std::task::ready!(Pin::new(&mut self.inner).poll_frame(context));
        if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()) {
            self.recorder.add_bytes(self.flow, data.len() as u64);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
