//! The herd: many clients of one cold blob at the same moment. The upstream sends it once, every
//! client gets all of it, and memory grows with the number of clients only by the cost of a
//! connection.
//!
//! In trials the blob has 100 MiB for up to 128 clients and 16 MiB for 512: programs of tests are
//! not optimised. `WHARF_HERD_FULL=1` takes 100 MiB for all. Times are printed, never asserted.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::time::Instant;
use wharf_double::Kind;
use wharf_testkit::http::Client;
use wharf_testkit::images::sha256;
use wharf_testkit::trials;

use crate::fixture::{Api, Stage, noise};

const REPO: &str = "acme/herd";
const MIB: usize = 1024 * 1024;
/// Every so many clients one compares each byte; the others those at the border of each frame.
const THOROUGH: usize = 16;

/// `limits.rs` and the store's: segments in memory, of all blobs together, and half as much again
/// while runs are ended early.
const SEGMENTS_BYTES: usize = 96 * MIB * 3 / 2;
/// The memory of RocksDB and the program itself: block cache, tables, code, threads.
const BASE_BYTES: usize = 160 * MIB;
/// The memory of one client: buffers of its connection, and its current segment.
const CLIENT_BYTES: usize = MIB / 4;

/// How one client fared.
struct Fared {
    received: usize,
    took: Duration,
}

/// Reads a blob to its end and compares it on the way; nothing of it is kept.
async fn pull(base: String, digest: String, content: Bytes, thorough: bool) -> Fared {
    let api = Api::new(base, Client::new());
    let began = Instant::now();
    let call = api.call(http::Method::GET, &format!("/v2/{REPO}/blobs/{digest}"));
    let answer = call.start().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-length"], content.len().to_string());
    let (mut body, mut received) = (answer.into_body(), 0);
    while let Some(frame) = body.frame().await {
        let data = frame.expect("no client is broken off").into_data().unwrap_or_default();
        let right = content.slice(received..received + data.len());
        let same = if thorough {
            right == data
        } else {
            right.first() == data.first() && right.last() == data.last()
        };
        assert!(same, "other bytes at {received}");
        received += data.len();
    }
    Fared { received, took: began.elapsed() }
}

/// Lets so many clients loose on a new blob.
#[expect(clippy::print_stdout, reason = "what it measured is its result")]
async fn herd(clients: usize, mib: usize) {
    // They stand for clients with addresses of their own.
    let many = "limits = { connections_per_address = 2048 }\n";
    let Some(stage) = Stage::start_with(|setup| setup.lines(many)).await else { return };
    let content = Bytes::from(noise(clients as u64, mib * MIB));
    let digest = stage.origin.push_blob(REPO, content.clone()).await;
    assert_eq!(digest, sha256(&content));
    let before = stage.wharfd.peak_memory_bytes();
    let began = Instant::now();
    let pulls: Vec<_> = (0..clients)
        .map(|number| {
            let (base, digest) = (stage.api().base().to_owned(), digest.clone());
            tokio::spawn(pull(base, digest, content.clone(), number % THOROUGH == 0))
        })
        .collect();
    let mut fared = Vec::new();
    for pull in pulls {
        fared.push(pull.await.unwrap());
    }
    let all = began.elapsed();
    assert!(fared.iter().all(|client| client.received == content.len()));
    let counts = stage.double.counts();
    assert_eq!(counts.served(Kind::BlobGet, &digest), 1);
    assert_eq!(counts.served(Kind::StorageGet, &digest), 1);
    assert_eq!(counts.storage_bytes(), content.len() as u64);
    let (peak, bound) =
        (stage.wharfd.peak_memory_bytes(), BASE_BYTES + SEGMENTS_BYTES + clients * CLIENT_BYTES);
    let mut took: Vec<_> = fared.iter().map(|client| client.took).collect();
    took.sort();
    let at = |part: usize| took[(took.len() * part / 100).min(took.len() - 1)].as_secs_f64();
    println!(
        "| {clients} clients | {mib} MiB | p50 {:.2} s | p99 {:.2} s | all {:.2} s | \
         peak {} MiB before, {} MiB of {} MiB |",
        at(50),
        at(99),
        all.as_secs_f64(),
        before / MIB,
        peak / MIB,
        bound / MIB
    );
    assert!(peak <= bound, "{peak} bytes resident, {bound} allowed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_herd_of_any_size_causes_one_download_and_takes_bounded_memory() {
    let full = std::env::var_os("WHARF_HERD_FULL").is_some();
    let herds = [(1, 100), (16, 100), (128, 100), (512, if full { 100 } else { 16 })];
    for (clients, mib) in trials::size(&[(1, 16), (64, 16)][..], &herds).iter().copied() {
        herd(clients, mib).await;
    }
}
