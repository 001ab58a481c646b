//! Oversized everything: each has its bound, is refused by it while the server stays as it was, and
//! costs no more memory than the bound says.

use serde_json::json;
use wharf_testkit::images::sha256;

use super::raw::{Raw, exchange};
use crate::fixture::{Wharfd, code};

const REPO: &str = "acme/web";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn heads_of_requests_are_bounded_in_bytes_and_in_lines() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let host = api.host();
    let rows = [
        ("a long path", format!("GET /v2/{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "a".repeat(MIB))),
        (
            "a long query",
            format!("GET /v2/?n={} HTTP/1.1\r\nhost: localhost\r\n\r\n", "1".repeat(70_000)),
        ),
        ("a long method", format!("{} /v2/ HTTP/1.1\r\nhost: localhost\r\n\r\n", "G".repeat(MIB))),
        (
            "a long value",
            format!("GET /v2/ HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "b".repeat(MIB)),
        ),
        (
            "a long name",
            format!("GET /v2/ HTTP/1.1\r\nhost: localhost\r\n{}: c\r\n\r\n", "x".repeat(100_000)),
        ),
        (
            "many lines",
            format!("GET /v2/ HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x: y\r\n".repeat(200)),
        ),
        ("very many lines", format!("GET /v2/ HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(200_000))),
        (
            "a long credential",
            format!(
                "GET /v2/ HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\r\n",
                "e".repeat(MIB)
            ),
        ),
        ("no end of a line", "a".repeat(MIB)),
        ("nothing but line ends", "\r\n".repeat(MIB)),
    ];
    for (what, bytes) in rows {
        let answers = exchange(host, bytes).await;
        // A server's close with unread bytes can lose its response.
        assert!(answers.len() <= 1, "{what}: {answers:?}");
        for answer in answers {
            assert!(matches!(answer.status, 400 | 414 | 431), "{what}: {answer:?}");
        }
        assert_eq!(api.get("/v2/").await.status, 200, "after {what}");
    }
    let peak = wharfd.peak_memory_bytes();
    assert!(peak < 160 * MIB, "{} MiB", peak / MIB);
}

#[tokio::test]
async fn a_manifest_is_bounded_however_its_length_is_said() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let host = api.host();
    for head in [
        format!("content-length: {}\r\n", 1_u64 << 40),
        "content-length: 9223372036854775807\r\n".to_owned(),
    ] {
        let request = format!(
            "PUT /v2/{REPO}/manifests/v1 HTTP/1.1\r\nhost: {host}\r\ncontent-type: {MANIFEST_TYPE}\r\n\
             {head}\r\n{{"
        );
        let mut raw = Raw::connect(host).await;
        raw.send(request).await;
        let answer = raw.answer().await.expect("a refusal at once, without the body");
        assert_eq!(answer.status, 413, "{answer:?}");
    }
    // Deep, wide, and with numbers too large for any type.
    let deep = format!("{}{}", "[".repeat(MIB), "]".repeat(MIB));
    let wide = json!({ "schemaVersion": 2, "layers": vec![json!({}); 100_000] }).to_string();
    let entry = |size: &str| {
        format!(
            "{{\"mediaType\":\"application/x\",\"digest\":\"{}\",\"size\":{size}}}",
            sha256(b"")
        )
    };
    let sized =
        |size: &str| format!("{{\"schemaVersion\":2,\"config\":{},\"layers\":[]}}", entry(size));
    for content in [
        deep.clone(),
        format!("{{\"schemaVersion\":2,\"x\":{deep}}}"),
        format!("{{\"a\":{}", "{\"a\":".repeat(500_000)),
        wide,
        format!("{{\"schemaVersion\":2,\"config\":{},\"layers\":[]", "9".repeat(MIB)),
    ] {
        let refused = api.put_manifest(REPO, "v1", MANIFEST_TYPE, content.clone()).await;
        let start: String = content.chars().take(60).collect();
        assert_eq!(refused.status, 400, "{start}: {}", refused.text());
        assert_eq!(code(&refused), "MANIFEST_INVALID", "{start}");
        assert!(refused.body.len() < 4_096, "{start}: the answer has {} bytes", refused.body.len());
    }
    // The size is not needed to find the blob, so only the missing blob is reported.
    for size in ["-1", "18446744073709551616", "1e400"] {
        let refused = api.put_manifest(REPO, "v1", MANIFEST_TYPE, sized(size)).await;
        assert_eq!(refused.status, 404, "{size}: {}", refused.text());
        assert_eq!(code(&refused), "MANIFEST_BLOB_UNKNOWN", "{size}");
    }
    assert_eq!(api.get_manifest(REPO, "v1").await.status, 404);
    assert_eq!(api.get("/v2/").await.status, 200);
}

#[tokio::test]
async fn numbers_at_the_end_of_their_range_overflow_nowhere() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let host = api.host();
    let digest = api.push_blob(REPO, "0123456789").await;
    let most = u64::MAX;
    for (range, status) in [
        (format!("bytes=0-{most}"), 206),
        (format!("bytes={most}-"), 416),
        (format!("bytes={most}-{most}"), 416),
        (format!("bytes=-{most}"), 206),
        ("bytes=-0".to_owned(), 416),
        (format!("bytes={}-{most}", most - 1), 416),
        ("bytes=0-18446744073709551616".to_owned(), 200),
        (format!("bytes={}", "0-1,".repeat(5_000)), 200),
        ("bytes=9-0".to_owned(), 200),
    ] {
        let answer = api.get_range(REPO, &digest, &range).await;
        let shown: String = range.chars().take(40).collect();
        assert_eq!(answer.status.as_u16(), status, "{shown}: {}", answer.text());
        assert!(answer.status == 416 || answer.body == "0123456789", "{shown}");
    }
    let location = api.open_upload(REPO).await;
    for (range, length) in [
        (format!("{most}-{most}"), 1),
        (format!("0-{most}"), 1),
        (format!("{}-{most}", most - 1), 2),
        ("0-18446744073709551616".to_owned(), 1),
        (format!("1-{most}"), 0),
        ("0-9223372036854775807".to_owned(), 9_223_372_036_854_775_807_u64),
        ("0-0".to_owned(), 9_223_372_036_854_775_807),
        (format!("0-{}", (1_u64 << 50) - 1), 1 << 50),
    ] {
        let head = format!(
            "PATCH {location} HTTP/1.1\r\nhost: {host}\r\ncontent-range: {range}\r\n\
             content-length: {length}\r\n\r\nx"
        );
        let mut raw = Raw::connect(host).await;
        raw.send(head).await;
        let answer = raw.answer().await.expect("a refusal, without the body");
        let right = matches!(answer.status, 400 | 413 | 416);
        assert!(right, "{range} of {length}: {answer:?}");
        assert_eq!(api.get(&location).await.header("range"), "0-0", "{range} of {length}");
    }
    assert_eq!(api.end_upload(&location, &sha256(b"end"), "end").await.status, 201);
}

/// A chunk longer than its declared length: the rest is the next request, and an invalid one.
#[tokio::test]
async fn a_body_that_is_longer_than_its_length_is_cut_there() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let location = api.open_upload(REPO).await;
    let host = api.host();
    let head = format!(
        "PATCH {location} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 3\r\n\r\nabc{}",
        "z".repeat(100_000)
    );
    let mut raw = Raw::connect(host).await;
    raw.send(head).await;
    let answer = raw.answer().await.expect("an answer");
    assert_eq!((answer.status, answer.header("range")), (202, "0-2"));
    for more in raw.answers().await {
        assert!(matches!(more.status, 400 | 414 | 431), "{more:?}");
    }
    assert_eq!(api.end_upload(&location, &sha256(b"abc"), "").await.status, 201);
}

#[tokio::test]
async fn names_and_pages_without_end_are_cut_to_a_page() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let config = api.push_blob(REPO, "{}").await;
    let entry = json!({ "mediaType": "application/json", "digest": config, "size": 2 });
    let manifest = json!({ "schemaVersion": 2, "config": entry, "layers": [] }).to_string();
    for round in 0..70 {
        let tags = (0..16).map(|n| format!("tag=t{round}-{n}")).collect::<Vec<_>>().join("&");
        let path = format!("/v2/{REPO}/manifests/first{round}?{tags}");
        let call = api.put(&path).header("content-type", MANIFEST_TYPE).bytes(manifest.clone());
        let put = call.send().await.unwrap();
        assert_eq!(put.status, 201, "{}", put.text());
    }
    let listed = api.get(&format!("/v2/{REPO}/tags/list?n=100000000")).await;
    assert_eq!(listed.json().unwrap()["tags"].as_array().unwrap().len(), 1_000);
    assert!(listed.header("link").contains("rel=\"next\""), "{}", listed.header("link"));
    let longest = format!("/v2/{REPO}/tags/list?last={}", "z".repeat(4_000));
    assert_eq!(api.get(&longest).await.json().unwrap()["tags"], json!([]));
}

/// More uploads than there may be: the next one is turned away with a time, and none of the others is
/// harmed.
#[tokio::test]
async fn uploads_that_nobody_ends_are_bounded() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let mut opened = Vec::new();
    let refused = loop {
        let answer = api.post(&format!("/v2/{REPO}/blobs/uploads/")).send().await.unwrap();
        if answer.status != 202 {
            break answer;
        }
        opened.push(answer.header("location").to_owned());
        assert!(opened.len() <= 2_000, "no bound");
    };
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (429, "TOOMANYREQUESTS"));
    assert!(refused.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0));
    let first = opened.first().unwrap();
    assert_eq!(api.end_upload(first, &sha256(b"first"), "first").await.status, 201);
    assert_eq!(api.post(&format!("/v2/{REPO}/blobs/uploads/")).send().await.unwrap().status, 202);
}
