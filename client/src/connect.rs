//! Connections to a registry and to the targets of its redirects: TCP, TLS, HTTP/1.1 and HTTP/2,
//! pooled.

use std::sync::Arc;

use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::egress::EgressPolicy;
use crate::limits::{
    HTTP2_CONNECTION_WINDOW_BYTES, HTTP2_STREAM_WINDOW_BYTES, IDLE_CONNECTIONS_MAX,
};
use crate::outbound;
use crate::outbound::OutboundPath;
use crate::payload::Outgoing;
use crate::settings::Settings;

pub(crate) type HttpClient = outbound::Client<HttpConnector<EgressPolicy>, Outgoing>;

/// A client that connects only to addresses allowed by the egress policy; does not connect yet.
pub(crate) fn client(settings: &Settings, reach: EgressPolicy) -> HttpClient {
    let patience = settings.timeouts;
    let mut tcp = HttpConnector::new_with_resolver(reach);
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(patience.connect));
    let way = OutboundPath {
        egress: Arc::clone(&settings.proxies),
        dial: tcp,
        tls: settings.tls.clone(),
        connect_timeout: patience.connect,
        http2: patience.http2,
        user_agent: settings.user_agent,
    };
    let mut pool = Client::builder(TokioExecutor::new());
    pool.pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .http2_initial_stream_window_size(HTTP2_STREAM_WINDOW_BYTES)
        .http2_initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(Some(patience.min_rate.window));
    way.client(&pool)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::astray;
    use crate::payload::Payload;
    use std::net::TcpListener;

    /// Whether a client of this registry connects to a name of this machine.
    async fn reaches(upstream: &str, listener: &TcpListener) -> bool {
        let settings = Settings::sample(upstream);
        let reach = EgressPolicy::new(&settings);
        let client = client(&settings, reach);
        let port = listener.local_addr().unwrap().port();
        let request = http::Request::get(format!("http://localhost:{port}/"));
        let request = request.body(Payload::empty().outgoing().0).unwrap();
        let asked = client.request(request);
        // The address does not answer.
        match tokio::time::timeout(std::time::Duration::from_secs(1), asked).await {
            Ok(answer) => assert!(astray(&answer.unwrap_err()).is_some()),
            Err(_) => assert_eq!(settings.url.host_str(), Some("localhost")),
        }
        listener.set_nonblocking(true).unwrap();
        listener.accept().is_ok()
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(!reaches("https://contoso.azurecr.io", &listener).await);
        assert!(reaches("http://localhost:5000", &listener).await, "its own host is");
    }
}
