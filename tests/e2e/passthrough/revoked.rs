//! A caller revoked at the upstream in the middle of a push.

use std::time::Duration;

use wharf_testkit::images::sha256;

use super::scene::{ADMIN, ALICE, CAROL, SHOP, Scene};
use super::{OCI, blob};
use crate::fixture::{eventually, noise};

#[tokio::test]
async fn who_is_revoked_in_the_middle_of_a_push_ends_no_part_of_it() {
    // Fifteen seconds of a token's life are a reserve, so this token lasts two.
    let short = |config: &mut wharf_double::DoubleConfig| {
        config.habits.access_token_life = Duration::from_secs(17);
    };
    let Some(scene) = Scene::set_with(short, "").await else { return };
    let (alice, content) = (scene.by(ALICE), noise(11, 3_000_000));
    let config = alice.push_blob(SHOP, "{}").await;
    let location = alice.open_upload(SHOP).await;
    let (first, last) = content.split_at(2_000_000);
    let answer = alice.patch(&location).bytes(first.to_vec()).send().await.unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
    scene.double.expel(ALICE.0);
    let refused = async || {
        let answer = alice.patch(&location).bytes("x").send().await.unwrap();
        (answer.status != 202).then_some(answer)
    };
    let answer = eventually("a refusal in the middle of the push", refused).await;
    assert_eq!(answer.status, 401, "{}", answer.text());
    let digest = sha256(&content);
    let ended = alice.end_upload(&location, &digest, last.to_vec()).await;
    assert_eq!(ended.status, 401, "{}", ended.text());
    assert_eq!(alice.post(&format!("/v2/{SHOP}/blobs/uploads/")).send().await.unwrap().status, 401);
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI}","config":{{"mediaType":"x","digest":"{config}","size":2}},"layers":[]}}"#
    );
    assert_eq!(alice.put_manifest(SHOP, "v1", OCI, manifest).await.status, 401);
    assert_eq!(alice.get(&location).await.status, 401);
    // The upstream has no half of it, and no other caller can use her session.
    assert_eq!(scene.origin.head_blob(SHOP, &digest).await.status, 404);
    for caller in [ADMIN, CAROL] {
        assert_eq!(scene.by(caller).get(&blob(SHOP, &digest)).await.status, 404);
        assert_eq!(scene.by(caller).get_manifest(SHOP, "v1").await.status, 404);
    }
    assert_ne!(scene.by(CAROL).patch(&location).bytes("mine").send().await.unwrap().status, 202);
    // A push of the same content by another caller succeeds.
    assert_eq!(scene.by(ADMIN).push_blob(SHOP, content.clone()).await, digest);
    assert!(scene.origin.get_blob(SHOP, &digest).await.body == content);
}
