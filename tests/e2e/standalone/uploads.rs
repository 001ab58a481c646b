//! Every kind of a blob upload (distribution-spec, "Pushing blobs").

use bytes::Bytes;
use wharf_testkit::http::{Answer, chunked};
use wharf_testkit::images::sha256;

use super::{REPO, sha512};
use crate::fixture::{Api, Wharfd, code, noise};

/// The answer to a finished upload, and the blob as it is served.
async fn assert_created(api: &Api, answer: &Answer, digest: &str, content: &[u8]) {
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.header("location"), format!("/v2/{REPO}/blobs/{digest}"));
    assert_eq!(answer.header("docker-content-digest"), digest);
    let blob = api.get_blob(REPO, digest).await;
    assert_eq!(blob.status, 200, "{}", blob.text());
    assert_eq!(blob.header("docker-content-digest"), digest);
    assert!(blob.body == content, "{digest} is served differently");
}

#[tokio::test]
async fn a_stream_of_post_patch_and_put_is_kept() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let content = noise(1, 3_000_000);
    let digest = sha256(&content);
    let opened = api.post(&format!("/v2/{REPO}/blobs/uploads/")).send().await.unwrap();
    assert_eq!((opened.status.as_u16(), opened.header("range")), (202, "0-0"));
    let id = opened.header("docker-upload-uuid");
    let location = opened.header("location");
    assert_eq!(location, format!("/v2/{REPO}/blobs/uploads/{id}"));
    // As docker does it: one body of unknown length.
    let parts = content.chunks(100_000).map(Bytes::copy_from_slice).collect();
    let patched = api.patch(location).body(chunked(parts)).send().await.unwrap();
    assert_eq!((patched.status.as_u16(), patched.header("range")), (202, "0-2999999"));
    let ended = api.end_upload(patched.header("location"), &digest, "").await;
    assert_created(api, &ended, &digest, &content).await;
    let gone = api.get(location).await;
    assert_eq!((gone.status.as_u16(), code(&gone).as_str()), (404, "BLOB_UPLOAD_UNKNOWN"));
}

#[tokio::test]
async fn one_post_and_one_put_are_enough_and_so_is_one_post() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    // Nothing, one segment and less, around a segment's border, and several with a rest.
    for (seed, bytes) in (0..).zip([0, 1, 262_143, 262_144, 262_145, 2_500_000]) {
        let content = noise(seed, bytes);
        let digest = sha256(&content);
        let location = api.open_upload(REPO).await;
        let ended = api.end_upload(&location, &digest, content.clone()).await;
        assert_created(api, &ended, &digest, &content).await;

        let content = noise(seed + 100, bytes.max(1));
        let digest = sha256(&content);
        let whole = api.post(&format!("/v2/{REPO}/blobs/uploads/?digest={digest}"));
        let posted = whole.bytes(content.clone()).send().await.unwrap();
        assert_created(api, &posted, &digest, &content).await;
    }
}

#[tokio::test]
async fn chunks_are_put_together_with_and_without_their_ranges() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    for with_range in [true, false] {
        let content = noise(u64::from(with_range), 700_001);
        let digest = sha256(&content);
        let mut location = api.open_upload(REPO).await;
        let mut at = 0;
        let (chunks, last) = content.split_at(600_000);
        for chunk in chunks.chunks(250_000) {
            let mut call = api.patch(&location).bytes(chunk.to_vec());
            if with_range {
                call = call.header("content-range", format!("{at}-{}", at + chunk.len() - 1));
            }
            at += chunk.len();
            let answer = call.send().await.unwrap();
            assert_eq!(answer.status, 202, "{}", answer.text());
            assert_eq!(answer.header("range"), format!("0-{}", at - 1));
            answer.header("location").clone_into(&mut location);
        }
        let ended = api.end_upload(&location, &digest, last.to_vec()).await;
        assert_created(api, &ended, &digest, &content).await;
    }
}

#[tokio::test]
async fn a_chunk_out_of_order_is_refused_and_the_upload_goes_on() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let content = noise(5, 1000);
    let location = api.open_upload(REPO).await;
    let chunk = |first: usize, last: usize| {
        let call = api.patch(&location).header("content-range", format!("{first}-{last}"));
        call.bytes(content[first..=last].to_vec()).send()
    };
    assert_eq!(chunk(0, 399).await.unwrap().status, 202);
    for (first, last) in [(500, 599), (0, 399), (399, 499)] {
        let refused = chunk(first, last).await.unwrap();
        assert_eq!(
            (refused.status.as_u16(), code(&refused).as_str(), refused.header("range")),
            (416, "BLOB_UPLOAD_INVALID", "0-399"),
            "{first}-{last}"
        );
        assert_eq!(refused.header("location"), location);
    }
    let status = api.get(&location).await;
    assert_eq!((status.status.as_u16(), status.header("range")), (204, "0-399"));
    assert_eq!(status.header("location"), location);
    assert_eq!(chunk(400, 999).await.unwrap().header("range"), "0-999");
    let digest = sha256(&content);
    let ended = api.end_upload(&location, &digest, "").await;
    assert_created(api, &ended, &digest, &content).await;
}

