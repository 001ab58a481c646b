//! The faults of one request, as ordered by tests and other processes.
//!
//! Only the names live here. `faults.rs` chooses the request for a fault. The other modules carry
//! it out: `facade.rs` and `storage.rs` (refusals), `astray.rs` (redirects), `heads.rs` (headers)
//! and `broken.rs` (bodies).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The fault of a request. Offsets and sizes count the bytes of the response's own body, so with a
/// Range they begin at the first byte of the range.
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
        /// header is right, and the surplus bytes are in the place of the next response.
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
    /// The body is slow: the request's body if there is one, else the response's.
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
    /// After this many bytes nothing passes for so long, then everything goes on as if nothing were:
    /// of the request when it has a body, of the answer otherwise.
    Silence {
        /// How many bytes pass first.
        after: u64,
        /// For how long nothing passes.
        for_ms: u64,
    },
    /// After this many bytes every token and link is expired, and the connection closes: bytes of
    /// the request when it has a body, of the answer otherwise.
    ExpireAndCut {
        /// How many bytes pass first.
        after: u64,
    },
    /// The double reads a chunk and forgets it: the response is 202 with the upload's earlier size.
    LoseChunk,
    /// The upload is forgotten with all its bytes, as by a replica after its end: 404.
    LoseUpload,
    /// The head of the answer comes so much later.
    Late {
        /// How much later.
        by_ms: u64,
        /// `true`: the double does the work at once, even if the client leaves meanwhile. `false`:
        /// the work begins after the delay, and never for a departed client.
        done: bool,
    },
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
    /// 429 with a `Retry-After` that counts down to the next whole period of this clock, as at ACR.
    CountingDown {
        /// How long a period is, in seconds; at least one.
        period_s: u64,
        /// The delay of the response, as from a registry further away.
        #[serde(default)]
        delay_ms: u64,
    },
    /// 429 with the remaining time of its rule in `Retry-After`.
    Busy {
        /// How it tells.
        says: Says,
        /// How much longer, in seconds; counted by a rule for a time.
        #[serde(default = "a_second")]
        left_s: u64,
    },
    /// 503, without a word on when to come back.
    Unavailable,
    /// This status, with the usual body of ACR, its front end or its storage.
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
    /// The right bytes under a `Content-Range` with a wrong begin. Hits requests with a Range only.
    WrongRangeStart {
        /// The shift of the range's begin and end in the header.
        by: u64,
    },
    /// The right bytes under a `Content-Range` with another total. Hits requests with a Range only.
    WrongRangeTotal {
        /// The surplus of the total in the header.
        by: u64,
    },
    /// 206 without `Content-Range`. Hits requests with a Range only.
    NoContentRange,
    /// `Content-Length` is this, for any body. A longer body is cut to it; a shorter one breaks
    /// off.
    WrongLength {
        /// The value of the header.
        bytes: u64,
    },
    /// The right body without a `Content-Length`, in chunks of HTTP.
    NoLength,
    /// `Docker-Content-Digest` names another digest.
    WrongDigestHeader,
    /// There is no `Docker-Content-Digest`.
    NoDigestHeader,
    /// `Content-Type` is `text/html`.
    WrongContentType,
    /// `Content-Encoding: gzip` on an uncompressed body.
    FalseGzip,
    /// `Location` is not an address.
    BadLocation,
    /// There is no `Location`.
    NoLocation,
    /// 307 to the same address, in an endless loop.
    RedirectLoop,
    /// So many 307 to the same address, one after the other, before the answer.
    RedirectHops {
        /// The number of redirects.
        hops: u32,
    },
    /// 307 to the other host, open to every client; the journal there records the credentials.
    RedirectElsewhere,
    /// The registry serves the blob itself.
    NoRedirect,
}

/// How a refusal tells when to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// Not at all.
    Nothing,
    /// As a number of seconds.
    Seconds,
    /// As a time of day.
    Date,
}

/// A refusal on order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) status: u16,
    /// The value of `Retry-After`.
    pub(crate) retry_after: Option<String>,
}

impl Fault {
    /// The refusal in place of a response, if this fault is one.
    pub(crate) fn rejection(self) -> Option<Rejection> {
        let (status, retry_after_s) = match self {
            Self::Busy { says, left_s } => {
                return Some(Rejection { status: 429, retry_after: says.retry_after(left_s) });
            }
            Self::TooManyRequests { retry_after_s } => (429, Some(retry_after_s)),
            Self::CountingDown { period_s, .. } => (429, Some(left_of(period_s))),
            Self::Unavailable => (503, None),
            Self::Status { code, retry_after_s } => (code, retry_after_s),
            _ => return None,
        };
        let retry_after = retry_after_s.and_then(|left_s| Says::Seconds.retry_after(left_s));
        Some(Rejection { status, retry_after })
    }

    /// The same fault with the remaining time of its rule.
    pub(crate) fn with_left(self, left: Duration) -> Self {
        match self {
            Self::Busy { says, .. } => Self::Busy { says, left_s: whole_seconds(left) },
            other => other,
        }
    }

    /// Whether the fault delays a body: the request's if there is one.
    pub(crate) fn delays_body(self) -> bool {
        matches!(self, Self::Slow { .. } | Self::Stall { .. } | Self::Silence { .. })
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

impl Says {
    fn retry_after(self, left_s: u64) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Seconds => Some(left_s.to_string()),
            Self::Date => {
                Some(httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(left_s)))
            }
        }
    }
}

fn a_second() -> u64 {
    1
}

/// A begun second counts, and there is always one.
fn whole_seconds(time: Duration) -> u64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1)
}

/// Seconds until the next whole period since 1970: from all of it down to one.
fn left_of(period_s: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let period_s = period_s.max(1);
    period_s - now.as_secs() % period_s
}
