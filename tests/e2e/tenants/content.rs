//! The content of the upstream: for the good party's work, and for the hostile two's requests.

use std::path::Path;

use bytes::Bytes;
use serde_json::json;
use tokio::task::JoinSet;
use wharf_testkit::images::sha256;
use wharf_testkit::registry::Registry;

use super::ground::GOOD;
use crate::fixture::{Api, noise};

pub(super) const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// The blob of the good party's repeated reads.
pub(super) const HOT_BYTES: usize = 1024 * 1024;
pub(super) const SMALL_TAG: &str = "small";
/// Items for a single read each: no cell lasts for more rounds.
const COLD: usize = 240;
/// The number of their repositories: the right to read one proves nothing for another.
const COLD_REPOS: usize = 40;
const COLD_BYTES: usize = 32 * 1024;
/// Concurrent plantings.
pub(super) const AT_ONCE: usize = 8;
/// Concurrent plantings of large items, because a party's share bounds the bodies read whole.
pub(super) const LARGE_AT_ONCE: usize = 2;

/// The content of one cell.
pub(super) struct Content {
    pub(super) repo: String,
    /// The blob read in each round.
    pub(super) hot: String,
}

/// Items still unknown to every `wharfd`.
pub(super) struct Cold {
    pub(super) items: Vec<ColdItem>,
}

#[derive(Clone)]
pub(super) struct ColdItem {
    pub(super) repo: String,
    pub(super) blob: String,
    pub(super) manifest: String,
}

impl Content {
    pub(super) async fn plant(origin: &Api, number: usize) -> Self {
        let repo = format!("{GOOD}/c{number}");
        let hot = origin.push_blob(&repo, noise(number as u64, HOT_BYTES)).await;
        put(origin, &repo, SMALL_TAG, &index(&[("cell", &number.to_string())])).await;
        Self { repo, hot }
    }
}

impl Cold {
    pub(super) async fn plant(origin: &Api) -> Self {
        let items = many(COLD, AT_ONCE, |number| {
            let origin = origin.clone();
            async move {
                let repo = format!("{GOOD}/cold{}", number % COLD_REPOS);
                let blob = origin.push_blob(&repo, noise(1_000 + number as u64, COLD_BYTES)).await;
                let manifest = index(&[("cold", &number.to_string())]);
                put(&origin, &repo, &sha256(manifest.as_bytes()), &manifest).await;
                ColdItem { repo, blob, manifest: sha256(manifest.as_bytes()) }
            }
        });
        Self { items: items.await }
    }
}

/// Makes this many items, a bounded number at once.
pub(super) async fn many<T: Send + 'static, F>(
    count: usize,
    at_once: usize,
    make: impl Fn(usize) -> F,
) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
{
    let (mut making, mut ready) = (JoinSet::new(), Vec::new());
    for number in 0..count {
        if making.len() >= at_once {
            ready.extend(making.join_next().await.map(Result::unwrap));
        }
        making.spawn(make(number));
    }
    ready.extend(making.join_all().await);
    ready
}

/// An index of nothing with these annotations.
pub(super) fn index(annotations: &[(&str, &str)]) -> String {
    let annotations: std::collections::BTreeMap<_, _> = annotations.iter().copied().collect();
    json!({
        "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [], "annotations": annotations,
    })
    .to_string()
}

/// A manifest about another.
pub(super) fn referrer(subject: &str, annotation: &str) -> String {
    let subject = json!({ "mediaType": INDEX_TYPE, "digest": subject, "size": 2 });
    json!({
        "schemaVersion": 2, "mediaType": INDEX_TYPE, "artifactType": "application/x.sbom",
        "manifests": [], "subject": subject, "annotations": { "n": annotation },
    })
    .to_string()
}

/// Letters without a pattern.
pub(super) fn letters(seed: u64, bytes: usize) -> String {
    noise(seed, bytes).iter().map(|byte| char::from(b'a' + byte % 16)).collect()
}

pub(super) async fn put(api: &Api, repo: &str, reference: &str, manifest: &str) {
    let content = Bytes::copy_from_slice(manifest.as_bytes());
    let answer = api.put_manifest(repo, reference, INDEX_TYPE, content).await;
    assert_eq!(answer.status, 201, "{repo}:{reference}: {}", answer.text());
}

/// Writes this many tags of an existing manifest into the registry's folder: through its API they
/// would take longer than the rest of a cell.
pub(super) fn tag_often(registry: &Registry, repo: &str, digest: &str, names: Vec<String>) {
    let tags = format!("root/docker/registry/v2/repositories/{repo}/_manifests/tags");
    let tags = registry.folder().join(tags);
    for name in names {
        write_link(&tags.join(name).join("current"), digest);
    }
}

fn write_link(folder: &Path, digest: &str) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("link"), digest).unwrap();
}
