//! Tokens of ours: of one repository used on another, with more in their scope than their holder may,
//! forged, cut, mangled and over.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::jwt::{Key, now, parts, sign_hs256, unsigned};
use super::raw::exchange;
use super::users::{SECRET, Shown, Users};

/// Asks for the secret manifest.
async fn asks_for_secret(users: &Users, shown: &Shown) -> u16 {
    users.ask(shown, "GET", &format!("/v2/{SECRET}/manifests/v1")).await.status
}

#[tokio::test]
async fn a_token_is_good_for_its_repository_and_its_actions_only() {
    let users = Users::set().await;
    let (blob, _) = users.plant(SECRET, "a secret layer").await;
    users.plant("team/other", "another layer").await;
    let alice = Shown::user("alice");
    let pull = Shown::bearer(&users.token(&alice, &format!("repository:{SECRET}:pull")).await);
    let other = users.token(&alice, "repository:team/other:pull,push,delete").await;
    let other = Shown::bearer(&other);
    assert_eq!(asks_for_secret(&users, &pull).await, 200);
    for (shown, method, path) in [
        (&other, "GET", format!("/v2/{SECRET}/manifests/v1")),
        (&other, "GET", format!("/v2/{SECRET}/blobs/{blob}")),
        (&other, "HEAD", format!("/v2/{SECRET}/blobs/{blob}")),
        (&other, "GET", format!("/v2/{SECRET}/tags/list")),
        (&other, "POST", format!("/v2/{SECRET}/blobs/uploads/")),
        (&other, "GET", "/v2/_catalog".to_owned()),
        (&pull, "GET", "/v2/team/other/manifests/v1".to_owned()),
        (&pull, "POST", format!("/v2/{SECRET}/blobs/uploads/")),
        (&pull, "PUT", format!("/v2/{SECRET}/manifests/v2")),
        (&pull, "DELETE", format!("/v2/{SECRET}/manifests/v1")),
        (&pull, "DELETE", format!("/v2/{SECRET}/blobs/{blob}")),
        (&pull, "GET", "/v2/team/secretive/manifests/v1".to_owned()),
        (&pull, "GET", "/v2/team/manifests/v1".to_owned()),
    ] {
        let refused = users.ask(shown, method, &path).await;
        assert_eq!(refused.status, 401, "{method} {path}: {refused:?}");
        assert!(refused.header("www-authenticate").contains("insufficient_scope"), "{refused:?}");
    }
    // A mount needs a token for its source as well.
    let mount = format!("/v2/team/other/blobs/uploads/?mount={blob}&from={SECRET}");
    let refused = users.ask(&other, "POST", &mount).await;
    assert!(matches!(refused.status, 202 | 401), "{refused:?}");
    assert_eq!(users.ask(&other, "GET", &format!("/v2/team/other/blobs/{blob}")).await.status, 404);
    let both = format!("repository:{SECRET}:pull&scope=repository:team/other:pull,push");
    let both = Shown::bearer(&users.token(&alice, &both).await);
    assert_eq!(users.ask(&both, "POST", &mount).await.status, 201);
}

/// Scopes beyond the caller's rights, or without sense.
fn scopes() -> Vec<String> {
    let many = "&scope=repository:bob/app:pull".repeat(200);
    vec![
        format!("repository:{SECRET}:pull"),
        format!("repository:{SECRET}:pull,push,delete,*"),
        format!("repository:{SECRET}:*"),
        format!("repository:{SECRET}:admin"),
        "repository:*:*".to_owned(),
        "repository:team/*:pull".to_owned(),
        "repository:**:pull".to_owned(),
        format!("repository:bob/app:pull repository:{SECRET}:pull"),
        format!("repository:bob/app:pull%20repository:{SECRET}:pull"),
        format!("repository:bob/app:pull&scope=repository:{SECRET}:pull"),
        format!("repository:bob/app:pull,repository:{SECRET}:pull"),
        format!("repository:bob/app%0arepository:{SECRET}:pull"),
        format!("repository:bob/../{SECRET}:pull"),
        format!("repository:bob%2f..%2f{SECRET}:pull"),
        format!("repository(plugin):{SECRET}:pull"),
        format!("REPOSITORY:{SECRET}:pull"),
        format!("repository:{}:pull", SECRET.to_uppercase()),
        format!("repository:host:5000/{SECRET}:pull"),
        "registry:catalog:*".to_owned(),
        "registry:*:*".to_owned(),
        format!("repository:bob/app:pull{many}"),
        String::new(),
        ":::".to_owned(),
        "%00".to_owned(),
        "a".repeat(8_000),
    ]
}

