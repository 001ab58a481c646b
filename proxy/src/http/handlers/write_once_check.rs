//! Whether a change of a write-once tag is permitted, by the tag's current digest: that of the
//! upstream, or of a local registry's store; never a cached one.
//!
//! Invariant: checked under the lock of the change (`push/change_locks.rs`), so that the answer
//! still holds when the change is made. An upstream that cannot answer is not guessed for: the
//! change is refused.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use http::StatusCode;
use tokio::task::JoinSet;
use wharf_client::ClientError;
use wharf_oci::{Digest, Endpoint, Manifest, Reference, RepoName, Tag};
use wharf_store::StoreError;

use super::App;
use super::current_digest::{current, digest_there, names_there};
use super::reachability::{names_here, reaching};
use crate::Error;
use crate::bound::Bound;
use crate::limits::{
    LIST_PAGES_MAX, PAGE_ENTRIES_MAX, PART_QUESTIONS_MAX, RETRY_AFTER_SECONDS, TAGS_ASKED_MAX,
};
use crate::push::change_locks::RepoLocation;
use crate::push::write_once::{
    Override, TagMove, UnusedOverride, WriteOnce, audit_refused, audit_undone, audit_used,
};
use crate::registries::{Target, UpstreamRepo};

/// A repository, and the caller of a change to it.
pub(super) struct ChangeContext<'a> {
    pub(super) app: &'a App,
    pub(super) target: &'a Target,
    pub(super) place: &'a RepoLocation,
    /// By its name here.
    pub(super) repo: &'a RepoName,
    pub(super) client: IpAddr,
}

/// The kind of content of a delete by digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ContentKind {
    Manifest,
    Blob,
}

/// The findings about the write-once tags of one permitted change.
#[derive(Default)]
pub(super) struct TagDecision {
    /// All write-once tags of the change.
    pub(super) tags: Vec<Tag>,
    /// Tags that already point to the new manifest.
    pub(super) settled: Vec<Tag>,
    /// Overrides used for the change.
    spent: Vec<UsedOverride>,
}

/// A used override, of a tag that may have been unlocked for it.
struct UsedOverride {
    tag: Tag,
    /// The tag's digest before the change.
    there: Digest,
    allowance: Override,
    /// Whether it was unlocked, or may have been.
    is_unlocked: bool,
}

