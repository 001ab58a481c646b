//! TLS towards clients: versions, certificates of both sides, and the effect of a slow or wrong
//! handshake on other clients. New certificates are in `tls/reload.rs`, real clients in
//! `tls/clients.rs`.

mod clients;
mod reload;
pub(crate) mod scene;

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wharf_testkit::processes::Process;

use crate::fixture::{PATIENCE, command, noise};
use scene::{Authority, Peer, Scene, Trust, handshake};

const REPO: &str = "acme/web";

#[tokio::test]
async fn both_versions_of_http_are_spoken_as_the_client_wishes() {
    let scene = Scene::start().await;
    let content = noise(1, 3_000_000);
    for (alpn, is_http2) in [(&["h2", "http/1.1"][..], true), (&["http/1.1"], false), (&[], false)]
    {
        let mut peer = scene.connect(alpn).await;
        assert_eq!(peer.is_http2, is_http2, "{alpn:?}");
        let path = peer.push(REPO, &content).await;
        assert!(peer.get(&path).await.unwrap() == (200, content.clone().into()), "{alpn:?}");
    }
    let stream = TcpStream::connect(scene.wharfd.host()).await.unwrap();
    let refused = handshake(stream, &scene.trust(), &["spdy/3"]).await;
    assert!(refused.is_err(), "a client that speaks nothing of ours is told so at once");
    assert_eq!(scene.wharfd.metric("wharfd_tls_handshakes_total{result=\"done\"}").await, 3);
    scene.wharfd.metric_reaches("wharfd_tls_handshakes_total{result=\"failed\"}", 1).await;
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken() {
    let scene = Scene::start().await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let versions: &'static [_] = Box::leak(Box::new([version]));
        let trust = Trust { versions, ..scene.trust() };
        let mut peer = Peer::connect(&scene.wharfd.host(), &trust, &["h2"]).await.unwrap();
        assert_eq!(peer.get("/v2/").await.unwrap().0, 200, "{version:?}");
    }
}

