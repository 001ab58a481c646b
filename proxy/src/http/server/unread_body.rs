//! The unread rest of a request's body when its answer is known. A little is read and thrown away
//! so that the connection can go on. With more, the client is answered at once, and its connection
//! ends in stages (HTTP/1.1, `linger.rs`) or its stream ends (HTTP/2): a reset, even one without an
//! error (RFC 9113 §8.1), makes some clients forget the answer that they have.
//!
//! Invariant: no answer waits for a client that sends more than a little, or that has not begun to
//! send; the reading after the answer ends by time and by bytes, and keeps nothing.

use bytes::Bytes;
use http::request::Parts;
use http::{Version, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Incoming};
use tokio::time::timeout;

use super::linger::LingerEnd;
use crate::Error;
use crate::limits::{
    LINGER_BYTES_MAX, LINGER_QUIET_TIME, LINGER_TIME, REFUSED_BODY_BYTES_MAX, REFUSED_BODY_TIMEOUT,
};

/// The rest of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnreadBody {
    /// All was read: the next request can come.
    Nothing,
    /// The client may still be sending.
    Unread,
}

impl UnreadBody {
    /// Reads a little. A client that waits for "100 Continue" has sent nothing yet; reading would
    /// ask for the body. Over HTTP/2 there is nothing to wait for: other requests are streams of
    /// their own.
    pub(super) async fn of(parts: &Parts, body: &mut Incoming, refusal: Option<&Error>) -> Self {
        if body.is_end_stream() {
            return Self::Nothing;
        }
        let ends = refusal
            .is_some_and(|error| error.ends_connection() || matches!(error, Error::Stopping));
        let waits = parts.headers.contains_key(header::EXPECT);
        let has_more = body.size_hint().lower() > REFUSED_BODY_BYTES_MAX;
        if ends || waits || has_more || parts.version == Version::HTTP_2 {
            return Self::Unread;
        }
        read_away(body).await
    }
}

/// Reads the rest, up to a bound in bytes and time.
async fn read_away(body: &mut Incoming) -> UnreadBody {
    let whole = async {
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return UnreadBody::Unread };
            bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            if bytes > REFUSED_BODY_BYTES_MAX {
                return UnreadBody::Unread;
            }
        }
        UnreadBody::Nothing
    };
    timeout(REFUSED_BODY_TIMEOUT, whole).await.unwrap_or(UnreadBody::Unread)
}

/// Reads on after the answer, like the last stage of a connection, and throws the bytes away: the
/// client comes to the end of its body, or breaks off by itself.
pub(super) async fn linger<B>(mut body: B) -> LingerEnd
where
    B: Body<Data = Bytes> + Unpin,
{
    let to_its_end = async {
        let mut bytes = 0;
        while let Ok(Some(Ok(frame))) = timeout(LINGER_QUIET_TIME, body.frame()).await {
            bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            if bytes > LINGER_BYTES_MAX {
                return LingerEnd::AtTheBound;
            }
        }
        LingerEnd::Quietly
    };
    timeout(LINGER_TIME, to_its_end).await.unwrap_or(LingerEnd::AtTheBound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll, ready};
    use std::time::Duration;

    use http_body::Frame;
    use tokio::time::{Instant, Sleep, sleep};

    /// Pieces of `bytes` bytes, each after a pause.
    struct Paced {
        left: usize,
        piece: Bytes,
        pause: Duration,
        sleep: Pin<Box<Sleep>>,
    }

    impl Body for Paced {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if self.left == 0 {
                return Poll::Ready(None);
            }
            ready!(self.sleep.as_mut().poll(context));
            self.left -= 1;
            let next = Instant::now() + self.pause;
            self.sleep.as_mut().reset(next);
            Poll::Ready(Some(Ok(Frame::data(self.piece.clone()))))
        }
    }

    /// The result, and after how many seconds.
    async fn ended(left: usize, bytes: usize, pause: Duration) -> (LingerEnd, u64) {
        let (began, piece) = (Instant::now(), Bytes::from(vec![7; bytes]));
        let body = Paced { left, piece, pause, sleep: Box::pin(sleep(pause)) };
        (linger(body).await, began.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_after_the_answer_is_read_within_time_bytes_and_silence() {
        let (second, at_once) = (Duration::from_secs(1), Duration::ZERO);
        assert_eq!(ended(10, 40_000_000, second).await, (LingerEnd::Quietly, 10));
        let silent = Duration::from_hours(1);
        assert_eq!(ended(1, 1, silent).await, (LingerEnd::Quietly, LINGER_QUIET_TIME.as_secs()));
        assert_eq!(
            ended(usize::MAX, 1, second).await,
            (LingerEnd::AtTheBound, LINGER_TIME.as_secs())
        );
        assert_eq!(ended(usize::MAX, 1 << 24, at_once).await, (LingerEnd::AtTheBound, 0));
    }
}
