//! Referrers: with a referrers API at the upstream, its list and the pushes here are one list.
//! Without one, there is none here either, so clients keep the fallback tag.

use http::HeaderName;
use serde_json::{Value, json};
use wharf_double::{Fault, FaultRule, Kind, Referrers};
use wharf_testkit::http::Answer;
use wharf_testkit::images::sha256;

use crate::astray::Server;
use crate::fixture::{Api, Stage, USER, Wharfd, code, message, upstream_lines};

const REPO: &str = "acme/web";
const TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

async fn push(api: &Api, kind: &str, subject: Option<&Value>) -> Value {
    let config = api.push_blob(REPO, "{}").await;
    let empty =
        json!({ "mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2 });
    let mut manifest = json!({
        "schemaVersion": 2, "mediaType": TYPE, "artifactType": kind,
        "config": empty, "layers": [empty],
    });
    if let Some(subject) = subject {
        manifest["subject"] = subject.clone();
    }
    let text = manifest.to_string();
    let digest = sha256(text.as_bytes());
    let put = api.put_manifest(REPO, &digest, TYPE, text.clone()).await;
    assert_eq!(put.status, 201, "{}", put.text());
    json!({ "mediaType": TYPE, "digest": digest, "size": text.len() })
}

/// The digests of a list of referrers.
async fn listed(api: &Api, path: &str) -> Vec<String> {
    let answer = api.get(path).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let list = answer.json().unwrap();
    let manifests = list["manifests"].as_array().unwrap();
    let mut digests: Vec<_> =
        manifests.iter().map(|entry| entry["digest"].as_str().unwrap().to_owned()).collect();
    digests.sort();
    digests
}

#[tokio::test]
async fn the_upstreams_referrers_and_those_pushed_here_are_one_list() {
    let start = Stage::start_with(|mut setup| {
        setup.double.habits.referrers = Referrers::Kept;
        setup.double.anonymous_pull = true;
        setup
    });
    let Some(stage) = start.await else { return };
    let subject = push(stage.api(), "application/image", None).await;
    let path = format!("/v2/{REPO}/referrers/{}", subject["digest"].as_str().unwrap());
    assert!(listed(stage.api(), &path).await.is_empty());
    let a = push(stage.api(), "application/a", Some(&subject)).await;
    let b = push(stage.api(), "application/b", Some(&subject)).await;
    let mut both = [&a, &b].map(|entry| entry["digest"].as_str().unwrap().to_owned());
    both.sort();
    // Known there and here, and listed once.
    assert_eq!(listed(stage.api(), &path).await, both);
    // A proxy without a push has the upstream's list.
    let config = format!("[[upstream]]\nurl = \"{}\"\n", stage.double.url());
    let other = Wharfd::with_config(&config).await;
    assert_eq!(listed(&other.api, &path).await, both);
    let filtered = format!("{path}?artifactType=application/b");
    for api in [stage.api(), &other.api] {
        assert_eq!(listed(api, &filtered).await, [b["digest"].as_str().unwrap()]);
        let answer = api.get(&filtered).await;
        assert_eq!(answer.header("oci-filters-applied"), "artifactType");
    }
    // Without the upstream the list has the referrers known here, and the response says so.
    let Stage { wharfd, double, .. } = stage;
    double.stop().await;
    let old = wharfd.api.get(&path).await;
    assert_eq!((old.status.as_u16(), old.header("wharf-cache")), (200, "stale"));
    assert!(old.header("warning").starts_with("299 - "));
    assert_eq!(listed(&wharfd.api, &path).await, both);
    let nothing = other.api.get(&path).await;
    assert!(matches!(nothing.status.as_u16(), 429 | 502), "{}", nothing.status);
}

/// The response without a referrers API.
fn assert_no_api(answer: &Answer, why: &str) {
    let said = (answer.status.as_u16(), code(answer));
    assert_eq!(said, (404, "UNSUPPORTED".to_owned()), "{why}: {}", answer.text());
    assert!(message(answer).contains("no referrers API"), "{}", answer.text());
}

#[tokio::test]
async fn an_upstream_without_the_api_has_none_through_here_and_keeps_the_tag() {
    let start = Stage::start_with(|mut setup| {
        setup.double.habits.referrers = Referrers::Absent;
        setup
    });
    let Some(stage) = start.await else { return };
    let subject = push(stage.api(), "application/image", None).await;
    let subject_digest = subject["digest"].as_str().unwrap();
    let path = format!("/v2/{REPO}/referrers/{subject_digest}");
    let put = push(stage.api(), "application/a", Some(&subject)).await;
    assert_no_api(&stage.api().get(&path).await, "although it was pushed through here");
    // So the client keeps the list in the tag, visible at the upstream and through any other proxy.
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [put] }).to_string();
    let tag = subject_digest.replace(':', "-");
    let kept = stage.api().put_manifest(REPO, &tag, INDEX, index.clone()).await;
    assert_eq!(kept.status, 201, "{}", kept.text());
    let login = upstream_lines(&stage.front.url(), USER);
    let other = Wharfd::with_config(&login).await;
    for api in [&stage.origin, stage.api(), &other.api] {
        assert_eq!(api.get_manifest(REPO, &tag).await.body, index);
    }
    assert_no_api(&other.api.get(&path).await, "at another proxy");
    // During an outage, a proxy without knowledge of the upstream's API does not guess.
    let unsure = Wharfd::with_config(&login).await;
    let Stage { wharfd, double, .. } = stage;
    double.stop().await;
    assert_no_api(&wharfd.api.get(&path).await, "as it was before");
    let status = unsure.api.get(&path).await.status.as_u16();
    assert!(matches!(status, 429 | 502), "{status}");
}

