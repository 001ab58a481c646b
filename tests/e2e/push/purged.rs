//! Blobs lost by an upstream after their push: for a client's HEAD the store's copy counts, so the
//! client sends nothing, and its push arrives whole all the same.

use serde_json::{Value, json};
use tempfile::TempDir;
use wharf_double::{Fault, FaultRule, Kind};
use wharf_testkit::clients;
use wharf_testkit::images::{Layout, sha256};

use super::{REPO, image};
use crate::clients::run;
use crate::fixture::{Api, Setup, Stage, USER, Wharfd, code, upstream_lines};

const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// A setup for each way of pushing.
fn ways() -> [fn(Setup) -> Setup; 2] {
    let staged = |mut setup: Setup| {
        setup.upstream.push_str("push = \"staged\"\n");
        setup
    };
    [|setup| setup, staged]
}

/// Deletes these of the layout at the registry behind, past `wharfd`.
async fn purge(stage: &Stage, kind: &str, digests: impl Iterator<Item = &String>) {
    for digest in digests {
        let gone = stage.origin.delete(&format!("/v2/{REPO}/{kind}/{digest}")).await;
        assert_eq!(gone.status, 202, "{digest}: {}", gone.text());
    }
}

async fn purge_all(stage: &Stage, layout: &Layout) {
    let children = layout.images.iter().map(|image| &image.manifest.digest);
    purge(stage, "manifests", children.chain([&layout.top.digest])).await;
    purge(stage, "blobs", layout.content().map(|blob| &blob.digest)).await;
}

/// Pushes a layout as clients do, without existing blobs; returns the number of sent blobs.
async fn push_asking_first(api: &Api, layout: &Layout) -> usize {
    let mut sent = 0;
    for blob in layout.content() {
        if api.head_blob(REPO, &blob.digest).await.status == 404 {
            api.push_blob(REPO, layout.read(blob).unwrap()).await;
            sent += 1;
        }
    }
    for manifest in layout.images.iter().map(|image| &image.manifest) {
        if api.head_manifest(REPO, &manifest.digest).await.status == 404 {
            let content = layout.read(manifest).unwrap();
            let put = api.put_manifest(REPO, &manifest.digest, manifest.media_type, content).await;
            assert_eq!(put.status, 201, "{}", put.text());
            sent += 1;
        }
    }
    let (top, content) = (&layout.top, layout.read(&layout.top).unwrap());
    let put = api.put_manifest(REPO, &layout.tag, top.media_type, content).await;
    assert_eq!(put.status, 201, "{}", put.text());
    sent
}

#[tokio::test]
async fn the_first_push_after_a_purge_arrives_whole() {
    for way in ways() {
        let Some(stage) = Stage::start_with(way).await else { return };
        let (_folder, layout) = image(70);
        stage.api().push_layout(REPO, &layout).await;
        purge_all(&stage, &layout).await;
        assert_eq!(push_asking_first(stage.api(), &layout).await, 0, "all of it is here");
        stage.origin.assert_serves(REPO, &layout).await;
        let other = Wharfd::with_config(&upstream_lines(&stage.front.url(), USER)).await;
        other.api.assert_serves(REPO, &layout).await;
    }
}

#[tokio::test]
async fn only_what_is_gone_is_delivered_again() {
    let Some(stage) = Stage::start().await else { return };
    let (_folder, layout) = image(71);
    stage.api().push_layout(REPO, &layout).await;
    let lost = &layout.images[0].layers[1].blob;
    let manifests = [&layout.images[0].manifest.digest, &layout.top.digest];
    purge(&stage, "manifests", manifests.into_iter()).await;
    purge(&stage, "blobs", [&lost.digest].into_iter()).await;
    stage.double.reset_counts();
    assert_eq!(push_asking_first(stage.api(), &layout).await, 0);
    let counts = stage.double.counts();
    // The index was refused once; its child with the recovered layer was not.
    assert_eq!(counts.total(Kind::ManifestPut), 3);
    assert_eq!(counts.total(Kind::UploadPut), 1);
    stage.origin.assert_serves(REPO, &layout).await;
}

