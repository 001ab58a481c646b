//! Refusals during a client's upload: the client sees the reason, not a broken connection. Clients
//! read first or send all first, in either version of HTTP.

use std::path::Path;
use std::time::Duration;

use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;
use wharf_testkit::clients::{self, COMMAND_TIME, Output};
use wharf_testkit::http::{full, read_to_limit};
use wharf_testkit::images::Recipe;

use crate::fixture::{PATIENCE, Wharfd, noise};
use crate::framing::{Curl, VERSIONS};
use crate::tls::scene::Scene;

const REPO: &str = "acme/web";
const MIB: usize = 1024 * 1024;
/// More than all buffers on the way hold.
const BODY_BYTES: usize = 48 * MIB;
const LIMITS: &str = "[limits]\nblob_bytes = \"1MiB\"\n";

/// Sends a head and a whole body before the first read; returns every byte until the server's
/// close.
pub(crate) async fn send_all_first(host: &str, head: &str) -> String {
    let mut stream = TcpStream::connect(host).await.unwrap();
    let head = format!("{head}\r\nhost: {host}\r\ncontent-length: {BODY_BYTES}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let piece = noise(1, MIB);
    for number in 0..BODY_BYTES / MIB {
        let written = timeout(PATIENCE, stream.write_all(&piece)).await.expect("room in time");
        written.unwrap_or_else(|error| panic!("{head}: {error} after {number} MiB"));
    }
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an end in time");
    read.unwrap_or_else(|error| panic!("{head}: {error}"));
    String::from_utf8(answer).unwrap()
}

/// One whole response with this status, marked as the connection's last.
pub(crate) fn assert_refused(answer: &str, status: u16, word: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(answer.contains(word) && answer.ends_with("]}"), "{answer}");
}

#[tokio::test]
async fn who_sends_everything_first_is_told_why_it_was_refused() {
    let wharfd = Wharfd::with_config(LIMITS).await;
    let location = wharfd.api.open_upload(REPO).await;
    let absent = format!("/v2/{REPO}/blobs/uploads/{:032x}", 7);
    for (request, status, word) in [
        (format!("PATCH {location} HTTP/1.1"), 413, "SIZE_INVALID"),
        (format!("PATCH {absent} HTTP/1.1"), 404, "BLOB_UPLOAD_UNKNOWN"),
        (format!("PUT /v2/{REPO}/manifests/v1 HTTP/1.1"), 413, "MANIFEST_INVALID"),
        ("POST /v2/ HTTP/1.1".to_owned(), 405, "UNSUPPORTED"),
        ("PUT /v2/Acme/blobs/uploads/1 HTTP/1.1".to_owned(), 404, "NAME_INVALID"),
        // The server does not read this body to its end, because the head itself is wrong.
        (format!("PATCH {location} HTTP/1.1\r\nhost: another"), 400, "more than one Host"),
    ] {
        assert_refused(&send_all_first(&wharfd.host(), &request).await, status, word);
    }
    assert_eq!(wharfd.metric("wharfd_limit_refusals_total{limit=\"linger\"}").await, 0);
}

#[tokio::test]
async fn who_is_too_many_is_told_so_while_it_sends_and_who_comes_too_often_has_its_turn() {
    let often = Wharfd::with_config("[limits]\ntransfers_per_second = 1\ntransfers_burst = 1\n");
    let often = often.await;
    let request = format!("PATCH /v2/{REPO}/blobs/uploads/{:032x} HTTP/1.1", 7);
    let first = often.api.patch(&format!("/v2/{REPO}/blobs/uploads/x")).send().await.unwrap();
    assert_eq!(first.status, 404);
    // The request waits for its turn; then comes the refusal.
    assert_refused(&send_all_first(&often.host(), &request).await, 404, "BLOB_UPLOAD_UNKNOWN");
    let many = Wharfd::with_config("[limits]\nconnections = 1\n").await;
    let _one = TcpStream::connect(many.host()).await.unwrap();
    many.metric_reaches("wharfd_limit_used{limit=\"connections\"}", 1).await;
    assert_refused(&send_all_first(&many.host(), &request).await, 429, "TOOMANYREQUESTS");
}

#[tokio::test]
async fn who_reads_first_has_the_answer_and_the_end_before_it_has_sent_a_tenth() {
    let wharfd = Wharfd::with_config(LIMITS).await;
    let location = wharfd.api.open_upload(REPO).await;
    let mut stream = TcpStream::connect(wharfd.host()).await.unwrap();
    let head = format!(
        "PATCH {location} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
        1024 * BODY_BYTES
    );
    stream.write_all(&[head.as_bytes(), &noise(1, MIB)].concat()).await.unwrap();
    let mut answer = String::new();
    // Our side of the connection stays open, and theirs ends all the same.
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert_refused(&answer, 413, "SIZE_INVALID");
    // Bytes after the refusal meet no reset.
    for _ in 0..BODY_BYTES / MIB {
        stream.write_all(&noise(1, MIB)).await.unwrap();
    }
    drop(stream);
    let gone = async || {
        let used = wharfd.metric("wharfd_limit_used{limit=\"connections\"}").await;
        (used <= 1).then_some(())
    };
    crate::fixture::eventually("the end of the connection", gone).await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_who_was_told_and_stays() {
    let mut wharfd = Wharfd::with_config("shutdown_deadline_seconds = 1\n").await;
    let location = wharfd.api.open_upload(REPO).await;
    let mut stream = TcpStream::connect(wharfd.host()).await.unwrap();
    let head =
        format!("PATCH {location} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n12345");
    stream.write_all(head.as_bytes()).await.unwrap();
    wharfd.metric_reaches("wharfd_received_bytes_total", 5).await;
    // Neither sends the rest nor closes.
    let began = tokio::time::Instant::now();
    assert!(wharfd.stop().await.success(), "{}", wharfd.log());
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer:?}");
}

/// A layout with one layer above the server's limit.
fn layout(folder: &Path) -> String {
    Recipe::new(5, &[BODY_BYTES as u64]).write(folder, "1.0").unwrap().reference()
}

#[tokio::test]
async fn curl_sees_the_refusal_in_either_version() {
    let Some(curl) = Curl::find() else { return };
    let wharfd = Wharfd::with_config(LIMITS).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    std::fs::write(&file, noise(3, BODY_BYTES)).unwrap();
    let file = file.display().to_string();
    for version in VERSIONS {
        let location = wharfd.api.open_upload(REPO).await;
        let absent = format!("/v2/{REPO}/blobs/uploads/{:032x}", 7);
        for (path, status) in [(location.as_str(), 413), (absent.as_str(), 404)] {
            for expects in ["expect:", "expect: 100-continue"] {
                let url = format!("{}{path}", wharfd.api.base());
                let sent = ["-X", "PATCH", "-T", &file, "-H", expects, &url];
                let seen = curl.ask(version, &sent).await;
                assert_eq!(seen.status, status, "{version} {path} {expects}");
                assert_eq!(seen.length, Some(seen.bytes), "{version} {path} {expects}");
            }
        }
    }
}

#[tokio::test]
async fn curl_gets_each_answer_to_a_large_upload_over_http2() {
    let Some(curl) = Curl::find() else { return };
    let wharfd = Wharfd::with_config(LIMITS).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    std::fs::write(&file, noise(3, BODY_BYTES)).unwrap();
    let file = file.display().to_string();
    let absent = format!("/v2/{REPO}/blobs/uploads/{:032x}", 7);
    // The timing of reads and writes decides whether the client sees the response before a reset.
    for _ in 0..12 {
        for (method, path) in [("PUT", "/nope"), ("PATCH", absent.as_str())] {
            let url = format!("{}{path}", wharfd.api.base());
            let seen = curl.ask(VERSIONS[1], &["-X", method, "-T", &file, &url]).await;
            assert_eq!((seen.status, seen.length), (404, Some(seen.bytes)), "{path}");
        }
    }
    assert_eq!(wharfd.metric("wharfd_limit_refusals_total{limit=\"linger\"}").await, 0);
}

#[tokio::test]
async fn other_requests_of_an_http2_connection_go_on_when_many_are_refused_while_they_send() {
    let scene = Scene::start_with("", LIMITS).await;
    let mut peer = scene.connect(&["h2"]).await;
    let content = noise(4, MIB);
    let blob = peer.push(REPO, &content).await;
    let absent = format!("/v2/{REPO}/blobs/uploads/{:032x}", 7);
    let mut refused = Vec::new();
    for seed in 0..20 {
        let body = full(noise(seed, 8 * MIB));
        refused.push(peer.start(Method::PATCH, &absent, body).await.unwrap());
        let (status, got) = peer.get(&blob).await.unwrap();
        assert!(status == 200 && got == content, "{status} beside {seed}");
    }
    for answer in refused {
        assert_eq!(answer.status(), 404);
        let said = read_to_limit(answer.into_body(), MIB).await.unwrap();
        assert!(said.ends_with(b"]}"), "{said:?}");
    }
}

/// Pushes with a real client; the push fails, and its output is returned.
async fn push(name: &str, arguments: &[&str]) -> Option<String> {
    let client = clients::require(name)?;
    let mut command = Command::new(client.path());
    command.args(arguments);
    let Output { status, stdout, stderr } =
        client.run_with(&mut command, COMMAND_TIME).await.unwrap();
    assert!(!status.success(), "{name} pushed what is too large");
    Some(format!("{stdout}{stderr}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn real_clients_say_that_a_layer_is_too_large() {
    let wharfd = Wharfd::with_config(LIMITS).await;
    let folder = tempfile::tempdir().unwrap();
    let (source, host) = (layout(folder.path()), wharfd.host());
    let place = folder.path().display().to_string();
    let reference = format!("{host}/{REPO}:1.0");
    let (to, from) = (format!("docker://{reference}"), format!("{place}:1.0"));
    let skopeo = ["copy", "-q", "--dest-tls-verify=false", &source, &to];
    let oras = ["cp", "--from-oci-layout", "--to-plain-http", &from, &reference];
    let crane = ["push", "--insecure", &place, &reference];
    let rows: [(&str, &[&str]); 3] = [("skopeo", &skopeo), ("oras", &oras), ("crane", &crane)];
    for (name, arguments) in rows {
        let Some(said) = push(name, arguments).await else { continue };
        let lower = said.to_lowercase();
        assert!(!lower.contains("broken pipe") && !lower.contains("reset"), "{name}: {said}");
        let told = ["413", "too large", "larger than", "size_invalid", "size invalid"];
        assert!(told.iter().any(|word| lower.contains(word)), "{name}: {said}");
    }
}
