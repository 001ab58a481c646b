//! The configuration, read again on SIGHUP while requests run.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wharf_double::{Fault, FaultRule, Kind};
use wharf_testkit::http::Client;
use wharf_testkit::images::sha256;

use super::{INDEX, REPO, TYPE, line_with};
use crate::fixture::{Api, Stage, USER, Wharfd, eventually, noise, upstream_lines};

const DONE: &str = "wharfd_config_reloads_total{result=\"success\"}";
const REFUSED: &str = "wharfd_config_reloads_total{result=\"refused\"}";

/// Rewrites the configuration and has it read; it counts afterwards.
async fn reload(wharfd: &mut Wharfd, change: impl FnOnce(String) -> String) {
    let before = wharfd.metric(DONE).await;
    wharfd.rewrite(change);
    wharfd.hang_up();
    wharfd.metric_reaches(DONE, before + 1).await;
}

#[tokio::test]
async fn a_good_configuration_counts_at_once_and_its_changes_are_written_down() {
    let lines = "scrub_rate = \"1MiB\"\nwrite_once_tags = [\"v*\"]\n";
    let mut wharfd = Wharfd::with_config(lines).await;
    let put = async |wharfd: &Wharfd, tag: &str, content: &'static str| {
        wharfd.api.put_manifest(REPO, tag, TYPE, content).await.status.as_u16()
    };
    let other = "{\"schemaVersion\":2,\"manifests\":[],\"annotations\":{\"a\":\"b\"}}";
    assert_eq!((put(&wharfd, "v1", INDEX).await, put(&wharfd, "v1", other).await), (201, 409));
    let at_start = wharfd.metric("wharfd_config_last_reload_success_timestamp_seconds").await;
    assert!(at_start > 1_700_000_000);
    reload(&mut wharfd, |text| {
        let text = text.replace("scrub_rate = \"1MiB\"\n", "trusted_proxies = [\"127.0.0.1\"]\n");
        text.replace("[\"v*\"]", "[\"w*\"]").replace("admin = \"127.0.0.1:0\"\n", "")
    })
    .await;
    assert_eq!((put(&wharfd, "v1", other).await, put(&wharfd, "w1", INDEX).await), (201, 201));
    assert_eq!(put(&wharfd, "w1", other).await, 409);
    let call = wharfd.api.call(http::Method::GET, "/v2/").header("x-forwarded-for", "203.0.113.7");
    assert_eq!(call.send().await.unwrap().status, 200);
    line_with(&wharfd, &["client=203.0.113.7"]).await;
    wharfd.metric_reaches("wharfd_scrub_passes_total", 1).await;
    assert_eq!(wharfd.metric("wharfd_scrub_rate_bytes").await, 0);
    for words in [
        &["INFO configuration: - scrub_rate \"1MiB\""][..],
        &["INFO configuration: + trusted_proxies [\"127.0.0.1\"]"],
        &["INFO configuration: ~ write_once_tags [\"v*\"] -> [\"w*\"]"],
        &["WARN configuration, at the next start only: - admin \"127.0.0.1:0\""],
        &["the configuration was read again", "changes=4"],
        &["audit=\"reload\"", "result=\"done\""],
    ] {
        line_with(&wharfd, words).await;
    }
    // Nothing is another: no line.
    reload(&mut wharfd, |text| text).await;
    line_with(&wharfd, &["the configuration was read again", "changes=0"]).await;
}

