//! The current digest of a name: the upstream's, or that of a local registry's store; never a
//! cached one.

use std::sync::Arc;

use wharf_client::{TagState, Urgency};
use wharf_oci::{Digest, Manifest, Reference, RepoName};
use wharf_store::StoreError;

use super::App;
use super::reachability::names;
use crate::Error;
use crate::registries::{Target, UpstreamRepo};
use crate::runtime::memory_gauge::MemoryBudget;

/// The digest of a name's manifest; none when there is no manifest.
pub(super) async fn current(
    app: &App,
    target: &Target,
    repo: &RepoName,
    reference: &Reference,
) -> Result<Option<Digest>, Error> {
    let Target::Upstream(upstream_repo) = target else {
        let (store, repo, reference) =
            (Arc::clone(&app.cache.store), repo.clone(), reference.clone());
        let look = move || match reference {
            Reference::Tag(tag) => Ok(store.tag(&repo, &tag)?.map(|record| record.digest)),
            Reference::Digest(digest) => {
                Ok::<_, StoreError>(store.manifest(&repo, &digest)?.map(|_| digest))
            }
        };
        return Ok(app.cache.blocking.run(look).await?);
    };
    digest_there(upstream_repo, reference, &app.own_budget()).await
}

/// The digest of a name at the upstream. An upstream that omits the digest header sends the
/// manifest.
pub(super) async fn digest_there(
    upstream_repo: &UpstreamRepo,
    reference: &Reference,
    budget: &MemoryBudget,
) -> Result<Option<Digest>, Error> {
    match upstream_repo.upstream.client.manifest_there(&upstream_repo.repo, reference).await? {
        TagState::Absent => Ok(None),
        TagState::Is(digest) => Ok(Some(digest)),
        TagState::Unsaid => {
            let names = names_there(upstream_repo, reference, budget).await?;
            Ok(names.map(|[sha256, _]| sha256))
        }
    }
}

/// All digests of the upstream's manifest under a name: SHA-256 first.
pub(super) async fn names_there(
    upstream_repo: &UpstreamRepo,
    reference: &Reference,
    budget: &MemoryBudget,
) -> Result<Option<[Digest; 2]>, Error> {
    let fetched = upstream_repo
        .upstream
        .client
        .manifest(&upstream_repo.repo, reference, Urgency::Long, budget)
        .await?;
    let names = fetched.map(|fetched| {
        Manifest::read_outline(fetched.bytes, fetched.media_type.as_ref())
            .map(|there| names(&there))
    });
    names.transpose().map_err(|error| Error::UpstreamFailed {
        operation: "asking for a manifest",
        reason: error.to_string(),
    })
}
