//! Late, paused and half-lost messages. Times are too long to pass by themselves, or too short to
//! make a test wait.

use std::time::Duration;

use wharf_double::{Fault, FaultRule, Kind, Says};
use wharf_testkit::http::Answer;
use wharf_testkit::images::sha256;

use super::{REPOSITORY, Stage, Trap};

const CONTENT: &[u8] = b"0123456789";
/// Longer than any test.
const HOUR_MS: u64 = 3_600_000;

async fn end(stage: &Stage, token: &str, started: &Answer) -> anyhow::Result<Answer> {
    let digest = sha256(CONTENT);
    let end = stage.url(&format!("{}&digest={digest}", started.header("location")));
    stage.client.put(end).bearer(token).bytes(CONTENT).send().await
}

/// Whether the blob has reached the registry behind.
async fn is_behind(stage: &Stage) -> bool {
    let url = format!("{}/v2/{REPOSITORY}/blobs/{}", stage.registry.url(), sha256(CONTENT));
    stage.client.head(url).send().await.unwrap().status == 200
}

#[tokio::test]
async fn a_pause_is_told_in_each_form_and_ends() {
    let Some(trap) = Trap::with(CONTENT).await else { return };
    for (says, form) in [(Says::Nothing, ""), (Says::Seconds, "1"), (Says::Date, " GMT")] {
        let busy = Fault::Busy { says, left_s: 1 };
        for kind in [Kind::BlobGet, Kind::StorageGet] {
            trap.stage.double.set_fault(FaultRule::next(kind, busy).pause(Duration::ZERO));
            let refused = if kind == Kind::StorageGet {
                trap.fetch().await.unwrap()
            } else {
                trap.stage.client.get(trap.url()).bearer(&trap.token).send().await.unwrap()
            };
            assert_eq!(refused.status, 429, "{kind:?}");
            let told = refused.header("retry-after");
            assert!(told.ends_with(form) && told.is_empty() == form.is_empty(), "{told:?}");
        }
    }
    trap.is_over().await;
}

#[tokio::test]
async fn a_body_is_silent_for_its_time_and_then_whole() {
    let Some(trap) = Trap::with(CONTENT).await else { return };
    trap.set(Kind::StorageGet, Fault::Silence { after: 4, for_ms: 1 });
    assert_eq!(trap.fetch().await.unwrap().body, CONTENT);
    trap.is_over().await;
}

#[tokio::test]
async fn what_is_done_before_its_late_answer_is_there_and_what_is_not_begun_is_not() {
    for done in [true, false] {
        let Some(stage) = Stage::start().await else { return };
        let token = stage.push_token().await;
        let started = stage.start_upload(&token).await;
        stage
            .double
            .set_fault(FaultRule::next(Kind::UploadPut, Fault::Late { by_ms: HOUR_MS, done }));
        let answer = end(&stage, &token, &started);
        let look = async {
            while stage.double.struck_in_all() == 0 || is_behind(&stage).await != done {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            answer = answer => panic!("an answer came: {answer:?}"),
            () = look => {}
        }
    }
}

#[tokio::test]
async fn a_late_answer_is_the_right_one() {
    for done in [true, false] {
        let Some(stage) = Stage::start().await else { return };
        let token = stage.push_token().await;
        let started = stage.start_upload(&token).await;
        stage.double.set_fault(FaultRule::next(Kind::UploadPut, Fault::Late { by_ms: 1, done }));
        assert_eq!(end(&stage, &token, &started).await.unwrap().status, 201);
        assert!(is_behind(&stage).await);
    }
}

#[tokio::test]
async fn a_lost_upload_is_404_from_then_on() {
    let Some(stage) = Stage::start().await else { return };
    let token = stage.push_token().await;
    let started = stage.start_upload(&token).await;
    stage.double.set_fault(FaultRule::next(Kind::UploadPut, Fault::LoseUpload));
    for _ in 0..2 {
        let lost = end(&stage, &token, &started).await.unwrap();
        assert_eq!(
            (lost.status.as_u16(), super::code(&lost).as_str()),
            (404, "BLOB_UPLOAD_UNKNOWN")
        );
    }
    assert_eq!(stage.double.open_uploads(), 0);
}
