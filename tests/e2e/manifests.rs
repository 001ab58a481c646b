//! Manifests through `wharfd`: the upstream has a manifest's blobs first, the bytes and the type
//! arrive unchanged, and the response to a failure is enough to mend it.

mod conditions;
mod deletes;
mod odd;
mod scripted;
mod untold;

use serde_json::{Value, json};
use wharf_double::{Fault, FaultRule, Kind, Referrers};
use wharf_testkit::http::Answer;
use wharf_testkit::images::sha256;

use crate::fixture::{Stage, Wharfd, code};

const REPO: &str = "acme/web";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";

fn descriptor(media_type: &str, content: &str) -> Value {
    json!({ "mediaType": media_type, "digest": sha256(content.as_bytes()), "size": content.len() })
}

/// An image of these layers; its configuration is `{}`.
fn image(layers: &[&str]) -> Value {
    let layers: Vec<_> = layers.iter().map(|layer| descriptor("application/x", layer)).collect();
    json!({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE,
        "config": descriptor("application/json", "{}"), "layers": layers,
    })
}

/// The digests in the entries of a response, in their order.
fn named(answer: &Answer) -> Vec<String> {
    let json = answer.json().unwrap();
    let entry = |entry: &Value| {
        assert_eq!(entry["code"], "MANIFEST_BLOB_UNKNOWN", "{}", answer.text());
        let digest = entry["detail"]["digest"].as_str().unwrap().to_owned();
        assert!(entry["message"].as_str().unwrap().contains(&digest));
        digest
    };
    json["errors"].as_array().unwrap().iter().map(entry).collect()
}

#[tokio::test]
async fn every_missing_piece_is_named_and_the_upstream_is_not_given_the_manifest() {
    let Some(stage) = Stage::start().await else { return };
    for content in ["{}", "pushed"] {
        stage.api().push_blob(REPO, content).await;
    }
    stage.origin.push_blob(REPO, "only there").await;
    stage.origin.push_blob("acme/other", "of another").await;
    stage.double.reset_counts();
    let mut manifest = image(&["gone 1", "pushed", "only there", "of another", "gone 1", "gone 2"]);
    let layers = manifest["layers"].as_array_mut().unwrap();
    layers.push(descriptor(FOREIGN, "foreign"));
    let mut elsewhere = descriptor("application/x", "elsewhere");
    elsewhere["urls"] = json!(["https://example.com/layer"]);
    layers.push(elsewhere);
    let refused = stage.api().put_manifest(REPO, "v1", MANIFEST_TYPE, manifest.to_string()).await;
    assert_eq!(refused.status, 404, "{}", refused.text());
    let missing = ["gone 1", "of another", "gone 2"].map(|content| sha256(content.as_bytes()));
    assert_eq!(named(&refused), missing);
    // A blob pushed through costs no request; each of the others costs one, for any number of
    // mentions.
    let counts = stage.double.counts();
    let asked = [404, 307].map(|status| counts.answered(Kind::BlobHead, status));
    assert_eq!((asked, counts.total(Kind::ManifestPut)), ([3, 1], 0));
    assert_eq!(stage.api().get_manifest(REPO, "v1").await.status, 404);
}

