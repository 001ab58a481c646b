//! Each fault has its effect, for the ordered number of times, and no other effect.

use bytes::Bytes;
use serde_json::json;
use wharf_double::{Fault, FaultRule, Kind};
use wharf_testkit::http::BrokenBody;
use wharf_testkit::images::sha256;

use super::{REPOSITORY, Stage, code};

const CONTENT: &[u8] = b"0123456789";

/// A planted blob, a token for it, and one fault on its bytes.
async fn with_fault(fault: Fault) -> Option<(Stage, String, String)> {
    let stage = Stage::start().await?;
    let digest = stage.plant(CONTENT).await;
    let token = stage.pull_token().await;
    stage.double.set_fault(FaultRule::next(Kind::StorageGet, fault).of_digest(&digest));
    Some((stage, token, digest))
}

/// After its fault the double tells the truth again.
async fn assert_whole(stage: &Stage, token: &str, digest: &str) {
    let answer = stage.fetch(token, digest).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, CONTENT));
    assert!(stage.double.waiting_faults().is_empty());
}

#[tokio::test]
async fn wrong_bytes_have_the_right_size() {
    let Some((stage, token, digest)) = with_fault(Fault::WrongBytes).await else {
        return;
    };
    let lie = stage.fetch(&token, &digest).await.unwrap();
    assert_eq!((lie.status.as_u16(), lie.header("content-length")), (200, "10"));
    assert_eq!(lie.body.len(), CONTENT.len());
    assert_ne!(sha256(&lie.body), digest);
    assert_whole(&stage, &token, &digest).await;
}

#[tokio::test]
async fn a_short_body_is_whole_to_http() {
    let Some((stage, token, digest)) = with_fault(Fault::ShortBody { bytes: 3 }).await else {
        return;
    };
    let short = stage.fetch(&token, &digest).await.unwrap();
    assert_eq!((short.header("content-length"), &short.body[..]), ("7", &CONTENT[..7]));
    assert_whole(&stage, &token, &digest).await;
}

#[tokio::test]
async fn a_long_body_is_whole_to_http() {
    let bytes = 100_000;
    let Some((stage, token, digest)) = with_fault(Fault::LongBody { bytes }).await else {
        return;
    };
    let long = stage.fetch(&token, &digest).await.unwrap();
    assert_eq!(long.header("content-length"), "100010");
    assert_eq!(long.body.len(), 100_010);
    assert_eq!(&long.body[..10], CONTENT);
    assert_whole(&stage, &token, &digest).await;
}

#[tokio::test]
async fn a_cut_and_a_reset_body_break_after_their_bytes() {
    for (fault, reset) in [(Fault::CutBody { after: 4 }, false), (Fault::Reset { after: 4 }, true)]
    {
        let Some((stage, token, digest)) = with_fault(fault).await else {
            return;
        };
        let link = stage.link(&token, &digest).await;
        let error = stage.client.get(link).send().await.unwrap_err();
        let broken: &BrokenBody = error.downcast_ref().unwrap();
        assert_eq!(broken.received, CONTENT[..4], "{fault:?}");
        let was_reset = format!("{:?}", broken.source).contains("ConnectionReset");
        assert_eq!(was_reset, reset, "{fault:?}: {:?}", broken.source);
        assert_whole(&stage, &token, &digest).await;
    }
}

#[tokio::test]
async fn throttling_and_unavailability_last_as_long_as_ordered() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let digest = stage.plant(CONTENT).await;
    let token = stage.pull_token().await;
    let throttle = Fault::TooManyRequests { retry_after_s: 7 };
    for kind in [Kind::BlobGet, Kind::StorageGet, Kind::Token] {
        stage.double.set_fault(FaultRule::next(kind, throttle).times(2));
    }
    let url = stage.url(&format!("/v2/{REPOSITORY}/blobs/{digest}"));
    for _ in 0..2 {
        let answer = stage.client.get(&url).bearer(&token).send().await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, "7"));
        assert_eq!(code(&answer), "TOOMANYREQUESTS");
    }
    for _ in 0..2 {
        let answer = stage.fetch(&token, &digest).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, "7"));
    }
    for _ in 0..2 {
        assert_eq!(stage.token_answer(super::USER, super::PASSWORD, &[]).await.status, 429);
    }
    assert_whole(&stage, &token, &digest).await;
    stage.double.set_fault(FaultRule::next(Kind::BlobGet, Fault::Unavailable));
    assert_eq!(stage.client.get(&url).bearer(&token).send().await.unwrap().status, 503);
    stage.double.set_fault(FaultRule::next(Kind::StorageGet, Fault::Unavailable));
    assert_eq!(stage.fetch(&token, &digest).await.unwrap().status, 503);
    assert_whole(&stage, &token, &digest).await;
    assert_eq!(stage.double.counts().answered(Kind::BlobGet, 429), 2);
}

