//! One line per request, when its answer is over, in both forms.

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use wharf_testkit::images::sha256;

use super::{INDEX, REPO, TYPE, line_with, objects};
use crate::fixture::{How, Stage, Wharfd, eventually, noise};
use crate::framing::Curl;

fn json() -> How {
    How { arguments: vec!["--log-format".to_owned(), "json".to_owned()], ..How::default() }
}

/// The line of a request in JSON, by a word in its path.
async fn object_of(wharfd: &Wharfd, method: &str, word: &str) -> Value {
    let line = line_with(wharfd, &["\"request\"", &format!("\"{method}\""), word]).await;
    serde_json::from_str::<Value>(&line).unwrap()["fields"].clone()
}

#[tokio::test]
async fn a_request_is_a_line_with_what_came_of_it() {
    let wharfd = Wharfd::started("", json()).await;
    let content = noise(1, 3_000_000);
    let digest = wharfd.api.push_blob(REPO, content.clone()).await;
    wharfd.api.put_manifest(REPO, "v1", TYPE, INDEX).await;
    assert!(wharfd.api.get_blob(REPO, &digest).await.body == content);
    wharfd.api.get_range(REPO, &digest, "bytes=0-99").await;
    let line = object_of(&wharfd, "GET", &digest).await;
    let expected = [
        ("route", Value::from("blob")),
        ("upstream", "local".into()),
        ("outcome", "hit".into()),
        ("status", 200.into()),
        ("sent", content.len().into()),
        ("digest", digest.as_str().into()),
        ("caller", "-".into()),
        ("client", "127.0.0.1".into()),
        ("cut_off", false.into()),
    ];
    for (name, value) in expected {
        assert_eq!(line[name], value, "{name} in {line}");
    }
    let (first, total) = (line["first_ms"].as_f64().unwrap(), line["ms"].as_f64().unwrap());
    assert!(0.0 < first && first <= total, "{line}");
    let part = line_with(&wharfd, &["\"request\"", "\"status\":206"]).await;
    assert!(part.contains("\"sent\":100,"), "{part}");
    let push = object_of(&wharfd, "PUT", "manifests/v1").await;
    assert_eq!((&push["route"], &push["status"]), (&"manifest".into(), &201.into()));
    assert_eq!(push["digest"], sha256(INDEX.as_bytes()));
}

