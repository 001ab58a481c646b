//! Writes through `wharfd`: a 201 means the content is at the upstream. The upstream's temporary
//! faults do not reach the client; its refusals do.

mod faults;
mod lasting;
mod purged;
mod sparing;
mod storm;

use serde_json::json;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use wharf_double::{Fault, FaultRule, Kind};
use wharf_testkit::images::{Layout, Recipe, sha256};

use crate::fixture::{Setup, Stage, code, eventually, message, noise};

const REPO: &str = "acme/web";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

fn image(seed: u64) -> (TempDir, Layout) {
    let folder = TempDir::new().unwrap();
    let recipe = Recipe::new(seed, &[2_000, 700_000]).architectures(&["amd64", "arm64"]);
    let layout = recipe.write(folder.path(), "v1").unwrap();
    (folder, layout)
}

/// The upstream has exactly these bytes.
async fn assert_upstream_has(stage: &Stage, digest: &str, content: &[u8]) {
    let there = stage.origin.get_blob(REPO, digest).await;
    assert!(there.status == 200 && there.body == content, "{digest}: {}", there.status);
}

#[tokio::test]
async fn what_was_answered_201_is_at_the_upstream_at_that_moment() {
    let Some(stage) = Stage::start().await else { return };
    let (_folder, layout) = image(1);
    for blob in layout.content() {
        let content = stage.api().push_blob(REPO, layout.read(blob).unwrap()).await;
        assert_eq!(stage.origin.head_blob(REPO, &content).await.status, 200);
    }
    for image in &layout.images {
        let (reference, content) = (&image.manifest.digest, layout.read(&image.manifest).unwrap());
        let put = stage.api().put_manifest(REPO, reference, MANIFEST_TYPE, content.clone()).await;
        assert_eq!(put.status, 201, "{}", put.text());
        assert_eq!(put.header("docker-content-digest"), reference);
        assert_eq!(stage.origin.get_manifest(REPO, reference).await.body, content);
    }
    let content = layout.read(&layout.top).unwrap();
    let path = "v1?tag=latest&tag=stable";
    let put = stage.api().put_manifest(REPO, path, layout.top.media_type, content).await;
    assert_eq!(put.status, 201, "{}", put.text());
    for tag in ["v1", "latest", "stable"] {
        let there = stage.origin.head_manifest(REPO, tag).await;
        assert_eq!(there.header("docker-content-digest"), layout.top.digest, "{tag}");
    }
    stage.origin.assert_serves(REPO, &layout).await;
    // And it is here: pulling it back asks the upstream for no content.
    stage.api().assert_serves(REPO, &layout).await;
    assert_eq!(stage.double.counts().storage_bytes(), 0);
    assert_eq!(stage.double.counts().total(Kind::ManifestGet), 0);
}

#[tokio::test]
async fn content_goes_up_while_it_comes_in() {
    let Some(stage) = Stage::start().await else { return };
    let content = noise(2, 24 * 1024 * 1024);
    let digest = sha256(&content);
    let location = stage.api().open_upload(REPO).await;
    let head = format!(
        "PATCH {location} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n\r\n",
        stage.wharfd.host(),
        content.len()
    );
    let mut client = tokio::net::TcpStream::connect(stage.wharfd.host()).await.unwrap();
    client.write_all(head.as_bytes()).await.unwrap();
    let (first, last) = content.split_at(18 * 1024 * 1024);
    client.write_all(first).await.unwrap();
    // Two chunks of 8 MiB are at the upstream before the client has sent its last byte.
    eventually("the first chunks at the upstream", async || {
        (stage.double.counts().upload_bytes() >= 16 * 1024 * 1024).then_some(())
    })
    .await;
    client.write_all(last).await.unwrap();
    eventually("the end of the chunk", async || {
        let status = stage.api().get(&location).await;
        (status.header("range") == format!("0-{}", content.len() - 1)).then_some(())
    })
    .await;
    let ended = stage.api().end_upload(&location, &digest, "").await;
    assert_eq!(ended.status, 201, "{}", ended.text());
    assert_upstream_has(&stage, &digest, &content).await;
    assert_eq!(stage.double.counts().upload_bytes(), content.len() as u64);
}

