//! `DELETE` of manifests, tags and blobs (distribution-spec end-9, end-10): at the upstream first,
//! then here.
//!
//! Invariant: what the upstream refuses to delete stays here too. After 202 it is gone on both sides,
//! also from answers of the upstream that are still on their way (`cache/generations.rs`).

use std::net::IpAddr;
use std::sync::Arc;

use http::StatusCode;
use tracing::Instrument as _;
use wharf_oci::{Digest, Endpoint, Reference, RepoName};

use super::App;
use super::once::{Decided, Scene};
use crate::Error;
use crate::access::Caller;
use crate::audit::Act;
use crate::body::Body;
use crate::cache::{Change, Store};
use crate::response::{self, Answer};
use crate::turns::{Place, Wanted};
use crate::upstreams::Site;

/// Deletes a tag, or a manifest with every tag that points to it. Goes on to its end when the caller
/// goes away: the upstream may have done its part.
pub(super) async fn manifest(
    app: &Arc<App>,
    (repo, reference): (RepoName, Reference),
    (caller, client): (&Caller, IpAddr),
    act: Act,
) -> Result<Answer, Error> {
    let site = match app.cache.upstreams.site_for(&repo, caller.login()) {
        Ok(site) => site.for_party(caller.party()),
        Err(error) => return act.ended(Err(error)),
    };
    let place = Place::of(&site, &repo);
    let wanted = match &reference {
        Reference::Tag(tag) => Wanted::to_untag(&place, tag),
        Reference::Digest(digest) => Wanted::to_remove(&place, *digest),
    };
    let turn = match app.turns.take(&caller.party(), wanted).await {
        Ok(turn) => turn,
        Err(error) => return act.ended(Err(error)),
    };
    let (finishing, app) = (app.finishing.clone(), Arc::clone(app));
    let work = async move {
        let scene = Scene { app: &app, site: &site, place: &place, repo: &repo, client };
        let removed = act.ended(remove(&scene, &reference).await);
        drop(turn);
        removed
    };
    finishing.run(work.in_current_span()).await
}

async fn remove(scene: &Scene<'_>, reference: &Reference) -> Result<Answer, Error> {
    let decided = match reference {
        Reference::Tag(tag) => scene.decide_untag(tag).await?,
        Reference::Digest(digest) => {
            scene.decide_removal(digest).await?;
            Decided::default()
        }
    };
    let mut known = false;
    if let Site::Remote(remote) = scene.site {
        let endpoint =
            Endpoint::Manifest { repo: remote.repo.clone(), reference: reference.clone() };
        match remote.upstream.delete(&endpoint).await {
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

/// Takes a blob from a repository; its bytes go with the last repository that had it. In a turn of its
/// own, because a push that ends in the middle would be half undone; to its end like the deletion of a
/// manifest.
pub(super) async fn blob(
    app: &Arc<App>,
    (repo, digest): (RepoName, Digest),
    caller: Caller,
    act: Act,
) -> Result<Answer, Error> {
    let site = match app.cache.upstreams.site_for(&repo, caller.login()) {
        Ok(site) => site.for_party(caller.party()),
        Err(error) => return act.ended(Err(error)),
    };
    let (finishing, app) = (app.finishing.clone(), Arc::clone(app));
    let work = async move { act.ended(remove_blob(&app, &caller, site, (&repo, &digest)).await) };
    finishing.run(work.in_current_span()).await
}

async fn remove_blob(
    app: &App,
    caller: &Caller,
    site: Site,
    (repo, digest): (&RepoName, &Digest),
) -> Result<Answer, Error> {
    let wanted = Wanted::to_unlink(&site, repo, *digest);
    let _turn = app.turns.take(&caller.party(), wanted).await?;
    // Before the upstream is asked: nobody may deliver it after that. When it refuses, the blob is owed
    // as before.
    let held = app.deliveries.hold(repo, digest).await;
    let mut known = held.is_some();
    if let Site::Remote(remote) = site {
        let endpoint = Endpoint::Blob { repo: remote.repo.clone(), digest: *digest };
        known |= remote.upstream.delete(&endpoint).await?;
    }
    if let Some(held) = held {
        held.forget().await?;
    }
    let wanted = *digest;
    let unlink = move |store: &dyn Store, repo: &RepoName| store.unlink_blob(repo, &wanted);
    known |= app.cache.change(repo, Change::Removal, unlink).await?;
    if !known {
        return Err(Error::BlobUnknown { repo: repo.clone(), digest: *digest });
    }
    Ok(response::answer(StatusCode::ACCEPTED, &[], Body::empty()))
}
