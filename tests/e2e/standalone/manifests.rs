//! Manifests and tags (distribution-spec, "Pulling manifests", "Pushing manifests", "Deleting").

use serde_json::json;
use wharf_testkit::images::sha256;

use super::{INDEX_TYPE, MANIFEST_TYPE, REPO, descriptor, image, push_image, sha512};
use crate::fixture::{Wharfd, code};

#[tokio::test]
async fn a_manifest_comes_back_byte_for_byte_by_tag_and_by_digest() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    for blob in ["config", "layer"] {
        api.push_blob(REPO, blob).await;
    }
    let manifest = image(b"config", b"layer", json!({ "x-unknown": [1, 2] }));
    let digest = sha256(&manifest);
    let put = api.put_manifest(REPO, "v1.0", MANIFEST_TYPE, manifest.clone()).await;
    assert_eq!(put.status, 201, "{}", put.text());
    assert_eq!(put.header("location"), format!("/v2/{REPO}/manifests/{digest}"));
    assert_eq!(put.header("docker-content-digest"), digest);
    for reference in ["v1.0", digest.as_str()] {
        let found = api.get_manifest(REPO, reference).await;
        assert_eq!(found.status, 200);
        assert_eq!(found.header("content-type"), MANIFEST_TYPE);
        assert_eq!(found.header("docker-content-digest"), digest);
        assert_eq!(found.body, manifest);
    }
    let absent = api.get_manifest(REPO, "v2.0").await;
    assert_eq!((absent.status.as_u16(), code(&absent).as_str()), (404, "MANIFEST_UNKNOWN"));
    let elsewhere = api.get_manifest("team/other", &digest).await;
    assert_eq!((elsewhere.status.as_u16(), code(&elsewhere).as_str()), (404, "MANIFEST_UNKNOWN"));
}

#[tokio::test]
async fn one_put_sets_several_tags_and_says_which() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let manifest = push_image(api, REPO, "base").await;
    let digest = sha256(&manifest);
    let path = format!("{digest}?tag=one&tag=two&tag=3.0");
    let put = api.put_manifest(REPO, &path, MANIFEST_TYPE, manifest.clone()).await;
    assert_eq!(put.status, 201, "{}", put.text());
    let said: Vec<_> = put.headers.get_all("oci-tag").iter().collect();
    assert_eq!(said, ["one", "two", "3.0"]);
    for tag in ["one", "two", "3.0", "base"] {
        assert_eq!(api.head_manifest(REPO, tag).await.header("docker-content-digest"), digest);
    }
}

#[tokio::test]
async fn a_tag_moves_and_the_old_manifest_stays() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let first = push_image(api, REPO, "latest").await;
    api.push_blob(REPO, "other layer").await;
    let second = image(b"config of latest", b"other layer", json!({}));
    assert_eq!(api.put_manifest(REPO, "latest", MANIFEST_TYPE, second.clone()).await.status, 201);
    assert_eq!(api.get_manifest(REPO, "latest").await.body, second);
    assert_eq!(api.get_manifest(REPO, &sha256(&first)).await.body, first);
}

#[tokio::test]
async fn manifests_by_sha512_are_kept_under_that_digest() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    for blob in ["config", "layer"] {
        api.push_blob(REPO, blob).await;
    }
    let manifest = image(b"config", b"layer", json!({}));
    let digest = sha512(&manifest);
    let path = format!("{digest}?tag=long");
    let put = api.put_manifest(REPO, &path, MANIFEST_TYPE, manifest.clone()).await;
    assert_eq!(put.status, 201, "{}", put.text());
    assert_eq!(put.header("docker-content-digest"), digest);
    for reference in ["long", digest.as_str()] {
        let found = api.get_manifest(REPO, reference).await;
        assert_eq!(found.status, 200, "{reference}: {}", found.text());
        assert_eq!(found.header("docker-content-digest"), digest);
        assert_eq!(found.body, manifest);
    }
    let wrong = sha512(b"other");
    let refused = api.put_manifest(REPO, &wrong, MANIFEST_TYPE, manifest).await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (400, "DIGEST_INVALID"));
}

#[tokio::test]
async fn an_index_and_docker_manifests_keep_their_types() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let child = push_image(api, REPO, "child").await;
    let index = json!({
        "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [descriptor(MANIFEST_TYPE, &child)],
    });
    let index = index.to_string().into_bytes();
    let put = api.put_manifest(REPO, "multi", INDEX_TYPE, index.clone()).await;
    assert_eq!(put.status, 201, "{}", put.text());
    let found = api.get_manifest(REPO, "multi").await;
    assert_eq!((found.header("content-type"), &found.body[..]), (INDEX_TYPE, &index[..]));

    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    let manifest = image(b"config of child", b"layer of child", json!({ "mediaType": docker }));
    assert_eq!(api.put_manifest(REPO, "docker", docker, manifest.clone()).await.status, 201);
    let found = api.get_manifest(REPO, "docker").await;
    assert_eq!((found.header("content-type"), &found.body[..]), (docker, &manifest[..]));
}

#[tokio::test]
async fn deleting_a_tag_leaves_the_manifest_and_deleting_the_manifest_leaves_no_tag() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let manifest = push_image(api, REPO, "a").await;
    let digest = sha256(&manifest);
    let path = format!("{digest}?tag=b&tag=c");
    assert_eq!(api.put_manifest(REPO, &path, MANIFEST_TYPE, manifest.clone()).await.status, 201);
    let delete = async |reference: &str| {
        api.delete(&format!("/v2/{REPO}/manifests/{reference}")).await.status.as_u16()
    };
    assert_eq!(delete("a").await, 202);
    assert_eq!(delete("a").await, 404);
    assert_eq!(api.get_manifest(REPO, "a").await.status, 404);
    assert_eq!(api.get_manifest(REPO, "b").await.body, manifest);
    assert_eq!(delete(&digest).await, 202);
    assert_eq!(delete(&digest).await, 404);
    for reference in ["b", "c", digest.as_str()] {
        let gone = api.get_manifest(REPO, reference).await;
        assert_eq!((gone.status.as_u16(), code(&gone).as_str()), (404, "MANIFEST_UNKNOWN"));
    }
    let tags = api.get(&format!("/v2/{REPO}/tags/list")).await;
    assert_eq!(tags.json().unwrap()["tags"], json!([]));
    // Its blobs are still there: the same manifest can be put again.
    assert_eq!(api.put_manifest(REPO, "a", MANIFEST_TYPE, manifest).await.status, 201);
}
