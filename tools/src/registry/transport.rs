//! One HTTP request and its answer: connections, TLS, and time limits on silence instead of on the
//! whole. This module decides no retry, no authentication and no redirect.
//!
//! Invariant: a body is sent with its exact length, never chunked, because registries refuse an
//! upload without one; and no address leaves here with its query, a possible secret.

use std::collections::BTreeSet;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::mpsc;
use wharf_client::outbound;
use wharf_client::outbound::OutboundPath;
use wharf_client::outbound::proxies::OutboundProxies;

use super::error::RegistryError;
use super::unreachable;

/// How we introduce ourselves.
const USER_AGENT: &str = concat!("wharf/", env!("CARGO_PKG_VERSION"));

/// How many hosts are remembered: the registry, its token service, where its blobs are.
const ANSWERED_MAX: usize = 64;

/// How much of a body is handed over at once; progress is seen in these steps.
const PIECE_BYTES: usize = 128 * 1024;

/// How much of an answer one connection holds; many are open at once.
const READ_BYTES: usize = 128 * 1024;

/// Limits on silence.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    pub connect: Duration,
    /// Without a byte in either direction.
    pub idle: Duration,
    /// From the last byte sent to the first byte of the answer; registries move whole layers then.
    pub answer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(20),
            idle: Duration::from_mins(1),
            answer: Duration::from_mins(5),
        }
    }
}

/// The client of one registry.
pub(super) struct Transport {
    client: outbound::Client<HttpConnector, Pieces>,
    timeouts: Timeouts,
    /// The hosts of this run's answers: a failure of one of them is temporary, a failure of another
    /// host is a mistake.
    answered: Mutex<BTreeSet<String>>,
    /// How often a host without any answer hung up.
    hung_up: AtomicU64,
}

impl Transport {
    /// A client with trust in the system's certificates and those in `ca_file`. It connects through these
    /// proxies.
    pub(super) fn new(
        ca_file: Option<&Path>,
        timeouts: Timeouts,
        proxies: Arc<OutboundProxies>,
    ) -> Result<Self, RegistryError> {
        let path = OutboundPath {
            egress: proxies,
            dial: outbound::dial(timeouts.connect),
            tls: tls_config(ca_file)?,
            connect_timeout: timeouts.connect,
            http2: false,
            user_agent: USER_AGENT,
        };
        let mut pool = Client::builder(TokioExecutor::new());
        pool.pool_timer(TokioTimer::new()).pool_idle_timeout(Duration::from_secs(30));
        pool.http1_max_buf_size(READ_BYTES);
        let client = path.client(&pool);
        Ok(Self { client, timeouts, answered: Mutex::default(), hung_up: AtomicU64::new(0) })
    }

    /// Sends one request; any status is an answer.
    pub(super) async fn send(
        &self,
        method: &Method,
        uri: &Uri,
        headers: HeaderMap,
        body: impl Into<Pieces> + Send,
    ) -> Result<Response<Incoming>, RegistryError> {
        let failed = |reason: String| RegistryError::Network {
            method: method.clone(),
            url: shown(uri),
            reason,
        };
        let body: Pieces = body.into();
        let (sent, size_bytes) = (Arc::clone(&body.sent), body.due_bytes);
        let mut request = Request::new(body);
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = headers;
        request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        if matches!(*method, Method::POST | Method::PUT | Method::PATCH) {
            request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(size_bytes));
        }
        let mut answer = std::pin::pin!(self.client.request(request));
        let mut seen = 0;
        loop {
            let limit = if seen == size_bytes { self.timeouts.answer } else { self.timeouts.idle };
            match tokio::time::timeout(limit, &mut answer).await {
                Ok(Ok(response)) => return self.met(uri, response),
                Ok(Err(error)) => {
                    let advice = if self.is_new(uri) { self.advice(uri, &error) } else { None };
                    return Err(match advice {
                        None => failed(causes(&error)),
                        Some(advice) => RegistryError::Unreachable {
                            url: shown(uri),
                            reason: causes(&error),
                            advice,
                        },
                    });
                }
                Err(_) => {
                    let moved = sent.load(Ordering::Relaxed);
                    if moved == seen {
                        let (method, url) = (method.clone(), shown(uri));
                        return Err(RegistryError::Stalled { method, url, idle: limit });
                    }
                    seen = moved;
                }
            }
        }
    }

    /// Advice about a host without any answer. A host hanging up on plain HTTP gets a second
    /// request, because connections break; after that it counts as one for TLS.
    fn advice(&self, uri: &Uri, error: &legacy::Error) -> Option<&'static str> {
        let hangs_up = uri.scheme_str() == Some("http") && unreachable::hangs_up(error);
        if hangs_up && self.hung_up.fetch_add(1, Ordering::Relaxed) > 0 {
            return Some(unreachable::SPEAKS_TLS);
        }
        unreachable::advice(error)
    }

    fn is_new(&self, uri: &Uri) -> bool {
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        uri.authority().is_none_or(|authority| !answered.contains(authority.as_str()))
    }

    /// Notes the host of an answer. Servers for TLS answer 400 to plain HTTP.
    fn met(
        &self,
        uri: &Uri,
        response: Response<Incoming>,
    ) -> Result<Response<Incoming>, RegistryError> {
        let is_plain = uri.scheme_str() == Some("http");
        let is_registry = response.headers().contains_key(unreachable::API_VERSION);
        if is_plain
            && response.status() == StatusCode::BAD_REQUEST
            && !is_registry
            && self.is_new(uri)
        {
            return Err(RegistryError::Unreachable {
                url: shown(uri),
                reason: "it answered 400 to plain HTTP".to_owned(),
                advice: unreachable::SPEAKS_TLS,
            });
        }
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        if answered.len() < ANSWERED_MAX {
            answered.extend(uri.authority().map(ToString::to_string));
        }
        Ok(response)
    }

    /// Reads the next piece of an answer; `None` at its end.
    pub(super) async fn piece(
        &self,
        uri: &Uri,
        body: &mut Incoming,
    ) -> Result<Option<Bytes>, RegistryError> {
        loop {
            let idle = self.timeouts.idle;
            let frame = tokio::time::timeout(idle, body.frame()).await.map_err(|_| {
                RegistryError::Stalled { method: Method::GET, url: shown(uri), idle }
            })?;
            match frame {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => {
                    let (url, reason) = (shown(uri), causes(&error));
                    return Err(RegistryError::Network { method: Method::GET, url, reason });
                }
            }
        }
    }

    /// Reads a whole answer; `None` when it has more than `limit_bytes`.
    pub(super) async fn whole(
        &self,
        uri: &Uri,
        body: &mut Incoming,
        limit_bytes: usize,
    ) -> Result<Option<Bytes>, RegistryError> {
        let mut whole = BytesMut::new();
        while let Some(piece) = self.piece(uri, body).await? {
            if whole.len() + piece.len() > limit_bytes {
                return Ok(None);
            }
            whole.extend_from_slice(&piece);
        }
        Ok(Some(whole.freeze()))
    }
}

