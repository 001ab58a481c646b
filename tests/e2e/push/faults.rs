//! The upstream's faults in the middle of a push; the push succeeds all the same.

use wharf_double::{Fault, FaultRule, Kind};
use wharf_testkit::images::sha256;

use super::{MANIFEST_TYPE, REPO, assert_upstream_has};
use crate::fixture::{Stage, code, eventually, noise};

const LITTLE: Fault = Fault::TooManyRequests { retry_after_s: 1 };

#[tokio::test]
async fn each_fault_on_the_way_of_a_blob_is_made_good() {
    let Some(stage) = Stage::start().await else { return };
    for (seed, kind, fault, times) in [
        (1, Kind::UploadPost, LITTLE, 1),
        (2, Kind::UploadPost, Fault::Unavailable, 2),
        (3, Kind::UploadPatch, LITTLE, 1),
        (4, Kind::UploadPatch, LITTLE, 2),
        (5, Kind::UploadPatch, Fault::Unavailable, 2),
        (6, Kind::UploadPatch, Fault::Reset { after: 0 }, 1),
        (7, Kind::UploadPatch, Fault::Reset { after: 100_000 }, 1),
        (8, Kind::UploadPatch, Fault::Reset { after: 3_000_000 }, 2),
        (12, Kind::UploadPatch, Fault::LoseChunk, 2),
        (9, Kind::UploadPut, LITTLE, 1),
        (10, Kind::UploadPut, Fault::Unavailable, 2),
        (11, Kind::UploadPut, Fault::Reset { after: 0 }, 1),
    ] {
        let content = noise(seed, 9_000_000);
        let digest = sha256(&content);
        stage.double.set_fault(FaultRule::next(kind, fault).times(times));
        let pushed = stage.api().try_push_blob(REPO, &digest, content.clone()).await.unwrap();
        assert_eq!(pushed.status, 201, "{kind:?} {fault:?}: {}", pushed.text());
        assert!(stage.double.waiting_faults().is_empty(), "{kind:?} {fault:?} was not met");
        assert_upstream_has(&stage, &digest, &content).await;
        assert!(stage.api().get_blob(REPO, &digest).await.body == content);
    }
    let over = async || (stage.double.open_uploads() == 0).then_some(());
    eventually("every upload at the upstream to be over", over).await;
}

/// The upstream accepts sixteen MiB, then goes back to an older state of the upload and reports it.
#[tokio::test]
async fn an_upstream_that_steps_back_gets_what_it_lost_again() {
    let Some(stage) = Stage::start().await else { return };
    let content = noise(23, 40_000_000);
    let digest = sha256(&content);
    stage.double.set_fault(FaultRule::next(Kind::UploadPatch, Fault::LoseChunk).after(1));
    let reset = Fault::Reset { after: 3_000_000 };
    stage.double.set_fault(FaultRule::next(Kind::UploadPatch, reset).after(2));
    let pushed = stage.api().try_push_blob(REPO, &digest, content.clone()).await.unwrap();
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    assert!(stage.double.waiting_faults().is_empty());
    assert_upstream_has(&stage, &digest, &content).await;
    let posts = stage.double.counts().answered(Kind::UploadPost, 202);
    assert_eq!(posts, 1, "one session is enough");
}

#[tokio::test]
async fn each_fault_on_the_way_of_a_manifest_is_made_good_or_quoted() {
    let Some(stage) = Stage::start().await else { return };
    let config = stage.api().push_blob(REPO, "{}").await;
    let manifest = |name: &str| {
        serde_json::json!({
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "layers": [],
            "config": { "mediaType": "application/json", "digest": config, "size": 2 },
            "annotations": { "name": name },
        })
        .to_string()
    };
    for (tag, fault) in
        [("a", LITTLE), ("b", Fault::Unavailable), ("c", Fault::Reset { after: 10 })]
    {
        stage.double.set_fault(FaultRule::next(Kind::ManifestPut, fault));
        let put = stage.api().put_manifest(REPO, tag, MANIFEST_TYPE, manifest(tag)).await;
        assert_eq!(put.status, 201, "{fault:?}: {}", put.text());
        assert_eq!(stage.origin.get_manifest(REPO, tag).await.body, manifest(tag));
    }
    let much = Fault::TooManyRequests { retry_after_s: 77 };
    stage.double.set_fault(FaultRule::next(Kind::ManifestPut, much));
    let busy = stage.api().put_manifest(REPO, "d", MANIFEST_TYPE, manifest("d")).await;
    assert_eq!((busy.status.as_u16(), busy.header("retry-after")), (429, "77"));
    assert_eq!(code(&busy), "TOOMANYREQUESTS");
    assert_eq!(stage.api().get_manifest(REPO, "d").await.status, 404);
    stage.double.set_fault(FaultRule::next(Kind::UploadPost, much));
    let busy = stage.api().post(&format!("/v2/{REPO}/blobs/uploads/")).send().await.unwrap();
    assert_eq!((busy.status.as_u16(), busy.header("retry-after")), (429, "77"));
}

