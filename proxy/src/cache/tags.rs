//! How fresh a tag must be: served for its TTL, then asked for again; served old when the upstream
//! cannot answer, and gone when the upstream says so.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use wharf_oci::{Reference, RepoName, Tag};
use wharf_store::TagRecord;

use super::manifests::{Keeper, ServedManifest, fetch};
use super::{Cache, Outcome};
use crate::Error;
use crate::upstreams::Remote;

/// A manifest with how it was found.
pub(super) type Resolved = (ServedManifest, Outcome);

/// Milliseconds since 1970, by the clock of this machine.
pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

impl Cache {
    pub(super) async fn manifest_by_tag(
        &self,
        repo: &RepoName,
        tag: &Tag,
        remote: &Remote,
    ) -> Result<(ServedManifest, Outcome), Error> {
        let known = self.tagged(repo, tag).await?;
        if let Some((manifest, record)) = &known {
            let age_ms = now_ms().saturating_sub(record.checked_ms);
            if u128::from(age_ms) < remote.tag_ttl.as_millis() {
                return Ok((manifest.clone(), Outcome::Hit));
            }
        }
        let old = known.as_ref().map(|(manifest, _)| manifest.clone());
        let (keeper, remote, wanted) = (self.keeper(repo), remote.clone(), tag.clone());
        let asked = self.tags.ask((repo.clone(), tag.clone()), |promise| async move {
            promise.keep(revalidate(&keeper, &remote, &wanted, old).await);
        });
        match asked.await {
            Ok(((manifest, Outcome::Fill), true)) => Ok((manifest, Outcome::Join)),
            Ok((resolved, _)) => Ok(resolved),
            Err(error) => match known {
                Some((manifest, _)) if error.is_outage() => {
                    tracing::warn!(%repo, %tag, %error, "serving what the tag was before");
                    Ok((manifest, Outcome::Stale))
                }
                _ => Err(error),
            },
        }
    }
}

/// Asks the upstream where the tag points; fetches only what is not here.
async fn revalidate(
    keeper: &Keeper,
    remote: &Remote,
    tag: &Tag,
    old: Option<ServedManifest>,
) -> Result<Resolved, Error> {
    let reference = Reference::Tag(tag.clone());
    let Some(old) = old else {
        let manifest = fetch(keeper, remote, &reference, Some(tag.clone())).await?;
        return Ok((manifest, Outcome::Fill));
    };
    let asked = remote.upstream.manifest_digest(&remote.repo, &reference).await?;
    if asked == Some(old.digest) {
        point(keeper, tag, TagRecord { digest: old.digest, checked_ms: now_ms() }).await?;
        return Ok((old, Outcome::Hit));
    }
    // Moved, deleted, or a registry that does not say the digest: the manifest itself tells.
    match fetch(keeper, remote, &reference, Some(tag.clone())).await {
        Ok(manifest) => Ok((manifest, Outcome::Fill)),
        Err(error @ Error::ManifestUnknown { .. }) => {
            let (store, repo, tag) = (Arc::clone(&keeper.store), keeper.repo.clone(), tag.clone());
            keeper.bridge.run(move || store.remove_tag(&repo, &tag)).await?;
            Err(error)
        }
        Err(error) => Err(error),
    }
}

async fn point(keeper: &Keeper, tag: &Tag, record: TagRecord) -> Result<(), Error> {
    let (store, repo, tag) = (Arc::clone(&keeper.store), keeper.repo.clone(), tag.clone());
    Ok(keeper.bridge.run(move || store.set_tag(&repo, &tag, record)).await?)
}
