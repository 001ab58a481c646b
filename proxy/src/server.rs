//! Connections: accept, bound, time out, drain. What is said of each request is in `account.rs`.
//!
//! Invariant: at most `CONNECTIONS_MAX` connections are served; when told to stop, none is accepted
//! and those that are open may finish until the deadline.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use rustix::net::sockopt::set_socket_send_buffer_size;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tracing::Instrument as _;

use crate::Error;
use crate::access::Caller;
use crate::account::{Account, Accounted, Notes};
use crate::error::Fault;
use crate::handlers::{self, App, Call};
use crate::limits::{
    CLIENT_READ_BYTES, CONNECTIONS_MAX, HEADERS_TIMEOUT, LOOPBACK_SEND_BYTES,
    REFUSED_BODY_BYTES_MAX, REFUSED_BODY_TIMEOUT,
};
use crate::live::Rules;
use crate::response::{self, Answer};
use crate::route;

/// What a listener serves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The registry.
    Registry,
    /// Health and metrics.
    Admin,
}

/// Serves until `stop` says so, then until every connection is done or the deadline has passed.
pub(crate) async fn serve(
    listener: TcpListener,
    purpose: Purpose,
    app: Arc<App>,
    mut stop: watch::Receiver<bool>,
    deadline: Duration,
) {
    let graceful = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let permit = Arc::clone(&permits).acquire_owned();
        let permit = tokio::select! {
            permit = permit => permit.expect("the semaphore is never closed"),
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file handles, most often: the permit's drop and this pause let some go.
                tracing::error!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let connection = Connection { purpose, app: Arc::clone(&app), peer };
        let served = connection.serve(stream, &graceful);
        let app = Arc::clone(&app);
        tokio::spawn(async move {
            let counted = (purpose == Purpose::Registry).then(|| app.metrics.connection());
            served.await;
            drop((counted, permit));
        });
    }
    drop(listener);
    if tokio::time::timeout(deadline, graceful.shutdown()).await.is_err() {
        tracing::warn!(?deadline, "transfers were cut off at the deadline");
    }
}

#[derive(Clone)]
struct Connection {
    purpose: Purpose,
    app: Arc<App>,
    peer: SocketAddr,
}

impl Connection {
    fn serve(
        self,
        stream: TcpStream,
        graceful: &GracefulShutdown,
    ) -> impl Future<Output = ()> + Send + 'static {
        let _ = stream.set_nodelay(true);
        if self.peer.ip().is_loopback() {
            let _ = set_socket_send_buffer_size(&stream, LOOPBACK_SEND_BYTES);
        }
        let service = service_fn(move |request| {
            let connection = self.clone();
            async move { Ok::<_, Infallible>(connection.answer(request).await) }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_TIMEOUT);
        builder.http1().max_buf_size(CLIENT_READ_BYTES);
        builder.http2().timer(TokioTimer::new());
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let watched = graceful.watch(connection);
        async move {
            if let Err(error) = watched.await {
                tracing::debug!(error, "a connection ended early");
            }
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Accounted> {
        let (parts, mut body) = request.into_parts();
        if self.purpose == Purpose::Admin {
            let answer = handlers::admin(&self.app, &parts.method, parts.uri.path()).await;
            return answer.map(Accounted::nobodys);
        }
        let rules = self.app.live.rules();
        let client = rules.proxies.client(self.peer.ip(), &parts.headers);
        let trusted = rules.proxies.trusts(self.peer.ip());
        let mut account = Account::open(&self.app, &parts, (self.peer, client), trusted);
        let span = account.span();
        // On the heap: what a handler needs is large, and would be moved with every layer around it.
        let work = Box::pin(self.work(&parts, &mut body, rules, &mut account));
        let answer = work.instrument(span).await;
        account.answered(answer)
    }

    async fn work(
        &self,
        parts: &Parts,
        body: &mut Incoming,
        rules: Arc<Rules>,
        account: &mut Account,
    ) -> Answer {
        let answered = match rules.access.authenticate(&parts.headers).await {
            Ok(caller) => {
                let call = read_call(parts, account, caller, rules);
                let notes = &mut account.notes;
                match call {
                    Ok(call) => handlers::dispatch(&self.app, call, body, notes).await,
                    Err(error) => Err(error),
                }
            }
            Err(error) => Err(error),
        };
        // What nobody read is read away, also after a success: the connection would be closed under the
        // next request. Whoever waits for "100 Continue" has sent nothing yet; reading would ask for it.
        if !body.is_end_stream() && !parts.headers.contains_key(http::header::EXPECT) {
            let _ = tokio::time::timeout(REFUSED_BODY_TIMEOUT, discard(body)).await;
        }
        answered.unwrap_or_else(|error| {
            let bound = match &error {
                Error::TooMany(what) => Some(*what),
                _ => None,
            };
            self.app.metrics.fault(error.fault(), bound);
            let id = account.id();
            // What holds clients back is said once, by whoever found out.
            if error.fault() == Fault::Client || error.is_held_back() {
                tracing::debug!(id, %error, "refused");
            } else {
                tracing::error!(id, %error, "failed");
            }
            response::error(&error)
        })
    }
}

fn read_call(
    parts: &Parts,
    account: &mut Account,
    caller: Caller,
    rules: Arc<Rules>,
) -> Result<Call, Error> {
    account.notes.caller = Some(caller.clone());
    let route = route::parse(&parts.method, parts.uri.path(), parts.uri.query())?;
    account.notes.route = Notes::class(&route);
    let namespace = route::namespace(parts.uri.query())?;
    account.notes.namespace.clone_from(&namespace);
    let client = account.client();
    Ok(Call { route, namespace, headers: parts.headers.clone(), client, caller, rules })
}

/// Reads what is left of a body, up to the bound.
async fn discard(body: &mut Incoming) {
    let mut bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        if bytes > REFUSED_BODY_BYTES_MAX {
            return;
        }
    }
}
