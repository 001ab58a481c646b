//! Locks, quarantine, and the responses of `/acr/v1/`.

use serde_json::{Value, json};
use wharf_double::{Account, Kind};
use wharf_testkit::http::Answer;

use super::{REPOSITORY, Stage, code, field};

const SCOPE: &str = "repository:acme/web:pull,push,delete,metadata_read,metadata_write";

/// A client with the rights to push, lock and delete.
struct Owner {
    stage: Stage,
    token: String,
}

impl Owner {
    async fn of(stage: Option<Stage>) -> Option<Self> {
        let stage = stage?;
        let token = stage.token(&[SCOPE]).await;
        Some(Self { stage, token })
    }

    async fn push(&self, reference: &str, word: &str) -> Answer {
        self.stage.push_manifest(&self.token, reference, word).await
    }

    async fn pull(&self, reference: &str) -> Answer {
        self.stage.manifest(&self.token, reference).await
    }

    async fn delete(&self, reference: &str) -> Answer {
        let url = self.stage.manifest_url(reference);
        let call = self.stage.client.call(http::Method::DELETE, url).bearer(&self.token);
        call.send().await.unwrap()
    }

    fn metadata(&self, what: &str) -> String {
        self.stage.url(&format!("/acr/v1/{REPOSITORY}{what}"))
    }

    async fn patch(&self, what: &str, change: Value) -> Answer {
        let call = self.stage.client.patch(self.metadata(what)).bearer(&self.token);
        call.bytes(change.to_string()).send().await.unwrap()
    }

    async fn read(&self, what: &str) -> Value {
        let call = self.stage.client.get(self.metadata(what)).bearer(&self.token);
        let answer = call.send().await.unwrap();
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        answer.json().unwrap()
    }
}

fn assert_disallowed(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), code(answer).as_str()), (405, "UNSUPPORTED"));
    assert!(answer.text().contains("The operation is disallowed."), "{}", answer.text());
}

#[tokio::test]
async fn a_locked_tag_is_not_pushed_again_and_others_are() {
    let Some(owner) = Owner::of(Stage::start().await).await else { return };
    assert_eq!(owner.push("v1", "first").await.status, 201);
    let locked = owner.patch("/_tags/v1", json!({ "writeEnabled": false })).await;
    assert_eq!(locked.status, 200, "{}", locked.text());
    assert_disallowed(&owner.push("v1", "second").await);
    assert_disallowed(&owner.delete("v1").await);
    assert_eq!(owner.push("v2", "second").await.status, 201);
    assert!(owner.pull("v1").await.text().contains("first"));
    let open = owner.patch("/_tags/v1", json!({ "writeEnabled": true })).await;
    assert_eq!(open.status, 200);
    assert_eq!(owner.push("v1", "second").await.status, 201);
}

#[tokio::test]
async fn a_locked_manifest_is_not_deleted() {
    let Some(owner) = Owner::of(Stage::start().await).await else { return };
    let digest = owner.push("v1", "first").await.header("docker-content-digest").to_owned();
    let what = format!("/_manifests/{digest}");
    for lock in ["deleteEnabled", "writeEnabled"] {
        assert_eq!(owner.patch(&what, json!({ lock: false })).await.status, 200);
        assert_disallowed(&owner.delete(&digest).await);
        assert_eq!(owner.patch(&what, json!({ lock: true })).await.status, 200);
    }
    assert_eq!(owner.delete(&digest).await.status, 202);
}

#[tokio::test]
async fn a_locked_repository_takes_nothing_and_gives_nothing() {
    let Some(owner) = Owner::of(Stage::start().await).await else { return };
    let digest = owner.stage.plant(b"content").await;
    assert_eq!(owner.push("v1", "first").await.status, 201);
    let started = owner.stage.start_upload(&owner.token).await;
    let both = json!({ "writeEnabled": false, "readEnabled": false });
    assert_eq!(owner.patch("", both).await.status, 200);
    assert_disallowed(&owner.push("v2", "second").await);
    assert_disallowed(&owner.pull("v1").await);
    assert_disallowed(&owner.stage.start_upload(&owner.token).await);
    let patch = owner.stage.client.patch(owner.stage.url(started.header("location")));
    assert_disallowed(&patch.bearer(&owner.token).bytes("x").send().await.unwrap());
    for method in [http::Method::GET, http::Method::DELETE] {
        let blob = owner.stage.url(&format!("/v2/{REPOSITORY}/blobs/{digest}"));
        let call = owner.stage.client.call(method, blob).bearer(&owner.token);
        assert_disallowed(&call.send().await.unwrap());
    }
}

