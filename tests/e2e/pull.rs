//! Reads through `wharfd`, before the double, before `docker-registry`: content from the store,
//! content from the upstream, and the trust in each.

use tempfile::TempDir;
use wharf_double::{Account, AcrDouble, DoubleConfig, Fault, FaultRule, Kind};
use wharf_testkit::images::{Layout, Recipe, sha256};

use crate::fixture::{Stage, code, eventually, noise};

const REPO: &str = "acme/web";
const HITS: &str = "wharfd_reads_total{outcome=\"hit\"}";

/// An image in the registry behind, past `wharfd`.
async fn plant(stage: &Stage, seed: u64) -> (TempDir, Layout) {
    let folder = TempDir::new().unwrap();
    let recipe = Recipe::new(seed, &[2_000, 700_000]).architectures(&["amd64", "arm64"]);
    let layout = recipe.write(folder.path(), "v1").unwrap();
    stage.origin.push_layout(REPO, &layout).await;
    (folder, layout)
}

#[tokio::test]
async fn an_image_pulled_twice_reaches_the_upstream_once() {
    let Some(stage) = Stage::start_with(|setup| setup.tag_ttl(3600)).await else { return };
    let (_folder, layout) = plant(&stage, 1).await;
    for outcome in ["fill", "hit"] {
        stage.api().assert_serves(REPO, &layout).await;
        stage.wharfd.fills_are_over().await;
        let (top, layer) = (&layout.top.digest, &layout.images[0].layers[1].blob.digest);
        let found = stage.api().get_manifest(REPO, "v1").await;
        assert_eq!(found.header("wharf-cache"), "hit", "after a {outcome}");
        assert_eq!(found.header("docker-content-digest"), top);
        let found = stage.api().get_blob(REPO, layer).await;
        assert_eq!(
            (found.header("wharf-cache"), found.header("docker-content-digest")),
            ("hit", layer.as_str())
        );
    }
    let counts = stage.double.counts();
    for blob in layout.content() {
        assert_eq!(counts.served(Kind::BlobGet, &blob.digest), 1, "{}", blob.digest);
        assert_eq!(counts.served(Kind::StorageGet, &blob.digest), 1, "{}", blob.digest);
    }
    assert_eq!(counts.answered(Kind::ManifestGet, 200), 3, "the index and two images");
    // It survives a restart: nothing is asked again.
    let mut stage = stage;
    stage.double.reset_counts();
    assert!(stage.wharfd.stop().await.success());
    stage.wharfd.start_again().await;
    stage.api().assert_serves(REPO, &layout).await;
    assert_eq!(stage.double.counts().sum(), 0, "{:?}", stage.double.journal());
}

#[tokio::test]
async fn the_first_answer_is_a_fill_and_the_credentials_stay_at_the_registry() {
    let Some(stage) = Stage::start().await else { return };
    let content = noise(2, 600_000);
    let digest = stage.origin.push_blob(REPO, content.clone()).await;
    let first = stage.api().get_blob(REPO, &digest).await;
    assert_eq!((first.status.as_u16(), first.header("wharf-cache")), (200, "fill"));
    assert_eq!(first.header("docker-content-digest"), digest);
    assert_eq!(first.header("content-length"), "600000");
    assert!(first.body == content);
    // The storage refuses a request with Authorization; here it was asked, and it served.
    assert_eq!(stage.double.counts().answered(Kind::StorageGet, 200), 1);
    assert_eq!(stage.double.counts().total(Kind::StorageGet), 1);
}

#[tokio::test]
async fn a_head_of_what_is_not_here_fetches_no_content() {
    let Some(stage) = Stage::start().await else { return };
    let (_folder, layout) = plant(&stage, 3).await;
    let layer = &layout.images[0].layers[1].blob;
    let head = stage.api().head_blob(REPO, &layer.digest).await;
    assert_eq!((head.status.as_u16(), head.header("wharf-cache")), (200, "bypass"));
    assert_eq!(head.header("content-length"), layer.size.to_string());
    assert_eq!(stage.double.counts().storage_bytes(), 0);
    let head = stage.api().head_manifest(REPO, "v1").await;
    assert_eq!(head.header("docker-content-digest"), layout.top.digest);
    assert_eq!(head.header("content-length"), layout.top.size.to_string());
    assert!(head.body.is_empty());
    let absent = stage.api().head_blob(REPO, &sha256(b"absent")).await;
    assert_eq!(absent.status, 404);
}

