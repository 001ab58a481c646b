//! Manifests beyond the specification but accepted by registries, an index of blobs, and Docker's
//! first schema: put and read, alone and through to `docker-registry`.

use http::Method;
use serde_json::{Value, json};
use wharf_double::Kind;
use wharf_testkit::images::sha256;

use super::scripted::{Says, Scripted};
use super::{INDEX_TYPE, MANIFEST_TYPE, REPO, descriptor, image, named};
use crate::fixture::{Api, Stage, Wharfd, code, message};

const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CACHE_TYPE: &str = "application/vnd.buildkit.cacheconfig.v0";
const ORAS_TYPE: &str = "application/vnd.cncf.oras.artifact.manifest.v1+json";
const SIGNED_TYPE: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

/// An image of one layer with another value in a field of the manifest; none for no such field.
fn with(name: &str, value: Option<Value>) -> Value {
    let mut image = image(&["layer"]);
    let fields = image.as_object_mut().unwrap();
    match value {
        Some(value) => drop(fields.insert(name.to_owned(), value)),
        None => drop(fields.remove(name)),
    }
    image
}

/// The same in its layer.
fn layer_with(name: &str, value: Value) -> Value {
    let mut image = image(&["layer"]);
    image["layers"][0][name] = value;
    image
}

/// Manifests accepted by `docker-registry`.
fn odd() -> Vec<Value> {
    vec![
        with("layers", Some(json!(null))),
        with("layers", None),
        with("annotations", Some(json!(null))),
        with("manifests", Some(json!(null))),
        with("mediaType", Some(json!(null))),
        with("subject", Some(json!(null))),
        with("artifactType", Some(json!(7))),
        layer_with("urls", json!(null)),
        layer_with("annotations", json!(null)),
        layer_with("platform", json!({ "os": null })),
        layer_with("mediaType", json!(null)),
        layer_with("size", json!(null)),
        layer_with("size", json!(-1)),
        layer_with("size", json!(4711)),
    ]
}

async fn push_blobs(api: &Api) {
    for content in ["{}", "layer"] {
        api.push_blob(REPO, content).await;
    }
}

/// Reads a manifest by tag and by digest; it is exactly this.
async fn assert_serves(api: &Api, tag: &str, media_type: &str, content: &str) {
    for reference in [tag, &sha256(content.as_bytes())] {
        let found = api.get_manifest(REPO, reference).await;
        assert_eq!(found.status, 200, "{content}: {}", found.text());
        let seen = (found.header("content-type"), found.text());
        assert_eq!(seen, (media_type, content.to_owned()));
        assert_eq!(found.header("docker-content-digest"), sha256(content.as_bytes()));
    }
}

#[tokio::test]
async fn what_the_upstream_holds_is_served_and_what_it_takes_is_pushed() {
    let Some(stage) = Stage::start().await else { return };
    push_blobs(&stage.origin).await;
    push_blobs(stage.api()).await;
    for (number, manifest) in odd().into_iter().enumerate() {
        let (there, through) = (format!("there{number}"), format!("through{number}"));
        // Two contents, so the second is not known from the first.
        let held = manifest.to_string();
        let pushed = format!(" {manifest}");
        let put = stage.origin.put_manifest(REPO, &there, MANIFEST_TYPE, held.clone()).await;
        assert_eq!(put.status, 201, "{held}: {}", put.text());
        assert_serves(stage.api(), &there, MANIFEST_TYPE, &held).await;
        let put = stage.api().put_manifest(REPO, &through, MANIFEST_TYPE, pushed.clone()).await;
        assert_eq!(put.status, 201, "{pushed}: {}", put.text());
        assert_eq!(put.header("docker-content-digest"), sha256(pushed.as_bytes()));
        for api in [stage.api(), &stage.origin] {
            assert_serves(api, &through, MANIFEST_TYPE, &pushed).await;
        }
    }
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": null });
    let put = stage.api().put_manifest(REPO, "none", INDEX_TYPE, index.to_string()).await;
    assert_eq!(put.status, 201, "{}", put.text());
    assert_serves(&stage.origin, "none", INDEX_TYPE, &index.to_string()).await;
}