#[tokio::test]
async fn an_upload_that_the_client_resumes_is_whole_at_the_upstream() {
    let Some(stage) = Stage::start().await else { return };
    let content = noise(3, 12_000_000);
    let digest = sha256(&content);
    let location = stage.api().open_upload(REPO).await;
    let head = format!(
        "PATCH {location} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n\r\n",
        stage.wharfd.host(),
        content.len()
    );
    let mut client = tokio::net::TcpStream::connect(stage.wharfd.host()).await.unwrap();
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&content[..10_000_000]).await.unwrap();
    stage.wharfd.metric_reaches("wharfd_received_bytes_total", 10_000_000).await;
    drop(client);
    let range = format!("10000000-{}", content.len() - 1);
    let resume = async || {
        let call = stage.api().patch(&location).header("content-range", &range);
        let answer = call.bytes(content[10_000_000..].to_vec()).send().await.unwrap();
        // Until the broken request is noticed, the session belongs to it.
        (answer.status != 409).then_some(answer)
    };
    let resumed = eventually("the broken request to be over", resume).await;
    assert_eq!(resumed.status, 202, "{}", resumed.text());
    let ended = stage.api().end_upload(&location, &digest, "").await;
    assert_eq!(ended.status, 201, "{}", ended.text());
    assert_upstream_has(&stage, &digest, &content).await;
}

#[tokio::test]
async fn an_empty_blob_and_sha512_go_through() {
    let Some(stage) = Stage::start().await else { return };
    let empty = stage.api().push_blob(REPO, "").await;
    assert_upstream_has(&stage, &empty, b"").await;
    let content = noise(4, 600_000);
    let whole = stage.api().post(&format!("/v2/{REPO}/blobs/uploads/?digest={}", sha256(&content)));
    assert_eq!(whole.bytes(content.clone()).send().await.unwrap().status, 201);
    assert_upstream_has(&stage, &sha256(&content), &content).await;
    let digest = wharf_oci::Digester::digest(wharf_oci::Algorithm::Sha512, &content).to_string();
    let pushed = stage.api().try_push_blob(REPO, &digest, content.clone()).await.unwrap();
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    assert_upstream_has(&stage, &digest, &content).await;
}

#[tokio::test]
async fn an_upload_is_announced_and_cut_as_the_upstream_wants_it() {
    let start = Stage::start_with(|mut setup| {
        setup.double.habits.strict_algorithm = true;
        // More than the first size of a chunk.
        setup.double.habits.chunk_bytes_min = Some(12 * 1024 * 1024);
        setup
    });
    let Some(stage) = start.await else { return };
    let uploads = format!("/v2/{REPO}/blobs/uploads/");
    let sha512 = |content: &[u8]| {
        wharf_oci::Digester::digest(wharf_oci::Algorithm::Sha512, content).to_string()
    };
    let content = noise(20, 600_000);
    let opened = stage.api().post(&format!("{uploads}?digest-algorithm=sha512")).send().await;
    let location = opened.unwrap().header("location").to_owned();
    let ended = stage.api().end_upload(&location, &sha512(&content), content.clone()).await;
    assert_eq!(ended.status, 201, "{}", ended.text());
    assert_upstream_has(&stage, &sha512(&content), &content).await;
    let content = noise(21, 600_000);
    let whole = stage.api().post(&format!("{uploads}?digest={}", sha512(&content)));
    assert_eq!(whole.bytes(content.clone()).send().await.unwrap().status, 201);
    assert_upstream_has(&stage, &sha512(&content), &content).await;
    // One chunk refused as too large does not make the next one too short.
    let too_large = Fault::Status { code: 413, retry_after_s: None };
    stage.double.set_fault(FaultRule::next(Kind::UploadPatch, too_large).after(1));
    let content = noise(22, 40 * 1024 * 1024);
    let digest = stage.api().push_blob(REPO, content.clone()).await;
    assert!(stage.double.waiting_faults().is_empty());
    assert_upstream_has(&stage, &digest, &content).await;
}

