//! Injection by headers and queries: no text of a client comes back as a separate header, and
//! `wharfd` never guesses between two values of one header.

use serde_json::json;
use wharf_testkit::images::sha256;

use super::raw::{RawAnswer, exchange};
use crate::fixture::{Api, Stage, Wharfd, code};

const REPO: &str = "acme/web";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// The known headers of a response. Any other header was injected.
const KNOWN: [&str; 21] = [
    "accept-ranges",
    "allow",
    "connection",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "docker-content-digest",
    "docker-distribution-api-version",
    "docker-upload-uuid",
    "etag",
    "link",
    "location",
    "oci-chunk-min-length",
    "oci-filters-applied",
    "oci-namespace",
    "oci-subject",
    "oci-tag",
    "range",
    "wharf-cache",
    "x-request-id",
];

fn assert_only_known(answer: &RawAnswer, what: &str) {
    for (name, value) in &answer.headers {
        let known =
            KNOWN.contains(&name.as_str()) || ["retry-after", "warning"].contains(&name.as_str());
        assert!(known, "{what}: {name}: {value}");
    }
}

async fn ask(api: &Api, method: &str, path: &str, headers: &str) -> Vec<RawAnswer> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: 0\r\nconnection: close\r\n{headers}\r\n",
        api.host()
    );
    exchange(api.host(), head).await
}

async fn ask_one(api: &Api, method: &str, path: &str, headers: &str) -> RawAnswer {
    let mut answers = ask(api, method, path, headers).await;
    assert_eq!(answers.len(), 1, "{method} {path} {headers:?}: {answers:?}");
    let answer = answers.remove(0);
    assert_only_known(&answer, path);
    answer
}

/// Six tags and a referrer, so lists have a next page and filters have work.
async fn plant(api: &Api) -> String {
    let config = api.push_blob(REPO, "{}").await;
    let entry = json!({ "mediaType": "application/json", "digest": config, "size": 2 });
    let manifest = json!({ "schemaVersion": 2, "config": entry, "layers": [] }).to_string();
    for tag in ["a", "b", "c", "d", "e", "f"] {
        let put = api.put_manifest(REPO, tag, MANIFEST_TYPE, manifest.clone()).await;
        assert_eq!(put.status, 201, "{}", put.text());
    }
    sha256(manifest.as_bytes())
}

#[tokio::test]
async fn a_line_break_in_a_query_or_a_header_never_becomes_a_header() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let digest = plant(api).await;
    let upload = api.open_upload(REPO).await;
    for line in [
        "%0d%0aset-cookie:%20a=b",
        "%0aset-cookie:a",
        "%0d%0d",
        "%00",
        "%e5%98%8a%e5%98%8dset-cookie:a",
    ] {
        for (method, path) in [
            ("GET", format!("/v2/{REPO}/tags/list?n=2&last=a{line}")),
            ("GET", format!("/v2/_catalog?n=1&last={line}")),
            ("GET", format!("/v2/{REPO}/referrers/{digest}?artifactType=a/b{line}")),
            ("GET", format!("/v2/{REPO}/manifests/a?ns={line}")),
            ("POST", format!("/v2/{REPO}/blobs/uploads/?mount={digest}&from={line}")),
            ("POST", format!("/v2/{REPO}/blobs/uploads/?digest-algorithm=sha256{line}")),
            ("PUT", format!("{upload}?digest={digest}{line}")),
            ("PUT", format!("/v2/{REPO}/manifests/v1?tag=x{line}")),
            ("GET", format!("/v2/{REPO}/manifests/a{line}")),
            ("GET", format!("/v2/{REPO}{line}/tags/list")),
            ("GET", format!("/v2/{REPO}/tags/list?{line}")),
        ] {
            let answer = ask_one(api, method, &path, "").await;
            assert!(answer.status < 500, "{path}: {answer:?}");
            assert_eq!(answer.header("set-cookie"), "", "{path}: {answer:?}");
        }
    }
    for header in [
        "oci-namespace: a\rset-cookie: b\r\n",
        "range: bytes=0-1\rset-cookie: b\r\n",
        "if-none-match: \"a\"\rset-cookie: b\r\n",
        "content-range: 0-1\x0bset-cookie: b\r\n",
        "x-forwarded-for: 1.2.3.4\x00\r\n",
        "set-cookie\x01: a\r\n",
        "(set-cookie): a\r\n",
        ": a\r\n",
    ] {
        let answers = ask(api, "GET", &format!("/v2/{REPO}/manifests/a"), header).await;
        assert!(answers.len() == 1 && answers[0].status == 400, "{header:?}: {answers:?}");
        assert_only_known(&answers[0], header);
    }
}

