//! Slow clients beside fast ones: in trials 512 with a few KiB a second in either direction, some
//! of them stalled, and 64 fast ones. The fast clients' content is right and complete. A client
//! below the floor is cut off, a client above it is not; and memory stays under its bound.
//! `bench-peers slow` measures the speed of the fast ones.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use wharf_testkit::http::Client;
use wharf_testkit::images::sha256;
use wharf_testkit::trials;

use crate::fixture::{Api, PATIENCE, Wharfd, noise};

const REPO: &str = "acme/web";
const MIB: usize = 1024 * 1024;
/// A blob in the memory for readers, and a blob too large for it.
const HOT_BYTES: usize = 8 * MIB;
const WARM_BYTES: usize = 100 * MIB;
const PUSHED_BYTES: usize = 2 * MIB;

/// The crowd, in parts; in trials there are eight times as many.
const PULLERS: u64 = 48;
const STILL_PULLERS: u64 = 6;
const PUSHERS: u64 = 8;
const STILL_PUSHERS: u64 = 2;
const FAST: u64 = 8;

/// The floor is 1 KiB a second, over four seconds. The slow clients transfer at eight times the
/// floor, so other work on the machine makes none of them too slow.
const LIMITS: &str = "[limits]\nmin_bytes_per_second = \"1KiB\"\nslow_timeout_seconds = 4\n";
const FLOOR_WINDOW: Duration = Duration::from_secs(4);
const STEP: Duration = Duration::from_millis(500);
const STEP_BYTES: usize = 4 * 1024;

/// The store's memory for readers and writers, the program's own, and for each connection its
/// buffers and its current segment.
const PEAK_BYTES_MAX: usize = (96 * 3 / 2 + 160) * MIB + 576 * MIB / 4;

/// A connection with a small buffer, so the server notices unread bytes.
async fn connect(host: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    socket.connect(host.parse().unwrap()).await.unwrap()
}

/// The stage and the state shared by its clients.
struct Scene {
    wharfd: Wharfd,
    hot: (String, Bytes),
    warm: (String, Bytes),
}

impl Scene {
    async fn set() -> Self {
        let wharfd = Wharfd::with_config(LIMITS).await;
        let warm = Bytes::from(noise(2, WARM_BYTES));
        let hot = Bytes::from(noise(1, HOT_BYTES));
        let warm = (wharfd.api.push_blob(REPO, warm.clone()).await, warm);
        let hot = (wharfd.api.push_blob(REPO, hot.clone()).await, hot);
        Self { wharfd, hot, warm }
    }