#[tokio::test]
async fn an_upstream_that_takes_small_chunks_only_gets_small_chunks() {
    let start = Stage::start_with(|mut setup| {
        setup.double.habits.patch_bytes_max = Some(3 * 1024 * 1024);
        setup
    });
    let Some(stage) = start.await else { return };
    let content = noise(20, 12_000_000);
    let digest = stage.api().push_blob(REPO, content.clone()).await;
    assert_upstream_has(&stage, &digest, &content).await;
    assert!(stage.double.counts().answered(Kind::UploadPatch, 413) > 0);
}

#[tokio::test]
async fn a_token_that_expires_in_the_middle_of_an_upload_is_renewed() {
    let Some(stage) = Stage::start().await else { return };
    let content = noise(21, 20_000_000);
    let digest = sha256(&content);
    let location = stage.api().open_upload(REPO).await;
    let (first, last) = content.split_at(10_000_000);
    assert_eq!(
        stage.api().patch(&location).bytes(first.to_vec()).send().await.unwrap().status,
        202
    );
    stage.double.expire_tokens();
    let ended = stage.api().end_upload(&location, &digest, last.to_vec()).await;
    assert_eq!(ended.status, 201, "{}", ended.text());
    assert_upstream_has(&stage, &digest, &content).await;
    assert_eq!(stage.double.counts().answered(Kind::Token, 200), 2);
}

#[tokio::test]
async fn a_push_to_an_upstream_that_is_gone_fails_and_keeps_nothing() {
    let Some(stage) = Stage::start().await else { return };
    let kept = stage.api().push_blob(REPO, "before").await;
    let location = stage.api().open_upload(REPO).await;
    let Stage { wharfd, double, .. } = stage;
    double.stop().await;
    let content = noise(22, 1_000_000);
    let digest = sha256(&content);
    let ended = wharfd.api.end_upload(&location, &digest, content).await;
    assert!(matches!(ended.status.as_u16(), 429 | 502), "{}", ended.status);
    assert!(matches!(&*code(&ended), "TOOMANYREQUESTS" | "UNKNOWN"), "{}", ended.text());
    let opened = wharfd.api.post(&format!("/v2/{REPO}/blobs/uploads/")).send().await.unwrap();
    // Left alone for a while, or found to be gone once more.
    assert!(matches!(opened.status.as_u16(), 429 | 502), "{}", opened.status);
    assert_eq!(wharfd.api.get_blob(REPO, &kept).await.body, "before");
    assert_ne!(wharfd.api.head_blob(REPO, &digest).await.status, 200);
}

#[tokio::test]
async fn fifty_pushes_at_once_arrive_though_a_fifth_of_the_requests_is_turned_away() {
    let Some(stage) = Stage::start().await else { return };
    // A request hit by another rule does not count for this one, so four requests pass between two
    // hits.
    for number in 0..12 {
        for kind in [Kind::UploadPost, Kind::UploadPatch, Kind::UploadPut] {
            stage.double.set_fault(FaultRule::next(kind, LITTLE).after(4 * number));
        }
    }
    let pushes: Vec<_> = (0..50)
        .map(|seed| {
            let api = stage.api().clone();
            tokio::spawn(async move { api.push_blob(REPO, noise(seed, 200_000)).await })
        })
        .collect();
    for (seed, push) in (0..).zip(pushes) {
        assert_upstream_has(&stage, &push.await.unwrap(), &noise(seed, 200_000)).await;
    }
}

/// Opens an upload with this content; returns the status.
async fn open_with(stage: &Stage, content: &[u8]) -> u16 {
    let location = stage.api().open_upload(REPO).await;
    let sent = stage.api().patch(&location).bytes(content.to_vec()).send().await.unwrap();
    sent.status.as_u16()
}

#[tokio::test]
async fn what_the_upstream_took_is_201_also_when_there_is_no_room_for_it_here() {
    let start = Stage::start_with(|setup| {
        setup.lines("store_limit = \"256MiB\"\nlimits = { uploads_per_user = 200 }\n")
    });
    let Some(stage) = start.await else { return };
    // Open uploads fill the store: in large steps until one fails, then in small ones, and each
    // small one finds room or gives it back.
    let large = noise(50, 12 << 20);
    let mut taken = 0;
    while open_with(&stage, &large).await == 202 {
        taken += 1;
        assert!(taken < 40, "the store is never full");
    }
    // The store counts the size of its records, and the size changes: a push may find room after
    // all.
    for seed in 53..63 {
        for (seed, bytes) in [(51, 1 << 20), (52, 768 << 10)] {
            let small = noise(seed, bytes);
            for _ in 0..15 {
                open_with(&stage, &small).await;
            }
        }
        let content = noise(seed, 500_000);
        let digest = sha256(&content);
        let pushed = stage.api().try_push_blob(REPO, &digest, content.clone()).await.unwrap();
        assert_eq!(pushed.status, 201, "{}", pushed.text());
        assert_upstream_has(&stage, &digest, &content).await;
        assert!(stage.api().get_blob(REPO, &digest).await.body == content);
        if stage.wharfd.log().contains("is not kept here") {
            return;
        }
    }
    panic!("the store always had room");
}
