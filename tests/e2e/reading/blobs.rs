//! Blobs: the requests to the upstream and the avoided ones, with a missing blob and with a full
//! store.

use bytes::Bytes;
use http::Method;
use tempfile::TempDir;
use wharf_double::{AcrDouble, Fault, FaultRule, Kind};
use wharf_testkit::http::{Answer, Client};
use wharf_testkit::images::Recipe;

use crate::fixture::{Api, Stage, Wharfd, double_config, eventually, held_port, noise};

const REPO: &str = "acme/web";
const MIB: usize = 1024 * 1024;

async fn plant(stage: &Stage, seed: u64, bytes: usize) -> (Bytes, String) {
    let content = Bytes::from(noise(seed, bytes));
    let digest = stage.origin.push_blob(REPO, content.clone()).await;
    (content, digest)
}

/// A range of a blob, asked for on a connection of its own.
fn ask_range(stage: &Stage, digest: &str, range: String) -> tokio::task::JoinHandle<Answer> {
    let api = Api::new(stage.api().base().to_owned(), Client::new());
    let digest = digest.to_owned();
    tokio::spawn(async move { api.get_range(REPO, &digest, &range).await })
}

#[tokio::test]
async fn a_manifest_comes_before_its_layers_and_brings_only_what_is_asked_for() {
    let Some(stage) = Stage::start().await else { return };
    let folder = TempDir::new().unwrap();
    let recipe = Recipe::new(1, &[3_000, 500_000]).architectures(&["amd64", "arm64", "s390x"]);
    let layout = recipe.write(folder.path(), "v1").unwrap();
    stage.origin.push_layout(REPO, &layout).await;
    // No layer can come.
    stage.storage.hold_after(0);
    assert_eq!(stage.api().get_manifest(REPO, "v1").await.status, 200);
    let image = &layout.images[1];
    assert_eq!(stage.api().get_manifest(REPO, &image.manifest.digest).await.status, 200);
    stage.storage.release();
    let layer = &image.layers[0].blob.digest;
    assert_eq!(stage.api().get_blob(REPO, layer).await.status, 200);
    stage.wharfd.fills_are_over().await;
    let counts = stage.double.counts();
    assert_eq!(counts.answered(Kind::ManifestGet, 200), 2);
    assert_eq!((counts.total(Kind::BlobGet), counts.served(Kind::BlobGet, layer)), (1, 1));
}

#[tokio::test]
async fn parallel_ranges_of_a_cold_blob_are_one_download() {
    let Some(stage) = Stage::start().await else { return };
    let (content, digest) = plant(&stage, 2, 8 * MIB).await;
    stage.storage.hold_after(0);
    let mut parts: Vec<_> = (0..8)
        .map(|part| {
            let (start, end) = (part * MIB, (part + 1) * MIB);
            let range = format!("bytes={start}-{}", end - 1);
            (start..end, ask_range(&stage, &digest, range))
        })
        .collect();
    // As containerd begins.
    parts.push((0..content.len(), ask_range(&stage, &digest, "bytes=0-".to_owned())));
    stage.wharfd.metric_reaches("wharfd_fills", 1).await;
    stage.storage.release();
    for (span, part) in parts {
        let answer = part.await.unwrap();
        assert_eq!(answer.status, 206);
        let said = format!("bytes {}-{}/{}", span.start, span.end - 1, content.len());
        assert_eq!(answer.header("content-range"), said);
        assert!(answer.body == content[span], "other bytes in {said}");
    }
    let counts = stage.double.counts();
    assert_eq!(counts.total(Kind::StorageGet), 1);
    assert_eq!(counts.storage_bytes(), content.len() as u64);
}

