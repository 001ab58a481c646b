//! The push of a proven manifest under its lock: decided, sent to the upstream under every name,
//! stored here, locked.
//!
//! Invariant: names that the upstream accepted are stored here and others are not, name by name;
//! the bytes are the client's.

use std::sync::Arc;

use wharf_oci::{Digest, Manifest, PageQuery, Reference, RepoName, Tag};
use wharf_store::TagRecord;

use super::current_digest::current;
use super::put_request::ManifestPut;
use super::redelivery::Redelivery;
use super::request_body::WholeBody;
use super::write_once_check::{ChangeContext, TagDecision};
use super::{App, references};
use crate::Error;
use crate::client::{AcceptedManifest, Conditions, ReferrersReader, TagState};
use crate::pull::Change;
use crate::push::change_locks::RepoLocation;
use crate::registries::{Target, UpstreamRepo};
use crate::runtime::clock::now_ms;
use crate::runtime::store::Store;

/// A push of a manifest.
pub(super) struct ManifestPush {
    pub(super) app: Arc<App>,
    pub(super) target: Target,
    pub(super) place: RepoLocation,
    pub(super) put: ManifestPut,
    pub(super) manifest: Arc<Manifest>,
    pub(super) digest: Digest,
    /// Conditions on the current digest of the reference; further tags have no conditions.
    pub(super) conditions: Conditions,
    /// The reservation of the whole body.
    pub(super) _body: WholeBody,
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

impl ManifestPush {
    /// Pushes the manifest; whether referrers are kept at its registry.
    pub(super) async fn run(self) -> Result<bool, Error> {
        if let Target::Upstream(upstream_repo) = &self.target {
            for tag in self.put.named_tags() {
                self.app
                    .cache
                    .not_read_stale(&self.put.repo, tag, upstream_repo, &self.put.budget)
                    .await?;
            }
        }
        self.check_conditions().await?;
        let scene = ChangeContext {
            app: &self.app,
            target: &self.target,
            place: &self.place,
            repo: &self.put.repo,
            client: self.put.client,
        };
        let decided = scene.decide_put(self.put.named_tags(), &self.manifest).await?;
        let mut sent = match &self.target {
            Target::Local(_) => {
                Sent { keeps_referrers: true, done: self.names().collect(), failed: None }
            }
            Target::Upstream(upstream_repo) => self.forward(upstream_repo, &decided).await,
        };
        let failed = sent.failed.take();
        if sent.done.is_empty()
            && let Some((name, error)) = failed
        {
            scene.undo(decided, &[], (!error.is_refusal()).then_some(&name)).await;
            let Target::Upstream(upstream_repo) = &self.target else { return Err(error) };
            let repo = &self.put.repo;
            let (asked, manifest) = ((&*self.app, &self.put.caller.party()), &self.manifest);
            return Err(
                references::after_refusal(asked, repo, upstream_repo, manifest, error).await
            );
        }
        self.keep(&sent.done).await?;
        let is_done = |tag: &&Tag| sent.done.contains(&Reference::Tag((*tag).clone()));
        let locked: Vec<_> = decided.tags.iter().filter(is_done).cloned().collect();
        let locked = scene.lock(&locked, &self.digest).await;
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
        if self.conditions.is_empty() {
            return Ok(());
        }
        let ManifestPut { repo, reference, .. } = &self.put;
        let there = current(&self.app, &self.target, repo, reference).await?;
        if self.conditions.hold(there.as_ref()) {
            return Ok(());
        }
        let (repo, reference) = (repo.clone(), reference.to_string());
        Err(Error::PreconditionFailed { repo, reference, there })
    }

    fn names(&self) -> impl Iterator<Item = Reference> {
        let tags = self.put.tags.iter().map(|tag| Reference::Tag(tag.clone()));
        std::iter::once(self.put.reference.clone()).chain(tags)
    }

    /// Puts the same bytes at the upstream under every name, until one is refused. A write-once tag
    /// of this same manifest is not put again: a locked tag would be refused.
    async fn forward(&self, upstream_repo: &UpstreamRepo, decided: &TagDecision) -> Sent {
        let mut sent = Sent::default();
        let mut told = false;
        for name in self.names() {
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
        if let (false, Some(subject)) = (told, self.manifest.subject()) {
            let reader =
                ReferrersReader { budget: &self.put.budget, blocking: &self.app.cache.blocking };
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
        let conditions = self.conditions_of(name);
        let put = || {
            let (media_type, bytes) = (self.manifest.media_type(), self.manifest.bytes().clone());
            upstream_repo.upstream.put_manifest(
                (&upstream_repo.repo, name),
                media_type,
                bytes,
                &conditions,
            )
        };
        match put().await {
            Err(refusal) if references::is_about_content(&refusal) => {
                let party = self.put.caller.party();
                let redelivery = Redelivery::new(&self.app, party, &self.put.repo, upstream_repo);
                if redelivery.of(&self.manifest).await? { put().await } else { Err(refusal) }
            }
            answered => answered,
        }
    }

    fn conditions_of(&self, name: &Reference) -> Conditions {
        if *name == self.put.reference { self.conditions.clone() } else { Conditions::default() }
    }

    /// Stores the accepted names as fresh.
    async fn keep(&self, done: &[Reference]) -> Result<(), Error> {
        let (manifest, digest) = (Arc::clone(&self.manifest), self.digest);
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
        self.app.cache.change(&self.put.repo, kind, change).await
    }
}

/// Whether a manifest was refused by digest because it is there and locked, as ACR does.
async fn is_locked_there(upstream_repo: &UpstreamRepo, name: &Reference, error: &Error) -> bool {
    let refused = matches!(error, Error::UpstreamRefused { status, .. } if status.as_u16() == 405);
    let Reference::Digest(_) = name else { return false };
    if !refused || !upstream_repo.upstream.config().locks_tags() {
        return false;
    }
    let there = upstream_repo.upstream.manifest_there(&upstream_repo.repo, name).await;
    matches!(there, Ok(TagState::Is(_) | TagState::Unsaid))
}

/// Asks whether the upstream lists referrers, when no answer of this push said so.
async fn keeps_referrers(
    upstream_repo: &UpstreamRepo,
    subject: &Digest,
    reader: ReferrersReader<'_>,
) -> bool {
    let first = PageQuery::default();
    let page =
        upstream_repo.upstream.referrers_page(&upstream_repo.repo, subject, &first, reader).await;
    matches!(page, Ok(Some(_)))
}