#[tokio::test]
async fn what_an_upstream_refuses_is_the_line_of_its_request_and_nothing_else() {
    let Some(stage) = Stage::start_with(crate::fixture::Setup::read_only).await else { return };
    let (api, content) = (stage.api(), noise(9, 1000));
    let digest = sha256(&content);
    for (answer, status) in [
        (api.get_manifest(REPO, "none").await, 404),
        (api.get_blob(REPO, &digest).await, 404),
        (api.get(&format!("/v2/{REPO}/tags/list")).await, 404),
        (api.try_push_blob(REPO, &digest, content).await.unwrap(), 403),
    ] {
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    line_with(&stage.wharfd, &["method=POST", "status=403"]).await;
    let log = stage.wharfd.log();
    let loud = log.lines().find(|line| line.contains("ERROR") || line.contains("WARN"));
    assert_eq!(loud, None);
    assert_eq!(log.matches("manifests/none").count(), 1, "{log}");
}

#[tokio::test]
async fn a_client_that_hangs_up_in_the_middle_is_said_to_have_been_cut_off() {
    let wharfd = Wharfd::alone().await;
    let content = noise(2, 64 << 20);
    let digest = wharfd.api.push_blob(REPO, content.clone()).await;
    let mut stream = TcpStream::connect(wharfd.host()).await.unwrap();
    let head = format!("GET /v2/{REPO}/blobs/{digest} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.read_exact(&mut [0; 1000]).await.unwrap();
    drop(stream);
    let line = line_with(&wharfd, &["method=GET", &digest, "cut_off=true"]).await;
    let sent = line.split(" sent=").nth(1).unwrap().split(' ').next().unwrap();
    let sent: usize = sent.parse().unwrap();
    assert!((1000..content.len()).contains(&sent), "{line}");
    wharfd.metric_reaches("wharfd_requests_cut_off_total{when=\"in_body\"}", 1).await;
    assert_eq!(wharfd.metric("wharfd_requests_in_flight").await, 0);
}

#[tokio::test]
async fn a_client_that_goes_away_before_its_answer_is_a_line_too() {
    let Some(stage) = Stage::start().await else { return };
    stage.front.hold_after(0);
    let mut stream = TcpStream::connect(stage.wharfd.host()).await.unwrap();
    let head = format!("GET /v2/{REPO}/manifests/v9 HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stage.wharfd.metric_reaches("wharfd_requests_in_flight", 1).await;
    drop(stream);
    let line = line_with(&stage.wharfd, &["manifests/v9", "method=GET", "cut_off=true"]).await;
    assert!(line.contains(" status=0 "), "{line}");
    stage.wharfd.metric_reaches("wharfd_requests_cut_off_total{when=\"before_answer\"}", 1).await;
    stage.front.release();
}

#[tokio::test]
async fn an_ordinary_push_and_pull_cut_nobody_off() {
    let wharfd = Wharfd::alone().await;
    let (api, content) = (&wharfd.api, noise(5, 300_000));
    let digest = sha256(&content);
    // Clients look before they push, and again when they have.
    assert_eq!(api.head_blob(REPO, &digest).await.status, 404);
    assert_eq!(api.head_manifest(REPO, "v1").await.status, 404);
    api.push_blob(REPO, content).await;
    assert_eq!(api.put_manifest(REPO, "v1", TYPE, INDEX).await.status, 201);
    assert_eq!(api.head_blob(REPO, &digest).await.status, 200);
    assert_eq!(api.head("/v2/").await.status, 200);
    let known = api.call(http::Method::GET, &format!("/v2/{REPO}/manifests/v1"));
    let known = known.header("if-none-match", format!("\"{}\"", sha256(INDEX.as_bytes())));
    assert_eq!(known.send().await.unwrap().status, 304);
    let upload = api.open_upload(REPO).await;
    assert_eq!(api.get(&upload).await.status, 204);
    assert_eq!(api.delete(&upload).await.status, 204);
    // The same over HTTP/2, where the content of an answer is a thing of its own.
    if let Some(curl) = Curl::find() {
        for path in ["/v2/", "/v2/acme/web/manifests/v1", "/v2/acme/web/manifests/v2"] {
            let url = format!("{}{path}", api.base());
            curl.ask("--http2-prior-knowledge", &["--head", &url]).await;
        }
    }
    for when in ["before_answer", "in_body"] {
        let name = format!("wharfd_requests_cut_off_total{{when=\"{when}\"}}");
        assert_eq!(wharfd.metric(&name).await, 0, "{}", wharfd.log());
    }
    line_with(&wharfd, &["method=DELETE", "cut_off=false"]).await;
    assert!(!wharfd.log().contains("cut_off=true"), "{}", wharfd.log());
}

/// An upstream with log injection in its refusals.
async fn forger() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let said = "{\"errors\":[{\"code\":\"UNKNOWN\",\"message\":\"x\\n2026-01-01T00:00:00Z  INFO \
                forged\\u001b[2J\\u2028\"}]}";
    let answer = format!(
        "HTTP/1.1 500 No\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{said}",
        said.len()
    );
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    url
}

/// Requests with the same injection.
async fn forge(wharfd: &Wharfd) {
    for path in [
        "/v2/a%0a2026-01-01T00:00:00Z%20%20INFO%20forged/manifests/v1",
        "/v2/a/b/blobs/sha256:%0d%0aforged%1b[2J",
        "/v2/a/b/tags/list?last=%0aforged&n=1",
        "/v2/a/b/manifests/v1?ns=%0aforged",
        "/v2/a/b/manifests/forged%e2%80%a8forged",
        "/v2/a/b/manifests/v1",
    ] {
        wharfd.api.get(path).await;
    }
    let lie = wharfd.api.call(http::Method::GET, "/v2/").header("forwarded", "for=\"\\n forged\"");
    assert_eq!(lie.send().await.unwrap().status, 200);
    line_with(wharfd, &["path", "\"/v2/\""]).await;
}

#[tokio::test]
async fn nothing_that_clients_or_upstreams_say_begins_a_line() {
    let loud = ("WHARFD_LOG", "wharf_proxy=trace,wharfd=info".to_owned());
    let config =
        format!("trusted_proxies = [\"127.0.0.1\"]\n[[upstream]]\nurl = \"{}\"\n", forger().await);
    let how = How { variables: vec![loud.clone()], ..json() };
    let wharfd = Wharfd::started(&config, how).await;
    forge(&wharfd).await;
    let log = wharfd.log();
    for object in objects(&log) {
        assert!(object["level"].is_string(), "{object}");
    }
    assert!(log.contains("\\nforged") || log.contains("INFO forged"), "nobody forged: {log}");
    let plain = Wharfd::started(&config, How { variables: vec![loud], ..How::default() }).await;
    forge(&plain).await;
    let log = eventually("the refusal of the upstream", async || {
        Some(plain.log()).filter(|log| log.contains("forged"))
    });
    let log = log.await;
    let is_line = |line: &str| {
        // 2026-11-26T03:37:12.591146Z  INFO …
        line.as_bytes().get(19) == Some(&b'.') && line.as_bytes().get(26) == Some(&b'Z')
    };
    for line in log.split('\n').filter(|line| !line.is_empty()) {
        assert!(is_line(line), "{line:?}");
        let harmful = |c: char| c.is_control() || c == '\u{2028}';
        assert!(!line.contains(harmful), "{line:?}");
    }
}
