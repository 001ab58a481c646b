//! The push of a manifest: the client's request, its form after the proof of the body, and the work
//! under its lock: decided, sent to the upstream under every name, stored here, locked.
//!
//! Invariant: names that the upstream accepted are stored here and others are not, name by name;
//! the bytes are the client's.

use std::net::IpAddr;
use std::sync::Arc;

use wharf_client::{AcceptedManifest, Conditions, ReferrersReader, TagState};
use wharf_oci::{Digest, Manifest, PageQuery, Reference, RepoName, Tag};
use wharf_store::TagRecord;

use super::current_digest::current;
use super::redelivery::Redelivery;
use super::references::UpstreamPush;
use super::request_body::WholeBody;
use super::write_once_check::{ChangeContext, TagDecision};
use super::{App, references};
use crate::Error;
use crate::access::Caller;
use crate::pull::Change;
use crate::push::change_locks::RepoLocation;
use crate::registries::{Target, UpstreamRepo};
use crate::runtime::blocking::BlockingPool;
use crate::runtime::clock::now_ms;
use crate::runtime::memory_gauge::MemoryBudget;
use crate::runtime::store::Store;

/// A client's request to put a manifest.
pub(super) struct ManifestPut {
    pub(super) repo: RepoName,
    pub(super) reference: Reference,
    pub(super) tags: Vec<Tag>,
    pub(super) caller: Caller,
    pub(super) client: IpAddr,
    /// The caller's memory budget.
    pub(super) budget: MemoryBudget,
}

/// A manifest with a proven digest, and its target.
pub(super) struct ProvenManifest {
    pub(super) put: ManifestPut,
    pub(super) target: Target,
    pub(super) place: RepoLocation,
    /// Conditions on the current digest of the reference; further tags have no conditions.
    pub(super) conditions: Conditions,
    pub(super) manifest: Arc<Manifest>,
    pub(super) digest: Digest,
    /// Keeps the reservation of the whole body.
    pub(super) _body: WholeBody,
}

/// A push of a manifest.
pub(super) struct ManifestPush {
    pub(super) app: Arc<App>,
    pub(super) proven: ProvenManifest,
}

/// The upstream's result for each name.
#[derive(Default)]
struct Sent {
    keeps_referrers: bool,
    /// The names that the upstream accepted.
    done: Vec<Reference>,
    /// The first refused name, and the error.
    failed: Option<(Reference, Error)>,
}

impl ManifestPut {
    /// Every tag that the put sets.
    pub(super) fn named_tags(&self) -> impl Iterator<Item = &Tag> {
        let named = match &self.reference {
            Reference::Tag(tag) => Some(tag),
            Reference::Digest(_) => None,
        };
        named.into_iter().chain(&self.tags)
    }

    fn names(&self) -> impl Iterator<Item = Reference> {
        let tags = self.tags.iter().map(|tag| Reference::Tag(tag.clone()));
        std::iter::once(self.reference.clone()).chain(tags)
    }
}

impl ManifestPush {
    /// Pushes the manifest; whether referrers are kept at its registry.
    pub(super) async fn run(self) -> Result<bool, Error> {
        let ProvenManifest { put, target, place, manifest, .. } = &self.proven;
        if let Target::Upstream(upstream_repo) = target {
            for tag in put.named_tags() {
                self.app.cache.not_read_stale(&put.repo, tag, upstream_repo, &put.budget).await?;
            }
        }
        self.check_conditions().await?;
        let scene =
            ChangeContext { app: &self.app, target, place, repo: &put.repo, client: put.client };
        let decided = scene.decide_put(put.named_tags(), manifest).await?;
        let mut sent = match target {
            Target::Local(_) => {
                Sent { keeps_referrers: true, done: put.names().collect(), failed: None }
            }
            Target::Upstream(upstream_repo) => self.forward(upstream_repo, &decided).await,
        };
        let failed = sent.failed.take();
        if sent.done.is_empty()
            && let Some((name, error)) = failed
        {
            scene.undo(decided, &[], (!error.is_refusal()).then_some(&name)).await;
            let Target::Upstream(upstream_repo) = target else { return Err(error) };
            let push = self.upstream_push(upstream_repo);
            return Err(references::after_refusal(&push, manifest, error).await);
        }
        self.keep(&sent.done).await?;
        let is_done = |tag: &&Tag| sent.done.contains(&Reference::Tag((*tag).clone()));
        let locked: Vec<_> = decided.tags.iter().filter(is_done).cloned().collect();
        let locked = scene.lock(&locked, &self.proven.digest).await;
        let unsure = failed.as_ref().filter(|(_, error)| !error.is_refusal());
        scene.undo(decided, &sent.done, unsure.map(|(name, _)| name)).await;
        locked?;
        match failed {
            None => Ok(sent.keeps_referrers),
            Some((failed, source)) => {
                let done: Vec<_> = sent.done.iter().map(ToString::to_string).collect();
                let (done, failed) = (done.join(", "), failed.to_string());
                Err(Error::PutInPart { done, failed, source: Box::new(source) })
            }
        }
    }