/// A registry with this response to referrers requests.
async fn odd(status: u16, headers: &[(&'static str, String)], body: &str) -> (Server, Wharfd) {
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), value.clone()))
        .collect();
    let body = body.as_bytes().to_vec();
    let server = Server::start("127.0.0.1", move |came| {
        if came.path.contains("/referrers/") {
            return (status, headers.clone(), body.clone());
        }
        let html = (HeaderName::from_static("content-type"), "text/html".to_owned());
        match came.path.as_str() {
            "/v2/" => (200, Vec::new(), b"{}".to_vec()),
            "/sign-in" => (200, vec![html], b"<!DOCTYPE html>".to_vec()),
            "/denied" => (403, vec![html], b"<!DOCTYPE html>".to_vec()),
            _ => (404, Vec::new(), Vec::new()),
        }
    })
    .await;
    let wharfd =
        Wharfd::with_config(&format!("[[upstream]]\nurl = \"{}\"\n", server.url(""))).await;
    (server, wharfd)
}

fn path_of(content: &str) -> String {
    format!("/v2/{REPO}/referrers/{}", sha256(content.as_bytes()))
}

#[tokio::test]
async fn an_answer_that_is_no_list_means_that_there_is_no_api() {
    let elsewhere = Server::start("127.0.0.2", |came| match came.path.as_str() {
        "/denied" => (403, Vec::new(), b"<!DOCTYPE html>".to_vec()),
        _ => (200, Vec::new(), b"<!DOCTYPE html>".to_vec()),
    })
    .await;
    let unknown = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"no"}]}"#;
    let to = |path: &str| vec![("location", path.to_owned())];
    let html = vec![("content-type", "text/html".to_owned())];
    let index = vec![("content-type", INDEX.to_owned())];
    let answers = [
        (400, vec![], ""),
        (404, vec![], "404 page not found"),
        (404, vec![], unknown),
        (405, vec![], unknown),
        (406, vec![], ""),
        (501, vec![], "{}"),
        (200, html, "<!DOCTYPE html><title>Sign in</title>"),
        (200, index.clone(), "<!DOCTYPE html>"),
        (200, vec![], "{}"),
        (200, vec![], r#"{"errors":[]}"#),
        (200, vec![], r#"{"manifests":{}}"#),
        (200, vec![], "[]"),
        (200, vec![], ""),
        (204, vec![], ""),
        (302, to("/sign-in"), ""),
        (302, to(&elsewhere.url("/sign-in")), ""),
        (303, to(&elsewhere.url("/denied")), ""),
        (307, to("http://169.254.169.254/latest/meta-data/"), ""),
        (308, to(&path_of("loop")), ""),
        (302, vec![], ""),
    ];
    for (status, headers, body) in answers {
        let (_server, wharfd) = odd(status, &headers, body).await;
        let answer = wharfd.api.get(&path_of("loop")).await;
        assert_no_api(&answer, &format!("{status} {headers:?} {body}"));
    }
}

#[tokio::test]
async fn trouble_is_no_missing_api() {
    for (status, headers, shown) in [
        (401, vec![], 403),
        (403, vec![], 403),
        (429, vec![("retry-after", "60".to_owned())], 429),
        (500, vec![], 502),
        (502, vec![], 502),
        (503, vec![], 429),
    ] {
        let (_server, wharfd) = odd(status, &headers, "").await;
        let answer = wharfd.api.get(&path_of("x")).await;
        assert_eq!(answer.status, shown, "{status}: {}", answer.text());
    }
}

#[tokio::test]
async fn an_odd_entry_spoils_no_list_and_the_others_stay_as_they_came() {
    let entry = |word: &str| {
        json!({
            "mediaType": TYPE, "digest": sha256(word.as_bytes()), "size": word.len(),
            "artifactType": "application/a", "annotations": null, "com.example.word": word,
        })
    };
    let (one, two) = (entry("one"), entry("two"));
    let odd_ones = [json!(null), json!({ "digest": "latest" }), json!({ "mediaType": TYPE })];
    let mut entries = vec![one.clone()];
    entries.extend(odd_ones);
    entries.push(two.clone());
    let list = json!({ "schemaVersion": 2, "manifests": entries }).to_string();
    let (_server, wharfd) = odd(200, &[], &list).await;
    for query in ["", "?artifactType=application/a"] {
        let answer = wharfd.api.get(&format!("{}{query}", path_of("x"))).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, INDEX));
        assert_eq!(answer.json().unwrap()["manifests"], json!([one, two]));
    }
}

#[tokio::test]
async fn an_api_that_the_upstream_refuses_is_one_that_is_not_there() {
    let start = Stage::start_with(|mut setup| {
        setup.double.habits.referrers = Referrers::Kept;
        setup
    });
    let Some(stage) = start.await else { return };
    let subject = push(stage.api(), "application/image", None).await;
    let path = format!("/v2/{REPO}/referrers/{}", subject["digest"].as_str().unwrap());
    for code in [400, 404, 405, 501] {
        let refused = Fault::Status { code, retry_after_s: None };
        stage.double.set_fault(FaultRule::next(Kind::Referrers, refused));
        assert_no_api(&stage.api().get(&path).await, &format!("{code}"));
        assert!(stage.double.waiting_faults().is_empty(), "{code} was not met");
    }
    assert!(listed(stage.api(), &path).await.is_empty(), "it is there after all");
}
