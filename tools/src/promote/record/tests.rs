#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::Duration;

use http::Method;
use serde_json::Value;
use wharf_oci::{Algorithm, Digester};

use super::*;
use crate::registry::fake::{Fake, Shared, start};
use crate::registry::{Options, Policy};

const REPO: &str = "prod/a";

fn digest(text: &str) -> Digest {
    Digester::digest(Algorithm::Sha256, text.as_bytes())
}

async fn registry() -> (Shared, Registry) {
    let (shared, address) = start(Fake::default()).await;
    let pause = Duration::from_millis(1);
    let policy =
        Policy { attempts: 2, first_pause: pause, pause_max: pause, asked_pause_max: pause };
    let options = Options { policy, ..Options::default() };
    (shared, Registry::new(address.parse().unwrap(), true, None, options).unwrap())
}

fn promotion(plan: &str, seconds: u64) -> Promotion {
    Promotion {
        plan_digest: digest(plan),
        offer: "tide".to_owned(),
        by: "ann".to_owned(),
        run: None,
        time: Timestamp::from_unix_seconds(seconds).unwrap(),
    }
}

/// Records this subject, as promoted from this place.
async fn record(registry: &Registry, promotion: &Promotion, from: &str) -> Recorded {
    let subject = Descriptor::new(MediaType::OCI_INDEX, digest("index"), 5);
    let (repo, tag): (RepoName, Tag) = (REPO.parse().unwrap(), "1.0".parse().unwrap());
    let (from, tags) = (from.to_owned(), vec![&tag]);
    let root = PromotedRoot { subject: &subject, plan: "service", from, repo: &repo, tags };
    promotion.record(registry, &root).await.unwrap()
}

fn content(shared: &Shared, digest: &Digest) -> Value {
    let fake = shared.lock().unwrap();
    let key = (REPO.to_owned(), digest.to_string());
    let bytes = match fake.manifests.get(&key) {
        Some((_, bytes)) => bytes.clone(),
        None => fake.blobs[&key].clone(),
    };
    serde_json::from_slice(&bytes).unwrap()
}

#[tokio::test]
async fn a_record_says_what_came_from_where_by_whom_and_by_which_plan() {
    let (shared, registry) = registry().await;
    let made = record(&registry, &promotion("plan", 1_793_491_200), "s.example/stage/a").await;
    assert!(!made.already);
    let manifest = content(&shared, &made.digest);
    assert_eq!(manifest["artifactType"], "application/vnd.in-toto+json");
    assert_eq!(manifest["subject"]["digest"], digest("index").to_string());
    assert_eq!(manifest["annotations"]["in-toto.io/predicate-type"], PREDICATE_TYPE);
    assert_eq!(manifest["annotations"]["wharf.promotion.plan"], digest("plan").to_string());
    let layer: Digest = manifest["layers"][0]["digest"].as_str().unwrap().parse().unwrap();
    let statement = content(&shared, &layer);
    let to = format!("{}/{REPO}", registry.host());
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["subject"][0]["name"], to.as_str());
    assert_eq!(statement["subject"][0]["digest"]["sha256"], digest("index").hex());
    assert_eq!(statement["predicateType"], PREDICATE_TYPE);
    let predicate = &statement["predicate"];
    assert_eq!((&predicate["from"], &predicate["to"]), (&"s.example/stage/a".into(), &to.into()));
    assert_eq!(predicate["tags"], serde_json::json!(["1.0"]));
    assert_eq!(predicate["promotedBy"], "ann");
    assert_eq!(predicate["promotedOn"], "2026-11-01T00:00:00Z");
    assert_eq!(predicate["plan"]["digest"]["sha256"], digest("plan").hex());
    assert!(predicate.get("run").is_none());
}

#[tokio::test]
async fn the_same_promotion_is_recorded_once_and_another_one_beside_it() {
    let (shared, registry) = registry().await;
    let first = record(&registry, &promotion("plan", 1), "s.example/stage/a").await;
    shared.lock().unwrap().seen.clear();
    // Another time, and another person at the same plan.
    let again = Promotion { by: "bob".to_owned(), ..promotion("plan", 2) };
    let second = record(&registry, &again, "s.example/stage/a").await;
    assert_eq!(second, Recorded { already: true, ..first });
    let reads = [Method::GET, Method::HEAD];
    assert!(shared.lock().unwrap().seen.iter().all(|seen| reads.contains(&seen.method)));
    for (plan, from) in [("other plan", "s.example/stage/a"), ("plan", "s.example/stage/b")] {
        let other = record(&registry, &promotion(plan, 3), from).await;
        assert!(!other.already && other.digest != first.digest, "{plan} {from}");
    }
    // This registry has no referrers API: the list stands under the tag, with all three.
    let tag = format!("sha256-{}", digest("index").hex());
    let key = (REPO.to_owned(), tag);
    let list = shared.lock().unwrap().manifests[&key].1.clone();
    let list: Value = serde_json::from_slice(&list).unwrap();
    assert_eq!(list["manifests"].as_array().unwrap().len(), 3);
    assert_eq!(list["manifests"][0]["artifactType"], "application/vnd.in-toto+json");
    assert_eq!(list["manifests"][0]["annotations"]["in-toto.io/predicate-type"], PREDICATE_TYPE);
}

#[test]
fn ci_says_who_runs_and_where() {
    let of = |variables: &[(&str, &str)]| {
        runner(&|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    };
    let github = [
        ("GITHUB_ACTOR", "ann"),
        ("GITHUB_SERVER_URL", "https://git.example"),
        ("GITHUB_REPOSITORY", "o/r"),
        ("GITHUB_RUN_ID", "7"),
        ("USER", "runner"),
    ];
    let run = Some("https://git.example/o/r/actions/runs/7".to_owned());
    assert_eq!(of(&github), ("ann".to_owned(), run));
    let azure = [
        ("BUILD_REQUESTEDFOR", "Ann"),
        ("SYSTEM_COLLECTIONURI", "https://dev.example/o/"),
        ("SYSTEM_TEAMPROJECT", "p"),
        ("BUILD_BUILDID", "9"),
    ];
    let run = Some("https://dev.example/o/p/_build/results?buildId=9".to_owned());
    assert_eq!(of(&azure), ("Ann".to_owned(), run));
    assert_eq!(of(&[("CI_JOB_URL", ""), ("USER", "bob")]), ("bob".to_owned(), None));
    assert_eq!(of(&[]), ("unknown".to_owned(), None));
}
