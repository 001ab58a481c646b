//! The contract of links: to content published for a repository, or present from another one.
//!
//! Invariant: a linked repository has the content until its link is removed, for any concurrent
//! operation.

use bytes::Bytes;
use wharf_oci::{Algorithm, Digest, Digester, RepoName};

use super::samples::{append_all, noise, read};
use crate::blob::BlobStore;
use crate::blob_info::Retention;
use crate::limits::SEGMENT_BYTES;
use crate::manifests::ManifestStore;

/// Rounds of two repositories with the same blob.
const ROUNDS: usize = 200;

/// The whole contract of links.
///
/// # Panics
/// When the store breaks the contract.
pub fn links<S: BlobStore + ManifestStore>(store: &S) {
    let (one, other): (RepoName, RepoName) =
        ("links/one".parse().expect("a name"), "links/other".parse().expect("a name"));
    what_is_published_into_a_repository_is_linked(store, &one, &other);
    what_is_not_here_is_not_linked(store, &one);
    nobody_loses_what_another_one_deletes(store, &one, &other);
}

fn put_into(store: &dyn BlobStore, content: &Bytes, repo: &RepoName) -> Digest {
    let digest = Digester::digest(Algorithm::Sha256, content);
    let mut writer = store.begin().expect("begin");
    append_all(&mut writer, content, 70_000);
    let ready = writer.verify(&digest).expect("verify").expect("the digest is right");
    let info = ready.publish_into(Retention::Kept, repo).expect("publish");
    assert_eq!((info.digest, info.size_bytes), (digest, content.len() as u64));
    digest
}

fn what_is_published_into_a_repository_is_linked<S: BlobStore + ManifestStore>(
    store: &S,
    one: &RepoName,
    other: &RepoName,
) {
    for (seed, size) in [(940, 0), (941, 1000), (942, 4 * SEGMENT_BYTES)] {
        let content = noise(size, seed);
        let digest = put_into(store, &content, one);
        assert!(store.has_blob(one, &digest).expect("has"));
        assert!(!store.has_blob(other, &digest).expect("has"));
        // Once more, and for another repository: one blob with two links.
        put_into(store, &content, one);
        put_into(store, &content, other);
        assert!(store.has_blob(other, &digest).expect("has"));
        assert!(store.unlink_blob(one, &digest).expect("unlink"));
        assert_eq!(read(store, &digest).expect("the other has it"), content);
        assert!(store.unlink_blob(other, &digest).expect("unlink"));
        assert_eq!(store.stat(&digest).expect("stat"), None);
    }
    let repos = store.repos(None, 100).expect("repos").entries;
    assert!(repos.contains(one) && repos.contains(other), "{repos:?}");
}

fn what_is_not_here_is_not_linked<S: BlobStore + ManifestStore>(store: &S, repo: &RepoName) {
    let content = noise(1000, 950);
    let digest = Digester::digest(Algorithm::Sha256, &content);
    assert!(!store.link_if_here(repo, &digest).expect("link"));
    assert!(!store.has_blob(repo, &digest).expect("has"));
    super::put(store, &content, 1000);
    for _ in 0..2 {
        assert!(store.link_if_here(repo, &digest).expect("link"));
        assert!(store.has_blob(repo, &digest).expect("has"));
    }
    assert!(store.unlink_blob(repo, &digest).expect("unlink"));
    assert!(!store.link_if_here(repo, &digest).expect("link"));
}

/// One repository links a blob while the last link of it is removed.
fn nobody_loses_what_another_one_deletes<S: BlobStore + ManifestStore>(
    store: &S,
    one: &RepoName,
    other: &RepoName,
) {
    let content = noise(1000, 960);
    let digest = Digester::digest(Algorithm::Sha256, &content);
    for round in 0..ROUNDS {
        put_into(store, &content, other);
        let has = std::thread::scope(|scope| {
            let deletes = scope.spawn(|| store.unlink_blob(other, &digest).expect("unlink"));
            let has = if round % 2 == 0 {
                put_into(store, &content, one);
                true
            } else {
                store.link_if_here(one, &digest).expect("link")
            };
            assert!(deletes.join().expect("no panic"));
            has
        });
        assert_eq!(store.has_blob(one, &digest).expect("has"), has);
        assert_eq!(store.stat(&digest).expect("stat").is_some(), has);
        assert_eq!(store.unlink_blob(one, &digest).expect("unlink"), has);
    }
}
