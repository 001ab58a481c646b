//! When an upstream is left alone: when it is out, and not when one thing of it always fails.

use std::time::Duration;

use wharf_double::{Fault, FaultRule, Kind};
use wharf_testkit::http::{Answer, Client};
use wharf_testkit::images::sha256;
use wharf_testkit::registry::Registry;

use crate::fixture::{Api, Stage, Wharfd, eventually, noise};

const HOUR: Duration = Duration::from_hours(1);
const UNAVAILABLE: Fault = Fault::Status { code: 503, retry_after_s: None };

/// `wharfd` before `docker-registry` itself, with its habits.
struct Plain {
    wharfd: Wharfd,
    origin: Api,
    registry: Registry,
}

impl Plain {
    async fn start() -> Option<Self> {
        let registry = Registry::start().await.unwrap()?;
        let upstream = format!("[[upstream]]\nurl = \"{}\"\n", registry.url());
        let wharfd = Wharfd::with_config(&upstream).await;
        let origin = Api::new(registry.url(), Client::new());
        Some(Self { wharfd, origin, registry })
    }

    async fn breaker(&self) -> u64 {
        let name = format!("wharfd_upstream_breaker{{upstream=\"{}\"}}", self.registry.url());
        self.wharfd.metric(&name).await
    }

    /// New content of another repository is served.
    async fn assert_serves_others(&self, seed: u64) {
        let content = noise(seed, 10_000);
        let digest = self.origin.push_blob("other/app", content.clone()).await;
        let answer = self.wharfd.api.get_blob("other/app", &digest).await;
        assert!(answer.status == 200 && answer.body == content, "{}", answer.text());
        assert_eq!(self.breaker().await, 0);
    }
}

#[tokio::test]
async fn manifests_that_are_layers_are_no_outage_however_many_are_asked_for_how_often() {
    let Some(plain) = Plain::start().await else { return };
    let api = &plain.wharfd.api;
    let mut layers = Vec::new();
    for seed in 0..6 {
        layers.push(plain.origin.push_blob("acme/web", noise(seed, 5_000)).await);
    }
    // The case under test: the registry answers 500 although it is well.
    assert_eq!(plain.origin.get_manifest("acme/web", &layers[0]).await.status, 500);
    for (seed, layer) in (100..).zip(&layers) {
        let one = async || api.get_manifest("acme/web", layer).await;
        let all: [Answer; 4] = tokio::join!(one(), one(), one(), one()).into();
        assert!(all.iter().all(|answer| answer.status.as_u16() >= 400), "{all:?}");
        plain.assert_serves_others(seed).await;
    }
}

#[tokio::test]
async fn a_manifest_with_a_foreign_layer_is_no_outage() {
    let Some(plain) = Plain::start().await else { return };
    let config = plain.origin.push_blob("acme/web", "{}").await;
    let descriptor = |media_type: &str, digest: &str, size: u64| serde_json::json!({ "mediaType": media_type, "digest": digest, "size": size });
    let mut foreign = descriptor(
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        &sha256(b"elsewhere"),
        9,
    );
    foreign["urls"] = serde_json::json!(["https://layers.example.com/elsewhere"]);
    let media_type = "application/vnd.docker.distribution.manifest.v2+json";
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type, "layers": [foreign],
        "config": descriptor("application/vnd.docker.container.image.v1+json", &config, 2),
    });
    for seed in 0..4 {
        let tag = format!("v{seed}");
        let api = &plain.wharfd.api;
        let put = api.put_manifest("acme/web", &tag, media_type, manifest.to_string()).await;
        assert_ne!(put.status, 429, "{}", put.text());
        let layer = api.get_blob("acme/web", &sha256(b"elsewhere")).await;
        assert!(layer.status.as_u16() >= 400, "{}", layer.status);
        plain.assert_serves_others(seed + 200).await;
    }
}

/// The gauge of the breaker before the double.
async fn breaker(stage: &Stage) -> u64 {
    let name = format!("wharfd_upstream_breaker{{upstream=\"{}\"}}", stage.front.url());
    stage.wharfd.metric(&name).await
}

#[tokio::test]
async fn one_request_is_enough_to_find_out_that_everything_is_unavailable() {
    let Some(stage) = Stage::start().await else { return };
    let digest = stage.origin.push_blob("acme/web", noise(1, 10_000)).await;
    // With a token at hand: where tokens are given out there are tries of their own.
    assert_eq!(stage.api().get_manifest("acme/web", "absent").await.status, 404);
    let everything = FaultRule { kind: None, ..FaultRule::next(Kind::Other, UNAVAILABLE) };
    stage.double.set_fault(everything.during(HOUR));
    let failed = stage.api().get_blob("acme/web", &digest).await;
    assert_eq!(failed.status, 429, "{}", failed.text());
    assert!(!failed.header("retry-after").is_empty());
    assert_eq!(breaker(&stage).await, 2);
    stage.double.reset_counts();
    let others = stage.api().get_manifest("other/app", "v1").await;
    assert_eq!(others.status, 429, "{}", others.text());
    assert_eq!(stage.double.counts().total(Kind::ManifestGet), 0, "it is left alone");
    stage.double.clear_faults();
    let back =
        async || (stage.api().get_blob("acme/web", &digest).await.status == 200).then_some(());
    eventually("the upstream to be asked again", back).await;
    assert_eq!(breaker(&stage).await, 0);
}

#[tokio::test]
async fn a_gateway_that_answers_for_a_registry_that_does_not_is_an_outage() {
    let Some(stage) = Stage::start().await else { return };
    for kind in [Kind::ManifestGet, Kind::ManifestHead, Kind::BlobGet, Kind::BlobHead] {
        stage.double.set_fault(FaultRule::next(kind, UNAVAILABLE).during(HOUR));
    }
    let one = async || {
        stage.api().get_manifest("acme/web", "v1").await;
        breaker(&stage).await
    };
    for _ in 0..3 {
        assert_eq!(one().await, 0, "one repository says nothing of the others");
    }
    let digest = sha256(b"absent");
    let mut number = 0;
    let open = async || {
        number += 1;
        stage.api().head_blob(&format!("acme/app-{}", number % 5), &digest).await;
        (breaker(&stage).await == 2).then_some(())
    };
    eventually("the upstream to be left alone", open).await;
}

#[tokio::test]
async fn a_request_that_hangs_does_not_keep_others_from_an_upstream_that_is_back() {
    let Some(stage) = Stage::start().await else { return };
    let digest = stage.origin.push_blob("acme/web", noise(1, 10_000)).await;
    assert_eq!(stage.api().get_manifest("acme/web", "absent").await.status, 404);
    let everything = FaultRule { kind: None, ..FaultRule::next(Kind::Other, UNAVAILABLE) };
    stage.double.set_fault(everything.during(HOUR));
    assert_eq!(stage.api().get_manifest("acme/web", "v1").await.status, 429);
    assert_eq!(breaker(&stage).await, 2);
    stage.double.clear_faults();
    let hangs = FaultRule::next(Kind::ManifestGet, Fault::Hang).in_repos("mallory/");
    stage.double.set_fault(hangs.during(HOUR));
    let api = stage.api().clone();
    // The first probing request hangs.
    let mallory = tokio::spawn(async move {
        loop {
            api.get_manifest("mallory/web", "v1").await;
        }
    });
    eventually("it to hang", async || (stage.double.held() > 0).then_some(())).await;
    let other = stage.api().get_blob("acme/web", &digest).await;
    assert_eq!(other.status, 200, "{}", other.text());
    assert_eq!(breaker(&stage).await, 0);
    mallory.abort();
}