impl ChangeContext<'_> {
    /// Whether a manifest may be put under these tags; all of them, or none is touched.
    pub(super) async fn decide_put(
        &self,
        tags: impl Iterator<Item = &Tag>,
        manifest: &Manifest,
    ) -> Result<TagDecision, Error> {
        let (mut decided, mut moved) = (TagDecision::default(), Vec::new());
        for tag in tags.filter(|tag| WriteOnce::covers(self.target, self.place, tag)) {
            decided.tags.push(tag.clone());
            match self.current(tag).await? {
                None => {}
                Some(there) if manifest.digest_by(there.algorithm()) == there => {
                    decided.settled.push(tag.clone());
                }
                Some(there) => moved.push((tag, there)),
            }
        }
        self.spend(decided, moved, Some(manifest.digest())).await
    }

    /// Whether a tag may be deleted.
    pub(super) async fn decide_untag(&self, tag: &Tag) -> Result<TagDecision, Error> {
        let decided = TagDecision::default();
        if !WriteOnce::covers(self.target, self.place, tag) {
            return Ok(decided);
        }
        let there = self.current(tag).await?;
        self.spend(decided, there.map(|there| (tag, there)).into_iter().collect(), None).await
    }

    /// Whether a manifest or a blob may be deleted: not while a write-once tag reaches it, directly
    /// or through manifests.
    pub(super) async fn decide_removal(
        &self,
        digest: &Digest,
        kind: ContentKind,
    ) -> Result<(), Error> {
        if !WriteOnce::concerns(self.target, self.place) {
            return Ok(());
        }
        let mut names = HashSet::from([self.repo.clone()]);
        if let Target::Upstream(upstream_repo) = self.target {
            // A manifest pushed under another name of the same repository keeps its content too.
            names.extend(upstream_repo.names());
        }
        let undecided = |error| self.undecided(digest.to_string(), error);
        // Also for a delete as a blob: registries have manifests among their blobs.
        let as_manifest = self.names_of(&names, digest, kind).await.map_err(undecided)?;
        let mut itself = as_manifest.clone();
        itself.insert(*digest);
        let mut manifests = as_manifest;
        for name in &names {
            manifests.extend(reaching(self.app, name, &itself).await?);
        }
        // No tag keeps content outside all manifests.
        if manifests.is_empty() {
            return Ok(());
        }
        let pointing = match self.target {
            Target::Local(_) => self.tag_of_here(manifests).await?,
            Target::Upstream(upstream_repo) => {
                self.tag_of_there(upstream_repo, &manifests).await.map_err(undecided)?
            }
        };
        let Some((tag, there)) = pointing else { return Ok(()) };
        audit_refused(self.repo, &tag, TagMove { from: there, to: None }, self.client);
        Err(Error::TagWriteOnce { repo: self.repo.clone(), tag, there })
    }

    /// All digests of the content, if it is a manifest.
    async fn names_of(
        &self,
        repos: &HashSet<RepoName>,
        digest: &Digest,
        kind: ContentKind,
    ) -> Result<HashSet<Digest>, Error> {
        for repo in repos {
            if let Some(names) = names_here(self.app, repo, *digest).await? {
                return Ok(names);
            }
        }
        let mut found = HashSet::new();
        if kind == ContentKind::Manifest {
            found.insert(*digest);
        }
        let (Target::Upstream(upstream_repo), reference) =
            (self.target, Reference::Digest(*digest))
        else {
            return Ok(found);
        };
        // Whether a blob is a manifest too is only known of content here: registries answer such a
        // question in too many ways.
        if kind == ContentKind::Manifest {
            let there = names_there(upstream_repo, &reference, &self.app.own_budget()).await?;
            found.extend(there.into_iter().flatten());
        }
        Ok(found)
    }

    /// Uses the overrides for these tags, all or none, and unlocks tags locked at the upstream.
    async fn spend(
        &self,
        mut decided: TagDecision,
        moved: Vec<(&Tag, Digest)>,
        to: Option<Digest>,
    ) -> Result<TagDecision, Error> {
        for (tag, there) in &moved {
            let Some(allowance) = self.app.write_once.spend(self.place, tag) else {
                decided.spent.into_iter().for_each(|spent| self.give_back(spent));
                audit_refused(self.repo, tag, TagMove { from: *there, to }, self.client);
                let (repo, tag) = (self.repo.clone(), (*tag).clone());
                return Err(Error::TagWriteOnce { repo, tag, there: *there });
            };
            let (tag, there) = ((*tag).clone(), *there);
            decided.spent.push(UsedOverride { tag, there, allowance, is_unlocked: false });
        }
        for UsedOverride { tag, there, allowance, .. } in &decided.spent {
            let change = TagMove { from: *there, to };
            audit_used(self.repo, tag, change, &allowance.reason, self.client);
        }
        if let Err(error) = self.unlock(&mut decided).await {
            self.undo(decided, &[], None).await;
            return Err(error);
        }
        Ok(decided)
    }

    async fn unlock(&self, decided: &mut TagDecision) -> Result<(), Error> {
        let Some(upstream_repo) = self.locking() else { return Ok(()) };
        for spent in &mut decided.spent {
            let reference = Reference::Tag(spent.tag.clone());
            let unlocked = upstream_repo
                .upstream
                .client
                .set_lock(&upstream_repo.repo, &reference, false)
                .await
                .map_err(Error::from);
            // A login that may not unlock a tag has left it locked, and may not lock it either.
            spent.is_unlocked = !unlocked.as_ref().is_err_and(Error::is_refusal);
            unlocked?;
        }
        Ok(())
    }

    /// Undoes the decision for all tags not in `done`: locks them again as they are, and gives
    /// their overrides back. The state of the `unsure` tag is unknown, so the upstream is asked.
    pub(super) async fn undo(
        &self,
        decided: TagDecision,
        done: &[Reference],
        unsure: Option<&Reference>,
    ) {
        for spent in decided.spent {
            let reference = Reference::Tag(spent.tag.clone());
            if done.contains(&reference) {
                continue;
            }
            // Locked before the request for its digest: from then on it stays the same.
            if spent.is_unlocked {
                self.lock_again(&reference).await;
            }
            let undone = if unsure == Some(&reference) {
                match self.current(&spent.tag).await {
                    Ok(Some(there)) if there == spent.there => UnusedOverride::NotMade,
                    Ok(_) => UnusedOverride::Made,
                    Err(_) => UnusedOverride::Unknown,
                }
            } else {
                UnusedOverride::NotMade
            };
            audit_undone(self.repo, &spent.tag, spent.there, undone, self.client);
            if undone == UnusedOverride::NotMade {
                self.give_back(spent);
            }
        }
    }

    fn give_back(&self, UsedOverride { tag, allowance, .. }: UsedOverride) {
        self.app.write_once.give_back(self.place, &tag, allowance);
    }

    async fn lock_again(&self, reference: &Reference) {
        let Some(upstream_repo) = self.locking() else { return };
        match upstream_repo.upstream.client.set_lock(&upstream_repo.repo, reference, true).await {
            // A deleted tag has nothing to lock.
            Ok(()) | Err(ClientError::Refused { status: StatusCode::NOT_FOUND, .. }) => {}
            Err(error) => {
                tracing::error!(repo = %self.repo, %reference, %error,
                    "a write-once tag was left unlocked");
            }
        }
    }

    /// Locks the tags of a push at the upstream, and their manifest.
    pub(super) async fn lock(&self, tags: &[Tag], digest: &Digest) -> Result<(), Error> {
        let Some(upstream_repo) = self.locking().filter(|_| !tags.is_empty()) else {
            return Ok(());
        };
        let tags = tags.iter().map(|tag| Reference::Tag(tag.clone()));
        for reference in tags.chain([Reference::Digest(*digest)]) {
            let locked =
                upstream_repo.upstream.client.set_lock(&upstream_repo.repo, &reference, true).await;
            locked.map_err(|error| {
                let (repo, reference) = (self.repo.clone(), reference.to_string());
                Error::NotLocked { repo, reference, reason: Error::from(error).to_string() }
            })?;
        }
        Ok(())
    }

    /// The upstream, where write-once tags are locked too.
    fn locking(&self) -> Option<&UpstreamRepo> {
        match self.target {
            Target::Upstream(upstream_repo) if upstream_repo.upstream.config().locks_tags() => {
                Some(upstream_repo)
            }
            _ => None,
        }
    }

    /// The current digest of a tag.
    async fn current(&self, tag: &Tag) -> Result<Option<Digest>, Error> {
        let there = current(self.app, self.target, self.repo, &Reference::Tag(tag.clone())).await;
        match self.target {
            Target::Local(_) => there,
            Target::Upstream(_) => there.map_err(|error| self.undecided(tag.to_string(), error)),
        }
    }

    /// An upstream that cannot answer is 503; one that refuses has answered.
    fn undecided(&self, reference: String, error: Error) -> Error {
        if !error.is_outage() {
            return error;
        }
        let retry_after_seconds = match &error {
            Error::UpstreamBusy { retry_after_seconds }
            | Error::UpstreamDown { retry_after_seconds } => *retry_after_seconds,
            _ => RETRY_AFTER_SECONDS,
        };
        tracing::warn!(repo = %self.repo, reference, %error, "a write-once tag cannot be asked for");
        Error::TagUndecided { repo: self.repo.clone(), reference, retry_after_seconds }
    }

    /// A local registry's write-once tag of one of these manifests, with its digest.
    async fn tag_of_here(
        &self,
        manifests: HashSet<Digest>,
    ) -> Result<Option<(Tag, Digest)>, Error> {
        let (manifests, mut last) = (Arc::new(manifests), None);
        loop {
            let (store, of) = (Arc::clone(&self.app.cache.store), self.repo.clone());
            let (after, manifests) = (last.take(), Arc::clone(&manifests));
            let look = move || {
                let page = store.tags(&of, after.as_deref(), PAGE_ENTRIES_MAX)?;
                let Some(page) = page else { return Ok((Vec::new(), None)) };
                let next = page.entries.last().filter(|_| page.more).map(ToString::to_string);
                let mut pointing = Vec::new();
                for tag in page.entries {
                    let record = store.tag(&of, &tag)?;
                    let there = record.map(|record| record.digest);
                    let there = there.filter(|there| manifests.contains(there));
                    pointing.extend(there.map(|there| (tag, there)));
                }
                Ok::<_, StoreError>((pointing, next))
            };
            let (pointing, next) = self.app.cache.blocking.run(look).await?;
            let covered =
                |(tag, _): &(Tag, Digest)| WriteOnce::covers(self.target, self.place, tag);
            if let Some(found) = pointing.into_iter().find(covered) {
                return Ok(Some(found));
            }
            match next {
                Some(next) => last = Some(next),
                None => return Ok(None),
            }
        }
    }

    /// An upstream's write-once tag of one of these manifests, with its digest: every tag is
    /// requested, because no API of registries says it.
    async fn tag_of_there(
        &self,
        upstream_repo: &UpstreamRepo,
        manifests: &HashSet<Digest>,
    ) -> Result<Option<(Tag, Digest)>, Error> {
        let tags = self.covered_there(upstream_repo).await?;
        let budget = self.app.own_budget();
        let (mut tags, mut asked) = (tags.into_iter(), JoinSet::new());
        loop {
            while asked.len() < PART_QUESTIONS_MAX {
                let Some(tag) = tags.next() else { break };
                let (upstream_repo, budget) = (upstream_repo.clone(), budget.clone());
                asked.spawn(async move {
                    let there =
                        digest_there(&upstream_repo, &Reference::Tag(tag.clone()), &budget).await;
                    (tag, there)
                });
            }
            match asked.join_next().await {
                None => return Ok(None),
                Some(Ok((tag, there))) => {
                    if let Some(there) = there?.filter(|there| manifests.contains(there)) {
                        return Ok(Some((tag, there)));
                    }
                }
                Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            }
        }
    }

    /// The write-once tags that the upstream lists.
    async fn covered_there(&self, upstream_repo: &UpstreamRepo) -> Result<Vec<Tag>, Error> {
        #[derive(serde::Deserialize)]
        struct List {
            tags: Option<Vec<String>>,
        }
        let endpoint = Endpoint::Tags { repo: upstream_repo.repo.clone() };
        let (mut covered, mut query) = (Vec::new(), String::new());
        let budget = self.app.own_budget();
        for _ in 0..LIST_PAGES_MAX {
            let Some(listing) =
                upstream_repo.upstream.client.list(&endpoint, &query, &budget).await?
            else {
                return Ok(covered);
            };
            let list: List = serde_json::from_slice(&listing.bytes).map_err(|error| {
                Error::UpstreamFailed { operation: "listing tags", reason: error.to_string() }
            })?;
            let tags = list.tags.unwrap_or_default().into_iter().filter_map(|tag| tag.parse().ok());
            covered.extend(tags.filter(|tag| WriteOnce::covers(self.target, self.place, tag)));
            match listing.next {
                _ if covered.len() > TAGS_ASKED_MAX => break,
                Some(next) if next != query => query = next,
                _ => return Ok(covered),
            }
        }
        Err(Error::TooMany(Bound::TagsBeforeDeletion))
    }
}
