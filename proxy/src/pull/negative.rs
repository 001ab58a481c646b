//! The negative cache: blobs and manifests missing at an upstream, for a while, per caller where each caller
//! has their own login.
//!
//! Invariant: a "not there" from before a write or a new configuration is not remembered after it.

use wharf_client::Accept;
use wharf_client::caller_login::Fingerprint;
use wharf_client::runtime::ttl_set::{Epoch, TtlSet};
use wharf_oci::{Digest, Reference, RepoName};

use crate::Error;
use crate::limits::NEGATIVES_MAX;
use crate::registries::UpstreamRepo;

/// A blob or a manifest that an upstream does not have.
#[derive(PartialEq, Eq, Hash)]
pub(super) enum Absent {
    Blob(RepoName, Digest),
    /// Absent in all the types that the client accepts.
    Manifest(RepoName, Reference, Accept),
}

impl Absent {
    pub(super) fn manifest(repo: &RepoName, reference: Reference, accept: &Accept) -> Self {
        Self::Manifest(repo.clone(), reference, accept.clone())
    }
}

/// All answers of the last moments.
///
/// The key has the upstream: a request that began before a reload asks the one of its own configuration, and what
/// that has not says nothing of another.
pub(super) struct NegativeCache(TtlSet<Key>);

type Key = (usize, Option<Fingerprint>, Absent);

fn key(upstream_repo: &UpstreamRepo, what: Absent) -> Key {
    let upstream = &upstream_repo.upstream;
    (upstream.identity(), upstream.caller_fingerprint(), what)
}

impl Default for NegativeCache {
    fn default() -> Self {
        Self(TtlSet::new(NEGATIVES_MAX))
    }
}

impl NegativeCache {
    /// An error when the upstream answered "not there" a moment ago.
    pub(super) fn check(
        &self,
        what: Absent,
        upstream_repo: &UpstreamRepo,
        error: impl FnOnce() -> Error,
    ) -> Result<Epoch, Error> {
        let is_absent = self.0.contains(&key(upstream_repo, what));
        if is_absent { Err(error()) } else { Ok(self.0.epoch()) }
    }

    /// Remembers a "not there".
    pub(super) fn learn<T>(
        &self,
        answer: Result<T, Error>,
        what: impl FnOnce() -> Absent,
        upstream_repo: &UpstreamRepo,
        epoch: Epoch,
    ) -> Result<T, Error> {
        if let Err(Error::BlobUnknown { .. } | Error::ManifestUnknown { .. }) = &answer {
            let lifetime = upstream_repo.upstream.config().negative_ttl();
            self.0.insert_since(epoch, key(upstream_repo, what()), lifetime);
        }
        answer
    }

    /// Forgets the answers for a repository after a write to it.
    pub(super) fn forget(&self, repo: &RepoName) {
        self.0.remove_if(|(_, _, absent)| match absent {
            Absent::Blob(of, _) | Absent::Manifest(of, ..) => of == repo,
        });
    }

    /// Forgets all answers: another configuration may have another upstream.
    pub(super) fn forget_all(&self) {
        self.0.remove_if(|_| true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registries::{Target, UpstreamSet};

    fn at(url: &str) -> UpstreamRepo {
        let set = UpstreamSet::new(&[url.parse().unwrap()], &[], None).unwrap();
        match set.target(&"a".parse().unwrap()).unwrap() {
            Target::Upstream(upstream_repo) => upstream_repo,
            Target::Local(_) => panic!("an upstream is configured"),
        }
    }

    #[tokio::test]
    async fn what_one_upstream_lacks_says_nothing_of_the_next_configuration() {
        let (cache, before, after) = (NegativeCache::default(), at("http://one"), at("http://two"));
        let (repo, digest): (RepoName, _) =
            ("a".parse().unwrap(), wharf_oci::Digester::digest(wharf_oci::Algorithm::Sha256, b""));
        let absent = || Absent::Blob(repo.clone(), digest);
        let unknown = || Error::BlobUnknown { repo: repo.clone(), digest };
        // A reload while a request of the old configuration asks the old upstream.
        cache.forget_all();
        let epoch = cache.check(absent(), &before, unknown).unwrap();
        let _ = cache.learn(Err::<(), _>(unknown()), absent, &before, epoch);
        assert!(cache.check(absent(), &before, unknown).is_err());
        assert!(cache.check(absent(), &after, unknown).is_ok());
        cache.forget(&repo);
        assert!(cache.check(absent(), &before, unknown).is_ok());
    }
}