#[tokio::test]
async fn a_small_range_far_ahead_of_a_slow_download_does_not_wait_for_it() {
    let Some(stage) = Stage::start().await else { return };
    let (content, digest) = plant(&stage, 3, 48 * MIB).await;
    // The whole download stalls at its begin; a separate range request comes.
    let stall = FaultRule::next(Kind::StorageGet, Fault::Stall { after: MIB as u64 }).unranged();
    stage.double.set_fault(stall);
    let api = stage.api().clone();
    let path = format!("/v2/{REPO}/blobs/{digest}");
    let whole = tokio::spawn(async move { api.call(Method::GET, &path).send().await });
    eventually("the begin of the download", async || (stage.double.held() == 1).then_some(()))
        .await;
    let last = content.len() - 1_000;
    let ahead = stage.api().get_range(REPO, &digest, &format!("bytes={last}-")).await;
    assert_eq!((ahead.status.as_u16(), ahead.header("wharf-cache")), (206, "bypass"));
    assert!(ahead.body == content[last..]);
    let ranged = |entry: &wharf_double::Entry| entry.range.is_some();
    let storage = stage.double.journal().into_iter().filter(|e| e.kind == Kind::StorageGet);
    assert_eq!(storage.map(|entry| ranged(&entry)).collect::<Vec<_>>(), [false, true]);
    stage.double.release();
    assert!(whole.await.unwrap().unwrap().body == content);
}

#[tokio::test]
async fn the_tail_of_a_small_cold_layer_does_not_wait_for_the_layer() {
    let Some(stage) = Stage::start().await else { return };
    let (content, digest) = plant(&stage, 8, 8 * MIB).await;
    // No connection brings more than a part of it.
    stage.storage.hold_after(MIB as u64);
    let size = content.len();
    // A footer, the same by its place, and a table of contents before it, as lazy pullers ask.
    for (range, expected) in [
        ("bytes=-51".to_owned(), size - 51..size),
        (format!("bytes={}-{}", size - 51, size - 1), size - 51..size),
        (format!("bytes={}-{}", size - 200_000, size - 52), size - 200_000..size - 51),
    ] {
        let answer = stage.api().get_range(REPO, &digest, &range).await;
        let seen = (answer.status.as_u16(), answer.header("wharf-cache"));
        assert_eq!(seen, (206, "bypass"), "{range}");
        assert!(answer.body == content[expected], "{range}");
    }
    assert_eq!(stage.wharfd.metric("wharfd_fills").await, 1);
    stage.storage.release();
    stage.wharfd.fills_are_over().await;
    let hit = stage.api().get_range(REPO, &digest, "bytes=-51").await;
    assert_eq!((hit.status.as_u16(), hit.header("wharf-cache")), (206, "hit"));
    assert!(hit.body == content[size - 51..]);
}

#[tokio::test]
async fn tails_become_no_second_download() {
    let Some(stage) = Stage::start().await else { return };
    let (content, digest) = plant(&stage, 9, 8 * MIB).await;
    stage.storage.hold_after(3 * MIB as u64);
    // Separate range requests serve a quarter of the layer; a later client waits.
    for _ in 0..4 {
        let answer = stage.api().get_range(REPO, &digest, &format!("bytes=-{}", MIB / 2)).await;
        assert_eq!((answer.status.as_u16(), answer.header("wharf-cache")), (206, "bypass"));
    }
    let fifth = ask_range(&stage, &digest, format!("bytes=-{}", MIB / 2));
    // A client with the rest of a broken download never gets a separate request.
    let resumed = ask_range(&stage, &digest, format!("bytes={}-", content.len() - 100));
    stage.storage.release();
    for (part, start) in [(fifth, content.len() - MIB / 2), (resumed, content.len() - 100)] {
        let answer = part.await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.header("wharf-cache")), (206, "join"));
        assert!(answer.body == content[start..]);
    }
    assert_eq!(stage.double.counts().total(Kind::StorageGet), 5);
}

#[tokio::test]
async fn what_is_gone_is_an_error_and_never_an_empty_success() {
    let Some(stage) = Stage::start().await else { return };
    let (content, digest) = plant(&stage, 4, 700_000).await;
    assert!(stage.api().get_blob(REPO, &digest).await.body == content);
    stage.wharfd.fills_are_over().await;
    let evicted = stage.wharfd.store_command("evict", &["--down-to", "0"]).await;
    assert_eq!(evicted.code, 0, "{}", evicted.stderr);
    let Stage { wharfd, double, .. } = stage;
    double.stop().await;
    for answer in [
        wharfd.api.get_blob(REPO, &digest).await,
        wharfd.api.head_blob(REPO, &digest).await,
        wharfd.api.get_range(REPO, &digest, "bytes=0-9").await,
    ] {
        // 429 as soon as the upstream is known to be down.
        assert!(matches!(answer.status.as_u16(), 429 | 502), "{}", answer.status);
    }
}

