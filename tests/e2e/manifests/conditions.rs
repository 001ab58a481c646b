//! Conditional manifest pushes (`If-Match`, `If-None-Match`; RFC 9110 §13.1): `wharfd` judges the
//! condition under the tag's lock, against the current manifest, and passes it on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Method;
use tokio::task::JoinSet;
use wharf_double::{Fault, FaultRule, Kind};
use wharf_testkit::http::Answer;
use wharf_testkit::images::sha256;

use super::scripted::{Came, Says, Scripted};
use super::{MANIFEST_TYPE, REPO, image};
use crate::fixture::{Api, Stage, Wharfd, code};

/// A manifest under a name, on a condition.
async fn put(api: &Api, reference: &str, content: &str, condition: (&str, &str)) -> Answer {
    let call = api.put(&format!("/v2/{REPO}/manifests/{reference}"));
    let call = call.header("content-type", MANIFEST_TYPE).header(condition.0, condition.1);
    call.bytes(content.to_owned()).send().await.unwrap()
}

/// The results of all conditions in turn, for a new tag, then for its first manifest, then for
/// another.
async fn assert_judges(api: &Api, behind: &Api) {
    api.push_blob(REPO, "{}").await;
    let (one, two) = (image(&[]).to_string(), format!(" {}", image(&[])));
    let [first, second] = [&one, &two].map(|content| sha256(content.as_bytes()));
    let both = format!("W/\"{first}\", \"{second}\"");
    for (content, condition, status) in [
        (&one, ("if-match", "*"), 412),
        (&one, ("if-match", &*first), 412),
        (&one, ("if-none-match", "*"), 201),
        (&two, ("if-none-match", "*"), 412),
        (&two, ("if-none-match", &*format!("W/\"{first}\"")), 412),
        (&two, ("if-match", &*format!("\"{second}\"")), 412),
        (&two, ("if-match", &*format!("W/\"{first}\"")), 412),
        (&two, ("if-match", "\"unterminated"), 400),
        (&two, ("if-match", &*format!("\"{first}\"")), 201),
        (&one, ("if-match", &*both), 201),
        (&two, ("if-match", "*"), 201),
        (&one, ("if-none-match", &*first), 201),
    ] {
        let answer = put(api, "v1", content, condition).await;
        let seen = (answer.status.as_u16(), status);
        assert_eq!(seen.0, status, "{condition:?}: {}", answer.text());
        if status == 412 {
            assert_eq!(code(&answer), "PRECONDITION_FAILED");
        }
    }
    assert_eq!(behind.get_manifest(REPO, "v1").await.text(), one);
    // By its digest: there, or not yet.
    let three = format!("  {}", image(&[]));
    let third = sha256(three.as_bytes());
    for status in [201, 412] {
        assert_eq!(put(api, &third, &three, ("if-none-match", "*")).await.status, status);
    }
}

/// Checks before a manifest's PUT belong to the PUT, and wait as long.
#[tokio::test]
async fn questions_before_a_put_outlast_a_short_outage() {
    let Some(stage) = Stage::start().await else { return };
    let one = image(&[]).to_string();
    stage.origin.push_blob(REPO, "{}").await;
    assert_eq!(stage.api().put_manifest(REPO, "v1", MANIFEST_TYPE, one.clone()).await.status, 201);
    let out = Fault::Status { code: 503, retry_after_s: None };
    let short = Duration::from_secs(3);
    for kind in [Kind::ManifestHead, Kind::ManifestGet, Kind::BlobHead, Kind::Version] {
        stage.double.set_fault(FaultRule::next(kind, out).during(short));
    }
    // One manifest with a compared tag, and one with a blob unknown here.
    stage.origin.push_blob(REPO, "{ }").await;
    let other = one.replace(&sha256(b"{}"), &sha256(b"{ }")).replace("\"size\":2", "\"size\":3");
    let conditional = put(stage.api(), "v1", &one, ("if-match", "*"));
    let unknown = stage.api().put_manifest(REPO, "v2", MANIFEST_TYPE, other);
    let (conditional, unknown) = tokio::join!(conditional, unknown);
    assert_eq!(conditional.status, 201, "{}", conditional.text());
    assert_eq!(unknown.status, 201, "{}", unknown.text());
}

#[tokio::test]
async fn a_registry_of_its_own_judges_conditions() {
    let wharfd = Wharfd::alone().await;
    assert_judges(&wharfd.api, &wharfd.api).await;
}

#[tokio::test]
async fn conditions_are_judged_by_what_the_upstream_has_at_that_moment() {
    let Some(stage) = Stage::start_with(|setup| setup.tag_ttl(3600)).await else { return };
    assert_judges(stage.api(), &stage.origin).await;
    // Changed past us: the cached manifest does not count.
    let (known, other) = (image(&[]).to_string(), format!("\n{}", image(&[])));
    let put_there = stage.origin.put_manifest(REPO, "v1", MANIFEST_TYPE, other.clone()).await;
    assert_eq!(put_there.status, 201);
    let (known, other) = (sha256(known.as_bytes()), sha256(other.as_bytes()));
    let content = format!("\t{}", image(&[]));
    assert_eq!(put(stage.api(), "v1", &content, ("if-match", &known)).await.status, 412);
    assert_eq!(put(stage.api(), "v1", &content, ("if-match", &other)).await.status, 201);
}

#[tokio::test]
async fn of_many_who_want_to_be_the_first_one_is() {
    let wharfd = Wharfd::alone().await;
    wharfd.api.push_blob(REPO, "{}").await;
    let mut puts = JoinSet::new();
    for number in 0..12 {
        let api = wharfd.api.clone();
        let content = format!("{}{}", " ".repeat(number), image(&[]));
        puts.spawn(async move { put(&api, "lock", &content, ("if-none-match", "*")).await.status });
    }
    let statuses: Vec<_> =
        puts.join_all().await.into_iter().map(|status| status.as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 412).count(), 11, "{statuses:?}");
}

#[tokio::test]
async fn conditions_go_along_to_the_upstream_and_its_refusal_comes_back() {
    let wants_none = Arc::new(AtomicBool::new(false));
    let refusing = Arc::clone(&wants_none);
    let scene = Scripted::start("", move |came: &Came| match came.method {
        Method::PUT if refusing.load(Ordering::SeqCst) => Says::status(412),
        Method::PUT => Says::status(201),
        _ if came.path.contains("/blobs/") => Says::ok("{}"),
        _ => Says::status(404),
    });
    let scene = scene.await;
    let api = &scene.wharfd.api;
    let content = image(&[]).to_string();
    let taken = put(api, "v1?tag=v2", &content, ("if-none-match", "*")).await;
    assert_eq!(taken.status, 201, "{}", taken.text());
    let puts: Vec<_> = scene.came().into_iter().filter(|came| came.method == Method::PUT).collect();
    let said: Vec<_> = puts.iter().map(|put| put.header("if-none-match")).collect();
    assert_eq!(said, ["*", ""], "a further tag has no condition");
    wants_none.store(true, Ordering::SeqCst);
    let refused = put(api, "v3", &content, ("if-none-match", "abc")).await;
    assert_eq!(refused.status, 412, "{}", refused.text());
    let puts = scene.came().into_iter().filter(|came| came.method == Method::PUT);
    assert_eq!(puts.map(|put| put.header("if-none-match")).collect::<Vec<_>>(), ["\"abc\""]);
    assert_eq!(api.get_manifest(REPO, "v3").await.status, 404, "it was not kept");
}
