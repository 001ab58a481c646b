//! A small HTTP/1.1 client and the one body type of the testkit.
//!
//! The client follows no redirect, retries nothing and adds no header beyond HTTP's own demands, so
//! a test sees exactly the server's response. Bodies stream; collected bodies have a limit.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as PooledClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// The largest response for a test to read at once.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Idle connections are closed sooner than any server behind this client closes them.
const IDLE: Duration = Duration::from_secs(4);

/// Hyper's error type for every body.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A request or answer body: whole or streamed, with one type.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A complete body; its length is sent as `Content-Length`.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body without a byte.
pub fn empty() -> Body {
    full(Bytes::new())
}

/// A body streamed from another connection.
pub fn streamed(incoming: Incoming) -> Body {
    incoming.map_err(Into::into).boxed_unsync()
}

/// A body of unknown length, sent with `Transfer-Encoding: chunked`.
pub fn chunked(parts: Vec<Bytes>) -> Body {
    Chunked { parts: parts.into() }.boxed_unsync()
}

struct Chunked {
    parts: std::collections::VecDeque<Bytes>,
}

impl hyper::body::Body for Chunked {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, BoxError>>> {
        std::task::Poll::Ready(
            self.parts.pop_front().map(|part| Ok(hyper::body::Frame::data(part))),
        )
    }
}

/// A body broken before its end, with the bytes received until then.
#[derive(Debug)]
pub struct BrokenBody {
    /// The bytes received before the failure.
    pub received: Bytes,
    /// Why the rest did not arrive.
    pub source: BoxError,
}

impl fmt::Display for BrokenBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the body broke after {} bytes: {}", self.received.len(), self.source)
    }
}

impl Error for BrokenBody {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

/// Reads a body whole. A body over `limit` bytes is a failure, and so is a broken body.
pub async fn read_to_limit<B>(mut body: B, limit: usize) -> Result<Bytes, BrokenBody>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let mut received = BytesMut::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                let Ok(data) = frame.into_data() else {
                    continue;
                };
                if received.len() + data.len() > limit {
                    let source = format!("more than the allowed {limit} bytes").into();
                    return Err(BrokenBody { received: received.freeze(), source });
                }
                received.extend_from_slice(&data);
            }
            Err(error) => {
                return Err(BrokenBody { received: received.freeze(), source: error.into() });
            }
        }
    }
    Ok(received.freeze())
}

/// An answer with its whole body.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: StatusCode,
    /// The response's headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Answer {
    /// The value of a header, or the empty text when it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as JSON.
    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("body is not JSON: {:?}", self.text()))
    }

    /// The body as text, with invalid UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A client with kept-alive connections; clones share them.
#[derive(Clone, Debug)]
pub struct Client {
    inner: PooledClient<HttpConnector, Body>,
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// A client without any connection yet.
    pub fn new() -> Self {
        Self::coming_from(None)
    }

    /// A client with connections from this address of the machine.
    pub fn from_address(address: IpAddr) -> Self {
        Self::coming_from(Some(address))
    }

    fn coming_from(address: Option<IpAddr>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_local_address(address);
        let inner = PooledClient::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Self { inner }
    }

    /// Starts a request to an absolute `http://` address.
    pub fn call(&self, method: Method, url: impl Into<String>) -> Call<'_> {
        Call { client: self, method, url: url.into(), headers: HeaderMap::new(), body: empty() }
    }

    /// Starts a GET.
    pub fn get(&self, url: impl Into<String>) -> Call<'_> {
        self.call(Method::GET, url)
    }

    /// Starts a HEAD.
    pub fn head(&self, url: impl Into<String>) -> Call<'_> {
        self.call(Method::HEAD, url)
    }

    /// Starts a POST.
    pub fn post(&self, url: impl Into<String>) -> Call<'_> {
        self.call(Method::POST, url)
    }

    /// Starts a PATCH.
    pub fn patch(&self, url: impl Into<String>) -> Call<'_> {
        self.call(Method::PATCH, url)
    }

    /// Starts a PUT.
    pub fn put(&self, url: impl Into<String>) -> Call<'_> {
        self.call(Method::PUT, url)
    }

    /// Sends a request as it is and hands back the answer as soon as its head has arrived.
    pub async fn send(&self, request: Request<Body>) -> anyhow::Result<Response<Incoming>> {
        let what = format!("{} {}", request.method(), request.uri());
        self.inner.request(request).await.with_context(|| format!("no answer to {what}"))
    }
}

/// A request in the making.
#[derive(Debug)]
#[must_use = "a call does nothing before it is sent"]
pub struct Call<'a> {
    client: &'a Client,
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Body,
}

impl Call<'_> {
    /// Adds a header. Names and values come from tests, so a malformed one is a broken test.
    pub fn header(mut self, name: &str, value: impl AsRef<str>) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a test's header name is valid");
        let value = HeaderValue::from_str(value.as_ref()).expect("a test's header value is valid");
        self.headers.append(name, value);
        self
    }

    /// Adds Basic credentials.
    pub fn basic(self, username: &str, password: &str) -> Self {
        let pair = STANDARD.encode(format!("{username}:{password}"));
        self.header(AUTHORIZATION.as_str(), format!("Basic {pair}"))
    }

    /// Adds a bearer token.
    pub fn bearer(self, token: &str) -> Self {
        self.header(AUTHORIZATION.as_str(), format!("Bearer {token}"))
    }

    /// Sets the body.
    pub fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// Sets the body to these bytes.
    pub fn bytes(self, bytes: impl Into<Bytes>) -> Self {
        self.body(full(bytes))
    }

    /// Sets the body to a form.
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let text = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.header("content-type", "application/x-www-form-urlencoded").bytes(text)
    }

    /// Sends the request and hands back the answer's head; the body streams.
    pub async fn start(self) -> anyhow::Result<Response<Incoming>> {
        let mut request = Request::builder()
            .method(self.method)
            .uri(&self.url)
            .body(self.body)
            .with_context(|| format!("{:?} is not an address", self.url))?;
        *request.headers_mut() = self.headers;
        self.client.send(request).await
    }

    /// Sends the request and reads the whole response. A broken body fails with [`BrokenBody`].
    pub async fn send(self) -> anyhow::Result<Answer> {
        let (parts, body) = self.start().await?.into_parts();
        let body = read_to_limit(body, ANSWER_BYTES_MAX).await?;
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }
}