#[tokio::test]
async fn what_is_not_listed_is_hidden_from_lists_only() {
    let Some(owner) = Owner::of(Stage::start().await).await else { return };
    for tag in ["v1", "v2"] {
        assert_eq!(owner.push(tag, "first").await.status, 201);
    }
    owner.patch("/_tags/v1", json!({ "listEnabled": false })).await;
    let url = owner.stage.url(&format!("/v2/{REPOSITORY}/tags/list"));
    let list = owner.stage.client.get(url).bearer(&owner.token).send().await.unwrap();
    assert_eq!(list.json().unwrap()["tags"], json!(["v2"]));
    assert_eq!(owner.pull("v1").await.status, 200);

    let catalog = async |path| {
        let url = owner.stage.url(path);
        let call = owner.stage.client.get(url).basic(super::USER, super::PASSWORD);
        call.send().await.unwrap().json().unwrap()["repositories"].clone()
    };
    assert_eq!(catalog("/acr/v1/_catalog").await, json!([REPOSITORY]));
    owner.patch("", json!({ "listEnabled": false })).await;
    assert_eq!(catalog("/acr/v1/_catalog").await, json!([]));
    assert_eq!(catalog("/v2/_catalog").await, json!([]));
}

#[tokio::test]
async fn metadata_says_what_is_there_and_what_may_be_done_with_it() {
    let Some(owner) = Owner::of(Stage::start().await).await else { return };
    let digest = owner.push("v1", "first").await.header("docker-content-digest").to_owned();
    owner.push("v2", "first").await;
    owner.patch("/_tags/v1", json!({ "deleteEnabled": false })).await;
    let open = json!({
        "deleteEnabled": true, "writeEnabled": true, "listEnabled": true, "readEnabled": true,
    });
    let tag = owner.read("/_tags/v1").await;
    assert_eq!((&tag["imageName"], &tag["tag"]["name"]), (&json!(REPOSITORY), &json!("v1")));
    assert_eq!(tag["tag"]["digest"], digest);
    assert_eq!(tag["tag"]["changeableAttributes"]["deleteEnabled"], false);
    let tags = owner.read("/_tags").await;
    assert_eq!(tags["tags"][1]["changeableAttributes"], open);
    let manifest = owner.read(&format!("/_manifests/{digest}")).await;
    assert_eq!(manifest["manifest"]["changeableAttributes"], open, "a tag's lock is its own");
    assert_eq!(manifest["manifest"]["mediaType"], super::MANIFEST_TYPE);
    let manifests = owner.read("/_manifests").await;
    assert_eq!(manifests["manifests"].as_array().unwrap().len(), 1);
    let repository = owner.read("").await;
    assert_eq!((&repository["tagCount"], &repository["manifestCount"]), (&json!(2), &json!(1)));

    let missing = owner.patch("/_tags/v9", json!({ "deleteEnabled": false })).await;
    assert_eq!((missing.status.as_u16(), code(&missing).as_str()), (404, "MANIFEST_UNKNOWN"));
    let riddle = owner.patch("/_tags/v1", json!({ "riddle": false })).await;
    assert_eq!(riddle.status, 400);
    assert!(owner.stage.double.counts().total(Kind::Metadata) > 5);
}

#[tokio::test]
async fn who_may_only_pull_reads_and_changes_no_metadata() {
    let start = Stage::start_with(|config| config.account(Account::reader("reader", "r")));
    let Some(owner) = Owner::of(start.await).await else { return };
    owner.push("v1", "first").await;
    let token = field(&owner.stage.token_answer("reader", "r", &[SCOPE]).await, "access_token");
    let url = owner.metadata("/_tags/v1");
    let read = owner.stage.client.get(&url).bearer(&token).send().await.unwrap();
    assert_eq!(read.status, 401);
    assert!(read.header("www-authenticate").contains("metadata_read"));
    let change = owner.stage.client.patch(&url).bearer(&token).bytes("{}").send().await.unwrap();
    assert!(change.header("www-authenticate").contains("metadata_write"));
}

#[tokio::test]
async fn what_is_pushed_into_quarantine_is_unseen_until_it_is_passed() {
    let start = Stage::with_habits(|habits| habits.quarantine = true);
    let Some(owner) = Owner::of(start.await).await else { return };
    let digest = owner.push("v1", "first").await.header("docker-content-digest").to_owned();
    let by_tag = owner.pull("v1").await;
    assert_eq!((by_tag.status.as_u16(), code(&by_tag).as_str()), (404, "MANIFEST_UNKNOWN"));
    assert_disallowed(&owner.pull(&digest).await);
    let what = format!("/_manifests/{digest}");
    let state = owner.read(&what).await["manifest"]["changeableAttributes"].clone();
    assert_eq!(state["quarantineState"], "Quarantined");
    let failed = json!({ "quarantineState": "Failed", "quarantineDetails": "{}" });
    assert_eq!(owner.patch(&what, failed).await.status, 200);
    assert_disallowed(&owner.pull(&digest).await);
    assert_eq!(owner.patch(&what, json!({ "quarantineState": "Passed" })).await.status, 200);
    assert_eq!(owner.pull("v1").await.status, 200);
    assert_eq!(owner.pull(&digest).await.status, 200);
}