#[tokio::test]
async fn the_children_of_an_index_are_there_first_wherever_they_came_from() {
    let Some(stage) = Stage::start().await else { return };
    for content in ["{}", "a", "b"] {
        stage.api().push_blob(REPO, content).await;
    }
    let [here, there, gone] =
        [image(&["a"]), image(&["b"]), image(&["a", "b"])].map(|m| m.to_string());
    let put = stage.api().put_manifest(REPO, "a", MANIFEST_TYPE, here.clone()).await;
    assert_eq!(put.status, 201, "{}", put.text());
    let put = stage.origin.put_manifest(REPO, "b", MANIFEST_TYPE, there.clone()).await;
    assert_eq!(put.status, 201, "{}", put.text());
    let index = |children: &[&str]| {
        let children: Vec<_> = children.iter().map(|c| descriptor(MANIFEST_TYPE, c)).collect();
        json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": children }).to_string()
    };
    let whole = index(&[&here, &there]);
    let broken = index(&[&here, &there, &gone]);
    stage.double.reset_counts();
    let refused = stage.api().put_manifest(REPO, "all", INDEX_TYPE, broken).await;
    assert_eq!((refused.status.as_u16(), named(&refused)), (404, vec![sha256(gone.as_bytes())]));
    let counts = stage.double.counts();
    let asked = [404, 200].map(|status| counts.answered(Kind::ManifestHead, status));
    assert_eq!((asked, counts.total(Kind::ManifestPut)), ([1, 1], 0));
    let put = stage.api().put_manifest(REPO, "all", INDEX_TYPE, whole.clone()).await;
    assert_eq!(put.status, 201, "{}", put.text());
    assert_eq!(stage.origin.get_manifest(REPO, "all").await.body, whole);
}

#[tokio::test]
async fn an_upstream_that_cannot_say_what_it_has_is_an_outage_and_not_a_missing_blob() {
    let start = Stage::start_with(|mut setup| {
        setup.upstream.push_str("answer_timeout_seconds = 1\n");
        setup
    });
    let Some(stage) = start.await else { return };
    stage.api().push_blob(REPO, "{}").await;
    let manifest = image(&["elsewhere"]).to_string();
    // After many failures the breaker responds with 429 in place of 502.
    for (fault, statuses) in [
        (Fault::Status { code: 500, retry_after_s: None }, [429, 502]),
        (Fault::HangUp { reset: true }, [429, 502]),
        (Fault::TooManyRequests { retry_after_s: 60 }, [429, 429]),
    ] {
        let rule = FaultRule::next(Kind::BlobHead, fault);
        stage.double.set_fault(rule.during(std::time::Duration::from_hours(1)));
        let failed = stage.api().put_manifest(REPO, "v1", MANIFEST_TYPE, manifest.clone()).await;
        let status = failed.status.as_u16();
        assert!(statuses.contains(&status), "{fault:?}: {status} {}", failed.text());
        assert_ne!(code(&failed), "MANIFEST_BLOB_UNKNOWN");
        stage.double.clear_faults();
    }
    assert_eq!(stage.double.counts().total(Kind::ManifestPut), 0);
}

#[tokio::test]
async fn a_link_that_became_stale_costs_one_more_put_and_sends_what_is_gone() {
    let Some(stage) = Stage::start().await else { return };
    for content in ["{}", "kept", "deleted there"] {
        stage.api().push_blob(REPO, content).await;
    }
    let lost = sha256(b"deleted there");
    let path = format!("/v2/{REPO}/blobs/{lost}");
    assert_eq!(stage.origin.delete(&path).await.status, 202);
    let manifest = image(&["kept", "deleted there"]).to_string();
    stage.double.reset_counts();
    let put = stage.api().put_manifest(REPO, "v1", MANIFEST_TYPE, manifest.clone()).await;
    assert_eq!(put.status, 201, "{}", put.text());
    let counts = stage.double.counts();
    let asked = [404, 307].map(|status| counts.answered(Kind::BlobHead, status));
    assert_eq!((counts.total(Kind::ManifestPut), asked), (2, [1, 2]));
    assert_eq!(stage.origin.get(&path).await.body, "deleted there");
    assert_eq!(stage.origin.get_manifest(REPO, "v1").await.body, manifest);
}

