//! The endpoints of the distribution specification on a `wharfd` without upstream, one by one, as
//! plain requests. `clients.rs` has the real clients.

mod blobs;
mod lists;
mod manifests;
mod uploads;

use serde_json::{Value, json};
use wharf_oci::{Algorithm, Digester};
use wharf_testkit::images::sha256;

use crate::fixture::{Api, Wharfd, code};

const REPO: &str = "acme/web";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// `sha512:…` of some bytes.
fn sha512(bytes: &[u8]) -> String {
    Digester::digest(Algorithm::Sha512, bytes).to_string()
}

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": sha256(content), "size": content.len() })
}

/// The manifest of an image with these bytes as its configuration and only layer, and with added
/// fields. It is printed with spaces, to catch a registry with a rewrite of it.
fn image(config: &[u8], layer: &[u8], more: Value) -> Vec<u8> {
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": descriptor("application/vnd.oci.image.config.v1+json", config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer)],
    });
    if let (Value::Object(fields), Value::Object(more)) = (&mut manifest, more) {
        fields.extend(more);
    }
    serde_json::to_vec_pretty(&manifest).unwrap()
}

/// Pushes an image of two small blobs under a tag; its manifest.
async fn push_image(api: &Api, repo: &str, tag: &str) -> Vec<u8> {
    let (config, layer) = (format!("config of {tag}"), format!("layer of {tag}"));
    api.push_blob(repo, config.clone()).await;
    api.push_blob(repo, layer.clone()).await;
    let manifest = image(config.as_bytes(), layer.as_bytes(), json!({}));
    let put = api.put_manifest(repo, tag, MANIFEST_TYPE, manifest.clone()).await;
    assert_eq!(put.status, 201, "{}", put.text());
    manifest
}

#[tokio::test]
async fn the_base_says_that_this_is_a_registry() {
    let wharfd = Wharfd::alone().await;
    let base = wharfd.api.get("/v2/").await;
    assert_eq!(base.status, 200);
    assert_eq!(base.header("docker-distribution-api-version"), "registry/2.0");
    assert_eq!(base.header("content-type"), "application/json");
    let method = wharfd.api.post("/v2/").send().await.unwrap();
    assert_eq!((method.status.as_u16(), code(&method).as_str()), (405, "UNSUPPORTED"));
    assert!(method.header("allow").contains("GET"));
}

#[tokio::test]
async fn a_stopped_wharfd_ends_well_and_has_everything_when_it_starts_again() {
    let mut wharfd = Wharfd::alone().await;
    let manifest = push_image(&wharfd.api, REPO, "v1").await;
    assert!(wharfd.stop().await.success());
    assert!(wharfd.log().contains("stopped"), "{}", wharfd.log());
    wharfd.start_again().await;
    let found = wharfd.api.get_manifest(REPO, "v1").await;
    assert_eq!(found.body, manifest);
    assert_eq!(wharfd.api.get_blob(REPO, &sha256(b"layer of v1")).await.body, "layer of v1");
}
