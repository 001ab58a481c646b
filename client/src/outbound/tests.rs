use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// A client behind a proxy of this environment.
fn client(variables: &[(&str, String)]) -> Client<HttpConnector, Nothing> {
    let variable = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.clone())
    };
    let provider = rustls::crypto::ring::default_provider();
    let tls = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let connect_timeout = Duration::from_secs(5);
    let way = OutboundPath {
        egress: Arc::new(OutboundProxies::of(variable).unwrap()),
        dial: dial(connect_timeout),
        tls,
        connect_timeout,
        http2: true,
        user_agent: "test",
    };
    way.client(&Pool::builder(TokioExecutor::new()))
}

/// Takes one connection, reads a head and answers this; the head.
async fn answer_once(listener: TcpListener, answer: &'static str) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(answer.as_bytes()).await.unwrap();
    String::from_utf8(head).unwrap()
}

async fn exchange(
    scheme: &str,
    answer: &'static str,
) -> (String, Result<http::StatusCode, String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://user:planted@{}", listener.local_addr().unwrap());
    let client = client(&[("HTTP_PROXY", proxy.clone()), ("HTTPS_PROXY", proxy)]);
    let request = Request::get(format!("{scheme}://registry.example.com:5000/v2/?n=1"))
        .header("authorization", "Bearer of-the-registry")
        .body(Nothing::new())
        .unwrap();
    let (head, answered) = tokio::join!(answer_once(listener, answer), client.request(request));
    let answered = answered.map(|answer| answer.status());
    (head, answered.map_err(|error| crate::error::chain(&error)))
}

#[tokio::test]
async fn what_is_not_encrypted_is_handed_on_by_its_whole_address() {
    let (head, answered) = exchange("http", "HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(answered.unwrap(), http::StatusCode::NO_CONTENT);
    assert!(
        head.starts_with("GET http://registry.example.com:5000/v2/?n=1 HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(head.contains("host: registry.example.com:5000\r\n"), "{head}");
    assert!(head.contains("proxy-authorization: Basic dXNlcjpwbGFudGVk\r\n"), "{head}");
}

#[tokio::test]
async fn what_is_encrypted_gets_a_tunnel_and_the_proxy_learns_the_host_only() {
    for (answer, words) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "wants a login"),
        ("HTTP/1.1 401 Unauthorized\r\n\r\n", "wants a login"),
        ("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", "403"),
        ("nonsense\r\n\r\n", "does not open a way to registry.example.com:5000"),
        // The target behind this tunnel does not speak TLS.
        ("HTTP/1.0 200 Connection established\r\n\r\nnot TLS", "Invalid"),
    ] {
        let (head, answered) = exchange("https", answer).await;
        assert!(head.starts_with("CONNECT registry.example.com:5000 HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("proxy-authorization: Basic dXNlcjpwbGFudGVk\r\n"), "{head}");
        assert!(!head.contains("of-the-registry") && !head.contains("/v2/"), "{head}");
        let error = answered.unwrap_err();
        assert!(error.contains(words) && !error.contains("planted"), "{answer:?}: {error}");
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named_without_its_login() {
    // Bound but not listening: connections are refused, and no other process can take the port.
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nowhere = held.local_addr().unwrap();
    let client = client(&[("HTTP_PROXY", format!("http://user:planted@{nowhere}"))]);
    let request = Request::get("http://registry.example.com/").body(Nothing::new()).unwrap();
    let error = crate::error::chain(&client.request(request).await.unwrap_err());
    assert!(error.contains(&format!("the proxy http://{nowhere} cannot be reached")), "{error}");
    assert!(!error.contains("planted"), "{error}");
}
