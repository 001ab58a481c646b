//! Open access is for every program with a way to the port, and a browser reaches the port for
//! every page. A real browser tries a stranger's page against a `wharfd` on the same machine, and
//! other programs must still have access.

mod site;

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use http::Method;
use serde_json::Value;
use tempfile::TempDir;
use wharf_testkit::clients::{self, require};
use wharf_testkit::http::Client;
use wharf_testkit::images::sha256;
use wharf_testkit::processes::Process;
use wharf_testkit::relay::Relay;

use crate::fixture::{Api, How, Wharfd, code, message};
use site::Site;

const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const INDEX: &str = "{\"schemaVersion\":2,\"manifests\":[]}";
const KEPT: &str = "content that was there before";
/// The attacking page, with its list of attempts.
const PAGE: &str = include_str!("pages/attack.html");

/// A browser with one resolvable name, for this machine.
fn browse(browser: &clients::Client, folder: &TempDir, url: &str) -> Process {
    let mut command = Command::new(browser.path());
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--no-proxy-server",
        "--remote-debugging-port=0",
        "--host-resolver-rules=MAP evil.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ]);
    command.arg(format!("--user-data-dir={}", folder.path().join("profile").display())).arg(url);
    command.env("HOME", folder.path());
    Process::spawn("browser", &mut command, folder.path()).unwrap()
}

/// A registry of its own with one image.
struct Scene {
    wharfd: Wharfd,
    browser: clients::Client,
    kept: String,
}

impl Scene {
    async fn set() -> Option<Self> {
        let browser = require("chromium")?;
        let wharfd = Wharfd::alone().await;
        let kept = wharfd.api.push_blob("kept", KEPT).await;
        let put = wharfd.api.put_manifest("kept", "v1", INDEX_TYPE, INDEX).await;
        assert_eq!(put.status, 201, "{}", put.text());
        Some(Self { wharfd, browser, kept })
    }

    /// The page's report from a browser with the page from `from` and the attempts against `there`.
    /// Both may be the relay: then the relay first serves the page, and later leads to `wharfd`.
    async fn tried(&self, relay: &Arc<Relay>, from: Option<&str>, there: &str) -> Value {
        let wharfd = self.wharfd.host().parse().unwrap();
        let relay_addr = relay.addr();
        let page = |site: SocketAddr| {
            relay.point_to(site);
            let site = format!("http://{site}");
            let page = PAGE.replace("THERE", there).replace("SITE", &site);
            page.replace("OWN", &sha256(b"evil")).replace("KEPT", &self.kept)
        };
        let turning = Arc::clone(relay);
        let mut site = Site::start(page, move || turning.point_to(wharfd)).await;
        let port = if from.is_some() { site.addr.port() } else { relay_addr.port() };
        let url = from.map_or_else(|| format!("{there}/"), |host| format!("http://{host}:{port}/"));
        let folder = TempDir::with_prefix("browser-").unwrap();
        let mut browser = browse(&self.browser, &folder, &url);
        let told = site.told().await;
        browser.kill().unwrap();
        told
    }

    /// The page changed nothing: no new content, and no missing content.
    async fn assert_untouched(&self, what: &str) {
        let api = &self.wharfd.api;
        let catalog = api.get("/v2/_catalog").await.json().unwrap();
        assert_eq!(catalog["repositories"], serde_json::json!(["kept"]), "{what}");
        assert_eq!(api.head_blob("evil", &sha256(b"evil")).await.status, 404, "{what}");
        assert_eq!(api.get_manifest("kept", "v1").await.body, INDEX, "{what}");
        assert_eq!(self.wharfd.metric("wharfd_uploads").await, 0, "{what}");
    }

    /// How many requests of this kind were answered like this.
    fn answered(&self, method: &str, path: &str, status: u16) -> usize {
        let (method, path) = (format!("method={method} "), format!("path=\"{path}\""));
        let status = format!("status={status} ");
        let log = self.wharfd.log();
        let fits =
            |line: &&str| [&method, &path, &status].iter().all(|word| line.contains(&**word));
        log.lines().filter(fits).count()
    }
}

const UPLOADS: &str = "/v2/evil/blobs/uploads/";

#[tokio::test]
async fn a_page_of_another_site_changes_nothing_and_reads_nothing() {
    let Some(scene) = Scene::set().await else { return };
    let relay = Arc::new(Relay::start().await.unwrap());
    let there = format!("http://{}", scene.wharfd.host());
    let mut posts = 0;
    // Another port of the same host is the same site; another host is another.
    for from in ["127.0.0.1", "evil.test"] {
        let told = scene.tried(&relay, Some(from), &there).await;
        for name in ["open", "push", "mount", "look"] {
            assert_eq!(told[name]["type"], "opaque", "{from} {name}: {told}");
        }
        for name in ["put", "read", "delete"] {
            assert!(told[name].as_str().unwrap().contains("Failed to fetch"), "{from}: {told}");
        }
        assert_eq!((&told["form"], &told["image"]), (&"load".into(), &"error".into()), "{from}");
        scene.assert_untouched(from).await;
        // All of it came here, and was refused here.
        let refused = scene.answered("POST", UPLOADS, 403);
        assert_eq!(refused, posts + 4, "{from}: {}", scene.wharfd.log());
        posts = refused;
    }
    let image = format!("/v2/kept/blobs/{}", scene.kept);
    assert_eq!(scene.answered("GET", &image, 403), 2, "{}", scene.wharfd.log());
    assert_eq!(scene.answered("GET", "/v2/kept/manifests/v1", 403), 4, "{}", scene.wharfd.log());
    assert!(scene.answered("OPTIONS", "/v2/evil/manifests/v1", 403) >= 2, "{}", scene.wharfd.log());
}

