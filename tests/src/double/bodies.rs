//! Bodies that pass through the double: counted, broken on order, or drained.
//!
//! Everything streams; nothing here holds more than one frame.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::Response;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use super::counts::{Flow, Recorder};
use super::faults::Fault;
use super::listen::Connection;
use crate::http::{Body, BoxError};

/// What is read of a refused body before the answer leaves. A connection that closes with unread
/// bytes is reset by the kernel, and the answer could be lost with it.
const DRAIN_BYTES_MAX: usize = 256 * 1024 * 1024;

pub(crate) async fn drain(mut body: Incoming) {
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
pub(crate) async fn read_some(mut body: Incoming, bytes: u64) {
    let mut seen = 0;
    while seen < bytes {
        let Some(Ok(frame)) = body.frame().await else {
            return;
        };
        seen += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
}

/// Counts the content that passes.
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

/// How a broken body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// As HTTP wants it, with all that `Content-Length` promised.
    Whole,
    /// The connection closes in the middle.
    Close,
    /// The connection is reset in the middle.
    Reset,
}

/// A body that lies or breaks.
struct Faulty {
    inner: Body,
    connection: Connection,
    /// The next frame's first byte is flipped.
    flip: bool,
    /// Bytes that still pass.
    pass: u64,
    /// Bytes added behind them.
    pad: u64,
    end: End,
    /// What was written before the break has had its chance to be flushed.
    flushed: bool,
}

/// Breaks an answer as the fault says; a fault that needs no body leaves it whole.
pub(crate) fn break_answer(
    response: Response<Body>,
    fault: Fault,
    connection: &Connection,
) -> Response<Body> {
    let length = response
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok())
        .or_else(|| response.body().size_hint().exact());
    let whole = length.unwrap_or(u64::MAX);
    let (flip, pass, pad, end) = match fault {
        Fault::WrongBytes => (true, u64::MAX, 0, End::Whole),
        Fault::ShortBody { bytes } => (false, whole.saturating_sub(bytes), 0, End::Whole),
        Fault::LongBody { bytes } => (false, u64::MAX, bytes, End::Whole),
        Fault::CutBody { after } => (false, after, 0, End::Close),
        Fault::Reset { after } => (false, after, 0, End::Reset),
        Fault::TooManyRequests { .. } | Fault::Unavailable => return response,
    };
    let (mut parts, inner) = response.into_parts();
    if let Some(length) = length {
        let told = match fault {
            Fault::ShortBody { bytes } => length.saturating_sub(bytes),
            Fault::LongBody { bytes } => length.saturating_add(bytes),
            _ => length,
        };
        parts.headers.insert(CONTENT_LENGTH, told.into());
    }
    let connection = connection.clone();
    let body = Faulty { inner, connection, flip, pass, pad, end, flushed: false };
    Response::from_parts(parts, body.boxed_unsync())
}

impl Faulty {
    fn finish(&mut self, context: &Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.end == End::Whole {
            let pad = usize::try_from(self.pad.min(64 * 1024)).unwrap_or(0);
            if pad == 0 {
                return Poll::Ready(None);
            }
            self.pad -= pad as u64;
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![0; pad])))));
        }
        if !self.flushed {
            // Being told to wait makes the server write out what it holds.
            self.flushed = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.end == End::Reset {
            self.connection.reset_when_closed();
        }
        Poll::Ready(Some(Err("the answer is cut on order".into())))
    }

    fn alter(&mut self, mut data: Bytes) -> Bytes {
        let pass = usize::try_from(self.pass).unwrap_or(usize::MAX);
        data.truncate(pass);
        self.pass -= data.len() as u64;
        if self.flip && !data.is_empty() {
            self.flip = false;
            let mut flipped = BytesMut::from(data.as_ref());
            if let Some(first) = flipped.first_mut() {
                *first ^= 0xff;
            }
            return flipped.freeze();
        }
        data
    }
}

impl HttpBody for Faulty {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            if self.pass == 0 {
                return self.finish(context);
            }
            match std::task::ready!(Pin::new(&mut self.inner).poll_frame(context)) {
                None => {
                    self.pass = 0;
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        let data = self.alter(data);
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
            }
        }
    }
}