#[tokio::test]
async fn the_next_page_is_a_link_that_holds_nothing_but_a_query() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    plant(api).await;
    for last in [
        "%3E%3B%20rel%3D%22evil%22",
        "%22%3E",
        "a%26n%3D9",
        "%3Chttp%3A%2F%2Fevil%3E",
        "%0d%0a",
        "%23",
        "'",
    ] {
        let path = format!("/v2/{REPO}/tags/list?n=1&last={last}");
        let answer = ask_one(api, "GET", &path, "").await;
        let link = answer.header("link");
        if link.is_empty() {
            continue;
        }
        let target = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""));
        let target = target.unwrap_or_else(|| panic!("{path}: {link}"));
        let query = target.strip_prefix(&format!("/v2/{REPO}/tags/list?n=1&last=")).unwrap();
        assert!(query.chars().all(|c| c.is_ascii_alphanumeric() || "%._-".contains(c)), "{link}");
    }
    // The Link is there where a page follows.
    let answer = ask_one(api, "GET", &format!("/v2/{REPO}/tags/list?n=1&last=%27"), "").await;
    assert!(answer.header("link").contains("last=a"), "{answer:?}");
}

#[tokio::test]
async fn what_is_said_twice_or_makes_no_number_is_refused() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let digest = plant(api).await;
    let other = sha256(b"another");
    let upload = api.open_upload(REPO).await;
    let (uploads, tags) = (format!("/v2/{REPO}/blobs/uploads/"), format!("/v2/{REPO}/tags/list"));
    let many = "&tag=x".repeat(17);
    for (method, path) in [
        ("PUT", format!("{upload}?digest={digest}&digest={other}")),
        ("PUT", format!("{upload}?digest={digest}&%64igest={digest}")),
        ("PUT", format!("{upload}?DIGEST={digest}")),
        ("PUT", format!("{upload}?digest[]={digest}")),
        ("PUT", format!("{upload}?digest={digest}%20")),
        ("PUT", format!("{upload}?digest=%20{digest}")),
        ("PUT", format!("{upload}?digest={digest},{other}")),
        ("PUT", format!("{upload}?digest={digest};digest={other}")),
        ("POST", format!("{uploads}?mount={digest}&mount={other}")),
        ("POST", format!("{uploads}?mount={digest}&from=a&from=b")),
        ("POST", format!("{uploads}?digest={digest}&digest={digest}")),
        ("POST", format!("{uploads}?digest-algorithm=md5")),
        ("GET", format!("{tags}?n=-1")),
        ("GET", format!("{tags}?n=+1%20")),
        ("GET", format!("{tags}?n=0x10")),
        ("GET", format!("{tags}?n=18446744073709551616")),
        ("GET", format!("{tags}?n=1&n=1")),
        ("GET", format!("{tags}?last=a&last=b")),
        ("GET", "/v2/_catalog?n=1.5".to_owned()),
        ("GET", format!("/v2/{REPO}/referrers/{digest}?artifactType=a&artifactType=b")),
        ("GET", format!("/v2/{REPO}/manifests/a?ns=a&ns=b")),
        ("PUT", format!("/v2/{REPO}/manifests/v9?{many}")),
        ("PUT", format!("/v2/{REPO}/manifests/v9?tag=..")),
    ] {
        let answer = ask_one(api, method, &path, "").await;
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
    }
    assert_eq!(api.get(&upload).await.status, 204, "the upload is still open");
    // Large numbers are no errors, and give no more than a page.
    for n in ["1000", "1001", "18446744073709551615"] {
        assert_eq!(ask_one(api, "GET", &format!("{tags}?n={n}"), "").await.status, 200, "{n}");
    }
    assert_eq!(api.get_manifest(REPO, "v9").await.status, 404);
}

