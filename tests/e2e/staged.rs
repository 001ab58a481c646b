//! Staged pushes: `wharfd` answers a blob's push once the blob is durable here, and a manifest's
//! push once all of its blobs are at the upstream; the blobs in between survive kills and outages.
//! `staged/operators.rs` has the operators' view, `staged/deletes.rs` deletions refused by the
//! upstream, `staged/once.rs` write-once tags, `staged/parties.rs` the shares of clients.

mod deletes;
mod once;
mod operators;
mod parties;

use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use wharf_double::{Fault, FaultRule, Kind};
use wharf_testkit::clients;
use wharf_testkit::http::Answer;
use wharf_testkit::images::{Recipe, sha256};

use crate::fixture::{Api, Setup, Stage, code, eventually, message, noise};

const REPO: &str = "acme/web";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const MIB: usize = 1024 * 1024;

fn staged(mut setup: Setup) -> Setup {
    setup.upstream.push_str("push = \"staged\"\n");
    setup
}

/// The upstream answers nothing of this kind until its faults are cleared.
fn hold_back(stage: &Stage, kind: Kind) {
    let hour = Duration::from_hours(1);
    stage.double.set_fault(FaultRule::next(kind, Fault::Unavailable).during(hour));
}

async fn pending(stage: &Stage) -> u64 {
    stage.wharfd.metric("wharfd_pending_blobs").await
}

async fn all_is_delivered(stage: &Stage) {
    let over = async || (pending(stage).await == 0).then_some(());
    eventually("the end of all deliveries", over).await;
}

/// Every upload at the upstream is ended or given up.
async fn no_upload_is_left(stage: &Stage) {
    let closed = async || (stage.double.open_uploads() == 0).then_some(());
    eventually("every upload at the upstream to be over", closed).await;
}

/// The manifest of an image with this configuration and layer.
async fn put_image(api: &Api, tag: &str, config: &[u8], layer: &[u8]) -> Answer {
    try_put_image(api, tag, config, layer).await.unwrap()
}

/// The same; no answer may come.
async fn try_put_image(
    api: &Api,
    tag: &str,
    config: &[u8],
    layer: &[u8],
) -> anyhow::Result<Answer> {
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE,
        "config": { "mediaType": "application/json", "digest": sha256(config), "size": config.len() },
        "layers": [{ "mediaType": "application/x", "digest": sha256(layer), "size": layer.len() }],
    });
    let call = api.put(&format!("/v2/{REPO}/manifests/{tag}"));
    call.header("content-type", MANIFEST_TYPE).bytes(manifest.to_string()).send().await
}

async fn assert_upstream_has(stage: &Stage, repo: &str, content: &[u8]) {
    let there = stage.origin.get_blob(repo, &sha256(content)).await;
    assert!(there.status == 200 && there.body == content, "{}", there.status);
}

