//! Sessions ended at the upstream, or with a `wharfd`: a client without the means to start again
//! goes on under its Location, and need not repeat the bytes held here.

use wharf_double::{Fault, FaultRule, Kind};
use wharf_testkit::images::sha256;

use super::{REPO, assert_upstream_has};
use crate::fixture::{Stage, code, eventually, noise};

/// The upstream forgets an upload: the next request of this kind finds none, and neither does a
/// status request.
fn forget(stage: &Stage, kind: Kind) {
    let gone = Fault::Status { code: 404, retry_after_s: None };
    stage.double.set_fault(FaultRule::next(kind, gone));
    stage.double.set_fault(FaultRule::next(Kind::UploadStatus, gone));
}

/// It forgets an upload, and where it wants the next one makes no sense: there is nothing to wait for.
fn forget_for_good(stage: &Stage, kind: Kind) {
    forget(stage, kind);
    stage.double.set_fault(FaultRule::next(Kind::UploadPost, Fault::BadLocation));
}

#[tokio::test]
async fn an_upload_that_its_upstream_forgets_is_mended_in_its_middle_and_at_its_end() {
    let Some(stage) = Stage::start().await else { return };
    for (seed, kind) in [(70, Kind::UploadPatch), (71, Kind::UploadPut)] {
        let content = noise(seed, 9_000_000);
        let (first, last) = content.split_at(5_000_000);
        let opened = stage.double.counts().answered(Kind::UploadPost, 202);
        let location = stage.api().open_upload(REPO).await;
        forget(&stage, kind);
        let sent = stage.api().patch(&location).bytes(first.to_vec()).send().await.unwrap();
        assert_eq!(sent.status, 202, "{kind:?}: {}", sent.text());
        let ended = stage.api().end_upload(&location, &sha256(&content), last.to_vec()).await;
        assert_eq!(ended.status, 201, "{kind:?}: {}", ended.text());
        assert!(stage.double.waiting_faults().is_empty(), "{kind:?} was not met");
        assert_eq!(stage.double.counts().answered(Kind::UploadPost, 202), opened + 2);
        assert_upstream_has(&stage, &sha256(&content), &content).await;
    }
}

#[tokio::test]
async fn bytes_are_taken_while_the_upstream_is_out_and_sent_when_it_is_back() {
    let Some(stage) = Stage::start().await else { return };
    let content = noise(72, 24_000_000);
    // More than a chunk, so the upload sends bytes before its end.
    let (first, rest) = content.split_at(16_000_000);
    let location = stage.api().open_upload(REPO).await;
    forget_for_good(&stage, Kind::UploadPatch);
    let sent = stage.api().patch(&location).bytes(first.to_vec()).send().await.unwrap();
    assert_eq!(sent.status, 202, "{}", sent.text());
    let failed = async || stage.double.waiting_faults().is_empty().then_some(());
    eventually("the way to the upstream to fail", failed).await;
    for part in rest.chunks(2_000_000) {
        let sent = stage.api().patch(&location).bytes(part.to_vec()).send().await.unwrap();
        assert_eq!(sent.status, 202, "{}", sent.text());
    }
    let ended = stage.api().end_upload(&location, &sha256(&content), "").await;
    assert_eq!(ended.status, 201, "{}", ended.text());
    assert_upstream_has(&stage, &sha256(&content), &content).await;
}

#[tokio::test]
async fn an_end_that_the_upstream_did_not_take_is_repeated_with_its_last_bytes_or_without() {
    let Some(stage) = Stage::start().await else { return };
    for (seed, with_bytes) in [(73, true), (74, false)] {
        let content = noise(seed, 3_000_000);
        let (first, last) = content.split_at(2_000_000);
        let digest = sha256(&content);
        let location = stage.api().open_upload(REPO).await;
        let sent = stage.api().patch(&location).bytes(first.to_vec()).send().await.unwrap();
        assert_eq!(sent.status, 202, "{}", sent.text());
        forget_for_good(&stage, Kind::UploadPut);
        let failed = stage.api().end_upload(&location, &digest, last.to_vec()).await;
        assert_eq!(failed.status, 502, "{}", failed.text());
        assert_eq!(stage.api().upload_offset(&location).await, Some(content.len()));
        // All of it is here: more is not taken, nor anything else made of it.
        let more = stage.api().patch(&location).bytes("x").send().await.unwrap();
        let range = format!("0-{}", content.len() - 1);
        assert_eq!((more.status.as_u16(), more.header("range")), (416, range.as_str()));
        let wrong = stage.api().end_upload(&location, &sha256(b"x"), "").await;
        assert_eq!((wrong.status.as_u16(), code(&wrong).as_str()), (400, "DIGEST_INVALID"));
        let last = if with_bytes { last.to_vec() } else { Vec::new() };
        let ended = stage.api().end_upload(&location, &digest, last).await;
        assert_eq!(ended.status, 201, "{}", ended.text());
        assert_upstream_has(&stage, &digest, &content).await;
        assert_eq!(stage.api().upload_offset(&location).await, None);
        assert!(stage.api().get_blob(REPO, &digest).await.body == content);
    }
}

#[tokio::test]
async fn an_upload_is_ended_after_a_restart_that_came_before_its_end() {
    for mode in ["", "push = \"staged\"\n"] {
        let start = Stage::start_with(|mut setup| {
            setup.upstream.push_str(mode);
            setup
        });
        let Some(mut stage) = start.await else { return };
        let content = noise(75, 3_000_000);
        let location = stage.api().open_upload(REPO).await;
        let sent = stage.api().patch(&location).bytes(content.clone()).send().await.unwrap();
        assert_eq!(sent.status, 202, "{mode}: {}", sent.text());
        assert!(stage.wharfd.stop().await.success(), "{}", stage.wharfd.log());
        stage.wharfd.start_again().await;
        let ended = stage.api().end_upload(&location, &sha256(&content), "").await;
        assert_eq!(ended.status, 201, "{mode}: {}", ended.text());
        assert!(stage.api().get_blob(REPO, &sha256(&content)).await.body == content);
        let there = async || {
            let there = stage.origin.get_blob(REPO, &sha256(&content)).await;
            (there.status == 200 && there.body == content).then_some(())
        };
        eventually("the blob at the upstream", there).await;
    }
}
