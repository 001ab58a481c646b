//! Lying, broken or refusing upstreams: the client gets the right bytes or an error, never a whole
//! wrong body; no wrong content is kept; and the next pull after the fault succeeds.

use tempfile::TempDir;
use wharf_double::{Fault, FaultRule, Kind};
use wharf_testkit::http::BrokenBody;
use wharf_testkit::images::Recipe;

use crate::fixture::{Stage, code, message, noise};

const REPO: &str = "acme/web";

/// A client's view of a blob.
#[derive(Debug, PartialEq)]
enum Seen {
    /// A status other than 200.
    Refused(u16),
    /// A broken body; whether its bytes so far were right, where right ones exist.
    Broken { right_so_far: bool },
    /// A whole body; whether it was right.
    Whole { right: bool },
}

async fn see(stage: &Stage, digest: &str, content: &[u8]) -> Seen {
    let path = format!("/v2/{REPO}/blobs/{digest}");
    match stage.api().call(http::Method::GET, &path).send().await {
        Ok(answer) if answer.status == 200 => Seen::Whole { right: answer.body == content },
        Ok(answer) => Seen::Refused(answer.status.as_u16()),
        Err(error) => {
            let broken: &BrokenBody = error.downcast_ref().expect("an answer, at least its head");
            let mut pairs = broken.received.iter().zip(content);
            Seen::Broken { right_so_far: pairs.all(|(received, right)| received == right) }
        }
    }
}

/// After a fault: nothing of it is here, and the truth is fetched and kept.
async fn assert_recovers(stage: &Stage, digest: &str, content: &[u8]) {
    stage.wharfd.fills_are_over().await;
    assert!(stage.double.waiting_faults().is_empty(), "the fault was not met");
    let head = stage.api().head_blob(REPO, digest).await;
    assert_eq!(head.header("wharf-cache"), "bypass", "something was kept");
    assert_eq!(see(stage, digest, content).await, Seen::Whole { right: true });
    stage.wharfd.fills_are_over().await;
    let again = stage.api().get_blob(REPO, digest).await;
    assert_eq!(again.header("wharf-cache"), "hit");
    assert!(again.body == content);
}

#[tokio::test]
async fn a_small_blob_that_is_not_what_was_asked_for_is_refused_before_its_first_byte() {
    let Some(stage) = Stage::start().await else { return };
    for (seed, fault) in (0..).zip([
        Fault::WrongBytes,
        Fault::ShortBody { bytes: 1 },
        Fault::ShortBody { bytes: 9_999 },
        Fault::LongBody { bytes: 1 },
        Fault::LongBody { bytes: 100_000 },
    ]) {
        let content = noise(seed, 10_000);
        let digest = stage.origin.push_blob(REPO, content.clone()).await;
        stage.double.set_fault(FaultRule::next(Kind::StorageGet, fault).of_digest(&digest));
        let path = format!("/v2/{REPO}/blobs/{digest}");
        let answer = stage.api().call(http::Method::GET, &path).send().await;
        let answer = answer.unwrap_or_else(|error| panic!("{fault:?}: {error:#}"));
        assert_eq!((answer.status.as_u16(), code(&answer).as_str()), (502, "UNKNOWN"), "{fault:?}");
        assert!(message(&answer).contains("upstream"), "{}", answer.text());
        assert_recovers(&stage, &digest, &content).await;
    }
}

