//! Deletes, here and at the upstream in step: an upstream's response begun before a change does not
//! undo the change here, whenever it ends.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;
use wharf_double::{Fault, FaultRule, Kind};
use wharf_testkit::http::Answer;
use wharf_testkit::images::sha256;

use super::{INDEX_TYPE, REPO, image};
use crate::fixture::{Stage, code, eventually, noise};

const HELD: Duration = Duration::from_hours(1);

/// An index of nothing, different for each word.
fn manifest(word: &str) -> String {
    let annotations = json!({ "word": word });
    json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [], "annotations": annotations })
        .to_string()
}

fn path(reference: &str) -> String {
    format!("/v2/{REPO}/manifests/{reference}")
}

/// A GET with its response held half-way by the upstream.
async fn held_get(stage: &Stage, kind: Kind, path: String) -> JoinHandle<Answer> {
    stage.double.set_fault(FaultRule::next(kind, Fault::Stall { after: 20 }));
    let (api, held) = (stage.api().clone(), stage.double.held());
    let got = tokio::spawn(async move {
        let call = api.call(http::Method::GET, &path).header("accept", INDEX_TYPE);
        call.send().await.unwrap()
    });
    eventually("the answer to be held", async || (stage.double.held() > held).then_some(())).await;
    got
}

async fn status(stage: &Stage, path: &str) -> u16 {
    let call = stage.api().call(http::Method::GET, path).header("accept", INDEX_TYPE);
    call.send().await.unwrap().status.as_u16()
}

async fn long_lived() -> Option<Stage> {
    Stage::start_with(|mut setup| {
        setup.upstream.push_str("negative_ttl_seconds = 0\n");
        setup.tag_ttl(3600)
    })
    .await
}

#[tokio::test]
async fn a_fetch_that_began_before_a_delete_brings_nothing_back() {
    let Some(stage) = long_lived().await else { return };
    let digest = sha256(manifest("old").as_bytes());
    for reference in ["v1", &digest] {
        let planted = stage.origin.put_manifest(REPO, "v1", INDEX_TYPE, manifest("old")).await;
        assert_eq!(planted.status, 201);
        let early = held_get(&stage, Kind::ManifestGet, path(reference)).await;
        assert_eq!(stage.api().delete(&path(&digest)).await.status, 202, "{reference}");
        // A new request does not join the requests before the delete.
        for gone in ["v1", &digest] {
            assert_eq!(status(&stage, &path(gone)).await, 404, "{gone} after {reference}");
        }
        stage.double.release();
        assert_eq!(early.await.unwrap().status, 200);
        for gone in ["v1", &digest] {
            assert_eq!(status(&stage, &path(gone)).await, 404, "{gone} after {reference}");
        }
    }
}

#[tokio::test]
async fn a_fetch_that_began_before_a_push_does_not_turn_the_tag_back() {
    let Some(stage) = long_lived().await else { return };
    let planted = stage.origin.put_manifest(REPO, "v1", INDEX_TYPE, manifest("old")).await;
    assert_eq!(planted.status, 201);
    let early = held_get(&stage, Kind::ManifestGet, path("v1")).await;
    let put = stage.api().put_manifest(REPO, "v1", INDEX_TYPE, manifest("new")).await;
    assert_eq!(put.status, 201, "{}", put.text());
    stage.double.release();
    assert_eq!(early.await.unwrap().body, manifest("old"));
    let now = stage.api().get_manifest(REPO, "v1").await;
    assert_eq!(now.header("wharf-cache"), "hit");
    assert_eq!(now.body, manifest("new"));
}

#[tokio::test]
async fn a_download_that_began_before_a_delete_does_not_bring_the_blob_back() {
    let Some(stage) = long_lived().await else { return };
    let content = noise(31, 700_000);
    let digest = stage.origin.push_blob(REPO, content.clone()).await;
    let path = format!("/v2/{REPO}/blobs/{digest}");
    let early = held_get(&stage, Kind::StorageGet, path.clone()).await;
    assert_eq!(stage.api().delete(&path).await.status, 202);
    assert_eq!(status(&stage, &path).await, 404);
    stage.double.release();
    assert!(early.await.unwrap().body == content);
    stage.wharfd.fills_are_over().await;
    assert_eq!(status(&stage, &path).await, 404);
    assert_eq!(stage.api().head_blob(REPO, &digest).await.status, 404);
    // It comes back when it is pushed.
    stage.api().push_blob(REPO, content.clone()).await;
    assert!(stage.api().get_blob(REPO, &digest).await.body == content);
}

#[tokio::test]
async fn a_deleted_manifest_takes_its_tags_here_with_it() {
    let Some(stage) = long_lived().await else { return };
    let digest = sha256(manifest("two tags").as_bytes());
    let put = stage.api().put_manifest(REPO, "v1?tag=v2", INDEX_TYPE, manifest("two tags")).await;
    assert_eq!(put.status, 201, "{}", put.text());
    for tag in ["v1", "v2"] {
        assert_eq!(stage.api().get_manifest(REPO, tag).await.header("wharf-cache"), "hit");
    }
    assert_eq!(stage.api().delete(&path(&digest)).await.status, 202);
    for reference in ["v1", "v2", &digest] {
        assert_eq!(status(&stage, &path(reference)).await, 404, "{reference}");
        assert_eq!(stage.origin.get(&path(reference)).await.status, 404, "{reference}");
    }
}

#[tokio::test]
async fn what_the_upstream_does_not_delete_stays_and_what_it_never_had_goes() {
    let Some(stage) = long_lived().await else { return };
    stage.api().push_blob(REPO, "{}").await;
    let blob = stage.api().push_blob(REPO, "layer").await;
    let image = image(&["layer"]).to_string();
    let put = stage.api().put_manifest(REPO, "v1", super::MANIFEST_TYPE, image.clone()).await;
    assert_eq!(put.status, 201, "{}", put.text());
    let manifest = sha256(image.as_bytes());
    let blob_path = format!("/v2/{REPO}/blobs/{blob}");
    let kinds = [
        (Kind::ManifestDelete, path("v1")),
        (Kind::ManifestDelete, path(&manifest)),
        (Kind::BlobDelete, blob_path.clone()),
    ];
    for (kind, path) in &kinds {
        for (said, shown) in [(405, 405), (403, 403), (500, 502)] {
            let no = Fault::Status { code: said, retry_after_s: None };
            stage.double.set_fault(FaultRule::next(*kind, no).during(HELD));
            let refused = stage.api().delete(path).await.status.as_u16();
            assert!(refused == shown || (said == 500 && refused == 429), "{path}: {refused}");
            stage.double.clear_faults();
        }
    }
    // The content here is unchanged: every request is a hit, in any state of the upstream.
    for reference in ["v1", &manifest] {
        let found = stage.api().get_manifest(REPO, reference).await;
        assert_eq!((found.status.as_u16(), found.header("wharf-cache")), (200, "hit"));
    }
    assert_eq!(stage.api().get_blob(REPO, &blob).await.header("wharf-cache"), "hit");
    // Gone there already: gone here now, and known to be.
    for path in [path(&manifest), blob_path] {
        assert_eq!(stage.origin.delete(&path).await.status, 202, "{path}");
        assert_eq!(stage.api().delete(&path).await.status, 202, "{path}");
        assert_eq!(status(&stage, &path).await, 404, "{path}");
        let again = stage.api().delete(&path).await;
        assert_eq!(again.status, 404, "{path}");
        assert!(code(&again).ends_with("_UNKNOWN"), "{}", again.text());
    }
}
