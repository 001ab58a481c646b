//! Reading and deleting blobs (distribution-spec, "Pulling blobs"; RFC 9110 §14 for ranges).

use http::HeaderMap;
use wharf_testkit::http::Answer;
use wharf_testkit::images::sha256;

use super::REPO;
use crate::fixture::{Wharfd, code, noise};

/// Headers without those different in any two responses.
fn lasting(answer: &Answer) -> HeaderMap {
    let mut headers = answer.headers.clone();
    headers.remove("date");
    headers.remove("x-request-id");
    headers
}

#[tokio::test]
async fn a_head_has_the_headers_of_the_get_and_no_body() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let content = noise(1, 300_000);
    let digest = api.push_blob(REPO, content).await;
    let manifest = super::push_image(api, REPO, "v1").await;
    for path in [
        format!("/v2/{REPO}/blobs/{digest}"),
        format!("/v2/{REPO}/manifests/v1"),
        format!("/v2/{REPO}/manifests/{}", sha256(&manifest)),
    ] {
        let (get, head) = (api.get(&path).await, api.head(&path).await);
        assert_eq!((get.status.as_u16(), head.status.as_u16()), (200, 200), "{path}");
        assert_eq!(lasting(&get), lasting(&head), "{path}");
        assert_eq!(head.header("content-length"), get.body.len().to_string());
        assert!(head.header("docker-content-digest").starts_with("sha256:"), "{path}");
        assert_eq!(head.header("wharf-cache"), "hit");
        assert!(head.body.is_empty());
    }
    let blob = api.head_blob(REPO, &digest).await;
    assert_eq!(blob.header("accept-ranges"), "bytes");
    assert_eq!(blob.header("content-type"), "application/octet-stream");
    let absent = api.head_blob(REPO, &sha256(b"absent")).await;
    assert_eq!((absent.status.as_u16(), absent.body.len()), (404, 0));
}

#[tokio::test]
async fn ranges_are_cut_clamped_refused_and_ignored_as_http_says() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let size = 600_000;
    let content = noise(2, size);
    let digest = api.push_blob(REPO, content.clone()).await;
    for (range, part) in [
        ("bytes=0-0", 0..1),
        ("bytes=0-9", 0..10),
        ("bytes=262143-262144", 262_143..262_145),
        ("bytes=262144-524287", 262_144..524_288),
        ("bytes=100000-599999", 100_000..size),
        ("bytes=599999-", 599_999..size),
        ("bytes=0-", 0..size),
        ("bytes=-1", 599_999..size),
        ("bytes=-300000", 300_000..size),
        ("bytes=-99999999", 0..size),
        ("bytes=599990-99999999", 599_990..size),
        ("bytes=0-18446744073709551615", 0..size),
    ] {
        let answer = api.get_range(REPO, &digest, range).await;
        assert_eq!(answer.status, 206, "{range}");
        let stated = format!("bytes {}-{}/{size}", part.start, part.end - 1);
        assert_eq!(answer.header("content-range"), stated, "{range}");
        assert_eq!(answer.header("content-length"), part.len().to_string(), "{range}");
        assert_eq!(answer.header("docker-content-digest"), digest, "{range}");
        assert!(answer.body == content[part], "{range}");
    }
    for range in ["bytes=600000-", "bytes=600000-600001", "bytes=-0", "bytes=99999999999-"] {
        let answer = api.get_range(REPO, &digest, range).await;
        assert_eq!(answer.status, 416, "{range}");
        assert_eq!(answer.header("content-range"), "bytes */600000", "{range}");
    }
    let beyond_numbers = "bytes=0-99999999999999999999999";
    for range in ["bytes=9-5", "bytes=a-b", "bytes=-", "items=0-1", "bytes=0-1,4-5", beyond_numbers]
    {
        let answer = api.get_range(REPO, &digest, range).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (200, size), "{range}");
        assert_eq!(answer.header("content-range"), "", "{range}");
    }
}

#[tokio::test]
async fn no_byte_of_an_empty_blob_can_be_asked_for() {
    let wharfd = Wharfd::alone().await;
    let digest = wharfd.api.push_blob(REPO, "").await;
    let whole = wharfd.api.get_blob(REPO, &digest).await;
    assert_eq!((whole.status.as_u16(), whole.header("content-length")), (200, "0"));
    let range = wharfd.api.get_range(REPO, &digest, "bytes=0-").await;
    assert_eq!((range.status.as_u16(), range.header("content-range")), (416, "bytes */0"));
}

#[tokio::test]
async fn a_blob_is_served_to_its_repositories_only_and_deleted_in_one_alone() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let content = noise(3, 800_000);
    let digest = api.push_blob("team/a", content.clone()).await;
    let stranger = api.get_blob("team/b", &digest).await;
    assert_eq!((stranger.status.as_u16(), code(&stranger).as_str()), (404, "BLOB_UNKNOWN"));
    api.push_blob("team/b", content.clone()).await;
    let path = format!("/v2/team/a/blobs/{digest}");
    assert_eq!(api.delete(&path).await.status, 202);
    let gone = api.get(&path).await;
    assert_eq!((gone.status.as_u16(), code(&gone).as_str()), (404, "BLOB_UNKNOWN"));
    assert_eq!(api.delete(&path).await.status, 404);
    assert!(api.get_blob("team/b", &digest).await.body == content);
    assert_eq!(api.delete(&format!("/v2/team/b/blobs/{digest}")).await.status, 202);
    // The bytes left with the last repository: a mount finds nothing to take.
    let mount = format!("/v2/team/c/blobs/uploads/?mount={digest}");
    assert_eq!(api.post(&mount).send().await.unwrap().status, 202);
}
