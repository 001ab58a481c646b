//! Log injection: for any text from clients and upstreams, `wharfd` itself wrote each line of a
//! log: as text and as JSON, at the most verbose level, and of the audit log.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::raw::{exchange, percent};
use super::scene::{Daemon, Parrot, Start, said};
use super::users::{Setup, Shown, Users};
use crate::fixture::eventually;

const REPO: &str = "acme/web";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// A line credible to an operator, or to the operator's log reader.
const FORGED: &str = "2026-01-01T00:00:00.000000Z  INFO forged: login of admin granted";

/// The forged line behind every possible end of the line before it.
fn attempts() -> Vec<String> {
    [
        "\n",
        "\r\n",
        "\r",
        "\u{85}",
        "\u{2028}",
        "\u{b}",
        "\u{c}",
        "\0\n",
        "\"}\n",
        "\\n\n",
        "\u{1b}[2K\u{1b}[1G",
    ]
    .iter()
    .map(|end| format!("x{end}{FORGED}"))
    .collect()
}

/// Sends the text in every field of a client's request.
async fn say_everywhere(host: &str, text: &str) {
    let path = percent(text);
    let pair = STANDARD.encode(format!("{text}:{text}"));
    let claims = json!({ "sub": text, "iss": text, "kid": text }).to_string();
    let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let token = format!(
        "{}.{}.{}",
        part(&json!({ "alg": "none", "kid": text }).to_string()),
        part(&claims),
        part("x")
    );
    let manifest = json!({
        "schemaVersion": 2, "mediaType": text, "config": { "mediaType": text, "digest": text, "size": text },
    })
    .to_string();
    // A header may contain tabs and bytes outside of UTF-8, but no line ends.
    let header: String = text.chars().map(|c| if c.is_control() { '\t' } else { c }).collect();
    let requests = [
        format!("GET /v2/{path}/tags/list HTTP/1.1\r\n"),
        format!("GET /v2/a/manifests/{path} HTTP/1.1\r\n"),
        format!("GET /v2/a/blobs/sha256:{path} HTTP/1.1\r\n"),
        format!("GET /v2/a/blobs/uploads/{path} HTTP/1.1\r\n"),
        format!("GET /{path} HTTP/1.1\r\n"),
        format!("GET /v2/a/tags/list?n={path} HTTP/1.1\r\n"),
        format!("GET /v2/a/tags/list?last={path} HTTP/1.1\r\n"),
        format!("GET /v2/a/manifests/v1?ns={path} HTTP/1.1\r\n"),
        format!("GET /token?service={path}&scope={path}&account={path} HTTP/1.1\r\n"),
        format!("POST /v2/a/blobs/uploads/?mount={path}&from={path} HTTP/1.1\r\n"),
        format!("POST /v2/a/blobs/uploads/?digest-algorithm={path} HTTP/1.1\r\n"),
        format!("GET /v2/ HTTP/1.1\r\nauthorization: Basic {pair}\r\n"),
        format!("GET /v2/ HTTP/1.1\r\nauthorization: Bearer {token}\r\n"),
        format!("GET /v2/ HTTP/1.1\r\nauthorization: {header}\r\n"),
        format!("GET /v2/ HTTP/1.1\r\nuser-agent: {header}\r\nreferer: {header}\r\n"),
        format!("GET /v2/ HTTP/1.1\r\nx-forwarded-for: {header}\r\nforwarded: for={header}\r\n"),
        format!("GET /v2/ HTTP/1.1\r\ntraceparent: {header}\r\nx-request-id: {header}\r\n"),
        format!(
            "GET /v2/a/manifests/v1 HTTP/1.1\r\noci-namespace: {header}\r\naccept: {header}\r\n"
        ),
        format!(
            "GET /v2/a/manifests/v1 HTTP/1.1\r\nif-none-match: {header}\r\nrange: {header}\r\n"
        ),
        format!("PUT /v2/{REPO}/manifests/v1 HTTP/1.1\r\ncontent-type: {header}\r\n"),
        format!("GET {text} HTTP/1.1\r\n"),
        format!("{text} /v2/ HTTP/1.1\r\n"),
    ];
    for head in requests {
        let _ = exchange(host, format!("{head}host: {host}\r\nconnection: close\r\n\r\n")).await;
    }
    let length = manifest.len();
    let put = format!(
        "PUT /v2/{REPO}/manifests/v1 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: {MANIFEST_TYPE}\r\ncontent-length: {length}\r\n\r\n{manifest}"
    );
    let _ = exchange(host, put).await;
}

