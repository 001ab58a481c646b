//! Manifests by digest and by tag: from the store when known, else fetched, verified and kept.

use std::sync::Arc;

use bytes::Bytes;
use tracing::Instrument as _;
use wharf_client::{Accept, FetchedManifest, Urgency};
use wharf_oci::{Digest, Manifest, MediaType, Reference, RepoName, Tag};
use wharf_store::{StoreError, TagRecord};

use super::Cache;
use super::generations::{Change, Generation, Generations, Validity};
use super::manifest_memory::ManifestMemory;
use super::negative::Absent;
use super::shared_manifests::ServedManifest;
use super::shared_manifests::SharedManifests;
use crate::Error;
use crate::context::RequestContext;
use crate::limits::MANIFEST_COUNTED_LENGTHS_MAX;
use crate::observe::outcome::Outcome;
use crate::registries::{Target, UpstreamRepo};
use crate::runtime::blocking::BlockingPool;
use crate::runtime::memory_gauge::MemoryBudget;
use crate::runtime::spans;
use crate::runtime::store::Store;

/// Writes manifests and tags off the async threads: answers of upstreams since the writer's
/// creation, and changes of clients.
#[derive(Clone)]
pub(super) struct ManifestWriter {
    pub(super) blocking: BlockingPool,
    pub(super) store: Arc<dyn Store>,
    pub(super) repo: RepoName,
    memory: Arc<ManifestMemory>,
    shared: Arc<SharedManifests>,
    generations: Arc<Generations>,
    pub(super) since: Generation,
}

impl ManifestWriter {
    pub(super) async fn keep(
        &self,
        manifest: Manifest,
        digest: Digest,
        tag: Option<(Tag, TagRecord)>,
    ) -> Result<(), Error> {
        let tagged = tag.is_some();
        self.remember(tagged, move |store, repo, still| {
            let tags: &[(Tag, TagRecord)] = match still {
                Validity::Nothing => return Ok(()),
                Validity::Content => &[],
                Validity::All => tag.as_slice(),
            };
            store.put_manifest(repo, &manifest, &digest, tags)
        })
        .await
    }

    /// Records the tag as checked.
    pub(super) async fn point(&self, tag: &Tag, record: TagRecord) -> Result<(), Error> {
        let tag = tag.clone();
        self.remember(true, move |store, repo, still| match still {
            Validity::All => store.set_tag(repo, &tag, record),
            Validity::Content | Validity::Nothing => Ok(()),
        })
        .await
    }

    /// Removes the tag.
    pub(super) async fn unpoint(&self, tag: &Tag) -> Result<(), Error> {
        let tag = tag.clone();
        self.remember(true, move |store, repo, still| match still {
            Validity::All => store.remove_tag(repo, &tag).map(|_| ()),
            Validity::Content | Validity::Nothing => Ok(()),
        })
        .await
    }

    /// Keeps the upstream's answer, as far as it is still valid.
    async fn remember(
        &self,
        tagged: bool,
        keep: impl FnOnce(&dyn Store, &RepoName, Validity) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), Error> {
        let (generations, since) = (Arc::clone(&self.generations), self.since);
        self.write(move |store, repo| {
            generations.keep(repo, &since, tagged, |still| keep(store, repo, still))
        })
        .await
    }

    /// Makes a client's change of the repository.
    pub(super) async fn change<T: Send + 'static>(
        &self,
        kind: Change,
        change: impl FnOnce(&dyn Store, &RepoName) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Error> {
        let generations = Arc::clone(&self.generations);
        // A deletion reads the deleted manifest.
        let _turn = match kind {
            Change::Removal => Some(self.blocking.manifest_turn().await),
            Change::Addition | Change::Tagging => None,
        };
        self.write(move |store, repo| generations.change(repo, kind, || change(store, repo))).await
    }

