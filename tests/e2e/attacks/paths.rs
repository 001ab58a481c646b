//! Tricks in paths: of requests, and of the Locations for clients to follow. `wharfd` refuses every
//! path outside of the grammar, and no spelling of a path reaches more than another.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use wharf_testkit::images::{Recipe, sha256};

use super::raw::{exchange, percent};
use crate::fixture::{Api, Wharfd, code};

const REPO: &str = "acme/web";
const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Sends the path unchanged, unlike an ordinary client; returns status and code of the response.
async fn ask(api: &Api, method: &str, path: &str) -> (u16, String) {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        api.host()
    );
    let answers = exchange(api.host(), head).await;
    let [answer] = answers.as_slice() else { panic!("{path}: {answers:?}") };
    let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    (answer.status, json["errors"][0]["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_path_that_climbs_out_of_its_repository_is_refused_in_every_spelling() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let digest = api.push_blob("secret/app", "a secret layer").await;
    let open = api.open_upload("secret/app").await;
    let session = open.rsplit('/').next().unwrap();
    for up in [
        "..",
        "%2e%2e",
        ".%2e",
        "%2E.",
        "..%2f",
        "..%2F",
        "%2e%2e%2f",
        "..%5c",
        "..%00",
        "..;",
        "..;/",
        "%252e%252e",
        "%c0%ae%c0%ae",
        "%ef%bc%8e%ef%bc%8e",
        "%u002e%u002e",
        ".",
        "%2e",
    ] {
        for path in [
            format!("/v2/public/{up}/secret/app/blobs/{digest}"),
            format!("/v2/public/blobs/{up}/{up}/secret/app/blobs/{digest}"),
            format!("/v2/public/app/{up}/{up}/secret/app/manifests/v1"),
            format!("/v2/public{up}/{up}secret/app/tags/list"),
            format!("/v2/public/blobs/uploads/{up}/secret/app/blobs/uploads/{session}"),
        ] {
            let (status, code) = ask(api, "GET", &path).await;
            let right = matches!(
                (status, code.as_str()),
                (400, "DIGEST_INVALID") | (404, "NAME_INVALID" | "UNSUPPORTED")
            );
            assert!(right, "{path}: {status} {code}");
        }
    }
    assert_eq!(api.get(&open).await.status, 204, "the session is untouched");
}

/// Characters invalid in every name, tag and digest.
const ODD: &[&str] = &[
    "%00",
    "%0a",
    "%0d%0a",
    "%09",
    "%20",
    "%7f",
    "%1b",
    "%5c",
    "%2f",
    "%25",
    "%3f",
    "%23",
    "%3a",
    "%40",
    "%80",
    "%ff",
    "%c3%28",
    "%e2%80%ae",
    "%ef%bc%8f",
    "%e2%80%a8",
    "%c4%b1",
    "%d0%b0",
    "%cc%81",
    "%f0%9f%92%a9",
    "+",
    "~",
    "!",
    "$",
    "*",
    "'",
    "(",
    ",",
    ";",
    "=",
    "@",
    ":",
    "|",
    "\\",
    "^",
    "`",
    "{",
    "\"",
    "<",
    "\u{e9}",
    "\u{202e}",
    "\u{ff0f}",
    "\u{212a}",
    "%",
    "%g",
    "%zz",
];

#[tokio::test]
async fn bytes_that_stand_in_no_name_are_refused_raw_and_encoded() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    for odd in ODD {
        for path in [
            format!("/v2/a{odd}b/tags/list"),
            format!("/v2/a/{odd}/tags/list"),
            format!("/v2/a/manifests/v{odd}1"),
            format!("/v2/a/blobs/sha256{odd}{HEX}"),
            format!("/v2/a/blobs/uploads/{odd}{HEX}"),
        ] {
            // A digest is written with a colon.
            if path.contains(&format!("sha256:{HEX}")) || path.contains(&format!("sha256%3a{HEX}"))
            {
                continue;
            }
            let (status, code) = ask(api, "GET", &path).await;
            // Invalid HTTP is refused without a body.
            let right = match status {
                400 => matches!(code.as_str(), "" | "DIGEST_INVALID"),
                404 => matches!(
                    code.as_str(),
                    "NAME_INVALID" | "MANIFEST_UNKNOWN" | "UNSUPPORTED" | "BLOB_UPLOAD_UNKNOWN"
                ),
                _ => false,
            };
            assert!(right, "{path:?}: {status} {code}");
        }
    }
}

