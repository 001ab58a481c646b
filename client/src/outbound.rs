//! Outgoing connections: direct, or through the proxy that the environment names
//! (`outbound/proxies.rs`). Every HTTP client of a program is one of these.
//!
//! Invariants: TLS ends at the target, never at a proxy (RFC 9110 §9.3.6, CONNECT); a plain request
//! goes to the proxy with its whole address (RFC 9112 §3.2.2); only the proxy receives the proxy's
//! login.

pub mod proxies;
mod stream;
pub mod tls;
mod tunnel;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body::Body;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Builder, Client as Pool, ResponseFuture};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use proxies::{OutboundProxies, Proxy};

use stream::Stream;

pub use tunnel::ProxyError;

/// An error of any layer of a connection.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Connects to hosts by TCP: resolves names, and applies the egress policy where there is one.
pub trait Dial:
    Service<Uri, Response = TokioIo<TcpStream>, Error: Into<BoxError>, Future: Send + 'static>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<T> Dial for T where
    T: Service<Uri, Response = TokioIo<TcpStream>, Error: Into<BoxError>, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// How connections are made.
pub struct OutboundPath<D> {
    /// The outbound proxies.
    pub egress: Arc<OutboundProxies>,
    /// Where there is none.
    pub dial: D,
    /// The trusted authorities, for targets and for proxies that speak TLS.
    pub tls: rustls::ClientConfig,
    /// How long a connection to or through a proxy may take.
    pub connect_timeout: Duration,
    /// Whether HTTP/2 is offered over TLS.
    pub http2: bool,
    /// The program's name.
    pub user_agent: &'static str,
}

/// A client with its connections.
pub struct Client<D, B> {
    pool: Pool<HttpsConnector<Connector<D>>, B>,
    egress: Arc<OutboundProxies>,
}

impl<D, B> Clone for Client<D, B>
where
    D: Dial,
{
    fn clone(&self) -> Self {
        Self { pool: self.pool.clone(), egress: Arc::clone(&self.egress) }
    }
}

impl<D, B> std::fmt::Debug for Client<D, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("egress", &self.egress).finish_non_exhaustive()
    }
}

/// A dialler without an egress policy.
pub fn dial(connect_timeout: Duration) -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(connect_timeout));
    tcp
}

impl<D: Dial> OutboundPath<D> {
    /// A client with these settings; does not connect yet. Client and server negotiate the HTTP
    /// version (ALPN); plain connections use HTTP/1.1.
    pub fn client<B>(self, pool: &Builder) -> Client<D, B>
    where
        B: Body + Send,
        B::Data: Send,
    {
        let Self { egress, dial: direct, tls, connect_timeout, http2, user_agent } = self;
        let to_proxy = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls.clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(dial(connect_timeout));
        let connector = Connector {
            egress: Arc::clone(&egress),
            direct,
            to_proxy,
            timeout: connect_timeout,
            user_agent,
        };
        let encrypting = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls);
        let encrypting = encrypting.https_or_http();
        let connector = if http2 {
            encrypting.enable_all_versions().wrap_connector(connector)
        } else {
            encrypting.enable_http1().wrap_connector(connector)
        };
        Client { pool: pool.build(connector), egress }
    }
}

impl<D, B> Client<D, B>
where
    D: Dial,
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    /// Sends a request.
    pub fn request(&self, mut request: Request<B>) -> ResponseFuture {
        let is_plain = request.uri().scheme_str() == Some("http");
        let proxy = self.egress.proxy_for(request.uri()).filter(|_| is_plain);
        // A tunnel hides the request from the proxy; a plain request carries the login for it.
        if let Some(value) = proxy.and_then(Proxy::authorization) {
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, value.clone());
        }
        self.pool.request(request)
    }
}

/// Makes the connection below TLS.
#[derive(Clone)]
struct Connector<D> {
    egress: Arc<OutboundProxies>,
    direct: D,
    to_proxy: HttpsConnector<HttpConnector>,
    timeout: Duration,
    user_agent: &'static str,
}

impl<D: Dial> Service<Uri> for Connector<D> {
    type Response = Stream;
    type Error = BoxError;
    type Future = Connecting<Stream>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.direct.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Connecting<Stream> {
        let Some(proxy) = self.egress.proxy_for(&uri).cloned() else {
            let connecting = self.direct.call(uri);
            return Box::pin(
                async move { connecting.await.map(Stream::Direct).map_err(Into::into) },
            );
        };
        let (connecting, timeout) = (self.to_proxy.call(proxy.uri().clone()), self.timeout);
        let user_agent = self.user_agent;
        Box::pin(async move {
            let connected = async {
                let stream = connecting
                    .await
                    .map_err(|source| ProxyError::Unreachable { proxy: proxy.clone(), source })?;
                if uri.scheme_str() == Some("http") {
                    return Ok(Stream::Forwarding(Box::new(stream)));
                }
                let tunnel = tunnel::open(stream, &uri, &proxy, user_agent).await?;
                Ok(Stream::Tunnel(tunnel))
            };
            let connected = tokio::time::timeout(timeout, connected).await;
            connected.unwrap_or_else(|_| Err(ProxyError::Late { proxy: proxy.clone() }.into()))
        })
    }
}

/// A body without bytes.
type Nothing = http_body_util::Empty<Bytes>;

#[cfg(test)]
mod tests;