#[tokio::test]
async fn a_page_whose_name_comes_to_lead_here_is_refused_by_its_name() {
    let Some(scene) = Scene::set().await else { return };
    let relay = Arc::new(Relay::start().await.unwrap());
    let there = format!("http://evil.test:{}", relay.addr().port());
    let told = scene.tried(&relay, None, &there).await;
    // The browser takes all of it for the page's own, and shows it every answer.
    for name in ["open", "push", "mount", "put", "read", "look", "delete"] {
        assert_eq!(told[name]["status"], 403, "{name}: {told}");
        let text = told[name]["text"].as_str().unwrap();
        assert!(text.contains("DENIED") && text.contains("evil.test"), "{name}: {told}");
    }
    assert_eq!(told["image"], "error");
    scene.assert_untouched("rebound").await;
    let log = scene.wharfd.log();
    assert_eq!(log.matches("is not listed in `hosts`").count(), 1, "{log}");
}

/// The page can do all this: where it is not a stranger's, it does.
#[tokio::test]
async fn a_page_of_the_same_address_is_served() {
    let Some(scene) = Scene::set().await else { return };
    let relay = Arc::new(Relay::start().await.unwrap());
    let there = format!("http://{}", relay.addr());
    let told = scene.tried(&relay, None, &there).await;
    for (name, status) in
        [("open", 202), ("push", 201), ("mount", 201), ("put", 201), ("read", 200), ("delete", 202)]
    {
        assert_eq!(told[name]["status"], status, "{name}: {told}");
    }
    assert_eq!(told["read"]["text"], INDEX);
    assert_eq!(scene.wharfd.api.head_blob("evil", &sha256(b"evil")).await.status, 200);
    assert_eq!(scene.wharfd.api.get_manifest("kept", "v1").await.status, 404);
    assert_eq!(scene.wharfd.metric("wharfd_uploads").await, 2, "by fetch, and by form");
}

async fn by_host(wharfd: &Wharfd, host: &str) -> (u16, String) {
    let answer = wharfd.api.call(Method::GET, "/v2/").header("host", host).send().await.unwrap();
    let said = if answer.status == 200 { String::new() } else { message(&answer) };
    if answer.status != 200 {
        assert_eq!(code(&answer), "DENIED");
    }
    (answer.status.as_u16(), said)
}

#[tokio::test]
async fn a_name_is_served_when_it_is_listed_and_another_says_how_to_list_it() {
    let wharfd =
        Wharfd::with_config("[access]\nhosts = [\"Registry.LAN\", \"*.registry.svc\"]\n").await;
    for host in [
        "127.0.0.1:5000",
        "[::1]",
        "LocalHost:5000",
        "registry.lan",
        "REGISTRY.lan.:80",
        "wharfd.registry.svc",
    ] {
        assert_eq!(by_host(&wharfd, host).await.0, 200, "{host}");
    }
    for host in ["evil.test", "wharfd", "registry.lan.evil.test", "registry.svc"] {
        let (status, said) = by_host(&wharfd, host).await;
        assert!(status == 403 && said.contains(host), "{host}: {status} {said}");
        assert!(said.contains("`hosts` of [access]"), "{said}");
    }
    // With the network admitted, the network's host names are admitted too.
    let arguments = ["--listen", "0.0.0.0:0", "--insecure-open"].map(str::to_owned).to_vec();
    let wharfd = Wharfd::started("", How { arguments, ..How::default() }).await;
    let addr: SocketAddr = wharfd.host().parse().unwrap();
    let api = Api::new(format!("http://127.0.0.1:{}", addr.port()), Client::new());
    for (host, status) in [("wharfd:5000", 200), ("my_registry", 200), ("wharfd.example", 403)] {
        let answer = api.call(Method::GET, "/v2/").header("host", host).send().await.unwrap();
        assert_eq!(answer.status, status, "{host}");
    }
}

#[tokio::test]
async fn the_admin_address_and_logins_are_not_for_pages_either() {
    let folder = TempDir::new().unwrap();
    let htpasswd = folder.path().join("htpasswd");
    std::fs::write(&htpasswd, "").unwrap();
    let config = format!(
        "[access]\nkind = \"users\"\nhosts = [\"metrics.lan\"]\nhtpasswd = \"{}\"\n\
         [[access.rule]]\nwho = [\"anonymous\"]\nrepositories = [\"*\"]\nactions = [\"admin\"]\n",
        htpasswd.display()
    );
    let wharfd = Wharfd::with_config(&config).await;
    for (name, value, status) in [
        ("host", "metrics.lan:5001", 200),
        ("host", "evil.test", 403),
        ("sec-fetch-site", "cross-site", 403),
        ("origin", "null", 403),
    ] {
        let url = format!("{}/metrics", wharfd.admin_base());
        let asked = Client::new().get(url).header(name, value).send().await.unwrap();
        assert_eq!(asked.status, status, "{name}: {value}");
        if status == 403 {
            assert!(!asked.text().contains("wharfd_"), "{}", asked.text());
        }
    }
    // A browser may add a password to a page's request, but never a token.
    let open = |page: &'static str, login: &'static str| {
        let call = wharfd.api.call(Method::POST, UPLOADS).header("origin", page);
        let call = if login.is_empty() { call } else { call.header("authorization", login) };
        async move { call.send().await.unwrap().status.as_u16() }
    };
    assert_eq!(open("https://evil.test", "").await, 403);
    assert_eq!(open("https://evil.test", "Basic dTpw").await, 403);
    assert_eq!(open("https://evil.test", "Bearer wrong").await, 401);
    let own = wharfd.api.call(Method::POST, UPLOADS).header("origin", wharfd.api.base());
    assert_eq!(own.send().await.unwrap().status, 202);
}
