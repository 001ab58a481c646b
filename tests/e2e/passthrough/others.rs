//! Upstreams with less information than ACR: opaque tokens, or none at all; and callers with a
//! token as their password.

use wharf_double::{DoubleConfig, Kind};
use wharf_testkit::http::Client;
use wharf_testkit::images::sha256;

use super::scene::{ADMIN, ALICE, BANK, BOB, CAROL, SHOP, Scene};
use super::{assert_denied, assert_login_wanted};
use crate::fixture::code;

/// The user name of `az acr login`, for a token as the password.
const TOKEN_USER: &str = "00000000-0000-0000-0000-000000000000";
const OCI: &str = "application/vnd.oci.image.manifest.v1+json";

/// A manifest without layers under the tag `v1`, and its config.
async fn tagged(scene: &Scene, repo: &str) -> String {
    let config = scene.origin.push_blob(repo, "{}").await;
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":2}},"layers":[]}}"#
    );
    let answer = scene.origin.put_manifest(repo, "v1", OCI, manifest).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    config
}

async fn the_registry_itself_is_asked(change: impl FnOnce(&mut DoubleConfig)) {
    let Some(scene) = Scene::set_with(change, "").await else { return };
    let digest = tagged(&scene, SHOP).await;
    for caller in [ALICE, CAROL] {
        let answer = scene.by(caller).get_blob(SHOP, &digest).await;
        assert_eq!(answer.status, 200, "{}: {}", caller.0, answer.text());
        assert_eq!(scene.by(caller).get("/v2/").await.status, 200);
    }
    assert_denied(&scene.by(BOB).get_blob(SHOP, &digest).await);
    assert_denied(&scene.by(BOB).get_blob("acme/nothing", &digest).await);
    assert_login_wanted(&scene.by((ALICE.0, "wrong")).get_blob(SHOP, &digest).await);
    assert_login_wanted(&scene.by((ALICE.0, "wrong")).get("/v2/").await);
    // Content known here is invisible to a caller without the right.
    let answer = scene.by(BOB).get_blob(BANK, &digest).await;
    assert_eq!((answer.status.as_u16(), code(&answer).as_str()), (404, "NAME_UNKNOWN"));
    // The right to push is probed with an upload, and the probe is cancelled.
    let uploads = format!("/v2/{SHOP}/blobs/uploads/");
    assert_denied(&scene.by(CAROL).post(&uploads).send().await.unwrap());
    assert_eq!(scene.double.open_uploads(), 0);
    let pushed = scene.by(ALICE).push_blob(SHOP, "hers").await;
    assert_eq!(scene.origin.get_blob(SHOP, &pushed).await.status, 200);
    assert_eq!(scene.double.open_uploads(), 0);
    assert_denied(&scene.by(CAROL).get("/v2/_catalog").await);
    // A list open to every caller proves no right to see all of it.
    assert_denied(&scene.by(ADMIN).get("/v2/_catalog").await);
    // Deleting cannot be tried: the upstream decides.
    let manifest = format!("/v2/{SHOP}/manifests/v1");
    assert_denied(&scene.by(CAROL).delete(&manifest).await);
    assert_eq!(scene.origin.head_manifest(SHOP, "v1").await.status, 200);
}

#[tokio::test]
async fn of_a_token_that_cannot_be_read_the_registry_says_what_it_is_worth() {
    the_registry_itself_is_asked(|config| config.habits.opaque_tokens = true).await;
}

#[tokio::test]
async fn a_registry_without_tokens_is_asked_with_user_and_password() {
    the_registry_itself_is_asked(|config| config.habits.basic_only = true).await;
}

#[tokio::test]
async fn a_new_repository_is_pushed_to_a_registry_without_tokens() {
    let basic = |config: &mut DoubleConfig| config.habits.basic_only = true;
    let Some(scene) = Scene::set_with(basic, "").await else { return };
    let (admin, repo) = (scene.by(ADMIN), "acme/new");
    let answer = admin.head_blob(repo, &sha256(b"new")).await;
    assert_eq!(answer.status, 404, "docker asks first");
    let digest = admin.push_blob(repo, "new").await;
    assert_eq!(scene.origin.get_blob(repo, &digest).await.status, 200);
    scene.assert_only(ADMIN);
}

#[tokio::test]
async fn an_upstream_that_lets_everybody_in_decides_nothing() {
    let Some(scene) = Scene::set().await else { return };
    // The registry behind the double wants no login.
    let lines = super::scene::lines(scene.origin.base(), "");
    let wharfd = crate::fixture::Wharfd::with_config(&lines).await;
    let digest = scene.origin.push_blob(SHOP, "content").await;
    let alice = wharfd.api.with_password(ALICE.0, ALICE.1);
    for path in ["/v2/".to_owned(), format!("/v2/{SHOP}/blobs/{digest}")] {
        assert_eq!(alice.get(&path).await.status, 429);
    }
    assert!(wharfd.log().contains("wants no login"), "{}", wharfd.log());
}

#[tokio::test]
async fn a_password_may_be_a_token_as_az_acr_login_has_it() {
    let Some(scene) = Scene::set().await else { return };
    let digest = scene.origin.push_blob(SHOP, "content").await;
    let client = Client::new();
    let service = scene.double.addr().to_string();
    let form = [
        ("grant_type", "password"),
        ("service", &service),
        ("username", ALICE.0),
        ("password", ALICE.1),
    ];
    let url = format!("{}/oauth2/exchange", scene.double.url());
    let answer = client.post(url).form(&form).send().await.unwrap().json().unwrap();
    let token = answer["refresh_token"].as_str().unwrap().to_owned();
    let alice = scene.by((TOKEN_USER, &token));
    assert_eq!(alice.get("/v2/").await.status, 200);
    assert_eq!(alice.get_blob(SHOP, &digest).await.status, 200);
    alice.push_blob(SHOP, "hers").await;
    assert_denied(&alice.get_blob(BANK, &digest).await);
    scene.assert_only(ALICE);
    assert_login_wanted(&scene.by((TOKEN_USER, "else")).get("/v2/").await);
    assert!(!scene.wharfd.log().contains(&token));
    assert!(scene.double.counts().total(Kind::Token) > 0);
}
