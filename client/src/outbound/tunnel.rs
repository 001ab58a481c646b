//! A tunnel through a proxy, which cannot read the traffic inside: CONNECT (RFC 9110 §9.3.6).

use http::{Request, StatusCode, Uri, header};
use hyper::client::conn::http1;
use hyper::rt::{Read, Write};
use hyper::upgrade::Upgraded;

use super::proxies::Proxy;
use super::{BoxError, Nothing};

/// The failures to open a tunnel.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The proxy is unreachable.
    #[error("the proxy {proxy} cannot be reached")]
    Unreachable {
        /// The proxy.
        proxy: Proxy,
        /// The cause.
        source: BoxError,
    },
    /// The peer does not speak HTTP as a proxy.
    #[error("the proxy {proxy} does not open a way to {target}")]
    Broken {
        /// The proxy.
        proxy: Proxy,
        /// The target: `HOST:PORT`.
        target: String,
        /// The protocol error.
        source: hyper::Error,
    },
    /// The proxy demands a login, or refuses the given one.
    #[error(
        "the proxy {proxy} wants a login, or refused its own ({status}); write it into the variable: \
         http://USER:PASSWORD@HOST:PORT"
    )]
    Login {
        /// The proxy.
        proxy: Proxy,
        /// The proxy's status.
        status: StatusCode,
    },
    /// The proxy refuses this target.
    #[error(
        "the proxy {proxy} answered {status} for {target}; if it is reached without, add it to NO_PROXY"
    )]
    Refused {
        /// The proxy.
        proxy: Proxy,
        /// The target: `HOST:PORT`.
        target: String,
        /// The proxy's status.
        status: StatusCode,
    },
    /// The tunnel did not open in time.
    #[error("the proxy {proxy} opened no way in time")]
    Late {
        /// The proxy.
        proxy: Proxy,
    },
}

/// Opens a tunnel to the host of an encrypted address, on a connection to the proxy.
pub(super) async fn open<S>(
    stream: S,
    uri: &Uri,
    proxy: &Proxy,
    user_agent: &'static str,
) -> Result<Upgraded, BoxError>
where
    S: Read + Write + Unpin + Send + 'static,
{
    let target = format!("{}:{}", uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(443));
    let broken =
        |source| ProxyError::Broken { proxy: proxy.clone(), target: target.clone(), source };
    let (mut sender, connection) = http1::handshake(stream).await.map_err(broken)?;
    // The task ends with the sender, or gives the stream back.
    tokio::spawn(connection.with_upgrades());
    let mut request = Request::connect(&target)
        .header(header::HOST, &target)
        .header(header::USER_AGENT, user_agent)
        .body(Nothing::new())?;
    if let Some(value) = proxy.authorization() {
        request.headers_mut().insert(header::PROXY_AUTHORIZATION, value.clone());
    }
    let answer = sender.send_request(request).await.map_err(broken)?;
    match answer.status() {
        status if status.is_success() => Ok(hyper::upgrade::on(answer).await.map_err(broken)?),
        // Some proxies answer 401, a status that only the target itself may send.
        status @ (StatusCode::PROXY_AUTHENTICATION_REQUIRED | StatusCode::UNAUTHORIZED) => {
            Err(ProxyError::Login { proxy: proxy.clone(), status }.into())
        }
        status => Err(ProxyError::Refused { proxy: proxy.clone(), target, status }.into()),
    }
}
