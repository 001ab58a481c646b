//! Switchable habits of ACR: access, reads of blobs, uploads.

use bytes::Bytes;
use serde_json::json;
use wharf_double::{Account, Kind, Redirects, Referrers};
use wharf_testkit::images::sha256;

use super::{MANIFEST_TYPE, PASSWORD, REPOSITORY, Stage, USER, code, field};

const CONTENT: &[u8] = b"0123456789";
const TOKEN_USER: &str = "00000000-0000-0000-0000-000000000000";

#[tokio::test]
async fn a_user_name_with_a_newline_is_a_500_unless_that_is_switched_off() {
    let user = format!("{USER}\n");
    for (fails, status) in [(true, 500), (false, 401)] {
        let start = Stage::with_habits(|habits| habits.newline_user_fails = fails);
        let Some(stage) = start.await else { return };
        assert_eq!(stage.token_answer(&user, PASSWORD, &[]).await.status, status);
        let direct = stage.client.get(stage.url("/v2/")).basic(&user, PASSWORD).send().await;
        assert_eq!(direct.unwrap().status, status);
    }
}

#[tokio::test]
async fn basic_credentials_open_the_token_endpoints_only_when_that_is_switched_so() {
    let Some(stage) = Stage::with_habits(|habits| habits.basic_credentials = false).await else {
        return;
    };
    let direct = stage.client.get(stage.url("/v2/")).basic(USER, PASSWORD).send().await.unwrap();
    assert_eq!(direct.status, 401);
    assert!(direct.header("www-authenticate").starts_with("Bearer "));
    assert_eq!(stage.token_answer(USER, PASSWORD, &[]).await.status, 200);
}

#[tokio::test]
async fn an_access_token_is_a_password_for_no_more_than_it_holds() {
    let Some(stage) = Stage::start().await else { return };
    let digest = stage.plant(CONTENT).await;
    let token = stage.pull_token().await;
    let answer = stage.token_answer(TOKEN_USER, &token, &["repository:acme/web:pull"]).await;
    stage.link(&field(&answer, "access_token"), &digest).await;
    let more = stage.token_answer(TOKEN_USER, &token, &["repository:acme/web:pull,push"]).await;
    let refused = stage.start_upload(&field(&more, "access_token")).await;
    assert_eq!(refused.status, 401);
}

#[tokio::test]
async fn scope_fields_may_be_repeated_in_a_form() {
    let Some(stage) = Stage::start().await else { return };
    let digest = stage.plant(CONTENT).await;
    let host = stage.host();
    let form = [
        ("grant_type", "password"),
        ("service", host.as_str()),
        ("scope", "repository:acme/other:pull"),
        ("scope", "repository:acme/web:pull"),
        ("username", USER),
        ("password", PASSWORD),
    ];
    let answer = stage.client.post(stage.url("/oauth2/token")).form(&form).send().await.unwrap();
    stage.link(&field(&answer, "access_token"), &digest).await;
}

#[tokio::test]
async fn with_abac_an_account_pulls_only_where_it_may() {
    let none: [&str; 0] = [];
    let start = Stage::start_with(|config| {
        let config = config.account(Account::reader("marketplace", "m").only(none));
        config.account(Account::reader("customer", "c").only([REPOSITORY]))
    });
    let Some(stage) = start.await else { return };
    let digest = stage.plant(CONTENT).await;
    let url = stage.url(&format!("/v2/{REPOSITORY}/blobs/{digest}"));
    let other = stage.url(&format!("/v2/acme/other/blobs/{digest}"));
    for (user, password, status) in [("marketplace", "m", 401), ("customer", "c", 307)] {
        let scopes = ["repository:acme/web:pull", "repository:acme/other:pull"];
        let answer = stage.token_answer(user, password, &scopes).await;
        assert_eq!(answer.status, 200, "{user} is known");
        let token = field(&answer, "access_token");
        let pull = |url: &str| stage.client.get(url.to_owned()).bearer(&token).send();
        assert_eq!(pull(&url).await.unwrap().status, status, "{user}");
        assert_eq!(pull(&other).await.unwrap().status, 401, "{user}");
        let direct = stage.client.get(&url).basic(user, password).send().await.unwrap();
        assert_eq!(direct.status, status, "{user}");
    }
}