#[tokio::test]
async fn blobs_are_answered_here_and_the_manifest_when_all_is_there() {
    let Some(stage) = Stage::start_with(staged).await else { return };
    let folder = TempDir::new().unwrap();
    let recipe = Recipe::new(1, &[2_000, 9_000_000]).architectures(&["amd64", "arm64"]);
    let layout = recipe.write(folder.path(), "v1").unwrap();
    hold_back(&stage, Kind::BlobHead);
    for blob in layout.content() {
        let digest = stage.api().push_blob(REPO, layout.read(blob).unwrap()).await;
        // It is this repository's from now on, and nowhere else.
        let here = stage.api().get_blob(REPO, &digest).await;
        assert_eq!((here.status.as_u16(), here.header("wharf-cache")), (200, "hit"));
        assert_eq!(stage.api().head_blob(REPO, &digest).await.status, 200);
        assert_eq!(stage.origin.head_blob(REPO, &digest).await.status, 404);
        assert_ne!(stage.api().head_blob("acme/other", &digest).await.status, 200);
    }
    let count = pending(&stage).await;
    assert!(count >= 4, "{count}");
    let bytes: usize = layout.content().map(|blob| layout.read(blob).unwrap().len()).sum();
    assert_eq!(stage.wharfd.metric("wharfd_pending_bytes").await, bytes as u64);
    assert_eq!(stage.double.counts().total(Kind::UploadPost), 0);
    stage.double.clear_faults();
    for image in &layout.images {
        let (reference, content) = (&image.manifest.digest, layout.read(&image.manifest).unwrap());
        let put = stage.api().put_manifest(REPO, reference, MANIFEST_TYPE, content.clone()).await;
        assert_eq!(put.status, 201, "{}", put.text());
        assert_eq!(stage.origin.get_manifest(REPO, reference).await.body, content);
    }
    let content = layout.read(&layout.top).unwrap();
    let put = stage.api().put_manifest(REPO, "v1", layout.top.media_type, content).await;
    assert_eq!(put.status, 201, "{}", put.text());
    stage.origin.assert_serves(REPO, &layout).await;
    stage.api().assert_serves(REPO, &layout).await;
    assert_eq!(pending(&stage).await, 0);
    assert_eq!(stage.wharfd.metric("wharfd_pending_bytes").await, 0);
    assert_eq!(stage.wharfd.metric("wharfd_delivered_blobs_total").await, count);
    // Delivered blobs are cached like any other content.
    assert_eq!(stage.wharfd.metric("wharfd_store_cached_bytes").await, bytes as u64);
    assert_eq!(stage.double.counts().upload_bytes(), bytes as u64);
    no_upload_is_left(&stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_pushes_every_platform() {
    let Some(skopeo) = clients::require("skopeo") else { return };
    let Some(stage) = Stage::start_with(staged).await else { return };
    let folder = TempDir::new().unwrap();
    let recipe = Recipe::new(2, &[2_000, 700_000]).architectures(&["amd64", "arm64"]);
    let layout = recipe.write(&folder.path().join("in"), "1.0").unwrap();
    let there = format!("docker://{}/{REPO}:1.0", stage.wharfd.host());
    let (source, push) = (layout.reference(), ["copy", "--all", "--dest-tls-verify=false"]);
    skopeo.run_ok(&[&push[..], &[&source, &there]].concat()).await.unwrap();
    stage.origin.assert_serves(REPO, &layout).await;
    stage.api().assert_serves(REPO, &layout).await;
    assert_eq!(pending(&stage).await, 0);
    no_upload_is_left(&stage).await;
}

#[tokio::test]
async fn every_form_of_upload_is_staged() {
    let Some(stage) = Stage::start_with(staged).await else { return };
    hold_back(&stage, Kind::UploadPost);
    let api = stage.api();
    let whole = noise(3, 600_000);
    let call = api.post(&format!("/v2/{REPO}/blobs/uploads/?digest={}", sha256(&whole)));
    assert_eq!(call.bytes(whole.clone()).send().await.unwrap().status, 201);
    let chunked = noise(4, 700_000);
    let location = api.open_upload(REPO).await;
    let (first, last) = chunked.split_at(300_000);
    assert_eq!(api.patch(&location).bytes(first.to_vec()).send().await.unwrap().status, 202);
    assert_eq!(api.end_upload(&location, &sha256(&chunked), last.to_vec()).await.status, 201);
    api.push_blob(REPO, "").await;
    let wrong = api.try_push_blob(REPO, &sha256(b"other"), "wrong").await.unwrap();
    assert_eq!((wrong.status.as_u16(), code(&wrong).as_str()), (400, "DIGEST_INVALID"));
    assert_eq!(pending(&stage).await, 3);
    // From a repository of the same upstream with the blob; with another source the client has to
    // send.
    let mount = async |digest: &str, from: &str| {
        let path = format!("/v2/acme/mounted/blobs/uploads/?mount={digest}&from={from}");
        api.post(&path).send().await.unwrap().status.as_u16()
    };
    assert_eq!(mount(&sha256(&whole), REPO).await, 201);
    assert_eq!(mount(&sha256(&chunked), "acme/nothing").await, 202);
    assert_eq!(api.get_blob("acme/mounted", &sha256(&whole)).await.status, 200);
    assert_ne!(api.get_blob("acme/mounted", &sha256(&chunked)).await.status, 200);
    assert_eq!(pending(&stage).await, 4);
    stage.double.clear_faults();
    all_is_delivered(&stage).await;
    for content in [whole.as_slice(), &chunked, b""] {
        assert_upstream_has(&stage, REPO, content).await;
    }
    assert_upstream_has(&stage, "acme/mounted", &whole).await;
    no_upload_is_left(&stage).await;
}

#[tokio::test]
async fn what_the_upstream_has_is_not_sent_and_what_a_neighbour_has_is_mounted() {
    let Some(stage) = Stage::start_with(staged).await else { return };
    let (known, shared) = (noise(5, 2_000_000), noise(6, 3_000_000));
    stage.origin.push_blob(REPO, known.clone()).await;
    stage.api().push_blob(REPO, known.clone()).await;
    all_is_delivered(&stage).await;
    assert_eq!(stage.double.counts().total(Kind::UploadPost), 0);
    stage.api().push_blob("team/base", shared.clone()).await;
    all_is_delivered(&stage).await;
    let sent = stage.double.counts().upload_bytes();
    assert_eq!(sent, shared.len() as u64);
    // Sent to this proxy once more, and not to the upstream.
    stage.api().push_blob(REPO, shared.clone()).await;
    all_is_delivered(&stage).await;
    assert_upstream_has(&stage, REPO, &shared).await;
    assert_eq!(stage.double.counts().upload_bytes(), sent);
    no_upload_is_left(&stage).await;
}

#[tokio::test]
async fn what_was_answered_survives_a_kill_and_is_delivered_after_it() {
    let Some(mut stage) = Stage::start_with(staged).await else { return };
    let (config, layer) = (b"{}".to_vec(), noise(7, 40 * MIB));
    let put = put_image(stage.api(), "early", &config, &layer).await;
    assert_eq!(code(&put), "MANIFEST_BLOB_UNKNOWN", "{}", put.text());
    let mut left = 0;
    // Before the delivery, and in the middle of it.
    for kind in [Kind::UploadPost, Kind::UploadPut] {
        stage.double.clear_faults();
        hold_back(&stage, kind);
        for content in [&config, &layer] {
            stage.api().push_blob(REPO, content.clone()).await;
        }
        let tried = async || (stage.double.counts().total(kind) > 0).then_some(());
        eventually("a delivery to begin", tried).await;
        stage.wharfd.kill();
        // These expire there: the `wharfd` behind them is dead.
        left = stage.double.open_uploads();
        stage.double.reset_counts();
        stage.wharfd.start_again().await;
        assert_eq!(pending(&stage).await, 2);
        assert!(stage.api().get_blob(REPO, &sha256(&layer)).await.body == layer);
        eventually("a delivery to begin again", tried).await;
    }
    stage.double.clear_faults();
    let put = put_image(stage.api(), "late", &config, &layer).await;
    assert_eq!(put.status, 201, "{}", put.text());
    assert_upstream_has(&stage, REPO, &layer).await;
    assert_eq!(pending(&stage).await, 0);
    // And a start finds everything left by a stop.
    hold_back(&stage, Kind::BlobHead);
    let last = stage.api().push_blob(REPO, "last").await;
    let stopped = stage.wharfd.stop().await;
    assert!(stopped.success(), "{}", stage.wharfd.log());
    stage.double.clear_faults();
    stage.wharfd.start_again().await;
    all_is_delivered(&stage).await;
    assert_eq!(stage.origin.head_blob(REPO, &last).await.status, 200);
    let closed = async || (stage.double.open_uploads() <= left).then_some(());
    eventually("every upload of the living to be over", closed).await;
}

#[tokio::test]
async fn an_outage_is_429_at_the_manifest_and_the_retry_goes_on_from_there() {
    let Some(stage) = Stage::start_with(staged).await else { return };
    let (config, layer) = (b"{}".to_vec(), noise(8, 12 * MIB));
    for content in [&config, &layer] {
        stage.api().push_blob(REPO, content.clone()).await;
    }
    all_is_delivered(&stage).await;
    hold_back(&stage, Kind::UploadPost);
    let other = noise(9, 12 * MIB);
    stage.api().push_blob(REPO, other.clone()).await;
    let refused = put_image(stage.api(), "v1", &config, &other).await;
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
    assert!(message(&refused).contains("1 blobs of this manifest"), "{}", refused.text());
    assert_eq!(stage.origin.get_manifest(REPO, "v1").await.status, 404);
    assert_ne!(stage.api().get_manifest(REPO, "v1").await.status, 200);
    assert!(stage.wharfd.metric("wharfd_delivery_failures_total").await > 0);
    // A push independent of the outbox is not held up.
    assert_eq!(put_image(stage.api(), "whole", &config, &layer).await.status, 201);
    stage.double.clear_faults();
    let put = put_image(stage.api(), "v1", &config, &other).await;
    assert_eq!(put.status, 201, "{}", put.text());
    assert_upstream_has(&stage, REPO, &other).await;
    no_upload_is_left(&stage).await;
}

#[tokio::test]
async fn a_manifest_waits_out_a_short_outage() {
    let Some(stage) = Stage::start_with(staged).await else { return };
    let (config, layer) = (b"{}".to_vec(), noise(10, 3 * MIB));
    let fault = Fault::TooManyRequests { retry_after_s: 1 };
    stage.double.set_fault(FaultRule::next(Kind::UploadPost, fault).times(3));
    let reset = Fault::Reset { after: 1_000_000 };
    stage.double.set_fault(FaultRule::next(Kind::UploadPatch, reset).times(2));
    for content in [&config, &layer] {
        stage.api().push_blob(REPO, content.clone()).await;
    }
    let put = put_image(stage.api(), "v1", &config, &layer).await;
    assert_eq!(put.status, 201, "{}", put.text());
    assert_upstream_has(&stage, REPO, &layer).await;
    no_upload_is_left(&stage).await;
}

#[tokio::test]
async fn what_waits_is_not_evicted_and_has_a_bound() {
    let lines = "store_limit = \"256MiB\"\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let start = Stage::start_with(|setup| staged(setup).lines(lines)).await;
    let Some(stage) = start else { return };
    hold_back(&stage, Kind::UploadPost);
    let waiting = noise(11, 60 * MIB);
    let digest = stage.api().push_blob(REPO, waiting.clone()).await;
    for seed in 100..115 {
        let cached = stage.origin.push_blob(REPO, noise(seed, 20 * MIB)).await;
        assert_eq!(stage.api().get_blob(REPO, &cached).await.status, 200);
        stage.wharfd.fills_are_over().await;
    }
    assert!(stage.wharfd.metric("wharfd_store_evicted_blobs_total").await > 0);
    assert_eq!(stage.wharfd.store_command("evict", &["--down-to", "0"]).await.code, 0);
    let here = stage.api().get_blob(REPO, &digest).await;
    assert!(here.header("wharf-cache") == "hit" && here.body == waiting, "{}", here.status);
    // Half of the store's limit is 128 MiB, and one party may have half of it.
    let third = noise(13, 60 * MIB);
    let full = stage.api().try_push_blob(REPO, &sha256(&third), third.clone()).await.unwrap();
    assert_eq!(full.status, 507, "{}", full.text());
    assert!(message(&full).contains("of one party wait for their upstream"), "{}", full.text());
    for (seed, client) in [(12, "10.0.0.2"), (14, "10.0.0.3")] {
        let pushed = parties::push(&stage, client, noise(seed, 30 * MIB)).await;
        assert_eq!(pushed.status, 201, "{}", pushed.text());
    }
    let full = parties::push(&stage, "10.0.0.4", noise(15, 30 * MIB)).await;
    assert_eq!(full.status, 507, "{}", full.text());
    assert!(message(&full).contains("wait for their upstream"), "{}", full.text());
    assert_eq!(pending(&stage).await, 3);
    stage.double.clear_faults();
    all_is_delivered(&stage).await;
    stage.api().push_blob(REPO, third.clone()).await;
    all_is_delivered(&stage).await;
    assert_upstream_has(&stage, REPO, &waiting).await;
    assert_upstream_has(&stage, REPO, &third).await;
    no_upload_is_left(&stage).await;
}

#[tokio::test]
async fn a_blob_that_is_deleted_while_it_waits_is_not_delivered() {
    let Some(stage) = Stage::start_with(staged).await else { return };
    let content = noise(14, 9 * MIB);
    // In the middle of being sent: the end of the upload hangs until this test lets it go.
    stage.double.set_fault(FaultRule::next(Kind::UploadPatch, Fault::Stall { after: 1_000_000 }));
    let digest = stage.api().push_blob(REPO, content).await;
    let stalled = async || (stage.double.held() > 0).then_some(());
    eventually("the chunk to stall", stalled).await;
    let path = format!("/v2/{REPO}/blobs/{digest}");
    assert_eq!(stage.api().delete(&path).await.status, 202);
    assert_eq!(pending(&stage).await, 0);
    assert_eq!(stage.api().get(&path).await.status, 404);
    assert_eq!(stage.api().delete(&path).await.status, 404);
    stage.double.release();
    stage.api().push_blob(REPO, "after").await;
    all_is_delivered(&stage).await;
    assert_eq!(stage.origin.head_blob(REPO, &digest).await.status, 404);
    assert_eq!(stage.double.counts().total(Kind::UploadPut), 1);
    let over = async || (stage.double.open_uploads() == 0).then_some(());
    eventually("the upload that was stopped to be given up there", over).await;
    no_upload_is_left(&stage).await;
}

#[tokio::test]
async fn what_another_try_mends_is_no_refusal() {
    let start = Stage::start_with(|mut setup| {
        setup.double.habits.patch_bytes_max = Some(3 * 1024 * 1024);
        staged(setup)
    });
    let Some(stage) = start.await else { return };
    let lost = Fault::Status { code: 404, retry_after_s: None };
    stage.double.set_fault(FaultRule::next(Kind::UploadPatch, lost));
    let (config, layer) = (noise(15, 1_000), noise(16, 12 * MIB));
    stage.api().push_blob(REPO, config.clone()).await;
    stage.api().push_blob(REPO, layer.clone()).await;
    let put = put_image(stage.api(), "v1", &config, &layer).await;
    assert_eq!(put.status, 201, "{}", put.text());
    assert!(stage.double.counts().answered(Kind::UploadPatch, 413) > 0);
    assert!(stage.double.waiting_faults().is_empty());
    assert_upstream_has(&stage, REPO, &layer).await;
    no_upload_is_left(&stage).await;
}