#[tokio::test]
async fn an_empty_answer_is_never_cached_as_the_blob() {
    let Some(stage) = Stage::start().await else { return };
    let (content, digest) = plant(&stage, 5, 700_000).await;
    let empty = Fault::ShortBody { bytes: content.len() as u64 };
    stage.double.set_fault(FaultRule::next(Kind::StorageGet, empty));
    assert_eq!(stage.api().get_blob(REPO, &digest).await.status, 502);
    stage.wharfd.fills_are_over().await;
    assert_eq!(stage.api().head_blob(REPO, &digest).await.header("wharf-cache"), "bypass");
    assert!(stage.api().get_blob(REPO, &digest).await.body == content);
}

#[tokio::test]
async fn a_dead_upstream_is_an_error_at_once_and_comes_back_by_itself() {
    let Some(stage) = Stage::start().await else { return };
    let (content, digest) = plant(&stage, 6, 100_000).await;
    let (_held, nowhere) = held_port();
    stage.front.point_to(nowhere);
    let asked = format!("wharfd_upstream_requests_total{{upstream=\"{}\"}}", stage.front.url());
    let open = format!("wharfd_upstream_breaker{{upstream=\"{}\"}}", stage.front.url());
    eventually("the upstream to be left alone", async || {
        let failed = stage.api().get_blob(REPO, &digest).await;
        assert!(matches!(failed.status.as_u16(), 429 | 502), "{}", failed.status);
        (stage.wharfd.metric(&open).await == 2).then_some(())
    })
    .await;
    // Without an upstream request there is no wait; the client learns the time to come back.
    let refused = eventually("a refusal without a question", async || {
        let before = stage.wharfd.metric(&asked).await;
        let refused = stage.api().get_blob(REPO, &digest).await;
        (stage.wharfd.metric(&asked).await == before).then_some(refused)
    })
    .await;
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    stage.front.point_to(stage.double.addr());
    let back = eventually("the upstream to be asked again", async || {
        Some(stage.api().get_blob(REPO, &digest).await).filter(|answer| answer.status == 200)
    });
    assert!(back.await.body == content);
    assert_eq!(stage.wharfd.metric(&open).await, 0);
}

#[tokio::test]
async fn requests_are_counted_for_each_upstream() {
    let Some(stage) = Stage::start().await else { return };
    let (_, digest) = plant(&stage, 7, 3_000_000).await;
    let cut = FaultRule::next(Kind::StorageGet, Fault::CutBody { after: 2_000_000 });
    stage.double.set_fault(cut);
    for _ in 0..3 {
        assert_eq!(stage.api().get_blob(REPO, &digest).await.status, 200);
        stage.wharfd.fills_are_over().await;
    }
    let label = format!("{{upstream=\"{}\"}}", stage.front.url());
    let of_upstream = async |name| stage.wharfd.metric(&format!("{name}{label}")).await;
    assert_eq!(of_upstream("wharfd_upstream_requests_total").await, stage.double.counts().sum());
    assert_eq!(of_upstream("wharfd_upstream_resumes_total").await, 1);
    assert_eq!(stage.wharfd.metric("wharfd_reads_total{outcome=\"fill\"}").await, 1);
    assert_eq!(stage.wharfd.metric("wharfd_reads_total{outcome=\"hit\"}").await, 2);
}

