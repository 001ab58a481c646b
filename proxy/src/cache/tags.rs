//! How fresh a tag must be: served for its TTL, asked for again in the background near its end and
//! before an answer past it; served old when the upstream cannot answer, and gone when it says so.
//!
//! Invariant: a tag that clients read to write it back ([`Tag::is_read_modify_write`]) is what the
//! upstream says at that moment, for each who asks. One that was served old because nobody answered
//! is put again only when it still is that.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wharf_oci::{Reference, RepoName, Tag};
use wharf_store::TagRecord;

use super::manifests::{Keeper, ServedManifest, fetch, usable};
use super::{Absent, Cache, Outcome};
use crate::Error;
use crate::limits::{READ_STALE_TIME, STALE_TIME};
use crate::party::Party;
use crate::upstream::{Accept, Haste};
use crate::upstreams::Remote;

/// A manifest with how it was found.
pub(super) type Resolved = (ServedManifest, Outcome);

/// Milliseconds since 1970, by the clock of this machine.
pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// A tag of a repository, and where that lives.
#[derive(Clone)]
struct Asked {
    keeper: Keeper,
    remote: Remote,
    tag: Tag,
}

impl Cache {
    pub(super) async fn manifest_by_tag(
        &self,
        repo: &RepoName,
        tag: &Tag,
        (remote, party): (&Remote, &Party),
    ) -> Result<(ServedManifest, Outcome), Error> {
        // Before the store is looked into: what changes after that is newer than any answer.
        let keeper = self.keeper(repo);
        if tag.is_read_modify_write() {
            return self.current_of_tag(keeper, tag, remote).await;
        }
        let Some((manifest, record)) = usable(self.tagged(repo, tag).await) else {
            return self.first_of_tag(keeper, tag, (remote, party)).await;
        };
        let age = Duration::from_millis(now_ms().saturating_sub(record.checked_ms));
        let lifetime = remote.upstream.config().tag_ttl(tag);
        let accept = remote.upstream.accept().clone();
        let flight = (repo.clone(), tag.clone(), accept, keeper.since);
        let asked = Asked { keeper, remote: remote.clone(), tag: tag.clone() };
        let key = (repo.clone(), tag.clone());
        if age < lifetime {
            // A tag that is still asked for near its end is refreshed while the old answer is good.
            if age >= lifetime / 4 * 3 && !self.unanswered.holds(&key) {
                let old = manifest.clone();
                self.tags.begin(party, remote.upstream.whose(), &flight, |promise| async move {
                    promise.keep(revalidate(&asked, old).await);
                });
            }
            return Ok((manifest, Outcome::Hit));
        }
        if self.unanswered.holds(&key) {
            return Ok((manifest, Outcome::Stale));
        }
        let (old, epoch) = (manifest.clone(), self.unanswered.epoch());
        let answer = self.tags.ask_as(party, remote.upstream.whose(), flight, |promise| {
            let (asked, old) = (asked.clone(), old.clone());
            async move { promise.keep(revalidate(&asked, old).await) }
        });
        match answer.await {
            Ok(((manifest, Outcome::Fill), true)) => Ok((manifest, Outcome::Join)),
            Ok((resolved, _)) => Ok(resolved),
            Err(error) if error.is_outage() => {
                tracing::warn!(%repo, %tag, %error, "serving what the tag was before");
                self.unanswered.note(key, STALE_TIME, epoch);
                Ok((manifest, Outcome::Stale))
            }
            Err(error) => Err(error),
        }
    }

    /// What a tag is at this moment. Nobody joins the question of somebody else: its answer may be older
    /// than what a client wrote at the upstream since.
    async fn current_of_tag(
        &self,
        keeper: Keeper,
        tag: &Tag,
        remote: &Remote,
    ) -> Result<Resolved, Error> {
        let repo = keeper.repo.clone();
        let Some((old, _)) = usable(self.tagged(&repo, tag).await) else {
            let (reference, name) = (Reference::Tag(tag.clone()), Some(name_of(tag, remote)));
            let fetched = fetch(&keeper, remote, &reference, name, Haste::Patient).await?;
            return Ok((fetched, Outcome::Fill));
        };
        let (key, epoch) = ((repo.clone(), tag.clone()), self.read_stale.epoch());
        let asked = Asked { keeper, remote: remote.clone(), tag: tag.clone() };
        match revalidate(&asked, old.clone()).await {
            Err(error) if error.is_outage() => {
                tracing::warn!(%repo, %tag, %error, "serving what the tag was before");
                self.read_stale.note(key, READ_STALE_TIME, epoch);
                Ok((old, Outcome::Stale))
            }
            answered => answered,
        }
    }

