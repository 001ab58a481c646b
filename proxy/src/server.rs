//! Connections: accept, admit, drain. One log line and one metric per request. One connection is in
//! `server/connection.rs`, its clock in `server/watch.rs`.
//!
//! Invariant: the loop that accepts waits for no client; when told to stop, no connection is accepted
//! and those that are open may finish until the deadline.

mod body;
mod connection;
mod hygiene;
mod stream;
mod watch;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::{HeaderName, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, Request, Response, Version};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::Error;
use crate::access::{Caller, TOKEN_PATH, Way};
use crate::admission::{self, Connections, Limit, Seat};
use crate::error::Fault;
use crate::handlers::{self, App, Call};
use crate::limits::{
    ADMIN_CONNECTIONS_MAX, LAST_BODIES_TIMEOUT, REFUSED_BODY_BYTES_MAX, REFUSED_BODY_TIMEOUT,
};
use crate::live::Rules;
use crate::response::{self, API_VERSION, Answer, WHARF_CACHE};
use crate::route;

use body::Watched;
use watch::Watch;

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

/// Serves until `stop` says so, then until every connection is done or the deadline has passed. Those
/// that are left end after their request.
pub(crate) async fn serve(
    listener: TcpListener,
    purpose: Purpose,
    app: Arc<App>,
    mut stop: tokio::sync::watch::Receiver<bool>,
    deadline: Duration,
) -> Connections {
    let connections = match purpose {
        Purpose::Registry => app.admission.connections.clone(),
        Purpose::Admin => app.admission.admin_connections.clone(),
    };
    let stopping = stop.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (app, stop) = (Arc::clone(&app), stopping.clone());
                let connection = Connection { purpose, app, stop, peer, subject: None };
                connection.admit(stream, &connections);
            }
            Err(error) => {
                // Out of file handles, most often: this pause lets some go.
                tracing::error!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    if purpose == Purpose::Registry {
        app.admission.drain();
    }
    drop(listener);
    if tokio::time::timeout(deadline, connections.all_gone()).await.is_err() {
        tracing::warn!(?deadline, "transfers were cut off at the deadline");
    }
    connections
}

#[derive(Clone)]
struct Connection {
    purpose: Purpose,
    app: Arc<App>,
    stop: tokio::sync::watch::Receiver<bool>,
    peer: SocketAddr,
    /// Whose certificate was shown, when one was.
    subject: Option<Arc<str>>,
}

impl Connection {
    /// Serves it in a task of its own, or has it told that there is no room.
    fn admit(self, stream: TcpStream, connections: &Connections) {
        let rules = self.app.live.rules();
        let limits = Arc::clone(&rules.limits);
        match self.seat(connections, &rules) {
            Ok(seat) => {
                tokio::spawn(self.serve(stream, limits, seat));
            }
            Err(limit) => {
                self.app.admission.counts.refuse(limit);
                tracing::debug!(peer = %self.peer, limit = limit.as_str(), "no connection");
                if let Some(seat) = connections.refuse() {
                    tokio::spawn(self.refuse(stream, limits, seat));
                }
            }
        }
    }

    fn seat(&self, connections: &Connections, rules: &Rules) -> Result<Seat, Limit> {
        let address = self.peer.ip();
        let (most, each) = match self.purpose {
            Purpose::Admin => (ADMIN_CONNECTIONS_MAX, None),
            Purpose::Registry => {
                let each = rules.limits.connections_per_address;
                // Who speaks for many clients may have many connections.
                let each = (!rules.proxies.has(address)).then_some(each);
                (rules.limits.connections, each)
            }
        };
        connections.enter(admission::party(address), most, each)
    }

    /// Answers a request; it is open until all of its answer is sent.
    async fn answer(&self, request: Request<Incoming>, watch: Arc<Watch>) -> Response<Watched> {
        let (parts, body) = request.into_parts();
        let open = watch.open(parts.version);
        let (is_http2, is_last) = (parts.version == Version::HTTP_2, hygiene::is_last(&parts));
        let mut answer = if self.purpose == Purpose::Admin {
            handlers::admin(&self.app, &parts.method, parts.uri.path()).await
        } else {
            self.answer_client(parts, body).await
        };
        if is_last && !is_http2 {
            response::close(&mut answer);
        }
        let held = self.app.cache.bridge.held();
        answer.map(|body| Watched::new(body, open, &watch, is_http2, held))
    }

