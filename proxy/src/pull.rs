//! The read-through decision: is the content here (hit), on its way (join), or to be fetched
//! (fill)? Returns plain values, knows no HTTP.
//!
//! Invariant: the cache serves content to a repository only when the repository is known to have
//! it: by a link here, or by asking its upstream. Being in the store is not enough.

mod bypass;
mod fill;
mod generations;
mod manifest_memory;
mod manifests;
mod negative;
mod shared_manifests;
mod stored;
mod tags;

use std::sync::Arc;

use wharf_client::runtime::subscribers::Subscription;
use wharf_client::{Accept, BlobState, Urgency};
use wharf_oci::{ByteRange, ContentRange, Digest, RepoName};
use wharf_store::{BlobInfo, InFlight, StoreError};

use crate::Error;
use crate::bound::Bound;
use crate::context::RequestContext;
use crate::limits::{FILLS_MAX, FLIGHTS_MAX, NEGATIVES_MAX};
use crate::observe::outcome::Outcome;
use crate::registries::{Target, UpstreamRepo};
use crate::runtime::blocking::BlockingPool;
use crate::runtime::body::Completion;
use crate::runtime::single_flight::SingleFlight;
use crate::runtime::store::Store;

pub(crate) use bypass::Bypassed;
pub(crate) use generations::Change;
pub(crate) use shared_manifests::ServedManifest;
pub(crate) use stored::StoredBlob;

use generations::{Generation, Generations, Validity};
use negative::{Absent, NegativeCache};
use stored::StoredLookup;
use wharf_client::runtime::ttl_set::TtlSet;

/// How an answer came about, and what its caller is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReadOutcome {
    /// The outcome in logs and metrics.
    pub(crate) outcome: Outcome,
    /// The outcome in the answer.
    pub(crate) told: Outcome,
}

impl From<Outcome> for ReadOutcome {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, told: outcome }
    }
}

impl ReadOutcome {
    /// The outcome of content from another repository's fill, finished or running. The caller is
    /// told the outcome of a fill, because which other repositories have the content is not theirs
    /// to know. The shorter time cannot be hidden without taking as long.
    #[must_use]
    pub(crate) const fn from_another(outcome: Outcome) -> Self {
        Self { outcome, told: Outcome::Fill }
    }
}

/// Reads through the store to the upstreams.
pub(crate) struct Cache {
    pub(crate) blocking: BlockingPool,
    pub(crate) store: Arc<dyn Store>,
    /// Keyed by the upstream too: one blob from two upstreams is two downloads.
    fills: SingleFlight<(usize, Digest), fill::RunningFill>,
    /// Whole blobs past the store.
    bypass_limit: bypass::BypassLimit,
    /// A request after a change does not join a fetch from before it, nor one at the upstream of
    /// another configuration.
    manifests: SingleFlight<(usize, RepoName, Digest, Accept, Generation), ServedManifest>,
    tags: SingleFlight<tags::FetchKey, tags::Resolved>,
    /// Tells answers from before a change.
    generations: Arc<Generations>,
    /// Manifests from the last moments.
    memory: Arc<manifest_memory::ManifestMemory>,
    /// Manifests on their way to clients.
    shared: Arc<shared_manifests::SharedManifests>,
    negative: NegativeCache,
    /// Tags whose upstream did not answer a moment ago: served stale without asking again.
    unanswered: TtlSet<(RepoName, wharf_oci::Tag)>,
    /// Read-modify-write tags that were served stale a moment ago.
    read_stale: TtlSet<(RepoName, wharf_oci::Tag)>,
    /// Blobs that the store refused.
    unstorable: Arc<TtlSet<Digest>>,
}

/// A blob ready to be sent.
pub(crate) enum ServedBlob {
    /// From the store.
    Stored(StoredBlob),
    /// While its download runs.
    Arriving(ArrivingBlob),
    /// Past the store; with its range, for a part.
    Bypassed(Bypassed, Option<ContentRange>),
}

/// A blob in download, or a part of it.
pub(crate) struct ArrivingBlob {
    /// The download.
    pub(crate) blob: InFlight,
    /// Each reader holds one.
    pub(crate) subscription: Subscription,
    /// The blob's size, when the upstream announced it.
    pub(crate) size_bytes: Option<u64>,
    /// The range, for a part.
    pub(crate) part: Option<ContentRange>,
    /// When the part is complete.
    pub(crate) ending: Completion,
}

