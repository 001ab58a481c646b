//! Faults in the bodies of requests and responses: wrong bytes, slow bytes, breaks.
//!
//! Everything streams; nothing here holds more than one frame. Without a fault a body is never
//! wrapped.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Response;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame};

use super::fault::Fault;
use super::listen::Connection;
use super::shared::Shared;
use wharf_testkit::http::{Body, BoxError};

/// How much is added to a body at once.
const PAD_BYTES: u64 = 64 * 1024;
/// The period of a slow body; each period lets the next bytes pass.
const TICK: Duration = Duration::from_millis(50);
const TICKS_PER_S: u64 = 20;

/// The parts of the double in reach of a broken body.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) connection: Connection,
    pub(crate) shared: Arc<Shared>,
}

/// The next event after the last bytes of the allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// The body ends as HTTP wants it.
    End,
    /// So many more bytes, then the end.
    Pad(u64),
    /// The body ends as HTTP wants it, and the double floods the connection behind it.
    Flood,
    /// Everything waits until it is let go, and then goes on as if nothing were.
    Stall,
    /// The same for so long.
    Silence(Duration),
    /// The connection closes in the middle.
    Close,
    /// The connection is reset in the middle.
    Reset,
    /// Tokens and links expire and the connection closes in the middle.
    ExpireAndClose,
}

/// How one body is broken.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// The number of bytes before the flipped byte.
    flip_at: Option<u64>,
    /// The remaining allowance of bytes.
    pass: u64,
    then: Then,
    /// The allowance of bytes per tick.
    pace: Option<u64>,
}

impl Plan {
    /// `None` for a fault with no effect on bodies.
    fn of(fault: Fault, length: Option<u64>) -> Option<Self> {
        let whole = Self { flip_at: None, pass: u64::MAX, then: Then::End, pace: None };
        let pass_then = |pass, then| Self { pass, then, ..whole };
        Some(match fault {
            Fault::WrongBytes => Self { flip_at: Some(0), ..whole },
            Fault::WrongByteAt { offset } => Self { flip_at: Some(offset), ..whole },
            Fault::ShortBody { bytes } => {
                pass_then(length.unwrap_or(u64::MAX).saturating_sub(bytes), Then::End)
            }
            Fault::LongBody { bytes } => Self { then: Then::Pad(bytes), ..whole },
            Fault::Endless { length_header: false } => Self { then: Then::Pad(u64::MAX), ..whole },
            Fault::Endless { length_header: true } => {
                pass_then(length.unwrap_or(u64::MAX), Then::Flood)
            }
            Fault::CutBody { after } => pass_then(after, Then::Close),
            Fault::Reset { after } => pass_then(after, Then::Reset),
            Fault::Stall { after } => pass_then(after, Then::Stall),
            Fault::Silence { after, for_ms } => {
                pass_then(after, Then::Silence(Duration::from_millis(for_ms)))
            }
            Fault::ExpireAndCut { after } => pass_then(after, Then::ExpireAndClose),
            Fault::Slow { bytes_per_s } => {
                Self { pace: Some((bytes_per_s / TICKS_PER_S).max(1)), ..whole }
            }
            Fault::WrongLength { bytes } if length.is_some_and(|length| length < bytes) => {
                Self { then: Then::Close, ..whole }
            }
            // The server writes no more than the header says.
            Fault::WrongLength { .. } | Fault::NoLength => whole,
            _ => return None,
        })
    }
}

/// Breaks a response's body by the fault; a fault of another kind leaves the body whole.
pub(crate) fn break_answer(
    response: Response<Body>,
    fault: Fault,
    around: Surroundings,
) -> Response<Body> {
    let length = response
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok())
        .or_else(|| response.body().size_hint().exact());
    let Some(plan) = Plan::of(fault, length) else {
        return response;
    };
    let (mut parts, inner) = response.into_parts();
    let told = match fault {
        Fault::NoLength | Fault::Endless { length_header: false } => None,
        Fault::WrongLength { bytes } => Some(bytes),
        Fault::ShortBody { bytes } => length.map(|length| length.saturating_sub(bytes)),
        Fault::LongBody { bytes } => length.map(|length| length.saturating_add(bytes)),
        _ => length,
    };
    match told {
        Some(told) => parts.headers.insert(CONTENT_LENGTH, told.into()),
        None => parts.headers.remove(CONTENT_LENGTH),
    };
    Response::from_parts(parts, Faulty::wrap(inner, plan, around))
}