#[tokio::test]
async fn no_header_about_hosts_or_addresses_shows_in_an_answer() {
    // Only a client with an unlisted name in its request is told of that name.
    let wharfd = Wharfd::with_config("[access]\nhosts = [\"evil.example\"]\n").await;
    let api = &wharfd.api;
    plant(api).await;
    let host = api.host();
    for (path, method) in [
        (format!("/v2/{REPO}/blobs/uploads/"), "POST"),
        (format!("/v2/{REPO}/tags/list?n=1"), "GET"),
        ("/v2/_catalog?n=1".to_owned(), "GET"),
        ("/v2/".to_owned(), "GET"),
        ("/v2/none/manifests/x".to_owned(), "GET"),
    ] {
        for headers in [
            "host: evil.example\r\n",
            "host: evil.example\r\nx-forwarded-host: evil.example\r\nx-forwarded-proto: gopher\r\n",
            "host: \r\nforwarded: host=evil.example;proto=https\r\n",
            "host: evil.example\"onload=\"x\r\nx-original-url: /v2/_catalog\r\n",
            "host: a@evil.example:99999\r\nx-rewrite-url: /evil.example\r\n",
            "host: [::1]evil.example\r\nx-http-method-override: DELETE\r\n",
            "",
        ] {
            let head = format!(
                "{method} {path} HTTP/1.1\r\n{headers}content-length: 0\r\nconnection: close\r\n\r\n"
            );
            let answers = exchange(host, head).await;
            assert_eq!(answers.len(), 1, "{headers:?}");
            assert!(answers[0].status < 500, "{headers:?}: {:?}", answers[0]);
            assert_only_known(&answers[0], &path);
            let shown = format!("{:?} {}", answers[0].headers, answers[0].text());
            assert!(!shown.contains("evil") && !shown.contains("gopher"), "{headers:?}: {shown}");
        }
    }
}

#[tokio::test]
async fn a_namespace_is_a_host_that_is_listed_and_nothing_else() {
    let wharfd = Wharfd::with_config(
        "[[upstream]]\nurl = \"https://*\"\nnamespaces = [\"*.azurecr.io\"]\n\
         connect_timeout_seconds = 1\n",
    )
    .await;
    let api = &wharfd.api;
    let hosts = [
        "evil.example",
        "evil.example/.azurecr.io",
        "evil.example#.azurecr.io",
        "evil.example?.azurecr.io",
        "evil.example\\.azurecr.io",
        "user@evil.example",
        "evil.example:80@x.azurecr.io",
        "x.azurecr.io@evil.example",
        "x.azurecr.io:80@evil.example",
        "169.254.169.254",
        "169.254.169.254:80/x.azurecr.io",
        "127.0.0.1",
        "[::1]",
        "localhost",
        "x.azurecr.io.evil.example",
        "x.azurecr.io:evil",
        "x.azurecr.io:",
        "x.azurecr.io/../..",
        ".azurecr.io",
        "-.azurecr.io",
        "..azurecr.io",
        "x..azurecr.io",
    ];
    for host in hosts {
        let encoded: String = form_urlencoded::byte_serialize(host.as_bytes()).collect();
        let by_query =
            ask_one(api, "GET", &format!("/v2/{REPO}/manifests/v1?ns={encoded}"), "").await;
        let by_header = ask_one(
            api,
            "GET",
            &format!("/v2/{REPO}/manifests/v1"),
            &format!("oci-namespace: {host}\r\n"),
        )
        .await;
        for answer in [by_query, by_header] {
            assert!(matches!(answer.status, 400 | 404), "{host}: {answer:?}");
            assert!(!answer.header("oci-namespace").contains("evil"), "{host}: {answer:?}");
        }
    }
    let log = wharfd.log();
    assert!(
        !log.contains("is not reachable") && !log.contains("trying again"),
        "it went there: {log}"
    );
}

/// The upstream's text passes on as data, never as a header of ours.
#[tokio::test]
async fn a_client_s_headers_reach_no_upstream_and_an_upstream_s_words_no_header() {
    let Some(stage) = Stage::start().await else { return };
    let digest = stage.origin.push_blob(REPO, "content").await;
    let sent = "authorization: Bearer planted-token\r\ncookie: planted=1\r\nx-planted: yes\r\n\
                referer: http://planted/\r\nif-none-match: \"x\"\r\nvia: planted\r\n";
    let answer = ask_one(stage.api(), "GET", &format!("/v2/{REPO}/blobs/{digest}"), sent).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "content"));
    let journal = format!("{:?}", stage.double.journal());
    assert!(!journal.contains("planted"), "{journal}");
    assert_eq!(code(&stage.api().get_blob(REPO, &sha256(b"none")).await), "BLOB_UNKNOWN");
}
