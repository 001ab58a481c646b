//! Manifests that would lose content by a deletion: every manifest of the repository that names the
//! content, directly or through others, as far as the store knows.
//!
//! Invariant: searched under the lock of the deletion, so that no manifest comes to name the
//! content meanwhile under a write-once tag. Bounded: with too many of them nothing is deleted.

use std::collections::HashSet;
use std::sync::Arc;

use wharf_oci::{Algorithm, Digest, Manifest, RepoName};
use wharf_store::{StoreError, StoredManifest};

use super::App;
use crate::Error;
use crate::bound::Bound;
use crate::limits::{PAGE_ENTRIES_MAX, REACHING_BYTES_MAX, REACHING_MAX};
use crate::runtime::store::Store;

/// Every digest of a manifest that reaches one of these digests, without themselves. They are the
/// digests of one thing.
pub(super) async fn reaching(
    app: &App,
    repo: &RepoName,
    itself: &HashSet<Digest>,
) -> Result<HashSet<Digest>, Error> {
    let (store, repo, itself) = (Arc::clone(&app.cache.store), repo.clone(), itself.clone());
    let most = Most { names: REACHING_MAX, bytes: REACHING_BYTES_MAX };
    let look = move || upwards(&*store, &repo, &itself, most);
    let _turn = app.cache.blocking.manifest_turn().await;
    let found = app.cache.blocking.run(look).await?;
    found.ok_or(Error::TooMany(Bound::ReachingManifests))
}

/// The digests of a manifest in the store; `None` without one.
pub(super) async fn names_here(
    app: &App,
    repo: &RepoName,
    digest: Digest,
) -> Result<Option<HashSet<Digest>>, Error> {
    let (store, repo) = (Arc::clone(&app.cache.store), repo.clone());
    let look = move || {
        let found = store.manifest(&repo, &digest)?;
        let manifest = found
            .and_then(|found| Manifest::read_outline(found.bytes, Some(&found.media_type)).ok());
        Ok::<_, StoreError>(manifest.map(|manifest| names(&manifest).into()))
    };
    let _turn = app.cache.blocking.manifest_turn().await;
    Ok(app.cache.blocking.run(look).await?)
}

/// The digests of a manifest.
pub(super) fn names(manifest: &Manifest) -> [Digest; 2] {
    [Algorithm::Sha256, Algorithm::Sha512].map(|by| manifest.digest_by(by))
}

/// The bounds of the search.
struct Most {
    names: usize,
    /// Of manifests read for their other digest.
    bytes: u64,
}

/// `None` past a bound.
fn upwards(
    store: &dyn Store,
    repo: &RepoName,
    itself: &HashSet<Digest>,
    mut most: Most,
) -> Result<Option<HashSet<Digest>>, StoreError> {
    let mut found = HashSet::new();
    let mut open: Vec<_> = itself.iter().copied().collect();
    while let Some(child) = open.pop() {
        let mut after = None;
        loop {
            let page = store.parents(repo, &child, after.as_ref(), PAGE_ENTRIES_MAX)?;
            after = page.entries.last().copied();
            for parent in page.entries {
                if found.contains(&parent) || itself.contains(&parent) {
                    continue;
                }
                let stored = store.manifest(repo, &parent)?;
                most.bytes = match most.bytes.checked_sub(stored.as_ref().map_or(0, size_bytes)) {
                    Some(left) => left,
                    None => return Ok(None),
                };
                let read = stored.and_then(|stored| {
                    Manifest::read_outline(stored.bytes, Some(&stored.media_type)).ok()
                });
                // Tags and other manifests may refer to it by either digest.
                let names = read.map_or([parent; 2], |manifest| names(&manifest));
                open.extend(names.into_iter().filter(|name| found.insert(*name)));
                if found.len() > most.names {
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

fn size_bytes(stored: &StoredManifest) -> u64 {
    stored.bytes.len() as u64
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
        let manifest = Manifest::read_outline(manifest.to_string().into(), None).unwrap();
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
        let middle_256 =
            Manifest::read_outline(index(&[child]).to_string().into(), None).unwrap().digest();
        let tops = [index(&[middle]), index(&[middle, middle_256])];
        let tops = tops.map(|top| {
            put(&store, Algorithm::Sha256, &top);
            names(&Manifest::read_outline(top.to_string().into(), None).unwrap())
        });
        let up = |digest: Digest, count, bytes| {
            let most = Most { names: count, bytes };
            upwards(&store, &repo(), &HashSet::from([digest]), most).unwrap()
        };
        let plenty = 1 << 20;
        let above_child: HashSet<_> =
            [middle, middle_256].into_iter().chain(tops.into_iter().flatten()).collect();
        let child_512 = Manifest::read_outline(image.to_string().into(), None).unwrap();
        let child_512 = child_512.digest_by(Algorithm::Sha512);
        let above_layer: HashSet<_> =
            above_child.iter().copied().chain([child, child_512]).collect();
        assert_eq!(up(tops[0][0], 10, plenty), Some(HashSet::new()));
        assert_eq!(up(child, 10, plenty), Some(above_child));
        assert_eq!(up(layer, 8, plenty), Some(above_layer));
        assert_eq!(up(layer, 7, plenty), None);
        assert_eq!(up(layer, 8, 100), None);
        assert!(store.remove_manifest(&repo(), &middle).unwrap());
        assert_eq!(up(child, 10, plenty), Some(HashSet::new()));
    }

    #[test]
    fn a_parent_that_names_a_child_by_its_other_digest_is_found_by_both() {
        let store = MemoryStore::default();
        let child = Manifest::read_outline(index(&[]).to_string().into(), None).unwrap();
        let by_other = index(&[child.digest_by(Algorithm::Sha512)]);
        put(&store, Algorithm::Sha256, &index(&[]));
        let parent = put(&store, Algorithm::Sha256, &by_other);
        let most = Most { names: 10, bytes: 1 << 20 };
        let found = upwards(&store, &repo(), &names(&child).into(), most).unwrap().unwrap();
        assert!(found.contains(&parent));
    }
}