#[tokio::test]
async fn what_the_upstream_refuses_is_refused_in_its_words_and_harms_nobody() {
    let Some(stage) = Stage::start().await else { return };
    push_blobs(stage.api()).await;
    let custom = "application/vnd.example.thing.v1+json";
    for (media_type, content) in [
        (MANIFEST_TYPE, "hello".to_owned()),
        (MANIFEST_TYPE, with("config", None).to_string()),
        (MANIFEST_TYPE, layer_with("size", json!("5")).to_string()),
        (custom, json!({ "mediaType": custom }).to_string()),
        ("nonsense", json!({ "things": [] }).to_string()),
    ] {
        let refused = stage.api().put_manifest(REPO, "v1", media_type, content.clone()).await;
        let seen = (refused.status.as_u16(), code(&refused));
        assert!(matches!(seen.0, 400..=499), "{content}: {seen:?} {}", refused.text());
        assert!(message(&refused).starts_with("the upstream answered"), "{}", refused.text());
        let absent = stage.api().get_manifest(REPO, &sha256(content.as_bytes())).await;
        assert_eq!(absent.status, 404);
    }
    assert_eq!(stage.api().get_manifest(REPO, "v1").await.status, 404);
}

#[tokio::test]
async fn a_registry_of_its_own_takes_what_registries_take() {
    let wharfd = Wharfd::alone().await;
    push_blobs(&wharfd.api).await;
    for (number, manifest) in odd().into_iter().enumerate() {
        let (tag, content) = (format!("odd{number}"), manifest.to_string());
        let put = wharfd.api.put_manifest(REPO, &tag, MANIFEST_TYPE, content.clone()).await;
        assert_eq!(put.status, 201, "{content}: {}", put.text());
        assert_serves(&wharfd.api, &tag, MANIFEST_TYPE, &content).await;
    }
    let artifact = json!({
        "mediaType": ORAS_TYPE, "artifactType": "application/x-note",
        "blobs": [descriptor("text/plain", "layer")],
        "subject": descriptor(MANIFEST_TYPE, &image(&["layer"]).to_string()),
    });
    let put = wharfd.api.put_manifest(REPO, "oras", ORAS_TYPE, artifact.to_string()).await;
    assert_eq!(put.status, 201, "{}", put.text());
    assert_serves(&wharfd.api, "oras", ORAS_TYPE, &artifact.to_string()).await;
    let subject = sha256(image(&["layer"]).to_string().as_bytes());
    let referrers = wharfd.api.get(&format!("/v2/{REPO}/referrers/{subject}")).await;
    let listed = &referrers.json().unwrap()["manifests"][0];
    assert_eq!(listed["digest"], sha256(artifact.to_string().as_bytes()));
    for wrong in [
        with("config", Some(json!(null))),
        with("schemaVersion", Some(json!(1))),
        with("subject", Some(json!("sha256:12"))),
        layer_with("digest", json!("sha256:12")),
        json!({ "schemaVersion": 2, "config": null, "layers": [null] }),
    ] {
        let refused =
            wharfd.api.put_manifest(REPO, "wrong", MANIFEST_TYPE, wrong.to_string()).await;
        let seen = (refused.status.as_u16(), code(&refused));
        assert_eq!(seen, (400, "MANIFEST_INVALID".to_owned()), "{wrong}");
    }
}

/// The cache of a build: an index of layers, with a configuration for their order.
fn build_cache() -> String {
    let entries = [descriptor(LAYER_TYPE, "layer"), descriptor(CACHE_TYPE, "{}")];
    json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries }).to_string()
}