    /// A GET of one of both blobs, up to the end of the head of its answer, and the first bytes.
    async fn begin_pull(&self, number: u64) -> (TcpStream, Bytes, usize) {
        let (digest, content) = if number.is_multiple_of(4) { &self.warm } else { &self.hot };
        let host = self.wharfd.host();
        let mut stream = connect(&host).await;
        let head = format!("GET /v2/{REPO}/blobs/{digest} HTTP/1.1\r\nhost: {host}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut read = Vec::new();
        let end = loop {
            assert!(stream.read_buf(&mut read).await.unwrap() > 0, "puller {number}: no answer");
            if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        assert!(read.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&read));
        let came = read.len() - end;
        assert!(content.starts_with(&read[end..]), "puller {number}");
        (stream, content.clone(), came)
    }

    /// An upload with a declared length of `PUSHED_BYTES`.
    async fn begin_push(&self) -> TcpStream {
        let location = self.wharfd.api.open_upload(REPO).await;
        let host = self.wharfd.host();
        let mut stream = connect(&host).await;
        let head = format!(
            "PATCH {location} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {PUSHED_BYTES}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }
}

/// Takes a little each time until the fast ones are done; each byte is right.
async fn pull_slowly(scene: Arc<Scene>, number: u64, mut done: watch::Receiver<bool>) -> usize {
    let (mut stream, content, mut came) = scene.begin_pull(number).await;
    let mut buffer = [0; STEP_BYTES];
    while !*done.borrow_and_update() && came < content.len() {
        let read = timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap();
        let read = read.unwrap_or_else(|error| panic!("puller {number} after {came}: {error}"));
        assert!(read > 0, "puller {number} was cut off after {came} bytes");
        assert!(buffer[..read] == content[came..came + read], "puller {number}, at {came}");
        came += read;
        sleep(STEP).await;
    }
    came
}

/// Sends a little each time until the fast ones are done.
async fn push_slowly(scene: Arc<Scene>, number: u64, mut done: watch::Receiver<bool>) -> usize {
    let mut stream = scene.begin_push().await;
    let mut sent = 0;
    while !*done.borrow_and_update() {
        let written = stream.write_all(&[7; STEP_BYTES]).await;
        written.unwrap_or_else(|error| panic!("pusher {number} after {sent}: {error}"));
        sent += STEP_BYTES;
        let mut answer = [0; 64];
        let early = timeout(STEP, stream.read(&mut answer)).await;
        assert!(
            early.is_err(),
            "pusher {number} after {sent}: {}",
            String::from_utf8_lossy(&answer)
        );
    }
    sent
}

/// Reads nothing for a while; then only the buffered bytes are left before the end.
async fn stand_still_pulling(scene: Arc<Scene>, number: u64) {
    let (mut stream, content, mut came) = scene.begin_pull(number * 4).await;
    sleep(FLOOR_WINDOW * 4).await;
    let mut buffer = vec![0; 256 * 1024];
    // A reset is an end, too.
    while let Ok(read @ 1..) = timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap() {
        assert!(buffer[..read] == content[came..came + read], "puller {number}, at {came}");
        came += read;
    }
    assert!(came < content.len() / 2, "puller {number} stood still and got {came} bytes");
}

async fn stand_still_pushing(scene: Arc<Scene>, number: u64) {
    let mut stream = scene.begin_push().await;
    stream.write_all(&[7; STEP_BYTES]).await.unwrap();
    let mut answer = Vec::new();
    let ended = timeout(FLOOR_WINDOW * 4 + PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "pusher {number} stood still and was not cut off");
    let text = String::from_utf8_lossy(&answer);
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "pusher {number}: {text}");
}

/// Pulls both blobs, then pushes one, then pulls it.
async fn hurry(scene: Arc<Scene>, number: u64) {
    let api = Api::new(scene.wharfd.api.base().to_owned(), Client::new());
    for _ in 0..2 {
        assert!(api.get_blob(REPO, &scene.hot.0).await.body == scene.hot.1, "fast {number}");
    }
    if number.is_multiple_of(8) {
        assert!(api.get_blob(REPO, &scene.warm.0).await.body == scene.warm.1, "fast {number}");
    }
    let mut content = scene.warm.1.slice(..PUSHED_BYTES).to_vec();
    content[..8].copy_from_slice(&number.to_le_bytes());
    let digest = sha256(&content);
    assert_eq!(api.push_blob(REPO, content.clone()).await, digest);
    assert!(api.get_blob(REPO, &digest).await.body == content, "fast {number}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fast_clients_are_served_beside_slow_ones_of_whom_only_those_below_the_floor_are_cut_off() {
    let scene = Arc::new(Scene::set().await);
    let began = Instant::now();
    let (times, (done, is_done)) = (trials::size(1, 8), watch::channel(false));
    let mut slow = JoinSet::new();
    for number in 0..PULLERS * times {
        slow.spawn(pull_slowly(Arc::clone(&scene), number, is_done.clone()));
    }
    for number in 0..PUSHERS * times {
        slow.spawn(push_slowly(Arc::clone(&scene), number, is_done.clone()));
    }
    let mut still = JoinSet::new();
    for number in 0..STILL_PULLERS * times {
        still.spawn(stand_still_pulling(Arc::clone(&scene), number));
    }
    for number in 0..STILL_PUSHERS * times {
        still.spawn(stand_still_pushing(Arc::clone(&scene), number));
    }
    let mut fast = JoinSet::new();
    for number in 0..FAST * times {
        fast.spawn(hurry(Arc::clone(&scene), number));
    }
    timeout(3 * PATIENCE, fast.join_all()).await.expect("fast ones are served");
    let served = began.elapsed();
    timeout(3 * PATIENCE, still.join_all()).await.expect("who stands still is cut off");
    // Long enough for a cut of the slow ones, too.
    sleep(FLOOR_WINDOW * 3).await;
    done.send_replace(true);
    let moved = timeout(3 * PATIENCE, slow.join_all()).await.expect("slow ones are let go");
    assert_eq!(moved.len() as u64, (PULLERS + PUSHERS) * times);
    assert!(moved.iter().all(|bytes| *bytes > 0));
    let peak = scene.wharfd.peak_memory_bytes();
    println!("{} fast clients in {served:?}, {} MiB at most", FAST * times, peak / MIB);
    assert!(peak <= PEAK_BYTES_MAX, "{} MiB resident", peak / MIB);
}
