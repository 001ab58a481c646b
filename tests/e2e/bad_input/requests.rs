//! Malformed words in paths, queries and bodies of requests.

use http::Method;
use serde_json::json;
use wharf_testkit::http::chunked;
use wharf_testkit::images::sha256;

use super::{REPO, read_raw, send_raw};
use crate::fixture::{Wharfd, code, message};

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

#[tokio::test]
async fn malformed_words_in_a_path_are_refused_by_their_code() {
    let wharfd = Wharfd::alone().await;
    let long = "a".repeat(256);
    let rows = [
        ("/v2/Acme/web/tags/list", 404, "NAME_INVALID"),
        ("/v2/acme--/tags/list", 404, "NAME_INVALID"),
        ("/v2/acme/./tags/list", 404, "NAME_INVALID"),
        ("/v2/acme/../web/tags/list", 404, "NAME_INVALID"),
        ("/v2/acme//web/tags/list", 404, "NAME_INVALID"),
        ("/v2/acme/%2e%2e/tags/list", 404, "NAME_INVALID"),
        ("/v2/acme%2Fweb/tags/list", 404, "NAME_INVALID"),
        (&format!("/v2/{long}/tags/list"), 404, "NAME_INVALID"),
        (&format!("/v2/ACME/blobs/sha256:{HEX}"), 404, "NAME_INVALID"),
        ("/v2/acme/blobs/sha256:1234", 400, "DIGEST_INVALID"),
        ("/v2/acme/blobs/latest", 400, "DIGEST_INVALID"),
        (&format!("/v2/acme/blobs/md5:{HEX}"), 400, "DIGEST_INVALID"),
        (&format!("/v2/acme/blobs/sha256:{}", HEX.to_uppercase()), 400, "DIGEST_INVALID"),
        (&format!("/v2/acme/blobs/sha512:{HEX}"), 400, "DIGEST_INVALID"),
        ("/v2/acme/manifests/-latest", 404, "MANIFEST_UNKNOWN"),
        ("/v2/acme/manifests/a+b", 404, "MANIFEST_UNKNOWN"),
        (&format!("/v2/acme/manifests/{}", &long[..129]), 404, "MANIFEST_UNKNOWN"),
        ("/v2/acme/manifests/sha256:12", 404, "MANIFEST_UNKNOWN"),
        ("/v2/acme/manifests/", 404, "MANIFEST_UNKNOWN"),
        ("/v2/acme/referrers/latest", 400, "DIGEST_INVALID"),
        ("/v2/acme/blobs/uploads/not-an-id", 404, "BLOB_UPLOAD_UNKNOWN"),
        (&format!("/v2/acme/blobs/uploads/{:032x}", 7), 404, "BLOB_UPLOAD_UNKNOWN"),
        ("/v2/acme/nothing", 404, "UNSUPPORTED"),
        ("/v2/acme/tags/list/", 404, "UNSUPPORTED"),
        ("/v1/search", 404, "UNSUPPORTED"),
        ("/", 404, "UNSUPPORTED"),
    ];
    for (path, status, expected) in rows {
        let head = wharfd.api.head(path).await;
        assert_eq!(head.status.as_u16(), status, "HEAD {path}");
        let answer = wharfd.api.get(path).await;
        let seen = (answer.status.as_u16(), code(&answer));
        assert_eq!(seen, (status, expected.to_owned()), "{path}");
        assert_eq!(answer.header("content-type"), "application/json");
        let text = message(&answer);
        assert!(!text.is_empty() && !text.ends_with('.'), "{path}: {text}");
    }
}