    /// Whether the current digest of the name meets the client's conditions.
    async fn check_conditions(&self) -> Result<(), Error> {
        let ProvenManifest { put, target, conditions, .. } = &self.proven;
        if conditions.is_empty() {
            return Ok(());
        }
        let ManifestPut { repo, reference, .. } = put;
        let there = current(&self.app, target, repo, reference).await?;
        if conditions.hold(there.as_ref()) {
            return Ok(());
        }
        let (repo, reference) = (repo.clone(), reference.to_string());
        Err(Error::PreconditionFailed { repo, reference, there })
    }

    fn upstream_push(&self, upstream_repo: &UpstreamRepo) -> UpstreamPush {
        let (app, put) = (Arc::clone(&self.app), &self.proven.put);
        let (party, repo) = (put.caller.party(), put.repo.clone());
        UpstreamPush { app, party, repo, upstream_repo: upstream_repo.clone() }
    }

    /// Puts the same bytes at the upstream under every name, until one is refused. A write-once tag
    /// of this same manifest is not put again: a locked tag would be refused.
    async fn forward(&self, upstream_repo: &UpstreamRepo, decided: &TagDecision) -> Sent {
        let mut sent = Sent::default();
        let mut told = false;
        for name in self.proven.put.names() {
            let settled = match &name {
                Reference::Tag(tag) => decided.settled.contains(tag),
                Reference::Digest(_) => !decided.settled.is_empty(),
            };
            if !settled {
                match self.give(upstream_repo, &name).await {
                    Ok(accepted) => (sent.keeps_referrers, told) = (accepted.keeps_referrers, true),
                    Err(error) if is_locked_there(upstream_repo, &name, &error).await => {}
                    Err(error) => {
                        sent.failed = Some((name, error));
                        break;
                    }
                }
            }
            sent.done.push(name);
        }
        if let (false, Some(subject)) = (told, self.proven.manifest.subject()) {
            let (budget, offload) = (&self.proven.put.budget, &self.app.cache.blocking);
            let reader = ReferrersReader { budget, offload };
            sent.keeps_referrers = keeps_referrers(upstream_repo, &subject.digest, reader).await;
        }
        sent
    }

    /// Puts the manifest under one name; once more when the upstream missed content of this store
    /// and redelivery succeeded.
    async fn give(
        &self,
        upstream_repo: &UpstreamRepo,
        name: &Reference,
    ) -> Result<AcceptedManifest, Error> {
        let (conditions, manifest) = (self.conditions_of(name), &self.proven.manifest);
        let put = async || {
            let (media_type, bytes) = (manifest.media_type(), manifest.bytes().clone());
            let target = (&upstream_repo.repo, name);
            let client = &upstream_repo.upstream.client;
            client.put_manifest(target, media_type, bytes, &conditions).await.map_err(Error::from)
        };
        match put().await {
            Err(refusal) if references::is_about_content(&refusal) => {
                let push = self.upstream_push(upstream_repo);
                let delivered = Redelivery::new(&push).of(manifest).await?;
                if delivered { put().await } else { Err(refusal) }
            }
            answered => answered,
        }
    }

    fn conditions_of(&self, name: &Reference) -> Conditions {
        let ProvenManifest { put, conditions, .. } = &self.proven;
        if *name == put.reference { conditions.clone() } else { Conditions::default() }
    }

    /// Stores the accepted names as fresh.
    async fn keep(&self, done: &[Reference]) -> Result<(), Error> {
        let ProvenManifest { put, manifest, digest, .. } = &self.proven;
        let (manifest, digest) = (Arc::clone(manifest), *digest);
        let record = TagRecord { digest, checked_ms: now_ms() };
        let tags = done.iter().filter_map(|name| match name {
            Reference::Tag(tag) => Some((tag.clone(), record)),
            Reference::Digest(_) => None,
        });
        let tags: Vec<_> = tags.collect();
        let kind = if tags.is_empty() { Change::Addition } else { Change::Tagging };
        let change = move |store: &dyn Store, repo: &RepoName| {
            store.put_manifest(repo, &manifest, &digest, &tags)
        };
        self.app.cache.change(&put.repo, kind, change).await
    }
}

/// Whether a manifest was refused by digest because it is there and locked, as ACR does.
async fn is_locked_there(upstream_repo: &UpstreamRepo, name: &Reference, error: &Error) -> bool {
    let refused = matches!(error, Error::UpstreamRefused { status, .. } if status.as_u16() == 405);
    let Reference::Digest(_) = name else { return false };
    if !refused || !upstream_repo.upstream.config().locks_tags() {
        return false;
    }
    let there = upstream_repo.upstream.client.manifest_there(&upstream_repo.repo, name).await;
    matches!(there, Ok(TagState::Is(_) | TagState::Unsaid))
}

/// Asks whether the upstream lists referrers, when no answer of this push said so.
async fn keeps_referrers(
    upstream_repo: &UpstreamRepo,
    subject: &Digest,
    reader: ReferrersReader<'_, MemoryBudget, BlockingPool>,
) -> bool {
    let first = PageQuery::default();
    let page = upstream_repo
        .upstream
        .client
        .referrers_page(&upstream_repo.repo, subject, &first, reader)
        .await;
    matches!(page, Ok(Some(_)))
}
