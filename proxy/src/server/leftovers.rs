//! The part of a request's body that nobody wanted, when its answer is known. A little is read away so
//! that the connection can go on; of more, the client is answered at once, and its connection ends in
//! stages (HTTP/1.1, `linger.rs`) or its stream is reset without an error (RFC 9113 §8.1).
//!
//! Invariant: nothing waits for a client that sends more than a little, or that has not begun to send.

use http::request::Parts;
use http::{Version, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};

use crate::Error;
use crate::limits::{REFUSED_BODY_BYTES_MAX, REFUSED_BODY_TIMEOUT};

/// What is left of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leftover {
    /// Nothing: the next request can come.
    Nothing,
    /// The client may still be sending.
    Unread,
}

impl Leftover {
    /// Reads a little. Whoever waits for "100 Continue" has sent nothing yet; reading would ask for it.
    /// Over HTTP/2 there is nothing to wait for: other requests are streams of their own.
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

/// Reads what is left, up to a bound in bytes and time.
pub(super) async fn read_away(body: &mut Incoming) -> Leftover {
    let whole = async {
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return Leftover::Unread };
            bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            if bytes > REFUSED_BODY_BYTES_MAX {
                return Leftover::Unread;
            }
        }
        Leftover::Nothing
    };
    tokio::time::timeout(REFUSED_BODY_TIMEOUT, whole).await.unwrap_or(Leftover::Unread)
}
