//! Slowloris: endless heads of requests, a byte at a time. `wharfd` closes their connections in
//! time, at any pace of bytes, and serves other clients meanwhile. Slow bodies are in `slow.rs`.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::raw::Raw;
use crate::fixture::{PATIENCE, Wharfd};

const LIMITS: &str = "[limits]\nheaders_timeout_seconds = 2\nidle_timeout_seconds = 2\n";
const DRIP: Duration = Duration::from_millis(200);
const EACH: usize = 40;

/// The first bytes of each kind, and its repeated bytes.
const KINDS: [(&str, &str, &str); 6] = [
    ("nothing", "", ""),
    ("a line without an end", "GET /v2/", "a"),
    ("headers without an end", "GET /v2/ HTTP/1.1\r\nhost: localhost\r\n", "x: y\r\n"),
    ("a header without an end", "GET /v2/ HTTP/1.1\r\nhost: localhost\r\nx: ", "y"),
    ("empty lines", "", "\r\n"),
    ("a second head", "GET /v2/ HTTP/1.1\r\nhost: localhost\r\n\r\nGET /v2/ HTT", "P"),
];

/// Drips until the server closes.
async fn drip(host: String, (kind, first, more): (&str, &str, &str)) {
    let mut raw = Raw::connect(&host).await;
    raw.send(first).await;
    let closed = async {
        loop {
            match raw.answer_within(DRIP).await {
                Ok(None) => return,
                Ok(Some(answer)) => {
                    assert!(matches!(answer.status, 200 | 400 | 408 | 431), "{kind}: {answer:?}");
                }
                Err(_) => raw.send(more).await,
            }
        }
    };
    timeout(PATIENCE, closed).await.unwrap_or_else(|_| panic!("{kind} may go on for ever"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_that_drip_are_cut_off_and_others_served_meanwhile() {
    let wharfd = Wharfd::with_config(LIMITS).await;
    let mut slow = JoinSet::new();
    for kind in KINDS {
        for _ in 0..EACH {
            slow.spawn(drip(wharfd.host(), kind));
        }
    }
    let digest = wharfd.api.push_blob("acme/web", "content").await;
    while !slow.is_empty() {
        assert_eq!(wharfd.api.get_blob("acme/web", &digest).await.body, "content");
        while let Some(ended) = slow.try_join_next() {
            ended.unwrap();
        }
        sleep(DRIP).await;
    }
}