#[tokio::test]
async fn content_that_is_not_its_digest_is_refused_and_the_upstream_has_nothing() {
    let Some(stage) = Stage::start().await else { return };
    for (seed, bytes) in [(5, 100), (6, 10_000_000)] {
        let content = noise(seed, bytes);
        let (digest, wrong) = (sha256(&content), sha256(b"something else"));
        let refused = stage.api().try_push_blob(REPO, &wrong, content).await.unwrap();
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (400, "DIGEST_INVALID"));
        for digest in [&digest, &wrong] {
            assert_eq!(stage.origin.head_blob(REPO, digest).await.status, 404);
            assert_eq!(stage.api().head_blob(REPO, digest).await.status, 404);
        }
    }
    // The sessions at the upstream are given back.
    let cancelled = async || (stage.double.counts().total(Kind::UploadCancel) == 2).then_some(());
    eventually("both upstream uploads to be cancelled", cancelled).await;
}

#[tokio::test]
async fn a_cancelled_upload_is_cancelled_at_the_upstream_too() {
    let Some(stage) = Stage::start().await else { return };
    let location = stage.api().open_upload(REPO).await;
    stage.api().patch(&location).bytes(noise(7, 1_000_000)).send().await.unwrap();
    assert_eq!(stage.api().delete(&location).await.status, 204);
    let cancelled = async || {
        let counts = stage.double.counts();
        (counts.answered(Kind::UploadCancel, 204) == 1).then_some(())
    };
    eventually("the upstream upload to be cancelled", cancelled).await;
}

/// docker-registry answers 201 to a mount of a digest other than SHA-256, and has lost the blob
/// then.
#[tokio::test]
async fn a_mount_of_sha512_loses_nothing_and_its_bytes_can_be_sent() {
    let Some(stage) = Stage::start().await else { return };
    let content = noise(23, 600_000);
    let digest = wharf_oci::Digester::digest(wharf_oci::Algorithm::Sha512, &content).to_string();
    let mount = format!("/v2/{REPO}/blobs/uploads/?mount={digest}&from=team/staging");
    let pushed = stage.api().try_push_blob("team/staging", &digest, content.clone()).await.unwrap();
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let mounted = stage.api().post(&mount).send().await.unwrap();
    assert_eq!(mounted.status, 202, "{}", mounted.text());
    let location = mounted.header("location");
    let ended = stage.api().end_upload(location, &digest, content.clone()).await;
    assert_eq!(ended.status, 201, "{}", ended.text());
    assert_upstream_has(&stage, &digest, &content).await;
    // A repeated mount of an existing blob asks for no upload.
    let again = stage.api().post(&mount).send().await.unwrap();
    assert_eq!(again.status, 201, "{}", again.text());
    assert_upstream_has(&stage, &digest, &content).await;
}

#[tokio::test]
async fn a_blob_is_mounted_at_the_upstream_without_sending_it() {
    let Some(stage) = Stage::start().await else { return };
    let content = noise(8, 500_000);
    let digest = stage.api().push_blob("team/staging", content.clone()).await;
    let sent = stage.double.counts().upload_bytes();
    let mount = |from: &str| format!("/v2/{REPO}/blobs/uploads/?mount={digest}&from={from}");
    let mounted = stage.api().post(&mount("team/staging")).send().await.unwrap();
    assert_eq!(mounted.status, 201, "{}", mounted.text());
    assert_eq!(mounted.header("location"), format!("/v2/{REPO}/blobs/{digest}"));
    assert_eq!(mounted.header("docker-content-digest"), digest);
    assert_upstream_has(&stage, &digest, &content).await;
    assert!(stage.api().get_blob(REPO, &digest).await.body == content);
    assert_eq!(stage.double.counts().upload_bytes(), sent);

    let absent = sha256(b"nobody has this");
    let path = format!("/v2/{REPO}/blobs/uploads/?mount={absent}&from=team/staging");
    let session = stage.api().post(&path).send().await.unwrap();
    assert_eq!(session.status, 202);
    let location = session.header("location").to_owned();
    let ended = stage.api().end_upload(&location, &absent, "nobody has this").await;
    assert_eq!(ended.status, 201, "{}", ended.text());
    assert_upstream_has(&stage, &absent, b"nobody has this").await;
}

