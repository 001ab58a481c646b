//! The contract of parents: any sequence of puts and removals, on a store and on a model.
//!
//! Invariant: the parents of a digest are exactly the stored manifests of its repository with that
//! digest.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde_json::{Value, json};
use wharf_oci::{Algorithm, Digest, Digester, Manifest, MediaType, RepoName};

use crate::manifests::ManifestStore;

/// Blobs and manifests of the acts.
const THINGS: u8 = 6;
/// Acts of one input.
const ACTS_MAX: usize = 120;

fn descriptor(media_type: &str, digest: &Digest) -> Value {
    json!({ "mediaType": media_type, "digest": digest, "size": 1 })
}

fn blob(number: u8) -> Digest {
    Digester::digest(Algorithm::Sha256, [number].as_slice())
}

/// An image of a configuration, of one layer twice, and with a subject.
fn image(number: u8) -> Manifest {
    let layer = descriptor("application/x", &blob(number));
    let value = json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST.as_str(),
        "config": descriptor("application/x", &blob(number + 1)),
        "layers": [layer, layer],
        "subject": descriptor(MediaType::OCI_MANIFEST.as_str(), &blob(100)),
    });
    Manifest::read(Bytes::from(value.to_string()), None).expect("a manifest")
}

/// An index of two images, one perhaps absent, and of a smaller index.
fn index(number: u8) -> Manifest {
    let child = |number| descriptor(MediaType::OCI_MANIFEST.as_str(), &image(number).digest());
    let mut children = vec![child(number), child(number + 1)];
    if number > 0 {
        let smaller = index(number - 1).digest();
        children.push(descriptor(MediaType::OCI_INDEX.as_str(), &smaller));
    }
    let value = json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_INDEX.as_str(), "manifests": children,
    });
    Manifest::read(Bytes::from(value.to_string()), None).expect("an index")
}

/// The bytes of an image, with the type of an opaque manifest.
fn opaque(number: u8) -> Manifest {
    let media_type = "application/vnd.example.thing.v1+json".parse().expect("a media type");
    Manifest::read(image(number).bytes().clone(), Some(&media_type)).expect("a thing")
}

type Model = BTreeMap<(RepoName, Digest), BTreeSet<Digest>>;

/// Carries out one act for each two bytes: operation, manifest and repository.
///
/// # Panics
/// When the store differs from the model.
pub fn acts(store: &dyn ManifestStore, input: &[u8]) {
    let repos: [RepoName; 2] =
        ["parents/one", "parents/other"].map(|name| name.parse().expect("a name"));
    let mut model = Model::new();
    for act in input.chunks_exact(2).take(ACTS_MAX) {
        let &[what, which] = act else { continue };
        let [one, other] = &repos;
        let repo = if which & 128 == 0 { one } else { other };
        let number = which % THINGS;
        let manifest = match what % 3 {
            0 => image(number),
            1 => index(number),
            _ => opaque(number),
        };
        let key = (repo.clone(), manifest.digest());
        if what & 128 == 0 {
            store.put_manifest(repo, &manifest, &key.1, &[]).expect("put");
            model.insert(key, manifest.named().into_iter().collect());
        } else {
            let was_there = model.remove(&key).is_some();
            assert_eq!(store.remove_manifest(repo, &key.1).expect("remove"), was_there);
        }
    }
    for repo in &repos {
        check(store, &model, repo);
    }
    for (repo, digest) in model.keys() {
        assert!(store.remove_manifest(repo, digest).expect("remove"));
    }
    for repo in &repos {
        check(store, &Model::new(), repo);
    }
}

/// Compares the parents of every digest with the model, in pages of several sizes.
fn check(store: &dyn ManifestStore, model: &Model, repo: &RepoName) {
    let numbers = 0..=THINGS + 1;
    let things =
        numbers.clone().map(blob).chain(numbers.clone().map(|number| image(number).digest()));
    let things = things.chain(numbers.map(|number| index(number).digest())).chain([blob(100)]);
    for thing in things {
        let named = model.iter().filter(|((of, _), names)| of == repo && names.contains(&thing));
        let expected: Vec<Digest> = named.map(|((_, by), _)| *by).collect();
        for limit in [1, 2, 100] {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = store.parents(repo, &thing, after.as_ref(), limit).expect("parents");
                assert!(page.entries.len() <= limit);
                after = page.entries.last().copied();
                found.extend(page.entries);
                if !page.more {
                    break;
                }
            }
            assert_eq!(found, expected, "what names {thing} in {repo}");
        }
    }
}
