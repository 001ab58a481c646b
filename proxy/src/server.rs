//! Connections: accept, bound, time out, drain. One log line and one metric per request.
//!
//! Invariant: at most `CONNECTIONS_MAX` connections are served; when told to stop, none is accepted
//! and those that are open may finish until the deadline.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::{HeaderName, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, Request};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use rustix::net::sockopt::set_socket_send_buffer_size;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::Error;
use crate::access::{Caller, TOKEN_PATH, Way};
use crate::error::Fault;
use crate::handlers::{self, App, Call};
use crate::limits::{
    CLIENT_READ_BYTES, CONNECTIONS_MAX, HEADERS_TIMEOUT, LAST_BODIES_TIMEOUT, LOOPBACK_SEND_BYTES,
    REFUSED_BODY_BYTES_MAX, REFUSED_BODY_TIMEOUT,
};
use crate::live::Rules;
use crate::response::{self, API_VERSION, Answer, WHARF_CACHE};
use crate::route;

/// What a listener serves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The registry.
    Registry,
    /// Health and metrics.
    Admin,
}

/// Which request a log line is about.
static REQUESTS: AtomicU64 = AtomicU64::new(1);

/// The connections of a listener.
pub(crate) struct Connections(Arc<Semaphore>);

impl Connections {
    /// Waits until all are over, not longer than this.
    pub(crate) async fn over(self, at_most: Duration) {
        let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout(at_most, self.0.acquire_many(all)).await;
    }
}

/// Serves until `stop` says so, then until every connection is done or the deadline has passed. Those
/// that are left end after their request.
pub(crate) async fn serve(
    listener: TcpListener,
    purpose: Purpose,
    app: Arc<App>,
    mut stop: watch::Receiver<bool>,
    deadline: Duration,
) -> Connections {
    let graceful = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let stopping = stop.clone();
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
        let connection =
            Connection { purpose, app: Arc::clone(&app), stop: stopping.clone(), peer };
        let served = connection.serve(stream, &graceful);
        tokio::spawn(async move {
            served.await;
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(deadline, graceful.shutdown()).await.is_err() {
        tracing::warn!(?deadline, "transfers were cut off at the deadline");
    }
    Connections(permits)
}

#[derive(Clone)]
struct Connection {
    purpose: Purpose,
    app: Arc<App>,
    stop: watch::Receiver<bool>,
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

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let started = Instant::now();
        let id = REQUESTS.fetch_add(1, Ordering::Relaxed);
        let (parts, mut body) = request.into_parts();
        if self.purpose == Purpose::Admin {
            let draining = *self.stop.borrow();
            return handlers::admin(&self.app, &parts.method, parts.uri.path(), draining).await;
        }
        let rules = self.app.live.rules();
        let client = rules.proxies.client(self.peer.ip(), &parts.headers);
        let mut namespace = None;
        let answered = if parts.uri.path() == TOKEN_PATH && rules.access.gives_tokens() {
            handlers::token(&self.app, &rules.access, client, &parts, &mut body).await
        } else {
            let caller = rules.access.authenticate(&parts.headers, client).await;
            let call =
                caller.and_then(|caller| read_call(&parts, client, caller, Arc::clone(&rules)));
            namespace = call.as_ref().ok().and_then(|call| call.namespace.clone());
            match call {
                Ok(call) => handlers::dispatch(&self.app, call, &mut body).await,
                Err(error) => Err(error),
            }
        };
        // What nobody read is read away, also after a success: the connection would be closed under the
        // next request. Whoever waits for "100 Continue" has sent nothing yet; reading would ask for it.
        if !body.is_end_stream() && !parts.headers.contains_key(http::header::EXPECT) {
            let stops = matches!(answered, Err(Error::Stopping));
            let time = if stops { LAST_BODIES_TIMEOUT } else { REFUSED_BODY_TIMEOUT };
            let _ = tokio::time::timeout(time, discard(&mut body)).await;
        }
        let mut answer = answered.unwrap_or_else(|error| {
            self.app.metrics.fault(error.fault());
            // What holds clients back is said once, by whoever found out.
            if error.fault() == Fault::Client || error.is_held_back() {
                tracing::debug!(id, %error, "refused");
            } else {
                tracing::error!(id, %error, "failed");
            }
            self.refuse(&error, &parts, &rules)
        });
        if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
            answer.headers_mut().insert(HeaderName::from_static("x-request-id"), value);
        }
        self.app.metrics.answer(answer.status());
        let outcome = answer.headers().get(WHARF_CACHE).and_then(|value| value.to_str().ok());
        tracing::info!(
            id,
            peer = %self.peer,
            %client,
            method = %parts.method,
            path = parts.uri.path(),
            namespace = namespace.as_deref().unwrap_or("-"),
            status = answer.status().as_u16(),
            outcome = outcome.unwrap_or("-"),
            ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "request"
        );
        answer
    }
}

impl Connection {
    /// An error as the client sees it, with how to log in when that mends it.
    fn refuse(&self, error: &Error, parts: &Parts, rules: &Rules) -> Answer {
        let mut answer = response::error(error);
        let is_encrypted = rules.proxies.is_encrypted(self.peer.ip(), false, &parts.headers);
        let way = Way { is_encrypted, uri: &parts.uri, headers: &parts.headers };
        if let Some(challenge) = rules.access.challenge(error, &way) {
            answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            let (version, this) = API_VERSION;
            answer.headers_mut().insert(version, HeaderValue::from_static(this));
        }
        answer
    }
}

fn read_call(
    parts: &Parts,
    client: IpAddr,
    caller: Caller,
    rules: Arc<Rules>,
) -> Result<Call, Error> {
    let route = route::parse(&parts.method, parts.uri.path(), parts.uri.query())?;
    let namespace = route::namespace(parts.uri.query())?;
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