#[tokio::test]
async fn case_and_slashes_make_no_second_spelling_of_a_path() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let digest = api.push_blob(REPO, "a layer").await;
    assert_eq!(api.get_blob(REPO, &digest).await.status, 200);
    let upper = digest.replace("sha256:", "SHA256:");
    for path in [
        format!("/V2/{REPO}/blobs/{digest}"),
        format!("/v2/{REPO}/Blobs/{digest}"),
        format!("/v2/Acme/web/blobs/{digest}"),
        format!("/v2/{REPO}/blobs/{upper}"),
        format!("/v2/{REPO}/blobs/{}", digest.to_uppercase()),
        format!("//v2/{REPO}/blobs/{digest}"),
        format!("/v2//{REPO}/blobs/{digest}"),
        format!("/v2/{REPO}//blobs/{digest}"),
        format!("/v2/{REPO}/blobs//{digest}"),
        format!("/v2/{REPO}/blobs/{digest}/"),
        format!("/v2/{REPO}/blobs/{digest}%2f"),
        format!("/./v2/{REPO}/blobs/{digest}"),
        format!("/x/../v2/{REPO}/blobs/{digest}"),
        format!("/v2/{REPO}/blobs/{digest};a=b"),
        format!("/v2/{REPO}/blobs/{digest}%00"),
        format!("/v2/{REPO}/blobs/{digest}%0a"),
        "/v2/_catalog/".to_owned(),
        "/v2/_Catalog".to_owned(),
        "/v2/%2f_catalog".to_owned(),
    ] {
        let (status, code) = ask(api, "GET", &path).await;
        assert!(matches!(status, 400 | 404) && !code.is_empty(), "{path}: {status} {code}");
    }
    // A proxy's form of a request is about this server, or refused; it leads nowhere else.
    let (status, _) =
        ask(api, "GET", &format!("http://evil.example/v2/{REPO}/blobs/{digest}")).await;
    assert!(matches!(status, 200 | 400), "{status}");
}

#[tokio::test]
async fn no_path_is_too_long_to_be_refused_and_no_name_to_be_served() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    // The longest name there is, each byte of it encoded, with a digest.
    let name = vec!["abcdefg"; 32].join("/");
    assert_eq!(name.len(), 255);
    let digest = api.push_blob(&name, "deep down").await;
    assert_eq!(api.get_blob(&name, &digest).await.body, "deep down");
    let encoded = percent(&name);
    let (status, code) = ask(api, "GET", &format!("/v2/{encoded}/blobs/{digest}")).await;
    assert_eq!((status, code.as_str()), (404, "NAME_INVALID"), "encoded slashes are none");
    for bytes in [256, 1_500, 8_000, 30_000] {
        let long = "a".repeat(bytes);
        for path in [
            format!("/v2/{long}/tags/list"),
            format!("/v2/acme/manifests/{long}"),
            format!("/v2/acme/blobs/sha256:{long}"),
            format!("/v2/acme/blobs/uploads/{long}"),
            format!("/v2{}/tags/list", "/a".repeat(bytes / 2)),
            format!("/v2/acme{}/tags/list", "%2e%2e".repeat(bytes / 6)),
        ] {
            let (status, _) = ask(api, "GET", &path).await;
            assert!(matches!(status, 400 | 404 | 414), "{} bytes: {status}", path.len());
        }
    }
}

