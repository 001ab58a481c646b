//! Refused, late and missing responses to any kind of request.

use std::time::Duration;

use wharf_double::{Fault, FaultRule, Kind};

use super::{PASSWORD, REPOSITORY, Stage, Trap, USER, code, held};

const CONTENT: &[u8] = b"0123456789";

#[tokio::test]
async fn every_status_can_be_ordered_at_both_ports() {
    let Some(trap) = Trap::with(CONTENT).await else { return };
    for (status, retry_after_s) in [(500, None), (502, None), (504, Some(3)), (418, None)] {
        let fault = Fault::Status { code: status, retry_after_s };
        let retry = retry_after_s.map(|seconds| seconds.to_string()).unwrap_or_default();
        trap.set(Kind::BlobGet, fault);
        let refused = trap.stage.client.get(trap.url()).bearer(&trap.token).send().await.unwrap();
        assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (status, &*retry));
        trap.set(Kind::StorageGet, fault);
        let refused = trap.fetch().await.unwrap();
        assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (status, &*retry));
        assert_eq!(refused.header("content-type"), "application/xml");
    }
    trap.set(Kind::BlobGet, Fault::Status { code: 404, retry_after_s: None });
    let gone = trap.stage.client.get(trap.url()).bearer(&trap.token).send().await.unwrap();
    assert_eq!((gone.status.as_u16(), code(&gone).as_str()), (404, "BLOB_UNKNOWN"));
    trap.is_over().await;
}

#[tokio::test]
async fn a_416_can_be_ordered_for_the_end_of_an_upload() {
    let Some(stage) = Stage::start().await else { return };
    let token = stage.push_token().await;
    let uploads = stage.url(&format!("/v2/{REPOSITORY}/blobs/uploads/"));
    let range = Fault::Status { code: 416, retry_after_s: None };
    stage.double.set_fault(FaultRule::next(Kind::UploadPut, range));
    let digest = wharf_testkit::images::sha256(CONTENT);
    let mut statuses = Vec::new();
    for _ in 0..2 {
        let started = stage.client.post(&uploads).bearer(&token).send().await.unwrap();
        let end = stage.url(&format!("{}&digest={digest}", started.header("location")));
        let ended = stage.client.put(end).bearer(&token).bytes(CONTENT).send().await.unwrap();
        statuses.push((ended.status.as_u16(), ended.text().contains("RANGE_INVALID")));
    }
    assert_eq!(statuses, [(416, true), (201, false)]);
}

#[tokio::test]
async fn a_storm_lasts_for_its_time_on_any_kind() {
    let Some(trap) = Trap::with(CONTENT).await else { return };
    let double = &trap.stage.double;
    let storm = FaultRule { kind: None, ..FaultRule::next(Kind::Other, Fault::Unavailable) };
    double.set_fault(storm.clone().during(Duration::from_hours(1)));
    for _ in 0..3 {
        let head = trap.stage.client.head(trap.url()).bearer(&trap.token).send().await.unwrap();
        assert_eq!(head.status, 503);
        assert_eq!(trap.stage.token_answer(USER, PASSWORD, &[]).await.status, 503);
    }
    assert_eq!(double.waiting_faults().len(), 1);
    double.clear_faults();
    double.set_fault(storm.during(Duration::ZERO));
    trap.is_over().await;
}

#[tokio::test]
async fn an_expired_link_is_refused_as_the_storage_does_it() {
    let Some(trap) = Trap::with(CONTENT).await else { return };
    trap.set(Kind::StorageGet, Fault::ExpiredLink);
    let refused = trap.fetch().await.unwrap();
    assert_eq!((refused.status.as_u16(), refused.header("content-type")), (403, "application/xml"));
    assert!(refused.text().contains("<Code>AuthenticationFailed</Code>"), "{}", refused.text());
    // The registry's own link can be the expired one.
    trap.set(Kind::BlobGet, Fault::ExpiredLink);
    assert_eq!(trap.fetch().await.unwrap().status, 403);
    trap.is_over().await;
}

#[tokio::test]
async fn a_head_that_does_not_come_is_held_until_the_test_says_so() {
    let Some(trap) = Trap::with(CONTENT).await else { return };
    for kind in [Kind::BlobGet, Kind::StorageGet] {
        trap.set(kind, Fault::Hang);
        let (double, answer) = (&trap.stage.double, trap.fetch());
        let (answer, ()) = tokio::join!(answer, async {
            held(double, 1).await;
            double.release();
        });
        assert_eq!(answer.unwrap().body, CONTENT, "{kind:?}");
    }
    trap.is_over().await;
}

#[tokio::test]
async fn a_client_that_gives_up_on_a_head_is_recorded_without_a_status() {
    let Some(trap) = Trap::with(CONTENT).await else { return };
    trap.stage.double.set_fault(FaultRule::next(Kind::Token, Fault::Hang));
    let target = trap.stage.url(&trap.stage.token_target(&[]));
    {
        let call = trap.stage.client.get(target).basic(USER, PASSWORD).send();
        tokio::select! {
            answer = call => panic!("it must hang: {answer:?}"),
            () = held(&trap.stage.double, 1) => {}
        }
    }
    held(&trap.stage.double, 0).await;
    assert_eq!(trap.stage.double.counts().answered(Kind::Token, 0), 1);
    trap.is_over().await;
}

#[tokio::test]
async fn a_connection_closes_before_the_head_in_order_or_with_a_reset() {
    let Some(trap) = Trap::with(CONTENT).await else { return };
    for kind in [Kind::BlobGet, Kind::StorageGet] {
        for reset in [false, true] {
            trap.set(kind, Fault::HangUp { reset });
            let result = match kind {
                Kind::BlobGet => trap.stage.client.get(trap.url()).bearer(&trap.token).send().await,
                _ => trap.fetch().await,
            };
            let error = format!("{:#}", result.unwrap_err());
            assert_eq!(error.contains("reset"), reset, "{error}");
        }
        assert_eq!(trap.stage.double.counts().answered(kind, 0), 2);
    }
    trap.is_over().await;
}

#[tokio::test]
async fn other_processes_hold_and_release_over_http() {
    let Some(trap) = Trap::with(CONTENT).await else { return };
    let control = |name: &str| trap.stage.url(&format!("/_double/{name}"));
    let client = &trap.stage.client;
    let rule = r#"{"kind":"storage_get","ranged":false,"for_ms":3600000,"fault":"hang"}"#;
    assert_eq!(client.post(control("faults")).bytes(rule).send().await.unwrap().status, 200);
    let (answer, ()) = tokio::join!(trap.fetch(), async {
        held(&trap.stage.double, 1).await;
        let counted = client.get(control("held")).send().await.unwrap();
        assert_eq!(counted.json().unwrap()["held"], 1);
        assert_eq!(client.post(control("release")).send().await.unwrap().status, 200);
    });
    assert_eq!(answer.unwrap().body, CONTENT);
    assert_eq!(trap.part("bytes=4-").await.unwrap().body, CONTENT[4..], "a part is spared");
    trap.stage.double.clear_faults();
    trap.is_over().await;
}
