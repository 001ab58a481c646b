//! Bodies held whole for clients without progress: streams of HTTP/2, readers of HTTP/1.1, hanging
//! pushes of manifests. In trials there are enough of them to take gigabytes if `wharfd` did not
//! count their bodies. Memory stays under its bound, another client is served meanwhile, and all
//! memory comes back.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use wharf_testkit::trials;

use super::http2::frame;
use super::{INDEX, MANIFEST_TYPE, REPO, connect_from, refusals, used};
use crate::fixture::{PATIENCE, Wharfd, eventually, noise};

const MIB: usize = 1024 * 1024;
const SIZE: usize = 4_000_000;
/// The most resident memory of `wharfd`, with any clients.
const RESIDENT_MAX: usize = 256 * MIB;
/// The most additional memory afterwards: the caches of the allocator and the store.
const KEPT_MAX: usize = 48 * MIB;
/// The store's segment cache for readers of blobs.
const HOT_BYTES_MAX: usize = 96 * MIB;
/// So many different manifests are asked for.
const MANIFESTS: usize = 24;

/// A manifest of `SIZE` bytes: an empty index.
fn manifest(number: usize) -> String {
    let index = INDEX.trim_end_matches('}');
    let mut text = format!("{index},\"annotations\":{{\"number\":\"{number}\"}}}}");
    text.push_str(&" ".repeat(SIZE - text.len()));
    text
}

fn path(number: usize) -> String {
    format!("/v2/{REPO}/manifests/v{}", number % MANIFESTS)
}

/// `wharfd` with the manifests, and a blob for well-behaved clients.
async fn stage() -> (Wharfd, String, usize) {
    let wharfd = Wharfd::with_config("[limits]\nslow_timeout_seconds = 600\n").await;
    for number in 0..MANIFESTS {
        let tag = format!("v{number}");
        let put = wharfd.api.put_manifest(REPO, &tag, MANIFEST_TYPE, manifest(number)).await;
        assert_eq!(put.status, 201, "{}", put.text());
    }
    let digest = wharfd.api.push_blob(REPO, noise(1, MIB)).await;
    let before = resident(&wharfd);
    (wharfd, digest, before)
}

/// Its resident memory at the moment, as counted by the kernel.
fn resident(wharfd: &Wharfd) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", wharfd.pid())).unwrap();
    let now = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    now.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// A connection with the smallest buffers of the kernel.
async fn narrow(host: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(host.parse().unwrap()).await.unwrap()
}

