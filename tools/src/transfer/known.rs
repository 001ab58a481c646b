//! Which repository of a registry has a blob, over a whole run, and whose turn it is to bring one
//! that none has yet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;
use wharf_oci::{Digest, RepoName};

/// The repositories of a registry with a known blob, for others to mount it from.
#[derive(Debug, Default)]
pub struct KnownBlobs(Mutex<HashMap<Digest, Arc<Place>>>);

/// Held by the one who brings the blob.
type Place = tokio::sync::Mutex<Option<RepoName>>;

/// A blob's place, while nobody else may bring the blob.
pub(super) struct Claim(OwnedMutexGuard<Option<RepoName>>);

impl KnownBlobs {
    /// Takes note a repository has a blob.
    pub fn add(&self, digest: Digest, repo: &RepoName) {
        // Somebody who brings the blob at this moment says so too.
        if let Ok(mut place) = self.place(digest).try_lock() {
            place.get_or_insert_with(|| repo.clone());
        }
    }

    /// Waits for the one who brings the blob, if there is one.
    pub(super) async fn claim(&self, digest: Digest) -> Claim {
        Claim(self.place(digest).lock_owned().await)
    }

    fn place(&self, digest: Digest) -> Arc<Place> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(digest).or_default())
    }
}

impl Claim {
    /// Where it is already. Nobody has to wait for what is known.
    pub(super) fn place(&self) -> Option<&RepoName> {
        self.0.as_ref()
    }

    /// It was brought here.
    pub(super) fn brought(mut self, repo: &RepoName) {
        self.0.get_or_insert_with(|| repo.clone());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use wharf_oci::{Algorithm, Digester};

    use super::*;

    #[tokio::test]
    async fn the_next_one_leads_when_the_first_one_fails_and_others_follow() {
        let known = KnownBlobs::default();
        let digest = Digester::digest(Algorithm::Sha256, b"blob");
        let repo: RepoName = "a/b".parse().unwrap();
        let first = known.claim(digest).await;
        assert!(first.place().is_none());
        let wait = tokio::time::timeout(Duration::from_millis(20), known.claim(digest));
        assert!(wait.await.is_err(), "the second one waits");
        drop(first);
        let second = known.claim(digest).await;
        assert!(second.place().is_none(), "the first one failed");
        second.brought(&repo);
        assert_eq!(known.claim(digest).await.place(), Some(&repo));
    }
}