#[tokio::test]
async fn names_made_of_the_words_of_the_grammar_are_repositories_of_their_own() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let folder = TempDir::new().unwrap();
    let names = [
        "a",
        "a/blobs",
        "a/blobs/uploads",
        "a/blobs/uploads/blobs/uploads",
        "a/manifests",
        "a/manifests/v1",
        "a/tags/list",
        "a/tags/list/tags/list",
        "a/referrers",
        "blobs/uploads",
        "manifests",
        "tags/list",
        "v2",
        "v2/a",
        "uploads",
        "catalog",
    ];
    let mut layouts = Vec::new();
    for (seed, name) in (0..).zip(names) {
        let path = folder.path().join(seed.to_string());
        fs::create_dir(&path).unwrap();
        let layout = Recipe::new(700 + seed, &[100]).write(&path, "v1").unwrap();
        api.push_layout(name, &layout).await;
        layouts.push(layout);
    }
    for (name, layout) in names.iter().zip(&layouts) {
        api.assert_serves(name, layout).await;
        let listed = api.get(&format!("/v2/{name}/tags/list")).await.json().unwrap();
        assert_eq!(listed, serde_json::json!({ "name": name, "tags": ["v1"] }));
        for (other, foreign) in names.iter().zip(&layouts).filter(|(other, _)| other != &name) {
            let refused = api.get_blob(name, &foreign.images[0].layers[0].blob.digest).await;
            assert_eq!(refused.status, 404, "{name} serves a layer of {other}");
        }
    }
    let listed = api.get("/v2/_catalog").await.json().unwrap();
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    assert_eq!(listed["repositories"], serde_json::json!(sorted));
}

#[tokio::test]
async fn a_location_that_was_changed_on_the_way_leads_nowhere() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let location = api.open_upload(REPO).await;
    let session = location.rsplit('/').next().unwrap().to_owned();
    let other = api.open_upload("team/other").await;
    let others = other.rsplit('/').next().unwrap();
    let digest = sha256(b"content");
    let rows = [
        format!("/v2/acme/blobs/uploads/{session}"),
        format!("/v2/acme/web/app/blobs/uploads/{session}"),
        format!("/v2/team/other/blobs/uploads/{session}"),
        format!("/v2/{REPO}/blobs/uploads/{others}"),
        format!("/v2/{REPO}/blobs/uploads/{session}/"),
        format!("/v2/{REPO}/blobs/uploads/{session}/{others}"),
        format!("/v2/{REPO}/blobs/uploads/./{session}"),
        format!("/v2/{REPO}/blobs/uploads/x/../{session}"),
        format!(
            "/v2/{REPO}/blobs/uploads/{}",
            session.to_uppercase().replace(|c: char| c.is_ascii_digit(), "A")
        ),
        format!("/v2/{REPO}/blobs/uploads/{session}0"),
        format!("/v2/{REPO}/blobs/uploads/{}", &session[1..]),
        format!("/v2/{REPO}/blobs/uploads/%20{session}"),
        format!("/v2/{REPO}/blobs/uploads/..%2f..%2f..%2fetc%2fpasswd"),
        format!("/v2/{REPO}/blobs/uploads/{:032x}", 0),
    ];
    for path in rows {
        for method in ["GET", "PATCH", "DELETE", "PUT"] {
            let path =
                if method == "PUT" { format!("{path}?digest={digest}") } else { path.clone() };
            let (status, code) = ask(api, method, &path).await;
            assert!(
                matches!(status, 400 | 404) && !code.is_empty(),
                "{method} {path}: {status} {code}"
            );
        }
    }
    for untouched in [&location, &other] {
        assert_eq!(api.get(untouched).await.header("range"), "0-0");
    }
    assert_eq!(api.end_upload(&location, &digest, "content").await.status, 201);
}

#[tokio::test]
async fn no_name_and_no_digest_becomes_a_path_on_disk() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let before = files(&wharfd.store());
    for name in ["current", "lock", "000004.log", "options", "etc/passwd", "con", "aux", "nul"] {
        let digest = api.push_blob(name, name.to_owned()).await;
        assert_eq!(api.get_blob(name, &digest).await.body, name);
        assert_eq!(code(&api.get_blob(name, &sha256(b"none")).await), "BLOB_UNKNOWN");
    }
    let named = |file: &String| ["passwd", "con", "aux", "nul"].contains(&file.as_str());
    let after = files(&wharfd.store());
    assert!(!before.iter().chain(&after).any(named), "{after:?}");
}

/// The names of all files below a folder.
fn files(folder: &Path) -> Vec<String> {
    let (mut names, mut open) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            names.push(entry.file_name().to_string_lossy().into_owned());
            if entry.path().is_dir() {
                open.push(entry.path());
            }
        }
    }
    names
}