#[tokio::test]
async fn plain_http_on_the_encrypted_address_is_refused_and_nobody_else_is_disturbed() {
    let scene = Scene::start().await;
    let mut other = scene.connect(&["http/1.1"]).await;
    for bytes in
        [&b"GET /v2/ HTTP/1.1\r\nhost: localhost\r\n\r\n"[..], &[0; 64], b"\x16\x03\x01\xff\xff"]
    {
        let mut stream = TcpStream::connect(scene.wharfd.host()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/"), "{:?}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(other.get("/v2/").await.unwrap().0, 200);
}

#[tokio::test]
async fn handshakes_that_stand_still_hold_nobody_up_and_end_after_their_time() {
    let limits = "[limits]\nhandshake_timeout_seconds = 2\n";
    let scene = Scene::start_with("", limits).await;
    let mut still = Vec::new();
    for sent in [&b""[..], b"\x16", b"\x16\x03\x01\x00\xf0\x01\x00"].iter().cycle().take(60) {
        let mut stream = TcpStream::connect(scene.wharfd.host()).await.unwrap();
        stream.write_all(sent).await.unwrap();
        still.push(stream);
    }
    // While they stand still: sixty turns would take two minutes.
    let mut peer = tokio::time::timeout(PATIENCE / 2, scene.connect(&["h2"])).await.unwrap();
    assert_eq!(peer.get("/v2/").await.unwrap().0, 200);
    let refused = "wharfd_limit_refusals_total{limit=\"handshake_time\"}";
    scene.wharfd.metric_reaches(refused, 60).await;
    for mut stream in still {
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
    }
    scene.wharfd.metric_reaches("wharfd_tls_handshakes_total{result=\"failed\"}", 60).await;
}

/// The status of a request with this certificate. The handshake of TLS 1.3 ends before the server's
/// check of it, so only a response counts.
async fn asks(scene: &Scene, trust: &Trust) -> Option<u16> {
    let mut peer = Peer::connect(&scene.wharfd.host(), trust, &["http/1.1"]).await.ok()?;
    Some(peer.get("/v2/").await.ok()?.0)
}

#[tokio::test]
async fn client_certificates_are_required_or_optional_and_of_the_right_authority() {
    for (lines, without) in [
        ("client_ca = \"FOLDER/ca.pem\"\n", None),
        ("client_ca = \"FOLDER/ca.pem\"\nclient_auth = \"optional\"\n", Some(200)),
    ] {
        let scene = Scene::start_with(lines, "").await;
        let with = |pair| Trust { pair: Some(pair), ..scene.trust() };
        assert_eq!(asks(&scene, &scene.trust()).await, without, "{lines}");
        let ours = with(scene.authority.client("ci runner\n7"));
        assert_eq!(asks(&scene, &ours).await, Some(200), "{lines}");
        let theirs = with(Authority::new().client("ci runner"));
        assert_eq!(asks(&scene, &theirs).await, None, "{lines}");
        let server = with(scene.authority.server(2099));
        assert_eq!(asks(&scene, &server).await, None, "a server's certificate is no client's");
        let log = scene.wharfd.log();
        assert!(log.contains("CN=ci runner_7"), "the log says whose it was: {log}");
    }
}

#[tokio::test]
async fn what_cannot_be_shown_to_clients_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let authority = Authority::new();
    let (one, other) = (authority.server(2099), authority.server(2099));
    for (name, text) in [("a.crt", &one.cert), ("a.key", &one.key), ("b.key", &other.key)] {
        std::fs::write(path(name), text).unwrap();
    }
    let (store, elsewhere) = (path("store"), "0.0.0.0:0");
    for (more, expected) in [
        (vec!["--tls-cert", &path("a.crt")], "--tls-key"),
        (vec!["--tls-cert", &path("a.crt"), "--tls-key", &path("b.key")], "b.key"),
        (vec!["--tls-cert", &path("a.key"), "--tls-key", &path("a.key")], "no certificate"),
        (vec!["--tls-cert", &path("a.crt"), "--tls-key", &path("none")], "none"),
        (vec!["--listen", elsewhere, "--insecure-http"], "--insecure-open"),
        (vec!["--admin", elsewhere], "--insecure-http"),
    ] {
        let mut arguments = vec!["serve", "--store", &store];
        arguments.extend(more);
        let mut wharfd = Process::spawn("wharfd", &mut command(&arguments), folder.path()).unwrap();
        let code = wharfd.wait(PATIENCE).await.unwrap().code();
        let said = wharfd.stderr();
        assert_eq!(code, Some(2), "{arguments:?}\n{said}");
        assert!(said.contains(expected), "{arguments:?}\n{said}");
        assert!(!said.contains("PRIVATE"), "{said}");
    }
    assert!(!folder.path().join("store").exists());
}

#[tokio::test]
async fn a_stop_lets_transfers_over_tls_end_and_tells_connections_so() {
    let mut scene = Scene::start().await;
    let content = noise(9, 40_000_000);
    let mut peers = Vec::new();
    for alpn in [&["h2"][..], &["http/1.1"]] {
        let mut peer = scene.connect(alpn).await;
        let path = peer.push(REPO, &content).await;
        let answer = peer.start(http::Method::GET, &path, wharf_testkit::http::empty()).await;
        peers.push((peer, answer.unwrap()));
    }
    let mut idle = scene.connect(&["h2"]).await;
    assert_eq!(idle.get("/v2/").await.unwrap().0, 200);
    let host = scene.wharfd.host();
    scene.wharfd.signal_stop();
    let refuses = async || TcpStream::connect(&host).await.err();
    crate::fixture::eventually("new connections to be refused", refuses).await;
    assert_eq!(scene.wharfd.admin_get("/readyz").await.0, 503);
    assert_eq!(scene.wharfd.admin_get("/healthz").await.0, 200);
    let gone = async || idle.get("/v2/").await.err();
    crate::fixture::eventually("an idle connection to end", gone).await;
    for (mut peer, answer) in peers {
        let body =
            wharf_testkit::http::read_to_limit(answer.into_body(), 50_000_000).await.unwrap();
        assert!(body == content);
        let ends = async || peer.get("/v2/").await.err();
        tokio::time::timeout(Duration::from_secs(20), crate::fixture::eventually("its end", ends))
            .await
            .unwrap();
    }
    assert!(scene.wharfd.ended().await.success());
}
