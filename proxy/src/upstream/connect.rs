//! Connections to an upstream and to where its redirects lead: TCP, TLS, HTTP/1.1 and HTTP/2, kept
//! and used again.

use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::body::Outgoing;
use crate::config::Patience;
use crate::limits::{
    HTTP2_CONNECTION_WINDOW_BYTES, HTTP2_STREAM_WINDOW_BYTES, IDLE_CONNECTIONS_MAX,
};

pub(super) type HttpClient = Client<HttpsConnector<HttpConnector>, Outgoing>;

/// A client; does not connect. Which version is spoken is agreed on with the server (ALPN); without
/// encryption it is HTTP/1.1.
pub(super) fn client(tls: rustls::ClientConfig, patience: &Patience) -> HttpClient {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(patience.connect));
    let connector = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    let connector = if patience.http2 {
        connector.enable_all_versions().wrap_connector(tcp)
    } else {
        connector.enable_http1().wrap_connector(tcp)
    };
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .http2_initial_stream_window_size(HTTP2_STREAM_WINDOW_BYTES)
        .http2_initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(Some(patience.floor.window))
        .build(connector)
}