/// Makes a request's body come late, when the fault says so.
pub(crate) fn delay_request(body: Body, fault: Fault, around: Surroundings) -> Body {
    match Plan::of(fault, None).filter(|_| fault.delays_body()) {
        Some(plan) => Faulty::wrap(body, plan, around),
        None => body,
    }
}

/// A body under a fault.
struct Faulty {
    inner: Body,
    plan: Plan,
    around: Surroundings,
    /// The rest of the last frame.
    rest: Bytes,
    /// Whether `inner` has ended.
    ended: bool,
    /// A pause of the whole body.
    wait: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// The bytes before the break have had their chance to be flushed.
    flushed: bool,
}

type Polled = Poll<Option<Result<Frame<Bytes>, BoxError>>>;

impl Faulty {
    fn wrap(inner: Body, plan: Plan, around: Surroundings) -> Body {
        let (rest, ended, wait, flushed) = (Bytes::new(), false, None, false);
        Self { inner, plan, around, rest, ended, wait, flushed }.boxed_unsync()
    }

    /// The event after the last allowed byte; `None` for a body without one.
    fn finish(&mut self, context: &Context<'_>) -> Option<Polled> {
        match self.plan.then {
            Then::End | Then::Flood | Then::Pad(0) => return Some(Poll::Ready(None)),
            Then::Pad(left) => {
                let pad = left.min(PAD_BYTES);
                self.plan.then = Then::Pad(left - pad);
                let pad = vec![0; usize::try_from(pad).unwrap_or(0)];
                return Some(Poll::Ready(Some(Ok(Frame::data(pad.into())))));
            }
            Then::Stall => {
                (self.plan.then, self.plan.pass) = (Then::End, u64::MAX);
                self.wait = Some(Box::pin(self.around.shared.holds.hold()));
                return None;
            }
            Then::Silence(time) => {
                (self.plan.then, self.plan.pass) = (Then::End, u64::MAX);
                self.wait = Some(Box::pin(tokio::time::sleep(time)));
                return None;
            }
            Then::Close | Then::Reset | Then::ExpireAndClose => {}
        }
        if !self.flushed {
            // A pending body makes the server write out its buffer.
            self.flushed = true;
            context.waker().wake_by_ref();
            return Some(Poll::Pending);
        }
        match self.plan.then {
            Then::Reset => self.around.connection.reset_when_closed(),
            Then::ExpireAndClose => self.around.shared.expire_all(),
            _ => {}
        }
        Some(Poll::Ready(Some(Err("the body is cut on order".into()))))
    }

    /// The next piece of the last frame.
    fn cut(&mut self) -> Bytes {
        let most = self.plan.pass.min(self.plan.pace.unwrap_or(u64::MAX));
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(self.rest.len());
        let piece = self.rest.split_to(most);
        let bytes = piece.len() as u64;
        if self.plan.pass != u64::MAX {
            self.plan.pass -= bytes;
        }
        if self.plan.pace.is_some() {
            self.wait = Some(Box::pin(tokio::time::sleep(TICK)));
        }
        if self.plan.then == Then::Flood && self.plan.pass == 0 {
            self.around.connection.flood();
        }
        match self.plan.flip_at {
            Some(at) if at < bytes => {
                self.plan.flip_at = None;
                flipped(&piece, at)
            }
            Some(at) => {
                self.plan.flip_at = Some(at - bytes);
                piece
            }
            None => piece,
        }
    }
}

fn flipped(piece: &[u8], at: u64) -> Bytes {
    let mut flipped = BytesMut::from(piece);
    if let Some(byte) = usize::try_from(at).ok().and_then(|at| flipped.get_mut(at)) {
        *byte ^= 0xff;
    }
    flipped.freeze()
}

impl HttpBody for Faulty {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        loop {
            if let Some(wait) = self.wait.as_mut() {
                ready!(wait.as_mut().poll(context));
                self.wait = None;
            }
            if self.plan.pass == 0 || (self.ended && self.rest.is_empty()) {
                match self.finish(context) {
                    Some(polled) => return polled,
                    None => continue,
                }
            }
            if !self.rest.is_empty() {
                let piece = self.cut();
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            match ready!(Pin::new(&mut self.inner).poll_frame(context)) {
                None => self.ended = true,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
            }
        }
    }
}
