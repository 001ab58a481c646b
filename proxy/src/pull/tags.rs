//! How fresh a tag must be: the cache serves it for its TTL, revalidates it in the background near
//! the end and before an answer past it; serves it stale when the upstream cannot answer, and
//! removes it when the upstream says so.
//!
//! Invariant: a tag that clients read to write it back ([`Tag::is_read_modify_write`]) is current
//! at the upstream for each request. After a stale answer in an outage, a client may put such a tag
//! only while it is unchanged.

use std::time::Duration;

use wharf_client::{Accept, Urgency};
use wharf_oci::{Reference, RepoName, Tag};
use wharf_store::TagRecord;

use super::Cache;
use super::generations::Generation;
use super::manifests::{ManifestRequest, fetch, usable};
use super::negative::Absent;
use super::shared_manifests::ServedManifest;
use crate::Error;
use crate::limits::{READ_STALE_TIME, STALE_TIME};
use crate::observe::outcome::Outcome;
use crate::registries::UpstreamRepo;
use crate::runtime::clock::now_ms;
use crate::runtime::memory_gauge::MemoryBudget;

/// A fetch by tag: from which upstream, what, as which types, and since which change.
pub(super) type FetchKey = (usize, RepoName, Tag, Accept, Generation);

/// A manifest with its outcome.
pub(super) type Resolved = (ServedManifest, Outcome);

/// A tag of a repository, and its fetch.
#[derive(Clone)]
struct Asked {
    asking: ManifestRequest,
    tag: Tag,
}

impl Cache {
    pub(super) async fn manifest_by_tag(
        &self,
        repo: &RepoName,
        tag: &Tag,
        upstream_repo: &UpstreamRepo,
        budget: &MemoryBudget,
    ) -> Result<(ServedManifest, Outcome), Error> {
        // Taken before the store is read: a later change is newer than any answer.
        let (upstream_repo, budget) = (upstream_repo.clone(), budget.clone());
        let asking = ManifestRequest { writer: self.writer(repo), upstream_repo, budget };
        if tag.is_read_modify_write() {
            return self.current_of_tag(asking, tag).await;
        }
        let found = usable(self.tagged(repo, tag, &asking.budget).await)?;
        let Some((manifest, record)) = found else {
            return self.first_of_tag(asking, tag).await;
        };
        let upstream_repo = asking.upstream_repo.clone();
        let age = Duration::from_millis(now_ms().saturating_sub(record.checked_ms));
        let lifetime = upstream_repo.upstream.config().tag_ttl(tag);
        let accept = upstream_repo.upstream.accept().clone();
        let identity = asking.upstream_repo.upstream.identity();
        let flight = (identity, repo.clone(), tag.clone(), accept, asking.writer.since);
        let party = &asking.budget.party().clone();
        let asked = Asked { asking, tag: tag.clone() };
        let key = (repo.clone(), tag.clone());
        if age < lifetime {
            // A popular tag near its end is refreshed while the old answer is valid.
            if age >= lifetime / 4 * 3 && !self.unanswered.contains(&key) {
                let old = manifest.clone();
                self.tags.begin(
                    party,
                    upstream_repo.upstream.caller_fingerprint(),
                    &flight,
                    |promise| async move {
                        promise.keep(revalidate(&asked, old).await);
                    },
                );
            }
            return Ok((manifest, Outcome::Hit));
        }
        if self.unanswered.contains(&key) {
            return Ok((manifest, Outcome::Stale));
        }
        let (old, epoch) = (manifest.clone(), self.unanswered.epoch());
        let answer = self.tags.ask_as(
            party,
            upstream_repo.upstream.caller_fingerprint(),
            flight,
            |promise| {
                let (asked, old) = (asked.clone(), old.clone());
                async move { promise.keep(revalidate(&asked, old).await) }
            },
        );
        match answer.await {
            Ok(((manifest, Outcome::Fill), true)) => Ok((manifest, Outcome::Join)),
            Ok((resolved, _)) => Ok(resolved),
            Err(error) if error.is_outage() => {
                tracing::warn!(%repo, %tag, %error, "serving what the tag was before");
                self.unanswered.insert_since(epoch, key, STALE_TIME);
                Ok((manifest, Outcome::Stale))
            }
            Err(error) => Err(error),
        }
    }

    /// The current manifest of a tag. The request joins no other fetch: its answer may be older
    /// than a client's write at the upstream since.
    async fn current_of_tag(&self, asking: ManifestRequest, tag: &Tag) -> Result<Resolved, Error> {
        let repo = asking.writer.repo.clone();
        let Some((old, _)) = usable(self.tagged(&repo, tag, &asking.budget).await)? else {
            let name = Some(name_of(tag, &asking.upstream_repo));
            let reference = Reference::Tag(tag.clone());
            let fetched = fetch(&asking, &reference, name, Urgency::Patient).await?;
            return Ok((fetched, Outcome::Fill));
        };
        let (key, epoch) = ((repo.clone(), tag.clone()), self.read_stale.epoch());
        let asked = Asked { asking, tag: tag.clone() };
        match revalidate(&asked, old.clone()).await {
            Err(error) if error.is_outage() => {
                tracing::warn!(%repo, %tag, %error, "serving what the tag was before");
                self.read_stale.insert_since(epoch, key, READ_STALE_TIME);
                Ok((old, Outcome::Stale))
            }
            answered => answered,
        }
    }