/// A put whose body is on its way while another configuration comes into force is judged by the
/// rules that it began with, the next one by the others.
#[tokio::test]
async fn a_request_keeps_the_rules_that_it_began_with() {
    let mut wharfd = Wharfd::with_config("write_once_tags = [\"v*\"]\n").await;
    assert_eq!(wharfd.api.put_manifest(REPO, "v1", TYPE, INDEX).await.status, 201);
    let other = "{\"schemaVersion\":2,\"manifests\":[],\"annotations\":{\"a\":\"b\"}}";
    let (first, rest) = other.split_at(20);
    let mut stream = TcpStream::connect(wharfd.host()).await.unwrap();
    let head = format!(
        "PUT /v2/{REPO}/manifests/v1 HTTP/1.1\r\nhost: localhost\r\ncontent-type: {TYPE}\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{first}",
        other.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    wharfd.metric_reaches("wharfd_requests_in_flight", 1).await;
    reload(&mut wharfd, |text| text.replace("[\"v*\"]", "[\"w*\"]")).await;
    stream.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 409 "), "{answer}");
    assert_eq!(wharfd.api.get_manifest(REPO, "v1").await.text(), INDEX);
    assert_eq!(wharfd.api.put_manifest(REPO, "v1", TYPE, other).await.status, 201);
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_and_the_old_one_stays() {
    let mut wharfd = Wharfd::with_config("write_once_tags = [\"v*\"]\n").await;
    let put = async |wharfd: &Wharfd, content: &'static str| {
        wharfd.api.put_manifest(REPO, "v1", TYPE, content).await.status.as_u16()
    };
    assert_eq!(put(&wharfd, INDEX).await, 201);
    let wrong = [
        ("nonsense = 1\n", "unknown field `nonsense`"),
        ("[[upstream]]\nurl = \"https://h/path\"\n", "a path is not supported"),
        ("store_limit = \"1MiB\"\n", "is too small"),
        ("audit_log = \"/none/audit.log\"\n", "/none/audit.log"),
        ("client_secret = \"planted-in-config\"\n", "seems to be about a secret"),
    ];
    for (number, (line, reason)) in wrong.into_iter().enumerate() {
        let mut before = String::new();
        wharfd.rewrite(|text| {
            before.clone_from(&text);
            text.replace("write_once_tags = [\"v*\"]\n", "") + line
        });
        wharfd.hang_up();
        wharfd.metric_reaches(REFUSED, number as u64 + 1).await;
        line_with(&wharfd, &["ERROR", "the old one stays", reason]).await;
        assert_eq!(put(&wharfd, "{\"schemaVersion\":2,\"manifests\":[ ]}").await, 409);
        wharfd.rewrite(|_| before);
    }
    assert_eq!(wharfd.metric(DONE).await, 0);
    assert!(!wharfd.log().contains("planted"), "{}", wharfd.log());
    line_with(&wharfd, &["audit=\"reload\"", "result=\"refused\""]).await;
}

/// An upstream of the same double under a prefix.
fn prefixed(stage: &Stage, prefix: &str) -> String {
    let lines = upstream_lines(&stage.double.url(), USER);
    lines.replace("[[upstream]]\n", &format!("[[upstream]]\nprefix = \"{prefix}\"\n"))
}

#[tokio::test]
async fn upstreams_come_and_go_while_pulls_run() {
    let Some(mut stage) = Stage::start().await else { return };
    let content = noise(7, 8_000_000);
    let digest = stage.origin.push_blob(REPO, content.clone()).await;
    stage.origin.put_manifest(REPO, "v1", TYPE, INDEX).await;
    // A partly received download.
    stage.storage.hold_after(1_000_000);
    let api = stage.api().clone();
    let pull = {
        let (api, digest) = (api.clone(), digest.clone());
        tokio::spawn(async move { api.get_blob(REPO, &digest).await })
    };
    stage.wharfd.metric_reaches("wharfd_fills", 1).await;
    let asked = format!("wharfd_upstream_requests_total{{upstream=\"{}\"}}", stage.front.url());
    let before = stage.wharfd.metric(&asked).await;
    // Another upstream beside it: the first keeps its client and its counters.
    let more = prefixed(&stage, "more");
    reload(&mut stage.wharfd, |text| text + &more).await;
    assert!(stage.wharfd.metric(&asked).await >= before && before > 0);
    assert_eq!(api.get_manifest(&format!("more/{REPO}"), "v1").await.status, 200);
    assert_eq!(api.get_manifest(REPO, "v1").await.status, 200);
    let tokens = stage.double.counts().total(Kind::Token);
    assert_eq!(api.get_manifest(REPO, "v2").await.status, 404);
    assert_eq!(stage.double.counts().total(Kind::Token), tokens, "the first one kept its tokens");
    // Without the first upstream: its running download is finished, and no new request goes there.
    let first = upstream_lines(&stage.front.url(), USER);
    reload(&mut stage.wharfd, |text| text.replace(&first, "")).await;
    assert_eq!(api.get_manifest(REPO, "v1").await.status, 404);
    assert_eq!(api.get_manifest(&format!("more/{REPO}"), "v1").await.status, 200);
    stage.storage.release();
    let pulled = pull.await.unwrap();
    assert!(pulled.status == 200 && pulled.body == content, "the transfer was harmed");
    line_with(&stage.wharfd, &[&digest, "cut_off=false", "status=200"]).await;
    let page = stage.wharfd.admin("/metrics").await.text();
    assert!(!page.contains(&format!("upstream=\"{}\"", stage.front.url())), "it is still there");
}

#[tokio::test]
async fn an_upload_goes_on_to_the_upstream_that_it_began_with() {
    let Some(mut stage) = Stage::start().await else { return };
    let content = noise(8, 3_000_000);
    let location = stage.api().open_upload(REPO).await;
    let (head, tail) = content.split_at(1_000_000);
    let patched = stage.api().patch(&location).bytes(head.to_vec()).send().await.unwrap();
    assert_eq!(patched.status, 202);
    let first = upstream_lines(&stage.front.url(), USER);
    let more = prefixed(&stage, "more");
    reload(&mut stage.wharfd, |text| text.replace(&first, &more)).await;
    let ended = stage.api().end_upload(&location, &sha256(&content), tail.to_vec()).await;
    assert_eq!(ended.status, 201, "{}", ended.text());
    assert!(stage.origin.get_blob(REPO, &sha256(&content)).await.body == content);
}

#[tokio::test]
async fn what_is_owed_is_delivered_when_its_upstream_comes_back() {
    let staged = |mut setup: crate::fixture::Setup| {
        setup.upstream.push_str("push = \"staged\"\n");
        setup
    };
    let Some(mut stage) = Stage::start_with(staged).await else { return };
    let hour = Duration::from_hours(1);
    let fault = FaultRule::next(Kind::UploadPost, Fault::Unavailable).during(hour);
    stage.double.set_fault(fault);
    let content = noise(9, 200_000);
    let digest = stage.api().push_blob(REPO, content.clone()).await;
    stage.wharfd.metric_reaches("wharfd_pending_blobs", 1).await;
    let mut before = String::new();
    let keep = &mut before;
    let elsewhere = prefixed(&stage, "more");
    reload(&mut stage.wharfd, |text| {
        keep.clone_from(&text);
        let (head, _) = text.split_once("[[upstream]]").unwrap();
        format!("{head}{elsewhere}")
    })
    .await;
    // The delivery keeps its upstream, under any configuration meanwhile.
    line_with(&stage.wharfd, &["does not belong to", &digest]).await;
    stage.double.clear_faults();
    assert_eq!(stage.origin.head_blob(REPO, &digest).await.status, 404);
    reload(&mut stage.wharfd, |_| before).await;
    let over = async || (stage.wharfd.metric("wharfd_pending_blobs").await == 0).then_some(());
    eventually("the end of all deliveries", over).await;
    assert!(stage.origin.get_blob(REPO, &digest).await.body == content);
}

#[tokio::test]
async fn reloads_in_a_row_harm_no_request() {
    let Some(mut stage) = Stage::start().await else { return };
    let content = noise(10, 500_000);
    let digest = stage.origin.push_blob(REPO, content.clone()).await;
    let api = Api::new(stage.api().base().to_owned(), Client::new());
    let pulls = tokio::spawn(async move {
        for _ in 0..60 {
            let answer = api.get_blob(REPO, &digest).await;
            assert!(answer.status == 200 && answer.body == content, "{}", answer.status);
        }
    });
    let mut number = 0;
    while !pulls.is_finished() {
        number += 1;
        let ttl = format!("tag_ttl_seconds = {number}\n");
        reload(&mut stage.wharfd, |text| {
            let kept = text.split_inclusive('\n');
            let kept = kept.filter(|line| !line.starts_with("tag_ttl_seconds"));
            kept.collect::<String>() + &ttl
        })
        .await;
    }
    pulls.await.unwrap();
    assert!(number > 0);
}
