//! Downloads among strangers: an abandoned download blocks no other client and is not lost, and a
//! slow upstream is noticed at once.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use wharf_testkit::images::sha256;

use super::{REPO, connect_from};
use crate::fixture::{Wharfd, eventually, noise};

const MIB: usize = 1024 * 1024;
const SEGMENT_BYTES: u64 = 256 * 1024;

/// A registry with a pause after this many bytes of each blob.
struct Slow {
    addr: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    /// The content of known blobs; any other blob is a megabyte without a single byte sent.
    blobs: Mutex<HashMap<String, Vec<u8>>>,
    allowed: watch::Sender<usize>,
    sends_parts: bool,
    /// The requests: digest, and start of the range.
    asked: Mutex<Vec<(String, Option<u64>)>>,
}

impl Slow {
    async fn start(sends_parts: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (allowed, _) = watch::channel(0);
        let (blobs, asked) = (Mutex::default(), Mutex::default());
        let shared = Arc::new(Shared { blobs, allowed, sends_parts, asked });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Self { addr, shared, _tasks: tasks }
    }

    async fn wharfd(&self, lines: &str) -> Wharfd {
        Wharfd::with_config(&format!("{lines}\n[[upstream]]\nurl = \"http://{}\"\n", self.addr))
            .await
    }

    /// Has this blob; its digest.
    fn has(&self, content: &[u8]) -> String {
        self.has_as(&sha256(content), content)
    }

    fn has_as(&self, digest: &str, content: &[u8]) -> String {
        self.shared.blobs.lock().unwrap().insert(digest.to_owned(), content.to_vec());
        digest.to_owned()
    }

    /// From now on so much of each blob has come.
    fn allow(&self, bytes: usize) {
        self.shared.allowed.send_replace(bytes);
    }

    fn asked(&self, digest: &str) -> Vec<Option<u64>> {
        let asked = self.shared.asked.lock().unwrap();
        asked.iter().filter(|(of, _)| of == digest).map(|(_, from)| *from).collect()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // A departed client is of no interest.
            let _ = serve(stream, &shared).await;
        });
    }
}

async fn serve(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    loop {
        let head = head_of(&mut stream).await?;
        let path = head.split(' ').nth(1).unwrap_or_default();
        let Some((_, digest)) = path.rsplit_once("/blobs/") else {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
            continue;
        };
        let from = head.lines().find_map(|line| {
            line.strip_prefix("range: bytes=")?.split_once('-')?.0.parse::<u64>().ok()
        });
        shared.asked.lock().unwrap().push((digest.to_owned(), from));
        let content = shared.blobs.lock().unwrap().get(digest).cloned();
        let size = content.as_ref().map_or(MIB, Vec::len);
        let mut at = usize::try_from(from.filter(|_| shared.sends_parts).unwrap_or(0)).unwrap();
        let answer = if at > 0 {
            format!(
                "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes {at}-{}/{size}\r\n\
                 content-length: {}\r\n\r\n",
                size - 1,
                size - at
            )
        } else {
            format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n")
        };
        stream.write_all(answer.as_bytes()).await?;
        if head.starts_with("HEAD") {
            continue;
        }
        let mut allowed = shared.allowed.subscribe();
        while at < size {
            let known = content.as_ref().map_or(0, Vec::len);
            let end = (*allowed.borrow_and_update()).min(known);
            if at < end {
                stream.write_all(&content.as_ref().unwrap()[at..end]).await?;
                at = end;
            } else if allowed.changed().await.is_err() {
                return Ok(());
            }
        }
    }
}