#[tokio::test]
async fn a_large_blob_that_is_not_what_was_asked_for_breaks_off_before_its_end() {
    let Some(stage) = Stage::start().await else { return };
    for (seed, fault, right_so_far) in [
        (20, Fault::WrongBytes, false),
        (21, Fault::ShortBody { bytes: 1 }, true),
        (22, Fault::ShortBody { bytes: 1_500_000 }, true),
        (23, Fault::LongBody { bytes: 1 }, true),
        (24, Fault::LongBody { bytes: 1_000_000 }, true),
    ] {
        let content = noise(seed, 3_000_000);
        let digest = stage.origin.push_blob(REPO, content.clone()).await;
        stage.double.set_fault(FaultRule::next(Kind::StorageGet, fault).of_digest(&digest));
        assert_eq!(
            see(&stage, &digest, &content).await,
            Seen::Broken { right_so_far },
            "{fault:?}"
        );
        assert_recovers(&stage, &digest, &content).await;
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_goes_on_without_the_client_noticing() {
    let Some(stage) = Stage::start().await else { return };
    for (seed, bytes, fault) in [
        (25, 10_000, Fault::CutBody { after: 5_000 }),
        (26, 10_000, Fault::Reset { after: 5_000 }),
        (27, 3_000_000, Fault::CutBody { after: 2_000_000 }),
        (28, 3_000_000, Fault::Reset { after: 2_000_000 }),
    ] {
        let content = noise(seed, bytes);
        let digest = stage.origin.push_blob(REPO, content.clone()).await;
        stage.double.set_fault(FaultRule::next(Kind::StorageGet, fault).of_digest(&digest));
        let seen = see(&stage, &digest, &content).await;
        assert_eq!(seen, Seen::Whole { right: true }, "{fault:?}");
        assert!(stage.double.waiting_faults().is_empty());
    }
}

#[tokio::test]
async fn no_one_of_a_herd_gets_a_wrong_body_and_none_gets_a_wrong_range() {
    let Some(stage) = Stage::start().await else { return };
    let content = noise(30, 3_000_000);
    let digest = stage.origin.push_blob(REPO, content.clone()).await;
    stage.storage.hold_after(1_000_000);
    stage.double.set_fault(FaultRule::next(Kind::StorageGet, Fault::LongBody { bytes: 5 }));
    let clients = (0..8).map(|number| {
        let (api, path) = (stage.api().clone(), format!("/v2/{REPO}/blobs/{digest}"));
        tokio::spawn(async move {
            let call = api.call(http::Method::GET, &path);
            // Half of them want only the end.
            let call = if number % 2 == 0 { call } else { call.header("range", "bytes=-1000") };
            call.send().await
        })
    });
    let clients: Vec<_> = clients.collect();
    stage.wharfd.metric_reaches("wharfd_reads_total{outcome=\"join\"}", 7).await;
    stage.storage.release();
    for client in clients {
        if let Ok(answer) = client.await.unwrap() {
            assert!(answer.status.is_server_error(), "{} {}", answer.status, answer.body.len());
        }
    }
    assert_recovers(&stage, &digest, &content).await;
}

#[tokio::test]
async fn a_manifest_that_is_not_what_was_asked_for_is_refused_and_not_kept() {
    let Some(stage) = Stage::start_with(|setup| setup.tag_ttl(0)).await else { return };
    let folder = TempDir::new().unwrap();
    let layout = Recipe::new(40, &[100]).write(folder.path(), "v1").unwrap();
    stage.origin.push_layout(REPO, &layout).await;
    for fault in [
        Fault::WrongBytes,
        Fault::ShortBody { bytes: 1 },
        Fault::LongBody { bytes: 1 },
        Fault::LongBody { bytes: 5 * 1024 * 1024 },
    ] {
        for reference in [layout.top.digest.as_str(), "v1"] {
            stage.double.set_fault(FaultRule::next(Kind::ManifestGet, fault));
            let refused = stage.api().get_manifest(REPO, reference).await;
            let seen = (refused.status.as_u16(), code(&refused));
            assert_eq!(seen, (502, "UNKNOWN".to_owned()), "{fault:?} of {reference}");
            assert!(stage.double.waiting_faults().is_empty());
        }
    }
    let found = stage.api().get_manifest(REPO, &layout.top.digest).await;
    assert_eq!(found.header("wharf-cache"), "fill", "something was kept");
    assert_eq!(found.body, layout.read(&layout.top).unwrap());
    assert_eq!(stage.api().get_manifest(REPO, "v1").await.body, found.body);
}

#[tokio::test]
async fn a_busy_upstream_is_waited_for_when_it_asks_for_little_patience() {
    let Some(stage) = Stage::start().await else { return };
    let little = Fault::TooManyRequests { retry_after_s: 1 };
    for (seed, kind, fault) in [
        (50, Kind::BlobGet, little),
        (51, Kind::StorageGet, little),
        (52, Kind::BlobGet, Fault::Unavailable),
        (53, Kind::StorageGet, Fault::Unavailable),
    ] {
        let content = noise(seed, 300_000);
        let digest = stage.origin.push_blob(REPO, content.clone()).await;
        stage.double.set_fault(FaultRule::next(kind, fault).of_digest(&digest));
        assert_eq!(see(&stage, &digest, &content).await, Seen::Whole { right: true }, "{kind:?}");
        assert!(stage.double.waiting_faults().is_empty());
    }
    // The token server is part of the upstream.
    stage.double.expire_tokens();
    stage.double.set_fault(FaultRule::next(Kind::Token, little));
    let digest = stage.origin.push_blob("team/new", "content").await;
    assert_eq!(stage.api().get_blob("team/new", &digest).await.body, "content");
}

#[tokio::test]
async fn an_upstream_that_asks_for_much_patience_is_quoted_to_the_client() {
    let Some(stage) = Stage::start().await else { return };
    let content = noise(60, 10_000);
    let digest = stage.origin.push_blob(REPO, content.clone()).await;
    let much = Fault::TooManyRequests { retry_after_s: 77 };
    for kind in [Kind::StorageGet, Kind::BlobGet] {
        stage.double.set_fault(FaultRule::next(kind, much));
        let busy = stage.api().get_blob(REPO, &digest).await;
        assert_eq!((busy.status.as_u16(), busy.header("retry-after")), (429, "77"), "{kind:?}");
        assert_eq!(code(&busy), "TOOMANYREQUESTS");
    }
    // The registry's throttle holds for every client; its storage is another address.
    let asked = stage.double.counts();
    let next = stage.api().get_blob(REPO, &digest).await;
    let left: u64 = next.header("retry-after").parse().unwrap();
    assert!(next.status == 429 && (60..=77).contains(&left), "{} {left}", next.status);
    assert_eq!(stage.double.counts().total(Kind::BlobGet), asked.total(Kind::BlobGet));
}

#[tokio::test]
async fn an_upstream_that_stays_unavailable_is_an_error_that_says_so() {
    let Some(stage) = Stage::start().await else { return };
    let content = noise(70, 10_000);
    let digest = stage.origin.push_blob(REPO, content.clone()).await;
    stage.double.set_fault(FaultRule::next(Kind::BlobGet, Fault::Unavailable).times(100));
    let failed = stage.api().get_blob(REPO, &digest).await;
    assert!(matches!(failed.status.as_u16(), 429 | 502), "{}", failed.status);
    assert!(message(&failed).contains("upstream"), "{}", failed.text());
    let tries = stage.double.counts().answered(Kind::BlobGet, 503);
    assert!((2..=4).contains(&tries), "{tries} tries");
    stage.double.clear_faults();
    assert_recovers(&stage, &digest, &content).await;
}

#[tokio::test]
async fn an_expired_token_is_renewed_without_the_client_noticing() {
    let Some(stage) = Stage::start().await else { return };
    let first = stage.origin.push_blob(REPO, "first").await;
    let second = stage.origin.push_blob(REPO, "second").await;
    assert_eq!(stage.api().get_blob(REPO, &first).await.body, "first");
    stage.double.expire_tokens();
    assert_eq!(stage.api().get_blob(REPO, &second).await.body, "second");
    assert_eq!(stage.double.counts().answered(Kind::Token, 200), 2);
}