#[tokio::test]
async fn a_range_of_a_cold_blob_is_served_from_the_fill_that_it_starts() {
    let Some(stage) = Stage::start().await else { return };
    let size = 3_000_000;
    // A tail is asked for by itself too, unless the download is there first.
    for (seed, range, part, downloads) in [
        (40, "bytes=0-99", 0..100, 1),
        (41, "bytes=1500000-1500099", 1_500_000..1_500_100, 1),
        (42, "bytes=2999000-", 2_999_000..size, 1),
        (43, "bytes=-10", size - 10..size, 2),
    ] {
        let content = noise(seed, size);
        let digest = stage.origin.push_blob(REPO, content.clone()).await;
        let answer = stage.api().get_range(REPO, &digest, range).await;
        assert_eq!(answer.status, 206, "{range}: {}", answer.text());
        let stated = format!("bytes {}-{}/{size}", part.start, part.end - 1);
        assert_eq!(answer.header("content-range"), stated);
        assert!(answer.body == content[part], "{range}");
        stage.wharfd.fills_are_over().await;
        let after = stage.api().get_blob(REPO, &digest).await;
        assert_eq!(after.header("wharf-cache"), "hit", "{range}");
        assert!(after.body == content);
        let served = stage.double.counts().served(Kind::StorageGet, &digest);
        assert!((1..=downloads).contains(&served), "{range}: {served}");
    }
    let digest = stage.origin.push_blob(REPO, "short").await;
    let beyond = stage.api().get_range(REPO, &digest, "bytes=5-").await;
    assert_eq!((beyond.status.as_u16(), beyond.header("content-range")), (416, "bytes */5"));
}

#[tokio::test]
async fn a_tag_is_asked_for_again_when_its_time_is_over_and_not_before() {
    for (ttl, asked) in [(0, 3), (3600, 0)] {
        let Some(stage) = Stage::start_with(|setup| setup.tag_ttl(ttl)).await else { return };
        let (_folder, layout) = plant(&stage, 5).await;
        assert_eq!(stage.api().get_manifest(REPO, "v1").await.status, 200);
        stage.double.reset_counts();
        for _ in 0..3 {
            let again = stage.api().get_manifest(REPO, "v1").await;
            assert_eq!(again.header("wharf-cache"), "hit");
            assert_eq!(again.header("docker-content-digest"), layout.top.digest);
        }
        let counts = stage.double.counts();
        assert_eq!(counts.total(Kind::ManifestHead), asked, "with a TTL of {ttl} s");
        assert_eq!(counts.total(Kind::ManifestGet), 0, "an unmoved tag is not fetched again");
    }
}

#[tokio::test]
async fn a_tag_that_moved_upstream_moves_here_when_its_time_is_over() {
    for (ttl, moves) in [(0, true), (3600, false)] {
        let Some(stage) = Stage::start_with(|setup| setup.tag_ttl(ttl)).await else { return };
        let (_old_folder, old) = plant(&stage, 6).await;
        stage.api().assert_serves(REPO, &old).await;
        let (_folder, new) = plant(&stage, 7).await;
        let found = stage.api().get_manifest(REPO, "v1").await;
        let expected = if moves { &new } else { &old };
        assert_eq!(found.header("docker-content-digest"), expected.top.digest);
        assert_eq!(found.header("wharf-cache"), if moves { "fill" } else { "hit" });
        // The tag's older manifest stays reachable by its digest.
        let by_digest = stage.api().get_manifest(REPO, &old.top.digest).await;
        assert_eq!((by_digest.status.as_u16(), by_digest.header("wharf-cache")), (200, "hit"));
    }
}

#[tokio::test]
async fn without_its_upstream_a_known_image_is_served_stale_and_an_unknown_one_is_an_error() {
    let Some(stage) = Stage::start_with(|setup| setup.tag_ttl(0)).await else { return };
    let (_folder, layout) = plant(&stage, 8).await;
    stage.api().assert_serves(REPO, &layout).await;
    stage.wharfd.fills_are_over().await;
    // Still there, but it cannot answer.
    let many = FaultRule { times: 100, ..FaultRule::next(Kind::ManifestHead, Fault::Unavailable) };
    stage.double.set_fault(many);
    let served = stage.api().get_manifest(REPO, "v1").await;
    assert_eq!((served.status.as_u16(), served.header("wharf-cache")), (200, "stale"));
    // Not there at all.
    let Stage { wharfd, double, .. } = stage;
    double.stop().await;
    let served = wharfd.api.get_manifest(REPO, "v1").await;
    assert_eq!((served.status.as_u16(), served.header("wharf-cache")), (200, "stale"));
    wharfd.api.assert_serves(REPO, &layout).await;
    // 429 as soon as the upstream is known to be down.
    let unknown = wharfd.api.get_manifest(REPO, "v2").await;
    assert!(matches!(unknown.status.as_u16(), 429 | 502), "{}", unknown.text());
    assert!(matches!(&*code(&unknown), "TOOMANYREQUESTS" | "UNKNOWN"), "{}", unknown.text());
    let unknown = wharfd.api.get_blob(REPO, &sha256(b"unknown")).await;
    assert!(matches!(unknown.status.as_u16(), 429 | 502), "{}", unknown.text());
}

