//! What a deletion would take content from: every manifest of the repository that names what is to be
//! deleted, directly or through others, as far as the store knows.
//!
//! Invariant: asked inside the turn of the deletion, so that nothing comes to name it meanwhile under a
//! write-once tag. Bounded: with too many of them nothing is deleted.

use std::collections::HashSet;
use std::sync::Arc;

use wharf_oci::{Algorithm, Digest, Manifest, RepoName};
use wharf_store::StoreError;

use super::App;
use crate::Error;
use crate::cache::Store;
use crate::limits::{PAGE_ENTRIES_MAX, REACHING_MAX};

/// Every digest of a manifest that reaches `digest`, without itself.
pub(super) async fn reaching(
    app: &App,
    repo: &RepoName,
    digest: &Digest,
) -> Result<HashSet<Digest>, Error> {
    let (store, repo, digest) = (Arc::clone(&app.cache.store), repo.clone(), *digest);
    let look = move || upwards(&*store, &repo, digest, REACHING_MAX);
    let found = app.cache.bridge.run(look).await?;
    found.ok_or(Error::TooMany("manifests that name what is to be deleted"))
}

/// `None` when they are more than `most`.
fn upwards(
    store: &dyn Store,
    repo: &RepoName,
    digest: Digest,
    most: usize,
) -> Result<Option<HashSet<Digest>>, StoreError> {
    let (mut found, mut open) = (HashSet::new(), vec![digest]);
    while let Some(child) = open.pop() {
        let mut after = None;
        loop {
            let page = store.parents(repo, &child, after.as_ref(), PAGE_ENTRIES_MAX)?;
            after = page.entries.last().copied();
            for parent in page.entries {
                for name in names(store, repo, parent)? {
                    if found.insert(name) {
                        open.push(name);
                    }
                }
                if found.len() > most {
                    return Ok(None);
                }
            }
            if !page.more {
                break;
            }
        }
    }
    Ok(Some(found))
}

/// What a manifest is known by. Tags at an upstream say SHA-256 of one that was put under another digest.
fn names(
    store: &dyn Store,
    repo: &RepoName,
    digest: Digest,
) -> Result<impl Iterator<Item = Digest>, StoreError> {
    let other = match digest.algorithm() {
        Algorithm::Sha256 => None,
        Algorithm::Sha512 => store.manifest(repo, &digest)?.and_then(|stored| {
            let manifest = Manifest::read(stored.bytes, Some(&stored.media_type)).ok()?;
            Some(manifest.digest())
        }),
    };
    Ok(other.into_iter().chain([digest]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use wharf_store::{ManifestStore as _, MemoryStore};

    const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";

    fn descriptor(media_type: &str, digest: &Digest) -> Value {
        json!({ "mediaType": media_type, "digest": digest, "size": 1 })
    }

    fn put(store: &MemoryStore, by: Algorithm, manifest: &Value) -> Digest {
        let manifest = Manifest::read(manifest.to_string().into(), None).unwrap();
        let digest = manifest.digest_by(by);
        store.put_manifest(&repo(), &manifest, &digest, &[]).unwrap();
        digest
    }

    fn repo() -> RepoName {
        "acme/web".parse().unwrap()
    }

    fn index(children: &[Digest]) -> Value {
        let children: Vec<_> = children.iter().map(|child| descriptor(INDEX, child)).collect();
        json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children })
    }

    #[test]
    fn everything_above_is_found_by_all_of_its_names_and_within_the_bound() {
        let store = MemoryStore::default();
        let layer = wharf_oci::Digester::digest(Algorithm::Sha256, b"layer");
        let image = json!({
            "schemaVersion": 2, "mediaType": IMAGE, "config": descriptor("application/x", &layer),
            "layers": [],
        });
        let child = put(&store, Algorithm::Sha256, &image);
        let middle = put(&store, Algorithm::Sha512, &index(&[child]));
        let middle_256 = Manifest::read(index(&[child]).to_string().into(), None).unwrap().digest();
        let tops = [index(&[middle]), index(&[middle, middle_256])];
        let tops = tops.map(|top| put(&store, Algorithm::Sha256, &top));
        let up = |digest, most| upwards(&store, &repo(), digest, most).unwrap();
        let above_child: HashSet<_> = [middle, middle_256].into_iter().chain(tops).collect();
        let above_layer: HashSet<_> = above_child.iter().copied().chain([child]).collect();
        assert_eq!(up(tops[0], 10), Some(HashSet::new()));
        assert_eq!(up(child, 10), Some(above_child));
        assert_eq!(up(layer, 5), Some(above_layer));
        assert_eq!(up(layer, 4), None);
        assert!(store.remove_manifest(&repo(), &middle).unwrap());
        assert_eq!(up(child, 10), Some(HashSet::new()));
    }
}