/// The whole response to another address: the head, and the length of the body.
async fn other(host: &str, head: &str, body: &[u8]) -> (String, usize) {
    let mut stream = connect_from("127.0.0.2", host).await;
    let length = body.len();
    let head = format!(
        "{head} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: {MANIFEST_TYPE}\r\n\
         content-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut all = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut all)).await.expect("an answer").unwrap();
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    (String::from_utf8_lossy(&all[..end]).into_owned(), all.len() - end)
}

/// Another client requests a small part of each kind, and gets all of it.
async fn assert_others_are_served(wharfd: &Wharfd, digest: &str) {
    let host = wharfd.host();
    let rows = [
        ("GET /v2/".to_owned(), String::new(), 200, 2),
        (format!("GET {}", path(7)), String::new(), 200, SIZE),
        (format!("GET /v2/{REPO}/blobs/{digest}"), String::new(), 200, MIB),
        (format!("PUT /v2/{REPO}/manifests/other"), manifest(1_000), 201, 0),
        (format!("GET /v2/{REPO}/manifests/other"), String::new(), 200, SIZE),
    ];
    for (head, body, status, bytes) in rows {
        let (said, came) = other(&host, &head, body.as_bytes()).await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{head}: {said}");
        assert_eq!(came, bytes, "{head}");
    }
}

/// Checks the memory with the blocking clients, and the memory after their departure.
#[expect(clippy::print_stdout, reason = "what it measured is its result")]
async fn assert_it_comes_back<T>(wharfd: &Wharfd, what: &str, rest: usize, clients: T) {
    let held = wharfd.metric(&used("bytes_in_flight")).await;
    let (peak, during) = (wharfd.peak_memory_bytes(), resident(wharfd));
    drop(clients);
    let nothing = async || (wharfd.metric(&used("bytes_in_flight")).await == 0).then_some(());
    eventually("all of it to be free", nothing).await;
    let enough = async || (resident(wharfd) <= rest).then(|| resident(wharfd));
    let after = eventually("memory to come back", enough).await;
    println!(
        "| {what} | {} MiB at most | {} MiB meanwhile, of which {} counted | {} \
         MiB after |",
        peak / MIB,
        during / MIB,
        held / MIB as u64,
        after / MIB
    );
    assert!(peak <= RESIDENT_MAX, "{} MiB resident", peak / MIB);
}

/// A GET of `http://localhost/PATH` in HPACK without a table.
fn get(path: &str) -> Vec<u8> {
    let length = u8::try_from(path.len()).unwrap();
    [&[0x82, 0x86, 0x01, 9][..], b"localhost", &[0x04, length], path.as_bytes()].concat()
}

/// Opens streams with one manifest request each, and reads no response. With `wide` windows the
/// server may send every body at once.
async fn streams(host: &str, count: usize, wide: bool) -> TcpStream {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let window = 0x7fff_ffff_u32.to_be_bytes();
    if wide {
        bytes.extend(frame(4, 0, 0, &[&4_u16.to_be_bytes()[..], &window[..]].concat()));
        bytes.extend(frame(8, 0, 0, &(0x7fff_ffff_u32 - 65_535).to_be_bytes()));
    } else {
        bytes.extend(frame(4, 0, 0, &[]));
    }
    for number in 0..count {
        let stream = u32::try_from(number).unwrap() * 2 + 1;
        bytes.extend(frame(1, 5, stream, &get(&path(number))));
    }
    let mut stream = narrow(host).await;
    stream.write_all(&bytes).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_read_nothing_take_little_memory() {
    let (wharfd, digest, before) = stage().await;
    let (host, count) = (wharfd.host(), trials::size(96, 128));
    let mut connections = Vec::new();
    for wide in [false, true, true] {
        connections.push(streams(&host, count, wide).await);
    }
    // The share has room for six of the manifests; further requests are refused.
    let refused = u64::try_from(count * 3 / 2).unwrap();
    wharfd.metric_reaches(&refusals("user_bytes_in_flight"), refused).await;
    assert_others_are_served(&wharfd, &digest).await;
    assert!(wharfd.metric(&used("bytes_in_flight")).await >= SIZE as u64);
    assert_it_comes_back(&wharfd, "3 connections of HTTP/2", before + KEPT_MAX, connections).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_read_nothing_take_little_memory() {
    let (wharfd, digest, before) = stage().await;
    let readers = trials::size(120, 400);
    let mut open = Vec::new();
    for number in 0..readers {
        let mut stream = narrow(&wharfd.host()).await;
        let head = format!("GET {} HTTP/1.1\r\nhost: localhost\r\n\r\n", path(number));
        stream.write_all(head.as_bytes()).await.unwrap();
        open.push(stream);
    }
    // Each has its answer, or is told to come again.
    let (mut served, mut refused) = (0, 0);
    for stream in &mut open {
        let mut said = [0; 12];
        timeout(PATIENCE, stream.read_exact(&mut said)).await.expect("an answer").unwrap();
        match &said {
            b"HTTP/1.1 200" => served += 1,
            b"HTTP/1.1 429" => refused += 1,
            other => panic!("{}", String::from_utf8_lossy(other)),
        }
    }
    assert!(served >= readers / MANIFESTS, "those of one manifest share it: {served}");
    assert_eq!(wharfd.metric(&refusals("user_bytes_in_flight")).await, refused);
    assert!(refused > 0);
    assert_others_are_served(&wharfd, &digest).await;
    assert_it_comes_back(&wharfd, &format!("{readers} readers"), before + KEPT_MAX, open).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_one_manifest_share_it_and_none_is_refused() {
    let (wharfd, digest, before) = stage().await;
    let readers = trials::size(120, 400);
    let mut open = Vec::new();
    for _ in 0..readers {
        let mut stream = narrow(&wharfd.host()).await;
        let head = format!("GET {} HTTP/1.1\r\nhost: localhost\r\n\r\n", path(3));
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut said = [0; 12];
        timeout(PATIENCE, stream.read_exact(&mut said)).await.expect("an answer").unwrap();
        assert_eq!(&said, b"HTTP/1.1 200");
        open.push(stream);
    }
    let held = wharfd.metric(&used("bytes_in_flight")).await;
    assert_eq!(held, SIZE as u64, "it is in memory once");
    assert_others_are_served(&wharfd, &digest).await;
    assert_it_comes_back(&wharfd, &format!("{readers} readers of one"), before + KEPT_MAX, open)
        .await;
}

/// Announces a manifest and sends most of it, as far as the server reads; stays until the end of
/// the test.
async fn hang(host: String, content: &'static [u8], number: usize) -> TcpStream {
    let mut stream = TcpStream::connect(&host).await.unwrap();
    let head = format!(
        "PUT /v2/{REPO}/manifests/h{number} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {MANIFEST_TYPE}\r\n\
         content-length: {}\r\n\r\n",
        content.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let _ = timeout(Duration::from_secs(5), stream.write_all(&content[..SIZE * 7 / 8])).await;
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_that_hang_take_little_memory_and_an_announced_length_is_reserved() {
    let (wharfd, digest, before) = stage().await;
    let pushes = trials::size(120, 400);
    let content: &'static [u8] = manifest(0).leak().as_bytes();
    let all: JoinSet<_> = (0..pushes).map(|number| hang(wharfd.host(), content, number)).collect();
    let open = all.join_all().await;
    let told = async || {
        let refused = wharfd.metric(&refusals("user_bytes_in_flight")).await;
        let held = wharfd.metric(&used("bytes_in_flight")).await;
        let places = u64::try_from(pushes).unwrap() - refused;
        // An admitted push reserves its whole announced length, even before the bytes arrive.
        (refused > 0 && held == places * SIZE as u64).then_some(())
    };
    eventually("all but a few to be refused", told).await;
    assert_others_are_served(&wharfd, &digest).await;
    assert_it_comes_back(&wharfd, &format!("{pushes} pushes"), before + KEPT_MAX, open).await;
    // Refused clients are admitted now.
    let put = wharfd.api.put_manifest(REPO, "again", MANIFEST_TYPE, manifest(2_000)).await;
    assert_eq!(put.status, 201, "{}", put.text());
}

/// A body without a declared length is counted as it grows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_without_a_length_is_reserved_as_it_grows() {
    let wharfd = Wharfd::alone().await;
    let request = format!(
        "PUT /v2/{REPO}/manifests/v1 HTTP/1.1\r\nhost: localhost\r\ncontent-type: {MANIFEST_TYPE}\r\n\
         transfer-encoding: chunked\r\n\r\n"
    );
    let mut stream = TcpStream::connect(wharfd.host()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let chunk = [format!("{:x}\r\n", 300_000).into_bytes(), vec![b' '; 300_000], b"\r\n".to_vec()];
    stream.write_all(&chunk.concat()).await.unwrap();
    let name = used("bytes_in_flight");
    let grown = async || Some(wharfd.metric(&name).await).filter(|held| *held >= 300_000);
    let held = eventually("what came to be counted", grown).await;
    assert!(held < 1_000_000, "{held}: not more than it may need next");
    stream.write_all(&chunk.concat()).await.unwrap();
    wharfd.metric_reaches(&name, 600_000).await;
    drop(stream);
    let nothing = async || (wharfd.metric(&name).await == 0).then_some(());
    eventually("all of it to be free", nothing).await;
}

/// Readers at many positions of large blobs, each with a segment of its own in memory: the store
/// counts each segment. Readers without room are refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_cold_blobs_take_little_memory() {
    let wharfd = Wharfd::with_config("[limits]\nslow_timeout_seconds = 600\n").await;
    let (blob_bytes, readers) = (trials::size(128, 384) * MIB, trials::size(160, 600));
    let small = wharfd.api.push_blob(REPO, noise(1, MIB)).await;
    let put = wharfd.api.put_manifest(REPO, "v7", MANIFEST_TYPE, manifest(7)).await;
    assert_eq!(put.status, 201);
    let digest = wharfd.api.push_blob(REPO, noise(2, blob_bytes)).await;
    let (host, before) = (wharfd.host(), resident(&wharfd));
    let (mut open, mut served) = (Vec::new(), 0);
    for number in 0..readers {
        let mut stream = narrow(&host).await;
        let from = number * (blob_bytes / readers);
        let head = format!(
            "GET /v2/{REPO}/blobs/{digest} HTTP/1.1\r\nhost: localhost\r\nrange: bytes={from}-\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut said = [0; 12];
        timeout(PATIENCE, stream.read_exact(&mut said)).await.expect("an answer").unwrap();
        assert!([b"HTTP/1.1 206", b"HTTP/1.1 429"].contains(&&said), "{said:?}");
        served += usize::from(&said == b"HTTP/1.1 206");
        open.push(stream);
    }
    assert!(served > readers / 4, "{served}");
    assert_others_are_served(&wharfd, &small).await;
    let what = format!("{readers} readers of {} MiB, {served} served", blob_bytes / MIB);
    // The store keeps some of them for the next readers.
    assert_it_comes_back(&wharfd, &what, before + HOT_BYTES_MAX + KEPT_MAX, open).await;
}
