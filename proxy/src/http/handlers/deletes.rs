//! `DELETE` of manifests, tags and blobs (distribution-spec end-9, end-10): at the upstream first,
//! then here.
//!
//! Invariant: content that a write-once tag keeps, directly or through other manifests, is not
//! deleted while the tag stands, and nothing is put under such a tag while its content is being
//! deleted. Content that the upstream refuses to delete stays here too. After 202 the content is
//! gone on both sides, also from answers of the upstream that are still on their way
//! (`pull/generations.rs`).

use std::sync::Arc;

use http::StatusCode;
use tracing::Instrument as _;
use wharf_client::runtime::party::Party;
use wharf_oci::{Digest, Endpoint, Reference, RepoName};

use super::write_once_check::{ChangeContext, ContentKind, TagDecision};
use super::{App, Call};
use crate::Error;
use crate::http::response;
use crate::http::response::Answer;
use crate::pull::Change;
use crate::push::change_locks::{ChangeGuard, LockSet, RepoLocation};
use crate::push::write_once::WriteOnce;
use crate::registries::Target;
use crate::runtime::body::Body;
use crate::runtime::store::Store;

/// Deletes a tag, or a manifest with every tag that points to it. Goes on to its end when the
/// caller goes away: the upstream may have done its part.
pub(super) async fn manifest(
    app: &Arc<App>,
    Call { context, change, .. }: &Call,
    repo: RepoName,
    reference: Reference,
) -> Result<Answer, Error> {
    let target = match context.target_for_party(&repo) {
        Ok(target) => target,
        Err(error) => return change.ended(Err(error)),
    };
    let place = RepoLocation::of(&target, &repo);
    let locks = match &reference {
        Reference::Tag(tag) => {
            DeletionLocks { repo: None, content: LockSet::to_untag(&place, tag) }
        }
        Reference::Digest(digest) => {
            DeletionLocks::of_content(&target, &place, LockSet::to_remove(&place, *digest))
        }
    };
    let guards = match locks.take(app, &context.party()).await {
        Ok(guards) => guards,
        Err(error) => return change.ended(Err(error)),
    };
    let (detached, app) = (app.detached.clone(), Arc::clone(app));
    let (client, change) = (context.client, change.clone());
    let work = async move {
        let scene =
            ChangeContext { app: &app, target: &target, place: &place, repo: &repo, client };
        let removed = change.ended(remove(&scene, &reference).await);
        drop(guards);
        removed
    };
    detached.run(work.in_current_span()).await
}

/// The locks of a deletion.
struct DeletionLocks {
    /// Taken first.
    repo: Option<LockSet>,
    content: LockSet,
}

impl DeletionLocks {
    /// In repositories with write-once tags, a deletion of content excludes puts of manifests: a put
    /// could keep the content.
    fn of_content(target: &Target, place: &RepoLocation, content: LockSet) -> Self {
        let repo = WriteOnce::concerns(target, place).then(|| LockSet::to_delete(place));
        Self { repo, content }
    }

    async fn take(
        self,
        app: &App,
        party: &Party,
    ) -> Result<(Option<ChangeGuard>, ChangeGuard), Error> {
        let repo = match self.repo {
            Some(wanted) => Some(app.turns.take(party, wanted).await?),
            None => None,
        };
        Ok((repo, app.turns.take(party, self.content).await?))
    }
}

async fn remove(scene: &ChangeContext<'_>, reference: &Reference) -> Result<Answer, Error> {
    let decided = match reference {
        Reference::Tag(tag) => scene.decide_untag(tag).await?,
        Reference::Digest(digest) => {
            scene.decide_removal(digest, ContentKind::Manifest).await?;
            TagDecision::default()
        }
    };
    let mut known = false;
    if let Target::Upstream(upstream_repo) = scene.target {
        let endpoint =
            Endpoint::Manifest { repo: upstream_repo.repo.clone(), reference: reference.clone() };
        match upstream_repo.upstream.client.delete(&endpoint).await {
            Ok(deleted) => known = deleted,
            Err(error) => {
                let error = Error::from(error);
                let unsure = (!error.is_refusal()).then_some(reference);
                scene.undo(decided, &[], unsure).await;
                return Err(error);
            }
        }
    }
    let wanted = reference.clone();
    let change = move |store: &dyn Store, repo: &RepoName| match &wanted {
        Reference::Tag(tag) => store.remove_tag(repo, tag),
        Reference::Digest(digest) => store.remove_manifest(repo, digest),
    };
    known |= scene.app.cache.change(scene.repo, Change::Removal, change).await?;
    if !known {
        let reference = reference.to_string();
        return Err(Error::ManifestUnknown { repo: scene.repo.clone(), reference });
    }
    Ok(response::answer(StatusCode::ACCEPTED, &[], Body::empty()))
}

/// Takes a blob from a repository; its bytes go with the last repository that had it. Under a lock
/// of its own, because a push that ends in the middle would be half undone; to its end, like the
/// deletion of a manifest.
pub(super) async fn blob(
    app: &Arc<App>,
    Call { context, change, .. }: &Call,
    repo: RepoName,
    digest: Digest,
) -> Result<Answer, Error> {
    let target = match context.target_for_party(&repo) {
        Ok(target) => target,
        Err(error) => return change.ended(Err(error)),
    };
    let (detached, app) = (app.detached.clone(), Arc::clone(app));
    let (party, client, change) = (context.party(), context.client, change.clone());
    let work = async move {
        let place = RepoLocation::of(&target, &repo);
        let scene =
            ChangeContext { app: &app, target: &target, place: &place, repo: &repo, client };
        change.ended(remove_blob(&scene, &party, &digest).await)
    };
    detached.run(work.in_current_span()).await
}

async fn remove_blob(
    scene: &ChangeContext<'_>,
    party: &Party,
    digest: &Digest,
) -> Result<Answer, Error> {
    let ChangeContext { app, target, place, repo, .. } = scene;
    let content = LockSet::to_unlink(target, repo, *digest);
    let _guards = DeletionLocks::of_content(target, place, content).take(app, party).await?;
    scene.decide_removal(digest, ContentKind::Blob).await?;
    // Before the request to the upstream: the outbox may not deliver the blob after that. When the
    // upstream refuses, the blob stays in the outbox as before.
    let held = app.outbox.hold(repo, digest).await;
    let mut known = held.is_some();
    if let Target::Upstream(upstream_repo) = *target {
        let endpoint = Endpoint::Blob { repo: upstream_repo.repo.clone(), digest: *digest };
        known |= upstream_repo.upstream.client.delete(&endpoint).await?;
    }
    if let Some(held) = held {
        held.forget().await?;
    }
    let wanted = *digest;
    let unlink = move |store: &dyn Store, repo: &RepoName| store.unlink_blob(repo, &wanted);
    known |= app.cache.change(repo, Change::Removal, unlink).await?;
    if !known {
        return Err(Error::BlobUnknown { repo: (*repo).clone(), digest: *digest });
    }
    Ok(response::answer(StatusCode::ACCEPTED, &[], Body::empty()))
}
