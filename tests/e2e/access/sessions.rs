//! An upload session belongs to its opener, also after a restart.

use wharf_testkit::images::sha256;

use super::scene::Scene;
use crate::fixture::{Api, code};

async fn assert_foreign(api: &Api, location: &str) {
    let digest = sha256(b"12345");
    let answers = [
        api.get(location).await,
        api.patch(location).bytes("67890").send().await.unwrap(),
        api.end_upload(location, &digest, "").await,
        api.delete(location).await,
    ];
    for answer in answers {
        assert_eq!(answer.status, 404);
        assert_eq!(code(&answer), "BLOB_UPLOAD_UNKNOWN");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_belongs_to_who_opened_it_before_and_after_a_restart() {
    let mut scene = Scene::set().await;
    let location = scene.alice().open_upload("team/app").await;
    let sent = scene.alice().patch(&location).bytes("12345").send().await.unwrap();
    assert_eq!(sent.status, 202);
    let ci = |scene: &Scene| scene.nobody().with_password("ci-1", &scene.token);
    assert_foreign(&ci(&scene), &location).await;
    assert_eq!(scene.alice().upload_offset(&location).await, Some(5));

    scene.wharfd.stop().await;
    scene.wharfd.start_again().await;
    assert_foreign(&ci(&scene), &location).await;
    assert_eq!(scene.alice().upload_offset(&location).await, Some(5));

    // It is the same after it goes on.
    let sent = scene.alice().patch(&location).bytes("67890").send().await.unwrap();
    assert_eq!(sent.status, 202);
    assert_foreign(&ci(&scene), &location).await;
    scene.wharfd.stop().await;
    scene.wharfd.start_again().await;
    // An administrator of the repository may end the sessions of others.
    assert_eq!(scene.root().upload_offset(&location).await, Some(10));
    let ended = scene.root().end_upload(&location, &sha256(b"1234567890"), "").await;
    assert_eq!(ended.status, 201, "{}", ended.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_however_its_owner_logs_in() {
    let scene = Scene::set().await;
    let location = scene.alice().open_upload("team/app").await;
    let scope = "/token?scope=repository:team/app:pull,push";
    let token = |answer: wharf_testkit::http::Answer| {
        answer.json().unwrap()["token"].as_str().unwrap().to_owned()
    };
    let alice = scene.nobody().with_token(&token(scene.alice().get(scope).await));
    let ci = scene.nobody().with_token(&scene.token).get(scope).await;
    let ci = scene.nobody().with_token(&token(ci));
    assert_eq!(alice.patch(&location).bytes("12345").send().await.unwrap().status, 202);
    assert_foreign(&ci, &location).await;
    // A token for pull alone continues no upload.
    let pull = scene.alice().get("/token?scope=repository:team/app:pull").await;
    let pull = scene.nobody().with_token(&token(pull));
    assert_eq!(pull.get(&location).await.status, 401);
    assert_eq!(alice.end_upload(&location, &sha256(b"12345"), "").await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_nobody_in_particular_opened_is_gone_on_with_by_who_may_push() {
    use super::scene::RULES;
    let mut wharfd = crate::fixture::Wharfd::alone().await;
    let location = wharfd.api.open_upload("team/app").await;
    assert_eq!(wharfd.api.patch(&location).bytes("12345").send().await.unwrap().status, 202);
    wharfd.stop().await;
    let scene = Scene::set().await;
    let files = scene.folder.path().display();
    wharfd.reconfigure(&format!(
        "[access]\nkind = \"users\"\nhtpasswd = \"{files}/htpasswd\"\n{RULES}"
    ));
    wharfd.start_again().await;
    assert_eq!(wharfd.api.get(&location).await.status, 401);
    let bob = wharfd.api.with_password("bob", "bob-password");
    assert_eq!(bob.get(&location).await.status, 403);
    let alice = wharfd.api.with_password("alice", "alice-password");
    assert_eq!(alice.end_upload(&location, &sha256(b"12345"), "").await.status, 201);
}
