//! One connection from its first byte to its last: handshake, HTTP, the graceful end and the forced
//! end.
//!
//! Invariant: a connection ends when its client ends it, when the server asked it to leave and its
//! requests are answered, or when [`ConnectionTimeouts`] reports a passed limit.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use http::Request;
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::watch;
use wharf_client::chain;

use super::stream::{ClientStream, StreamActivity};
use super::timeouts::{ConnectionTimeouts, TimedOut};
use super::{Connection, Purpose};
use crate::bound::Bound;
use crate::http::admission::{ConnectionPermit, Limit};
use crate::http::response;
use crate::http::tls;
use crate::limits::{
    HTTP2_CLIENT_WINDOW_BYTES, HTTP2_PING_PERIOD, HTTP2_PING_TIMEOUT, HTTP2_RESETS_LOCAL_MAX,
    HTTP2_RESETS_PENDING_MAX, REFUSAL_TIMEOUT,
};
use crate::settings::limits::Limits;

type Builder = auto::Builder<TokioExecutor>;

/// The agreed version of HTTP.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Agreed {
    Http1,
    Http2,
    /// No ALPN: the first bytes will tell.
    Open,
}

impl Connection {
    /// Serves a client until it leaves, or must leave.
    pub(super) async fn serve(
        mut self,
        stream: TcpStream,
        limits: Arc<Limits>,
        watch: Arc<ConnectionTimeouts>,
        _seat: ConnectionPermit,
    ) {
        let counts = Arc::clone(&self.app.admission.counts);
        let observed = StreamActivity::new(stream, self.peer, Arc::clone(&watch));
        let mut stop = self.stop.clone();
        let begun = tokio::select! {
            begun = self.begin(observed, &limits) => begun,
            // No request has come yet.
            _ = stop.wait_for(|stop| *stop) => None,
            () = watch.told_to_leave() => None,
        };
        let Some((stream, agreed)) = begun else { return };
        watch.begin();
        let stop = self.stop.clone();
        if let Some(limit) = drive(self, stream, builder(&limits, agreed), &watch, stop).await {
            counts.refuse(limit);
        }
    }

    /// Answers any request with the refusal for want of room, and closes.
    pub(super) async fn refuse(
        mut self,
        stream: TcpStream,
        limits: Arc<Limits>,
        watch: Arc<ConnectionTimeouts>,
        _seat: ConnectionPermit,
    ) {
        let told = async {
            let observed = StreamActivity::new(stream, self.peer, Arc::clone(&watch));
            let Some((stream, agreed)) = self.begin(observed, &limits).await else { return };
            let service = service_fn(|request: Request<Incoming>| {
                if !request.body().is_end_stream() {
                    watch.expect_more();
                }
                let mut answer = response::error(&crate::Error::TooMany(Bound::Connections));
                response::close(&mut answer);
                response::fit(request.method(), &mut answer);
                std::future::ready(Ok::<_, Infallible>(answer))
            });
            let builder = builder(&limits, agreed);
            let served = builder.serve_connection(TokioIo::new(stream), service);
            if let Err(error) = served.await {
                tracing::debug!(error, "a client was not told that there is no room");
            }
        };
        let _ = tokio::time::timeout(REFUSAL_TIMEOUT, told).await;
    }

    /// The TLS handshake, if the listener speaks TLS.
    async fn begin(
        &mut self,
        stream: StreamActivity,
        limits: &Limits,
    ) -> Option<(ClientStream, Agreed)> {
        let Some(tls) = self.app.tls.as_ref().filter(|_| self.purpose == Purpose::Registry) else {
            return Some((ClientStream::Plain(stream), Agreed::Open));
        };
        match tls.accept(stream, limits.handshake_timeout).await {
            Ok(stream) => {
                let (_, session) = stream.get_ref();
                self.subject = tls::subject(session.peer_certificates());
                let agreed = match session.alpn_protocol() {
                    Some(b"h2") => Agreed::Http2,
                    Some(_) => Agreed::Http1,
                    None => Agreed::Open,
                };
                Some((ClientStream::Encrypted(Box::new(stream)), agreed))
            }
            Err(error) => {
                if matches!(error, tls::HandshakeError::Timeout(_)) {
                    self.app.admission.counts.refuse(Limit::Handshake);
                }
                tracing::debug!(peer = %self.peer, %error, "no connection");
                None
            }
        }
    }
}

/// HTTP to its end; returns the limit if hyper saw the client pass one.
async fn drive(
    connection: Connection,
    stream: ClientStream,
    builder: Builder,
    watch: &Arc<ConnectionTimeouts>,
    mut stop: watch::Receiver<bool>,
) -> Option<Limit> {
    let peer = connection.peer;
    let service = service_fn(|request| {
        let (connection, watch) = (connection.clone(), Arc::clone(watch));
        async move { Ok::<_, Infallible>(connection.answer(request, watch).await) }
    });
    let mut http = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut goodbye = false;
    loop {
        tokio::select! {
            ended = http.as_mut() => {
                return ended.err().and_then(|error| ended_early(peer, &*error));
            }
            _ = stop.wait_for(|stop| *stop), if !goodbye => {}
            TimedOut(limit) = watch.over() => {
                if goodbye || !matches!(limit, Limit::IdleTime | Limit::Displaced) {
                    tracing::debug!(%peer, limit = limit.as_str(), "a connection was cut off");
                    return None;
                }
            }
        }
        // The connection takes no further request.
        goodbye = true;
        http.as_mut().graceful_shutdown();
        watch.said_goodbye();
    }
}

/// Logs why a connection broke off; returns the limit if hyper saw the client pass one.
fn ended_early(peer: SocketAddr, error: &(dyn Error + Send + Sync + 'static)) -> Option<Limit> {
    tracing::debug!(%peer, error = chain(error), "a connection ended early");
    let head = error.downcast_ref::<hyper::Error>();
    head.is_some_and(hyper::Error::is_parse_too_large).then_some(Limit::Headers)
}

fn builder(limits: &Limits, agreed: Agreed) -> Builder {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // The connection's timeouts measure the time: hyper's own clock does not tell a late head from
    // none.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None);
    builder.http1().max_buf_size(limits.header_bytes);
    if limits.headers != crate::limits::HEADERS_MAX {
        // Costs memory for each request, unlike hyper's own default number.
        builder.http1().max_headers(limits.headers);
    }
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.http2_streams)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(HTTP2_RESETS_PENDING_MAX)
        .max_local_error_reset_streams(HTTP2_RESETS_LOCAL_MAX)
        .initial_stream_window_size(HTTP2_CLIENT_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_CLIENT_WINDOW_BYTES)
        .keep_alive_interval(HTTP2_PING_PERIOD)
        .keep_alive_timeout(HTTP2_PING_TIMEOUT);
    match agreed {
        Agreed::Http1 => builder.http1_only(),
        Agreed::Http2 => builder.http2_only(),
        Agreed::Open => builder,
    }
}
