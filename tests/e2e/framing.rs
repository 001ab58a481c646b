//! The content of responses and their declared length, over either version of HTTP. The client is
//! not ours: curl reads HTTP/2 with nghttp2, and nghttp2 resets a stream with forbidden content.

use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::task::JoinSet;
use wharf_testkit::clients::{self, COMMAND_TIME, Client, Output};

use crate::fixture::{Wharfd, eventually};

const REPO: &str = "acme/web";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const INDEX: &str = "{\"schemaVersion\":2,\"manifests\":[]}";

/// curl's option for each version.
pub(crate) const VERSIONS: [&str; 2] = ["--http1.1", "--http2-prior-knowledge"];

pub(crate) struct Curl(Client);

/// An answer, as curl saw it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    /// `Content-Length`.
    pub(crate) length: Option<u64>,
    /// The size of the received content.
    pub(crate) bytes: u64,
}

impl Curl {
    pub(crate) fn find() -> Option<Self> {
        clients::require("curl").map(Self)
    }

    /// Sends one request. A malformed or endless response is an error of curl's.
    pub(crate) async fn ask(&self, version: &str, arguments: &[&str]) -> Seen {
        let Output { status, stdout, stderr } = self.run(version, arguments).await;
        assert!(status.success(), "{version} {arguments:?}: {stdout} {stderr}");
        let mut words = stdout.split(' ');
        let mut next = || words.next().unwrap();
        let (spoken, code, bytes, length) = (next(), next(), next(), next());
        let expected = if version == "--http1.1" { "1.1" } else { "2" };
        assert_eq!(spoken, expected, "{arguments:?}");
        let length = (!length.is_empty()).then(|| length.parse().unwrap());
        Seen { status: code.parse().unwrap(), length, bytes: bytes.parse().unwrap() }
    }

    async fn run(&self, version: &str, arguments: &[&str]) -> Output {
        let said = "%{http_version} %{http_code} %{size_download} %header{content-length}";
        let mut command = Command::new(self.0.path());
        command.args(["-sS", version, "-o", "/dev/null", "-w", said]).args(arguments);
        self.0.run_with(&mut command, COMMAND_TIME).await.unwrap()
    }

    async fn head(&self, version: &str, url: &str, more: &[&str]) -> Seen {
        let seen = self.ask(version, &[&["--head", url], more].concat()).await;
        assert_eq!(seen.bytes, 0, "{version} HEAD {url}: {seen:?}");
        seen
    }

    /// The same to HEAD as to GET but the content, in both versions.
    pub(crate) async fn assert_heads_are_bare(&self, url: &str, status: u16, more: &[&str]) {
        for version in VERSIONS {
            let head = self.head(version, url, more).await;
            let get = self.ask(version, &[&[url], more].concat()).await;
            assert_eq!((head.status, get.status), (status, status), "{version} {url}");
            assert_eq!(head.length, get.length, "{version} {url}");
            assert_eq!(get.length, Some(get.bytes), "{version} {url}");
        }
    }
}

#[tokio::test]
async fn an_answer_to_head_has_no_content_on_any_route_with_any_status() {
    let Some(curl) = Curl::find() else { return };
    let gone = "[[upstream]]\nprefix = \"gone\"\nurl = \"http://127.0.0.1:1\"\n";
    let mine = "[limits]\nurl_bytes = \"1KiB\"\n";
    let wharfd = Wharfd::with_config(&format!("{mine}{gone}")).await;
    let alone = Wharfd::with_config(mine).await;
    let (api, base) = (&alone.api, alone.api.base());
    let digest = api.push_blob(REPO, "content").await;
    let empty = api.push_blob(REPO, "").await;
    assert_eq!(api.put_manifest(REPO, "v1", INDEX_TYPE, INDEX).await.status, 201);
    let absent = digest.replace(&digest[10..20], "0000000000");
    let long = "a".repeat(2_000);
    let rows = [
        ("/v2/".to_owned(), 200),
        (format!("/v2/{REPO}/blobs/{digest}"), 200),
        (format!("/v2/{REPO}/blobs/{empty}"), 200),
        (format!("/v2/{REPO}/blobs/{absent}"), 404),
        (format!("/v2/{REPO}/blobs/sha256:12"), 400),
        (format!("/v2/{REPO}/manifests/v1"), 200),
        (format!("/v2/{REPO}/manifests/v2"), 404),
        (format!("/v2/Nobody/manifests/{digest}"), 404),
        (format!("/v2/{REPO}/blobs/uploads/{:032x}", 7), 404),
        (format!("/v2/{REPO}/nothing"), 404),
        (format!("/v2/?{long}"), 414),
        ("/".to_owned(), 404),
    ];
    for (path, status) in rows {
        curl.assert_heads_are_bare(&format!("{base}{path}"), status, &[]).await;
    }
    for part in ["bytes=2-3", "bytes=100-"] {
        for version in VERSIONS {
            let url = format!("{base}/v2/{REPO}/blobs/{digest}");
            let head = curl.head(version, &url, &["-H", &format!("range: {part}")]).await;
            assert!(matches!(head.status, 200 | 206 | 416), "{version} {part}: {head:?}");
        }
    }
    // HEAD is no method of these.
    for path in ["_catalog", "acme/web/tags/list", &format!("acme/web/referrers/{digest}")] {
        for version in VERSIONS {
            let head = curl.head(version, &format!("{base}/v2/{path}"), &[]).await;
            assert!(head.status == 405 && head.length > Some(0), "{version} {path}: {head:?}");
        }
    }
    for path in ["/healthz", "/readyz", "/metrics", "/nothing"] {
        for version in VERSIONS {
            let head = curl.head(version, &format!("{}{path}", alone.admin_base()), &[]).await;
            assert!(matches!(head.status, 200 | 404 | 405), "{version} {path}: {head:?}");
        }
    }
    // 502, and 429 once the upstream is left alone.
    for _ in 0..2 {
        for path in ["blobs/", "manifests/"] {
            for version in VERSIONS {
                let url = format!("{}/v2/gone/app/{path}{digest}", wharfd.api.base());
                let head = curl.head(version, &url, &[]).await;
                assert!(matches!(head.status, 429 | 502), "{version} {path}: {head:?}");
                assert!(head.length > Some(0), "{version} {path}: {head:?}");
            }
        }
    }
}

