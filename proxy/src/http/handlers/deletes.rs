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
use wharf_oci::{Digest, Endpoint, Reference, RepoName};

use super::App;
use super::write_once_check::{ChangeContext, Kind, TagDecision};
use crate::Error;
use crate::context::RequestContext;
use crate::http::audit::AuditedChange;
use crate::http::response;
use crate::http::response::Answer;
use crate::pull::Change;
use crate::push::change_locks::{ChangeGuard, LockSet, RepoLocation};
use crate::push::write_once::WriteOnce;
use crate::registries::Target;
use crate::runtime::body::Body;
use crate::runtime::party::Party;
use crate::runtime::store::Store;

/// Deletes a tag, or a manifest with every tag that points to it. Goes on to its end when the
/// caller goes away: the upstream may have done its part.
pub(super) async fn manifest(
    app: &Arc<App>,
    context: &RequestContext,
    (repo, reference): (RepoName, Reference),
    act: AuditedChange,
) -> Result<Answer, Error> {
    let target = match context.target_for_party(&repo) {
        Ok(target) => target,
        Err(error) => return act.ended(Err(error)),
    };
    let place = RepoLocation::of(&target, &repo);
    let turns = match &reference {
        Reference::Tag(tag) => (None, LockSet::to_untag(&place, tag)),
        Reference::Digest(digest) => {
            (deleting(&target, &place), LockSet::to_remove(&place, *digest))
        }
    };
    let turns = match taken(app, &context.party(), turns).await {
        Ok(turns) => turns,
        Err(error) => return act.ended(Err(error)),
    };
    let (detached, app) = (app.detached.clone(), Arc::clone(app));
    let client = context.client;
    let work = async move {
        let scene =
            ChangeContext { app: &app, target: &target, place: &place, repo: &repo, client };
        let removed = act.ended(remove(&scene, &reference).await);
        drop(turns);
        removed
    };
    detached.run(work.in_current_span()).await
}

/// In repositories with write-once tags, a deletion excludes puts of manifests: a put could keep
/// the content.
fn deleting(target: &Target, place: &RepoLocation) -> Option<LockSet> {
    WriteOnce::concerns(target, place).then(|| LockSet::to_delete(place))
}

/// The locks of a deletion, that of its repository first.
async fn taken(
    app: &App,
    party: &Party,
    (first, second): (Option<LockSet>, LockSet),
) -> Result<(Option<ChangeGuard>, ChangeGuard), Error> {
    let first = match first {
        Some(wanted) => Some(app.turns.take(party, wanted).await?),
        None => None,
    };
    Ok((first, app.turns.take(party, second).await?))
}

async fn remove(scene: &ChangeContext<'_>, reference: &Reference) -> Result<Answer, Error> {
    let decided = match reference {
        Reference::Tag(tag) => scene.decide_untag(tag).await?,
        Reference::Digest(digest) => {
            scene.decide_removal(digest, Kind::Manifest).await?;
            TagDecision::default()
        }
    };
    let mut known = false;
    if let Target::Upstream(upstream_repo) = scene.target {
        let endpoint =
            Endpoint::Manifest { repo: upstream_repo.repo.clone(), reference: reference.clone() };
        match upstream_repo.upstream.delete(&endpoint).await {
            Ok(deleted) => known = deleted,
            Err(error) => {
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
    context: &RequestContext,
    (repo, digest): (RepoName, Digest),
    act: AuditedChange,
) -> Result<Answer, Error> {
    let target = match context.target_for_party(&repo) {
        Ok(target) => target,
        Err(error) => return act.ended(Err(error)),
    };
    let (detached, app) = (app.detached.clone(), Arc::clone(app));
    let (party, client) = (context.party(), context.client);
    let work = async move {
        let place = RepoLocation::of(&target, &repo);
        let scene =
            ChangeContext { app: &app, target: &target, place: &place, repo: &repo, client };
        act.ended(remove_blob(&scene, &party, &digest).await)
    };
    detached.run(work.in_current_span()).await
}

async fn remove_blob(
    scene: &ChangeContext<'_>,
    party: &Party,
    digest: &Digest,
) -> Result<Answer, Error> {
    let ChangeContext { app, target, place, repo, .. } = scene;
    let turns = (deleting(target, place), LockSet::to_unlink(target, repo, *digest));
    let _turns = taken(app, party, turns).await?;
    scene.decide_removal(digest, Kind::Blob).await?;
    // Before the request to the upstream: the outbox may not deliver the blob after that. When the
    // upstream refuses, the blob stays in the outbox as before.
    let held = app.outbox.hold(repo, digest).await;
    let mut known = held.is_some();
    if let Target::Upstream(upstream_repo) = *target {
        let endpoint = Endpoint::Blob { repo: upstream_repo.repo.clone(), digest: *digest };
        known |= upstream_repo.upstream.delete(&endpoint).await?;
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