#[tokio::test]
async fn a_cancelled_upload_is_gone() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let location = api.open_upload(REPO).await;
    let content = noise(6, 10_000);
    let patched = api.patch(&location).bytes(content.clone()).send().await.unwrap();
    assert_eq!(patched.status, 202);
    assert_eq!(wharfd.metric("wharfd_uploads").await, 1);
    let cancelled = api.delete(&location).await;
    assert_eq!((cancelled.status.as_u16(), cancelled.body.len()), (204, 0));
    assert_eq!(wharfd.metric("wharfd_uploads").await, 0);
    let status = api.get(&location).await;
    assert_eq!((status.status.as_u16(), code(&status).as_str()), (404, "BLOB_UPLOAD_UNKNOWN"));
    assert_eq!(api.delete(&location).await.status, 404);
    let ended = api.end_upload(&location, &sha256(&content), "").await;
    assert_eq!(ended.status, 404);
    assert_eq!(api.head_blob(REPO, &sha256(&content)).await.status, 404);
}

#[tokio::test]
async fn a_blob_is_mounted_from_where_it_is_and_nowhere_else() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let digest = api.push_blob("team/source", "shared").await;
    let mount = async |repo: &str, query: &str| {
        api.post(&format!("/v2/{repo}/blobs/uploads/?{query}")).send().await.unwrap()
    };
    let elsewhere = mount(REPO, &format!("mount={digest}&from=team/other")).await;
    assert_eq!((elsewhere.status.as_u16(), elsewhere.header("range")), (202, "0-0"));
    assert_eq!(api.head_blob(REPO, &digest).await.status, 404);
    // The refused mount is an open upload.
    let ended = api.end_upload(elsewhere.header("location"), &digest, "shared").await;
    assert_created(api, &ended, &digest, b"shared").await;

    let unknown = format!("mount={}", sha256(b"nobody has this"));
    assert_eq!(mount(REPO, &unknown).await.status, 202);
    for (repo, query) in [
        ("team/a", format!("mount={digest}&from=team/source")),
        ("team/b", format!("mount={digest}")),
    ] {
        let mounted = mount(repo, &query).await;
        assert_eq!(mounted.status, 201, "{query}");
        assert_eq!(mounted.header("location"), format!("/v2/{repo}/blobs/{digest}"));
        assert_eq!(mounted.header("docker-content-digest"), digest);
        assert_eq!(api.get_blob(repo, &digest).await.body, "shared");
    }
}

#[tokio::test]
async fn sha512_is_as_good_as_sha256_whether_announced_or_not() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    for (seed, query) in [(1, ""), (2, "?digest-algorithm=sha512"), (3, "?digest-algorithm=sha256")]
    {
        let content = noise(seed, 900_000);
        let digest = sha512(&content);
        let opened = api.post(&format!("/v2/{REPO}/blobs/uploads/{query}")).send().await.unwrap();
        assert_eq!(opened.status, 202, "{query}");
        let (first, last) = content.split_at(500_000);
        let location = opened.header("location");
        assert_eq!(api.patch(location).bytes(first.to_vec()).send().await.unwrap().status, 202);
        let ended = api.end_upload(location, &digest, last.to_vec()).await;
        assert_created(api, &ended, &digest, &content).await;
    }
    let content = noise(4, 900_000);
    let wrong = sha512(b"something else");
    let location = api.open_upload(REPO).await;
    let ended = api.end_upload(&location, &wrong, content).await;
    assert_eq!((ended.status.as_u16(), code(&ended).as_str()), (400, "DIGEST_INVALID"));
    let unknown = api.post(&format!("/v2/{REPO}/blobs/uploads/?digest-algorithm=md5"));
    let refused = unknown.send().await.unwrap();
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (400, "DIGEST_INVALID"));
}

#[tokio::test]
async fn an_upload_belongs_to_its_repository() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let location = api.open_upload(REPO).await;
    let foreign = location.replace(REPO, "team/other");
    assert_eq!(api.get(&foreign).await.status, 404);
    assert_eq!(api.patch(&foreign).bytes("x").send().await.unwrap().status, 404);
    assert_eq!(api.end_upload(&foreign, &sha256(b"x"), "x").await.status, 404);
    assert_eq!(api.delete(&foreign).await.status, 404);
    assert_eq!(api.get(&location).await.header("range"), "0-0");
}

#[tokio::test]
async fn the_same_blob_pushed_by_many_at_once_is_one_blob() {
    let wharfd = Wharfd::alone().await;
    let content = Bytes::from(noise(9, 2_000_000));
    let digest = sha256(&content);
    let pushes = (0..8).map(|number| {
        let (api, content) = (wharfd.api.clone(), content.clone());
        let repo = format!("team/{}", number % 2);
        tokio::spawn(async move { api.push_blob(&repo, content).await })
    });
    for push in pushes.collect::<Vec<_>>() {
        assert_eq!(push.await.unwrap(), digest);
    }
    for repo in ["team/0", "team/1"] {
        assert!(wharfd.api.get_blob(repo, &digest).await.body == content);
    }
}