#[tokio::test]
async fn malformed_queries_are_refused_and_not_guessed() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    api.push_blob(REPO, "x").await;
    let uploads = format!("/v2/{REPO}/blobs/uploads/");
    let session = api.open_upload(REPO).await;
    let many = "a=1&".repeat(40);
    let rows = [
        (Method::GET, format!("/v2/{REPO}/tags/list?n=-1"), "UNSUPPORTED"),
        (Method::GET, format!("/v2/{REPO}/tags/list?n=ten"), "UNSUPPORTED"),
        (Method::GET, format!("/v2/{REPO}/tags/list?n=1&n=2"), "UNSUPPORTED"),
        (Method::GET, format!("/v2/{REPO}/tags/list?last=%ff"), "UNSUPPORTED"),
        (Method::GET, format!("/v2/_catalog?n=1e3&{many}"), "UNSUPPORTED"),
        (Method::GET, format!("/v2/_catalog?{many}"), "UNSUPPORTED"),
        (Method::POST, format!("{uploads}?digest=sha256:12"), "DIGEST_INVALID"),
        (Method::POST, format!("{uploads}?mount=latest&from=a"), "DIGEST_INVALID"),
        (Method::POST, format!("{uploads}?mount=sha256:{HEX}&from=Not+A+Name"), "NAME_INVALID"),
        (Method::PUT, session.clone(), "UNSUPPORTED"),
        (Method::PUT, format!("{session}?digest="), "DIGEST_INVALID"),
        (Method::PUT, format!("{session}?digest=sha256:{HEX}&digest=sha256:{HEX}"), "UNSUPPORTED"),
        (Method::PUT, format!("/v2/{REPO}/manifests/a?tag=-b"), "MANIFEST_INVALID"),
        (Method::PUT, format!("/v2/{REPO}/manifests/-a"), "MANIFEST_INVALID"),
        (Method::PUT, format!("/v2/{REPO}/manifests/sha256:12"), "DIGEST_INVALID"),
    ];
    for (method, path, expected) in rows {
        let answer = api.call(method, &path).send().await.unwrap();
        let seen = (answer.status.as_u16(), code(&answer));
        assert_eq!(seen, (400, expected.to_owned()), "{path}: {}", answer.text());
    }
    assert_eq!(api.get(&session).await.status, 204, "the session outlives refused requests");
}

#[tokio::test]
async fn methods_that_a_resource_does_not_have_are_refused() {
    let wharfd = Wharfd::alone().await;
    for (method, path, allowed) in [
        (Method::POST, format!("/v2/{REPO}/manifests/v1"), "GET, HEAD, PUT, DELETE"),
        (Method::PUT, format!("/v2/{REPO}/blobs/sha256:{HEX}"), "GET, HEAD, DELETE"),
        (Method::PATCH, format!("/v2/{REPO}/blobs/sha256:{HEX}"), "GET, HEAD, DELETE"),
        (Method::DELETE, format!("/v2/{REPO}/tags/list"), "GET"),
        (Method::GET, format!("/v2/{REPO}/blobs/uploads/"), "POST"),
        (Method::OPTIONS, "/v2/".to_owned(), "GET, HEAD"),
    ] {
        let answer = wharfd.api.call(method.clone(), &path).send().await.unwrap();
        let seen = (answer.status.as_u16(), code(&answer));
        assert_eq!(seen, (405, "UNSUPPORTED".to_owned()), "{method} {path}");
        assert_eq!(answer.header("allow"), allowed, "{method} {path}");
    }
}

#[tokio::test]
async fn manifests_that_are_none_are_refused_and_leave_no_trace() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let config =
        json!({ "mediaType": "application/json", "digest": format!("sha256:{HEX}"), "size": 0 });
    let schema_1 = json!({
        "schemaVersion": 1, "name": REPO, "tag": "v1", "architecture": "amd64",
        "fsLayers": [{ "blobSum": format!("sha256:{HEX}") }], "history": [],
    });
    let schema_1_type = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let index = "application/vnd.oci.image.index.v1+json";
    let image = |layers: serde_json::Value| {
        json!({ "schemaVersion": 2, "config": config, "layers": layers }).to_string()
    };
    let rows = [
        (schema_1_type, schema_1.to_string(), "schema 1"),
        (MANIFEST_TYPE, schema_1.to_string(), "schemaVersion"),
        (MANIFEST_TYPE, String::new(), "EOF"),
        (MANIFEST_TYPE, "{".to_owned(), "EOF"),
        (MANIFEST_TYPE, "[]".to_owned(), ""),
        (MANIFEST_TYPE, "{}".to_owned(), "schemaVersion"),
        (MANIFEST_TYPE, json!({ "schemaVersion": 2 }).to_string(), "config"),
        (MANIFEST_TYPE, image(json!([{ "digest": "sha256:12" }])), ""),
        (index, image(json!([])), "index"),
        ("text/plain", image(json!([])), "text/plain"),
        ("nonsense", image(json!([])), ""),
    ];
    for (media_type, content, expected) in rows {
        let refused = api.put_manifest(REPO, "v1", media_type, content.clone()).await;
        let seen = (refused.status.as_u16(), code(&refused));
        assert_eq!(seen, (400, "MANIFEST_INVALID".to_owned()), "{media_type} {content}");
        assert!(message(&refused).contains(expected), "{}", refused.text());
        assert_eq!(api.get_manifest(REPO, &sha256(content.as_bytes())).await.status, 404);
    }
    assert_eq!(api.get_manifest(REPO, "v1").await.status, 404);
    assert_eq!(api.get("/v2/_catalog").await.json().unwrap(), json!({ "repositories": [] }));
}

