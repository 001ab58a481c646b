//! Logging in with passwords and with long-lived tokens.

use std::time::{Duration, Instant};

use super::scene::{RULES, Scene, access_command, password};
use crate::fixture::code;

#[tokio::test(flavor = "multi_thread")]
async fn passwords_and_tokens_open_the_door_and_others_do_not() {
    let scene = Scene::set().await;
    let nobody = scene.nobody();
    assert_eq!(scene.alice().get("/v2/").await.status, 200);
    for (user, secret) in [
        ("alice", "wrong"),
        ("alice", ""),
        ("", ""),
        ("bob", "alice-password"),
        ("nobody", "alice-password"),
        ("Alice", "alice-password"),
        ("alice", "alice-password "),
        ("alice", &scene.token),
        ("ci-1", "wharf_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    ] {
        let answer = nobody.with_password(user, secret).get("/v2/").await;
        assert_eq!(
            (answer.status.as_u16(), code(&answer).as_str()),
            (401, "UNAUTHORIZED"),
            "{user}"
        );
        assert!(secret.is_empty() || !answer.text().contains(secret));
    }
    assert_eq!(nobody.with_password("ci-1", &scene.token).get("/v2/").await.status, 200);
    assert_eq!(nobody.with_token(&scene.token).get("/v2/").await.status, 200);
    nobody.with_password("ci-1", &scene.token).push_blob("team/app", "by ci").await;
    let log = scene.wharfd.log();
    assert!(!log.contains(&scene.token) && !log.contains("alice-password"), "{log}");
    for line in ["caller=\"alice\"", "caller=\"ci-1\"", "result=\"refused\"", "audit=\"login\""] {
        assert!(log.contains(line), "{line} is not in:\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_checked_once_and_then_costs_nothing() {
    let scene = Scene::set().await;
    let alice = scene.alice();
    for _ in 0..50 {
        assert_eq!(alice.get("/v2/").await.status, 200);
    }
    let logins = scene.wharfd.log().matches("by=\"password\"").count();
    assert_eq!(logins, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_passwords_is_told_to_wait_and_others_go_on() {
    let scene = Scene::set().await;
    assert_eq!(scene.alice().get("/v2/").await.status, 200);
    let guess = scene.nobody().with_password("alice", "guess");
    let mut waited = None;
    for _ in 0..40 {
        let answer = guess.get("/v2/").await;
        if answer.status == 429 {
            waited = Some(answer);
            break;
        }
        assert_eq!(answer.status, 401);
    }
    let waited = waited.expect("forty guesses are too many");
    assert!(waited.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(code(&waited), "TOOMANYREQUESTS");
    // The lockout touches neither logged-in users nor other users.
    assert_eq!(scene.alice().get("/v2/").await.status, 200);
    assert_eq!(scene.bob().get("/v2/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_logged_in_lately_is_not_locked_out_by_wrong_logins_behind_the_same_address() {
    let mut scene = Scene::set().await;
    assert_eq!(scene.alice().get("/v2/").await.status, 200);
    // After a reload no user is logged in any more, but the counts of right and wrong logins stay.
    let reloads = "wharfd_config_reloads_total{result=\"success\"}";
    let reload = async |scene: &mut Scene| {
        let before = scene.wharfd.metric(reloads).await;
        scene.wharfd.hang_up();
        scene.wharfd.metric_reaches(reloads, before + 1).await;
    };
    let fail = async |scene: &Scene, user: &str| {
        scene.nobody().with_password(user, "wrong").get("/v2/").await.status.as_u16()
    };
    let mut statuses = Vec::new();
    for number in 0..80 {
        statuses.push(fail(&scene, &format!("user-{number}")).await);
    }
    assert!(statuses.contains(&401) && statuses.contains(&429), "{statuses:?}");
    reload(&mut scene).await;
    assert_eq!(
        scene.alice().get("/v2/").await.status,
        200,
        "a name that was good keeps its counter"
    );
    let mut statuses = Vec::new();
    for _ in 0..20 {
        statuses.push(fail(&scene, "alice").await);
    }
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
    reload(&mut scene).await;
    assert_eq!(scene.alice().get("/v2/").await.status, 200, "and so does the very login");
    let checks = scene.wharfd.log().matches("caller=\"alice\" by=\"password\"").count();
    assert_eq!(checks, 3, "each was checked");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_typed_as_a_name_is_not_written_down_when_it_is_refused() {
    let scene = Scene::set().await;
    let guess = |user: &str| scene.nobody().with_password(user, "wrong");
    for user in ["bob", "planted-typed-name"] {
        for path in ["/v2/", "/v2/bob/app/manifests/v1", "/token?scope=repository:x:pull"] {
            assert_eq!(guess(user).get(path).await.status, 401);
        }
        for _ in 0..20 {
            guess(user).get("/v2/").await;
        }
    }
    let log = scene.wharfd.log();
    for word in ["caller=\"bob\"", "planted-typed-name"] {
        assert_eq!(log.lines().find(|line| line.contains(word)), None, "{word}");
    }
    for result in ["refused", "held back"] {
        let line =
            format!("caller=\"unknown\" by=\"password\" client=127.0.0.1 result=\"{result}\"");
        assert!(log.contains(&line), "{line} is not in:\n{log}");
    }
    assert!(!scene.wharfd.metrics().await.contains("planted-typed-name"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_speaks_for_others_without_being_trusted_is_warned_of_once() {
    let scene = Scene::set().await;
    let said = |header: &'static str, value: &'static str| {
        scene.nobody().call(http::Method::GET, "/v2/").header(header, value).send()
    };
    for _ in 0..3 {
        assert_eq!(said("x-forwarded-for", "192.0.2.1").await.unwrap().status, 401);
        assert_eq!(said("forwarded", "for=192.0.2.1").await.unwrap().status, 401);
    }
    let log = scene.wharfd.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("trusted_proxies")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("WARN") && lines[0].contains("127.0.0.1"), "{}", lines[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_not_there_takes_as_long_as_one_that_is() {
    let rules = RULES.to_owned();
    let scene = Scene::with("", &rules, "").await;
    // A line with a cost high enough to measure.
    let (made, line, error) = access_command(&["hash-password", "slow"], "slow-password\n");
    assert!(made, "{error}");
    std::fs::write(scene.folder.path().join("htpasswd"), line).unwrap();
    let mut scene = scene;
    scene.wharfd.stop().await;
    scene.wharfd.start_again().await;
    // In turns, so other load slows both.
    let (mut known, mut unknown) = (Duration::MAX, Duration::MAX);
    for _ in 0..8 {
        for (name, least) in [("slow", &mut known), ("nobody", &mut unknown)] {
            let api = scene.wharfd.api.with_password(name, "a wrong password");
            let begun = Instant::now();
            assert_eq!(api.get("/v2/").await.status, 401);
            *least = begun.elapsed().min(*least);
        }
    }
    let ratio = known.as_secs_f64() / unknown.as_secs_f64();
    assert!((0.5..2.0).contains(&ratio), "{known:?} against {unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_tokens_and_rules_are_those_of_the_files_at_the_start() {
    let mut scene = Scene::set().await;
    let (blob, _) = scene.plant("team/app").await;
    let alice = scene.alice();
    assert_eq!(alice.get_blob("team/app", &blob).await.status, 200);
    // A token of ours, valid by itself.
    let given = alice.get("/token?scope=repository:team/app:pull").await.json().unwrap();
    let given = given["token"].as_str().unwrap().to_owned();
    assert_eq!(scene.nobody().with_token(&given).get_blob("team/app", &blob).await.status, 200);

    let path = scene.folder.path().join("htpasswd");
    let without: String = std::fs::read_to_string(&path).unwrap();
    let without: Vec<_> = without.lines().filter(|line| !line.starts_with("alice")).collect();
    std::fs::write(&path, without.join("\n")).unwrap();
    std::fs::write(scene.folder.path().join("tokens"), "").unwrap();
    scene.wharfd.stop().await;
    scene.wharfd.start_again().await;
    assert_eq!(scene.alice().get("/v2/").await.status, 401);
    assert_eq!(scene.nobody().with_token(&scene.token).get("/v2/").await.status, 401);
    assert_eq!(scene.nobody().with_token(&given).get_blob("team/app", &blob).await.status, 401);
    assert_eq!(scene.user("root").get_blob("team/app", &blob).await.status, 200);
    assert_eq!(password("root"), "root-password");
}
