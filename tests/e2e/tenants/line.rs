//! A party, and one connection of it to `wharfd`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};
use wharf_testkit::http::{ANSWER_BYTES_MAX, Answer, Body, read_to_limit};

use super::ground::Protocol;

/// Longer than any successful request here.
pub(super) const HUNG: Duration = Duration::from_secs(20);
/// The smallest buffer in the kernel for a hostile party's unread bytes.
const UNREAD_BYTES: u32 = 4 * 1024;

/// One of the three.
#[derive(Clone)]
pub(super) struct Party {
    pub(super) name: String,
    pub(super) source: IpAddr,
    /// Name and password, where access is not open.
    pub(super) login: Option<(String, String)>,
    pub(super) host: String,
    pub(super) protocol: Protocol,
}

impl Party {
    /// The same party with another login.
    pub(super) fn showing(&self, user: &str, password: &str) -> Self {
        Self { login: Some((user.to_owned(), password.to_owned())), ..self.clone() }
    }

    /// Its credentials.
    pub(super) fn authorization(&self) -> Option<String> {
        let (user, password) = self.login.as_ref()?;
        Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
    }

    /// A connection from its address; a small one holds next to nothing in the kernel.
    pub(super) async fn connect(&self, small: bool) -> anyhow::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if small {
            socket.set_recv_buffer_size(UNREAD_BYTES)?;
        }
        socket.bind(SocketAddr::new(self.source, 0))?;
        let stream = timeout(HUNG, socket.connect(self.host.parse()?)).await??;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

/// One connection; it ends with this.
pub(super) struct Line {
    party: Party,
    sender: Sender,
    driver: AbortHandle,
    /// The slowest request on it, and its time.
    pub(super) slowest: (Duration, &'static str),
}

impl Line {
    /// As an ordinary client has it.
    pub(super) async fn open(party: &Party) -> anyhow::Result<Self> {
        Self::with_window(party, None).await
    }

    /// An HTTP/2 connection with every body unread.
    pub(super) async fn unread(party: &Party) -> anyhow::Result<Self> {
        Self::with_window(party, Some(0)).await
    }

    async fn with_window(party: &Party, window: Option<u32>) -> anyhow::Result<Self> {
        let began = Instant::now();
        let io = TokioIo::new(party.connect(false).await?);
        let (sender, driver) = match party.protocol {
            Protocol::Http1 => {
                let (sender, driver) = timeout(HUNG, http1::handshake(io)).await??;
                (Sender::Http1(sender), tokio::spawn(async { drop(driver.await) }))
            }
            Protocol::Http2 => {
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder.initial_stream_window_size(window);
                let (sender, driver) = timeout(HUNG, builder.handshake(io)).await??;
                (Sender::Http2(sender), tokio::spawn(async { drop(driver.await) }))
            }
        };
        let slowest = (began.elapsed(), "connecting");
        Ok(Self { party: party.clone(), sender, driver: driver.abort_handle(), slowest })
    }

    /// A request without its body.
    pub(super) fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let host = &self.party.host;
        let request = match self.party.protocol {
            Protocol::Http1 => Request::builder().uri(path).header("host", host),
            Protocol::Http2 => Request::builder().uri(format!("http://{host}{path}")),
        };
        let login = self.party.authorization();
        login.iter().fold(request.method(method), |call, login| call.header("authorization", login))
    }

    /// Sends a request; the head of its answer.
    pub(super) async fn start(
        &mut self,
        request: Request<Body>,
    ) -> anyhow::Result<Response<Incoming>> {
        let started = async {
            Ok::<_, hyper::Error>(match &mut self.sender {
                Sender::Http1(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await?
                }
                Sender::Http2(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await?
                }
            })
        };
        Ok(timeout(HUNG, started).await.context("hung")??)
    }

    /// A clone of the sender of an HTTP/2 connection, for requests beside each other.
    pub(super) fn streams(&self) -> http2::SendRequest<Body> {
        match &self.sender {
            Sender::Http2(sender) => sender.clone(),
            Sender::Http1(_) => panic!("HTTP/1.1 has one request at a time"),
        }
    }

    /// Sends a request; its answer, whole.
    pub(super) async fn send(&mut self, request: Request<Body>) -> anyhow::Result<Answer> {
        let (parts, body) = self.start(request).await?.into_parts();
        let body = timeout(HUNG, read_to_limit(body, ANSWER_BYTES_MAX)).await.context("hung")??;
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
