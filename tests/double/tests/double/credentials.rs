//! Challenges, tokens, and the rights of tokens.

use std::time::Duration;

use serde_json::json;
use wharf_double::{Account, Credentials, Kind};

use super::{PASSWORD, REPOSITORY, Stage, USER, code, field};

const TOKEN_USER: &str = "00000000-0000-0000-0000-000000000000";

#[tokio::test]
async fn a_request_without_credentials_is_told_where_and_for_what_to_get_a_token() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let host = stage.host();
    let url = stage.url(&format!("/v2/{REPOSITORY}/manifests/v1"));
    let answer = stage.client.get(url).send().await.unwrap();
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.header("www-authenticate"),
        format!(
            "Bearer realm=\"http://{host}/oauth2/token\",service=\"{host}\",\
             scope=\"repository:{REPOSITORY}:pull\""
        )
    );
    let error = &answer.json().unwrap()["errors"][0];
    assert_eq!(error["code"], "UNAUTHORIZED");
    let detail = json!([{ "Type": "repository", "Name": REPOSITORY, "Action": "pull" }]);
    assert_eq!(error["detail"], detail);

    let version = stage.client.get(stage.url("/v2/")).send().await.unwrap();
    assert_eq!(version.status, 401);
    assert!(!version.header("www-authenticate").contains("scope"));
    let catalog = stage.client.get(stage.url("/v2/_catalog")).send().await.unwrap();
    assert!(catalog.header("www-authenticate").contains("scope=\"registry:catalog:*\""));
    assert_eq!(stage.double.counts().answered(Kind::ManifestGet, 401), 1);
}

#[tokio::test]
async fn the_realm_follows_the_name_under_which_the_client_came() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let request = stage.client.get(stage.url("/v2/")).header("host", "acme.example:8443");
    let answer = request.send().await.unwrap();
    assert_eq!(
        answer.header("www-authenticate"),
        "Bearer realm=\"http://acme.example:8443/oauth2/token\",service=\"acme.example:8443\""
    );
}

#[tokio::test]
async fn a_token_opens_what_it_was_asked_for_and_nothing_else() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let digest = stage.plant(b"content").await;
    let token = stage.pull_token().await;
    stage.link(&token, &digest).await;

    let uploads = stage.url(&format!("/v2/{REPOSITORY}/blobs/uploads/"));
    let push = stage.client.post(uploads).bearer(&token).send().await.unwrap();
    assert_eq!(push.status, 401);
    let challenge = push.header("www-authenticate");
    assert!(challenge.contains(&format!("repository:{REPOSITORY}:pull,push")), "{challenge}");
    assert!(challenge.contains("error=\"insufficient_scope\""), "{challenge}");

    let other = stage.url(&format!("/v2/acme/other/blobs/{digest}"));
    assert_eq!(stage.client.get(other).bearer(&token).send().await.unwrap().status, 401);
    let delete = stage.url(&format!("/v2/{REPOSITORY}/blobs/{digest}"));
    let delete = stage.client.call(http::Method::DELETE, delete).bearer(&token);
    assert!(delete.send().await.unwrap().header("www-authenticate").contains(":delete\""));
}

#[tokio::test]
async fn one_token_can_hold_several_scopes() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let digest = stage.plant(b"content").await;
    let token = stage.token(&["repository:acme/other:pull,push", "repository:acme/web:pull"]).await;
    stage.link(&token, &digest).await;
    let from = format!("mount={digest}&from={REPOSITORY}");
    let mount = stage.url(&format!("/v2/acme/other/blobs/uploads/?{from}"));
    let mounted = stage.client.post(mount).bearer(&token).send().await.unwrap();
    assert_eq!(mounted.status, 201, "{}", mounted.text());
    assert_eq!(mounted.header("location"), format!("/v2/acme/other/blobs/{digest}"));

    // Without a right to the source there is no mount.
    let token = stage.token(&["repository:acme/third:pull,push"]).await;
    let mount = stage.url(&format!("/v2/acme/third/blobs/uploads/?{from}"));
    let refused = stage.client.post(mount).bearer(&token).send().await.unwrap();
    assert_eq!(refused.status, 401);
    assert!(refused.header("www-authenticate").contains("repository:acme/web:pull"));
}

#[tokio::test]
async fn an_entra_token_buys_a_refresh_token_and_that_an_access_token() {
    let start = Stage::start_with(|mut config| {
        config.aad_token = Some("entra-token".to_owned());
        config
    });
    let Some(stage) = start.await else { return };
    let digest = stage.plant(b"content").await;
    let host = stage.host();
    let exchange = async |entra: &str| {
        let form =
            [("grant_type", "access_token"), ("service", host.as_str()), ("access_token", entra)];
        stage.client.post(stage.url("/oauth2/exchange")).form(&form).send().await.unwrap()
    };
    assert_eq!(exchange("another").await.status, 401);
    let exchanged = exchange("entra-token").await;
    assert_eq!(exchanged.status, 200, "{}", exchanged.text());
    let refresh = field(&exchanged, "refresh_token");

    let form = [
        ("grant_type", "refresh_token"),
        ("service", host.as_str()),
        ("scope", "repository:acme/web:pull"),
        ("refresh_token", refresh.as_str()),
    ];
    let bought = stage.client.post(stage.url("/oauth2/token")).form(&form).send().await.unwrap();
    assert_eq!(bought.status, 200, "{}", bought.text());
    stage.link(&field(&bought, "access_token"), &digest).await;

    // A refresh token is also the password of the token user, and opens nothing by itself.
    let by_password = stage.token_answer(TOKEN_USER, &refresh, &["repository:acme/web:pull"]).await;
    stage.link(&field(&by_password, "access_token"), &digest).await;
    let direct = stage.client.get(stage.url("/v2/")).bearer(&refresh).send().await.unwrap();
    assert_eq!(direct.status, 401);
    assert_eq!(stage.double.counts().answered(Kind::Exchange, 200), 1);
}