    /// An error when a tag that clients read to write it back was served old a moment ago, and is
    /// another one by now: then the next change may rest on what it was, and would erase what it is.
    /// To be asked in the tag's turn.
    pub(crate) async fn not_read_stale(
        &self,
        repo: &RepoName,
        tag: &Tag,
        remote: &Remote,
    ) -> Result<(), Error> {
        if !self.read_stale.holds(&(repo.clone(), tag.clone())) {
            return Ok(());
        }
        let reference = Reference::Tag(tag.clone());
        let there = remote.upstream.manifest(&remote.repo, &reference, Haste::Long).await?;
        // Whoever read it since has seen what it is: that is here.
        let here = usable(self.tagged(repo, tag).await);
        if there.map(|there| there.bytes) == here.map(|(here, _)| here.bytes) {
            return Ok(());
        }
        Err(Error::TagReadStale { repo: repo.clone(), tag: tag.clone() })
    }

    /// A tag of which nothing is known here.
    async fn first_of_tag(
        &self,
        keeper: Keeper,
        tag: &Tag,
        (remote, party): (&Remote, &Party),
    ) -> Result<(ServedManifest, Outcome), Error> {
        let repo = &keeper.repo.clone();
        let accept = remote.upstream.accept();
        let absent = || Absent::manifest(repo, Reference::Tag(tag.clone()), accept);
        let unknown = || Error::ManifestUnknown { repo: repo.clone(), reference: tag.to_string() };
        let epoch = self.not_absent(absent(), remote, unknown)?;
        let (there, wanted) = (remote.clone(), tag.clone());
        let key = (repo.clone(), tag.clone(), accept.clone(), keeper.since);
        let asked = self.tags.ask_as(party, remote.upstream.whose(), key, |promise| {
            let (keeper, there, wanted) = (keeper.clone(), there.clone(), wanted.clone());
            async move {
                let (reference, name) =
                    (Reference::Tag(wanted.clone()), Some(name_of(&wanted, &there)));
                let fetched = fetch(&keeper, &there, &reference, name, Haste::Patient).await;
                promise.keep(fetched.map(|manifest| (manifest, Outcome::Fill)));
            }
        });
        let ((manifest, outcome), joined) = self.learn(asked.await, absent, remote, epoch)?;
        let joined = joined && outcome == Outcome::Fill;
        Ok((manifest, if joined { Outcome::Join } else { outcome }))
    }
}

/// A tag that is asked for by a client that accepts so much.
fn name_of(tag: &Tag, remote: &Remote) -> (Tag, Accept) {
    (tag.clone(), remote.upstream.accept().clone())
}

/// Asks the upstream where the tag points; fetches only what is not here.
async fn revalidate(asked: &Asked, old: ServedManifest) -> Result<Resolved, Error> {
    let Asked { keeper, remote, tag } = asked;
    let name = name_of(tag, remote);
    // What is here is still there for whoever does not name its type.
    let remote = &remote.accepting(remote.upstream.accept().with(&old.media_type));
    let reference = Reference::Tag(tag.clone());
    let digest = remote.upstream.manifest_digest(&remote.repo, &reference).await?;
    if digest == Some(old.digest) {
        keeper.point(tag, TagRecord { digest: old.digest, checked_ms: now_ms() }).await?;
        return Ok((old, Outcome::Hit));
    }
    // Moved, deleted, or a registry that does not say the digest: the manifest itself tells.
    match fetch(keeper, remote, &reference, Some(name), Haste::Brief).await {
        Ok(manifest) => Ok((manifest, Outcome::Fill)),
        Err(error @ Error::ManifestUnknown { .. }) => {
            keeper.unpoint(tag).await?;
            Err(error)
        }
        Err(error) => Err(error),
    }
}
