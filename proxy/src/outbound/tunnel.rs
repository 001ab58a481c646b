//! A way through a proxy that it does not look into: CONNECT (RFC 9110 §9.3.6).

use http::{Request, StatusCode, Uri, header};
use hyper::client::conn::http1;
use hyper::rt::{Read, Write};
use hyper::upgrade::Upgraded;

use super::USER_AGENT;
use super::{BoxError, Nothing};
use crate::settings::outbound_proxy::Proxy;

/// Why there is no way through a proxy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    /// No connection to it.
    #[error("the proxy {proxy} cannot be reached")]
    Unreachable {
        /// Which.
        proxy: Proxy,
        /// Why.
        source: BoxError,
    },
    /// It does not answer as a proxy does.
    #[error("the proxy {proxy} does not open a way to {target}")]
    Broken {
        /// Which.
        proxy: Proxy,
        /// `HOST:PORT`.
        target: String,
        /// How it shows.
        source: hyper::Error,
    },
    /// It wants another login, or one at all.
    #[error(
        "the proxy {proxy} wants a login, or refused its own ({status}); write it into the variable: \
         http://USER:PASSWORD@HOST:PORT"
    )]
    Login {
        /// Which.
        proxy: Proxy,
        /// What it said.
        status: StatusCode,
    },
    /// It does not let this pass.
    #[error(
        "the proxy {proxy} answered {status} for {target}; if it is reached without, add it to NO_PROXY"
    )]
    Refused {
        /// Which.
        proxy: Proxy,
        /// `HOST:PORT`.
        target: String,
        /// What it said.
        status: StatusCode,
    },
    /// It takes too long.
    #[error("the proxy {proxy} opened no way in time")]
    Late {
        /// Which.
        proxy: Proxy,
    },
}

/// Asks the proxy at the other end for a way to the host of an encrypted address.
pub(super) async fn open<S>(stream: S, uri: &Uri, proxy: &Proxy) -> Result<Upgraded, BoxError>
where
    S: Read + Write + Unpin + Send + 'static,
{
    let target = format!("{}:{}", uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(443));
    let broken =
        |source| ProxyError::Broken { proxy: proxy.clone(), target: target.clone(), source };
    let (mut sender, connection) = http1::handshake(stream).await.map_err(broken)?;
    // It ends with the sender, or hands its stream over.
    tokio::spawn(connection.with_upgrades());
    let mut request = Request::connect(&target)
        .header(header::HOST, &target)
        .header(header::USER_AGENT, USER_AGENT)
        .body(Nothing::new())?;
    if let Some(value) = proxy.authorization() {
        request.headers_mut().insert(header::PROXY_AUTHORIZATION, value.clone());
    }
    let answer = sender.send_request(request).await.map_err(broken)?;
    match answer.status() {
        status if status.is_success() => Ok(hyper::upgrade::on(answer).await.map_err(broken)?),
        // Some proxies say 401, which only who is asked through them could.
        status @ (StatusCode::PROXY_AUTHENTICATION_REQUIRED | StatusCode::UNAUTHORIZED) => {
            Err(ProxyError::Login { proxy: proxy.clone(), status }.into())
        }
        status => Err(ProxyError::Refused { proxy: proxy.clone(), target, status }.into()),
    }
}
