//! Many uploads at once in little memory: also when most of them stand still in the middle, and when
//! an upstream (`crowd/sink.rs`, behind the double) has to get all of it.
//!
//! `WHARF_CROWD=full` also runs the crowd of the memory target: 256 clients with 100 MiB each. The
//! run takes minutes, and 26 GiB of disk.

mod sink;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use wharf_double::{Account, AcrDouble, DoubleConfig, Kind};
use wharf_oci::{Algorithm, Digest, Digester};
use wharf_testkit::clients::skipped;
use wharf_testkit::trials;

use self::sink::Sink;
use crate::fixture::{PASSWORD, PATIENCE, USER, Wharfd, eventually, noise, upstream_lines};

const MIB: usize = 1024 * 1024;
const REPO: &str = "acme/web";
const LAYER_BYTES: usize = 10 * MIB;
/// The most memory of all clients together, beyond the memory of one client: their share of the
/// segments in memory, and the allocator's caches.
const PEAK_BYTES_MAX: usize = 224 * MIB;
/// The memory budget for a crowd of any size and with any content, also when all of it goes through
/// to the upstream: memory must not depend on the clients.
const BUDGET_BYTES: usize = 256 * MIB;
const FULL: Duration = Duration::from_mins(40);

/// A client in the middle of its PATCH: the content is its number, then bytes common to all layers.
struct Client {
    wharfd: Arc<Wharfd>,
    shared: Arc<Vec<u8>>,
    stream: TcpStream,
    location: String,
    number: usize,
}

async fn begin(wharfd: Arc<Wharfd>, shared: Arc<Vec<u8>>, number: usize) -> Client {
    let location = wharfd.api.open_upload(REPO).await;
    let (host, bytes) = (wharfd.host(), 8 + shared.len());
    let head =
        format!("PATCH {location} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {bytes}\r\n\r\n");
    let mut stream = TcpStream::connect(&host).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&(number as u64).to_le_bytes()).await.unwrap();
    stream.write_all(&shared[..shared.len() / 2]).await.unwrap();
    Client { wharfd, shared, stream, location, number }
}

impl Client {
    /// The rest, and the end of the upload.
    async fn end(mut self) -> Digest {
        self.stream.write_all(&self.shared[self.shared.len() / 2..]).await.unwrap();
        let mut answer = [0; 12];
        self.stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 202", "client {}", self.number);
        let mut digester = Digester::new(Algorithm::Sha256);
        digester.update(&(self.number as u64).to_le_bytes());
        digester.update(&self.shared);
        let digest = digester.finish().digest;
        let path = format!("{}?digest={digest}", self.location);
        let ended = self.wharfd.api.put(&path).send().await.unwrap();
        assert_eq!(ended.status, 201, "client {}: {}", self.number, ended.text());
        digest
    }
}

/// Half of them stop in the middle of their layers while the others push theirs whole, and go on
/// afterwards: none fails, and memory stays under its bound.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_pushes_in_little_memory_and_who_stands_still_is_in_nobodys_way() {
    let clients = trials::size(40, 96);
    let (wharfd, shared) = (Arc::new(Wharfd::alone().await), Arc::new(noise(1, LAYER_BYTES)));
    let began = Instant::now();
    let start = |number| begin(Arc::clone(&wharfd), Arc::clone(&shared), number);
    let play = async {
        let still: JoinSet<Client> = (0..clients / 2).map(start).collect();
        let still = still.join_all().await;
        let push = |number| {
            let push = start(number);
            async move { push.await.end().await }
        };
        (clients / 2..clients).map(push).collect::<JoinSet<_>>().join_all().await;
        still.into_iter().map(Client::end).collect::<JoinSet<_>>().join_all().await;
    };
    tokio::time::timeout(2 * PATIENCE, play).await.unwrap();
    let peak = wharfd.peak_memory_bytes();
    let turns = wharfd.metric("wharfd_writers_turns_total").await;
    println!("{clients} clients: {} MiB, {turns} turns, {:?}", peak / MIB, began.elapsed());
    assert!(turns > 0);
    assert_eq!(wharfd.metric("wharfd_writers").await, 0);
    assert!(peak <= PEAK_BYTES_MAX, "{} MiB resident", peak / MIB);
}

/// All of them push at once, through to an upstream: none fails, each blob is there whole, nothing was
/// sent twice, and memory stays within the budget.
#[expect(clippy::print_stdout, reason = "what it cost")]
async fn push_through(clients: usize, layer_bytes: usize, time: Duration) {
    let sink = Sink::start().await;
    let config = DoubleConfig::new(sink.url()).account(Account::admin(USER, PASSWORD));
    let double = AcrDouble::start(config).await.unwrap();
    let lines = upstream_lines(&double.url(), USER);
    let (wharfd, shared) = (Arc::new(Wharfd::with_config(&lines).await), noise(1, layer_bytes));
    let (shared, began) = (Arc::new(shared), Instant::now());
    let push = |number| {
        let push = begin(Arc::clone(&wharfd), Arc::clone(&shared), number);
        async move { push.await.end().await }
    };
    let all = (0..clients).map(push).collect::<JoinSet<_>>().join_all();
    let digests = tokio::time::timeout(time, all).await.unwrap();
    let peak = wharfd.peak_memory_bytes();
    println!(
        "{clients} clients with {} MiB each, through: {} MiB resident, {} PATCHes, {:.1?}",
        layer_bytes / MIB,
        peak / MIB,
        double.counts().total(Kind::UploadPatch),
        began.elapsed()
    );
    let size = (8 + layer_bytes) as u64;
    let right = digests.iter().map(|digest| (digest.to_string(), size)).collect();
    assert_eq!(sink.blobs(), right);
    assert_eq!(double.counts().upload_bytes(), size * clients as u64);
    let closed = async || (double.open_uploads() == 0).then_some(());
    eventually("every upload at the upstream to be over", closed).await;
    for gauge in ["wharfd_uploads", "wharfd_writers", "wharfd_writers_waiting"] {
        assert_eq!(wharfd.metric(gauge).await, 0, "{gauge}");
    }
    assert!(peak <= BUDGET_BYTES, "{} MiB resident", peak / MIB);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_pushes_through_in_little_memory() {
    push_through(trials::size(24, 64), 8 * MIB, 2 * PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_crowd_pushes_through_in_little_memory() {
    if std::env::var("WHARF_CROWD").as_deref() != Ok("full") {
        skipped("256 pushes of 100 MiB run with WHARF_CROWD=full only");
        return;
    }
    push_through(256, 100 * MIB, FULL).await;
}
