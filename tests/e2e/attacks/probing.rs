//! Probing: forbidden content looks the same to the last byte as missing content, by every route
//! and every header, and no detour leads to it.

use serde_json::{Value, json};
use wharf_testkit::images::sha256;

use super::raw::RawAnswer;
use super::users::{MANIFEST_TYPE, SECRET, Shown, Users};

/// A repository without any push ever, with a name as long as the secret one's.
const ABSENT: &str = "team/absent";
/// As long as an upload's.
const SESSION: &str = "0123456789abcdef0123456789abcdef";

/// One request for content of a repository.
struct Probe {
    method: &'static str,
    path: String,
    headers: String,
    body: Vec<u8>,
}

fn probe(method: &'static str, path: String) -> Probe {
    Probe { method, path, headers: String::new(), body: Vec::new() }
}

/// Every kind of request for one repository and its possible content.
fn probes(repo: &str, blob: &str, manifest: &str, session: &str) -> Vec<Probe> {
    let mut probes = Vec::new();
    for method in ["GET", "HEAD"] {
        for reference in ["v1", "none", ".impossible", "sha256:12", manifest] {
            probes.push(probe(method, format!("/v2/{repo}/manifests/{reference}")));
        }
        probes.push(probe(method, format!("/v2/{repo}/blobs/{blob}")));
        probes.push(probe(method, format!("/v2/{repo}/blobs/uploads/{session}")));
    }
    for headers in [
        "range: bytes=0-0\r\n".to_owned(),
        "range: bytes=999999999-\r\n".to_owned(),
        format!("if-none-match: \"{blob}\"\r\n"),
        "if-none-match: *\r\n".to_owned(),
        "oci-namespace: docker.io\r\n".to_owned(),
    ] {
        for path in
            [format!("blobs/{blob}"), format!("manifests/{manifest}"), "manifests/v1".to_owned()]
        {
            probes.push(Probe {
                headers: headers.clone(),
                ..probe("GET", format!("/v2/{repo}/{path}"))
            });
        }
    }
    for path in ["tags/list", "tags/list?n=1&last=a"] {
        probes.push(probe("GET", format!("/v2/{repo}/{path}")));
    }
    probes.push(probe("GET", format!("/v2/{repo}/referrers/{manifest}")));
    for query in [
        String::new(),
        format!("?mount={blob}"),
        format!("?mount={blob}&from={repo}"),
        format!("?mount={blob}&from=bob/app"),
        format!("?digest={blob}"),
    ] {
        probes.push(probe("POST", format!("/v2/{repo}/blobs/uploads/{query}")));
    }
    probes.push(probe("PATCH", format!("/v2/{repo}/blobs/uploads/{session}")));
    probes.push(probe("PUT", format!("/v2/{repo}/blobs/uploads/{session}?digest={blob}")));
    probes.push(probe("DELETE", format!("/v2/{repo}/blobs/uploads/{session}")));
    probes.push(probe("DELETE", format!("/v2/{repo}/blobs/{blob}")));
    probes.push(probe("DELETE", format!("/v2/{repo}/manifests/{manifest}")));
    probes.push(probe("DELETE", format!("/v2/{repo}/manifests/v1")));
    probes.push(Probe {
        headers: format!("content-type: {MANIFEST_TYPE}\r\n"),
        body: b"{\"schemaVersion\":2}".to_vec(),
        ..probe("PUT", format!("/v2/{repo}/manifests/v1"))
    });
    // A path has one meaning in every spelling.
    probes.push(probe("GET", format!("/v2/%74{}/blobs/{blob}", &repo[1..])));
    probes.push(probe("GET", format!("/v2/{repo}/%62lobs/{}", blob.replace(':', "%3A"))));
    probes
}

/// The response as a client sees it, without its varying parts, and with the request's own words
/// replaced.
fn seen(answer: &RawAnswer, words: &[&str]) -> String {
    let headers: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()))
        .collect();
    let mut text = format!("{} {headers:?} {}", answer.status, answer.text());
    for word in words {
        text = text.replace(word, "WORD");
    }
    text
}

