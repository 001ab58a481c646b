//! Traces by OTLP: the exported spans, the texts kept out of them, and the absence of cost with the
//! collector down.

use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::collector::{Collector, Span};
use super::{INDEX, REPO, TYPE};
use crate::fixture::{How, PASSWORD, Stage, Wharfd, eventually, held_port, noise};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The spans with this name, once there is a matching one.
async fn span(collector: &Collector, name: &str, fits: impl Fn(&Span) -> bool) -> Span {
    let look = async || collector.spans().into_iter().find(|span| span.name == name && fits(span));
    eventually(&format!("a span {name}"), look).await
}

fn telemetry(collector: &Collector, more: &str) -> String {
    format!("[telemetry]\notlp_endpoint = \"{}\"\n{more}\n", collector.url())
}

#[tokio::test]
async fn a_pull_is_one_trace_from_the_request_to_the_store() {
    let collector = Collector::start().await;
    let Some(mut stage) = Stage::start().await else { return };
    stage.wharfd.stop().await;
    stage.wharfd.reconfigure(&telemetry(&collector, ""));
    stage.wharfd.start_again().await;
    let content = noise(11, 1_000_000);
    let digest = stage.origin.push_blob(REPO, content.clone()).await;
    let path = format!("/v2/{REPO}/blobs/{digest}?ns=planted-query.example");
    let call = stage.api().call(Method::GET, &path).basic("planted-user", "planted-password");
    assert!(call.send().await.unwrap().body == content);
    let request = span(&collector, "request", |span| span.attribute("wharf.outcome") == "fill");
    let request = request.await;
    assert_eq!(request.attribute("url.path"), format!("/v2/{REPO}/blobs/{digest}"));
    assert_eq!(request.attribute("http.response.status_code"), "200");
    assert_eq!(request.attribute("wharf.upstream"), stage.front.url());
    let ours = |span: &Span| span.trace == request.trace;
    let fill = span(&collector, "fill", ours).await;
    assert_eq!(fill.parent, request.id);
    let asked = span(&collector, "upstream request", |span| ours(span) && span.parent == fill.id);
    assert_eq!(asked.await.attribute("server.address"), stage.front.url());
    let storage = |span: &Span| span.attribute("server.address") == "elsewhere";
    span(&collector, "upstream request", storage).await;
    span(&collector, "publish", |span| ours(span) && span.parent == fill.id).await;
    span(&collector, "look-up", ours).await;
    for head in collector.heads() {
        assert!(head.starts_with("POST /v1/traces "), "{head}");
        assert!(head.contains("application/x-protobuf"), "{head}");
    }
    // Neither the clients' credentials nor the upstreams', nor a query.
    let all = String::from_utf8_lossy(&collector.bytes()).into_owned();
    assert!(all.contains("wharfd") && all.contains(&digest), "{all}");
    for secret in ["planted", PASSWORD, "Bearer", "Basic", "eyJ", "sig="] {
        assert!(!all.contains(secret), "a trace holds {secret}");
    }
}

#[tokio::test]
async fn a_push_is_traced_to_the_upstream() {
    let collector = Collector::start().await;
    let Some(mut stage) = Stage::start().await else { return };
    stage.wharfd.stop().await;
    stage.wharfd.reconfigure(&telemetry(&collector, ""));
    stage.wharfd.start_again().await;
    stage.api().push_blob(REPO, noise(12, 100_000)).await;
    assert_eq!(stage.api().put_manifest(REPO, "v1", TYPE, INDEX).await.status, 201);
    let put = |span: &Span| {
        span.attribute("http.request.method") == "PUT" && span.attribute("url.path").contains("v1")
    };
    let put = span(&collector, "request", put).await;
    // The put is a separate task, and goes on after its client has left.
    let work = span(&collector, "manifest put", |span| span.parent == put.id).await;
    let ours = |span: &Span| span.trace == put.trace && span.parent == work.id;
    span(&collector, "upstream request", ours).await;
    span(&collector, "send", |_| true).await;
}

#[tokio::test]
async fn only_a_trusted_peer_decides_which_trace_a_request_belongs_to() {
    let collector = Collector::start().await;
    for (lines, trusted) in [("trusted_proxies = [\"127.0.0.1\"]\n", true), ("", false)] {
        let config = format!("{lines}{}", telemetry(&collector, ""));
        let wharfd = Wharfd::with_config(&config).await;
        let path = format!("/v2/{REPO}/tags/list?n={}", u8::from(trusted) + 1);
        let call = wharfd.api.call(Method::GET, &path);
        let call = call.header("traceparent", format!("00-{TRACE}-{PARENT}-01"));
        call.send().await.unwrap();
        let found = span(&collector, "request", |span| trusted == (hex(&span.trace) == TRACE));
        let found = found.await;
        if trusted {
            assert_eq!(hex(&found.parent), PARENT);
        } else {
            assert!(found.parent.is_empty());
            assert_eq!(found.links.iter().map(|link| hex(link)).collect::<Vec<_>>(), [TRACE]);
        }
    }
}

