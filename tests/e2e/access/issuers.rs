//! Bearer tokens of an issuer: fetched, kept and changed keys, and invalid tokens.

use std::time::Duration;

use serde_json::{Value, json};
use wharf_testkit::clients;

use super::issuer::{TestIssuer, base64, now, unsigned};
use super::scene::{RULES, Scene};
use crate::fixture::eventually;

async fn set() -> (TestIssuer, Scene) {
    let issuer = TestIssuer::start().await;
    let scene = Scene::with("", RULES, &issuer.lines()).await;
    (issuer, scene)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_an_issuer_is_shown_as_bearer_as_password_and_for_a_token_of_ours() {
    let (issuer, scene) = set().await;
    let token = issuer.token();
    let bearer = scene.nobody().with_token(&token);
    let blob = bearer.push_blob("team/app", "by a workflow").await;
    assert_eq!(bearer.get_blob("team/app", &blob).await.status, 200);
    assert_eq!(bearer.get_blob("secret/app", &blob).await.status, 403);
    let basic = scene.nobody().with_password("anything", &token);
    assert_eq!(basic.get_blob("team/app", &blob).await.status, 200);
    let given = basic.get("/token?scope=repository:team/app:pull,push").await;
    let given = given.json().unwrap()["token"].as_str().unwrap().to_owned();
    let holder = scene.nobody().with_token(&given);
    assert_eq!(holder.get_blob("team/app", &blob).await.status, 200);
    assert_eq!(issuer.served(), 1);
    let log = scene.wharfd.log();
    assert!(log.contains("caller=\"github:contoso/app\"") && !log.contains(&token), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_issuer_did_not_say_of_this_registry_opens_nothing() {
    let (issuer, scene) = set().await;
    let refused = async |token: &str, what: &str| {
        for api in [scene.nobody().with_token(token), scene.nobody().with_password("x", token)] {
            let answer = api.get("/v2/").await;
            assert!([401, 429].contains(&answer.status.as_u16()), "{what}: {}", answer.status);
        }
    };
    let changes = [
        ("iss", json!("https://token.actions.githubusercontent.com")),
        ("aud", json!("somebody-else")),
        ("aud", Value::Null),
        ("exp", json!(now() - 60)),
        ("exp", Value::Null),
        ("nbf", json!(now() + 60)),
        ("repository_owner", json!("evil")),
        ("repository", Value::Null),
        ("repository", json!("contoso/a\nb")),
    ];
    for (name, value) in changes {
        let mut claims = issuer.claims();
        claims[name] = value;
        refused(&issuer.sign(&claims), &claims.to_string()).await;
    }
    let good = issuer.token();
    let (payload, signature) = good.split_once('.').unwrap().1.split_once('.').unwrap();
    let none = base64(json!({"alg": "none"}).to_string().as_bytes());
    refused(&format!("{none}.{payload}."), "alg none").await;
    refused(&format!("{none}.{payload}.{signature}"), "alg none, signed").await;
    refused(&format!("{}x", &good[..good.len() - 2]), "a changed signature").await;
    // The public key as the secret of an HMAC.
    let header = json!({"alg": "HS256", "kid": "1"});
    let text = unsigned(&header, &issuer.claims());
    refused(&format!("{text}.{}", base64(&hmac(&issuer.public_key(), &text))), "HS256").await;
    // Another issuer under the name of the first.
    let evil = TestIssuer::start().await;
    refused(&evil.sign(&issuer.claims()), "a wrong key").await;
    assert_eq!(scene.nobody().with_token(&good).get("/v2/").await.status, 200);
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_change_and_names_that_nobody_has_cost_the_issuer_nothing() {
    let (issuer, scene) = set().await;
    let bearer = |token: &str| scene.nobody().with_token(token);
    let old = issuer.token();
    assert_eq!(bearer(&old).get("/v2/").await.status, 200);
    issuer.rotate("2");
    let new = issuer.token();
    // Unknown key ids: one request to the issuer at most within the pause.
    for n in 0..50 {
        let header = json!({"alg": "EdDSA", "kid": format!("unknown-{n}")});
        let token = format!("{}.{}", unsigned(&header, &issuer.claims()), base64(&[0; 64]));
        assert_eq!(bearer(&token).get("/v2/").await.status, 401);
    }
    assert!(issuer.served() <= 2, "{}", issuer.served());
    let api = bearer(&new);
    let opened = async || (api.get("/v2/").await.status == 200).then_some(());
    tokio::time::timeout(Duration::from_secs(30), eventually("the new key", opened)).await.unwrap();
    assert!(issuer.served() <= 4, "{}", issuer.served());
    // The old key is gone. A login verified a moment ago may hold for minutes; a new token does
    // not.
    issuer.set_down(true);
    let mut claims = issuer.claims();
    claims["jti"] = json!("another");
    assert_eq!(bearer(&issuer.sign(&claims)).get("/v2/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_is_down_at_first_lets_nobody_in_and_keeps_nobody_out() {
    let (issuer, scene) = set().await;
    issuer.set_down(true);
    let token = issuer.token();
    assert_eq!(scene.nobody().with_token(&token).get("/v2/").await.status, 401);
    assert_eq!(scene.alice().get("/v2/").await.status, 200);
    issuer.set_down(false);
    let api = scene.nobody().with_token(&token);
    let opened = async || (api.get("/v2/").await.status == 200).then_some(());
    eventually("the keys", opened).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_not_fetched_from_where_a_document_leads_past_encryption() {
    let (issuer, scene) = set().await;
    issuer.lead_elsewhere("http://169.254.169.254/keys");
    let token = issuer.token();
    assert_eq!(scene.nobody().with_token(&token).get("/v2/").await.status, 401);
    let log = scene.wharfd.log();
    assert!(log.contains("not encrypted"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_are_signed_with_rsa_are_taken() {
    let Some(openssl) = clients::require("openssl") else { return };
    let (issuer, scene) = set().await;
    let path = |name: &str| scene.folder.path().join(name).display().to_string();
    let key = path("rsa.pem");
    openssl.run_ok(["genrsa", "-out", &key, "2048"]).await.unwrap();
    let modulus = openssl.run_ok(["rsa", "-in", &key, "-noout", "-modulus"]).await.unwrap().stdout;
    let digits = modulus.trim().strip_prefix("Modulus=").unwrap().as_bytes().to_vec();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let modulus: Vec<u8> = digits.chunks(2).map(byte).collect();
    issuer.publish(json!({"kty": "RSA", "kid": "rsa", "n": base64(&modulus), "e": "AQAB"}));
    let text = unsigned(&json!({"alg": "RS256", "kid": "rsa"}), &issuer.claims());
    std::fs::write(path("text"), &text).unwrap();
    let sign = ["dgst", "-sha256", "-sign", &key, "-out", &path("signature"), &path("text")];
    openssl.run_ok(sign).await.unwrap();
    let signature = std::fs::read(path("signature")).unwrap();
    let token = format!("{text}.{}", base64(&signature));
    assert_eq!(scene.nobody().with_token(&token).get("/v2/").await.status, 200);
    let header = base64(json!({"alg": "PS256", "kid": "rsa"}).to_string().as_bytes());
    let other = format!("{header}.{}.{}", text.split_once('.').unwrap().1, base64(&signature));
    assert_eq!(scene.nobody().with_token(&other).get("/v2/").await.status, 401);
}
