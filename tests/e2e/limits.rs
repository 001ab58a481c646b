//! The bounds of `[limits]`, each small here: a client beyond a bound gets a refusal, and no other
//! client is disturbed. Time has its own file, `limits/clocks.rs`; malformed heads are in
//! `limits/heads.rs`, pools shared by parties in `limits/parties.rs`.

mod clocks;
mod downloads;
mod heads;
mod http2;
mod parties;
mod whole;

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use wharf_testkit::http::{Answer, chunked};
use wharf_testkit::images::sha256;

use crate::fixture::{Api, Wharfd, code, eventually, noise};
use crate::tls::scene::Scene;

const REPO: &str = "acme/web";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const INDEX: &str = "{\"schemaVersion\":2,\"manifests\":[]}";

fn refusals(limit: &str) -> String {
    format!("wharfd_limit_refusals_total{{limit=\"{limit}\"}}")
}

fn used(limit: &str) -> String {
    format!("wharfd_limit_used{{limit=\"{limit}\"}}")
}

/// It is told to come again later, in the words of the specification.
fn assert_turned_away(answer: &Answer) {
    let seen = (answer.status.as_u16(), code(answer));
    assert_eq!(seen, (429, "TOOMANYREQUESTS".to_owned()), "{}", answer.text());
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!(wait >= 1);
}

/// A connection from another address of this machine.
async fn connect_from(address: &str, host: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(address.parse().unwrap(), 0)).unwrap();
    socket.connect(host.parse().unwrap()).await.unwrap()
}