#[tokio::test]
async fn a_reset_upload_leaves_the_upload_as_it_was() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let token = stage.push_token().await;
    let url = stage.url(&format!("/v2/{REPOSITORY}/blobs/uploads/"));
    let started = stage.client.post(url).bearer(&token).send().await.unwrap();
    let location = stage.url(started.header("location"));
    stage.double.set_fault(FaultRule::next(Kind::UploadPatch, Fault::Reset { after: 4 }));
    let broken = stage.client.patch(&location).bearer(&token).bytes(CONTENT).send().await;
    assert!(broken.is_err(), "{broken:?}");
    let status = stage.client.get(&location).bearer(&token).send().await.unwrap();
    assert_eq!(status.status, 204, "{}", status.text());
    let location = stage.url(status.header("location"));
    let again = stage.client.patch(location).bearer(&token).bytes(CONTENT).send().await.unwrap();
    assert_eq!((again.status.as_u16(), again.header("range")), (202, "0-9"));
    let counts = stage.double.counts();
    assert_eq!(counts.answered(Kind::UploadPatch, 0), 1);
    assert_eq!(counts.answered(Kind::UploadPatch, 202), 1);
    assert_eq!(counts.upload_bytes(), 10);
}

#[tokio::test]
async fn faults_come_after_credentials_and_hit_the_nth_request() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let digest = stage.plant(CONTENT).await;
    let token = stage.pull_token().await;
    stage.double.set_fault(FaultRule::next(Kind::BlobHead, Fault::Unavailable).after(1));
    let url = stage.url(&format!("/v2/{REPOSITORY}/blobs/{digest}"));
    let mut statuses = Vec::new();
    for bearer in ["", "", &token, &token, &token] {
        let answer = stage.client.head(&url).bearer(bearer).send().await.unwrap();
        statuses.push(answer.status.as_u16());
    }
    assert_eq!(statuses, [401, 401, 307, 503, 307]);
}

#[tokio::test]
async fn other_processes_order_and_cancel_faults_over_http() {
    let Some(stage) = Stage::start().await else { return };
    let digest = stage.plant(CONTENT).await;
    let token = stage.pull_token().await;
    let control = stage.url("/_double/faults");
    let rule = json!({ "kind": "storage_get", "digest": digest, "fault": "wrong_bytes" });
    let post = |body: String| stage.client.post(&control).bytes(body).send();
    assert_eq!(post(rule.to_string()).await.unwrap().status, 200);
    let refused = post(r#"{"fault":"riddle"}"#.to_owned()).await.unwrap();
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("riddle"), "{}", refused.text());

    let listed = stage.client.get(&control).send().await.unwrap().json().unwrap();
    assert_eq!(listed[0]["fault"], "wrong_bytes");
    let lie = stage.fetch(&token, &digest).await.unwrap();
    assert_ne!(lie.body, Bytes::from_static(CONTENT));
    let everything = json!({ "fault": "unavailable" }).to_string();
    assert_eq!(post(everything).await.unwrap().status, 200);
    let clear = stage.client.call(http::Method::DELETE, &control).send().await.unwrap();
    assert_eq!(clear.status, 200);
    assert_whole(&stage, &token, &digest).await;
}

#[tokio::test]
async fn other_processes_read_and_reset_the_counts_over_http() {
    let Some(stage) = Stage::start().await else { return };
    let digest = stage.plant(CONTENT).await;
    let token = stage.pull_token().await;
    assert_whole(&stage, &token, &digest).await;
    let read = async |name: &str| {
        let url = stage.url(&format!("/_double/{name}"));
        stage.client.get(url).send().await.unwrap().json().unwrap()
    };
    let counts = read("counts").await;
    assert_eq!(counts["by_digest"][&digest]["storage_get"], 1);
    assert_eq!(counts["by_kind"]["blob_get"]["307"], 1);
    let journal = read("journal").await.as_array().unwrap().len();
    assert_eq!(journal as u64, stage.double.counts().sum());
    for action in ["reset", "expire-tokens"] {
        let url = stage.url(&format!("/_double/{action}"));
        assert_eq!(stage.client.post(url).send().await.unwrap().status, 200);
    }
    assert_eq!(stage.double.counts().sum(), 0);
    let url = stage.url(&format!("/v2/{REPOSITORY}/blobs/{digest}"));
    assert_eq!(stage.client.get(url).bearer(&token).send().await.unwrap().status, 401);
}

#[tokio::test]
async fn a_dead_backing_registry_is_a_bad_gateway_that_says_so() {
    let Some(mut stage) = Stage::start().await else {
        return;
    };
    let token = stage.pull_token().await;
    stage.registry.kill().unwrap();
    let url = stage.url(&format!("/v2/{REPOSITORY}/manifests/v1"));
    let answer = stage.client.get(url).bearer(&token).send().await.unwrap();
    assert_eq!((answer.status.as_u16(), code(&answer).as_str()), (502, "UNKNOWN"));
}