impl Cache {
    /// A cache over this store.
    #[must_use]
    pub(crate) fn new(blocking: BlockingPool, store: Arc<dyn Store>) -> Self {
        Self {
            blocking,
            store,
            fills: SingleFlight::new(FILLS_MAX, Bound::Downloads).ending_themselves(),
            bypass_limit: bypass::BypassLimit::default(),
            manifests: SingleFlight::new(FLIGHTS_MAX, Bound::ManifestRequests),
            tags: SingleFlight::new(FLIGHTS_MAX, Bound::TagRequests),
            generations: Arc::default(),
            memory: Arc::default(),
            shared: Arc::default(),
            negative: NegativeCache::default(),
            unanswered: TtlSet::new(NEGATIVES_MAX),
            read_stale: TtlSet::new(NEGATIVES_MAX),
            unstorable: Arc::new(TtlSet::new(NEGATIVES_MAX)),
        }
    }

    /// The number of blobs in download.
    #[must_use]
    pub(crate) fn fills(&self) -> usize {
        self.fills.count()
    }

    /// The most downloads of one party, and the number of downloads ended without a waiting client.
    #[must_use]
    pub(crate) fn fills_shared(&self) -> (usize, u64) {
        (self.fills.largest(), self.fills.ended())
    }

    /// Sets how many downloads each party may run at once.
    pub(crate) fn share_out(&self, fills_per_user: usize) {
        self.fills.share_out(fills_per_user);
    }

    /// The number of whole blobs that pass by the store.
    #[must_use]
    pub(crate) fn bypass_limit(&self) -> usize {
        self.bypass_limit.count()
    }

    /// The number of manifests and tags in fetch.
    #[must_use]
    pub(crate) fn questions(&self) -> (usize, usize) {
        (self.manifests.count(), self.tags.count())
    }

    /// Forgets absent names and unanswered tags after a change of the configuration: they may come
    /// from an upstream that is replaced.
    pub(crate) fn reconfigured(&self) {
        self.negative.forget_all();
        self.unanswered.remove_if(|_| true);
    }

    /// Digest and size of a blob, without its content.
    pub(crate) async fn blob_info(
        &self,
        context: &RequestContext,
        repo: &RepoName,
        digest: &Digest,
    ) -> Result<(BlobInfo, ReadOutcome), Error> {
        let target = context.target(repo)?.clone();
        let (linked, info) = self.look_up(repo, digest).await?;
        if let (true, Some(info)) = (linked, info) {
            return Ok((info, Outcome::Hit.into()));
        }
        let Target::Upstream(upstream_repo) = target else {
            return Err(unknown(repo, digest));
        };
        let upstream_repo = upstream_repo.for_party(context.party());
        let there = upstream_repo
            .upstream
            .client
            .blob_there(&upstream_repo.repo, digest, Urgency::Patient)
            .await?;
        let size_bytes = match there {
            BlobState::Absent => return Err(unknown(repo, digest)),
            BlobState::Sized(size_bytes) => size_bytes,
            BlobState::Unsized => {
                let asked = (&upstream_repo, &context.party());
                return self.info_of_filled(repo, digest, asked).await;
            }
        };
        Ok((BlobInfo { digest: *digest, size_bytes }, Outcome::Bypass.into()))
    }

    /// A blob's content, or the part in `range` when the store has the blob.
    pub(crate) async fn blob(
        &self,
        context: &RequestContext,
        repo: &RepoName,
        digest: &Digest,
        range: Option<ByteRange>,
    ) -> Result<(ServedBlob, ReadOutcome), Error> {
        let target = context.target(repo)?.clone();
        let since = self.generations.now(repo);
        let found = self.find(Some(repo), digest, range).await;
        let Target::Upstream(upstream_repo) = target else {
            return match found? {
                StoredLookup::Stored(stored) => {
                    Ok((ServedBlob::Stored(stored), Outcome::Hit.into()))
                }
                StoredLookup::Outside { size_bytes } => {
                    Err(Error::RangeUnsatisfiable { size_bytes })
                }
                // Corrupt content counts as absent: a client with the content can push it again.
                StoredLookup::Foreign | StoredLookup::Absent | StoredLookup::Corrupt => {
                    Err(unknown(repo, digest))
                }
            };
        };
        let mut found = usable(found);
        let mut came = ReadOutcome::from(Outcome::Hit);
        // Stored content needs no fill, so it waits for none.
        let upstream_repo = match found {
            StoredLookup::Stored(_) => upstream_repo,
            _ => upstream_repo.for_party(context.party()),
        };
        if matches!(found, StoredLookup::Foreign) && self.is_stored(digest).await? {
            self.check_access(repo, digest, &upstream_repo).await?;
            self.link_since(since, repo, digest).await?;
            found = usable(self.find(None, digest, range).await);
            came = ReadOutcome::from_another(Outcome::Hit);
        }
        match found {
            StoredLookup::Stored(stored) => Ok((ServedBlob::Stored(stored), came)),
            StoredLookup::Outside { size_bytes } => Err(Error::RangeUnsatisfiable { size_bytes }),
            StoredLookup::Foreign | StoredLookup::Absent | StoredLookup::Corrupt => {
                let absent = || Absent::Blob(repo.clone(), *digest);
                let epoch =
                    self.negative.check(absent(), &upstream_repo, || unknown(repo, digest))?;
                let filled =
                    self.fill(repo, digest, (&upstream_repo, &context.party()), range).await;
                self.negative.learn(filled, absent, &upstream_repo, epoch)
            }
        }
    }