    /// An error when a read-modify-write tag was served stale a moment ago and points elsewhere by
    /// now: then the next change may rest on the old manifest, and would erase the current one. To
    /// be called under the tag's change lock.
    pub(crate) async fn not_read_stale(
        &self,
        repo: &RepoName,
        tag: &Tag,
        upstream_repo: &UpstreamRepo,
        budget: &MemoryBudget,
    ) -> Result<(), Error> {
        if !self.read_stale.contains(&(repo.clone(), tag.clone())) {
            return Ok(());
        }
        let reference = Reference::Tag(tag.clone());
        let there = upstream_repo.upstream.client.manifest(
            &upstream_repo.repo,
            &reference,
            Urgency::Long,
            budget,
        );
        let there = there.await?;
        // A read since then has seen the current manifest: the store has it.
        let here = usable(self.tagged(repo, tag, budget).await)?;
        if there.map(|there| there.bytes) == here.map(|(here, _)| here.bytes) {
            return Ok(());
        }
        Err(Error::TagReadStale { repo: repo.clone(), tag: tag.clone() })
    }

    /// A tag unknown to the store.
    async fn first_of_tag(
        &self,
        asking: ManifestRequest,
        tag: &Tag,
    ) -> Result<(ServedManifest, Outcome), Error> {
        let (repo, upstream_repo) = (&asking.writer.repo.clone(), &asking.upstream_repo.clone());
        let accept = upstream_repo.upstream.accept();
        let absent = || Absent::manifest(repo, Reference::Tag(tag.clone()), accept);
        let unknown = || Error::ManifestUnknown { repo: repo.clone(), reference: tag.to_string() };
        let epoch = self.negative.check(absent(), upstream_repo, unknown)?;
        let wanted = tag.clone();
        let identity = upstream_repo.upstream.identity();
        let key = (identity, repo.clone(), tag.clone(), accept.clone(), asking.writer.since);
        let party = asking.budget.party().clone();
        let asked =
            self.tags.ask_as(&party, upstream_repo.upstream.caller_fingerprint(), key, |promise| {
                let (asking, wanted) = (asking.clone(), wanted.clone());
                async move {
                    let name = Some(name_of(&wanted, &asking.upstream_repo));
                    let reference = Reference::Tag(wanted);
                    let fetched = fetch(&asking, &reference, name, Urgency::Patient).await;
                    promise.keep(fetched.map(|manifest| (manifest, Outcome::Fill)));
                }
            });
        let ((manifest, outcome), joined) =
            self.negative.learn(asked.await, absent, upstream_repo, epoch)?;
        let joined = joined && outcome == Outcome::Fill;
        Ok((manifest, if joined { Outcome::Join } else { outcome }))
    }
}

/// The key of a fetch: a tag and the types that the client accepts.
fn name_of(tag: &Tag, upstream_repo: &UpstreamRepo) -> (Tag, Accept) {
    (tag.clone(), upstream_repo.upstream.accept().clone())
}

/// Asks the upstream for the tag's digest; fetches only a manifest that is not here.
async fn revalidate(asked: &Asked, old: ServedManifest) -> Result<Resolved, Error> {
    let Asked { asking, tag } = asked;
    let (writer, name) = (&asking.writer, name_of(tag, &asking.upstream_repo));
    // The stored manifest still exists for a client that does not name its type.
    let accept = asking.upstream_repo.upstream.accept().with(&old.media_type);
    let upstream_repo = asking.upstream_repo.accepting(accept);
    let asking = &ManifestRequest { upstream_repo, ..asking.clone() };
    let upstream_repo = &asking.upstream_repo;
    let reference = Reference::Tag(tag.clone());
    let digest =
        upstream_repo.upstream.client.manifest_digest(&upstream_repo.repo, &reference).await?;
    if digest == Some(old.digest) {
        writer.point(tag, TagRecord { digest: old.digest, checked_ms: now_ms() }).await?;
        return Ok((old, Outcome::Hit));
    }
    // Moved, deleted, or a registry without the digest in its answer: the manifest itself tells.
    match fetch(asking, &reference, Some(name), Urgency::Brief).await {
        Ok(manifest) => Ok((manifest, Outcome::Fill)),
        Err(error @ Error::ManifestUnknown { .. }) => {
            writer.unpoint(tag).await?;
            Err(error)
        }
        Err(error) => Err(error),
    }
}