    /// Writes to the store, and forgets the repository in memory: in one job, which runs to its end
    /// even after the request went away.
    async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&dyn Store, &RepoName) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Error> {
        let (store, repo) = (Arc::clone(&self.store), self.repo.clone());
        let memory = Arc::clone(&self.memory);
        let written = self.blocking.run(move || {
            let written = write(&*store, &repo);
            memory.forget(&repo);
            written
        });
        Ok(written.await?)
    }

    pub(super) async fn stored(
        &self,
        digest: Digest,
        budget: &MemoryBudget,
    ) -> Result<Option<ServedManifest>, Error> {
        if let Some(manifest) = self.memory.manifest(&self.repo, &digest) {
            return self.shared.share(budget, manifest).map(Some);
        }
        let _turn = self.blocking.manifest_turn().await;
        let before = self.memory.before();
        let (store, repo) = (Arc::clone(&self.store), self.repo.clone());
        let found = self.blocking.run(move || store.manifest(&repo, &digest));
        let found = found.instrument(spans::step("look-up")).await?;
        let found: Option<ServedManifest> = found.map(Into::into);
        if let Some(manifest) = &found {
            self.memory.take(before, &self.repo, manifest, None);
        }
        found.map(|manifest| self.shared.share(budget, manifest)).transpose()
    }
}

impl Cache {
    /// A manifest, by tag or digest; a missing one is fetched in the types that the client accepts.
    /// A large one counts in the memory budget.
    pub(crate) async fn manifest(
        &self,
        context: &RequestContext,
        repo: &RepoName,
        reference: &Reference,
        accept: Accept,
    ) -> Result<(ServedManifest, Outcome), Error> {
        let unknown =
            || Error::ManifestUnknown { repo: repo.clone(), reference: reference.to_string() };
        let budget = &context.budget;
        match (context.target_for_party(repo)?, reference) {
            (Target::Local(_), Reference::Digest(digest)) => {
                let found = self.writer(repo).stored(*digest, budget).await?;
                found.map(|manifest| (manifest, Outcome::Hit)).ok_or_else(unknown)
            }
            (Target::Local(_), Reference::Tag(tag)) => {
                let found = self.tagged(repo, tag, budget).await?;
                found.map(|(manifest, _)| (manifest, Outcome::Hit)).ok_or_else(unknown)
            }
            (Target::Upstream(upstream_repo), Reference::Digest(digest)) => {
                let upstream_repo = upstream_repo.accepting(accept);
                self.manifest_by_digest(repo, *digest, &upstream_repo, budget).await
            }
            (Target::Upstream(upstream_repo), Reference::Tag(tag)) => {
                let upstream_repo = upstream_repo.accepting(accept);
                let found = self.manifest_by_tag(repo, tag, &upstream_repo, budget);
                let (manifest, outcome) = found.await?;
                Ok((self.shared.share(budget, manifest)?, outcome))
            }
        }
    }

    pub(super) fn writer(&self, repo: &RepoName) -> ManifestWriter {
        let (blocking, store) = (self.blocking.clone(), Arc::clone(&self.store));
        ManifestWriter {
            blocking,
            store,
            repo: repo.clone(),
            memory: Arc::clone(&self.memory),
            shared: Arc::clone(&self.shared),
            generations: Arc::clone(&self.generations),
            since: self.generations.now(repo),
        }
    }

    /// The manifest behind a tag here, with the record of the tag.
    pub(super) async fn tagged(
        &self,
        repo: &RepoName,
        tag: &Tag,
        budget: &MemoryBudget,
    ) -> Result<Option<(ServedManifest, TagRecord)>, Error> {
        let share = |(manifest, record)| {
            let manifest = self.shared.share(budget, manifest)?;
            Ok::<_, Error>((manifest, record))
        };
        if let Some(found) = self.memory.tagged(repo, tag) {
            return share(found).map(Some);
        }
        let _turn = self.blocking.manifest_turn().await;
        let before = self.memory.before();
        let (store, of, wanted) = (Arc::clone(&self.store), repo.clone(), tag.clone());
        let found = self.blocking.run(move || {
            let Some(record) = store.tag(&of, &wanted)? else {
                return Ok(None);
            };
            let stored = store.manifest(&of, &record.digest)?;
            Ok::<_, StoreError>(stored.map(|stored| (ServedManifest::from(stored), record)))
        });
        let found = found.instrument(spans::step("look-up")).await?;
        if let Some((manifest, record)) = &found {
            self.memory.take(before, repo, manifest, Some((tag, *record)));
        }
        found.map(share).transpose()
    }