#[tokio::test]
async fn nor_has_one_that_turns_the_client_away() {
    let Some(curl) = Curl::find() else { return };
    let lines = "[limits]\nrequests_per_second = 1\nrequests_burst = 1\nheader_bytes = \"8KiB\"\n\
                 connections_per_address = 80\n";
    let wharfd = Wharfd::with_config(lines).await;
    // As many as may wait at this rate do.
    let mut waiting = JoinSet::new();
    for _ in 0..60 {
        let api = wharfd.api.clone();
        waiting.spawn(async move { api.get("/v2/").await.status });
    }
    let url = format!("{}/v2/", wharfd.api.base());
    let large = format!("x: {}", "a".repeat(10_000));
    for version in VERSIONS {
        let limited = async || {
            let head = curl.head(version, &url, &[]).await;
            (head.status == 429).then_some(head.length)
        };
        assert!(eventually("a refusal", limited).await > Some(0), "{version}");
        let head = curl.head(version, &url, &["-H", &large]).await;
        assert_eq!(head.status, 431, "{version}");
    }
    let head = curl.head("--http1.1", &url, &["-H", "host: a b"]).await;
    assert_eq!(head.status, 400);
    drop(waiting);
    // No connection is left: the answer is not of the routes at all.
    let used = "wharfd_limit_used{limit=\"address_connections\"}";
    let free = async || (wharfd.metric(used).await == 0).then_some(());
    eventually("the end of all connections", free).await;
    let mut all = Vec::new();
    for _ in 0..80 {
        all.push(TcpStream::connect(wharfd.host()).await.unwrap());
    }
    wharfd.metric_reaches(used, 80).await;
    for version in VERSIONS {
        let head = curl.head(version, &url, &[]).await;
        assert!(head.status == 429 && head.length > Some(0), "{version}: {head:?}");
    }
}

#[tokio::test]
async fn what_did_not_change_or_has_nothing_to_say_has_no_content() {
    let Some(curl) = Curl::find() else { return };
    let wharfd = Wharfd::alone().await;
    let (api, base) = (&wharfd.api, wharfd.api.base());
    let put = api.put_manifest(REPO, "v1", INDEX_TYPE, INDEX).await;
    let known = format!("if-none-match: \"{}\"", put.header("docker-content-digest"));
    let manifest = format!("{base}/v2/{REPO}/manifests/v1");
    for version in VERSIONS {
        let upload = format!("{base}{}", api.open_upload(REPO).await);
        for (method, url, header, status) in [
            ("GET", &manifest, known.as_str(), 304),
            ("HEAD", &manifest, &known, 304),
            ("GET", &upload, "x: y", 204),
            ("HEAD", &upload, "x: y", 204),
            ("DELETE", &upload, "x: y", 204),
        ] {
            let asked = if method == "HEAD" { vec!["--head"] } else { vec!["-X", method] };
            let seen = curl.ask(version, &[&asked[..], &["-H", header, url]].concat()).await;
            let expected = Seen { status, length: None, bytes: 0 };
            assert_eq!(seen, expected, "{version} {method} {url}");
        }
    }
}

#[tokio::test]
async fn an_answer_without_a_byte_says_so() {
    let Some(curl) = Curl::find() else { return };
    let wharfd = Wharfd::alone().await;
    let digest = wharfd.api.push_blob(REPO, "").await;
    let url = format!("{}/v2/{REPO}/blobs/{digest}", wharfd.api.base());
    for version in VERSIONS {
        let expected = Seen { status: 200, length: Some(0), bytes: 0 };
        assert_eq!(curl.ask(version, &[&url]).await, expected, "{version}");
        assert_eq!(curl.head(version, &url, &[]).await, expected, "{version}");
    }
}
