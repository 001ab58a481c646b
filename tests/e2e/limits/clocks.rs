//! Time: of heads, of connections without a request, of slow bodies in both directions.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep};

use super::{REPO, fetch_nothing, refusals, rest, send};
use crate::fixture::{Wharfd, eventually, noise};

/// The period of a dribbling client's bytes.
const BEAT: Duration = Duration::from_millis(100);

#[tokio::test]
async fn a_head_that_does_not_end_is_given_up_and_others_are_served_meanwhile() {
    let lines = "[limits]\nheaders_timeout_seconds = 1\nidle_timeout_seconds = 60\n";
    let wharfd = Wharfd::with_config(lines).await;
    let host = wharfd.host();
    let kept = b"GET /v2/ HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut keep_alive = send(&host, kept).await;
    let mut silent = send(&host, b"").await;
    let mut half = send(&host, b"GET /v2/ HTTP/1.1\r\nx: ").await;
    let mut dribbling = send(&host, b"GET /v2/ HTTP/1.1\r\nx: ").await;
    let dribble = async {
        loop {
            if dribbling.write_all(b"a").await.is_err() {
                return;
            }
            sleep(BEAT).await;
            assert_eq!(wharfd.api.get("/v2/").await.status, 200);
        }
    };
    let (silent, half, ()) = tokio::join!(rest(&mut silent), rest(&mut half), dribble);
    assert_eq!((silent.as_str(), half.as_str()), ("", ""));
    assert_eq!(wharfd.metric(&refusals("headers_time")).await, 3);
    // After one request a client may wait longer for its next one, but not within the next head.
    let mut answer = [0; 15];
    keep_alive.read_exact(&mut answer).await.unwrap();
    keep_alive.write_all(kept).await.unwrap();
    keep_alive.read_exact(&mut answer).await.unwrap();
    keep_alive.write_all(b"GET").await.unwrap();
    rest(&mut keep_alive).await;
    assert_eq!(wharfd.metric(&refusals("headers_time")).await, 4);
}

#[tokio::test]
async fn a_connection_without_a_request_ends_and_one_with_a_long_one_does_not() {
    let wharfd = Wharfd::with_config("[limits]\nidle_timeout_seconds = 1\n").await;
    let mut idle = send(&wharfd.host(), b"GET /v2/ HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let location = wharfd.api.open_upload(REPO).await;
    let head =
        format!("PATCH {location} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 30\r\n\r\n");
    let mut busy = send(&wharfd.host(), head.as_bytes()).await;
    let upload = async {
        for _ in 0..30 {
            sleep(BEAT).await;
            busy.write_all(b"a").await.unwrap();
        }
        let mut answer = [0; 12];
        busy.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 202");
    };
    let (said, ()) = tokio::join!(rest(&mut idle), upload);
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    assert!(wharfd.metric(&refusals("idle_time")).await >= 1);
}

/// Sends part after part, with a pause between them, as long as the other side takes them.
async fn dribble(stream: &mut TcpStream, parts: usize, part: &[u8]) -> usize {
    let mut sent = 0;
    for _ in 0..parts {
        if stream.write_all(part).await.is_err() {
            break;
        }
        sent += part.len();
        sleep(BEAT).await;
    }
    sent
}

#[tokio::test]
async fn an_upload_that_trickles_is_told_so_and_goes_on_later_and_a_slow_one_is_taken() {
    let lines = "[limits]\nslow_timeout_seconds = 3\nmin_bytes_per_second = \"10kB\"\n";
    let wharfd = Wharfd::with_config(lines).await;
    let (api, host) = (&wharfd.api, wharfd.host());
    let begin = async |bytes: usize| {
        let location = api.open_upload(REPO).await;
        let head = format!(
            "PATCH {location} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {bytes}\r\n\r\n"
        );
        (send(&host, head.as_bytes()).await, location)
    };
    // A tenth of the pace, and ten times the pace.
    let (mut slow, location) = begin(1_000_000).await;
    let (mut honest, _) = begin(500_000).await;
    let (mut read, mut write) = slow.split();
    let feed = async {
        loop {
            if write.write_all(&[7; 100]).await.is_err() {
                return;
            }
            sleep(BEAT).await;
        }
    };
    let told = async {
        let mut answer = [0; 12];
        read.read_exact(&mut answer).await.unwrap();
        answer
    };
    let slow_ends = async {
        tokio::select! {
            answer = told => answer,
            () = feed => panic!("closed without a word"),
        }
    };
    let honest_ends = async {
        assert_eq!(dribble(&mut honest, 50, &[7; 10_000]).await, 500_000);
        let mut answer = [0; 12];
        honest.read_exact(&mut answer).await.unwrap();
        answer
    };
    let (slow_answer, honest_answer) = tokio::join!(slow_ends, honest_ends);
    assert_eq!(&slow_answer, b"HTTP/1.1 408");
    assert_eq!(&honest_answer, b"HTTP/1.1 202");
    assert_eq!(wharfd.metric(&refusals("slow_sender")).await, 1);
    // The received bytes are there.
    let offset = api.upload_offset(&location).await.unwrap();
    assert!(offset >= 1_000 && offset % 100 == 0, "{offset}");
    let range = format!("{offset}-{}", offset + 4);
    let more = api.patch(&location).header("content-range", range).bytes("abcde").send().await;
    assert_eq!(more.unwrap().status, 202);
}

#[tokio::test]
async fn a_manifest_that_stands_still_is_told_so() {
    let lines = "[limits]\nslow_timeout_seconds = 1\n";
    let wharfd = Wharfd::with_config(lines).await;
    let head = format!(
        "PUT /v2/{REPO}/manifests/v1 HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{{"
    );
    let said = rest(&mut send(&wharfd.host(), head.as_bytes()).await).await;
    assert!(said.starts_with("HTTP/1.1 408") && said.contains("connection: close"), "{said}");
}

#[tokio::test]
async fn who_takes_nothing_is_cut_off_and_who_takes_slowly_is_not() {
    let lines = "[limits]\nslow_timeout_seconds = 3\nmin_bytes_per_second = \"100kB\"\n";
    let wharfd = Wharfd::with_config(lines).await;
    let api = &wharfd.api;
    let content = noise(1, 6_000_000);
    let digest = api.push_blob(REPO, content.clone()).await;
    let mut nothing = fetch_nothing(api, &digest).await;
    let began = Instant::now();
    // Ten times the pace, through the smallest of buffers.
    let slow = TcpSocket::new_v4().unwrap();
    slow.set_recv_buffer_size(64 * 1024).unwrap();
    let mut slow = slow.connect(api.host().parse().unwrap()).await.unwrap();
    let head = format!(
        "GET /v2/{REPO}/blobs/{digest} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut taken = Vec::new();
    let mut part = vec![0; 100_000];
    loop {
        let count = slow.read(&mut part).await.unwrap();
        if count == 0 {
            break;
        }
        taken.extend_from_slice(&part[..count]);
        // The pause of each part makes ten of them take a second.
        sleep(BEAT.mul_f64(f64::from(u32::try_from(count).unwrap()) / 100_000.0)).await;
    }
    assert!(taken.ends_with(&content), "{} bytes in {:?}", taken.len(), began.elapsed());
    wharfd.metric_reaches(&refusals("slow_receiver"), 1).await;
    let got = rest(&mut nothing).await.len();
    assert!(got < content.len(), "{got} bytes");
    let free = async || (wharfd.metric(&super::used("bytes_in_flight")).await == 0).then_some(());
    eventually("what it held to be free", free).await;
}
