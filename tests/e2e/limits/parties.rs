//! Pools shared by parties: two greedy parties leave room for a third, and in a full pool the
//! largest party's longest idle entry makes way for a smaller party.

use http::Request;
use http_body_util::BodyExt as _;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wharf_double::{Fault, FaultRule, Kind};
use wharf_testkit::http::{Answer, empty};
use wharf_testkit::images::sha256;

use super::{REPO, asks_from, assert_turned_away, connect_from, refusals, rest, used};
use crate::fixture::{Stage, Wharfd, eventually};

const HOSTILE: [&str; 2] = ["127.0.0.2", "127.0.0.3"];
const THIRD: &str = "127.0.0.4";

/// An endless head of a request.
const PART: &[u8] = b"GET /v2/ HTTP/1.1\r\nhost: localhost\r\n";

/// A long upload in one request.
fn push(host: &str, bytes: usize) -> String {
    let digest = sha256(b"never whole");
    let path = format!("/v2/{REPO}/blobs/uploads/?digest={digest}");
    format!("POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {bytes}\r\n\r\nx")
}

#[tokio::test]
async fn two_addresses_that_open_all_connections_they_can_leave_room_for_a_third() {
    let wharfd =
        Wharfd::with_config("[limits]\nconnections = 16\nidle_timeout_seconds = 600\n").await;
    let host = wharfd.host();
    // Idle connections, endless heads, and long requests.
    for first in [&b""[..], PART, push(&host, 100).as_bytes()] {
        let refused = wharfd.metric(&refusals("address_connections")).await;
        let mut open = Vec::new();
        for address in HOSTILE.repeat(10) {
            let mut stream = connect_from(address, &host).await;
            let _ = stream.write_all(first).await;
            open.push(stream);
        }
        wharfd.metric_reaches(&refusals("address_connections"), refused + 12).await;
        assert_eq!(wharfd.metric(&used("connections")).await, 8);
        assert_eq!(asks_from(THIRD, &host).await, "200");
        assert_eq!(wharfd.admin_get("/readyz").await.0, 200);
        drop(open);
        let gone = async || (wharfd.metric(&used("connections")).await == 0).then_some(());
        eventually("their end", gone).await;
    }
    assert_eq!(wharfd.metric(&refusals("displaced")).await, 0);
}

/// Waits until the server closes.
async fn closed(mut stream: TcpStream) {
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test]
async fn past_all_connections_the_longest_idle_of_whoever_has_most_goes() {
    let lines = "[limits]\nconnections = 4\nconnections_per_address = 4\n\
                 idle_timeout_seconds = 600\nheaders_timeout_seconds = 600\n";
    let wharfd = Wharfd::with_config(lines).await;
    let host = wharfd.host();
    let push = push(&host, 100);
    let mut open = Vec::new();
    for (address, first) in [
        (HOSTILE[0], push.as_bytes()),
        (HOSTILE[0], PART),
        (HOSTILE[0], &b""[..]),
        (HOSTILE[1], &b""[..]),
    ] {
        let mut stream = connect_from(address, &host).await;
        stream.write_all(first).await.unwrap();
        open.push(stream);
        wharfd.metric_reaches(&used("connections"), open.len() as u64).await;
    }
    wharfd.metric_reaches(&used("uploads"), 1).await;
    // The largest party is refused; a smaller one takes the place of the longest idle connection.
    assert_eq!(asks_from(HOSTILE[0], &host).await, "429");
    let third = connect_from(THIRD, &host).await;
    wharfd.metric_reaches(&refusals("displaced"), 1).await;
    closed(open.remove(1)).await;
    // Now the party with two gives way again; its running upload goes on.
    assert_eq!(asks_from("127.0.0.5", &host).await, "200");
    assert_eq!(wharfd.metric(&refusals("displaced")).await, 2);
    closed(open.remove(1)).await;
    let mut pushing = open.remove(0);
    pushing.write_all(&[b'x'; 99]).await.unwrap();
    let mut answer = [0; 12];
    pushing.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 400", "it is not what it said");
    drop(third);
}

