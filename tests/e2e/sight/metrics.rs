//! The metrics page under load, and its figures of each upstream.

use tokio::task::JoinSet;

use super::page::{Page, parse};
use super::{INDEX, REPO, TYPE};
use crate::fixture::{Stage, Wharfd, noise};

async fn page(wharfd: &Wharfd) -> Page {
    let answer = wharfd.admin("/metrics").await;
    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"));
    parse(&answer.text())
}

#[tokio::test]
async fn the_page_is_what_prometheus_reads_while_requests_run() {
    let Some(stage) = Stage::start().await else { return };
    let content = noise(3, 2_000_000);
    let digest = stage.origin.push_blob(REPO, content.clone()).await;
    stage.origin.put_manifest(REPO, "v1", TYPE, INDEX).await;
    let mut clients = JoinSet::new();
    for number in 0..8 {
        let (api, digest, content) = (stage.api().clone(), digest.clone(), content.clone());
        clients.spawn(async move {
            for _ in 0..10 {
                assert!(api.get_blob(REPO, &digest).await.body == content);
                assert_eq!(api.get_manifest(REPO, "v1").await.status, 200);
                api.get_manifest(REPO, &format!("none-{number}")).await;
                api.push_blob(&format!("{REPO}-{number}"), noise(number, 50_000)).await;
            }
        });
    }
    let mut before = 0.0;
    while !clients.is_empty() {
        let page = page(&stage.wharfd).await;
        let requests: f64 = page.find("wharfd_requests_total", &[]).iter().map(|r| r.value).sum();
        assert!(requests >= before, "a counter fell");
        before = requests;
        while let Some(ended) = clients.try_join_next() {
            ended.unwrap();
        }
        tokio::task::yield_now().await;
    }
    let page = page(&stage.wharfd).await;
    let blobs = [("route", "blob"), ("status", "2xx")];
    assert!(page.value("wharfd_request_seconds_count", &blobs) >= 80.0);
    let sent = page.value("wharfd_sent_bytes_total", &[]);
    assert!(sent >= 80.0 * 2_000_000.0, "{sent}");
    assert!(page.find("wharfd_request_seconds_count", &[("status", "4xx")]).len() == 1);
}

#[tokio::test]
async fn reads_bytes_and_tokens_are_counted_by_upstream() {
    let Some(stage) = Stage::start().await else { return };
    let content = noise(4, 1_000_000);
    let digest = stage.origin.push_blob(REPO, content.clone()).await;
    for _ in 0..3 {
        assert!(stage.api().get_blob(REPO, &digest).await.body == content);
        stage.wharfd.fills_are_over().await;
    }
    let page = page(&stage.wharfd).await;
    let label = stage.front.url();
    let of = |name: &str, more: (&str, &str)| page.value(name, &[("upstream", &label), more]);
    assert_eq!(of("wharfd_upstream_reads_total", ("outcome", "fill")).to_string(), "1");
    assert_eq!(of("wharfd_upstream_reads_total", ("outcome", "hit")).to_string(), "2");
    assert!(
        page.value("wharfd_upstream_reads_total", &[("upstream", "local"), ("outcome", "hit")])
            == 0.0
    );
    assert!(of("wharfd_upstream_tokens_total", ("result", "fetched")) >= 1.0);
    assert_eq!(of("wharfd_upstream_tokens_total", ("result", "failed")).to_string(), "0");
    assert!(of("wharfd_upstream_window", ("class", "read")) >= 1.0);
    let received = page.value("wharfd_upstream_received_bytes_total", &[("upstream", &label)]);
    assert!(received >= 1_000_000.0, "{received}");
    // Labels come from the configuration and from the code, never from requests.
    stage.api().get(&format!("/v2/{REPO}/manifests/planted-label?ns=planted.example")).await;
    assert!(!stage.wharfd.admin("/metrics").await.text().contains("planted"));
}