#[tokio::test]
async fn what_is_not_here_either_is_named_and_brought_by_the_next_push() {
    for way in ways() {
        let Some(stage) = Stage::start_with(way).await else { return };
        let (_folder, layout) = image(72);
        stage.api().push_layout(REPO, &layout).await;
        purge_all(&stage, &layout).await;
        assert_eq!(stage.wharfd.store_command("evict", &["--down-to", "0"]).await.code, 0);
        let (top, content) = (&layout.top, layout.read(&layout.top).unwrap());
        let refused = stage.api().put_manifest(REPO, "v1", top.media_type, content).await;
        assert_eq!(
            (refused.status.as_u16(), code(&refused).as_str()),
            (404, "MANIFEST_BLOB_UNKNOWN")
        );
        assert_eq!(push_asking_first(stage.api(), &layout).await, layout.content().count() + 2);
        stage.origin.assert_serves(REPO, &layout).await;
    }
}

#[tokio::test]
async fn what_was_deleted_through_here_or_is_of_another_repository_is_not_delivered() {
    let Some(stage) = Stage::start().await else { return };
    stage.api().push_blob(REPO, "{}").await;
    let (mine, others) =
        (stage.api().push_blob(REPO, "mine").await, stage.api().push_blob("acme/other", "x").await);
    assert_eq!(stage.api().delete(&format!("/v2/{REPO}/blobs/{mine}")).await.status, 202);
    for layer in [mine, others] {
        let layer = json!({ "mediaType": "application/x", "digest": layer, "size": 1 });
        let config = json!({ "mediaType": "application/x", "digest": sha256(b"{}"), "size": 2 });
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest: Value =
            json!({ "schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer] });
        let refused = stage.api().put_manifest(REPO, "v1", kind, manifest.to_string()).await;
        assert_eq!(refused.status, 404, "{}", refused.text());
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_take_it_again_is_heard_and_not_called_a_missing_blob() {
    let Some(stage) = Stage::start().await else { return };
    let (_folder, layout) = image(73);
    stage.api().push_layout(REPO, &layout).await;
    purge_all(&stage, &layout).await;
    let full = Fault::Status { code: 403, retry_after_s: None };
    let rule = FaultRule::next(Kind::UploadPost, full);
    stage.double.set_fault(rule.during(std::time::Duration::from_hours(1)));
    let content = layout.read(&layout.top).unwrap();
    let refused = stage.api().put_manifest(REPO, "v1", INDEX_TYPE, content).await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (403, "DENIED"));
    stage.double.clear_faults();
    // The blobs are still here, for the next try.
    assert_eq!(push_asking_first(stage.api(), &layout).await, 0);
    stage.origin.assert_serves(REPO, &layout).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn real_clients_push_once_after_a_purge() {
    let need = ["crane", "oras", "skopeo", "regctl"].map(clients::require);
    let [Some(crane), Some(oras), Some(skopeo), Some(regctl)] = need else { return };
    // A client with a fresh tag pushes nothing; this test is about the responses for blobs.
    let Some(stage) = Stage::start_with(|setup| setup.tag_ttl(0)).await else { return };
    let folder = TempDir::new().unwrap();
    let recipe = wharf_testkit::images::Recipe::new(74, &[2_000, 300_000]);
    let layout = recipe.architectures(&["amd64", "arm64"]).write(folder.path(), "v1").unwrap();
    stage.api().push_layout(REPO, &layout).await;
    let (path, to) =
        (folder.path().display().to_string(), format!("{}/{REPO}:v1", stage.wharfd.host()));
    let (source, host) =
        (format!("{path}:v1"), format!("reg={},tls=disabled", stage.wharfd.host()));
    let layout_name = layout.reference();
    let (docker, ocidir) = (format!("docker://{to}"), format!("ocidir://{source}"));
    let pushes: [(_, Vec<&str>); 4] = [
        (&crane, vec!["push", "--insecure", &path, &to]),
        (&oras, vec!["cp", "--from-oci-layout", &source, "--to-plain-http", &to]),
        (&skopeo, vec!["copy", "-q", "--all", "--dest-tls-verify=false", &layout_name, &docker]),
        (&regctl, vec!["--host", &host, "image", "copy", &ocidir, &to]),
    ];
    for (client, push) in pushes {
        purge_all(&stage, &layout).await;
        run(client, &push).await;
        stage.origin.assert_serves(REPO, &layout).await;
    }
}
