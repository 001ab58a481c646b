//! Requests held before a refusal: `wharfd` waits through an outage longer than a few tries, keeps
//! the begun work of a departed client, and holds no request for ever.

use std::time::Duration;

use tokio::task::JoinSet;
use wharf_double::{Fault, FaultRule, Kind};
use wharf_testkit::handmade::MANIFEST_TYPE as MANIFEST;
use wharf_testkit::http::Answer;
use wharf_testkit::images::sha256;

use crate::fixture::{Stage, eventually, noise};

const REPO: &str = "acme/web";
const OUT: Fault = Fault::Status { code: 503, retry_after_s: None };
/// Longer than the few tries without a hold.
const OUTAGE: Duration = Duration::from_secs(6);
const LONG: Duration = Duration::from_hours(1);

/// A stage with held requests, and one image at its upstream.
async fn stage() -> Option<(Stage, String)> {
    stage_with("").await
}

async fn stage_with(lines: &'static str) -> Option<(Stage, String)> {
    let stage = Stage::start_with(|setup| setup.holding().tag_ttl(0).lines(lines)).await?;
    let digest = stage.origin.push_blob(REPO, noise(1, 10_000)).await;
    let manifest = manifest(&digest);
    let put = stage.origin.put_manifest(REPO, "v1", MANIFEST, manifest).await;
    assert_eq!(put.status, 201, "{}", put.text());
    Some((stage, digest))
}

/// A manifest of one blob, also used as the configuration.
fn manifest(digest: &str) -> String {
    let descriptor = |media_type: &str| serde_json::json!({ "mediaType": media_type, "digest": digest, "size": 10_000 });
    serde_json::json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json"),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip")],
    })
    .to_string()
}

async fn held(stage: &Stage, count: u64) {
    let name = "wharfd_held_requests";
    let found = async || (stage.wharfd.metric(name).await == count).then_some(());
    eventually(&format!("{count} held requests"), found).await;
}