    /// Content from another repository's fill is served only after the upstream of this repository
    /// confirmed the blob. The check repeats with each request: it also decides access.
    async fn check_access(
        &self,
        repo: &RepoName,
        digest: &Digest,
        upstream_repo: &UpstreamRepo,
    ) -> Result<(), Error> {
        match upstream_repo
            .upstream
            .client
            .blob_there(&upstream_repo.repo, digest, Urgency::Patient)
            .await?
        {
            BlobState::Absent => Err(unknown(repo, digest)),
            BlobState::Sized(_) | BlobState::Unsized => Ok(()),
        }
    }

    /// Makes a client's change of a repository in the store.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        repo: &RepoName,
        kind: Change,
        change: impl FnOnce(&dyn Store, &RepoName) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Error> {
        self.writer(repo).change(kind, change).await
    }

    /// Forgets absent names of a repository after a write to it.
    pub(crate) fn written(&self, repo: &RepoName) {
        self.negative.forget(repo);
    }

    async fn is_stored(&self, digest: &Digest) -> Result<bool, Error> {
        let (store, digest) = (Arc::clone(&self.store), *digest);
        Ok(self.blocking.run(move || store.stat(&digest)).await?.is_some())
    }

    /// Records that a repository has a blob.
    pub(crate) async fn link(&self, repo: &RepoName, digest: &Digest) -> Result<(), Error> {
        let (store, repo, digest) = (Arc::clone(&self.store), repo.clone(), *digest);
        Ok(self.blocking.run(move || store.link_blob(&repo, &digest)).await?)
    }

    /// Like [`Self::link`], unless a removal from the repository came after the request.
    async fn link_since(
        &self,
        since: Generation,
        repo: &RepoName,
        digest: &Digest,
    ) -> Result<(), Error> {
        let (store, generations) = (Arc::clone(&self.store), Arc::clone(&self.generations));
        let (repo, digest) = (repo.clone(), *digest);
        Ok(self
            .blocking
            .run(move || link_unless_removed(&*store, &generations, since, &repo, &digest))
            .await?)
    }

    /// Whether the repository has the blob, and the store's record of it.
    pub(crate) async fn look_up(
        &self,
        repo: &RepoName,
        digest: &Digest,
    ) -> Result<(bool, Option<BlobInfo>), Error> {
        let (store, repo, digest) = (Arc::clone(&self.store), repo.clone(), *digest);
        let found = self.blocking.run(move || {
            let linked = store.has_blob(&repo, &digest)?;
            let info = if linked { store.stat(&digest)? } else { None };
            Ok::<_, wharf_store::StoreError>((linked, info))
        });
        Ok(found.await?)
    }
}

/// The store's answer for a repository with an upstream: a failure of the store does not fail the
/// request there.
fn usable(found: Result<StoredLookup, Error>) -> StoredLookup {
    found.unwrap_or_else(|error| {
        tracing::error!(%error, "the store cannot be read; the upstream is asked");
        StoredLookup::Absent
    })
}

/// Links a blob that an upstream confirmed. Not after a removal: it may have removed this blob.
fn link_unless_removed(
    store: &dyn Store,
    generations: &Generations,
    since: Generation,
    repo: &RepoName,
    digest: &Digest,
) -> Result<(), StoreError> {
    generations.keep(repo, &since, false, |still| match still {
        Validity::Nothing => Ok(()),
        Validity::All | Validity::Content => store.link_blob(repo, digest),
    })
}

fn unknown(repo: &RepoName, digest: &Digest) -> Error {
    Error::BlobUnknown { repo: repo.clone(), digest: *digest }
}