#[tokio::test]
async fn an_upstream_that_only_lets_us_read_refuses_a_push_at_once() {
    let Some(stage) = Stage::start_with(Setup::read_only).await else { return };
    let there = stage.origin.push_blob(REPO, "there").await;
    assert_eq!(stage.api().get_blob(REPO, &there).await.body, "there");
    let upload = format!("/v2/{REPO}/blobs/uploads/");
    let manifest = json!({
        "schemaVersion": 2, "layers": [],
        "config": { "mediaType": "application/json", "digest": there, "size": 5 },
    });
    let manifest = manifest.to_string();
    let refusals = [
        stage.api().post(&upload).send().await.unwrap(),
        stage.api().post(&format!("{upload}?mount={there}&from={REPO}")).send().await.unwrap(),
        stage.api().put_manifest(REPO, "v1", MANIFEST_TYPE, manifest).await,
        stage.api().delete(&format!("/v2/{REPO}/blobs/{there}")).await,
    ];
    for refused in refusals {
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (403, "DENIED"));
        assert!(message(&refused).contains("credentials that it was shown"), "{}", refused.text());
    }
    assert_eq!(stage.double.counts().upload_bytes(), 0);
    assert_eq!(stage.api().get_manifest(REPO, "v1").await.status, 404);
    assert_eq!(stage.origin.get_blob(REPO, &there).await.body, "there");
}

#[tokio::test]
async fn a_manifest_that_the_upstream_refuses_is_not_kept_here() {
    let Some(stage) = Stage::start().await else { return };
    let config = stage.api().push_blob(REPO, "{}").await;
    let absent = sha256(b"nobody has this");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE,
        "config": { "mediaType": "application/json", "digest": config, "size": 2 },
        "layers": [{ "mediaType": "application/x", "digest": absent, "size": 15 }],
    });
    let manifest = manifest.to_string();
    let refused = stage.api().put_manifest(REPO, "v1", MANIFEST_TYPE, manifest.clone()).await;
    assert!(refused.status.is_client_error(), "{}", refused.status);
    assert_eq!(code(&refused), "MANIFEST_BLOB_UNKNOWN", "{}", refused.text());
    for reference in ["v1", &sha256(manifest.as_bytes())] {
        assert_eq!(stage.api().get_manifest(REPO, reference).await.status, 404, "{reference}");
        assert_eq!(stage.origin.get_manifest(REPO, reference).await.status, 404, "{reference}");
    }
}

#[tokio::test]
async fn deletes_reach_the_upstream_and_are_over_here_too() {
    let Some(stage) = Stage::start().await else { return };
    let (_folder, layout) = image(9);
    stage.api().push_layout(REPO, &layout).await;
    let manifest = &layout.images[0].manifest.digest;
    let blob = &layout.images[0].layers[1].blob.digest;
    for path in [format!("manifests/{manifest}"), format!("blobs/{blob}")] {
        let path = format!("/v2/{REPO}/{path}");
        assert_eq!(stage.api().delete(&path).await.status, 202, "{path}");
        assert_eq!(stage.origin.get(&path).await.status, 404, "{path}");
        assert_eq!(stage.api().get(&path).await.status, 404, "{path}");
        assert_eq!(stage.api().delete(&path).await.status, 404, "{path}");
    }
}