/// Sends exactly these bytes.
async fn send(host: &str, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// Every byte until the other side closes, as text; a reset is an end like any other.
async fn rest(stream: &mut TcpStream) -> String {
    let (mut all, mut part) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut part).await {
        all.extend_from_slice(&part[..count]);
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// The status of a new connection from this address.
async fn asks_from(address: &str, host: &str) -> String {
    let mut stream = connect_from(address, host).await;
    let head = format!("GET /v2/ HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    rest(&mut stream).await.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn past_all_connections_the_next_is_told_and_operators_are_not() {
    let lines = "[limits]\nconnections = 4\nconnections_per_address = 4\n\
                 idle_timeout_seconds = 600\n";
    let wharfd = Wharfd::with_config(lines).await;
    let host = wharfd.host();
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(TcpStream::connect(&host).await.unwrap());
    }
    wharfd.metric_reaches(&used("connections"), 4).await;
    let refused = wharfd.api.get("/v2/").await;
    assert_turned_away(&refused);
    assert_eq!(refused.header("connection"), "close");
    // `wharfd` does not wait for silent clients.
    let silent: Vec<_> = (0..200).map(|_| TcpStream::connect(&host)).collect();
    let mut connected = Vec::new();
    for stream in silent {
        connected.push(stream.await.unwrap());
    }
    assert_eq!(wharfd.admin_get("/healthz").await.0, 200);
    assert_eq!(wharfd.admin_get("/readyz").await.0, 200);
    wharfd.metric_reaches(&refusals("address_connections"), 201).await;
    assert_eq!(wharfd.metric(&used("connections")).await, 4);
    for mut stream in connected {
        rest(&mut stream).await;
    }
    drop(open.pop());
    let served = async || (wharfd.api.get("/v2/").await.status == 200).then_some(());
    eventually("the place that is free", served).await;
}

#[tokio::test]
async fn one_address_has_its_share_of_connections_and_a_trusted_proxy_has_all() {
    let lines = "trusted_proxies = [\"127.0.0.3\"]\n[limits]\nconnections_per_address = 2\n";
    let wharfd = Wharfd::with_config(lines).await;
    let host = wharfd.host();
    let _open = (connect_from("127.0.0.2", &host).await, connect_from("127.0.0.2", &host).await);
    wharfd.metric_reaches(&used("address_connections"), 2).await;
    assert_eq!(asks_from("127.0.0.2", &host).await, "429");
    assert_eq!(asks_from("127.0.0.4", &host).await, "200");
    let mut proxied = Vec::new();
    for _ in 0..5 {
        proxied.push(connect_from("127.0.0.3", &host).await);
    }
    assert_eq!(asks_from("127.0.0.3", &host).await, "200");
    assert_eq!(wharfd.metric(&refusals("address_connections")).await, 1);
}

#[tokio::test]
async fn over_tls_there_is_the_same_answer_in_both_versions() {
    let scene = Scene::start_with("", "[limits]\nconnections = 1\n").await;
    let _one = scene.connect(&["h2"]).await;
    for alpn in ["h2", "http/1.1"] {
        let (status, body) = scene.connect(&[alpn]).await.get("/v2/").await.unwrap();
        assert_eq!(status, 429, "{alpn}");
        assert!(body.windows(15).any(|word| word == b"TOOMANYREQUESTS"), "{alpn}");
    }
}

/// A GET as a proxy hands it on for a client.
async fn ask_for(api: &Api, path: &str, client: &str) -> Answer {
    let call = api.call(http::Method::GET, path).header("x-forwarded-for", client);
    call.send().await.unwrap()
}

/// More concurrent requests than the rate admits within their waiting time; returns the first
/// refusal. The others disconnect.
async fn ask_too_much(api: &Api, path: &str, client: &'static str) -> Answer {
    let mut asked = JoinSet::new();
    for _ in 0..80 {
        let (api, path) = (api.clone(), path.to_owned());
        asked.spawn(async move { ask_for(&api, &path, client).await });
    }
    while let Some(answer) = asked.join_next().await {
        let answer = answer.unwrap();
        if answer.status == 429 {
            return answer;
        }
    }
    panic!("nobody was turned away");
}

#[tokio::test]
async fn who_asks_too_often_waits_for_a_turn_and_transfers_go_on() {
    let lines = "trusted_proxies = [\"127.0.0.1\"]\n[limits]\nrequests_per_second = 1\n\
                 requests_burst = 5\n";
    let wharfd = Wharfd::holding(lines).await;
    let digest = wharfd.api.push_blob(REPO, "content").await;
    let ask = async |path: &str, client: &str| ask_for(&wharfd.api, path, client).await;
    for _ in 0..7 {
        assert_eq!(ask("/v2/", "10.0.0.1").await.status, 200);
    }
    let waited = wharfd.metric("wharfd_limit_waits_total{limit=\"user_rate\"}").await;
    assert!(waited >= 1, "past the burst");
    assert_turned_away(&ask_too_much(&wharfd.api, "/v2/", "10.0.0.1").await);
    assert!(wharfd.metric(&refusals("user_rate")).await >= 1);
    for _ in 0..20 {
        let blob = ask(&format!("/v2/{REPO}/blobs/{digest}"), "10.0.0.1").await;
        assert_eq!(blob.status, 200);
    }
    assert_eq!(ask("/v2/", "10.0.0.2").await.status, 200, "others are not meant");
    // Departed clients leave the queue.
    let gone = async || (wharfd.metric("wharfd_limit_waiting").await == 0).then_some(());
    eventually("the line to be empty", gone).await;
    assert_eq!(ask("/v2/", "10.0.0.1").await.status, 200);
}

#[tokio::test]
async fn addresses_and_transfers_have_rates_of_their_own() {
    let lines = "[limits]\naddress_requests_per_second = 1\naddress_requests_burst = 40\n\
                 transfers_per_second = 1\ntransfers_burst = 4\n";
    let wharfd = Wharfd::with_config(lines).await;
    let digest = wharfd.api.push_blob(REPO, "content").await;
    let blob = format!("/v2/{REPO}/blobs/{digest}");
    for (path, limit) in [(blob.as_str(), "transfers"), ("/v2/", "address_rate")] {
        let refused = ask_too_much(&wharfd.api, path, "10.0.0.1").await;
        assert_turned_away(&refused);
        assert!(wharfd.metric(&refusals(limit)).await >= 1);
    }
}

#[tokio::test]
async fn bytes_of_uploads_wait_for_their_turn_and_are_never_refused_for_their_rate() {
    let lines = "[limits]\ntransfers_per_second = 20\ntransfers_burst = 1\n";
    let wharfd = Wharfd::with_config(lines).await;
    let mut pushes = JoinSet::new();
    for seed in 0..40 {
        let api = wharfd.api.clone();
        pushes.spawn(async move {
            let content = noise(seed, 1_000);
            let location = api.open_upload(REPO).await;
            let sent = api.patch(&location).bytes(content.clone()).send().await.unwrap();
            assert_eq!(sent.status, 202, "{}", sent.text());
            let ended = api.end_upload(&location, &sha256(&content), "").await;
            assert_eq!(ended.status, 201, "{}", ended.text());
        });
    }
    pushes.join_all().await;
    assert_eq!(wharfd.metric(&refusals("transfers")).await, 0);
    assert!(wharfd.metric("wharfd_limit_waits_total{limit=\"transfers\"}").await > 0);
}

/// Begins to fetch a blob, and takes nothing of it.
async fn fetch_nothing(api: &Api, digest: &str) -> TcpStream {
    read_nothing(api, &format!("blobs/{digest}")).await
}

/// Requests a path, and reads no byte of the response.
async fn read_nothing(api: &Api, what: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(api.host().parse().unwrap()).await.unwrap();
    let head = format!("GET /v2/{REPO}/{what} HTTP/1.1\r\nhost: {}\r\n\r\n", api.host());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn with_too_many_bytes_in_memory_no_transfer_begins_and_questions_are_answered() {
    let lines = "[limits]\nbytes_in_flight = \"1MiB\"\nslow_timeout_seconds = 600\n";
    let wharfd = Wharfd::with_config(lines).await;
    let api = &wharfd.api;
    let content = noise(1, 16_000_000);
    let digest = api.push_blob(REPO, content.clone()).await;
    let large = format!("{INDEX}{}", " ".repeat(3_000_000));
    assert_eq!(api.put_manifest(REPO, "large", MANIFEST_TYPE, large).await.status, 201);
    let readers = [fetch_nothing(api, &digest).await, fetch_nothing(api, &digest).await];
    assert_eq!(wharfd.metric(&used("bytes_in_flight")).await, 0, "the store has what they read");
    // Alone, a response may be larger than the whole limit.
    let stuck = read_nothing(api, "manifests/large").await;
    wharfd.metric_reaches(&used("bytes_in_flight"), 3_000_000).await;
    assert_turned_away(&api.get_blob(REPO, &digest).await);
    assert_turned_away(&api.post(&format!("/v2/{REPO}/blobs/uploads/")).send().await.unwrap());
    assert_eq!(api.head_blob(REPO, &digest).await.status, 200);
    assert_eq!(api.get("/v2/").await.status, 200);
    assert_eq!(wharfd.metric(&refusals("bytes_in_flight")).await, 2);
    drop((stuck, readers));
    let served = async || {
        let answer = api.get_blob(REPO, &digest).await;
        (answer.status == 200).then_some(answer.body)
    };
    assert!(eventually("room", served).await == content);
}

#[tokio::test]
async fn what_is_too_large_is_refused_by_its_size() {
    let lines = "[limits]\nmanifest_bytes = \"1KiB\"\nblob_bytes = \"1MiB\"\nurl_bytes = \"1KiB\"\n\
                 headers = 20\nheader_bytes = \"8KiB\"\n";
    let wharfd = Wharfd::with_config(lines).await;
    let api = &wharfd.api;
    let spaces = " ".repeat(1024);
    let large = api.put_manifest(REPO, "v1", MANIFEST_TYPE, format!("{INDEX}{spaces}")).await;
    assert_eq!((large.status.as_u16(), code(&large).as_str()), (413, "MANIFEST_INVALID"));
    assert_eq!(api.put_manifest(REPO, "v1", MANIFEST_TYPE, INDEX).await.status, 201);
    let content = noise(1, 1024 * 1024 + 1);
    let parts = content.chunks(100_000).map(bytes::Bytes::copy_from_slice).collect();
    for body in [wharf_testkit::http::full(content.clone()), chunked(parts)] {
        let location = api.open_upload(REPO).await;
        let large = api.patch(&location).body(body).send().await.unwrap();
        assert_eq!((large.status.as_u16(), code(&large).as_str()), (413, "SIZE_INVALID"));
    }
    api.push_blob(REPO, content[1..].to_vec()).await;
    assert_eq!(wharfd.metric(&refusals("body_size")).await, 3);

    let long = format!("/v2/_catalog?last={}", "a".repeat(1024));
    assert_eq!(api.get(&long).await.status, 414);
    let headers = |count: usize, bytes: usize| {
        let call = api.call(http::Method::GET, "/v2/");
        (0..count).fold(call, |call, n| call.header(&format!("x-{n}"), "a".repeat(bytes))).send()
    };
    assert_eq!(headers(5, 1).await.unwrap().status, 200);
    assert_eq!(headers(30, 1).await.unwrap().status, 431);
    assert_eq!(headers(3, 4000).await.unwrap().status, 431);
    assert_eq!(wharfd.metric(&refusals("url")).await, 1);
    assert_eq!(wharfd.metric(&refusals("headers")).await, 2);
}