#[tokio::test]
async fn a_scope_buys_nothing_that_its_asker_may_not_do() {
    let users = Users::set().await;
    users.plant(SECRET, "a secret layer").await;
    for who in [Shown::user("bob"), Shown::nothing(), Shown::user("alice")] {
        let is_alice = who.0 == Shown::user("alice").0;
        for scope in scopes() {
            let path = format!("/token?service=wharfd&scope={scope}").replace(' ', "%20");
            let answer = users.ask(&who, "GET", &path).await;
            let short: String = scope.chars().take(60).collect();
            assert!(answer.status < 500, "{short}: {answer:?}");
            if answer.status != 200 {
                continue;
            }
            let said: Value = serde_json::from_slice(&answer.body).unwrap();
            let token = Shown::bearer(said["token"].as_str().unwrap());
            if !is_alice {
                assert_eq!(asks_for_secret(&users, &token).await, 401, "{short}");
            }
            for (method, path) in
                [("GET", "/v2/root/app/manifests/v1"), ("POST", "/v2/root/app/blobs/uploads/")]
            {
                assert_eq!(users.ask(&token, method, path).await.status, 401, "{short}: {path}");
            }
            let listed = users.ask(&token, "GET", "/v2/_catalog").await;
            assert!(is_alice || !listed.text().contains("secret"), "{short}: {listed:?}");
        }
    }
}

/// Forgeries of a good token without its key.
fn forged(good: &str, key: &Key) -> Vec<(String, String)> {
    let (_, mut more) = parts(good);
    let signature = good.rsplit('.').next().unwrap();
    more["access"] = json!([{ "type": "repository", "name": SECRET, "actions": ["pull", "push"] }]);
    more["sub"] = json!("alice");
    let mut forged = Vec::new();
    for alg in
        ["none", "None", "NONE", "nOnE", "", "HS256 ", "hs256", "HS512", "ES256", "RS256", "null"]
    {
        for end in ["", ".", &format!(".{signature}"), ".AAAA"] {
            let header = json!({ "alg": alg, "typ": "JWT" });
            forged
                .push((format!("alg {alg:?}{end}"), format!("{}{end}", unsigned(&header, &more))));
        }
    }
    let hs256 = json!({ "alg": "HS256", "typ": "JWT" });
    let guesses: [&[u8]; 10] = [
        b"",
        b"\0",
        b"wharfd",
        b"secret",
        b"token.key",
        b"bench",
        &[0; 32],
        &[0; 64],
        b"changeme",
        good.as_bytes(),
    ];
    for secret in guesses {
        forged.push(("a guessed key".to_owned(), sign_hs256(&hs256, &more, secret)));
    }
    for kid in [
        "../../../../../../dev/null",
        "/dev/null",
        "token.key",
        "' UNION SELECT 'a",
        "\0",
        "http://127.0.0.1:1/k",
        "| id",
        "file:///etc/passwd",
    ] {
        let header = json!({ "alg": "HS256", "typ": "JWT", "kid": kid });
        forged.push((format!("kid {kid:?}"), sign_hs256(&header, &more, b"")));
    }
    for (name, value) in [
        ("jwk", key.jwk("mine")),
        ("jku", json!("http://127.0.0.1:1/keys")),
        ("x5u", json!("http://127.0.0.1:1/cert")),
        ("x5c", json!(["MIIB"])),
        ("crit", json!(["alg"])),
        ("zip", json!("DEF")),
        ("b64", json!(false)),
    ] {
        let mut header = json!({ "alg": "ES256", "typ": "JWT" });
        header[name] = value;
        forged.push((format!("{name} in the header"), key.sign(&header, &more)));
    }
    forged.extend(mangled(good, &more));
    forged
}

/// The good token with changed parts.
fn mangled(good: &str, claims: &Value) -> Vec<(String, String)> {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let (header, _) = parts(good);
    let signature = good.rsplit('.').next().unwrap();
    vec![
        ("other claims".to_owned(), format!("{}.{}.{signature}", part(&header), part(claims))),
        ("no signature".to_owned(), good.rsplit_once('.').unwrap().0.to_owned()),
        ("half a signature".to_owned(), good[..good.len() - 20].to_owned()),
        ("a longer signature".to_owned(), format!("{good}AA")),
        ("another part".to_owned(), format!("{good}.{signature}")),
        ("padding".to_owned(), format!("{good}=")),
        ("five parts".to_owned(), "e30.e30.e30.e30.e30".to_owned()),
        ("nothing but dots".to_owned(), "..".to_owned()),
        ("no JSON".to_owned(), "YWFh.YWFh.YWFh".to_owned()),
        ("deep JSON".to_owned(), format!("{}.e30.e30", URL_SAFE_NO_PAD.encode("[".repeat(3_000)))),
        ("a long one".to_owned(), format!("{good}{}", "A".repeat(20_000))),
    ]
}

