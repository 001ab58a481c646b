//! Tokens of ours: their rights, their lifetime, and invalid requests for them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use wharf_testkit::http::Answer;

use super::challenges::challenge;
use super::scene::{RULES, Scene, password};
use crate::fixture::{Api, message};

fn given(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    let json = answer.json().unwrap();
    assert_eq!(json["token"], json["access_token"]);
    json["token"].as_str().unwrap().to_owned()
}

async fn token(api: &Api, query: &str) -> String {
    given(&api.get(&format!("/token?service=wharfd&{query}")).await)
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_holds_what_was_asked_and_is_allowed_and_no_more() {
    let scene = Scene::set().await;
    let scopes = "scope=repository:team/a:pull,push,delete&scope=repository:secret/a:pull\
                  &scope=repository:base:pull,push&scope=nonsense&scope=registry:catalog:*";
    let token = token(&scene.alice(), &format!("account=alice&{scopes}")).await;
    let claims = claims(&token);
    assert_eq!((&claims["sub"], &claims["iss"]), (&json!("alice"), &json!("wharfd")));
    let access = |name: &str, actions: &[&str]| json!({"type": "repository", "name": name, "actions": actions});
    let catalog = json!({"type": "registry", "name": "catalog", "actions": ["*"]});
    assert_eq!(
        claims["access"],
        json!([access("team/a", &["pull", "push"]), access("base", &["pull"]), catalog])
    );
    let (begin, end) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
    assert_eq!(end - begin, 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_one_repository_opens_no_other() {
    let scene = Scene::set().await;
    let (blob, _) = scene.plant("team/a").await;
    let (other, _) = scene.plant("team/b").await;
    let pull = token(&scene.alice(), "scope=repository:team/a:pull").await;
    let holder = scene.nobody().with_token(&pull);
    assert_eq!(holder.get("/v2/").await.status, 200);
    assert_eq!(holder.get_blob("team/a", &blob).await.status, 200);
    let refused = challenge(&holder.get_blob("team/b", &other).await);
    assert!(
        refused.ends_with("scope=\"repository:team/b:pull\",error=\"insufficient_scope\""),
        "{refused}"
    );
    let pushed = holder.try_push_blob("team/a", &blob, "x").await.unwrap();
    assert!(challenge(&pushed).contains("repository:team/a:pull,push"));
    assert!(challenge(&holder.get("/v2/_catalog").await).contains("registry:catalog:*"));
    // Nor does it buy another one.
    let more = holder.get("/token?scope=repository:team/b:pull").await;
    assert_eq!(challenge(&more), "Basic realm=\"wharfd\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_wants_a_token_for_its_target_and_its_source() {
    let scene = Scene::set().await;
    let (blob, _) = scene.plant("team/b").await;
    let (secret, _) = scene.plant("secret/app").await;
    let mount = async |api: &Api, digest: &str, from: &str| {
        let path = format!("/v2/team/a/blobs/uploads/?mount={digest}&from={from}");
        api.post(&path).send().await.unwrap()
    };
    let scope = |from: &str| format!("repository:team/a:pull,push repository:{from}:pull");
    let told = |answer: &Answer| {
        let told = challenge(answer);
        let scope = told.split_once("scope=\"").unwrap().1.split_once('"').unwrap().0;
        scope.to_owned()
    };
    assert_eq!(told(&mount(scene.nobody(), &blob, "team/b").await), scope("team/b"));
    let target = token(&scene.alice(), "scope=repository:team/a:pull,push").await;
    let target = scene.nobody().with_token(&target);
    let wanted = mount(&target, &blob, "team/b").await;
    assert!(challenge(&wanted).ends_with("error=\"insufficient_scope\""));
    // A client asks with the words of the challenge and gets a sufficient token.
    let query = told(&wanted).replace(' ', "%20");
    let both = token(&scene.alice(), &format!("scope={query}")).await;
    let mounted = mount(&scene.nobody().with_token(&both), &blob, "team/b").await;
    assert_eq!(mounted.status, 201, "{}", mounted.text());
    // Without the right to pull from the source, a challenge would not help, so none is sent.
    for (digest, from) in [(&secret, "secret/app"), (&secret, "secret/nil")] {
        assert_eq!(mount(&target, digest, from).await.status, 202, "{from}");
    }
    // Nor with the target as the source, or without a source.
    assert_eq!(mount(&target, &secret, "team/a").await.status, 202);
    let path = format!("/v2/team/a/blobs/uploads/?mount={secret}");
    assert_eq!(target.post(&path).send().await.unwrap().status, 202);
    // A password has all rights of its user.
    assert_eq!(mount(&scene.alice(), &blob, "team/b").await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_nothing_where_tokens_are_given_out_learns_that_a_login_is_needed() {
    let rules = RULES.replace("\"anonymous\"", "\"alice\"");
    let scene = Scene::with("", &rules, "").await;
    let asked = "service=wharfd&scope=repository:team/a:pull";
    let get = scene.nobody().get(&format!("/token?{asked}")).await;
    let form = [("service", "wharfd"), ("scope", "repository:team/a:pull")];
    let post = scene.nobody().post("/token").form(&form).send().await.unwrap();
    let user = [("grant_type", "password"), ("username", "alice")];
    let half = scene.nobody().post("/token").form(&user).send().await.unwrap();
    for answer in [get, post, half] {
        assert_eq!(challenge(&answer), "Basic realm=\"wharfd\"");
        assert_eq!(message(&answer), "a login is needed");
    }
    let wrong =
        scene.nobody().with_password("alice", "wrong").get(&format!("/token?{asked}")).await;
    assert_eq!(message(&wrong), "the login was refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_come_in_a_header_or_in_a_form() {
    let scene = Scene::set().await;
    let nobody = scene.nobody();
    let (blob, _) = scene.plant("team/a").await;
    let form = async |fields: &[(&str, &str)]| {
        let scope = ("scope", "repository:team/a:pull repository:base:pull");
        let fields = [&[scope, ("service", "wharfd"), ("client_id", "test")], fields].concat();
        nobody.post("/token").form(&fields).send().await.unwrap()
    };
    let login = [("grant_type", "password"), ("username", "alice"), ("password", "alice-password")];
    let answer = form(&login).await;
    assert_eq!(answer.json().unwrap()["scope"], "repository:team/a:pull repository:base:pull");
    let holder = nobody.with_token(&given(&answer));
    assert_eq!(holder.get_blob("team/a", &blob).await.status, 200);
    let wrong = [("grant_type", "password"), ("username", "alice"), ("password", "wrong")];
    assert_eq!(form(&wrong).await.status, 401);
    assert_eq!(form(&[("grant_type", "password"), ("username", "alice")]).await.status, 401);
    assert_eq!(form(&[("grant_type", "client_credentials")]).await.status, 400);
    let no_form = nobody.post("/token").bytes("x").send().await.unwrap();
    assert_eq!(no_form.status, 400);
    let long = nobody.post("/token").form(&[("scope", &"x".repeat(100_000))]);
    assert_eq!(long.send().await.unwrap().status, 400);
    assert_eq!(nobody.delete("/token").await.status, 405);
    let with_token = nobody.with_password("ci-1", &scene.token);
    token(&with_token, "scope=repository:team/a:push").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_get_no_token() {
    let scene = Scene::set().await;
    for (user, secret) in [("alice", "wrong"), ("nobody", "x"), ("", "")] {
        let answer = scene.nobody().with_password(user, secret).get("/token?service=wharfd").await;
        assert_eq!(challenge(&answer), "Basic realm=\"wharfd\"");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_in_particular_gets_a_token_where_a_rule_names_them() {
    let scene = Scene::set().await;
    let (blob, _) = scene.plant("open/app").await;
    let (hidden, _) = scene.plant("base").await;
    let scopes = "scope=repository:open/app:pull,push&scope=repository:base:pull";
    let anonymous = token(scene.nobody(), scopes).await;
    assert_eq!(claims(&anonymous)["access"][0]["actions"], json!(["pull"]));
    assert_eq!(claims(&anonymous)["access"].as_array().unwrap().len(), 1);
    let holder = scene.nobody().with_token(&anonymous);
    assert_eq!(holder.get("/v2/").await.status, 200);
    assert_eq!(holder.get_blob("open/app", &blob).await.status, 200);
    assert_eq!(holder.get_blob("base", &hidden).await.status, 401);
    let rules = RULES.replace("\"anonymous\"", "\"alice\"");
    let closed = Scene::with("", &rules, "").await;
    let refused = closed.nobody().get(&format!("/token?{scopes}")).await;
    assert_eq!(refused.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_stands_for_a_password_until_that_changes() {
    let mut scene = Scene::set().await;
    let offline = "/token?service=wharfd&offline_token=true&scope=repository:team/a:pull";
    let answer = scene.alice().get(offline).await.json().unwrap();
    let refresh = answer["refresh_token"].as_str().unwrap().to_owned();
    assert_eq!(scene.nobody().with_token(&refresh).get("/v2/").await.status, 401);
    let ask = async |scene: &Scene| {
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh.as_str()),
            ("scope", "repository:team/a:push"),
        ];
        scene.nobody().post("/token").form(&fields).send().await.unwrap()
    };
    let renewed = given(&ask(&scene).await);
    assert_eq!(claims(&renewed)["sub"], "alice");
    assert_eq!(claims(&renewed)["access"][0]["actions"], json!(["push"]));
    // A long-lived token needs no refresh token, and an anonymous client gets none.
    let with_token = scene.nobody().with_password("ci-1", &scene.token);
    for api in [&with_token, scene.nobody()] {
        assert_eq!(api.get(offline).await.json().unwrap()["refresh_token"], Value::Null);
    }
    let path = scene.folder.path().join("htpasswd");
    let (_, line, _) = super::scene::access_command(&["hash-password", "alice"], "another\n");
    let text = std::fs::read_to_string(&path).unwrap();
    let others: Vec<_> = text.lines().filter(|line| !line.starts_with("alice")).collect();
    std::fs::write(&path, format!("{}\n{line}", others.join("\n"))).unwrap();
    scene.wharfd.stop().await;
    scene.wharfd.start_again().await;
    assert_eq!(ask(&scene).await.status, 401);
    let alice = scene.nobody().with_password("alice", "another");
    assert_eq!(alice.get("/v2/").await.status, 200);
    // The key outlived the restart, and the token is good: its holder has another password only.
    assert_eq!(scene.nobody().with_token(&renewed).get("/v2/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_tokens_open_nothing() {
    let scene = Scene::set().await;
    let good = token(&scene.alice(), "scope=repository:team/a:pull").await;
    let parts: Vec<&str> = good.split('.').collect();
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let none = encode(&json!({"alg": "none", "typ": "JWT"}));
    let mut raised = claims(&good);
    raised["sub"] = json!("root");
    let mut late = claims(&good);
    late["exp"] = json!(9_999_999_999_u64);
    let forged = [
        format!("{none}.{}.", parts[1]),
        format!("{none}.{}.{}", parts[1], parts[2]),
        format!("{}.{}.{}", parts[0], encode(&raised), parts[2]),
        format!("{}.{}.{}", parts[0], encode(&late), parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}.{}", parts[0], parts[1], URL_SAFE_NO_PAD.encode([0; 32])),
        format!("{good}.x"),
    ];
    for forged in &forged {
        let answer = scene.nobody().with_token(forged).get("/v2/").await;
        assert!(challenge(&answer).contains("invalid_token"), "{forged}");
    }
    // Signed with the key of another registry.
    let other = Scene::set().await;
    let stranger = token(&other.alice(), "scope=repository:team/a:pull").await;
    assert_eq!(scene.nobody().with_token(&stranger).get("/v2/").await.status, 401);
    assert_eq!(scene.nobody().with_token(&good).get("/v2/").await.status, 200);
    assert_eq!(password("alice"), "alice-password");
}

#[tokio::test(flavor = "multi_thread")]
async fn registries_with_one_key_take_each_others_tokens() {
    use std::os::unix::fs::OpenOptionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&path).unwrap();
    std::io::Write::write_all(&mut file, "0123456789abcdef0123456789abcdef\n".as_bytes()).unwrap();
    let rules = format!("token_key_file = \"{}\"\n{RULES}", path.display());
    let (one, other) = (Scene::with("", &rules, "").await, Scene::with("", &rules, "").await);
    let given = token(&one.alice(), "scope=repository:team/a:pull").await;
    assert_eq!(other.nobody().with_token(&given).get("/v2/").await.status, 200);
}
