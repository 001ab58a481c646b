//! Request smuggling: bytes split differently into requests by another server in front. An
//! ambiguous request is refused, or is the last of its connection; a request hidden in a body is
//! never answered.

use wharf_testkit::images::sha256;

use super::raw::{Raw, exchange};
use crate::fixture::{Api, Wharfd, eventually};

const REPO: &str = "acme/web";
/// The hidden request of an attacker: its response would be a 404 of this name.
const HIDDEN: &str = "GET /v2/hidden/tags/list HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// A request with this framing, and then the hidden one.
fn hide(api: &Api, location: &str, framing: &str, body: &str) -> String {
    let host = api.host();
    format!("PATCH {location} HTTP/1.1\r\nhost: {host}\r\n{framing}\r\n{body}{HIDDEN}")
}

#[tokio::test]
async fn a_body_with_two_framings_is_the_last_of_its_connection() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let whole = "0\r\n\r\n".len() + HIDDEN.len();
    for framing in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n".to_owned(),
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n".to_owned(),
        format!("content-length: {whole}\r\ntransfer-encoding: chunked\r\n"),
        format!("transfer-encoding: chunked\r\ncontent-length: {whole}\r\n"),
        "transfer-encoding: chunked\r\ncontent-length: 5\r\ncontent-length: 6\r\n".to_owned(),
        "Transfer-Encoding: Chunked\r\nContent-Length: 0\r\n".to_owned(),
    ] {
        let location = api.open_upload(REPO).await;
        let answers = exchange(api.host(), hide(api, &location, &framing, "0\r\n\r\n")).await;
        // RFC 9112 §6.3: refused, or the connection ends after the answer.
        let [answer] = answers.as_slice() else { panic!("{framing:?}: {answers:?}") };
        assert!(matches!(answer.status, 202 | 400), "{framing:?}: {answer:?}");
        assert!(!answer.text().contains("hidden"), "{framing:?}: {answer:?}");
        assert_eq!(
            api.get(&location).await.header("range"),
            "0-0",
            "nothing was taken: {framing:?}"
        );
    }
}

#[tokio::test]
async fn lengths_and_codings_that_are_not_plain_are_refused() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    for framing in [
        "content-length: 0\r\ncontent-length: 50\r\n",
        "content-length: 50\r\ncontent-length: 0\r\n",
        "content-length: 0, 50\r\n",
        "content-length: 0,0\r\n",
        "content-length: +0\r\n",
        "content-length: -0\r\n",
        "content-length: 0x0\r\n",
        "content-length: 0 0\r\n",
        "content-length: \r\n",
        "content-length: 1e1\r\n",
        "content-length: 18446744073709551616\r\n",
        "content-length: 18446744073709551615\r\n",
        "content-length : 0\r\n",
        "content-length\r\n",
        "content-length: 0\r\n transfer-encoding: chunked\r\n",
        "x: 1\r\n\tcontent-length: 50\r\ncontent-length: 0\r\n",
        "transfer-encoding: identity\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: chunked;x\r\n",
        "transfer-encoding: \"chunked\"\r\n",
        "transfer-encoding: chunk\r\n",
        "transfer-encoding: gzip\r\n",
        "transfer-encoding:\r\n",
        "transfer-encoding : chunked\r\n",
        "transfer-encoding\r\n: chunked\r\n",
        "transfer-encoding: \x0bchunked\r\n",
        "transfer-encoding: chunked\x0b\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        "\x00transfer-encoding: chunked\r\n",
        "transfer\u{2010}encoding: chunked\r\n",
        "content-length: 0\rtransfer-encoding: chunked\r\n",
        "content-length: 0\r\r\n",
    ] {
        let location = api.open_upload(REPO).await;
        let answers = exchange(api.host(), hide(api, &location, framing, "0\r\n\r\n")).await;
        let [answer] = answers.as_slice() else { panic!("{framing:?}: {answers:?}") };
        assert!(matches!(answer.status, 400 | 431), "{framing:?}: {answer:?}");
        assert_eq!(
            api.get(&location).await.header("range"),
            "0-0",
            "nothing was taken: {framing:?}"
        );
    }
    // The same twice is once, and an older client has no chunks.
    let location = api.open_upload(REPO).await;
    let twice = "content-length: 3\r\ncontent-length: 3\r\nconnection: close\r\n";
    let host = api.host();
    let head = format!("PATCH {location} HTTP/1.1\r\nhost: {host}\r\n{twice}\r\nabc");
    let answers = exchange(host, head).await;
    assert!(answers.len() == 1 && answers[0].status == 202, "{answers:?}");
    let old =
        format!("PATCH {location} HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}");
    let answers = exchange(host, old).await;
    assert!(answers.len() == 1 && answers[0].status == 400, "{answers:?}");
}

