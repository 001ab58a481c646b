//! Lists: tags and repositories by pages, referrers with filters (distribution-spec, "Listing").

use serde_json::{Value, json};
use wharf_testkit::http::Answer;
use wharf_testkit::images::sha256;

use super::{INDEX_TYPE, MANIFEST_TYPE, REPO, descriptor, image, push_image};
use crate::fixture::{Api, Wharfd, code};

/// The target of the `Link` to the next page.
fn next(answer: &Answer) -> Option<String> {
    let link = answer.header("link");
    let target = link.strip_prefix('<')?.strip_suffix(">; rel=\"next\"")?;
    Some(target.to_owned())
}

/// Follows the links from the first page; returns the list of each page under `field`.
async fn pages(api: &Api, first: &str, field: &str) -> Vec<Value> {
    let mut pages = Vec::new();
    let mut path = Some(first.to_owned());
    while let Some(asked) = path {
        let page = api.get(&asked).await;
        assert_eq!(page.status, 200, "{asked}: {}", page.text());
        assert_eq!(page.header("content-type"), "application/json");
        path = next(&page);
        pages.push(page.json().unwrap()[field].clone());
        assert!(pages.len() < 20, "the pages never end");
    }
    pages
}

#[tokio::test]
async fn tags_are_listed_in_order_by_pages_and_after_a_name() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let manifest = push_image(api, REPO, "v1").await;
    let path = format!("{}?tag=v10&tag=v2&tag=Latest&tag=_x", sha256(&manifest));
    assert_eq!(api.put_manifest(REPO, &path, MANIFEST_TYPE, manifest).await.status, 201);
    let all = json!(["Latest", "_x", "v1", "v10", "v2"]);
    let list = format!("/v2/{REPO}/tags/list");
    let whole = api.get(&list).await;
    assert_eq!(whole.json().unwrap(), json!({ "name": REPO, "tags": all }));
    assert_eq!(next(&whole), None);
    assert_eq!(
        pages(api, &format!("{list}?n=2"), "tags").await,
        [json!(["Latest", "_x"]), json!(["v1", "v10"]), json!(["v2"])]
    );
    assert_eq!(pages(api, &format!("{list}?n=5"), "tags").await, [all]);
    assert_eq!(pages(api, &format!("{list}?last=v1"), "tags").await, [json!(["v10", "v2"])]);
    assert_eq!(pages(api, &format!("{list}?n=1&last=v10"), "tags").await, [json!(["v2"])]);
    // A missing name is still a position in the order.
    assert_eq!(pages(api, &format!("{list}?last=v11"), "tags").await, [json!(["v2"])]);
    assert_eq!(pages(api, &format!("{list}?last=zzz"), "tags").await, [json!([])]);
    assert_eq!(pages(api, &format!("{list}?n=0"), "tags").await, [json!([])]);
    let unknown = api.get("/v2/team/nobody/tags/list").await;
    assert_eq!((unknown.status.as_u16(), code(&unknown).as_str()), (404, "NAME_UNKNOWN"));
}

#[tokio::test]
async fn the_catalog_lists_every_repository_by_pages() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    assert_eq!(api.get("/v2/_catalog").await.json().unwrap(), json!({ "repositories": [] }));
    let names = ["a", "a/b", "a/b/c", "ab", "b"];
    for name in names {
        push_image(api, name, "v1").await;
    }
    assert_eq!(pages(api, "/v2/_catalog", "repositories").await, [json!(names)]);
    let by_two = pages(api, "/v2/_catalog?n=2", "repositories").await;
    let listed: Vec<Value> =
        by_two.iter().flat_map(|page| page.as_array().unwrap().clone()).collect();
    assert_eq!(json!(listed), json!(names));
    assert_eq!(by_two.len(), 3);
    assert_eq!(pages(api, "/v2/_catalog?last=ab", "repositories").await, [json!(["b"])]);
}

/// Pushes an artifact about a manifest; returns its descriptor as in a referrers list.
async fn push_referrer(api: &Api, subject: &[u8], kind: &str, note: &str) -> Value {
    api.push_blob(REPO, "{}").await;
    let more = json!({
        "artifactType": kind,
        "subject": descriptor(MANIFEST_TYPE, subject),
        "annotations": { "note": note },
    });
    let manifest = image(b"{}", b"{}", more);
    let digest = sha256(&manifest);
    let put = api.put_manifest(REPO, &digest, MANIFEST_TYPE, manifest.clone()).await;
    assert_eq!(put.status, 201, "{}", put.text());
    assert_eq!(put.header("oci-subject"), sha256(subject));
    let mut listed = descriptor(MANIFEST_TYPE, &manifest);
    listed["artifactType"] = json!(kind);
    listed["annotations"] = json!({ "note": note });
    listed
}

