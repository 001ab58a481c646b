//! The way out: `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, for every server in use by `wharfd`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Version;
use tempfile::TempDir;
use wharf_double::{AcrDouble, Kind};
use wharf_testkit::http::Client;
use wharf_testkit::http_proxy::HttpProxy;
use wharf_testkit::images::sha256;
use wharf_testkit::registry::Registry;

use crate::encrypted::Front;
use crate::fixture::{Api, How, USER, Wharfd, double_config, eventually, noise, upstream_lines};

const REPO: &str = "acme/web";
const PASSWORD: &str = "planted-proxy-password-77";

/// `wharfd` with this proxy in its environment.
async fn behind(proxy: &HttpProxy, lines: &str, no_proxy: &str) -> Wharfd {
    let url = format!("http://gate:{PASSWORD}@{}", proxy.addr());
    let variables = vec![
        ("HTTP_PROXY", url.clone()),
        ("https_proxy", url),
        ("NO_PROXY", no_proxy.to_owned()),
        ("WHARFD_LOG", "trace".to_owned()),
    ];
    Wharfd::started(lines, How { variables, ..How::default() }).await
}

fn login() -> String {
    format!("Basic {}", STANDARD.encode(format!("gate:{PASSWORD}")))
}

/// Neither the password nor its form on the wire.
fn assert_hidden(wharfd: &Wharfd) {
    let log = wharfd.log();
    assert!(!log.contains(PASSWORD) && !log.contains(&login()), "the log shows the password");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_upstream_its_tokens_and_its_storage_are_reached_through_the_proxy() {
    let Some(registry) = Registry::start().await.unwrap() else { return };
    let proxy = HttpProxy::start().await.unwrap();
    proxy.wants(&login());
    let mut config = double_config(&registry);
    config.storage_public = Some("storage.example.com".to_owned());
    let double = AcrDouble::start(config).await.unwrap();
    proxy.knows("registry.example.com", double.addr());
    proxy.knows("storage.example.com", double.storage_addr());
    let lines = upstream_lines("http://registry.example.com", USER);
    let wharfd = behind(&proxy, &lines, "").await;
    let origin = Api::new(registry.url(), Client::new());
    let content = noise(1, 700_000);
    let digest = origin.push_blob(REPO, content.clone()).await;
    let pulled = wharfd.api.get_blob(REPO, &digest).await;
    assert!(pulled.status == 200 && pulled.body == content, "{}", pulled.status);
    let mine = noise(2, 300_000);
    let pushed = wharfd.api.try_push_blob(REPO, &sha256(&mine), mine.clone()).await.unwrap();
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    assert!(origin.get_blob(REPO, &sha256(&mine)).await.body == mine);
    let asked = proxy.asked();
    assert!(asked.iter().all(|asked| asked.login == Some(login())), "{asked:?}");
    let went = |words: &str| asked.iter().any(|asked| asked.line.contains(words));
    for words in
        ["GET http://registry.example.com/v2/", "/oauth2/", "GET http://storage.example.com"]
    {
        assert!(went(words), "{words}: {asked:?}");
    }
    assert!(double.counts().total(Kind::BlobGet) >= 1);
    let said = format!("proxy=http://{} scheme=\"http\"", proxy.addr());
    assert!(wharfd.log().contains(&said), "{}", wharfd.log());
    assert_hidden(&wharfd);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_upstream_is_reached_through_a_tunnel_that_the_proxy_does_not_see_into() {
    let Some(registry) = Registry::start().await.unwrap() else { return };
    let (proxy, folder) = (HttpProxy::start().await.unwrap(), TempDir::new().unwrap());
    proxy.wants(&login());
    let front = Front::start_as("registry.example.com", &registry).await;
    proxy.knows("registry.example.com", front.addr);
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, &front.certificate).unwrap();
    let lines = format!(
        "[[upstream]]\nurl = \"https://registry.example.com\"\nca_file = \"{}\"\n",
        file.display()
    );
    let wharfd = behind(&proxy, &lines, "").await;
    let digest = Api::new(registry.url(), Client::new()).push_blob(REPO, "content").await;
    assert_eq!(wharfd.api.get_blob(REPO, &digest).await.body, "content");
    assert_eq!(front.versions(), [Version::HTTP_2]);
    let lines: Vec<_> = proxy.asked().into_iter().map(|asked| (asked.line, asked.login)).collect();
    assert!(!lines.is_empty());
    for asked in lines {
        assert_eq!(asked, ("CONNECT registry.example.com:443".to_owned(), Some(login())));
    }
    assert_hidden(&wharfd);
}

#[tokio::test(flavor = "multi_thread")]
async fn issuers_and_the_collector_are_asked_through_the_proxy_and_exceptions_are_not() {
    let proxy = HttpProxy::start().await.unwrap();
    let lines = "[telemetry]\notlp_endpoint = \"http://collector.example.com:4318\"\n\
         [access]\nkind = \"users\"\n\
         [[access.rule]]\nwho = [\"idp:*\"]\nrepositories = [\"*\"]\nactions = [\"pull\"]\n\
         [[access.issuer]]\nname = \"idp\"\nissuer = \"https://idp.example.com\"\naudience = \"wharfd\"\n\
         [[access.issuer]]\nname = \"near\"\nissuer = \"https://near.invalid\"\naudience = \"wharfd\"\n";
    let wharfd = behind(&proxy, lines, ".near.invalid, near.invalid").await;
    for issuer in ["https://idp.example.com", "https://near.invalid"] {
        let words = format!("{{\"iss\":\"{issuer}\",\"aud\":\"wharfd\",\"exp\":99999999999}}");
        let parts = ["{\"alg\":\"ES256\",\"typ\":\"JWT\"}", &words, "signature"];
        let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let token = parts.map(|part| engine.encode(part)).join(".");
        let refused = wharfd.api.with_login(format!("Bearer {token}")).get("/v2/").await;
        assert_eq!(refused.status, 401);
    }
    eventually("traces on their way", async || {
        let asked = proxy.asked();
        asked
            .iter()
            .any(|a| a.line == "POST http://collector.example.com:4318/v1/traces")
            .then_some(())
    })
    .await;
    let asked = proxy.asked();
    let to = |host: &str| asked.iter().any(|asked| asked.line == format!("CONNECT {host}:443"));
    assert!(to("idp.example.com") && !to("near.invalid"), "{asked:?}");
    assert_hidden(&wharfd);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_refuses_is_named_with_what_to_do_and_its_login_is_not() {
    let proxy = HttpProxy::start().await.unwrap();
    proxy.wants("Basic of somebody else");
    let digest = sha256(b"content");
    for (scheme, words) in [("https", "wants a login"), ("http", "wants another login")] {
        let lines = format!("[[upstream]]\nurl = \"{scheme}://registry.example.com\"\n");
        let wharfd = behind(&proxy, &lines, "").await;
        let refused = wharfd.api.get_blob(REPO, &digest).await;
        assert_eq!(refused.status, 502, "{}", refused.text());
        assert!(wharfd.log().contains(words), "{}", wharfd.log());
        assert_hidden(&wharfd);
    }
    proxy.wants(&login());
    let lines = "[[upstream]]\nurl = \"https://registry.example.com\"\n";
    let wharfd = behind(&proxy, lines, "").await;
    assert_eq!(wharfd.api.get_blob(REPO, &digest).await.status, 502);
    assert!(wharfd.log().contains("add it to NO_PROXY"), "{}", wharfd.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn past_a_proxy_an_upstream_does_not_lead_inside() {
    let Some(registry) = Registry::start().await.unwrap() else { return };
    let proxy = HttpProxy::start().await.unwrap();
    let mut config = double_config(&registry);
    config.storage_public = Some("storage.corp.internal".to_owned());
    let double = AcrDouble::start(config).await.unwrap();
    proxy.knows("registry.example.com", double.addr());
    proxy.knows("storage.corp.internal", double.storage_addr());
    let digest = Api::new(registry.url(), Client::new()).push_blob(REPO, noise(3, 9_000)).await;
    let lines = upstream_lines("http://registry.example.com", USER);
    let careful = behind(&proxy, &lines, "").await;
    assert_eq!(careful.api.get_blob(REPO, &digest).await.status, 502);
    assert!(!proxy.asked().iter().any(|asked| asked.line.contains("internal")));
    assert!(careful.log().contains("redirect_hosts"), "{}", careful.log());
    let listed = format!("{lines}redirect_hosts = [\"*.corp.internal\"]\n");
    let wharfd = behind(&proxy, &listed, "").await;
    assert_eq!(wharfd.api.get_blob(REPO, &digest).await.status, 200);
}
