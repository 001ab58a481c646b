//! The challenge in a refusal leads the client to a login.

use http::Method;
use wharf_testkit::http::Answer;

use super::scene::{RULES, Scene, password};
use crate::closing::{assert_refused, send_all_first};
use crate::framing::{Curl, VERSIONS};

pub(super) fn challenge(answer: &Answer) -> String {
    assert_eq!(answer.status, 401, "{}", answer.text());
    answer.header("www-authenticate").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_nothing_learns_where_to_get_a_token_for_what_it_wanted() {
    let scene = Scene::set().await;
    let (nobody, host) = (scene.nobody(), scene.wharfd.host());
    let realm = format!("Bearer realm=\"http://{host}/token\",service=\"wharfd\"");
    assert_eq!(challenge(&nobody.get("/v2/").await), realm);
    let scoped = |scope: &str| format!("{realm},scope=\"{scope}\"");
    let pulled = nobody.get("/v2/team/app/manifests/1.0").await;
    assert_eq!(challenge(&pulled), scoped("repository:team/app:pull"));
    let pushed = nobody.post("/v2/team/app/blobs/uploads/").send().await.unwrap();
    assert_eq!(challenge(&pushed), scoped("repository:team/app:pull,push"));
    let deleted = nobody.delete("/v2/team/app/manifests/1.0").await;
    assert_eq!(challenge(&deleted), scoped("repository:team/app:delete"));
    assert_eq!(challenge(&nobody.get("/v2/_catalog").await), scoped("registry:catalog:*"));
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_wrong_are_refused_on_every_route_and_never_taken_for_none() {
    let scene = Scene::set().await;
    scene.plant("open/app").await;
    let nobody = scene.nobody();
    assert_eq!(nobody.get_manifest("open/app", "1.0").await.status, 200);
    let forms =
        ["Basic", "Basic !!", "Basic YQ==", "Bearer", "Bearer x", "Digest a", "Bearer a.b.c"];
    for form in forms {
        for path in ["/v2/", "/v2/open/app/manifests/1.0", "/v2/_catalog", "/v2/nonsense/"] {
            let answer = nobody.with_login(form).get(path).await;
            assert!(challenge(&answer).contains("error=\"invalid_token\""), "{form} {path}");
        }
    }
    let twice = nobody.call(Method::GET, "/v2/open/app/manifests/1.0");
    let pair = "Basic YWxpY2U6YWxpY2UtcGFzc3dvcmQ=";
    let twice = twice.header("authorization", pair).header("authorization", pair);
    assert_eq!(twice.send().await.unwrap().status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_realm_is_a_host_that_the_client_named_and_nothing_else_of_it() {
    let scene = Scene::with("trusted_proxies = [\"127.0.0.2\"]", RULES, "").await;
    let nobody = scene.nobody();
    let with = async |name: &str, value: &str| {
        let call = nobody.call(Method::GET, "/v2/").header(name, value);
        challenge(&call.send().await.unwrap())
    };
    // A forgotten header sends no client to another host with a password in clear.
    let named = with("host", "registry.example.com").await;
    assert!(named.contains("\"https://registry.example.com/token"), "{named}");
    for lie in ["a\"b", "evil@host", "a/b", "a,b"] {
        let answer = nobody.call(Method::GET, "/v2/").header("host", lie).send().await.unwrap();
        let head = format!("{:?}", answer.headers);
        assert!([400, 401].contains(&answer.status.as_u16()) && !head.contains(lie), "{head}");
    }
    // Any client may claim an encrypted connection, but nothing else.
    for (name, value) in [("x-forwarded-proto", "https"), ("forwarded", "proto=https;host=evil")] {
        let said = with(name, value).await;
        assert!(said.contains("https://127.0.0.1:") && !said.contains("evil"), "{said}");
    }
    for (name, value) in [("x-forwarded-proto", "http"), ("x-forwarded-proto", "gopher")] {
        let said = with(name, value).await;
        assert!(said.contains("\"http://127.0.0.1:"), "{said}");
    }
    let host = with("x-forwarded-host", "evil.example.com").await;
    assert!(!host.contains("evil"), "{host}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balancer_that_nobody_named_leads_no_password_into_the_open() {
    // The start warns of this configuration: logins without a certificate and without trusted
    // proxies.
    let scene = Scene::with("insecure_http = true", RULES, "").await;
    assert!(scene.wharfd.log().contains("trusted_proxies"), "{}", scene.wharfd.log());
    let nobody = scene.nobody();
    let with = async |scheme: &str| {
        let call = nobody.call(Method::GET, "/v2/").header("host", "registry.example.com");
        challenge(&call.header("x-forwarded-proto", scheme).send().await.unwrap())
    };
    assert!(with("http").await.contains("\"http://registry.example.com/token"));
    assert!(with("https").await.contains("\"https://registry.example.com/token"));
    // Without the flag the next client is sent to an encrypted address, and the log says why.
    let careful = Scene::with("", RULES, "").await;
    assert!(!careful.wharfd.log().contains("trusted_proxies"));
    let call = careful.nobody().call(Method::GET, "/v2/").header("host", "registry.example.com");
    let said = challenge(&call.send().await.unwrap());
    assert!(said.contains("\"https://registry.example.com/token"), "{said}");
    assert!(careful.wharfd.log().contains("trusted_proxies"), "{}", careful.wharfd.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_balancer_that_is_trusted_the_realm_is_encrypted() {
    let scene = Scene::with("trusted_proxies = [\"127.0.0.0/8\"]", RULES, "").await;
    let call = scene.nobody().call(Method::GET, "/v2/").header("x-forwarded-proto", "https");
    let said = challenge(&call.send().await.unwrap());
    assert!(said.contains(&format!("https://{}/token", scene.wharfd.host())), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_url_is_the_realm_whatever_a_request_says() {
    let rules = format!("public_url = \"https://r.example.com\"\n{RULES}");
    let scene = Scene::with("", &rules, "").await;
    let call = scene.nobody().call(Method::GET, "/v2/").header("host", "other.example.com");
    let said = challenge(&call.send().await.unwrap());
    assert!(said.starts_with("Bearer realm=\"https://r.example.com/token\""), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_no_upstream_serves_is_for_those_who_may_come_in() {
    let upstream = "[[upstream]]\nurl = \"http://127.0.0.1:1\"\nnamespaces = [\"docker.io\"]\n";
    let scene = Scene::with("", RULES, upstream).await;
    let path = "/v2/library/x/manifests/1?ns=other.io";
    assert_eq!(scene.nobody().get(path).await.status, 401);
    let alice = scene.nobody().with_password("alice", &password("alice"));
    assert_eq!(alice.get(path).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_head_that_asks_for_a_login_has_no_content() {
    let Some(curl) = Curl::find() else { return };
    let scene = Scene::set().await;
    scene.plant("team/app").await;
    let url = |path: &str| format!("{}{path}", scene.nobody().base());
    let manifest = url("/v2/team/app/manifests/1.0");
    for (path, status, login) in [
        (url("/v2/"), 401, "x: y"),
        (manifest.clone(), 401, "x: y"),
        (manifest.clone(), 401, "authorization: Bearer forged"),
        (manifest.clone(), 403, "authorization: Basic Ym9iOmJvYi1wYXNzd29yZA=="),
        (manifest, 200, "authorization: Basic YWxpY2U6YWxpY2UtcGFzc3dvcmQ="),
        (url("/token"), 405, "x: y"),
    ] {
        let method: &[&str] = if status == 405 { &["-X", "DELETE"] } else { &[] };
        for version in VERSIONS {
            let arguments = ["-H", login, "-H", "accept: */*", "--head", &path];
            let head = curl.ask(version, &arguments).await;
            let get = curl.ask(version, &[method, &["-H", login, &path]].concat()).await;
            assert_eq!((head.status, head.bytes), (status, 0), "{version} {path} {login}");
            assert_eq!((get.status, head.length), (status, get.length), "{version} {path} {login}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_asked_for_in_the_middle_of_what_is_sent() {
    let scene = Scene::set().await;
    let location = scene.alice().open_upload("team/app").await;
    let request = format!("PATCH {location} HTTP/1.1");
    let answer = send_all_first(&scene.wharfd.host(), &request).await;
    assert_refused(&answer, 401, "UNAUTHORIZED");
    assert!(answer.contains("scope=\"repository:team/app:pull,push\""), "{answer}");
}