/// Entries in the order of their digests; a registry may list them in any order.
fn sorted(mut entries: Vec<Value>) -> Vec<Value> {
    entries.sort_by_key(|entry| entry["digest"].as_str().unwrap_or_default().to_owned());
    entries
}

#[tokio::test]
async fn referrers_are_listed_filtered_and_forgotten() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let subject = push_image(api, REPO, "v1").await;
    let list = format!("/v2/{REPO}/referrers/{}", sha256(&subject));
    let none = api.get(&list).await;
    assert_eq!((none.status.as_u16(), none.header("content-type")), (200, INDEX_TYPE));
    assert_eq!(none.json().unwrap()["manifests"], json!([]));

    let sbom = push_referrer(api, &subject, "application/spdx+json", "one").await;
    let signature = push_referrer(api, &subject, "application/x-signature", "two").await;
    let all = api.get(&list).await;
    let index = all.json().unwrap();
    assert_eq!((&index["schemaVersion"], &index["mediaType"]), (&json!(2), &json!(INDEX_TYPE)));
    let found = sorted(index["manifests"].as_array().unwrap().clone());
    assert_eq!(found, sorted(vec![sbom.clone(), signature.clone()]));
    assert_eq!(all.header("oci-filters-applied"), "");

    let filtered = api.get(&format!("{list}?artifactType=application/spdx%2Bjson")).await;
    assert_eq!(filtered.header("oci-filters-applied"), "artifactType");
    assert_eq!(filtered.json().unwrap()["manifests"], json!([sbom]));

    let digest = signature["digest"].as_str().unwrap();
    assert_eq!(api.delete(&format!("/v2/{REPO}/manifests/{digest}")).await.status, 202);
    assert_eq!(api.get(&list).await.json().unwrap()["manifests"], json!([sbom]));
    // The same digest in another repository has no referrers there.
    let elsewhere = list.replace(REPO, "team/other");
    assert_eq!(api.get(&elsewhere).await.json().unwrap()["manifests"], json!([]));
}

/// Referrers of 4 MB each are listed without their large fields, many of 60 kB on several pages;
/// the list is never in memory as a whole.
#[tokio::test]
async fn referrers_end_at_4_mib_and_go_on_behind_a_link() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let subject = push_image(api, REPO, "v1").await;
    let list = format!("/v2/{REPO}/referrers/{}", sha256(&subject));
    let mut pushed = Vec::new();
    for number in 0..130 {
        let size = if number < 8 { 4_000_000 } else { 60_000 };
        let kind = if number % 2 == 0 { "application/even" } else { "application/odd" };
        let mut entry =
            push_referrer(api, &subject, kind, &format!("{number}{}", "x".repeat(size))).await;
        if number < 8 {
            entry.as_object_mut().unwrap().remove("annotations");
        }
        pushed.push(entry);
    }
    let before = wharfd.peak_memory_bytes();
    for filter in [None, Some("application/even")] {
        let query = filter.map_or_else(String::new, |kind| format!("?artifactType={kind}"));
        let (mut found, mut pages, mut path) = (Vec::new(), 0, Some(format!("{list}{query}")));
        while let Some(asked) = path {
            let page = api.get(&asked).await;
            assert_eq!((page.status.as_u16(), page.header("content-type")), (200, INDEX_TYPE));
            assert!(page.body.len() <= 4 * 1024 * 1024, "{} bytes", page.body.len());
            assert_eq!(page.header("oci-filters-applied") == "artifactType", filter.is_some());
            path = next(&page);
            found.extend(page.json().unwrap()["manifests"].as_array().unwrap().clone());
            pages += 1;
        }
        let wanted = |entry: &&Value| filter.is_none_or(|kind| entry["artifactType"] == kind);
        assert_eq!(sorted(found), sorted(pushed.iter().filter(wanted).cloned().collect()));
        assert!(pages >= 2, "{pages} pages");
    }
    let grown = wharfd.peak_memory_bytes() - before;
    assert!(grown < 64 * 1024 * 1024, "{grown} bytes more");
}

#[tokio::test]
async fn a_referrer_may_come_before_its_subject() {
    let wharfd = Wharfd::alone().await;
    let api = &wharfd.api;
    let subject = image(b"config", b"layer", json!({}));
    let referrer = push_referrer(api, &subject, "application/x-early", "early").await;
    let list = format!("/v2/{REPO}/referrers/{}", sha256(&subject));
    assert_eq!(api.get(&list).await.json().unwrap()["manifests"], json!([referrer]));
}
