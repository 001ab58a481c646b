//! Content that an upstream lost of a manifest although the store has it: delivered again, so that
//! the push that found the loss need not be repeated. A client that asked before whether a blob is
//! there was answered from the links here, and has not sent it.
//!
//! Invariant: only content linked to this repository, with its bytes, goes out, under the lock of
//! each piece; bounded in pieces, in depth and in time. Links without bytes are forgotten, so that
//! the next push brings the content.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinSet;
use tokio::time::Instant;
use wharf_client::Conditions;
use wharf_oci::{Digest, Manifest, Reference};
use wharf_store::{StoreError, StoredManifest};

use super::references;
use super::references::{RequiredPart, UpstreamPush};
use crate::Error;
use crate::limits::{
    REDELIVERED_MAX, REDELIVERIES_AT_ONCE, REDELIVERY_DEPTH_MAX, REDELIVERY_TIME_MAX,
};
use crate::push::change_locks::{LockSet, RepoLocation};
use crate::registries::Target;

/// The redelivery of one push.
pub(super) struct Redelivery<'a> {
    push: &'a UpstreamPush,
    /// How many more pieces the search may visit.
    left: AtomicUsize,
    until: Instant,
}

/// The result of a manifest's redelivery.
enum Came {
    /// The upstream has all pieces.
    Nothing,
    Delivered,
    /// Neither the upstream nor the store has these pieces.
    Lacking(Vec<RequiredPart>),
}

/// Pieces missing at the upstream, by their state here.
#[derive(Default)]
struct Sorted {
    blobs: Vec<Digest>,
    manifests: Vec<(RequiredPart, StoredManifest)>,
    lacking: Vec<RequiredPart>,
}

impl<'a> Redelivery<'a> {
    pub(super) fn new(push: &'a UpstreamPush) -> Self {
        let until = Instant::now() + REDELIVERY_TIME_MAX;
        Self { push, left: AtomicUsize::new(REDELIVERED_MAX), until }
    }

    /// Delivers a manifest's missing pieces to the upstream; whether there were any, so that
    /// another try makes sense. An error names the pieces missing here too.
    pub(super) async fn of(&self, manifest: &Manifest) -> Result<bool, Error> {
        match self.pieces(manifest, 0).await? {
            Came::Nothing => Ok(false),
            Came::Delivered => Ok(true),
            Came::Lacking(lacking) => Err(references::unknown(&self.push.repo, &lacking)),
        }
    }

    /// Recursive, as indexes are.
    fn pieces<'b>(
        &'b self,
        manifest: &'b Manifest,
        depth: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Came, Error>> + Send + 'b>> {
        Box::pin(async move {
            let left = self.left.load(Ordering::Relaxed);
            let there = &self.push.upstream_repo;
            let missing = references::missing_there(there, manifest, left).await?;
            if missing.is_empty() || depth > REDELIVERY_DEPTH_MAX {
                return Ok(Came::Nothing);
            }
            self.left.store(left.saturating_sub(missing.len()), Ordering::Relaxed);
            let Sorted { blobs, manifests, mut lacking } = self.sort(missing).await?;
            if lacking.is_empty() {
                lacking.extend(self.blobs(blobs).await?);
            }
            if lacking.is_empty() {
                for (piece, stored) in manifests {
                    if !self.manifest(piece.digest(), stored, depth).await? {
                        lacking.push(piece);
                    }
                }
            }
            if lacking.is_empty() {
                return Ok(Came::Delivered);
            }
            for piece in &lacking {
                piece.forget(self.push).await?;
            }
            Ok(Came::Lacking(lacking))
        })
    }

    async fn sort(&self, missing: Vec<RequiredPart>) -> Result<Sorted, Error> {
        let UpstreamPush { app, repo, .. } = self.push;
        let (store, repo) = (Arc::clone(&app.cache.store), repo.clone());
        let sort = move || {
            let mut sorted = Sorted::default();
            for piece in missing {
                let digest = piece.digest();
                let has_blob = store.has_blob(&repo, &digest)? && store.stat(&digest)?.is_some();
                let is_blob = matches!(piece, RequiredPart::Blob(_)) && has_blob;
                let stored = if is_blob { None } else { store.manifest(&repo, &digest)? };
                match stored {
                    Some(stored) => sorted.manifests.push((piece, stored)),
                    None if has_blob => sorted.blobs.push(digest),
                    None => sorted.lacking.push(piece),
                }
            }
            Ok::<_, StoreError>(sorted)
        };
        Ok(app.cache.blocking.run(sort).await?)
    }

    /// Delivers blobs; returns those missing here, because another request deleted them meanwhile.
    async fn blobs(&self, digests: Vec<Digest>) -> Result<Vec<RequiredPart>, Error> {
        let (mut digests, mut sending) = (digests.into_iter(), JoinSet::new());
        let mut gone = Vec::new();
        loop {
            while sending.len() < REDELIVERIES_AT_ONCE
                && let Some(digest) = digests.next()
            {
                let (push, until) = (self.push.clone(), self.until);
                sending.spawn(blob(push, digest, until));
            }
            match sending.join_next().await {
                None => return Ok(gone),
                Some(Ok(Err(Error::BlobUnknown { digest, .. }))) => {
                    gone.push(RequiredPart::Blob(digest));
                }
                Some(Ok(sent)) => sent?,
                Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            }
        }
    }

    /// A manifest in an index, after its own pieces; `false` when one of those is nowhere.
    async fn manifest(
        &self,
        digest: Digest,
        stored: StoredManifest,
        depth: usize,
    ) -> Result<bool, Error> {
        if let Ok(manifest) = Manifest::read_outline(stored.bytes.clone(), Some(&stored.media_type))
            && let Came::Lacking(_) = self.pieces(&manifest, depth + 1).await?
        {
            return Ok(false);
        }
        let UpstreamPush { app, party, repo, upstream_repo } = self.push;
        let place = RepoLocation::of(&Target::Upstream(upstream_repo.clone()), repo);
        let wanted = LockSet::to_put(&place, digest, std::iter::empty());
        let _turn = app.turns.take(party, wanted).await?;
        let (reference, conditions) = (Reference::Digest(digest), Conditions::default());
        let (name, media_type) = ((&upstream_repo.repo, &reference), &stored.media_type);
        upstream_repo
            .upstream
            .client
            .put_manifest(name, media_type, stored.bytes, &conditions)
            .await?;
        tracing::info!(%repo, %digest, "a manifest was gone from the upstream and was put again");
        Ok(true)
    }
}

async fn blob(push: UpstreamPush, digest: Digest, until: Instant) -> Result<(), Error> {
    let UpstreamPush { app, party, repo, upstream_repo } = push;
    let wanted = LockSet::to_link(&Target::Upstream(upstream_repo.clone()), &repo, digest);
    let _turn = app.turns.take(&party, wanted).await?;
    app.outbox.redeliver(&repo, upstream_repo, digest, until).await?;
    tracing::info!(%repo, %digest, "a blob was gone from the upstream and was delivered again");
    Ok(())
}
