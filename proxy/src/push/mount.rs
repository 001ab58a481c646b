//! The mount of a blob: a repository takes it from another repository, in place of its bytes. A client
//! asks for one (`POST ?mount=`, distribution-spec end-11), and a transfer makes one by itself
//! (`push/transfer/skip.rs`). In a staged repository a mount is an entry of the outbox
//! (`push/outbox.rs`).
//!
//! Invariant: a caller gets a blob only from a repository that it may pull from, and an upstream is
//! asked only where it mounts digests of that algorithm reliably (`Client::mounts`).

use std::sync::Arc;

use wharf_client::{Arrival, Client, StartedUpload, UploadSession, Urgency};
use wharf_oci::{Digest, RepoName};

use crate::Error;
use crate::access::Permission;
use crate::context::RequestContext;
use crate::limits::{MOUNT_SOURCES_MAX, MOUNTS_MAX};
use crate::pull::Cache;
use crate::registries::{Target, UpstreamRepo};
use crate::runtime::blocking::BlockingPool;
use crate::runtime::store::Store;

/// A client's request: this blob, from the named repository, or from any.
pub(crate) struct MountRequest {
    pub(crate) digest: Digest,
    pub(crate) from: Option<RepoName>,
}

/// The request with a permitted source: the named one, or any that has the blob, if the caller may
/// pull it; `None` when there is none. Where everyone may do everything, any source stays unnamed.
pub(crate) async fn permitted(
    cache: &Cache,
    context: &RequestContext,
    repo: &RepoName,
    MountRequest { digest, from }: MountRequest,
) -> Result<Option<MountRequest>, Error> {
    let (access, caller) = (&context.config.access, &context.caller);
    if access.is_open() {
        return Ok(Some(MountRequest { digest, from }));
    }
    let may_pull =
        async |repo: &RepoName| access.authorize(caller, &Permission::pull(repo)).await.is_ok();
    if let Some(from) = from {
        let may_pull = may_pull(&from).await;
        return Ok(may_pull.then_some(MountRequest { digest, from: Some(from) }));
    }
    if let Target::Upstream(_) = context.target(repo)? {
        // Without a source, upstreams are asked about the repository itself.
        return Ok(may_pull(repo).await.then_some(MountRequest { digest, from: None }));
    }
    let store = Arc::clone(&cache.store);
    let holders = cache.blocking.run(move || store.settled_holders(&digest)).await?;
    for holder in holders.into_iter().take(MOUNT_SOURCES_MAX) {
        if may_pull(&holder).await {
            return Ok(Some(MountRequest { digest, from: Some(holder) }));
        }
    }
    Ok(None)
}

/// Links a blob of the source to a repository of this registry; `false` when the blob is not here.
pub(crate) async fn link(
    cache: &Cache,
    repo: &RepoName,
    MountRequest { digest, from }: &MountRequest,
) -> Result<bool, Error> {
    let (store, repo) = (Arc::clone(&cache.store), repo.clone());
    let (digest, from) = (*digest, from.clone());
    let linked = cache.blocking.run(move || {
        let has_source = from.map_or(Ok(true), |from| store.has_blob(&from, &digest))?;
        // Checked and linked at once: its last repository may be letting it go.
        Ok::<_, wharf_store::StoreError>(has_source && store.link_if_here(&repo, &digest)?)
    });
    Ok(linked.await?)
}

/// Has the upstream mount the blob from another repository of its own; if the upstream refuses,
/// opens a session. Without a source the upstream is asked only whether the repository has the
/// blob: a caller that names a digest need not have access to it. A login that may not read there
/// can still push.
pub(crate) async fn at_upstream(
    upstream_repo: &UpstreamRepo,
    digest: &Digest,
    from: Option<&RepoName>,
) -> Result<Option<UploadSession>, Error> {
    let UpstreamRepo { upstream, repo, .. } = upstream_repo;
    if from.is_none() && !upstream.client.recently_missed(repo, digest) {
        match upstream.client.blob_size(repo, digest).await {
            Ok(Some(_)) => return Ok(None),
            Ok(None) => {}
            Err(error) => passed_over(upstream.address(), error.into())?,
        }
    }
    if let Some(from) = from {
        match upstream.client.mount(repo, digest, from, Urgency::Long).await {
            Ok(StartedUpload::Mounted) => {
                upstream.client.arrived(repo, digest, Arrival::Mounted);
                return Ok(None);
            }
            Ok(StartedUpload::Session(session)) => return Ok(Some(session)),
            Err(error) => passed_over(upstream.address(), error.into())?,
        }
    }
    Ok(Some(upstream.client.open_upload(repo, Some(digest.algorithm()), Urgency::Long).await?))
}

/// A refused mount only means that the bytes are sent; other errors stay errors.
fn passed_over(upstream: &str, error: Error) -> Result<(), Error> {
    match error {
        Error::UpstreamDenied { .. } => {}
        Error::UpstreamRefused { status, .. } if status.is_client_error() => {}
        error => return Err(error),
    }
    tracing::debug!(upstream, %error, "not mounted");
    Ok(())
}

/// The name at the same upstream of the source that a client named; `None` when an upstream cannot
/// mount the blob from there.
pub(crate) fn source_beside(
    upstream_repo: &UpstreamRepo,
    MountRequest { digest, from }: &MountRequest,
) -> Option<RepoName> {
    let from = from.as_ref().filter(|_| Client::mounts(digest))?;
    upstream_repo.beside(from)
}

/// Other repositories of the same upstream known here to have the blob, by their names there. Their
/// content was verified here: a client with the bytes may have them there, one that only names a
/// digest may not.
pub(crate) async fn sources_beside(
    store: &Arc<dyn Store>,
    blocking: &BlockingPool,
    upstream_repo: &UpstreamRepo,
    digest: &Digest,
) -> Vec<RepoName> {
    // A caller's own login asks only for repositories that the caller named.
    if upstream_repo.upstream.caller_fingerprint().is_some() || !Client::mounts(digest) {
        return Vec::new();
    }
    let (store, digest) = (Arc::clone(store), *digest);
    let holders = blocking.run(move || store.settled_holders(&digest)).await;
    let holders = holders.unwrap_or_else(|error| {
        tracing::warn!(%error, "the repositories with a blob cannot be read");
        Vec::new()
    });
    let there = holders.iter().filter_map(|repo| upstream_repo.beside(repo));
    there.filter(|repo| *repo != upstream_repo.repo).take(MOUNTS_MAX).collect()
}

/// One try for a transfer, which otherwise sends the bytes: into the session that the upstream opened
/// in place of the mount, if it did.
pub(crate) async fn attempt(
    upstream_repo: &UpstreamRepo,
    digest: &Digest,
    from: &RepoName,
    urgency: Urgency,
) -> Option<StartedUpload> {
    if !Client::mounts(digest) {
        return None;
    }
    let UpstreamRepo { upstream, repo, .. } = upstream_repo;
    match upstream.client.mount(repo, digest, from, urgency).await {
        Ok(started) => Some(started),
        Err(error) => {
            tracing::debug!(upstream = upstream.address(), %error, "not mounted");
            None
        }
    }
}
