//! Callers unknown to the upstream: the number of upstream requests about them, their effect on
//! known callers, and the records of them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use wharf_double::{Account, Kind};
use wharf_testkit::http::{Answer, Client};

use super::gatekeeper::{Gatekeeper, KNOWN};
use super::scene::{ADMIN, ALICE, BOB, CAROL, SHOP, Scene, lines};
use super::{assert_login_wanted, blob};
use crate::fixture::{Api, Wharfd, code};

/// An address's burst of failed logins, refilled by one each second; for a name the burst is ten.
const ADDRESS_BURST: u64 = 60;
const NAME_BURST: u64 = 10;
/// Concurrent upstream requests about logins, and those of one address.
const AT_ONCE: usize = 8;
const AT_ONCE_EACH: usize = 2;

/// The same way from another address of this machine.
fn from(api: &Api, address: [u8; 4]) -> Api {
    Api::new(api.base().to_owned(), Client::from_address(IpAddr::from(address)))
}

/// A refusal with the time to wait.
fn assert_told_to_wait(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), code(answer).as_str()), (429, "TOOMANYREQUESTS"));
    assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
}

/// So many guesses, many at once: how many were answered how.
async fn guess(api: &Api, count: usize, user: impl Fn(usize) -> String) -> BTreeMap<u16, usize> {
    let (mut guesses, turns) = (JoinSet::new(), Arc::new(Semaphore::new(64)));
    for number in 0..count {
        let turn = Arc::clone(&turns).acquire_owned().await.unwrap();
        let api = api.with_password(&user(number), &format!("guess {number}"));
        guesses.spawn(async move {
            let answer = api.get("/v2/").await;
            drop(turn);
            if answer.status == 429 {
                assert_told_to_wait(&answer);
            }
            answer.status.as_u16()
        });
    }
    let mut statuses = BTreeMap::new();
    for status in guesses.join_all().await {
        *statuses.entry(status).or_default() += 1;
    }
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_guesses_reaches_the_upstream_a_few_times_and_keeps_nobody_out() {
    let Some(scene) = Scene::set().await else { return };
    let digest = scene.origin.push_blob(SHOP, "content").await;
    assert_eq!(scene.by(ALICE).get_blob(SHOP, &digest).await.status, 200);
    scene.double.reset_counts();
    let began = Instant::now();
    let flood = tokio::spawn({
        let api = from(&scene.wharfd.api, [127, 0, 0, 2]);
        // Names without end, and hers again and again.
        let user = |number| if number % 2 == 0 { "alice".to_owned() } else { format!("u{number}") };
        async move { guess(&api, 3_000, user).await }
    });
    let mut served = 0;
    while !flood.is_finished() {
        assert_eq!(scene.by(ALICE).get_blob(SHOP, &digest).await.status, 200);
        // A separate upstream request, and a caller without any earlier request.
        assert_eq!(
            scene.by(CAROL).head_blob(&format!("acme/n{served}"), &digest).await.status,
            404
        );
        served += 1;
    }
    assert_eq!(scene.by(ADMIN).get("/v2/").await.status, 200);
    assert!(served > 0);
    let statuses = flood.await.unwrap();
    assert!(statuses.keys().all(|status| [401, 429].contains(status)), "{statuses:?}");
    let asked = scene.double.counts().answered(Kind::Token, 401);
    let most = ADDRESS_BURST + began.elapsed().as_secs() + 1;
    assert!((1..=most).contains(&asked), "{asked} of at most {most}; {statuses:?}");
    let refused = scene.wharfd.metric("wharfd_limit_refusals_total{limit=\"logins\"}").await;
    assert!(refused > 2_000, "{refused}");
    let breaker = format!("wharfd_upstream_breaker{{upstream=\"{}\"}}", scene.double.url());
    assert_eq!(scene.wharfd.metric(&breaker).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_guessed_at_is_asked_about_a_few_times() {
    let Some(scene) = Scene::set().await else { return };
    let began = Instant::now();
    let api = from(&scene.wharfd.api, [127, 0, 0, 2]);
    guess(&api, 300, |_| "alice".to_owned()).await;
    let asked = scene.double.counts().answered(Kind::Token, 401);
    let most = NAME_BURST + began.elapsed().as_secs() / 6 + 1;
    assert!((1..=most).contains(&asked), "{asked} of at most {most}");
    // Alice differs from the guesser, even without an earlier login.
    assert_eq!(scene.by(ALICE).get("/v2/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn right_logins_are_not_locked_out_by_wrong_ones_behind_their_address() {
    let Some(mut scene) = Scene::set().await else { return };
    assert_eq!(scene.by(ALICE).get("/v2/").await.status, 200);
    let (api, began) = (scene.wharfd.api.clone(), Instant::now());
    let statuses = guess(&api, 300, |number| format!("u{number}")).await;
    assert!(statuses[&429] > 0, "{statuses:?}");
    guess(&api, 50, |_| "alice".to_owned()).await;
    let alice = scene.by(ALICE);
    for number in 0..20 {
        let path = format!("/v2/acme/n{number}/tags/list");
        assert_eq!(alice.get(&path).await.status, 403, "asked anew, and known");
    }
    // Over a reload, too; failures before the reload count after it.
    let reloads = "wharfd_config_reloads_total{result=\"success\"}";
    let before = scene.wharfd.metric(reloads).await;
    scene.wharfd.rewrite(|config| format!("{config}tag_ttl_seconds = 77\n"));
    scene.wharfd.hang_up();
    scene.wharfd.metric_reaches(reloads, before + 1).await;
    scene.double.reset_counts();
    assert_eq!(scene.by(ALICE).get("/v2/").await.status, 200);
    guess(&api, 100, |number| format!("v{number}")).await;
    let asked = scene.double.counts().answered(Kind::Token, 401);
    assert!(asked <= began.elapsed().as_secs() + 1, "{asked}");
    assert_eq!(scene.by(ALICE).get("/v2/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn right_logins_at_once_from_one_address_are_all_let_in() {
    const DEVICES: usize = 40;
    let devices = |number: usize| (format!("device-{}", number % 4), format!("secret {number}"));
    let admit = |config: &mut wharf_double::DoubleConfig| {
        // Four accounts, forty times: each is one login.
        config.accounts.extend((0..4).map(|n| Account::reader(devices(n).0, devices(n).1)));
    };
    let Some(scene) = Scene::set_with(admit, "").await else { return };
    let mut logins = JoinSet::new();
    for number in 0..DEVICES {
        let (user, password) = devices(number % 4);
        let api = scene.wharfd.api.with_password(&user, &password);
        logins.spawn(async move { api.get("/v2/").await.status.as_u16() });
    }
    assert!(logins.join_all().await.into_iter().all(|status| status == 200));
    assert_eq!(scene.double.counts().total(Kind::Token), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_about_which_the_upstream_never_answers_keep_nobody_waiting_whom_it_knows() {
    let upstream = Gatekeeper::start().await;
    let wharfd = Wharfd::with_config(&lines(upstream.url(), "")).await;
    let dora = wharfd.api.with_password(KNOWN.0, KNOWN.1);
    assert_eq!(dora.get("/v2/acme/a/tags/list").await.status, 200);
    let mut hanging = JoinSet::new();
    for number in 0..150_usize {
        // Two addresses with as many guesses as possible.
        let api = from(&wharfd.api, [127, 0, 0, 2 + u8::try_from(number % 2).unwrap()]);
        let api = api.with_password(&format!("slow-{number}"), "x");
        hanging.spawn(async move { api.get("/v2/").await.status.as_u16() });
    }
    crate::fixture::eventually("guesses that hang", async || {
        (upstream.hanging_most() == 2 * AT_ONCE_EACH).then_some(())
    })
    .await;
    // Each gets its upstream request before any hanging one is given up.
    for number in 0..30 {
        assert_eq!(dora.get(&format!("/v2/acme/r{number}/tags/list")).await.status, 200);
    }
    // And so does a new caller from a third address.
    let third = from(&wharfd.api, [127, 0, 0, 4]);
    assert_login_wanted(&third.with_password("eve", "x").get("/v2/").await);
    assert_eq!(third.with_password(KNOWN.0, KNOWN.1).get("/v2/").await.status, 200);
    assert!(hanging.try_join_next().is_none_or(|status| status.unwrap() == 429));
    assert_eq!(upstream.guesses(), 1);
    for status in hanging.join_all().await {
        assert_eq!(status, 429);
    }
    // The upstream may learn of a cancelled request later than of the next one.
    assert!(upstream.hanging_most() <= AT_ONCE, "{}", upstream.hanging_most());
    // The upstream is up, and only the guessers were told otherwise.
    assert_eq!(dora.get("/v2/acme/z/tags/list").await.status, 200);
    let breaker = format!("wharfd_upstream_breaker{{upstream=\"{}\"}}", upstream.url());
    assert_eq!(wharfd.metric(&breaker).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_nobody_proved_is_written_down_nowhere() {
    let Some(scene) = Scene::set().await else { return };
    let typed = "planted-typed-as-a-user";
    let claims = URL_SAFE_NO_PAD.encode("{\"sub\":\"planted-claimed-subject\"}");
    let token = format!("e30.{claims}.planted");
    let token_user = "00000000-0000-0000-0000-000000000000";
    for caller in [(typed, "wrong"), (typed, "again"), (token_user, &token), ("carol", "wrong")] {
        for path in ["/v2/", "/v2/_catalog", &format!("/v2/{SHOP}/manifests/v1")] {
            assert_login_wanted(&scene.by(caller).get(path).await);
        }
        let put = scene.by(caller).put_manifest(SHOP, "v1", "application/x", "{}").await;
        assert_login_wanted(&put);
    }
    guess(&scene.wharfd.api, 100, |_| typed.to_owned()).await;
    let (log, metrics) = (scene.wharfd.log(), scene.wharfd.metrics().await);
    for secret in [typed, "planted", "carol"] {
        for text in [&log, &metrics] {
            assert_eq!(text.lines().find(|line| line.contains(secret)), None, "{secret}");
        }
    }
    for line in ["caller=\"-\"", "by=\"passthrough\"", "result=\"refused\"", "held back"] {
        assert!(log.contains(line), "{line}");
    }
}

#[tokio::test]
async fn a_name_counts_from_the_request_on_that_proves_it() {
    let Some(scene) = Scene::set().await else { return };
    let digest = scene.origin.push_blob(SHOP, "content").await;
    assert_eq!(scene.by(ALICE).get_blob(SHOP, &digest).await.status, 200);
    // A known caller without the right to pull.
    assert_eq!(scene.by(BOB).get_blob(SHOP, &digest).await.status, 403);
    let line = async |caller: &str, status: &str| {
        crate::fixture::eventually(caller, async || {
            let (log, path) = (scene.wharfd.log(), blob(SHOP, &digest));
            let mut lines = log.lines().filter(|line| line.contains(&format!("path=\"{path}\"")));
            let caller = format!("caller=\"{caller}\"");
            lines.any(|line| line.contains(&caller) && line.contains(status)).then_some(())
        })
        .await;
    };
    line("alice", "status=200").await;
    line("bob", "status=403").await;
}

#[tokio::test]
async fn claimed_names_have_one_rate_and_it_is_that_of_their_address() {
    let upstream = Gatekeeper::start().await;
    let limits = "[limits]\nrequests_per_second = 1\nrequests_burst = 5\n";
    let config = format!("{limits}{}", lines(upstream.url(), ""));
    let wharfd = Wharfd::with_config(&config).await;
    let dora = wharfd.api.with_password(KNOWN.0, KNOWN.1);
    assert_eq!(dora.get("/v2/").await.status, 200);
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..60 {
        let stranger = wharfd.api.with_password(&format!("u{number}"), "x");
        asked.spawn(async move { stranger.get("/v2/").await.status.as_u16() });
    }
    let mut statuses = Vec::new();
    while let Some(status) = asked.join_next().await {
        statuses.push(status.unwrap());
        if statuses.contains(&429) {
            break;
        }
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    assert!(wharfd.metric("wharfd_limit_refusals_total{limit=\"user_rate\"}").await > 0);
    // A known caller has a rate of her own.
    assert_eq!(dora.get("/v2/").await.status, 200);
}