    async fn manifest_by_digest(
        &self,
        repo: &RepoName,
        digest: Digest,
        upstream_repo: &UpstreamRepo,
        budget: &MemoryBudget,
    ) -> Result<(ServedManifest, Outcome), Error> {
        let writer = self.writer(repo);
        if let Some(manifest) = usable(writer.stored(digest, budget).await)? {
            return Ok((manifest, Outcome::Hit));
        }
        let accept = upstream_repo.upstream.accept();
        let absent = || Absent::manifest(repo, Reference::Digest(digest), accept);
        let unknown =
            || Error::ManifestUnknown { repo: repo.clone(), reference: digest.to_string() };
        let epoch = self.negative.check(absent(), upstream_repo, unknown)?;
        let (there, key) = (
            upstream_repo.clone(),
            (upstream_repo.upstream.identity(), repo.clone(), digest, accept.clone(), writer.since),
        );
        let asked = self.manifests.ask_as(
            budget.party(),
            upstream_repo.upstream.caller_fingerprint(),
            key,
            |promise| {
                let asking = ManifestRequest {
                    writer: writer.clone(),
                    upstream_repo: there.clone(),
                    budget: budget.clone(),
                };
                async move {
                    let reference = Reference::Digest(digest);
                    promise.keep(fetch(&asking, &reference, None, Urgency::Patient).await);
                }
            },
        );
        let (manifest, joined) = self.negative.learn(asked.await, absent, upstream_repo, epoch)?;
        let manifest = self.shared.share(budget, manifest)?;
        Ok((manifest, if joined { Outcome::Join } else { Outcome::Fill }))
    }
}

/// The store's answer where an upstream can be asked instead: a failure of the store does not fail
/// the request there. A manifest without room in memory finds none from the upstream either.
pub(super) fn usable<T>(found: Result<Option<T>, Error>) -> Result<Option<T>, Error> {
    match found {
        Err(error) if !matches!(error, Error::TooManyBytes(_)) => {
            tracing::error!(%error, "the store cannot be read; the upstream is asked");
            Ok(None)
        }
        found => found,
    }
}

/// A request to an upstream for a manifest of a repository.
#[derive(Clone)]
pub(super) struct ManifestRequest {
    pub(super) writer: ManifestWriter,
    pub(super) upstream_repo: UpstreamRepo,
    /// Pays for the manifest until the waiting requests have it.
    pub(super) budget: MemoryBudget,
}

/// Fetches a manifest, verifies it, and keeps it; with a tag, the tag too, unless the manifest came
/// because this client named its type: another client may be sent another one. A manifest of an
/// unknown type is kept and served as it is.
pub(super) async fn fetch(
    asking: &ManifestRequest,
    reference: &Reference,
    tag: Option<(Tag, Accept)>,
    urgency: Urgency,
) -> Result<ServedManifest, Error> {
    let ManifestRequest { writer, upstream_repo, budget } = asking;
    let fetched = upstream_repo
        .upstream
        .client
        .manifest(&upstream_repo.repo, reference, urgency, budget)
        .await?;
    let mut fetched = fetched.ok_or_else(|| Error::ManifestUnknown {
        repo: writer.repo.clone(),
        reference: reference.to_string(),
    })?;
    let counted = fetched.bytes.clone();
    let outline_bytes =
        writer.blocking.read(counted.len(), move || Manifest::outline_bytes(&counted)).await;
    let length = fetched.bytes.len() as u64;
    let most = length * MANIFEST_COUNTED_LENGTHS_MAX;
    fetched.hold.grow_to((length + outline_bytes).min(most))?;
    let FetchedManifest { bytes, media_type, digest: said, hold: _hold } = fetched;
    let (size, name) = (bytes.len(), reference.clone());
    let read = move || prove(bytes, media_type.as_ref(), said, &name);
    let (manifest, digest) = writer.blocking.read(size, read).await?;
    let served = ServedManifest {
        digest,
        media_type: manifest.media_type().clone(),
        bytes: manifest.bytes().clone(),
        is_counted: false,
    };
    let record = TagRecord { digest, checked_ms: crate::runtime::clock::now_ms() };
    let tag = tag.filter(|(_, accept)| !accept.names(&served.media_type)).map(|(tag, _)| tag);
    // A manifest that cannot be kept can be served all the same.
    if let Err(error) = writer.keep(manifest, digest, tag.map(|tag| (tag, record))).await {
        tracing::error!(%error, %digest, "a manifest was not kept");
    }
    Ok(served)
}

