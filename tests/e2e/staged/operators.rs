//! The operator's view of the outbox, and the handling of blobs refused by the upstream.

use serde_json::Value;
use wharf_double::Kind;
use wharf_testkit::images::sha256;

use super::{REPO, all_is_delivered, hold_back, no_upload_is_left, pending, put_image, staged};
use crate::fixture::{Setup, Stage, Wharfd, code, eventually, message, noise};

const JSON: [&str; 2] = ["--output-format", "json"];

async fn status(wharfd: &Wharfd, exit_code: i32) -> Value {
    let said = wharfd.push_command("status", &JSON).await;
    assert_eq!(said.code, exit_code, "{}", said.stderr);
    said.json()
}

#[tokio::test]
async fn status_is_the_same_beside_a_server_and_alone() {
    let Some(mut stage) = Stage::start_with(staged).await else { return };
    assert_eq!(status(&stage.wharfd, 0).await["blobs"], 0);
    hold_back(&stage, Kind::UploadPost);
    stage.api().push_blob(REPO, noise(1, 2_000_000)).await;
    stage.api().push_blob(REPO, "small").await;
    stage.api().push_blob("team/other", "small").await;
    let failed = async || {
        let status = status(&stage.wharfd, 0).await;
        let all = status["repositories"].as_array().unwrap().clone();
        all.iter().all(|of| of["last_error"].is_string()).then_some(())
    };
    eventually("a failure in each repository", failed).await;
    for alone in [false, true] {
        if alone {
            assert!(stage.wharfd.stop().await.success());
        }
        let status = status(&stage.wharfd, 0).await;
        assert_eq!((&status["blobs"], &status["bytes"]), (&3.into(), &2_000_010.into()));
        assert_eq!(status["refused"], 0);
        let first = &status["repositories"][0];
        assert_eq!((&first["repository"], &first["there"]), (&REPO.into(), &REPO.into()));
        assert_eq!((&first["blobs"], &first["bytes"]), (&2.into(), &2_000_005.into()));
        assert_eq!(first["upstream"].as_str().unwrap().trim_end_matches('/'), stage.front.url());
        assert!(first["last_error"].is_string(), "{status}");
        assert_eq!(status["repositories"][1]["repository"], "team/other");
        let text = stage.wharfd.push_command("status", &[]).await;
        assert!(text.stdout.contains("pending blobs       3\n"), "{}", text.stdout);
        assert!(text.stdout.contains(&format!("{REPO} to ")), "{}", text.stdout);
        assert!(text.stdout.contains("  last error: "), "{}", text.stdout);
    }
    // By its digest the command drops only a refused blob; a waiting blob needs `--waiting`.
    let waiting = sha256(b"small");
    let none = stage.wharfd.push_command("drop", &[&[waiting.as_str()], &JSON[..]].concat()).await;
    assert_eq!(none.json()["blobs"], 0, "{}", none.stderr);
    let arguments = ["--repo", "team/other", "--waiting"];
    let said = stage.wharfd.push_command("drop", &[&arguments[..], &JSON].concat()).await;
    assert_eq!(said.json()["blobs"], 1, "{}", said.stderr);
    assert!(said.stderr.contains("an operator gave up") && said.stderr.contains(&waiting));
    assert_eq!(stage.wharfd.push_command("drop", &[]).await.code, 2);
    stage.double.clear_faults();
    stage.wharfd.start_again().await;
    all_is_delivered(&stage).await;
    assert_eq!(stage.wharfd.metric("wharfd_delivered_blobs_total").await, 2);
    assert_eq!(stage.origin.head_blob("team/other", &waiting).await.status, 404);
    assert_eq!(stage.origin.head_blob(REPO, &waiting).await.status, 200);
    no_upload_is_left(&stage).await;
}

#[tokio::test]
async fn a_refused_blob_is_told_at_the_manifest_shown_and_given_up() {
    let start = Stage::start_with(|setup: Setup| {
        let mut setup = staged(setup);
        setup.double.habits.blob_bytes_max = 1_000_000;
        setup
    });
    let Some(mut stage) = start.await else { return };
    let (config, layer) = (b"{}".to_vec(), noise(2, 2_000_000));
    for content in [&config, &layer] {
        stage.api().push_blob(REPO, content.clone()).await;
    }
    let digest = sha256(&layer);
    let refused = put_image(stage.api(), "v1", &config, &layer).await;
    assert_eq!(refused.status, 413, "{}", refused.text());
    assert!(message(&refused).contains(&digest), "{}", refused.text());
    assert_eq!(stage.origin.get_manifest(REPO, "v1").await.status, 404);
    // The other one arrived.
    assert_eq!(pending(&stage).await, 1);
    for restart in [false, true] {
        if restart {
            no_upload_is_left(&stage).await;
            stage.wharfd.kill();
            stage.wharfd.start_again().await;
        }
        let status = status(&stage.wharfd, 1).await;
        assert_eq!((&status["blobs"], &status["refused"]), (&1.into(), &1.into()), "{status}");
        let refusal = &status["refusals"][0];
        assert_eq!(
            (&refusal["digest"], &refusal["status"]),
            (&digest.as_str().into(), &413.into())
        );
        let text = stage.wharfd.push_command("status", &[]).await;
        assert!(text.stdout.contains(&format!("refused: {digest} of {REPO}: 413")));
        // A repeated push gets another try, and the same response.
        let tries = refusal["tries"].as_u64().unwrap();
        let again = put_image(stage.api(), "v1", &config, &layer).await;
        assert_eq!(again.status, 413, "{}", again.text());
        let status = self::status(&stage.wharfd, 1).await;
        assert!(status["refusals"][0]["tries"].as_u64().unwrap() > tries, "{status}");
    }
    assert_eq!(stage.wharfd.metric("wharfd_pending_refused_blobs").await, 1);
    let said = stage.wharfd.push_command("drop", &[&[digest.as_str()], &JSON[..]].concat()).await;
    assert_eq!((said.code, &said.json()["blobs"]), (0, &1.into()), "{}", said.stderr);
    assert!(stage.wharfd.log().contains("an operator gave up a blob that was owed"));
    assert_eq!(status(&stage.wharfd, 0).await["blobs"], 0);
    assert_eq!(stage.api().get_blob(REPO, &digest).await.status, 404);
    let unknown = put_image(stage.api(), "v1", &config, &layer).await;
    assert_eq!(code(&unknown), "MANIFEST_BLOB_UNKNOWN", "{}", unknown.text());
    no_upload_is_left(&stage).await;
}

#[tokio::test]
async fn an_upstream_that_only_lets_us_read_refuses_at_the_manifest() {
    let start = Stage::start_with(|setup: Setup| staged(setup).read_only());
    let Some(stage) = start.await else { return };
    let (config, layer) = (b"{}".to_vec(), noise(3, 100_000));
    for content in [&config, &layer] {
        stage.api().push_blob(REPO, content.clone()).await;
    }
    let refused = put_image(stage.api(), "v1", &config, &layer).await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (403, "DENIED"));
    assert!(message(&refused).contains("sha256:"), "{}", refused.text());
    no_upload_is_left(&stage).await;
}
