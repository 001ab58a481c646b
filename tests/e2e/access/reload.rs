//! Rules, files and limits reloaded on SIGHUP, and the log's lines about callers.

use http::header::AUTHORIZATION;

use super::scene::{RULES, Scene, TINY_MANIFEST_TYPE};
use crate::fixture::eventually;

const DONE: &str = "wharfd_config_reloads_total{result=\"success\"}";
const REFUSED: &str = "wharfd_config_reloads_total{result=\"refused\"}";

async fn logged(scene: &Scene, words: &[&str]) {
    let has = |line: &str| words.iter().all(|word| line.contains(word));
    let look = async || scene.wharfd.log().lines().any(has).then_some(());
    eventually(&format!("a line with {words:?}"), look).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_files_and_limits_count_at_once_after_sighup_and_wrong_ones_never() {
    let mut scene = Scene::set().await;
    scene.plant("team/app").await;
    let (alice, bob) = (scene.alice(), scene.bob());
    let get =
        async |api: &crate::fixture::Api| api.get_manifest("team/app", "1.0").await.status.as_u16();
    assert_eq!((get(&alice).await, get(&bob).await), (200, 403));
    // Bob may, alice is gone from the file, and manifests are small from now on.
    let passwords = scene.folder.path().join("htpasswd");
    let text = std::fs::read_to_string(&passwords).unwrap();
    let others: Vec<_> = text.lines().filter(|line| !line.starts_with("alice")).collect();
    std::fs::write(&passwords, others.join("\n")).unwrap();
    let small = "[limits]\nmanifest_bytes = \"64KiB\"\n";
    scene.wharfd.rewrite(|text| text.replace("\"bob/*\"", "\"bob/*\", \"team/*\"") + small);
    scene.wharfd.hang_up();
    scene.wharfd.metric_reaches(DONE, 1).await;
    assert_eq!((get(&alice).await, get(&bob).await), (401, 200));
    let large = bob.put_manifest("bob/app", "1.0", TINY_MANIFEST_TYPE, "x".repeat(65_537)).await;
    assert_eq!(large.status, 413);
    // An invalid rule changes nothing.
    scene.wharfd.rewrite(|text| text.replace("\"team/*\"]", "\"Team\"]"));
    scene.wharfd.hang_up();
    scene.wharfd.metric_reaches(REFUSED, 1).await;
    assert_eq!(get(&bob).await, 200);
    assert!(RULES.contains("\"team/*\"]"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_line_of_a_request_says_who_asked_also_for_a_token() {
    let scene = Scene::set().await;
    scene.plant("team/app").await;
    let alice = scene.alice();
    assert_eq!(alice.get_manifest("team/app", "1.0").await.status, 200);
    logged(&scene, &["caller=\"alice\"", "route=\"manifest\"", "status=200"]).await;
    let refused = alice.put_manifest("base", "1.0", TINY_MANIFEST_TYPE, "{}").await;
    assert_eq!(refused.status, 403);
    logged(&scene, &["audit=\"push\"", "repo=base", "alice", "result=\"refused\""]).await;
    let token = alice.get("/token?service=wharfd&scope=repository:team/app:pull").await;
    assert_eq!(token.status, 200);
    logged(&scene, &["caller=\"alice\"", "path=\"/token\"", "status=200"]).await;
    let secret: serde_json::Value = serde_json::from_slice(&token.body).unwrap();
    let secret = secret["token"].as_str().unwrap();
    let by_token = scene.nobody().call(http::Method::GET, "/v2/team/app/manifests/1.0");
    let by_token = by_token.header(AUTHORIZATION.as_str(), format!("Bearer {secret}"));
    assert_eq!(by_token.send().await.unwrap().status, 200);
    let log = scene.wharfd.log();
    assert!(!log.contains(secret) && !log.contains("alice-password"), "{log}");
}