#[tokio::test]
async fn bytes_and_type_arrive_as_they_were_sent() {
    let Some(stage) = Stage::start().await else { return };
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    for content in ["{}", "layer"] {
        stage.api().push_blob(REPO, content).await;
    }
    for (tag, media_type) in [("oci", MANIFEST_TYPE), ("docker", docker)] {
        let mut manifest = image(&["layer"]);
        manifest["mediaType"] = json!(media_type);
        manifest["x-unknown"] = json!({ "z": 1, "a": [1.0, 2e3] });
        // Whitespace, an escape and the order of keys are part of the digest.
        let odd = format!(
            " {}\n\n",
            serde_json::to_string_pretty(&manifest)
                .unwrap()
                .replace("x-unknown", "x\\u002dunknown")
        );
        let put = stage.api().put_manifest(REPO, tag, media_type, odd.clone()).await;
        assert_eq!(put.status, 201, "{}", put.text());
        assert_eq!(put.header("docker-content-digest"), sha256(odd.as_bytes()));
        for api in [stage.api(), &stage.origin] {
            let found = api.get_manifest(REPO, tag).await;
            assert_eq!(
                (found.header("content-type"), &found.body[..]),
                (media_type, odd.as_bytes())
            );
        }
    }
}

#[tokio::test]
async fn a_manifest_of_four_mebibytes_goes_through_and_one_byte_more_does_not() {
    let Some(stage) = Stage::start().await else { return };
    stage.api().push_blob(REPO, "{}").await;
    let mut manifest = image(&[]).to_string();
    manifest.push_str(&" ".repeat((4 << 20) - manifest.len()));
    let put = stage.api().put_manifest(REPO, "full", MANIFEST_TYPE, manifest.clone()).await;
    assert_eq!(put.status, 201, "{}", put.text());
    let puts = stage.double.counts().total(Kind::ManifestPut);
    manifest.push(' ');
    let refused = stage.api().put_manifest(REPO, "over", MANIFEST_TYPE, manifest).await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (413, "MANIFEST_INVALID"));
    assert_eq!(stage.double.counts().total(Kind::ManifestPut), puts);
}

#[tokio::test]
async fn a_subject_is_confirmed_and_listed_when_the_upstream_keeps_referrers() {
    for keeps in [true, false] {
        let start = Stage::start_with(|mut setup| {
            if keeps {
                setup.double.habits.referrers = Referrers::Kept;
            }
            setup
        });
        let Some(stage) = start.await else { return };
        stage.api().push_blob(REPO, "{}").await;
        let subject = image(&[]).to_string();
        let put = stage.api().put_manifest(REPO, "v1", MANIFEST_TYPE, subject.clone()).await;
        assert_eq!(put.status, 201, "{}", put.text());
        assert!(!put.headers.contains_key("oci-subject"));
        let mut signature = image(&[]);
        signature["artifactType"] = json!("application/signature");
        signature["subject"] = descriptor(MANIFEST_TYPE, &subject);
        let signature = signature.to_string();
        let (subject, digest) = (sha256(subject.as_bytes()), sha256(signature.as_bytes()));
        let put = stage.api().put_manifest(REPO, &digest, MANIFEST_TYPE, signature).await;
        assert_eq!(put.status, 201, "{}", put.text());
        let said = put.headers.get("oci-subject").map(|value| value.to_str().unwrap().to_owned());
        // Without this header, clients keep the list in a tag themselves.
        assert_eq!(said, keeps.then(|| subject.clone()));
        let list = format!("/v2/{REPO}/referrers/{subject}");
        if !keeps {
            assert_eq!(stage.api().get(&list).await.status, 404);
            continue;
        }
        let listed = async || {
            let list = stage.api().get(&list).await.json().unwrap();
            let found = list["manifests"].as_array().unwrap().iter();
            found.map(|entry| entry["digest"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(listed().await, std::slice::from_ref(&digest));
        let path = format!("/v2/{REPO}/manifests/{digest}");
        assert_eq!(stage.api().delete(&path).await.status, 202);
        assert!(listed().await.is_empty());
    }
}

#[tokio::test]
async fn a_registry_of_its_own_names_every_missing_piece_too() {
    let wharfd = Wharfd::alone().await;
    wharfd.api.push_blob(REPO, "{}").await;
    let manifest = image(&["one", "two"]).to_string();
    let refused = wharfd.api.put_manifest(REPO, "v1", MANIFEST_TYPE, manifest).await;
    let missing = ["one", "two"].map(|content| sha256(content.as_bytes()));
    assert_eq!((refused.status.as_u16(), named(&refused)), (404, missing.to_vec()));
}