/// Upstreams with the text in every field of their responses.
async fn upstreams(text: &str) -> Vec<Parrot> {
    let header: String = text.chars().map(|c| if c.is_control() { '\t' } else { c }).collect();
    let error =
        |code: &str| json!({ "errors": [{ "code": code, "message": text, "detail": text }] });
    let answers = [
        said("404 Not Found", "", &error("NAME_UNKNOWN").to_string()),
        said("400 Bad Request", "", &error(text).to_string()),
        said("500 Oh", "", &error("UNKNOWN").to_string()),
        said("401 Unauthorized", &format!("www-authenticate: Bearer realm=\"{header}\"\r\n"), text),
        said("401 Unauthorized", &format!("www-authenticate: {header}\r\n"), text),
        said("307 Away", &format!("location: {header}\r\n"), ""),
        said("307 Away", &format!("location: http://{header}/\r\n"), ""),
        said("429 Slow", &format!("retry-after: {header}\r\n"), text),
        said(
            "200 OK",
            &format!("content-type: {header}\r\ndocker-content-digest: {header}\r\n"),
            text,
        ),
        said("200 OK", "", &json!({ "name": text, "tags": text }).to_string()),
        text.to_owned(),
    ];
    let mut parrots = Vec::new();
    for answer in answers {
        parrots.push(Parrot::saying(answer).await);
    }
    parrots
}

/// A `wharfd` before such upstreams, each under a prefix of its own, after everything was said.
async fn after_everything(format: &str) -> String {
    let (mut config, mut parrots) = (String::new(), Vec::new());
    let attempts = attempts();
    for text in [&attempts[0], &attempts[3], &attempts[10]] {
        parrots.extend(upstreams(text).await);
    }
    for (number, parrot) in parrots.iter().enumerate() {
        let _ = write!(
            config,
            "[[upstream]]\nprefix = \"u{number}\"\nurl = \"{}\"\nanswer_timeout_seconds = 2\n",
            parrot.url()
        );
    }
    let arguments = ["--log-format", format];
    let environment = [("WHARFD_LOG", "trace")];
    let daemon = Daemon::start(Start {
        config: &config,
        arguments: &arguments,
        environment: &environment,
        ..Start::default()
    })
    .await;
    for text in &attempts {
        say_everywhere(daemon.host(), text).await;
    }
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..parrots.len() {
        let api = daemon.api.clone();
        asked.spawn(async move {
            api.get_manifest(&format!("u{number}/app"), "v1").await;
            api.get(&format!("/v2/u{number}/app/tags/list")).await;
        });
    }
    asked.join_all().await;
    let log = daemon.log();
    assert!(log.contains("forged"), "nothing of it was logged at all");
    assert!(log.contains("TRACE"), "the log is not at its loudest");
    log
}

/// Whether a character could end a line for a person, a terminal or a program.
fn ends_lines(letter: char) -> bool {
    (letter.is_control() && letter != '\n' && letter != '\t')
        || ('\u{2028}'..='\u{202e}').contains(&letter)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_line_of_a_text_log_is_written_by_a_stranger() {
    let log = after_everything("text").await;
    for line in log.lines() {
        let (stamp, rest) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
        assert!(stamp.ends_with('Z') && stamp.contains('T') && stamp != &FORGED[..27], "{line:?}");
        let level = rest.trim_start().split(' ').next().unwrap();
        assert!(["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&level), "{line:?}");
    }
    let odd = log.lines().find(|line| line.contains(ends_lines));
    assert_eq!(odd, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_a_json_log_is_one_object_that_wharfd_wrote() {
    let log = after_everything("json").await;
    for line in log.lines() {
        let parsed: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let stamp = parsed["timestamp"].as_str().unwrap_or_default();
        assert!(!stamp.is_empty() && !stamp.starts_with("2026-01-01"), "{line:?}");
        let level = parsed["level"].as_str().unwrap_or_default();
        assert!(["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&level), "{line:?}");
        let message = parsed["fields"]["message"].as_str().unwrap_or_default();
        assert!(!message.starts_with("forged"), "{line:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_the_audit_log_is_one_object_that_wharfd_wrote() {
    let before = "audit_log = \"FOLDER/audit.log\"\n";
    let users = Users::with(Setup { before, ..Setup::default() }).await;
    for text in attempts() {
        say_everywhere(users.host(), &text).await;
    }
    users.plant("bob/app", "bob's layer").await;
    let gone = users.ask(&Shown::user("bob"), "DELETE", "/v2/bob/app/manifests/v1").await;
    assert_eq!(gone.status, 202, "{}", gone.text());
    let path = users.daemon.path("audit.log");
    let written = async || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        text.contains("bob/app").then_some(text)
    };
    let log = eventually("the deletion in the audit log", written).await;
    for line in log.lines() {
        let parsed: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        assert!(parsed.is_object(), "{line:?}");
        assert!(!line.contains(ends_lines), "{line:?}");
    }
}