/// A body at hand, or on its way from elsewhere, given out in pieces for visible progress.
pub(super) struct Pieces {
    left: Bytes,
    more: Option<mpsc::Receiver<Bytes>>,
    /// How many bytes are still to be given out.
    due_bytes: u64,
    sent: Arc<AtomicU64>,
}

impl From<Bytes> for Pieces {
    fn from(left: Bytes) -> Self {
        let due_bytes = left.len() as u64;
        Self { left, more: None, due_bytes, sent: Arc::default() }
    }
}

impl Pieces {
    /// A body of this many bytes, which come in pieces. The request breaks off when the sender goes
    /// before all of them came.
    pub(super) fn streamed(due_bytes: u64, more: mpsc::Receiver<Bytes>) -> Self {
        Self { left: Bytes::new(), more: Some(more), due_bytes, sent: Arc::default() }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.due_bytes == 0 {
            return Poll::Ready(None);
        }
        if self.left.is_empty() {
            let more = self.more.as_mut().map(|more| more.poll_recv(context));
            match more {
                Some(Poll::Pending) => return Poll::Pending,
                Some(Poll::Ready(Some(piece))) => self.left = piece,
                Some(Poll::Ready(None)) | None => {
                    let error = std::io::Error::other("the source of the body ended early");
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        let length = self.left.len().min(PIECE_BYTES);
        let piece = self.left.split_to(length);
        self.due_bytes = self.due_bytes.saturating_sub(length as u64);
        self.sent.fetch_add(length as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.due_bytes == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.due_bytes)
    }
}

/// An address as messages show it: without its query and without a user.
pub(super) fn shown(uri: &Uri) -> String {
    let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{}://{host}{}", uri.scheme_str().unwrap_or("https"), uri.path())
}

/// An error with everything behind it: the outermost one only says a request failed.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.ends_with(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

fn tls_config(ca_file: Option<&Path>) -> Result<ClientConfig, RegistryError> {
    let refuse = |reason: String| RegistryError::Tls { reason };
    let mut roots = RootCertStore::empty();
    // A machine without certificates can still speak plain HTTP, or trust the file alone.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let unreadable = |error| refuse(format!("cannot read {}: {error}", path.display()));
        let before = roots.len();
        let file = crate::input::open(path)
            .map_err(|error| refuse(format!("cannot read {}: {error}", path.display())))?;
        for certificate in CertificateDer::pem_reader_iter(std::io::BufReader::new(file)) {
            let certificate = certificate.map_err(unreadable)?;
            roots.add(certificate).map_err(|error| {
                refuse(format!("{} has a certificate that is not valid: {error}", path.display()))
            })?;
        }
        if roots.len() == before {
            return Err(refuse(format!("{} has no certificate", path.display())));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