/// The head of a request or of an answer.
async fn head_of(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// A client at this address after the head of a blob; returns the connection and the status.
async fn begin(address: &str, host: &str, digest: &str) -> (TcpStream, String) {
    let mut stream = connect_from(address, host).await;
    let head = format!("GET /v2/{REPO}/blobs/{digest} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let head = head_of(&mut stream).await.unwrap();
    let status = head.split(' ').nth(1).unwrap_or_default().to_owned();
    (stream, status)
}

async fn read(stream: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut received = vec![0; bytes];
    stream.read_exact(&mut received).await.unwrap();
    received
}

#[tokio::test]
async fn who_leaves_cold_downloads_behind_keeps_nobody_out() {
    let upstream = Slow::start(true).await;
    let wharfd = upstream.wharfd("").await;
    let host = wharfd.host();
    for wave in 0..8 {
        let mut clients = JoinSet::new();
        for number in 0..32 {
            let (host, digest) = (host.clone(), sha256(format!("{wave} {number}").as_bytes()));
            clients.spawn(async move { begin("127.0.0.2", &host, &digest).await });
        }
        // All of them leave when the last one has its head.
        drop(clients.join_all().await);
    }
    assert!(wharfd.metric("wharfd_fills").await <= 64);
    upstream.allow(usize::MAX);
    let content = noise(1, 3 * MIB);
    let digest = upstream.has(&content);
    let answer = wharfd.api.get_blob(REPO, &digest).await;
    assert_eq!((answer.status.as_u16(), answer.header("wharf-cache")), (200, "fill"));
    assert!(answer.body == content);
}

#[tokio::test]
async fn past_its_share_a_party_is_served_past_the_store_and_then_refused() {
    let upstream = Slow::start(true).await;
    let wharfd = upstream.wharfd("[limits]\nfills_per_user = 1\n").await;
    let (host, content) = (wharfd.host(), noise(2, MIB));
    let digest = upstream.has(&content);
    let mut open = vec![begin("127.0.0.2", &host, &sha256(b"held")).await];
    assert_eq!(open[0].1, "200");
    upstream.allow(usize::MAX);
    let mut one = begin("127.0.0.2", &host, &digest).await;
    assert!(read(&mut one.0, MIB).await == content);
    // The blob was not kept, and a joining client takes no share.
    assert_eq!(wharfd.metric("wharfd_fills").await, 1);
    assert_eq!(begin("127.0.0.2", &host, &sha256(b"held")).await.1, "200");
    for number in 0..64 {
        let client = begin("127.0.0.2", &host, &sha256(format!("{number}").as_bytes())).await;
        assert_eq!(client.1, "200");
        open.push(client);
    }
    assert_eq!(begin("127.0.0.2", &host, &sha256(b"one more")).await.1, "429");
    assert_eq!(wharfd.metric("wharfd_bound_used{bound=\"relayed downloads\"}").await, 64);
    let answer = wharfd.api.get_blob(REPO, &digest).await;
    assert_eq!((answer.status.as_u16(), answer.header("wharf-cache")), (200, "fill"));
    // Departing clients free their share, even with a silent upstream.
    drop(open);
    let served = async || {
        let client = begin("127.0.0.2", &host, &sha256(b"one more")).await;
        (client.1 == "200").then_some(())
    };
    eventually("room for one more", served).await;
}

#[tokio::test]
async fn a_download_that_made_room_goes_on_where_it_was() {
    for sends_parts in [true, false] {
        let upstream = Slow::start(sends_parts).await;
        let wharfd = upstream.wharfd("[limits]\nfills_per_user = 1\n").await;
        let (first, second) = (noise(3, 3 * MIB + 1000), noise(4, MIB));
        let (wanted, other) = (upstream.has(&first), upstream.has(&second));
        upstream.allow(2 * MIB);
        let mut client = begin("127.0.0.1", &wharfd.host(), &wanted).await.0;
        assert!(read(&mut client, 7 * MIB / 4).await == first[..7 * MIB / 4]);
        drop(client);
        // Its slot is needed, and no client has wanted it for a while.
        let kept = async || {
            let answer = wharfd.api.get_blob(REPO, &other).await;
            assert!(answer.body == second);
            (answer.header("wharf-cache") == "fill").then_some(())
        };
        eventually("a place for another", kept).await;
        wharfd.metric_reaches("wharfd_fills_ended_total", 1).await;
        wharfd.metric_reaches("wharfd_store_part_bytes", 7 * SEGMENT_BYTES).await;
        // The other one has its share until it is published.
        wharfd.fills_are_over().await;
        upstream.allow(usize::MAX);
        let answer = wharfd.api.get_blob(REPO, &wanted).await;
        assert_eq!((answer.status.as_u16(), answer.header("wharf-cache")), (200, "fill"));
        assert!(answer.body == first);
        let asked = upstream.asked(&wanted);
        let from = asked[1].unwrap();
        assert!(from >= 7 * SEGMENT_BYTES && from % SEGMENT_BYTES == 0, "{asked:?}");
        assert_eq!(asked.len(), if sends_parts { 2 } else { 3 }, "{asked:?}");
        assert_eq!(wharfd.metric("wharfd_store_part_bytes").await, 0);
        wharfd.fills_are_over().await;
        assert_eq!(wharfd.api.get_blob(REPO, &wanted).await.header("wharf-cache"), "hit");
    }
}

#[tokio::test]
async fn what_a_slow_upstream_says_is_heard_at_once() {
    let upstream = Slow::start(true).await;
    let wharfd = upstream.wharfd("").await;
    let content = noise(5, MIB);
    let digest = upstream.has(&content);
    // Nothing but the head came from there.
    let (mut client, status) = begin("127.0.0.1", &wharfd.host(), &digest).await;
    assert_eq!(status, "200");
    let mut received = Vec::new();
    for bytes in [1_000, 2_500, 400_000, 400_001] {
        upstream.allow(bytes);
        let news = read(&mut client, bytes - received.len()).await;
        received.extend_from_slice(&news);
    }
    upstream.allow(usize::MAX);
    received.extend_from_slice(&read(&mut client, MIB - received.len()).await);
    assert!(received == content);
}

#[tokio::test]
async fn what_is_shown_early_is_never_a_whole_wrong_blob() {
    let upstream = Slow::start(true).await;
    let wharfd = upstream.wharfd("").await;
    let content = noise(6, MIB);
    let digest = upstream.has_as(&sha256(b"another"), &content);
    let (mut client, _) = begin("127.0.0.1", &wharfd.host(), &digest).await;
    upstream.allow(MIB - 1);
    let last = usize::try_from(SEGMENT_BYTES).unwrap();
    read(&mut client, MIB - last).await;
    upstream.allow(usize::MAX);
    let mut rest = Vec::new();
    // An end or a reset: either way there is no more.
    let _ = client.read_to_end(&mut rest).await;
    assert!(rest.is_empty(), "{} bytes of the last segment", rest.len());
    wharfd.fills_are_over().await;
}