#[tokio::test]
async fn chunks_that_are_not_well_formed_break_the_body_and_the_connection() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    for chunks in [
        "-1\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "3 3\r\nabc\r\n0\r\n\r\n",
        " 3\r\nabc\r\n0\r\n\r\n",
        "g\r\nabc\r\n0\r\n\r\n",
        "\r\nabc\r\n0\r\n\r\n",
        "3\rabc\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3;\nx\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcX\r\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "3\r\nab\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabc\r\n0\r\nX",
        "10000000000000000\r\nabc\r\n0\r\n\r\n",
        "ffffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    ] {
        let location = api.open_upload(REPO).await;
        let request = hide(api, &location, "transfer-encoding: chunked\r\n", chunks);
        let mut raw = Raw::connect(api.host()).await;
        raw.send(request).await;
        let mut answers = Vec::new();
        // Some servers wait for the rest of a chunk, so the client closes its sending direction.
        raw.end().await;
        while let Some(answer) = raw.answer().await {
            answers.push(answer);
        }
        for answer in &answers {
            assert!(!answer.text().contains("hidden"), "{chunks:?}: {answer:?}");
            assert_eq!(answer.status, 400, "{chunks:?}: {answer:?}");
        }
        assert!(answers.len() <= 1, "{chunks:?}: {answers:?}");
        let settled = async || {
            let probe = api.patch(&location).bytes("").send().await.unwrap();
            (probe.status == 202).then(|| probe.header("range").to_owned())
        };
        let range = eventually("the end of the broken request", settled).await;
        assert!(["0-0", "0-1", "0-2"].contains(&range.as_str()), "{chunks:?}: {range}");
    }
}