/// The first request to an upstream; returns its trace headers.
async fn asked(propagate: &str) -> String {
    let collector = Collector::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("[[upstream]]\nurl = \"http://{}\"\n", listener.local_addr().unwrap());
    let head = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut head).await.unwrap(), 0);
        }
        stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        String::from_utf8(head).unwrap().to_ascii_lowercase()
    });
    let config = format!("{upstream}{}", telemetry(&collector, propagate));
    let wharfd = Wharfd::with_config(&config).await;
    let call = wharfd.api.call(Method::GET, &format!("/v2/{REPO}/manifests/v1"));
    let call = call.header("traceparent", format!("00-{TRACE}-{PARENT}-01"));
    assert_eq!(call.send().await.unwrap().status, 404);
    head.await.unwrap()
}

#[tokio::test]
async fn an_upstream_is_told_the_trace_only_when_that_is_configured() {
    assert!(!asked("").await.contains("traceparent"));
    let told = asked("propagate = true").await;
    assert!(told.contains("traceparent: 00-") && !told.contains(TRACE), "{told}");
}

#[tokio::test]
async fn without_a_collector_no_span_is_made() {
    let wharfd = Wharfd::alone().await;
    wharfd.api.push_blob(REPO, noise(13, 1000)).await;
    for result in ["sent", "lost"] {
        let spans = format!("wharfd_trace_spans_total{{result=\"{result}\"}}");
        assert_eq!(wharfd.metric(&spans).await, 0);
    }
}

#[tokio::test]
async fn a_collector_of_the_environment_is_used_and_the_end_sends_what_is_left() {
    let collector = Collector::start().await;
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url().to_owned());
    let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=planted-key".to_owned());
    let how = How { variables: vec![endpoint, headers], ..How::default() };
    let mut wharfd = Wharfd::started("", how).await;
    assert_eq!(wharfd.api.get("/v2/").await.status, 200);
    assert!(wharfd.stop().await.success());
    assert_eq!(collector.spans().len(), 1);
    assert!(collector.heads()[0].contains("planted-key"));
    assert!(!wharfd.log().contains("planted-key"));
}

#[tokio::test]
async fn a_collector_that_is_down_costs_no_request_and_one_line() {
    let (_held, port) = held_port();
    let config = format!("[telemetry]\notlp_endpoint = \"http://{port}\"\n");
    let wharfd = Wharfd::with_config(&config).await;
    let lost = "wharfd_trace_spans_total{result=\"lost\"}";
    for batch in 1..=3 {
        for _ in 0..5 {
            assert_eq!(wharfd.api.get("/v2/").await.status, 200);
        }
        wharfd.metric_reaches(lost, batch * 5).await;
    }
    assert_eq!(wharfd.log().matches("traces are lost").count(), 1, "{}", wharfd.log());
}

#[tokio::test]
async fn what_clients_show_is_in_no_log_metric_audit_line_or_trace() {
    let collector = Collector::start().await;
    let folder = tempfile::TempDir::new().unwrap();
    let audit = folder.path().join("audit.log");
    let config = format!("audit_log = \"{}\"\n{}", audit.display(), telemetry(&collector, ""));
    let variables = vec![("WHARFD_LOG", "trace".to_owned())];
    let wharfd = Wharfd::started(&config, How { variables, ..How::default() }).await;
    let put = wharfd.api.put(&format!("/v2/{REPO}/manifests/v1?planted=planted-query"));
    let put = put.basic("planted-user", "planted-password").header("cookie", "a=planted-cookie");
    let put = put.header("x-registry-auth", "planted-header").header("content-type", TYPE);
    assert_eq!(put.bytes(INDEX).send().await.unwrap().status, 201);
    for path in [format!("/v2/{REPO}/manifests/v1?token=planted-query"), "/v2/".to_owned()] {
        let call = wharfd.api.call(Method::GET, &path).bearer("planted-token");
        let call = call.header("x-registry-auth", "planted-header");
        assert_eq!(call.send().await.unwrap().status, 200);
    }
    span(&collector, "request", |span| span.attribute("url.path") == "/v2/").await;
    let places = [
        ("the log", wharfd.log()),
        ("the metrics", wharfd.admin("/metrics").await.text()),
        ("the audit log", std::fs::read_to_string(audit).unwrap()),
        ("a trace", String::from_utf8_lossy(&collector.bytes()).into_owned()),
    ];
    for (place, text) in places {
        assert!(!text.is_empty(), "nothing in {place}");
        for secret in ["planted-", "cGxhbnRlZC", "Bearer"] {
            let line = text.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "{place} shows {secret}: {line:?}");
        }
    }
}