    async fn answer_client(&self, parts: Parts, mut body: Incoming) -> Answer {
        let started = Instant::now();
        let id = REQUESTS.fetch_add(1, Ordering::Relaxed);
        let rules = self.app.live.rules();
        let client = rules.proxies.client(self.peer.ip(), &parts.headers);
        let mut namespace = None;
        let answered = if parts.uri.path() == TOKEN_PATH && rules.access.gives_tokens() {
            match self.gate(&parts, client, &rules) {
                Ok(_) => handlers::token(&self.app, &rules.access, client, &parts, &mut body).await,
                Err(error) => Err(error),
            }
        } else {
            let call = self.admit_call(&parts, client, Arc::clone(&rules)).await;
            namespace = call.as_ref().ok().and_then(|call| call.namespace.clone());
            match call {
                Ok(call) => handlers::dispatch(&self.app, call, &mut body).await,
                Err(error) => Err(error),
            }
        };
        let ends = answered.as_ref().is_err_and(Error::ends_connection);
        // What nobody read is read away, also after a success: the connection would be closed under the
        // next request. Whoever waits for "100 Continue" has sent nothing yet; reading would ask for it.
        if !ends && !body.is_end_stream() && !parts.headers.contains_key(http::header::EXPECT) {
            let stops = matches!(answered, Err(Error::Stopping));
            let time = if stops { LAST_BODIES_TIMEOUT } else { REFUSED_BODY_TIMEOUT };
            let _ = tokio::time::timeout(time, discard(&mut body)).await;
        }
        let mut answer = answered.unwrap_or_else(|error| {
            self.app.metrics.fault(error.fault());
            if let Some(limit) = Limit::of(&error) {
                self.app.admission.counts.refuse(limit);
            }
            // What holds clients back is said once, by whoever found out.
            if error.fault() == Fault::Client || error.is_held_back() {
                tracing::debug!(id, %error, "refused");
            } else {
                tracing::error!(id, %error, "failed");
            }
            self.shown(&error, &parts, &rules)
        });
        if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
            answer.headers_mut().insert(HeaderName::from_static("x-request-id"), value);
        }
        if ends && parts.version < Version::HTTP_2 {
            response::close(&mut answer);
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
            certificate = self.subject.as_deref().unwrap_or("-"),
            status = answer.status().as_u16(),
            outcome = outcome.unwrap_or("-"),
            ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "request"
        );
        answer
    }

    /// From a head to a call, past everything that may turn it away before it is looked at.
    async fn admit_call(
        &self,
        parts: &Parts,
        client: IpAddr,
        rules: Arc<Rules>,
    ) -> Result<Call, Error> {
        let (admission, limits) = (&self.app.admission, &rules.limits);
        let transfer = self.gate(parts, client, &rules)?;
        let caller = rules.access.authenticate(&parts.headers, client).await?;
        admission.caller(&caller, client, transfer, limits)?;
        let call = read_call(parts, client, caller, Arc::clone(&rules))?;
        admission.memory(&call.route, &self.app.cache.bridge.held(), limits)?;
        Ok(call)
    }

    /// What may turn anybody away before it is asked who they are: the head, and the rate of their
    /// address. Whether the request carries a blob.
    fn gate(&self, parts: &Parts, client: IpAddr, rules: &Rules) -> Result<bool, Error> {
        hygiene::check(parts, &rules.limits)?;
        let transfer = admission::is_transfer(&parts.method, parts.uri.path());
        self.app.admission.address(client, transfer, &rules.limits)?;
        Ok(transfer)
    }

    /// An error as the client sees it, with how to log in when that mends it.
    fn shown(&self, error: &Error, parts: &Parts, rules: &Rules) -> Answer {
        let mut answer = response::error(error);
        let is_encrypted =
            rules.proxies.is_encrypted(self.peer.ip(), self.app.tls.is_some(), &parts.headers);
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
