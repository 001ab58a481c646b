//! Many uploads at once in little memory, also when most of them stand still in the middle.

use std::sync::Arc;
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use wharf_oci::{Algorithm, Digester};

use crate::fixture::{PATIENCE, Wharfd, noise};

const MIB: usize = 1024 * 1024;
const REPO: &str = "acme/web";
const CLIENTS: usize = 96;
const LAYER_BYTES: usize = 10 * MIB;
/// What all clients may cost together, beyond the memory of one of them: its share of the segments
/// in memory, and what the allocator keeps.
const PEAK_BYTES_MAX: usize = 224 * MIB;

/// A client in the middle of its PATCH: of its number, then of what all layers have.
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
    stream.write_all(&shared[..LAYER_BYTES / 2]).await.unwrap();
    Client { wharfd, shared, stream, location, number }
}

impl Client {
    /// The rest, and the end of the upload.
    async fn end(mut self) {
        self.stream.write_all(&self.shared[LAYER_BYTES / 2..]).await.unwrap();
        let mut answer = [0; 12];
        self.stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 202", "client {}", self.number);
        let mut digester = Digester::new(Algorithm::Sha256);
        digester.update(&(self.number as u64).to_le_bytes());
        digester.update(&self.shared);
        let path = format!("{}?digest={}", self.location, digester.finish().digest);
        let ended = self.wharfd.api.put(&path).send().await.unwrap();
        assert_eq!(ended.status, 201, "client {}: {}", self.number, ended.text());
    }
}

/// Half of them stop in the middle of their layers while the others push theirs whole, and go on
/// afterwards: none fails, and memory stays under its bound.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_pushes_in_little_memory_and_who_stands_still_is_in_nobodys_way() {
    let (wharfd, shared) = (Arc::new(Wharfd::alone().await), Arc::new(noise(1, LAYER_BYTES)));
    let began = Instant::now();
    let start = |number| begin(Arc::clone(&wharfd), Arc::clone(&shared), number);
    let play = async {
        let still: JoinSet<Client> = (0..CLIENTS / 2).map(start).collect();
        let still = still.join_all().await;
        let push = |number| {
            let push = start(number);
            async move { push.await.end().await }
        };
        (CLIENTS / 2..CLIENTS).map(push).collect::<JoinSet<()>>().join_all().await;
        still.into_iter().map(Client::end).collect::<JoinSet<()>>().join_all().await;
    };
    tokio::time::timeout(2 * PATIENCE, play).await.unwrap();
    let peak = wharfd.peak_memory_bytes();
    let turns = wharfd.metric("wharfd_writers_turns_total").await;
    println!("{CLIENTS} clients: {} MiB, {turns} turns, {:?}", peak / MIB, began.elapsed());
    assert!(turns > 0);
    assert_eq!(wharfd.metric("wharfd_writers").await, 0);
    assert!(peak <= PEAK_BYTES_MAX, "{} MiB resident", peak / MIB);
}
