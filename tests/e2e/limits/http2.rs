//! HTTP/2: unread bodies, stream by stream, and streams opened only to be reset.

use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wharf_testkit::http::empty;

use super::{REPO, refusals, used};
use crate::fixture::{Wharfd, eventually, noise};
use crate::tls::scene::Scene;

const LINES: &str = "[limits]\nslow_timeout_seconds = 2\nmin_bytes_per_second = \"10kB\"\n";

#[tokio::test]
async fn a_stream_that_is_not_taken_is_given_up_and_the_others_go_on() {
    let scene = Scene::start_with("", LINES).await;
    let content = noise(1, 20_000_000);
    let mut peer = scene.connect(&["h2"]).await;
    let path = peer.push(REPO, &content).await;
    let mut stalled = peer.start(Method::GET, &path, empty()).await.unwrap();
    let told = async || {
        // The connection's window is larger than the blocked stream's.
        let (status, small) = peer.get(&path).await.unwrap();
        assert!(status == 200 && small == content);
        (scene.wharfd.metric(&refusals("slow_receiver")).await >= 1).then_some(())
    };
    eventually("the stream to be given up", told).await;
    let mut taken = 0;
    let broken = loop {
        match stalled.body_mut().frame().await {
            Some(Ok(frame)) => taken += frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) => break true,
            None => break false,
        }
    };
    assert!(broken && taken < content.len(), "{taken} bytes and no error");
    assert_eq!(peer.get("/v2/").await.unwrap().0, 200, "the connection lives");
}

#[tokio::test]
async fn a_connection_of_streams_that_are_not_taken_ends() {
    let scene = Scene::start_with("", LINES).await;
    let content = noise(1, 20_000_000);
    let path = scene.connect(&["http/1.1"]).await.push(REPO, &content).await;
    let mut peer = scene.connect(&["h2"]).await;
    let mut stalled = Vec::new();
    for _ in 0..5 {
        stalled.push(peer.start(Method::GET, &path, empty()).await.unwrap());
    }
    let nothing = async || {
        let held = scene.wharfd.metric(&used("bytes_in_flight")).await;
        let refused = scene.wharfd.metric(&refusals("slow_receiver")).await;
        (refused >= 5 && held == 0).then_some(())
    };
    eventually("all of them to be given up", nothing).await;
    let ended = async || (scene.wharfd.metric(&used("connections")).await == 0).then_some(());
    eventually("the end of the connection", ended).await;
    assert!(peer.get("/v2/").await.is_err());
}

#[tokio::test]
async fn a_connection_without_a_request_is_told_to_go() {
    let scene = Scene::start_with("", "[limits]\nidle_timeout_seconds = 1\n").await;
    let mut peer = scene.connect(&["h2"]).await;
    assert_eq!(peer.get("/v2/").await.unwrap().0, 200);
    let ended = async || (scene.wharfd.metric(&used("connections")).await == 0).then_some(());
    eventually("the end of the connection", ended).await;
    assert!(peer.get("/v2/").await.is_err());
}

/// A frame of RFC 9113 §4.1.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [&head[..], &stream.to_be_bytes(), payload].concat()
}

#[tokio::test]
async fn streams_that_are_taken_back_at_once_end_the_connection_and_disturb_nobody() {
    let wharfd = Wharfd::alone().await;
    let mut stream = TcpStream::connect(wharfd.host()).await.unwrap();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    // GET http / with the authority `a`, from HPACK's static table.
    let request = [0x82, 0x86, 0x84, 0x01, 1, b'a'];
    for number in 0..5_000_u32 {
        bytes.extend(frame(1, 5, number * 2 + 1, &request));
        bytes.extend(frame(3, 0, number * 2 + 1, &8_u32.to_be_bytes()));
    }
    let _ = stream.write_all(&bytes).await;
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said).await;
    let ended = async || (wharfd.metric(&used("connections")).await <= 1).then_some(());
    eventually("the end of the connection", ended).await;
    assert_eq!(wharfd.api.get("/v2/").await.status, 200);
}
