//! Wrong and broken uploads.

use serde_json::json;
use wharf_testkit::images::sha256;

use super::{REPO, send_raw};
use crate::fixture::{Api, Wharfd, code, eventually, message, noise};

#[tokio::test]
async fn content_that_is_not_its_digest_is_refused_and_never_visible() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    // In one segment, and in several segments with the first ones already on disk.
    for (seed, bytes) in [(1, 100), (2, 3_000_000)] {
        let content = noise(seed, bytes);
        let (digest, wrong) = (sha256(&content), sha256(b"something else"));
        let location = api.open_upload(REPO).await;
        let (first, last) = content.split_at(bytes / 2);
        assert_eq!(api.patch(&location).bytes(first.to_vec()).send().await.unwrap().status, 202);
        let refusals = [
            api.try_push_blob(REPO, &wrong, content.clone()).await.unwrap(),
            api.post(&format!("/v2/{REPO}/blobs/uploads/?digest={wrong}"))
                .bytes(content.clone())
                .send()
                .await
                .unwrap(),
            api.end_upload(&location, &wrong, last.to_vec()).await,
        ];
        for refused in refusals {
            assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (400, "DIGEST_INVALID"));
            let text = message(&refused);
            assert!(text.contains(&wrong) && text.contains(&digest), "{text}");
        }
        for digest in [&digest, &wrong] {
            assert_eq!(api.head_blob(REPO, digest).await.status, 404);
            let mount = format!("/v2/team/other/blobs/uploads/?mount={digest}");
            assert_eq!(api.post(&mount).send().await.unwrap().status, 202);
        }
        assert_eq!(api.push_blob(REPO, content.clone()).await, digest);
        assert!(api.get_blob(REPO, &digest).await.body == content);
    }
}

#[tokio::test]
async fn malformed_chunk_ranges_are_refused_and_change_nothing() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let location = api.open_upload(REPO).await;
    let patch = async |range: &str, content: &'static str| {
        let call = api.patch(&location).header("content-range", range).bytes(content);
        call.send().await.unwrap()
    };
    assert_eq!(patch("0-4", "01234").await.status, 202);
    for (range, status, expected) in [
        ("5", 400, "BLOB_UPLOAD_INVALID"),
        ("5-", 400, "BLOB_UPLOAD_INVALID"),
        ("-9", 400, "BLOB_UPLOAD_INVALID"),
        ("9-5", 400, "BLOB_UPLOAD_INVALID"),
        ("bytes 5-9/10", 400, "BLOB_UPLOAD_INVALID"),
        ("+5-9", 400, "BLOB_UPLOAD_INVALID"),
        ("5-99999999999999999999", 400, "BLOB_UPLOAD_INVALID"),
        ("5-10", 400, "SIZE_INVALID"),
        ("5-8", 400, "SIZE_INVALID"),
        ("5-18446744073709551615", 400, "SIZE_INVALID"),
        ("6-10", 416, "BLOB_UPLOAD_INVALID"),
    ] {
        let refused = patch(range, "56789").await;
        let seen = (refused.status.as_u16(), code(&refused));
        assert_eq!(seen, (status, expected.to_owned()), "{range}");
        assert_eq!(api.get(&location).await.header("range"), "0-4", "after {range}");
    }
    let digest = sha256(b"0123456789");
    assert_eq!(api.end_upload(&location, &digest, "56789").await.status, 201);
    assert_eq!(api.get_blob(REPO, &digest).await.body, "0123456789");
}

/// Sends the head of a PATCH for all of `content`, and this many bytes of it.
async fn send_part(
    api: &Api,
    location: &str,
    content: &[u8],
    sent: usize,
) -> tokio::net::TcpStream {
    let head = format!(
        "PATCH {location} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n\r\n",
        api.host(),
        content.len()
    );
    send_raw(api, &[head.as_bytes(), &content[..sent]].concat()).await
}

/// How much of an upload is here, once no request writes to it.
async fn settled_offset(api: &Api, location: &str) -> usize {
    let settled = async || {
        // An empty chunk is refused while another request still writes.
        let probe = api.patch(location).bytes("").send().await.unwrap();
        (probe.status == 202).then_some(())
    };
    eventually("the end of the broken request", settled).await;
    let status = api.get(location).await;
    assert_eq!(status.status, 204, "{}", status.text());
    let last: usize = status.header("range").strip_prefix("0-").unwrap().parse().unwrap();
    if last == 0 { 0 } else { last + 1 }
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_what_came_and_the_upload_goes_on_there() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    for (seed, sent) in [(1, 0), (2, 5), (3, 300_000), (4, 4_000_000)] {
        let content = noise(seed, 5_000_000);
        let digest = sha256(&content);
        let location = api.open_upload(REPO).await;
        let before = wharfd.metric("wharfd_received_bytes_total").await;
        let stream = send_part(api, &location, &content, sent).await;
        wharfd.metric_reaches("wharfd_received_bytes_total", before + sent as u64).await;
        drop(stream);
        let offset = settled_offset(api, &location).await;
        assert_eq!(offset, sent, "every byte that was taken is still there");
        let range = format!("{offset}-{}", content.len() - 1);
        let call = api.patch(&location).header("content-range", range);
        let resumed = call.bytes(content[offset..].to_vec()).send().await.unwrap();
        assert_eq!(resumed.status, 202, "{}", resumed.text());
        assert_eq!(api.end_upload(&location, &digest, "").await.status, 201);
        assert!(api.get_blob(REPO, &digest).await.body == content);
    }
}

#[tokio::test]
async fn a_last_request_that_breaks_off_does_not_end_the_upload() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let content = noise(7, 2_000_000);
    let digest = sha256(&content);
    let location = api.open_upload(REPO).await;
    let head = format!(
        "PUT {location}?digest={digest} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n\r\n",
        api.host(),
        content.len()
    );
    let stream = send_raw(api, &[head.as_bytes(), &content[..1_000_000]].concat()).await;
    wharfd.metric_reaches("wharfd_received_bytes_total", 1_000_000).await;
    drop(stream);
    assert_eq!(settled_offset(api, &location).await, 1_000_000);
    assert_eq!(api.head_blob(REPO, &digest).await.status, 404);
    let ended = api.end_upload(&location, &digest, content[1_000_000..].to_vec()).await;
    assert_eq!(ended.status, 201, "{}", ended.text());
}

#[tokio::test]
async fn two_writers_of_one_upload_do_not_mix() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let content = noise(8, 1_000_000);
    let location = api.open_upload(REPO).await;
    let stream = send_part(api, &location, &content, 400_000).await;
    wharfd.metric_reaches("wharfd_received_bytes_total", 400_000).await;
    let second = api.patch(&location).bytes("intruder").send().await.unwrap();
    assert_eq!((second.status.as_u16(), code(&second).as_str()), (409, "BLOB_UPLOAD_INVALID"));
    drop(stream);
    assert_eq!(settled_offset(api, &location).await, 400_000);
}

#[tokio::test]
async fn nothing_of_unfinished_uploads_is_listed() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let location = api.open_upload(REPO).await;
    api.patch(&location).bytes(noise(9, 1_000_000)).send().await.unwrap();
    assert_eq!(api.get("/v2/_catalog").await.json().unwrap(), json!({ "repositories": [] }));
    assert_eq!(api.get(&format!("/v2/{REPO}/tags/list")).await.status, 404);
}
