//! `DELETE` of manifests, tags and blobs (distribution-spec end-9, end-10): at the upstream first,
//! then here.
//!
//! Invariant: what the upstream refuses to delete stays here too. After 202 it is gone on both sides,
//! also from answers of the upstream that are still on their way (`cache/generations.rs`).

use std::net::IpAddr;
use std::sync::Arc;

use http::StatusCode;
use wharf_oci::{Digest, Endpoint, Reference, RepoName};

use tracing::Instrument as _;

use super::App;
use super::once::{Decided, Scene};
use crate::Error;
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
    client: IpAddr,
    act: Act,
) -> Result<Answer, Error> {
    let site = match app.cache.upstreams.site(&repo) {
        Ok(site) => site,
        Err(error) => return act.ended(Err(error)),
    };
    let place = Place::of(&site, &repo);
    let turn = app.turns.take(match &reference {
        Reference::Tag(tag) => Wanted::to_untag(&place, tag),
        Reference::Digest(digest) => Wanted::to_remove(&place, *digest),
    });
    let turn = match turn.await {
        Ok(turn) => turn,
        Err(error) => return act.ended(Err(error)),
    };
    let app = Arc::clone(app);
    let work = async move {
        let scene = Scene { app: &app, site: &site, place: &place, repo: &repo, client };
        let removed = act.ended(remove(&scene, &reference).await);
        drop(turn);
        removed
    };
    match tokio::spawn(work.in_current_span()).await {
        Ok(removed) => removed,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
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
                if error.is_refusal() {
                    scene.undo(decided).await;
                }
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

/// Takes a blob from a repository; its bytes go with the last repository that had it.
pub(super) async fn blob(app: &App, repo: &RepoName, digest: &Digest) -> Result<Answer, Error> {
    // Before the upstream is asked: nobody may deliver it after that.
    let mut known = app.deliveries.forget(repo, digest).await?;
    if let Site::Remote(remote) = app.cache.upstreams.site(repo)? {
        let endpoint = Endpoint::Blob { repo: remote.repo.clone(), digest: *digest };
        known |= remote.upstream.delete(&endpoint).await?;
    }
    let wanted = *digest;
    let unlink = move |store: &dyn Store, repo: &RepoName| store.unlink_blob(repo, &wanted);
    known |= app.cache.change(repo, Change::Removal, unlink).await?;
    if !known {
        return Err(Error::BlobUnknown { repo: repo.clone(), digest: *digest });
    }
    Ok(response::answer(StatusCode::ACCEPTED, &[], Body::empty()))
}
