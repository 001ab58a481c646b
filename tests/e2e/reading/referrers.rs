//! Referrers of an upstream that has the API: its list and what was pushed here are one list.

use serde_json::{Value, json};
use wharf_double::Referrers;
use wharf_testkit::images::sha256;

use crate::fixture::{Api, Stage, Wharfd};

const REPO: &str = "acme/web";
const TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

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
    // A proxy that saw no push has the upstream's.
    let config = format!("[[upstream]]\nurl = \"{}\"\n", stage.double.url());
    let other = Wharfd::with_config(&config).await;
    assert_eq!(listed(&other.api, &path).await, both);
    let filtered = format!("{path}?artifactType=application/b");
    for api in [stage.api(), &other.api] {
        assert_eq!(listed(api, &filtered).await, [b["digest"].as_str().unwrap()]);
        let answer = api.get(&filtered).await;
        assert_eq!(answer.header("oci-filters-applied"), "artifactType");
    }
    // Without the upstream there is what is here, and it says so.
    let Stage { wharfd, double, .. } = stage;
    double.stop().await;
    let old = wharfd.api.get(&path).await;
    assert_eq!((old.status.as_u16(), old.header("wharf-cache")), (200, "stale"));
    assert_eq!(listed(&wharfd.api, &path).await, both);
    let nothing = other.api.get(&path).await;
    assert!(matches!(nothing.status.as_u16(), 502 | 503), "{}", nothing.status);
}

#[tokio::test]
async fn what_an_upstream_without_the_api_was_given_here_is_listed_here() {
    let start = Stage::start_with(|mut setup| {
        setup.double.habits.referrers = Referrers::Absent;
        setup
    });
    let Some(stage) = start.await else { return };
    let subject = push(stage.api(), "application/image", None).await;
    let path = format!("/v2/{REPO}/referrers/{}", subject["digest"].as_str().unwrap());
    let a = push(stage.api(), "application/a", Some(&subject)).await;
    let digest = a["digest"].as_str().unwrap();
    assert_eq!(listed(stage.api(), &path).await, [digest]);
    // What was deleted at the upstream is listed no more.
    let deleted = stage.origin.delete(&format!("/v2/{REPO}/manifests/{digest}")).await;
    assert_eq!(deleted.status, 202);
    assert!(listed(stage.api(), &path).await.is_empty());
}