#[tokio::test]
async fn no_forged_token_is_taken_for_one_of_ours() {
    let users = Users::set().await;
    users.plant(SECRET, "a secret layer").await;
    let good = users.token(&Shown::user("bob"), "repository:bob/app:pull,push").await;
    let key = Key::new();
    for (what, token) in forged(&good, &key) {
        for shown in [
            Shown::bearer(&token),
            Shown::basic("alice", &token),
            Shown::basic("<token>", &token),
            Shown::basic("00000000-0000-0000-0000-000000000000", &token),
        ] {
            let host = users.host();
            let head = format!(
                "GET /v2/{SECRET}/manifests/v1 HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{}\r\n",
                shown.0
            );
            let answers = exchange(host, head).await;
            let [answer] = answers.as_slice() else { panic!("{what}: {answers:?}") };
            // Too many failed logins are turned away by their number.
            assert!(matches!(answer.status, 400 | 401 | 429 | 431), "{what}: {answer:?}");
            assert!(!answer.text().contains("layers"), "{what}");
        }
    }
    // The good one is as good as before, and not for more.
    let good = Shown::bearer(&good);
    assert_eq!(users.ask(&good, "GET", "/v2/bob/app/manifests/none").await.status, 404);
    assert_eq!(asks_for_secret(&users, &good).await, 401);
}

#[tokio::test]
async fn credentials_that_are_shown_twice_or_strangely_are_none() {
    let users = Users::set().await;
    users.plant(SECRET, "a secret layer").await;
    let (alice, bob) = (Shown::user("alice").0, Shown::user("bob").0);
    let token = users.token(&Shown::user("alice"), &format!("repository:{SECRET}:pull")).await;
    for lines in [
        format!("{alice}{bob}"),
        format!("{bob}{alice}"),
        format!("{alice}{alice}"),
        format!("authorization: Bearer {token}\r\n{bob}"),
        format!("authorization: Bearer {token}, Bearer {token}\r\n"),
        format!("authorization: Bearer\t{token}\r\n"),
        format!("authorization: Bearer \"{token}\"\r\n"),
        format!("authorization: Bearer {token} x\r\n"),
        format!("authorization: {token}\r\n"),
        format!("authorization: Token {token}\r\n"),
        format!("proxy-authorization: Bearer {token}\r\n"),
        format!("x-registry-auth: {token}\r\n"),
        format!("cookie: token={token}\r\n"),
        "authorization: \r\n".to_owned(),
        "authorization: Negotiate YII=\r\n".to_owned(),
        "authorization: Basic\r\n".to_owned(),
        "authorization: Basic YWxpY2U=\r\n".to_owned(),
        "authorization: Basic !!!!\r\n".to_owned(),
        "x-remote-user: alice\r\n".to_owned(),
        "x-forwarded-user: root\r\n".to_owned(),
        "forwarded: for=127.0.0.1;by=root\r\n".to_owned(),
    ] {
        let status = asks_for_secret(&users, &Shown(lines.clone())).await;
        assert!(matches!(status, 401 | 403), "{lines:?}: {status}");
    }
    // A token in the address is none, either: it would be in every log on the way.
    for query in [
        format!("?token={token}"),
        format!("?access_token={token}"),
        format!("?authorization=Bearer%20{token}"),
    ] {
        let path = format!("/v2/{SECRET}/manifests/v1{query}");
        assert_eq!(users.ask(&Shown::nothing(), "GET", &path).await.status, 401);
    }
    let path = format!("/v2/{SECRET}/manifests/v1");
    assert_eq!(users.ask(&Shown::bearer(&token), "GET", &path).await.status, 200);
}