#[tokio::test]
async fn a_store_that_is_full_of_what_it_must_keep_still_serves_pulls() {
    let Some(registry) = wharf_testkit::registry::Registry::start().await.unwrap() else { return };
    let mut wharfd = Wharfd::with_config("store_limit = \"256MiB\"\n").await;
    // Without an upstream all of this is kept.
    for seed in 0.. {
        let content = noise(seed, 30 * MIB);
        let digest = wharf_testkit::images::sha256(&content);
        let pushed = wharfd.api.try_push_blob("mine/a", &digest, content).await;
        match pushed {
            Ok(answer) if answer.status == 201 => assert!(seed < 9, "it is never full"),
            _ => break,
        }
    }
    assert!(wharfd.stop().await.success());
    let mut config = double_config(&registry);
    config.anonymous_pull = true;
    let double = AcrDouble::start(config).await.unwrap();
    wharfd.reconfigure(&format!("[[upstream]]\nurl = \"{}\"\n", double.url()));
    wharfd.start_again().await;
    let origin = Api::new(registry.url(), Client::new());
    let content = noise(100, 40 * MIB);
    let digest = origin.push_blob(REPO, content.clone()).await;
    // No client learns of it in the middle of its body.
    for _ in 0..2 {
        let answer = wharfd.api.get_blob(REPO, &digest).await;
        assert_eq!((answer.status.as_u16(), answer.header("wharf-cache")), (200, "bypass"));
        assert!(answer.body == content);
    }
    // A small one finds the room that a large one did not take.
    let content = noise(101, 4 * MIB);
    let digest = origin.push_blob(REPO, content.clone()).await;
    for came in ["fill", "hit"] {
        let answer = wharfd.api.get_blob(REPO, &digest).await;
        assert_eq!((answer.status.as_u16(), answer.header("wharf-cache")), (200, came));
        assert!(answer.body == content);
        wharfd.fills_are_over().await;
    }
}

#[tokio::test]
async fn a_blob_that_is_larger_than_the_store_passes_by_and_evicts_nothing() {
    let start = Stage::start_with(|setup| setup.lines("store_limit = \"256MiB\"\n"));
    let Some(stage) = start.await else { return };
    let (_, kept) = plant(&stage, 1, 3 * MIB).await;
    assert_eq!(stage.api().get_blob(REPO, &kept).await.status, 200);
    stage.wharfd.fills_are_over().await;
    // An eighth of the limit is for rewritten files.
    let (content, large) = plant(&stage, 2, 230 * MIB).await;
    let answer = stage.api().get_blob(REPO, &large).await;
    assert_eq!((answer.status.as_u16(), answer.header("wharf-cache")), (200, "bypass"));
    assert!(answer.body == content);
    assert_eq!(stage.wharfd.metric("wharfd_store_evicted_bytes_total").await, 0);
    assert_eq!(stage.api().get_blob(REPO, &kept).await.header("wharf-cache"), "hit");
}

#[tokio::test]
async fn a_body_that_falls_silent_is_taken_up_where_it_was_and_no_client_sees_it() {
    let start = Stage::start_with(|mut setup| {
        // Its rate does not matter: the bytes before the silence were fast.
        setup.upstream.push_str("stall_timeout_seconds = 600\nsilence_timeout_seconds = 1\n");
        setup
    });
    let Some(stage) = start.await else { return };
    let (content, digest) = plant(&stage, 30, 8 * MIB).await;
    for after in [3 * MIB as u64, 2 * MIB as u64, 0] {
        let stall = FaultRule::next(Kind::StorageGet, Fault::Stall { after });
        stage.double.set_fault(stall);
    }
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let (api, digest) = (stage.api().clone(), digest.clone());
            tokio::spawn(async move { api.get_blob(REPO, &digest).await })
        })
        .collect();
    for client in clients {
        let answer = client.await.unwrap();
        assert!(answer.status == 200 && answer.body == content, "{}", answer.status);
    }
    assert!(stage.double.waiting_faults().is_empty());
    // No received byte was requested again.
    let storage = stage.double.journal().into_iter().filter(|e| e.kind == Kind::StorageGet);
    let ranged: Vec<_> = storage.map(|entry| entry.range.is_some()).collect();
    assert_eq!(ranged.first(), Some(&false));
    assert_eq!(ranged.iter().filter(|ranged| **ranged).count(), ranged.len() - 1);
}
