//! Tokens of ours live for their stated time: over a stop, over `kill -9`, and over a reload of
//! changed files, unless their user is gone.

use super::scene::Scene;
use crate::fixture::Api;

const PULL: &str = "/token?service=wharfd&scope=repository:team/app:pull";

async fn token(api: &Api) -> String {
    let answer = api.get(PULL).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json().unwrap()["token"].as_str().unwrap().to_owned()
}

/// The status for the holder of each token, in turn.
async fn opens(scene: &Scene, tokens: &[&String]) -> Vec<u16> {
    let mut statuses = Vec::new();
    for token in tokens {
        let answer = scene.nobody().with_token(token).get_manifest("team/app", "1.0").await;
        statuses.push(answer.status.as_u16());
    }
    statuses
}

async fn reload(scene: &mut Scene, number: u64) {
    scene.wharfd.hang_up();
    scene.wharfd.metric_reaches("wharfd_config_reloads_total{result=\"success\"}", number).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_lives_over_stops_kills_and_reloads_and_ends_with_its_user() {
    let mut scene = Scene::set().await;
    scene.plant("team/app").await;
    // Of a password, and of a token of ours.
    let alice = token(&scene.alice()).await;
    let ci = token(&scene.nobody().with_password("ci-1", &scene.token)).await;
    // The first thing after the first start: the key of our tokens is on disk.
    scene.wharfd.kill();
    scene.wharfd.start_again().await;
    assert_eq!(opens(&scene, &[&alice, &ci]).await, [200, 200]);
    assert!(scene.wharfd.stop().await.success());
    scene.wharfd.start_again().await;
    assert_eq!(opens(&scene, &[&alice, &ci]).await, [200, 200]);

    // Other users, another life of tokens, and other rules for others.
    let passwords = scene.folder.path().join("htpasswd");
    let text = std::fs::read_to_string(&passwords).unwrap();
    let without = |name: &str| {
        let lines = text.lines().filter(|line| !line.starts_with(name));
        lines.fold(String::new(), |all, line| format!("{all}{line}\n"))
    };
    std::fs::write(&passwords, without("bob")).unwrap();
    scene.wharfd.rewrite(|text| {
        text.replace("kind = \"users\"\n", "kind = \"users\"\ntoken_lifetime_seconds = 60\n")
            .replace("\"bob/*\"", "\"bobs/*\"")
    });
    reload(&mut scene, 1).await;
    assert_eq!(opens(&scene, &[&alice, &ci]).await, [200, 200]);
    let young = token(&scene.alice()).await;
    assert_eq!(opens(&scene, &[&young]).await, [200]);

    // Alice is gone.
    std::fs::write(&passwords, without("alice")).unwrap();
    reload(&mut scene, 2).await;
    assert_eq!(opens(&scene, &[&alice, &young, &ci]).await, [401, 401, 200]);
    scene.wharfd.kill();
    scene.wharfd.start_again().await;
    assert_eq!(opens(&scene, &[&alice, &ci]).await, [401, 200]);
}
