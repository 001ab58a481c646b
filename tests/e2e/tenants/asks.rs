//! The requests of a hostile party: their bodies may stop in the middle or trickle.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use wharf_testkit::http::{Body, BoxError, full};

use super::line::Party;

/// A piece of a body.
const PIECE_BYTES: usize = 16 * 1024;
static PIECE: [u8; PIECE_BYTES] = [b'x'; PIECE_BYTES];

/// One request.
#[derive(Clone)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) sent: Sent,
    /// A real body, in place of a merely long one.
    pub(super) whole: Bytes,
    /// In place of the party's own.
    pub(super) login: Option<(String, String)>,
}

/// The actually sent part of its body.
#[derive(Clone, Copy, Default)]
pub(super) struct Sent {
    /// The declared length.
    pub(super) announced: usize,
    /// So much comes at once.
    pub(super) at_once: usize,
    /// And so much after each of these times.
    pub(super) trickle: Option<(usize, Duration)>,
}

impl Ask {
    pub(super) fn new(method: Method, path: impl Into<String>) -> Self {
        let (headers, sent, whole) = (Vec::new(), Sent::default(), Bytes::new());
        Self { method, path: path.into(), headers, sent, whole, login: None }
    }

    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// A body with only its begin sent.
    pub(super) fn stopping(self, announced: usize, at_once: usize) -> Self {
        Self { sent: Sent { announced, at_once, trickle: None }, ..self }
    }

    /// A body sent little by little.
    pub(super) fn trickling(self, announced: usize, bytes: usize, each: Duration) -> Self {
        Self { sent: Sent { announced, at_once: bytes, trickle: Some((bytes, each)) }, ..self }
    }

    /// With this body.
    pub(super) fn whole(self, content: impl Into<Bytes>) -> Self {
        Self { whole: content.into(), ..self }
    }

    /// With a name and a password.
    pub(super) fn showing(self, user: impl Into<String>, password: &str) -> Self {
        Self { login: Some((user.into(), password.to_owned())), ..self }
    }

    /// Its head with HTTP/1.1.
    fn head(&self, party: &Party) -> String {
        let (method, path, host) = (&self.method, &self.path, &party.host);
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n");
        let party = self.as_whom(party);
        let login = party.authorization().map(|login| ("authorization", login));
        let length = self.sent.announced.max(self.whole.len());
        let length = Some(length).filter(|_| self.method != Method::GET);
        let length = length.map(|length| ("content-length", length.to_string()));
        for (name, value) in self.headers.iter().cloned().chain(login).chain(length) {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(&value);
            head.push_str("\r\n");
        }
        head + "\r\n"
    }

    fn as_whom(&self, party: &Party) -> Party {
        let login = self.login.as_ref();
        login.map_or_else(|| party.clone(), |(user, password)| party.showing(user, password))
    }

    /// Sends the planned part of the request; returns after its last byte.
    pub(super) async fn write(&self, party: &Party, stream: &mut TcpStream) -> std::io::Result<()> {
        stream.write_all(self.head(party).as_bytes()).await?;
        stream.write_all(&self.whole).await?;
        let mut sent = 0;
        let (mut goal, end) = (self.sent.at_once, self.sent.announced);
        loop {
            while sent < goal.min(end) {
                let part = (goal.min(end) - sent).min(PIECE_BYTES);
                stream.write_all(&PIECE[..part]).await?;
                sent += part;
            }
            let Some((more, pause)) = self.sent.trickle.filter(|_| sent < end) else {
                return Ok(());
            };
            sleep(pause).await;
            goal += more;
        }
    }

    /// The same with HTTP/2.
    pub(super) fn request(&self, party: &Party) -> http::Request<Body> {
        let uri = format!("http://{}{}", party.host, self.path);
        let mut request = http::Request::builder().method(self.method.clone()).uri(uri);
        let login = self.as_whom(party).authorization().map(|login| ("authorization", login));
        for (name, value) in self.headers.iter().cloned().chain(login) {
            request = request.header(name, value);
        }
        if !self.whole.is_empty() {
            return request.body(full(self.whole.clone())).unwrap();
        }
        let body = Trickle { sent: self.sent, came: 0, due: self.sent.at_once, pause: None };
        request.body(body.boxed_unsync()).unwrap()
    }
}

/// A stopped or slow body.
struct Trickle {
    sent: Sent,
    came: usize,
    due: usize,
    pause: Option<Pin<Box<Sleep>>>,
}

impl HttpBody for Trickle {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            if self.came >= self.sent.announced {
                return Poll::Ready(None);
            }
            let due = self.due.min(self.sent.announced);
            if self.came < due {
                let part = (due - self.came).min(PIECE_BYTES);
                self.came += part;
                return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&PIECE[..part])))));
            }
            let Some((more, each)) = self.sent.trickle else { return Poll::Pending };
            let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(each)));
            std::task::ready!(pause.as_mut().poll(context));
            self.pause = None;
            self.due += more;
        }
    }

    fn is_end_stream(&self) -> bool {
        self.sent.announced == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.sent.announced - self.came) as u64)
    }
}
