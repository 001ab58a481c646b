//! What can go wrong with one request, as tests and other processes order it.
//!
//! Only the words live here. `faults.rs` decides which request is hit; the answer is spoiled in
//! `facade.rs` and `storage.rs` (refusals), `astray.rs` (redirects), `heads.rs` (headers) and
//! `broken.rs` (bodies).

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// What goes wrong. Offsets and sizes count the bytes of the answer's own body, so with a Range they
/// begin at the first byte of the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// The body has the right size and one wrong byte, its first.
    WrongBytes,
    /// The body has the right size and one wrong byte, this one.
    WrongByteAt {
        /// Where it is, counted from 0.
        offset: u64,
    },
    /// The body, and the `Content-Length` with it, is this many bytes shorter.
    ShortBody {
        /// How many bytes are missing.
        bytes: u64,
    },
    /// The body, and the `Content-Length` with it, is this many bytes longer.
    LongBody {
        /// How many bytes are added.
        bytes: u64,
    },
    /// The body goes on without end after its content.
    Endless {
        /// `false`: there is no `Content-Length`, so the bytes belong to the body. `true`: the
        /// header is right, and the bytes are rubbish that stands where the next answer would.
        length_header: bool,
    },
    /// The body ends after this many bytes, with the whole `Content-Length` promised, in an orderly
    /// closed connection.
    CutBody {
        /// How many bytes are sent.
        after: u64,
    },
    /// The connection is reset after this many bytes: of the request when it has a body, of the
    /// answer otherwise. Nothing of such a request reaches the backing registry.
    Reset {
        /// How many bytes pass.
        after: u64,
    },
    /// The body takes its time: that of the request when it has one, of the answer otherwise.
    Slow {
        /// How many bytes pass in a second; at least one does.
        bytes_per_s: u64,
    },
    /// After this many bytes nothing passes and the connection stays open, until the test releases
    /// it or the client goes: of the request when it has a body, of the answer otherwise.
    Stall {
        /// How many bytes pass first.
        after: u64,
    },
    /// After this many bytes every token and link is expired, and the connection closes: bytes of
    /// the request when it has a body, of the answer otherwise.
    ExpireAndCut {
        /// How many bytes pass first.
        after: u64,
    },
    /// A chunk is read and forgotten: the answer is 202 with what the upload had before.
    LoseChunk,
    /// The head of the answer does not come until the test releases it or the client goes. Then the
    /// request is answered as if nothing were.
    Hang,
    /// The connection closes before the head.
    HangUp {
        /// Whether with a reset in place of an orderly end.
        reset: bool,
    },
    /// 429 with `Retry-After`.
    TooManyRequests {
        /// The value of `Retry-After`, in seconds.
        retry_after_s: u64,
    },
    /// 429 with a `Retry-After` that counts down to the next whole period of this clock, as ACR's does.
    CountingDown {
        /// How long a period is, in seconds; at least one.
        period_s: u64,
        /// How long the answer takes, as from a registry that is further away.
        #[serde(default)]
        delay_ms: u64,
    },
    /// 503, without a word on when to come back.
    Unavailable,
    /// This status, with the body that ACR, its front end or its storage gives with it.
    Status {
        /// The status, from 400 to 599.
        code: u16,
        /// The value of `Retry-After`, in seconds; no such header when absent.
        #[serde(default)]
        retry_after_s: Option<u64>,
    },
    /// The link is expired: at the storage port 403, at the registry's a redirect to such a link.
    ExpiredLink,
    /// A Range is answered with 200 and the whole body. Hits requests with a Range only.
    RangeIgnored,
    /// A Range is answered with another one, and `Content-Range` says so. Hits requests with a Range
    /// only.
    OtherRange {
        /// How much later the range begins.
        by: u64,
    },
    /// The right bytes under a `Content-Range` that begins elsewhere. Hits requests with a Range
    /// only.
    WrongRangeStart {
        /// How much later the header says that the range begins and ends.
        by: u64,
    },
    /// The right bytes under a `Content-Range` with another total. Hits requests with a Range only.
    WrongRangeTotal {
        /// How much more the header says that there is.
        by: u64,
    },
    /// 206 without `Content-Range`. Hits requests with a Range only.
    NoContentRange,
    /// `Content-Length` is this, whatever the body. A body with more is cut to it; one with less
    /// breaks off.
    WrongLength {
        /// What the header says.
        bytes: u64,
    },
    /// The right body without a `Content-Length`, in chunks of HTTP.
    NoLength,
    /// `Docker-Content-Digest` names something else.
    WrongDigestHeader,
    /// There is no `Docker-Content-Digest`.
    NoDigestHeader,
    /// `Content-Type` is `text/html`.
    WrongContentType,
    /// `Content-Encoding: gzip` on a body that is not compressed.
    FalseGzip,
    /// `Location` is not an address.
    BadLocation,
    /// There is no `Location`.
    NoLocation,
    /// 307 to the same address, which redirects to itself for ever.
    RedirectLoop,
    /// So many 307 to the same address, one after the other, before the answer.
    RedirectHops {
        /// How many.
        hops: u32,
    },
    /// 307 to another host, which serves content to everybody and records what credentials came.
    RedirectElsewhere,
    /// The registry serves the blob itself.
    NoRedirect,
}

/// A refusal on order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) status: u16,
    pub(crate) retry_after_s: Option<u64>,
}

impl Fault {
    /// The refusal that takes the place of an answer, if this is one.
    pub(crate) fn rejection(self) -> Option<Rejection> {
        let (status, retry_after_s) = match self {
            Self::TooManyRequests { retry_after_s } => (429, Some(retry_after_s)),
            Self::CountingDown { period_s, .. } => (429, Some(left_of(period_s))),
            Self::Unavailable => (503, None),
            Self::Status { code, retry_after_s } => (code, retry_after_s),
            _ => return None,
        };
        Some(Rejection { status, retry_after_s })
    }

    /// Whether it is about Range and would do nothing to a request without one.
    pub(crate) fn needs_range(self) -> bool {
        matches!(
            self,
            Self::RangeIgnored
                | Self::OtherRange { .. }
                | Self::WrongRangeStart { .. }
                | Self::WrongRangeTotal { .. }
                | Self::NoContentRange
        )
    }

    /// Whether it can be carried out at all.
    pub(crate) fn is_sound(self) -> bool {
        match self {
            Self::Status { code, .. } => (400..600).contains(&code),
            Self::RedirectHops { hops } => hops > 0,
            Self::CountingDown { period_s, .. } => period_s > 0,
            _ => true,
        }
    }
}

/// Seconds until the next whole period since 1970: from all of it down to one.
fn left_of(period_s: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let period_s = period_s.max(1);
    period_s - now.as_secs() % period_s
}
