//! An HTTP proxy as a network has one on its way out: CONNECT, and requests by their whole address.
//!
//! The proxy resolves names unknown to any resolver, demands a login on order, and records its
//! requests, so a test sees the way of a request.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use http::header::{CONNECTION, HOST, PROXY_AUTHORIZATION};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::http::{Body, Client, empty, full, streamed};

/// A running proxy. Dropping it closes its port and every connection.
#[derive(Debug)]
pub struct HttpProxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

/// A request to the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// `CONNECT HOST:PORT`, or `METHOD http://HOST/PATH`.
    pub line: String,
    /// The header `Proxy-Authorization`.
    pub login: Option<String>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    names: HashMap<String, SocketAddr>,
    login: Option<String>,
    asked: Vec<Asked>,
}

impl HttpProxy {
    /// A proxy on a port of the system's choice, without known names.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.context("cannot listen for a proxy")?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { addr, shared, _tasks: tasks })
    }

    /// `HOST:PORT` where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Sets the target of a name, on any port. Unknown names are answered 502.
    pub fn knows(&self, name: &str, target: SocketAddr) {
        self.shared.lock().names.insert(name.to_owned(), target);
    }

    /// Demands this `Proxy-Authorization`; a client without it is answered 407.
    pub fn wants(&self, login: &str) {
        self.shared.lock().login = Some(login.to_owned());
    }

    /// The requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.lock().asked.clone()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a request goes on to, or why it does not.
    fn admit(&self, request: &Request<Incoming>) -> Result<SocketAddr, StatusCode> {
        let mut state = self.lock();
        let login = request.headers().get(PROXY_AUTHORIZATION).and_then(|v| v.to_str().ok());
        let line = format!("{} {}", request.method(), request.uri());
        state.asked.push(Asked { line, login: login.map(str::to_owned) });
        if state.login.is_some() && state.login.as_deref() != login {
            return Err(StatusCode::PROXY_AUTHENTICATION_REQUIRED);
        }
        // A request without a host was not meant for a proxy.
        let host = request.uri().host().ok_or(StatusCode::BAD_REQUEST)?;
        state.names.get(host).copied().ok_or(StatusCode::BAD_GATEWAY)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            let _ = connection.with_upgrades().await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Body>, Infallible> {
    let refused = |status| {
        let mut answer = Response::new(full("refused by the proxy"));
        *answer.status_mut() = status;
        answer
    };
    let target = match shared.admit(&request) {
        Ok(target) => target,
        Err(status) => return Ok(refused(status)),
    };
    if request.method() != Method::CONNECT {
        let answered = hand_on(request, target).await;
        return Ok(answered.unwrap_or_else(|_| refused(StatusCode::BAD_GATEWAY)));
    }
    let Ok(mut there) = TcpStream::connect(target).await else {
        return Ok(refused(StatusCode::BAD_GATEWAY));
    };
    tokio::spawn(async move {
        if let Ok(here) = hyper::upgrade::on(request).await {
            let mut here = TokioIo::new(here);
            let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
        }
    });
    Ok(Response::new(empty()))
}

async fn hand_on(request: Request<Incoming>, target: SocketAddr) -> anyhow::Result<Response<Body>> {
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    if let Some(authority) = head.uri.authority() {
        head.headers.insert(HOST, authority.as_str().parse()?);
    }
    head.headers.remove(PROXY_AUTHORIZATION);
    head.headers.remove(CONNECTION);
    head.uri = format!("http://{target}{path}").parse()?;
    let (head, body) =
        Client::new().send(Request::from_parts(head, streamed(body))).await?.into_parts();
    let mut answer = Response::from_parts(head, streamed(body));
    answer.headers_mut().remove(CONNECTION);
    Ok(answer)
}