#[tokio::test]
async fn extensions_and_trailers_of_chunks_are_bounded_and_mean_nothing() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let chunked = "transfer-encoding: chunked\r\nconnection: close\r\n";
    for (chunks, right) in [
        ("3;a=b\r\nabc\r\n0\r\n\r\n".to_owned(), true),
        ("3;a=\"b;c\"\r\nabc\r\n0;x\r\n\r\n".to_owned(), true),
        ("3\r\nabc\r\n0\r\ncontent-length: 500\r\ncontent-range: 0-499\r\n\r\n".to_owned(), true),
        ("000003\r\nabc\r\n0\r\n\r\n".to_owned(), true),
        (format!("3;{}\r\nabc\r\n0\r\n\r\n", "a".repeat(100_000)), false),
        (format!("3\r\nabc\r\n0\r\n{}\r\n", "a: b\r\n".repeat(20_000)), false),
        (format!("3\r\nabc\r\n0\r\na: {}\r\n\r\n", "b".repeat(100_000)), false),
    ] {
        let location = api.open_upload(REPO).await;
        let host = api.host();
        let head = format!("PATCH {location} HTTP/1.1\r\nhost: {host}\r\n{chunked}\r\n{chunks}");
        let answers = exchange(host, head).await;
        let short: String = chunks.chars().take(60).collect();
        // A server's close with unread bytes can lose its response.
        assert!(answers.len() == 1 || !right && answers.is_empty(), "{short}: {answers:?}");
        for answer in answers {
            assert_eq!(answer.status, if right { 202 } else { 400 }, "{short}: {answer:?}");
        }
        if right {
            assert_eq!(api.get(&location).await.header("range"), "0-2", "{short}");
        }
    }
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_their_order_and_each_with_its_own() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let (first, second) = ("the first".to_owned(), "x".repeat(300_000));
    let digests =
        [api.push_blob(REPO, first.clone()).await, api.push_blob(REPO, second.clone()).await];
    let location = api.open_upload(REPO).await;
    let host = api.host();
    let get =
        |digest: &str| format!("GET /v2/{REPO}/blobs/{digest} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    // A body in the form of a request is content.
    let patch = format!(
        "PATCH {location} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\n\r\n{HIDDEN}",
        HIDDEN.len()
    );
    let refused = "PUT /v2/Wrong/manifests/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nGET / HTT";
    let last = "GET /v2/last/tags/list HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let row =
        [&get(&digests[1]), &patch, &get(&digests[0]), refused, &get(&digests[1]), last].concat();
    let answers = exchange(host, row).await;
    let seen: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(seen, [200, 202, 200, 404, 200, 404]);
    assert_eq!((answers[0].text(), answers[2].text()), (second.clone(), first));
    assert_eq!(answers[4].text(), second);
    assert!(answers[5].text().contains("last"));
    let ended = api.end_upload(&location, &sha256(HIDDEN.as_bytes()), "").await;
    assert_eq!(ended.status, 201, "{}", ended.text());
}

#[tokio::test]
async fn a_connection_is_never_handed_to_another_protocol_or_host() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let host = api.host();
    let upgrade = "connection: upgrade, http2-settings, close\r\nupgrade: h2c\r\n\
                   http2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n";
    let answers =
        exchange(host, format!("GET /v2/ HTTP/1.1\r\nhost: {host}\r\n{upgrade}\r\n")).await;
    assert!(answers.len() == 1 && answers[0].status == 200, "{answers:?}");
    assert_eq!(answers[0].header("upgrade"), "");
    let socket = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let row = format!("GET /v2/ HTTP/1.1\r\nhost: {host}\r\n{socket}\r\n{}", closing("/v2/"));
    let answers = exchange(host, row).await;
    assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [200, 200]);
    for target in ["169.254.169.254:80", host, "/v2/", "http://127.0.0.1:1/v2/"] {
        let request =
            format!("CONNECT {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let answers = exchange(host, request).await;
        assert!(answers.len() == 1 && answers[0].status >= 400, "{target}: {answers:?}");
    }
    for method in ["TRACE", "OPTIONS", "PROPFIND", "get", "G\u{c9}T", "GET\t"] {
        let request =
            format!("{method} /v2/ HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let answers = exchange(host, request).await;
        assert!(
            answers.len() == 1 && (400..=405).contains(&answers[0].status),
            "{method}: {answers:?}"
        );
        assert!(!answers[0].text().contains("host:"), "{method} echoes a request");
    }
}

/// A request with the connection's end after it.
fn closing(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
}

/// A client asks for permission to send, is refused, and sends a request in place of the body.
#[tokio::test]
async fn a_body_that_was_not_asked_for_is_no_request() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let host = api.host();
    let expecting = format!(
        "PUT /v2/Wrong/manifests/v1 HTTP/1.1\r\nhost: {host}\r\nexpect: 100-continue\r\n\
         content-length: {}\r\n\r\n",
        HIDDEN.len()
    );
    let mut raw = Raw::connect(host).await;
    raw.send(&expecting).await;
    let refused = raw.answer().await.expect("an answer");
    assert_eq!(refused.status, 404, "{refused:?}");
    raw.send(HIDDEN).await;
    for answer in raw.answers().await {
        assert!(!answer.text().contains("hidden"), "{answer:?}");
    }
}