/// The operator's own key: its signatures are right, so only the wrong claims can cause the
/// refusal.
#[tokio::test]
async fn a_token_of_our_own_key_counts_only_as_long_and_for_whom_it_says() {
    let secret = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("token.key");
    std::fs::write(&file, secret).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&file, mode).unwrap();
    let users = Users::with_keys(&format!("token_key_file = \"{}\"\n", file.display())).await;
    users.plant(SECRET, "a secret layer").await;
    let good = users.token(&Shown::user("alice"), &format!("repository:{SECRET}:pull")).await;
    let (header, claims) = parts(&good);
    let sign = |change: &dyn Fn(&mut Value)| {
        let mut claims = claims.clone();
        change(&mut claims);
        sign_hs256(&header, &claims, secret.as_bytes())
    };
    let status = async |token: String| asks_for_secret(&users, &Shown::bearer(&token)).await;
    assert_eq!(status(sign(&|_| ())).await, 200, "the key is the right one");
    let refused: [(&str, String); 13] = [
        ("over", sign(&|claims| claims["exp"] = json!(now() - 600))),
        ("without an end", sign(&|claims| drop(claims.as_object_mut().unwrap().remove("exp")))),
        ("an end that is a text", sign(&|claims| claims["exp"] = json!("9999999999"))),
        ("an end that is negative", sign(&|claims| claims["exp"] = json!(-1))),
        ("not yet", sign(&|claims| claims["nbf"] = json!(now() + 3_600))),
        ("for somebody else", sign(&|claims| claims["aud"] = json!("other"))),
        ("for nobody", sign(&|claims| drop(claims.as_object_mut().unwrap().remove("aud")))),
        ("for the place of tokens", sign(&|claims| claims["aud"] = json!("wharfd/token"))),
        ("by somebody else", sign(&|claims| claims["iss"] = json!("other"))),
        ("by nobody", sign(&|claims| drop(claims.as_object_mut().unwrap().remove("iss")))),
        ("of somebody who is gone", sign(&|claims| claims["sub"] = json!("mallory"))),
        ("of somebody who may not", sign(&|claims| claims["sub"] = json!("bob"))),
        ("for another repository", {
            sign(&|claims| {
                let text = claims["access"].to_string().replace(SECRET, "team/other");
                claims["access"] = serde_json::from_str(&text).unwrap();
            })
        }),
    ];
    for (what, token) in refused {
        assert_eq!(status(token).await, 401, "{what}");
    }
}

#[tokio::test]
async fn a_realm_is_an_address_of_ours_whatever_host_is_said() {
    let users = Users::set().await;
    let host = users.host();
    for said in [
        "evil.example/x",
        "evil.example\",service=\"evil",
        "evil.example, Basic realm=x",
        "evil@evil.example",
        "evil.example#",
        "evil.example?a=",
        "evil.example\\",
        "http://evil.example",
        "evil example",
        "",
    ] {
        let head = format!(
            "GET /v2/{SECRET}/manifests/v1 HTTP/1.1\r\nhost: {said}\r\nx-forwarded-host: evil.example\r\n\
             forwarded: host=evil.example\r\nconnection: close\r\n\r\n"
        );
        for answer in exchange(host, head).await {
            assert!(matches!(answer.status, 400 | 401), "{said:?}: {answer:?}");
            let challenge = answer.header("www-authenticate");
            assert!(!challenge.contains("evil"), "{said:?}: {challenge}");
            assert!(!challenge.contains(", Basic") && challenge.matches("realm").count() <= 1);
        }
    }
    // With a configured public address, the token names it.
    let users = Users::with_keys("public_url = \"https://registry.example\"\n").await;
    let answer = users.ask(&Shown::nothing(), "GET", "/v2/").await;
    let challenge = answer.header("www-authenticate");
    assert!(challenge.contains("realm=\"https://registry.example/token\""), "{challenge}");
}

#[tokio::test]
async fn a_form_or_a_credential_without_end_is_refused() {
    let users = Users::set().await;
    let form_kind = Shown("content-type: application/x-www-form-urlencoded\r\n".to_owned());
    let form = format!("grant_type=password&username=alice&password={}", "a".repeat(1024 * 1024));
    let answer = users.send(&form_kind, "POST", "/token", form.as_bytes()).await;
    assert!(matches!(answer.status, 400 | 413), "{answer:?}");
    let fields = "a=b&".repeat(50_000);
    let answer = users.send(&form_kind, "POST", "/token", fields.as_bytes()).await;
    assert!((400..500).contains(&answer.status), "{answer:?}");
    for long in [5_000, 20_000, 31_000] {
        for shown in [
            Shown::bearer(&"e".repeat(long)),
            Shown::basic("alice", &"p".repeat(long / 2)),
            Shown::basic(&"u".repeat(long / 2), "p"),
        ] {
            let answer = users.ask(&shown, "GET", "/v2/").await;
            assert!(matches!(answer.status, 401 | 431), "{long}: {answer:?}");
        }
    }
    assert_eq!(users.ask(&Shown::user("alice"), "GET", "/v2/").await.status, 200);
}