#[tokio::test]
async fn heads_or_all_requests_for_blobs_stay_at_the_registry_when_that_is_switched_so() {
    for (redirects, get, head) in [
        (Redirects::GetAndHead, 307, 307),
        (Redirects::GetOnly, 307, 200),
        (Redirects::Never, 200, 200),
    ] {
        let start = Stage::with_habits(|habits| habits.redirects = redirects);
        let Some(stage) = start.await else { return };
        let digest = stage.plant(CONTENT).await;
        let token = stage.pull_token().await;
        let url = stage.url(&format!("/v2/{REPOSITORY}/blobs/{digest}"));
        let answer = stage.client.get(&url).bearer(&token).send().await.unwrap();
        assert_eq!(answer.status, get, "{redirects:?}");
        assert_eq!(answer.header("docker-content-digest"), digest);
        assert!(get == 307 || answer.body == CONTENT);
        let answer = stage.client.head(&url).bearer(&token).send().await.unwrap();
        assert_eq!(answer.status, head, "{redirects:?}");
        assert!(head == 307 || answer.header("content-length") == "10");
    }
}

#[tokio::test]
async fn the_digest_stands_where_it_is_switched_to() {
    let start = Stage::with_habits(|habits| {
        habits.digest_on_redirect = false;
        habits.digest_on_storage = true;
    });
    let Some(stage) = start.await else { return };
    let digest = stage.plant(CONTENT).await;
    let token = stage.pull_token().await;
    let url = stage.url(&format!("/v2/{REPOSITORY}/blobs/{digest}"));
    let redirect = stage.client.get(url).bearer(&token).send().await.unwrap();
    assert_eq!(redirect.header("docker-content-digest"), "");
    let blob = stage.client.get(redirect.header("location")).send().await.unwrap();
    assert_eq!(blob.header("docker-content-digest"), digest);
}

#[tokio::test]
async fn a_storage_without_ranges_and_etags_serves_whole_blobs() {
    let start = Stage::with_habits(|habits| {
        habits.storage_ranges = false;
        habits.storage_etags = false;
    });
    let (Some(plain), Some(usual)) = (start.await, Stage::start().await) else { return };
    for (stage, status, body) in [(&plain, 200, CONTENT), (&usual, 206, &CONTENT[2..5])] {
        let digest = stage.plant(CONTENT).await;
        let link = stage.link(&stage.pull_token().await, &digest).await;
        let answer = stage.client.get(link).header("range", "bytes=2-4").send().await.unwrap();
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (status, body));
        let says = |name| !answer.header(name).is_empty();
        assert_eq!([says("etag"), says("content-range")], [status == 206; 2]);
        assert!(status == 206 || !says("accept-ranges"));
    }
}

#[tokio::test]
async fn a_registry_without_a_referrers_api_says_404() {
    let start = Stage::with_habits(|habits| habits.referrers = Referrers::Absent);
    let Some(stage) = start.await else { return };
    let digest = stage.plant(CONTENT).await;
    let url = stage.url(&format!("/v2/{REPOSITORY}/referrers/{digest}"));
    let answer = stage.client.get(url).bearer(&stage.pull_token().await).send().await.unwrap();
    assert_eq!((answer.status.as_u16(), code(&answer).as_str()), (404, "NOT_FOUND"));
}

#[tokio::test]
async fn the_double_keeps_referrers_for_a_registry_that_has_no_such_api() {
    let Some(stage) = Stage::with_habits(|habits| habits.referrers = Referrers::Kept).await else {
        return;
    };
    let token = stage.token(&["repository:acme/web:pull,push,delete"]).await;
    let subject = stage.push_manifest(&token, "v1", "subject").await;
    assert_eq!(subject.header("oci-subject"), "");
    let subject = subject.header("docker-content-digest").to_owned();
    let config = stage.plant(b"{}").await;
    let signature = json!({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "layers": [],
        "config": { "mediaType": "application/vnd.acme.signature", "digest": config, "size": 2 },
        "subject": { "mediaType": MANIFEST_TYPE, "digest": subject, "size": 2 },
        "annotations": { "signed": "yes" },
    });
    let bytes = signature.to_string();
    let digest = sha256(bytes.as_bytes());
    let put = stage.client.put(stage.manifest_url(&digest)).bearer(&token);
    let put = put.header("content-type", MANIFEST_TYPE).bytes(bytes.clone()).send().await.unwrap();
    assert_eq!((put.status.as_u16(), put.header("oci-subject")), (201, &*subject));

    let list = async |query: &str| {
        let url = stage.url(&format!("/v2/{REPOSITORY}/referrers/{subject}{query}"));
        let answer = stage.client.get(url).bearer(&token).send().await.unwrap();
        (answer.json().unwrap()["manifests"].clone(), answer.header("oci-filters-applied").len())
    };
    let descriptor = json!({
        "mediaType": MANIFEST_TYPE, "digest": digest, "size": bytes.len(),
        "artifactType": "application/vnd.acme.signature", "annotations": { "signed": "yes" },
    });
    assert_eq!(list("").await, (json!([descriptor]), 0));
    let filter = "?artifactType=application%2Fvnd.acme.sbom";
    assert_eq!(list(filter).await, (json!([]), "artifactType".len()));
    let delete = stage.client.call(http::Method::DELETE, stage.manifest_url(&digest));
    assert_eq!(delete.bearer(&token).send().await.unwrap().status, 202);
    assert_eq!(list("").await.0, json!([]));
}