#[tokio::test]
async fn a_password_is_taken_by_form_by_header_and_directly() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let host = stage.host();
    let form = [
        ("grant_type", "password"),
        ("service", host.as_str()),
        ("scope", "repository:acme/web:pull"),
        ("username", USER),
        ("password", PASSWORD),
    ];
    let by_form = stage.client.post(stage.url("/oauth2/token")).form(&form).send().await.unwrap();
    assert!(!field(&by_form, "access_token").is_empty());
    assert!(!field(&by_form, "refresh_token").is_empty());
    let by_header = stage.token_answer(USER, PASSWORD, &[]).await;
    assert!(!field(&by_header, "access_token").is_empty());

    let direct = |password: &'static str| {
        stage.client.get(stage.url("/v2/_catalog")).basic(USER, password).send()
    };
    assert_eq!(direct(PASSWORD).await.unwrap().status, 200);
    assert_eq!(direct("wrong").await.unwrap().status, 401);
    assert_eq!(stage.token_answer(USER, "wrong", &[]).await.status, 401);
    let wrong_form = [form[0], form[1], form[3], ("password", "wrong")];
    let refused = stage.client.post(stage.url("/oauth2/token")).form(&wrong_form).send().await;
    assert_eq!(refused.unwrap().status, 401);
}

#[tokio::test]
async fn malformed_token_requests_are_refused_with_a_reason() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let host = stage.host();
    for (target, form) in [
        ("/oauth2/token", vec![("grant_type", "refresh_token")]),
        ("/oauth2/token", vec![("grant_type", "riddle"), ("service", host.as_str())]),
        ("/oauth2/exchange", vec![("grant_type", "riddle"), ("service", host.as_str())]),
        ("/oauth2/exchange", vec![("grant_type", "access_token"), ("service", "elsewhere:1")]),
    ] {
        let answer = stage.client.post(stage.url(target)).form(&form).send().await.unwrap();
        assert_eq!(
            (answer.status.as_u16(), code(&answer).as_str()),
            (400, "BAD_REQUEST"),
            "{form:?}"
        );
    }
}

#[tokio::test]
async fn anonymous_callers_get_pull_tokens_only_when_that_is_switched_on() {
    let Some(closed) = Stage::start().await else {
        return;
    };
    let scope = [format!("repository:{REPOSITORY}:pull,push,delete")];
    let scope: Vec<&str> = scope.iter().map(String::as_str).collect();
    let target = closed.url(&closed.token_target(&scope));
    assert_eq!(closed.client.get(target).send().await.unwrap().status, 401);

    let start = Stage::start_with(|mut config| {
        config.anonymous_pull = true;
        config
    });
    let Some(open) = start.await else { return };
    let digest = open.plant(b"content").await;
    let target = open.url(&open.token_target(&scope));
    let answer = open.client.get(target.clone()).send().await.unwrap();
    let token = field(&answer, "access_token");
    open.link(&token, &digest).await;
    let uploads = open.url(&format!("/v2/{REPOSITORY}/blobs/uploads/"));
    assert_eq!(open.client.post(uploads).bearer(&token).send().await.unwrap().status, 401);
    // Stale credentials break it, as at ACR.
    assert_eq!(open.client.get(target).basic(USER, "stale").send().await.unwrap().status, 401);
}

#[tokio::test]
async fn a_reader_cannot_push_and_cannot_list_the_catalog() {
    let start = Stage::start_with(|config| config.account(Account::reader("reader", "r")));
    let Some(stage) = start.await else { return };
    let digest = stage.plant(b"content").await;
    let scopes = ["repository:acme/web:pull,push", "registry:catalog:*"];
    let answer = stage.token_answer("reader", "r", &scopes).await;
    let token = field(&answer, "access_token");
    stage.link(&token, &digest).await;
    let uploads = stage.url(&format!("/v2/{REPOSITORY}/blobs/uploads/"));
    assert_eq!(stage.client.post(&uploads).bearer(&token).send().await.unwrap().status, 401);
    assert_eq!(stage.client.post(uploads).basic("reader", "r").send().await.unwrap().status, 401);
    let catalog = stage.client.get(stage.url("/v2/_catalog")).bearer(&token).send().await;
    assert_eq!(catalog.unwrap().status, 401);
}

#[tokio::test]
async fn expired_tokens_are_refused_as_invalid() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let digest = stage.plant(b"content").await;
    let token = stage.pull_token().await;
    stage.link(&token, &digest).await;
    stage.double.expire_tokens();
    let url = stage.url(&format!("/v2/{REPOSITORY}/blobs/{digest}"));
    let answer = stage.client.get(&url).bearer(&token).send().await.unwrap();
    assert_eq!(answer.status, 401);
    assert!(answer.header("www-authenticate").contains("error=\"invalid_token\""));
    stage.link(&stage.pull_token().await, &digest).await;

    let start = Stage::start_with(|mut config| {
        config.habits.access_token_life = Duration::ZERO;
        config
    });
    let Some(brief) = start.await else { return };
    let token = brief.pull_token().await;
    let answer = brief.client.get(brief.url("/v2/")).bearer(&token).send().await.unwrap();
    assert!(answer.header("www-authenticate").contains("error=\"invalid_token\""));
    let scheme = brief.double.journal().last().map(|entry| entry.credentials);
    assert_eq!(scheme, Some(Credentials::Bearer));
}