#[tokio::test]
async fn a_manifest_of_four_mebibytes_is_taken_and_one_byte_more_is_not() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let config = api.push_blob(REPO, "{}").await;
    let limit = 4 * 1024 * 1024;
    let manifest = json!({
        "schemaVersion": 2, "layers": [],
        "config": { "mediaType": "application/json", "digest": config, "size": 2 },
    });
    let mut content = manifest.to_string();
    content.push_str(&" ".repeat(limit - content.len()));
    let taken = api.put_manifest(REPO, "large", MANIFEST_TYPE, content.clone()).await;
    assert_eq!(taken.status, 201, "{}", taken.text());
    assert_eq!(api.get_manifest(REPO, "large").await.body, content);
    content.push(' ');
    let pieces = content.as_bytes().chunks(100_000).map(bytes::Bytes::copy_from_slice).collect();
    for body in [wharf_testkit::http::full(content.clone()), chunked(pieces)] {
        let call = api.put(&format!("/v2/{REPO}/manifests/larger")).body(body);
        let refused = call.header("content-type", MANIFEST_TYPE).send().await.unwrap();
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (413, "MANIFEST_INVALID"));
        assert!(message(&refused).contains("4194304"), "{}", refused.text());
    }
    assert_eq!(api.get_manifest(REPO, "larger").await.status, 404);
}

#[tokio::test]
async fn a_manifest_whose_content_is_missing_is_refused_by_the_names_of_it() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let config = api.push_blob(REPO, "{}").await;
    let elsewhere = api.push_blob("team/other", "a layer of another repository").await;
    let absent = sha256(b"nobody has this");
    let entry = |digest: &str| json!({ "mediaType": "application/x", "digest": digest, "size": 1 });
    let image = json!({
        "schemaVersion": 2, "config": entry(&config), "layers": [entry(&elsewhere), entry(&absent)],
    });
    let index = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry(&absent)],
    });
    let rows = [
        (MANIFEST_TYPE, &image, vec![&elsewhere, &absent]),
        ("application/vnd.oci.image.index.v1+json", &index, vec![&absent]),
    ];
    for (media_type, manifest, missing) in rows {
        let refused = api.put_manifest(REPO, "v1", media_type, manifest.to_string()).await;
        let seen = (refused.status.as_u16(), code(&refused));
        assert_eq!(seen, (404, "MANIFEST_BLOB_UNKNOWN".to_owned()));
        let text = refused.text();
        assert!(missing.iter().all(|digest| text.contains(digest.as_str())), "{text}");
        assert!(!text.contains(&config), "what is there is not named: {text}");
        assert_eq!(api.get_manifest(REPO, "v1").await.status, 404);
    }
}

#[tokio::test]
async fn what_is_not_http_is_refused_and_the_next_request_is_served() {
    let wharfd = Wharfd::alone().await;
    for (bytes, status) in [
        (&b"GET /v2/ HTTP/9.9\r\n\r\n"[..], "400"),
        (b"nonsense\r\n\r\n", "400"),
        (b"GET /v2/\x00 HTTP/1.1\r\nhost: localhost\r\n\r\n", "400"),
        (b"GET /v2/ HTTP/1.1\r\nhost: localhost\r\nbad header\r\n\r\n", "400"),
        (b"PUT /v2/a HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", "400"),
        (b"PUT /v2/a HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n", "400"),
    ] {
        let answer = read_raw(send_raw(&wharfd.api, bytes).await).await;
        let line = answer.lines().next().unwrap_or_default();
        assert!(line.contains(status), "{:?}: {line}", String::from_utf8_lossy(bytes));
    }
    assert_eq!(wharfd.api.get("/v2/").await.status, 200);
}