#[tokio::test]
async fn an_index_of_blobs_is_taken_and_what_it_lacks_is_named() {
    let wharfd = Wharfd::alone().await;
    let Some(stage) = Stage::start().await else { return };
    for api in [&wharfd.api, stage.api()] {
        api.push_blob(REPO, "layer").await;
        let refused = api.put_manifest(REPO, "cache", INDEX_TYPE, build_cache()).await;
        assert_eq!((refused.status.as_u16(), named(&refused)), (404, vec![sha256(b"{}")]));
        api.push_blob(REPO, "{}").await;
        let put = api.put_manifest(REPO, "cache", INDEX_TYPE, build_cache()).await;
        assert_eq!(put.status, 201, "{}", put.text());
        assert_serves(api, "cache", INDEX_TYPE, &build_cache()).await;
    }
    assert_serves(&stage.origin, "cache", INDEX_TYPE, &build_cache()).await;
    // Blobs only at the upstream are requested as blobs.
    for content in ["layer", "{}"] {
        stage.origin.push_blob("acme/other", content).await;
    }
    stage.double.reset_counts();
    let put = stage.api().put_manifest("acme/other", "cache", INDEX_TYPE, build_cache()).await;
    assert_eq!(put.status, 201, "{}", put.text());
    let counts = stage.double.counts();
    assert_eq!(counts.answered(Kind::BlobHead, 307), 2);
    assert_eq!(counts.total(Kind::ManifestHead), 0);
}

#[tokio::test]
async fn an_index_of_blobs_waits_in_staged_mode_until_they_are_delivered() {
    let start = Stage::start_with(|mut setup| {
        setup.upstream.push_str("push = \"staged\"\n");
        setup
    });
    let Some(stage) = start.await else { return };
    push_blobs(stage.api()).await;
    let put = stage.api().put_manifest(REPO, "cache", INDEX_TYPE, build_cache()).await;
    assert_eq!(put.status, 201, "{}", put.text());
    assert_serves(&stage.origin, "cache", INDEX_TYPE, &build_cache()).await;
    assert_eq!(stage.origin.get_blob(REPO, &sha256(b"layer")).await.body, "layer");
}

#[tokio::test]
async fn the_first_schema_passes_under_the_digest_of_what_was_signed() {
    let Some(stage) = Stage::start().await else { return };
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": [sha256(b"layer")] },
        "history": [{ "created_by": "ADD" }],
    });
    let config = config.to_string();
    for content in [&*config, "layer"] {
        stage.origin.push_blob(REPO, content.to_owned()).await;
    }
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    let gzip = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    let second = json!({
        "schemaVersion": 2, "mediaType": docker, "layers": [descriptor(gzip, "layer")],
        "config": descriptor("application/vnd.docker.container.image.v1+json", &config),
    });
    let put = stage.origin.put_manifest(REPO, "second", docker, second.to_string()).await;
    assert_eq!(put.status, 201, "{}", put.text());
    // `docker-registry` writes and signs a manifest for a request without a type.
    let signed = stage.origin.get(&format!("/v2/{REPO}/manifests/second")).await;
    assert_eq!(signed.header("content-type"), SIGNED_TYPE, "{}", signed.text());
    let digest = signed.header("docker-content-digest").to_owned();
    assert_ne!(digest, sha256(&signed.body));
    let through = stage.api().get(&format!("/v2/{REPO}/manifests/second")).await;
    assert_eq!(through.text(), second.to_string(), "what is there, for whoever asks");
    let (bytes, right) = (signed.body.to_vec(), digest.clone());
    let scene = Scripted::start("", move |came| match came.method {
        Method::PUT => Says::status(201),
        _ if came.path.ends_with("/first") || came.path.ends_with(&right) => {
            let says = Says::ok(bytes.clone()).header("content-type", SIGNED_TYPE);
            says.header("docker-content-digest", right.clone())
        }
        _ => Says::status(404),
    });
    let scene = scene.await;
    let api = &scene.wharfd.api;
    // Fetched by its digest first, then by its tag, and put.
    for reference in [&digest, "first", "pushed"] {
        if reference == "pushed" {
            let put = api.put_manifest(REPO, reference, SIGNED_TYPE, signed.body.clone()).await;
            assert_eq!(put.status, 201, "{}", put.text());
            assert_eq!(put.header("docker-content-digest"), digest);
        }
        let found = api.get_manifest(REPO, reference).await;
        assert_eq!(found.status, 200, "{reference}: {}", found.text());
        assert_eq!(found.header("content-type"), SIGNED_TYPE);
        let seen = (found.header("docker-content-digest"), &found.body);
        assert_eq!(seen, (&*digest, &signed.body), "{reference}");
    }
}