/// Asks for these tags while the upstream is out, until all of them up to the last are held.
async fn ask_in_vain(stage: &Stage, tags: std::ops::Range<u64>) -> JoinSet<Answer> {
    stage.double.set_fault(FaultRule::next(Kind::ManifestGet, OUT).during(LONG));
    stage.double.set_fault(FaultRule::next(Kind::ManifestHead, OUT).during(LONG));
    let (mut asking, count) = (JoinSet::new(), tags.end);
    for number in tags {
        let api = stage.api().clone();
        asking.spawn(async move { api.get_manifest(REPO, &format!("v{number}")).await });
    }
    held(stage, count).await;
    asking
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_and_the_begin_of_an_upload_outlast_an_outage() {
    let Some((stage, digest)) = stage().await else { return };
    let everything = FaultRule { kind: None, ..FaultRule::next(Kind::Other, OUT) };
    stage.double.set_fault(everything.during(OUTAGE));
    let api = stage.api();
    let opened = async {
        let path = format!("/v2/{REPO}/blobs/uploads/");
        api.post(&path).send().await.unwrap()
    };
    let (blob, by_tag, head, opened) = tokio::join!(
        api.get_blob(REPO, &digest),
        api.get_manifest(REPO, "v1"),
        api.head_manifest(REPO, "v1"),
        opened,
    );
    let statuses = [&blob, &by_tag, &head, &opened].map(|answer| answer.status.as_u16());
    assert_eq!(statuses, [200, 200, 200, 202], "{}", blob.text());
    held(&stage, 0).await;
    let metrics = stage.wharfd.metrics().await;
    let answered = "wharfd_holds_total{agent=\"other\",outcome=\"answered\"}";
    assert!(metrics.contains(answered), "{metrics}");
    assert!(stage.wharfd.log().contains("held_ms="), "{}", stage.wharfd.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_ends_its_hold() {
    let Some((stage, _)) = stage().await else { return };
    let mut asking = ask_in_vain(&stage, 0..8).await;
    asking.shutdown().await;
    held(&stage, 0).await;
    let left = "wharfd_holds_total{agent=\"other\",outcome=\"left\"}";
    assert_eq!(stage.wharfd.metric(left).await, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_answers_all_that_are_held() {
    let Some((mut stage, _)) = stage().await else { return };
    let asking = ask_in_vain(&stage, 0..8).await;
    assert!(stage.wharfd.stop().await.success());
    for answer in asking.join_all().await {
        assert_eq!(answer.status, 429, "{}", answer.text());
        assert_eq!(answer.header("retry-after"), "1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_held_requests_take_little_memory() {
    let lines = "[limits]\nconnections_per_address = 600\n";
    let Some((stage, _)) = stage_with(lines).await else { return };
    // The memory for the first of them does not count.
    let mut first = ask_in_vain(&stage, 0..1).await;
    let before = stage.wharfd.memory_bytes();
    let mut asking = ask_in_vain(&stage, 1..512).await;
    let taken = stage.wharfd.memory_bytes().saturating_sub(before);
    assert!(taken < 32 << 20, "{} KiB", taken >> 10);
    // The limit of one party is reached; the next request is refused at once.
    let refused = stage.api().get_manifest(REPO, "v1").await;
    assert_eq!(refused.status, 429, "{}", refused.text());
    let crowded = "wharfd_holds_total{agent=\"other\",outcome=\"crowded\"}";
    assert_eq!(stage.wharfd.metric(crowded).await, 1);
    asking.shutdown().await;
    first.shutdown().await;
    held(&stage, 0).await;
}

/// A complete upload before its closing PUT; returns its location.
async fn uploaded(stage: &Stage, content: &[u8]) -> String {
    let location = stage.api().open_upload(REPO).await;
    let sent = stage.api().patch(&location).bytes(content.to_vec()).send().await.unwrap();
    assert_eq!(sent.status, 202, "{}", sent.text());
    location
}

/// Ends an upload in a task.
fn ending(stage: &Stage, location: &str, digest: &str) -> tokio::task::JoinHandle<Answer> {
    let (api, location, digest) = (stage.api().clone(), location.to_owned(), digest.to_owned());
    tokio::spawn(async move { api.end_upload(&location, &digest, "").await })
}

async fn hangs(stage: &Stage) {
    let hangs = async || (stage.double.held() == 1).then_some(());
    eventually("the upstream to hang", hangs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_end_of_an_upload_waits_for_the_first_and_finds_it_later() {
    let Some((stage, _)) = stage().await else { return };
    let content = noise(2, 100_000);
    let (digest, location) = (sha256(&content), uploaded(&stage, &content).await);
    stage.double.set_fault(FaultRule::next(Kind::UploadPut, Fault::Hang));
    let first = ending(&stage, &location, &digest);
    hangs(&stage).await;
    // Its client has no more patience, and asks again.
    first.abort();
    let second = ending(&stage, &location, &digest);
    let third = ending(&stage, &location, &digest);
    let other = stage.api().end_upload(&location, &sha256(b"other"), "").await;
    assert_eq!(other.status, 409, "{}", other.text());
    stage.double.release();
    for end in [second, third] {
        let ended = end.await.unwrap();
        assert_eq!(ended.status, 201, "{}", ended.text());
    }
    let later = stage.api().end_upload(&location, &digest, "").await;
    assert_eq!((later.status.as_u16(), later.header("docker-content-digest")), (201, &*digest));
    assert_eq!(stage.double.counts().answered(Kind::UploadPut, 201), 1);
    let gone = stage.api().end_upload(&location, &sha256(b"other"), "").await;
    assert_eq!(gone.status, 404, "{}", gone.text());
    assert_eq!(stage.origin.get_blob(REPO, &digest).await.body, content);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_put_of_a_manifest_waits_for_the_first_and_finds_it_later() {
    let Some((stage, digest)) = stage().await else { return };
    let manifest = manifest(&digest);
    let put = |tag: &str| {
        let (api, tag, manifest) = (stage.api().clone(), tag.to_owned(), manifest.clone());
        tokio::spawn(async move { api.put_manifest(REPO, &tag, MANIFEST, manifest).await })
    };
    stage.double.set_fault(FaultRule::next(Kind::ManifestPut, Fault::Hang));
    let first = put("v2");
    hangs(&stage).await;
    first.abort();
    let second = put("v2");
    stage.double.release();
    let done = second.await.unwrap();
    assert_eq!(done.status, 201, "{}", done.text());
    assert_eq!(stage.double.counts().answered(Kind::ManifestPut, 201), 1);

    stage.double.set_fault(FaultRule::next(Kind::ManifestPut, Fault::Hang));
    let alone = put("v3");
    hangs(&stage).await;
    alone.abort();
    stage.double.release();
    let kept = async || {
        let log = stage.wharfd.api.get_manifest(REPO, "v3").await;
        (log.status == 200).then_some(())
    };
    eventually("the put that nobody waits for", kept).await;
    let found = put("v3").await.unwrap();
    assert_eq!(found.status, 201, "{}", found.text());
    assert_eq!(stage.double.counts().answered(Kind::ManifestPut, 201), 2);
    // It was found once; then it is put like any other.
    assert_eq!(put("v3").await.unwrap().status, 201);
    assert_eq!(stage.double.counts().answered(Kind::ManifestPut, 201), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_not_lost_when_its_put_is_tried_again() {
    let Some((stage, digest)) = stage().await else { return };
    let busy = Fault::TooManyRequests { retry_after_s: 1 };
    stage.double.set_fault(FaultRule::next(Kind::ManifestPut, busy).during(OUTAGE));
    let put = stage.api().put_manifest(REPO, "v2", MANIFEST, manifest(&digest)).await;
    assert_eq!(put.status, 201, "{}", put.text());
    let there = stage.origin.get_manifest(REPO, "v2").await;
    assert_eq!(there.text(), manifest(&digest));
    // However often it was tried, it is one change.
    let log = stage.wharfd.log();
    let pushes: Vec<_> = log.lines().filter(|line| line.contains("audit=\"push\"")).collect();
    assert!(pushes.len() == 1 && pushes[0].contains("result=\"done\""), "{pushes:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_try_would_not_mend_is_said_at_once() {
    let Some((stage, _)) = stage().await else { return };
    let absent = sha256(b"absent");
    let answers = [
        stage.api().get_blob(REPO, &absent).await,
        stage.api().get_manifest(REPO, "absent").await,
        stage.api().put_manifest(REPO, "v2", MANIFEST, manifest(&absent)).await,
    ];
    assert_eq!(answers.map(|answer| answer.status.as_u16()), [404, 404, 404]);
    let metrics = stage.wharfd.metrics().await;
    let mut holds = metrics.lines().filter(|line| line.starts_with("wharfd_holds_total{"));
    assert!(holds.all(|line| line.ends_with(" 0")), "{metrics}");
}
