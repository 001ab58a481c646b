//! `[access] kind = "passthrough"`: callers have their upstream rights at `wharfd`, with their own
//! logins. Cached content is shared, the rights to it are not. `passthrough/clients.rs` has real
//! clients, `passthrough/others.rs` other kinds of upstreams.

mod clients;
mod gatekeeper;
mod others;
mod revoked;
mod scene;
mod strangers;

use std::time::Duration;

use tokio::task::JoinSet;
use wharf_double::{Account, Fault, FaultRule, Kind};
use wharf_testkit::http::Answer;
use wharf_testkit::images::{Recipe, sha256};

use crate::fixture::{Api, code, eventually, noise};
use scene::{ADMIN, ALICE, BANK, BOB, CAROL, SHOP, Scene};

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";

fn assert_denied(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), code(answer).as_str()), (403, "DENIED"));
}

/// 401 with the only possible challenge.
fn assert_login_wanted(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), code(answer).as_str()), (401, "UNAUTHORIZED"));
    assert_eq!(answer.header("www-authenticate"), "Basic realm=\"wharfd\"");
}

fn blob(repo: &str, digest: &str) -> String {
    format!("/v2/{repo}/blobs/{digest}")
}

#[tokio::test]
async fn what_is_cached_is_shared_and_who_may_have_it_is_not() {
    let Some(scene) = Scene::set().await else { return };
    let content = noise(1, 300_000);
    let digest = scene.origin.push_blob(SHOP, content.clone()).await;
    let answer = scene.by(ALICE).get_blob(SHOP, &digest).await;
    assert_eq!((answer.status.as_u16(), answer.header("wharf-cache")), (200, "fill"));
    scene.assert_only(ALICE);
    scene.wharfd.fills_are_over().await;
    scene.double.reset_counts();
    let answer = scene.by(CAROL).get_blob(SHOP, &digest).await;
    assert_eq!((answer.status.as_u16(), answer.header("wharf-cache")), (200, "hit"));
    assert!(answer.body == content);
    assert!(scene.came().is_empty(), "it is here");

    let bob = scene.by(BOB);
    assert_denied(&bob.get_blob(SHOP, &digest).await);
    assert_eq!(bob.head_blob(SHOP, &digest).await.status, 403);
    assert_denied(&bob.get(&format!("/v2/{SHOP}/tags/list")).await);
    assert_denied(&bob.get_range(SHOP, &digest, "bytes=0-9").await);
    assert_denied(&bob.get(&format!("/v2/{SHOP}/referrers/{digest}")).await);
    // A digest known here, in a repository without it.
    assert_eq!(code(&bob.get_blob(BANK, &digest).await), "BLOB_UNKNOWN");
    assert!(scene.came().iter().all(|entry| entry.caller.as_deref() == Some(BOB.0)));
}

#[tokio::test]
async fn a_refusal_is_the_same_whether_the_thing_is_there_or_not() {
    let Some(scene) = Scene::set().await else { return };
    let digest = scene.origin.push_blob(SHOP, "content").await;
    scene.by(ALICE).get_blob(SHOP, &digest).await;
    let (bob, unknown) = (scene.by(BOB), sha256(b"nothing"));
    let there = bob.get_blob(SHOP, &digest).await;
    assert_denied(&there);
    for path in [
        blob(SHOP, &unknown),
        blob("acme/nothing", &digest),
        blob("acme/nothing", &unknown),
        format!("/v2/{SHOP}/manifests/latest"),
        format!("/v2/acme/nothing/manifests/{unknown}"),
    ] {
        let answer = bob.get(&path).await;
        assert_eq!((answer.status, &answer.body), (there.status, &there.body), "{path}");
    }
}

#[tokio::test]
async fn without_a_login_or_with_a_wrong_one_nobody_gets_past_the_door() {
    let Some(scene) = Scene::set().await else { return };
    let digest = scene.origin.push_blob(SHOP, "content").await;
    scene.by(ALICE).get_blob(SHOP, &digest).await;
    let anybody = &scene.wharfd.api;
    let token = |text: &str| anybody.call(http::Method::GET, "/v2/").bearer(text);
    for path in ["/v2/", "/v2/_catalog", &blob(SHOP, &digest)] {
        assert_login_wanted(&anybody.get(path).await);
        assert_login_wanted(&scene.by((ALICE.0, BOB.1)).get(path).await);
        assert_login_wanted(&scene.by(("nobody", ALICE.1)).get(path).await);
        assert_login_wanted(&scene.by(("", "")).get(path).await);
    }
    assert_login_wanted(&token("something").send().await.unwrap());
    assert_login_wanted(&anybody.post(&format!("/v2/{SHOP}/blobs/uploads/")).send().await.unwrap());
    for caller in [ALICE, BOB, CAROL] {
        assert_eq!(scene.by(caller).get("/v2/").await.status, 200, "{}", caller.0);
    }
}