/// A manifest fetched by digest must match it. By tag the digest is computed; the upstream's own
/// digest counts only for a body without a manifest's type (a page that asks for a login, say), and
/// the body has to match it.
fn prove(
    bytes: Bytes,
    media_type: Option<&MediaType>,
    said: Option<Digest>,
    reference: &Reference,
) -> Result<(Manifest, Digest), Error> {
    let failed = |reason: String| Error::UpstreamFailed { operation: FETCHING, reason };
    let manifest = Manifest::read_outline(bytes, media_type);
    let manifest = manifest.map_err(|error| failed(error.to_string()))?;
    if let Some(expected) = reference.digest() {
        manifest.prove(expected).map_err(Error::UpstreamLied)?;
        return Ok((manifest, *expected));
    }
    if !manifest.says_what_it_is() && said.is_none_or(|said| manifest.prove(&said).is_err()) {
        let media_type = manifest.media_type();
        return Err(failed(format!(
            "it sent {media_type} that is no manifest, and no digest of it"
        )));
    }
    let digest = manifest.digest();
    Ok((manifest, digest))
}

const FETCHING: &str = "fetching a manifest";

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_oci::{Algorithm, Digester};

    /// The verified manifest of a text with these headers.
    fn proven(
        text: &'static str,
        media_type: Option<&str>,
        said: Option<&str>,
        reference: &Reference,
    ) -> Result<(Manifest, Digest), Error> {
        let said = said.map(|said| Digester::digest(Algorithm::Sha256, said.as_bytes()));
        let media_type: Option<MediaType> = media_type.map(|text| text.parse().unwrap());
        prove(Bytes::from_static(text.as_bytes()), media_type.as_ref(), said, reference)
    }

    #[test]
    fn by_digest_it_is_proven_and_by_tag_only_what_could_be_anything_needs_a_witness() {
        let tag: Reference = "v1".parse().unwrap();
        let page = "<html>log in</html>";
        let custom = Some("application/vnd.example.thing.v1+json");
        for (text, media_type, said, is_taken) in [
            ("{}", custom, None, true),
            ("{}", custom, Some("another"), true),
            (r#"{"schemaVersion": 2}"#, None, None, true),
            (page, Some("text/html"), None, false),
            (page, Some("text/html"), Some("another"), false),
            (page, Some("text/html"), Some(page), true),
            ("{}", Some("application/json"), None, false),
            ("{}", Some("application/json"), Some("{}"), true),
        ] {
            let by_tag = proven(text, media_type, said, &tag);
            assert_eq!(by_tag.is_ok(), is_taken, "{media_type:?} {text}");
            let right = Digester::digest(Algorithm::Sha256, text.as_bytes());
            let by_digest = proven(text, media_type, said, &Reference::Digest(right));
            assert_eq!(by_digest.unwrap().0.bytes(), text);
            let wrong = Reference::Digest(Digester::digest(Algorithm::Sha256, b"wrong"));
            let by_digest = proven(text, media_type, said, &wrong);
            assert!(matches!(by_digest, Err(Error::UpstreamLied(_))));
        }
    }
}