#[tokio::test]
async fn an_idle_connection_of_http2_makes_room_too() {
    let lines = "[limits]\nconnections = 2\nconnections_per_address = 2\n";
    let wharfd = Wharfd::with_config(lines).await;
    let host = wharfd.host();
    let mut open = Vec::new();
    for _ in 0..2 {
        let io = TokioIo::new(connect_from(HOSTILE[0], &host).await);
        let (mut client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        let connection = tokio::spawn(connection);
        let request = Request::get(format!("http://{host}/v2/")).body(empty()).unwrap();
        let answer = client.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.into_body().collect().await.unwrap();
        open.push((client, connection));
    }
    assert_eq!(asks_from(THIRD, &host).await, "200");
    assert_eq!(wharfd.metric(&refusals("displaced")).await, 1);
    // It is told to go, and goes.
    let (_client, connection) = open.remove(0);
    connection.await.unwrap().unwrap();
}

/// Opens an upload, as this client behind the balancer.
async fn open(wharfd: &Wharfd, client: &str) -> Answer {
    let call = wharfd.api.post(&format!("/v2/{REPO}/blobs/uploads/"));
    call.header("x-forwarded-for", client).send().await.unwrap()
}

#[tokio::test]
async fn two_who_open_all_uploads_they_can_leave_room_for_a_third() {
    let lines = "trusted_proxies = [\"127.0.0.1\"]\n[limits]\nuploads = 8\n";
    let wharfd = Wharfd::with_config(lines).await;
    for client in HOSTILE {
        for _ in 0..2 {
            assert_eq!(open(&wharfd, client).await.status, 202);
        }
        assert_turned_away(&open(&wharfd, client).await);
    }
    assert_eq!(open(&wharfd, THIRD).await.status, 202);
    // An upload in one request counts as well.
    let host = wharfd.host();
    let mut whole = TcpStream::connect(&host).await.unwrap();
    let head =
        push(&host, 100).replace("\r\n\r\n", &format!("\r\nx-forwarded-for: {THIRD}\r\n\r\n"));
    whole.write_all(head.as_bytes()).await.unwrap();
    wharfd.metric_reaches(&used("uploads"), 6).await;
    assert_turned_away(&open(&wharfd, THIRD).await);
    assert_eq!(wharfd.metric(&refusals("user_uploads")).await, 3);
}

#[tokio::test]
async fn past_all_uploads_the_longest_idle_of_whoever_has_most_goes() {
    let lines = "trusted_proxies = [\"127.0.0.1\"]\n[limits]\nuploads = 3\nuploads_per_user = 2\n";
    let wharfd = Wharfd::with_config(lines).await;
    let first = open(&wharfd, "10.0.0.1").await;
    let second = open(&wharfd, "10.0.0.1").await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (202, 202));
    assert_turned_away(&open(&wharfd, "10.0.0.1").await);
    assert_eq!(open(&wharfd, "10.0.0.2").await.status, 202);
    assert_eq!(wharfd.metric(&used("uploads")).await, 3);
    assert_eq!(open(&wharfd, "10.0.0.3").await.status, 202);
    assert_eq!(wharfd.api.get(first.header("location")).await.status, 404);
    assert_eq!(wharfd.metric(&refusals("displaced_uploads")).await, 1);
    // All parties have one each: none makes way for an equal.
    assert_turned_away(&open(&wharfd, "10.0.0.3").await);
    assert_eq!(wharfd.metric(&refusals("user_uploads")).await, 1);
    assert_eq!(wharfd.metric(&refusals("uploads")).await, 1);
    let ended = wharfd.api.end_upload(second.header("location"), &sha256(b"x"), "x").await;
    assert_eq!(ended.status, 201);
    assert_eq!(open(&wharfd, "10.0.0.1").await.status, 202);
}

#[tokio::test]
async fn an_upload_that_an_upstream_is_still_opening_counts_although_its_client_left() {
    let lines = "[limits]\nuploads_per_user = 1\n";
    let Some(stage) = Stage::start_with(|setup| setup.lines(lines)).await else { return };
    let path = format!("/v2/{REPO}/blobs/uploads/");
    let open = async || stage.api().post(&path).send().await.unwrap();
    stage.double.set_fault(FaultRule::next(Kind::UploadPost, Fault::Hang));
    let (api, asked) = (stage.api().clone(), path.clone());
    let first = tokio::spawn(async move { api.post(&asked).send().await });
    eventually("the upload at the upstream", async || (stage.double.held() == 1).then_some(()))
        .await;
    first.abort();
    let open_requests = "wharfd_requests_in_flight";
    let left = async || (stage.wharfd.metric(open_requests).await == 0).then_some(());
    eventually("its client to be gone", left).await;
    assert_eq!(stage.wharfd.metric(&used("uploads")).await, 1);
    assert_turned_away(&open().await);
    stage.double.release();
    let free = async || (stage.wharfd.metric(&used("uploads")).await == 0).then_some(());
    eventually("its end", free).await;
    assert_eq!(open().await.status, 202);
}
