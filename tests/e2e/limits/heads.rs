//! Ambiguous heads, open to two readings: each ends in 400 and a closed connection, and no byte
//! behind the head is read as a request.

use tokio::io::AsyncWriteExt as _;

use super::{REPO, rest, send};
use crate::fixture::{Wharfd, noise};

/// The bytes behind a refused head; they must never become a request.
const BEHIND: &str = "DELETE /v2/acme/web/manifests/smuggled HTTP/1.1\r\nhost: localhost\r\n\r\n";

#[tokio::test]
async fn a_head_of_two_meanings_is_refused_and_nothing_behind_it_is_read() {
    let wharfd = Wharfd::alone().await;
    let put = "PUT /v2/acme/web/manifests/v1 HTTP/1.1\r\nhost: localhost\r\n";
    let rows = [
        ("two lengths", format!("{put}content-length: 5\r\ncontent-length: 6\r\n\r\nabcde")),
        ("a list of lengths", format!("{put}content-length: 5, 6\r\n\r\nabcde")),
        ("a length with a sign", format!("{put}content-length: +5\r\n\r\nabcde")),
        ("a length in words", format!("{put}content-length: five\r\n\r\nabcde")),
        ("a length past all", format!("{put}content-length: 99999999999999999999\r\n\r\n")),
        ("chunks not last", format!("{put}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n")),
        ("an unknown encoding", format!("{put}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n")),
        ("a folded line", format!("{put}x: a\r\n b\r\ncontent-length: 0\r\n\r\n")),
        ("a folded first line", "PUT /v2/ HTTP/1.1\r\n x: a\r\nhost: localhost\r\n\r\n".to_owned()),
        ("a space before the colon", format!("{put}content-length : 5\r\n\r\nabcde")),
        ("a bare return", format!("{put}x: a\rcontent-length: 5\r\n\r\nabcde")),
        ("a zero byte", format!("{put}x: a\0b\r\n\r\n")),
        ("no name", format!("{put}: a\r\n\r\n")),
        ("no host", "GET /v2/ HTTP/1.1\r\n\r\n".to_owned()),
        ("two hosts", "GET /v2/ HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n\r\n".to_owned()),
        ("another host", "GET http://b/v2/ HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned()),
        ("a host that is none", "GET /v2/ HTTP/1.1\r\nhost: a/b\r\n\r\n".to_owned()),
        (
            "chunks in the old version",
            format!("{}transfer-encoding: chunked\r\n\r\n0\r\n\r\n", put.replace("1.1", "1.0")),
        ),
        ("a version of none", "GET /v2/ HTTP/1.2\r\nhost: localhost\r\n\r\n".to_owned()),
    ];
    for (what, head) in rows {
        let mut stream = send(&wharfd.host(), format!("{head}{BEHIND}").as_bytes()).await;
        let said = rest(&mut stream).await;
        assert!(
            said.starts_with("HTTP/1.1 400") || said.starts_with("HTTP/1.0 400"),
            "{what}: {said}"
        );
        assert_eq!(said.matches("HTTP/1.").count(), 1, "{what}: {said}");
    }
    assert!(!wharfd.log().contains("smuggled"), "{}", wharfd.log());
    assert_eq!(wharfd.api.get("/v2/").await.status, 200);
}

#[tokio::test]
async fn after_a_body_in_chunks_the_connection_ends_so_a_second_length_smuggles_nothing() {
    let wharfd = Wharfd::alone().await;
    for lengths in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        "transfer-encoding: chunked\r\n",
    ] {
        let location = wharfd.api.open_upload(REPO).await;
        let head = format!(
            "PATCH {location} HTTP/1.1\r\nhost: localhost\r\n{lengths}\r\n3\r\nabc\r\n0\r\n\r\n{BEHIND}"
        );
        let said = rest(&mut send(&wharfd.host(), head.as_bytes()).await).await;
        assert!(said.starts_with("HTTP/1.1 202") && said.contains("connection: close"), "{said}");
        assert_eq!(said.matches("HTTP/1.").count(), 1, "{said}");
    }
    assert!(!wharfd.log().contains("smuggled"), "{}", wharfd.log());
}

#[tokio::test]
async fn chunks_that_are_none_end_the_request_and_the_connection() {
    let wharfd = Wharfd::alone().await;
    for chunk in [
        "x\r\nabc\r\n",
        "-3\r\nabc\r\n",
        "3\r\nabcd\r\n",
        "FFFFFFFFFFFFFFFFF\r\nabc",
        "3;\nabc\r\n",
    ] {
        let location = wharfd.api.open_upload(REPO).await;
        let head = format!(
            "PATCH {location} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n{chunk}0\r\n\r\n{BEHIND}"
        );
        let said = rest(&mut send(&wharfd.host(), head.as_bytes()).await).await;
        assert!(said.starts_with("HTTP/1.1 400"), "{chunk:?}: {said}");
        assert_eq!(said.matches("HTTP/1.").count(), 1, "{chunk:?}: {said}");
    }
    assert!(!wharfd.log().contains("smuggled"), "{}", wharfd.log());
}

#[tokio::test]
async fn the_old_version_is_served_and_its_connection_ends() {
    let wharfd = Wharfd::alone().await;
    let said = rest(&mut send(&wharfd.host(), b"GET /v2/ HTTP/1.0\r\n\r\n").await).await;
    assert!(said.starts_with("HTTP/1.0 200") || said.starts_with("HTTP/1.1 200"), "{said}");
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_no_request() {
    let wharfd = Wharfd::alone().await;
    // Small enough to be read away: the next request on the connection is understood.
    let small = format!(
        "POST /v2/{REPO}/nothing HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{BEHIND}",
        BEHIND.len()
    );
    let next = "GET /v2/ HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let said = rest(&mut send(&wharfd.host(), format!("{small}{next}").as_bytes()).await).await;
    let statuses: Vec<_> =
        said.match_indices("HTTP/1.1 ").map(|(at, _)| &said[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["404", "200"], "{said}");
    // The body is too large for a drain: the connection ends, and the hidden request with it.
    let bytes = 64_000_000;
    let head = format!(
        "POST /v2/{REPO}/nothing HTTP/1.1\r\nhost: localhost\r\ncontent-length: {bytes}\r\n\r\n"
    );
    let mut stream = send(&wharfd.host(), head.as_bytes()).await;
    let body = noise(1, 1_000_000);
    for _ in 0..64 {
        stream.write_all(&body).await.unwrap();
    }
    stream.write_all(BEHIND.as_bytes()).await.unwrap();
    let said = rest(&mut stream).await;
    assert!(said.starts_with("HTTP/1.1 404") && said.contains("connection: close"), "{said}");
    assert_eq!(said.matches("HTTP/1.").count(), 1, "{said}");
    assert!(!wharfd.log().contains("smuggled"), "{}", wharfd.log());
}