/// Every client without access to the secret repository.
async fn strangers(users: &Users) -> Vec<(&'static str, Shown)> {
    let bob = Shown::user("bob");
    let for_own = users.token(&bob, "repository:bob/app:pull,push").await;
    let for_secret = users.token(&bob, &format!("repository:{SECRET}:pull,push,delete")).await;
    let anonymous = users.token(&Shown::nothing(), "repository:open/app:pull").await;
    vec![
        ("nobody", Shown::nothing()),
        ("bob", bob),
        ("bob's token for his own", Shown::bearer(&for_own)),
        ("bob's token for the secret", Shown::bearer(&for_secret)),
        ("nobody's token", Shown::bearer(&anonymous)),
        ("nonsense", Shown("authorization: Bearer nonsense\r\n".to_owned())),
    ]
}

#[tokio::test]
async fn what_is_forbidden_looks_the_same_whether_it_is_there_or_not() {
    let users = Users::set().await;
    let (blob, manifest) = users.plant(SECRET, "a secret layer").await;
    let session = users.open_upload(&Shown::user("alice"), SECRET).await;
    let session = session.rsplit('/').next().unwrap().to_owned();
    let (no_blob, no_manifest) = (sha256(b"no such layer"), sha256(b"no such manifest"));
    let there = [SECRET, blob.as_str(), manifest.as_str(), session.as_str()];
    let rows = [
        // In the secret repository: existing and missing content. Then in a missing repository.
        ([SECRET, &blob, &manifest, &session], [SECRET, &no_blob, &no_manifest, SESSION]),
        ([SECRET, &blob, &manifest, &session], [ABSENT, &no_blob, &no_manifest, SESSION]),
        ([SECRET, &blob, &manifest, &session], [ABSENT, &blob, &manifest, &session]),
    ];
    for (who, shown) in strangers(&users).await {
        for (there, missing) in &rows {
            let first = probes(there[0], there[1], there[2], there[3]);
            let second = probes(missing[0], missing[1], missing[2], missing[3]);
            for (one, other) in first.iter().zip(&second) {
                let here =
                    users.send(&shown.and(&one.headers), one.method, &one.path, &one.body).await;
                let gone = users
                    .send(&shown.and(&other.headers), other.method, &other.path, &other.body)
                    .await;
                assert!(
                    matches!(here.status, 401 | 403 | 429),
                    "{who}: {} {}: {here:?}",
                    one.method,
                    one.path
                );
                assert_eq!(
                    seen(&here, there),
                    seen(&gone, missing),
                    "{who}: {} {} {}",
                    one.method,
                    one.path,
                    one.headers
                );
            }
        }
    }
    // The login throttle soon holds back a wrong password, so a few requests have to do.
    let wrong = Shown::basic("bob", "wrong");
    let missing = [ABSENT, no_blob.as_str(), no_manifest.as_str(), SESSION];
    for path in ["manifests/v1".to_owned(), format!("blobs/{blob}"), "tags/list".to_owned()] {
        let here = users.ask(&wrong, "GET", &format!("/v2/{SECRET}/{path}")).await;
        let gone = path.replace(blob.as_str(), &no_blob);
        let gone = users.ask(&wrong, "GET", &format!("/v2/{ABSENT}/{gone}")).await;
        assert_eq!(here.status, 401, "{path}: {here:?}");
        assert_eq!(seen(&here, &there), seen(&gone, &missing), "{path}");
    }
    // The content is still there for its users.
    let alice = Shown::user("alice");
    for path in ["blobs", "manifests"].iter().zip([&blob, &manifest]) {
        let answer =
            users.ask(&alice, "GET", &format!("/v2/{}/{}/{}", there[0], path.0, path.1)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let open = users.ask(&alice, "GET", &format!("/v2/{SECRET}/blobs/uploads/{session}")).await;
    assert_eq!(open.status, 204, "{}", open.text());
}

#[tokio::test]
async fn no_way_round_a_repository_leads_to_its_blobs() {
    let users = Users::set().await;
    let (blob, manifest) = users.plant(SECRET, "a secret layer").await;
    users.plant("bob/app", "bob's own layer").await;
    let missing = sha256(b"no such layer");
    let bobs = Shown::user("bob");
    let mut pairs = Vec::new();
    for digest in [&blob, &manifest, &missing] {
        let mut answers = Vec::new();
        for (method, path) in [
            ("GET", format!("/v2/bob/app/blobs/{digest}")),
            ("HEAD", format!("/v2/bob/app/blobs/{digest}")),
            ("GET", format!("/v2/bob/app/manifests/{digest}")),
            ("GET", format!("/v2/bob/app/referrers/{digest}")),
            ("POST", format!("/v2/bob/app/blobs/uploads/?mount={digest}&from={SECRET}")),
            ("POST", format!("/v2/bob/app/blobs/uploads/?mount={digest}&from={ABSENT}")),
            ("POST", format!("/v2/bob/app/blobs/uploads/?mount={digest}")),
            ("POST", format!("/v2/bob/app/blobs/uploads/?mount={digest}&from=bob/app")),
            ("DELETE", format!("/v2/bob/app/blobs/{digest}")),
            ("DELETE", format!("/v2/bob/app/manifests/{digest}")),
        ] {
            let answer = users.ask(&bobs, method, &path).await;
            // Of an upload the name is its own.
            let session = answer.header("docker-upload-uuid").to_owned();
            let mut words: Vec<&str> = vec![digest, SECRET, ABSENT];
            words.extend(Some(session.as_str()).filter(|session| !session.is_empty()));
            assert_ne!(answer.status, 201, "{path} was mounted");
            answers.push(format!("{method} {}", seen(&answer, &words)));
        }
        // A manifest with its digest.
        let entry = json!({ "mediaType": "application/x", "digest": digest, "size": 14 });
        for manifest in [
            json!({ "schemaVersion": 2, "config": entry, "layers": [] }),
            json!({ "schemaVersion": 2, "manifests": [entry] }),
        ] {
            let index = manifest.get("manifests").is_some();
            let kind =
                if index { "application/vnd.oci.image.index.v1+json" } else { MANIFEST_TYPE };
            let kind = format!("content-type: {kind}\r\n");
            let path = "/v2/bob/app/manifests/stolen";
            let put =
                users.send(&bobs.and(&kind), "PUT", path, manifest.to_string().as_bytes()).await;
            assert_eq!(put.status, 404, "{}", put.text());
            answers.push(seen(&put, &[digest]));
        }
        pairs.push(answers);
    }
    assert_eq!(pairs[0], pairs[2], "a secret layer and none");
    assert_eq!(pairs[1], pairs[2], "a secret manifest and none");
    let gone = users.ask(&bobs, "GET", &format!("/v2/bob/app/blobs/{blob}")).await;
    assert_eq!(gone.status, 404);
}

#[tokio::test]
async fn a_list_has_nothing_of_what_its_reader_may_not_see() {
    let users = Users::set().await;
    users.plant(SECRET, "a secret layer").await;
    users.plant("bob/app", "bob's layer").await;
    users.plant("open/app", "a layer for all").await;
    for (who, shown) in strangers(&users).await {
        for query in [
            "",
            "?n=1",
            "?n=1000",
            "?last=bob/app",
            "?last=team/",
            "?last=team/secre",
            "?last=zzz",
            "?n=0",
        ] {
            let answer = users.ask(&shown, "GET", &format!("/v2/_catalog{query}")).await;
            let text = format!("{:?} {}", answer.headers, answer.text());
            assert!(!text.contains("secret"), "{who}: {query}: {text}");
            assert!(!answer.header("link").contains("team"), "{who}: {query}: {text}");
        }
    }
    // A page shortened by hidden repositories gives no hint, either: bob's last page has no next.
    let listed = users.ask(&Shown::user("bob"), "GET", "/v2/_catalog?n=10").await;
    let json: Value = serde_json::from_slice(&listed.body).unwrap();
    assert!(json["repositories"].as_array().unwrap().contains(&json!("bob/app")), "{json}");
    assert_eq!(listed.header("link"), "");
}