#[tokio::test]
async fn content_range_is_taken_in_the_long_form_when_that_is_switched_so() {
    let start = Stage::with_habits(|habits| habits.strict_content_range = false);
    let Some(stage) = start.await else { return };
    let token = stage.push_token().await;
    let started = stage.start_upload(&token).await;
    let patch = stage.client.patch(stage.url(started.header("location"))).bearer(&token);
    let patch = patch.header("content-range", "bytes 0-9/*").bytes(CONTENT).send().await.unwrap();
    assert_eq!((patch.status.as_u16(), patch.header("range")), (202, "0-9"));
    let patch = stage.client.patch(stage.url(patch.header("location"))).bearer(&token);
    let gap = patch.header("content-range", "bytes 20-29/*").bytes(CONTENT).send().await.unwrap();
    assert_eq!(gap.status, 416);
}

#[tokio::test]
async fn a_long_body_loses_its_connection_when_that_is_switched_so() {
    let start = Stage::with_habits(|habits| habits.close_bytes_max = Some(100_000));
    let Some(stage) = start.await else { return };
    let token = stage.push_token().await;
    let started = stage.start_upload(&token).await;
    let location = stage.url(started.header("location"));
    let long = Bytes::from(vec![7; 1_000_000]);
    let patch = |body: Bytes| stage.client.patch(&location).bearer(&token).bytes(body).send();
    assert!(patch(long.clone()).await.is_err());
    assert_eq!(stage.double.counts().answered(Kind::UploadPatch, 0), 1);
    assert_eq!(patch(long.slice(..100_000)).await.unwrap().status, 202);
}

#[tokio::test]
async fn each_nth_end_of_an_upload_is_416_and_the_upload_gone() {
    let Some(stage) = Stage::with_habits(|habits| habits.nth_put_fails = Some(2)).await else {
        return;
    };
    let token = stage.push_token().await;
    let digest = sha256(CONTENT);
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let started = stage.start_upload(&token).await;
        let location = stage.url(started.header("location"));
        let end = stage.client.put(format!("{location}&digest={digest}")).bearer(&token);
        statuses.push(end.bytes(CONTENT).send().await.unwrap().status.as_u16());
        let status = stage.client.get(location).bearer(&token).send().await.unwrap();
        assert_eq!(status.status, 404);
    }
    assert_eq!(statuses, [201, 416, 201, 416]);
}

#[tokio::test]
async fn blobs_manifests_and_the_registry_have_a_largest_size() {
    let start = Stage::with_habits(|habits| {
        habits.blob_bytes_max = 15;
        habits.manifest_bytes_max = 400;
        habits.registry_bytes_max = Some(20);
    });
    let Some(stage) = start.await else { return };
    let token = stage.push_token().await;
    for number in 1..=2 {
        let started = stage.start_upload(&token).await;
        let patch = stage.client.patch(stage.url(started.header("location"))).bearer(&token);
        let patch = patch.bytes(CONTENT).send().await.unwrap();
        assert_eq!(patch.status, 202, "{number}");
        let more = stage.client.patch(stage.url(patch.header("location"))).bearer(&token);
        assert_eq!(more.bytes("012345").send().await.unwrap().status, 413, "{number}");
    }
    let full = stage.start_upload(&token).await;
    assert_eq!((full.status.as_u16(), code(&full).as_str()), (405, "UNSUPPORTED"));

    let put = stage.client.put(stage.manifest_url("v1")).bearer(&token);
    let put = put.header("content-type", MANIFEST_TYPE).bytes(vec![b' '; 401]);
    let large = put.send().await.unwrap();
    assert_eq!((large.status.as_u16(), code(&large).as_str()), (413, "MANIFEST_INVALID"));
    assert_eq!(stage.push_manifest(&token, "v1", "small").await.status, 201);
}

#[tokio::test]
async fn the_journal_says_how_a_client_names_itself() {
    let Some(stage) = Stage::start().await else { return };
    let call = stage.client.get(stage.url("/v2/")).basic(USER, PASSWORD);
    call.header("x-meta-source-client", "azure/wharf").send().await.unwrap();
    let journal = stage.double.journal();
    assert_eq!(journal[0].source_client.as_deref(), Some("azure/wharf"));
}