#[tokio::test]
async fn a_push_goes_upstream_under_the_name_of_who_pushes() {
    let Some(scene) = Scene::set().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let recipe = Recipe::new(3, &[200_000, 9_000_000]).architectures(&["amd64", "arm64"]);
    let layout = recipe.write(folder.path(), "1.0").unwrap();
    scene.by(ALICE).push_layout(SHOP, &layout).await;
    scene.assert_only(ALICE);
    let put = |entry: &&wharf_double::Entry| entry.kind == Kind::ManifestPut;
    assert_eq!(scene.came().iter().filter(put).count(), 3);
    scene.origin.assert_serves(SHOP, &layout).await;
    scene.by(CAROL).assert_serves(SHOP, &layout).await;
    // The same layers in another repository: its pushers need no right to read here.
    scene.double.reset_counts();
    scene.by(ADMIN).push_layout("acme/other", &layout).await;
    scene.assert_only(ADMIN);
    let mounted = "wharfd_upstream_pushed_total";
    let labels = format!("{{upstream=\"{}\",way=\"mounted\"}}", scene.double.url());
    assert_eq!(scene.wharfd.metric(&format!("{mounted}{labels}")).await, 0);
}

#[tokio::test]
async fn who_may_only_read_can_neither_push_nor_delete() {
    let Some(scene) = Scene::set().await else { return };
    let digest = scene.origin.push_blob(SHOP, "content").await;
    let (alice, carol) = (scene.by(ALICE), scene.by(CAROL));
    assert_eq!(carol.get_blob(SHOP, &digest).await.status, 200);
    let uploads = format!("/v2/{SHOP}/blobs/uploads/");
    assert_denied(&carol.post(&uploads).send().await.unwrap());
    assert_denied(&carol.post(&format!("{uploads}?digest={digest}")).send().await.unwrap());
    assert_denied(&carol.put_manifest(SHOP, "v1", OCI, "{}").await);
    assert_denied(&carol.delete(&format!("/v2/{SHOP}/manifests/v1")).await);
    assert_denied(&carol.delete(&blob(SHOP, &digest)).await);
    let location = alice.open_upload(SHOP).await;
    for (method, path) in [("PATCH", location.clone()), ("DELETE", location.clone())] {
        let call = carol.call(method.parse().unwrap(), &path).bytes("mine");
        assert_denied(&call.send().await.unwrap());
    }
    assert_denied(&carol.get(&location).await);
    let writes = [Kind::UploadPatch, Kind::UploadPut, Kind::ManifestPut, Kind::ManifestDelete];
    assert!(scene.came().iter().all(|entry| !writes.contains(&entry.kind)));
    let answer = alice.end_upload(&location, &sha256(b"hers"), "hers").await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

#[tokio::test]
async fn a_blob_is_mounted_only_from_where_the_caller_may_read() {
    let Some(scene) = Scene::set().await else { return };
    let digest = scene.origin.push_blob(BANK, "content").await;
    assert_eq!(scene.by(BOB).get_blob(BANK, &digest).await.status, 200);
    let path = format!("/v2/{SHOP}/blobs/uploads/?mount={digest}&from={BANK}");
    scene.double.reset_counts();
    let answer = scene.by(ALICE).post(&path).send().await.unwrap();
    assert_eq!(answer.status, 202, "a session in its place");
    assert_eq!(scene.by(ALICE).head_blob(SHOP, &digest).await.status, 404);
    let nameless = format!("/v2/{SHOP}/blobs/uploads/?mount={digest}");
    let answer = scene.by(ALICE).post(&nameless).send().await.unwrap();
    assert_eq!(answer.status, 202);
    scene.assert_only(ALICE);
    let answer = scene.by(ADMIN).post(&path).send().await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(scene.by(ALICE).get_blob(SHOP, &digest).await.status, 200);
}

#[tokio::test]
async fn who_is_revoked_at_the_upstream_is_refused_when_the_answer_is_old() {
    // Fifteen seconds of a token's life are a reserve, so this token lasts two.
    let short = |config: &mut wharf_double::DoubleConfig| {
        config.habits.access_token_life = Duration::from_secs(17);
    };
    let Some(scene) = Scene::set_with(short, "").await else { return };
    let digest = scene.origin.push_blob(SHOP, "content").await;
    assert_eq!(scene.by(CAROL).get_blob(SHOP, &digest).await.status, 200);
    assert_eq!(scene.by(ALICE).get_blob(SHOP, &digest).await.status, 200);
    scene.double.admit(Account::reader(CAROL.0, CAROL.1).only([BANK]));
    scene.double.expel(ALICE.0);
    eventually("a refusal", async || {
        let answer = scene.by(CAROL).get_blob(SHOP, &digest).await;
        (answer.status == 403).then_some(())
    })
    .await;
    let refused = async || (scene.by(ALICE).get("/v2/").await.status == 401).then_some(());
    eventually("a refusal", refused).await;
    // Her right to the repository is a separate cached answer, perhaps a younger one.
    let refused = async || {
        let answer = scene.by(ALICE).get_blob(SHOP, &digest).await;
        (answer.status != 200).then_some(answer)
    };
    assert_login_wanted(&eventually("a refusal", refused).await);
    // And back.
    scene.double.admit(Account::reader(CAROL.0, CAROL.1));
    let again = async || {
        let answer = scene.by(CAROL).get_blob(SHOP, &digest).await;
        (answer.status == 200).then_some(())
    };
    eventually("leave", again).await;
}

#[tokio::test]
async fn a_token_that_ends_in_the_middle_of_a_push_is_renewed_with_the_callers_login() {
    let Some(scene) = Scene::set().await else { return };
    let (alice, content) = (scene.by(ALICE), noise(7, 20 << 20));
    let location = alice.open_upload(SHOP).await;
    let (first, last) = content.split_at(17 << 20);
    let answer = alice.patch(&location).bytes(first.to_vec()).send().await.unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
    scene.double.expire_tokens();
    let digest = sha256(&content);
    let answer = alice.end_upload(answer.header("location"), &digest, last.to_vec()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    scene.assert_only(ALICE);
    assert!(scene.origin.get_blob(SHOP, &digest).await.body == content);
}

#[tokio::test]
async fn an_upload_goes_on_after_a_restart_with_the_login_of_who_goes_on() {
    let Some(mut scene) = Scene::set().await else { return };
    let (content, location) = (noise(8, 3_000_000), scene.by(ALICE).open_upload(SHOP).await);
    let (first, last) = content.split_at(1_000_000);
    let answer = scene.by(ALICE).patch(&location).bytes(first.to_vec()).send().await.unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
    scene.wharfd.stop().await;
    scene.wharfd.start_again().await;
    scene.double.reset_counts();
    assert_login_wanted(&scene.wharfd.api.get(&location).await);
    assert_denied(&scene.by(CAROL).get(&location).await);
    let digest = sha256(&content);
    let answer = scene.by(ALICE).end_upload(&location, &digest, last.to_vec()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    scene.assert_only(ALICE);
    assert!(scene.origin.get_blob(SHOP, &digest).await.body == content);
}

#[tokio::test]
async fn an_upstream_that_is_down_lets_nobody_in_whom_it_did_not_let_in_before() {
    let Some(scene) = Scene::set().await else { return };
    let digest = scene.origin.push_blob(SHOP, "content").await;
    assert_eq!(scene.by(ALICE).get_blob(SHOP, &digest).await.status, 200);
    scene.wharfd.fills_are_over().await;
    let Scene { wharfd, double, .. } = scene;
    double.stop().await;
    let by = |(user, password)| wharfd.api.with_password(user, password);
    assert_eq!(by(ALICE).get_blob(SHOP, &digest).await.header("wharf-cache"), "hit");
    for path in ["/v2/", "/v2/_catalog", &blob(SHOP, &digest)] {
        let answer = by(CAROL).get(path).await;
        assert_eq!(answer.status, 429, "{path}: {}", answer.text());
        assert!(!answer.header("retry-after").is_empty());
    }
}

#[tokio::test]
async fn fifty_requests_of_one_caller_cost_one_question() {
    let Some(scene) = Scene::set().await else { return };
    let digest = scene.origin.push_blob(SHOP, "content").await;
    let mut requests = JoinSet::new();
    for _ in 0..50 {
        let (api, digest) = (scene.by(ALICE), digest.clone());
        requests.spawn(async move { api.get_blob(SHOP, &digest).await.status });
    }
    assert!(requests.join_all().await.into_iter().all(|status| status == 200));
    // Whether it knows her at all, and then the right to pull.
    assert_eq!(scene.double.counts().total(Kind::Token), 2);
    let mut requests = JoinSet::new();
    for _ in 0..50 {
        let (api, digest) = (scene.by((ALICE.0, "wrong")), digest.clone());
        requests.spawn(async move { api.get_blob(SHOP, &digest).await.status });
    }
    assert!(requests.join_all().await.into_iter().all(|status| status == 401));
    assert_eq!(scene.double.counts().total(Kind::Token), 3);
}

#[tokio::test]
async fn whoever_joins_a_download_is_let_in_by_their_own_login() {
    let Some(scene) = Scene::set().await else { return };
    let content = noise(9, 5_000_000);
    let digest = scene.origin.push_blob(SHOP, content.clone()).await;
    scene.double.set_fault(FaultRule::next(Kind::StorageGet, Fault::Stall { after: 1_000_000 }));
    let pull = |api: Api| {
        let digest = digest.clone();
        tokio::spawn(async move { api.get_blob(SHOP, &digest).await })
    };
    let first = pull(scene.by(ALICE));
    eventually("a download", async || (scene.double.held() == 1).then_some(())).await;
    let second = pull(scene.by(CAROL));
    assert_denied(&scene.by(BOB).get_blob(SHOP, &digest).await);
    eventually("both", async || (scene.double.counts().total(Kind::Token) >= 6).then_some(()))
        .await;
    scene.double.release();
    for answer in [first.await.unwrap(), second.await.unwrap()] {
        assert!(answer.status == 200 && answer.body == content);
    }
    assert_eq!(scene.double.counts().served(Kind::StorageGet, &digest), 1);
}

#[tokio::test]
async fn who_asks_too_much_is_told_to_wait_and_nobody_else_is() {
    let Some(scene) = Scene::set().await else { return };
    let [first, second] =
        [scene.origin.push_blob(SHOP, "one"), scene.origin.push_blob(SHOP, "two")];
    let (first, second) = (first.await, second.await);
    let patience = Fault::TooManyRequests { retry_after_s: 300 };
    scene.double.set_fault(FaultRule::next(Kind::BlobGet, patience));
    let answer = scene.by(ALICE).get_blob(SHOP, &first).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, "120"));
    assert_eq!(scene.by(CAROL).get_blob(SHOP, &first).await.status, 200);
    assert_eq!(scene.by(ALICE).get_blob(SHOP, &second).await.status, 429);
    let label = format!("{{upstream=\"{}\",class=\"read\"}}", scene.double.url());
    assert_eq!(scene.wharfd.metric(&format!("wharfd_upstream_throttled_total{label}")).await, 1);
}

#[tokio::test]
async fn repositories_are_listed_for_those_who_may_list_all() {
    let Some(scene) = Scene::set().await else { return };
    let digest = scene.origin.push_blob(SHOP, "content").await;
    assert_eq!(scene.by(ALICE).get_blob(SHOP, &digest).await.status, 200);
    scene.wharfd.fills_are_over().await;
    assert_denied(&scene.by(ALICE).get("/v2/_catalog").await);
    assert_denied(&scene.by(CAROL).get("/v2/_catalog").await);
    let list = scene.by(ADMIN).get("/v2/_catalog").await.json().unwrap();
    assert_eq!(list["repositories"], serde_json::json!([SHOP]));
}

#[tokio::test]
async fn no_password_is_in_a_log_or_a_metric() {
    let Some(scene) = Scene::set().await else { return };
    let digest = scene.by(ALICE).push_blob(SHOP, noise(10, 100_000)).await;
    for caller in [BOB, CAROL, ("alice", "planted-password-of-nobody")] {
        scene.by(caller).get_blob(SHOP, &digest).await;
        scene.by(caller).get("/v2/").await;
    }
    let log = scene.wharfd.log();
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "it logs everything");
    for text in [log, scene.wharfd.metrics().await] {
        for secret in ["planted-password", "Basic ", "Bearer ey"] {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret}");
        }
    }
}