#[tokio::test]
async fn an_upstream_that_says_gone_is_believed() {
    let Some(stage) = Stage::start_with(|setup| setup.tag_ttl(0)).await else { return };
    let (_folder, layout) = plant(&stage, 9).await;
    assert_eq!(stage.api().get_manifest(REPO, "v1").await.status, 200);
    let path = format!("/v2/{REPO}/manifests/{}", layout.top.digest);
    assert_eq!(stage.origin.delete(&path).await.status, 202);
    let gone = stage.api().get_manifest(REPO, "v1").await;
    assert_eq!((gone.status.as_u16(), code(&gone).as_str()), (404, "MANIFEST_UNKNOWN"));
    let never = stage.api().get_manifest(REPO, "never").await;
    assert_eq!((never.status.as_u16(), code(&never).as_str()), (404, "MANIFEST_UNKNOWN"));
    let blob = stage.api().get_blob(REPO, &sha256(b"never")).await;
    assert_eq!((blob.status.as_u16(), code(&blob).as_str()), (404, "BLOB_UNKNOWN"));
}

#[tokio::test]
async fn an_upstream_that_refuses_our_credentials_is_believed() {
    let Some(stage) = Stage::start_with(|setup| setup.tag_ttl(0)).await else { return };
    let (_folder, _layout) = plant(&stage, 10).await;
    assert_eq!(stage.api().get_manifest(REPO, "v1").await.status, 200);
    // Behind the same address, a registry with a changed admin password.
    let config = DoubleConfig::new(stage.registry.url())
        .account(Account::admin("publisher", "another secret"));
    let stricter = AcrDouble::start(config).await.unwrap();
    stage.front.point_to(stricter.addr());
    let Stage { wharfd, double, .. } = stage;
    double.stop().await;
    let refused = wharfd.api.get_manifest(REPO, "v1").await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (403, "DENIED"));
    assert!(stricter.counts().answered(Kind::Token, 401) > 0);
    assert!(!wharfd.log().contains("a secret"), "a password in the log");
}

#[tokio::test]
async fn what_one_repository_brought_is_not_served_to_another_that_lacks_it() {
    let Some(stage) = Stage::start().await else { return };
    let content = noise(11, 1_000_000);
    let digest = stage.origin.push_blob("team/a", content.clone()).await;
    assert_eq!(stage.api().get_blob("team/a", &digest).await.status, 200);
    stage.wharfd.fills_are_over().await;
    for _ in 0..2 {
        let stranger = stage.api().get_blob("team/b", &digest).await;
        assert_eq!((stranger.status.as_u16(), code(&stranger).as_str()), (404, "BLOB_UNKNOWN"));
        assert_eq!(stage.api().head_blob("team/b", &digest).await.status, 404);
    }
    // Once the upstream has the blob under this repository, one request is enough, because the
    // bytes are here already. Only the operator sees the hit; the client sees a fill.
    stage.origin.push_blob("team/b", content.clone()).await;
    let hits = stage.wharfd.metric(HITS).await;
    let shared = stage.api().get_blob("team/b", &digest).await;
    assert_eq!((shared.status.as_u16(), shared.header("wharf-cache")), (200, "fill"));
    assert!(shared.body == content);
    assert_eq!(stage.wharfd.metric(HITS).await, hits + 1);
    let line = eventually("the log line", async || {
        let log = stage.wharfd.log();
        let mut lines = log.lines().rev();
        lines
            .find(|line| line.contains("/v2/team/b/") && line.contains("status=200"))
            .map(str::to_owned)
    });
    assert!(line.await.contains("outcome=\"hit\""));
    assert_eq!(stage.api().get_blob("team/b", &digest).await.header("wharf-cache"), "hit");
    assert_eq!(stage.double.counts().served(Kind::StorageGet, &digest), 1);
}

#[tokio::test]
async fn lists_are_the_upstreams_under_our_links() {
    let start = Stage::start_with(|mut setup| {
        setup.double.habits.page_size = 2;
        setup
    });
    let Some(stage) = start.await else { return };
    let (_folder, layout) = plant(&stage, 12).await;
    let manifest = layout.read(&layout.images[0].manifest).unwrap();
    for tag in ["a", "b", "c"] {
        let put = stage.origin.put_manifest(
            REPO,
            tag,
            layout.images[0].manifest.media_type,
            manifest.clone(),
        );
        assert_eq!(put.await.status, 201);
    }
    let mut listed = Vec::new();
    let mut path = Some(format!("/v2/{REPO}/tags/list"));
    while let Some(asked) = path {
        let page = stage.api().get(&asked).await;
        assert_eq!(page.status, 200, "{}", page.text());
        let json = page.json().unwrap();
        assert_eq!(json["name"], REPO);
        listed.extend(json["tags"].as_array().unwrap().clone());
        let link = page.header("link");
        path = link.strip_prefix('<').and_then(|link| Some(link.split_once('>')?.0.to_owned()));
        assert!(listed.len() < 10, "the pages never end");
    }
    assert_eq!(listed, ["a", "b", "c", "v1"]);
    let unknown = stage.api().get("/v2/team/nobody/tags/list").await;
    assert_eq!((unknown.status.as_u16(), code(&unknown).as_str()), (404, "NAME_UNKNOWN"));
}
