//! Whether a manifest's content is there before the manifest is: blobs, and for an index its
//! children. Content linked to the repository here costs no request; the upstream is asked for the
//! rest.
//!
//! Invariant: "unknown" is said only of content that a local registry's store does not have, or
//! that the upstream denied having. An upstream that cannot answer is an error of its own.

use std::collections::HashSet;
use std::sync::Arc;

use http::StatusCode;
use tokio::task::JoinSet;
use wharf_client::runtime::party::Party;
use wharf_client::{BlobState, TagState, Urgency};
use wharf_oci::{Descriptor, Digest, ErrorCode, Manifest, Reference, RepoName};
use wharf_store::StoreError;

use super::App;
use crate::Error;
use crate::limits::{MISSING_NAMED_MAX, PART_QUESTIONS_MAX};
use crate::pull::Change;
use crate::push::change_locks::LockSet;
use crate::registries::{Target, UpstreamRepo};
use crate::runtime::store::Store;

/// A push to a repository of an upstream.
#[derive(Clone)]
pub(super) struct UpstreamPush {
    pub(super) app: Arc<App>,
    /// The party of the push.
    pub(super) party: Party,
    /// By its name here.
    pub(super) repo: RepoName,
    pub(super) upstream_repo: UpstreamRepo,
}

/// A blob or manifest named by a manifest that must exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum RequiredPart {
    Blob(Digest),
    Manifest(Digest),
    /// One of the two: its media type does not say which.
    Either(Digest),
}

/// All content of a manifest must be in the repository first; otherwise the manifest could never be
/// pulled.
pub(super) async fn require(
    app: &App,
    repo: &RepoName,
    target: &Target,
    manifest: &Manifest,
) -> Result<(), Error> {
    let is_kept_here = matches!(target, Target::Local(_));
    let (store, of, wanted) = (Arc::clone(&app.cache.store), repo.clone(), pieces(manifest));
    let look = move || {
        let mut missing = Vec::new();
        for piece in wanted {
            if !piece.is_here(&*store, &of, is_kept_here)? {
                missing.push(piece);
            }
        }
        Ok::<_, StoreError>(missing)
    };
    let missing = app.cache.blocking.run(look).await?;
    let missing = match target {
        Target::Local(_) => missing,
        Target::Upstream(upstream_repo) => {
            not_there(upstream_repo, missing, MISSING_NAMED_MAX).await?
        }
    };
    if missing.is_empty() { Ok(()) } else { Err(unknown(repo, &missing)) }
}

/// The error for a manifest refused by the upstream, also after `redelivery.rs`. When the upstream
/// misses content, it is asked for each piece, also for those linked here: missing pieces are
/// forgotten here too, so that the next push brings them.
pub(super) async fn after_refusal(
    push: &UpstreamPush,
    manifest: &Manifest,
    refusal: Error,
) -> Error {
    if !is_about_content(&refusal) {
        return refusal;
    }
    let missing = match missing_there(&push.upstream_repo, manifest, MISSING_NAMED_MAX).await {
        Ok(missing) if missing.is_empty() => return refusal,
        Ok(missing) => missing,
        Err(error) => return error,
    };
    for piece in &missing {
        if let Err(error) = piece.forget(push).await {
            return error;
        }
    }
    unknown(&push.repo, &missing)
}

/// Pieces of a manifest missing at the upstream, also pieces linked here; at most `most`.
pub(super) async fn missing_there(
    upstream_repo: &UpstreamRepo,
    manifest: &Manifest,
    most: usize,
) -> Result<Vec<RequiredPart>, Error> {
    not_there(upstream_repo, pieces(manifest), most).await
}

pub(super) fn unknown(repo: &RepoName, missing: &[RequiredPart]) -> Error {
    let missing = missing.iter().take(MISSING_NAMED_MAX).map(RequiredPart::digest).collect();
    Error::ManifestBlobUnknown { repo: repo.clone(), missing }
}

/// Whether a refusal of a manifest can mean missing content at the upstream. Registries differ in
/// their codes for it.
pub(super) fn is_about_content(refusal: &Error) -> bool {
    let Error::UpstreamRefused { status, code, .. } = refusal else { return false };
    match code {
        ErrorCode::ManifestBlobUnknown | ErrorCode::BlobUnknown | ErrorCode::ManifestUnknown => {
            true
        }
        // The repository itself may have been deleted there, with all its content.
        ErrorCode::NameUnknown | ErrorCode::ManifestInvalid | ErrorCode::Unknown => {
            matches!(*status, StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND)
        }
        _ => false,
    }
}

/// The required content, each piece once, in the order of the manifest. Layers that registries need
/// not hold are no part of it.
fn pieces(manifest: &Manifest) -> Vec<RequiredPart> {
    let required = manifest.blobs().filter(|blob| !blob.may_be_elsewhere());
    let blobs = required.map(|blob| RequiredPart::Blob(blob.digest));
    let children = manifest.children().iter().map(RequiredPart::listed);
    let mut seen = HashSet::new();
    blobs.chain(children).filter(|piece| seen.insert(*piece)).collect()
}

/// The pieces missing at the upstream, in their order; after `most` of them it is not asked about
/// the rest.
async fn not_there(
    upstream_repo: &UpstreamRepo,
    wanted: Vec<RequiredPart>,
    most: usize,
) -> Result<Vec<RequiredPart>, Error> {
    let (mut wanted, mut asked) = (wanted.into_iter().enumerate(), JoinSet::new());
    let mut missing = Vec::new();
    loop {
        while asked.len() < PART_QUESTIONS_MAX && missing.len() < most {
            let Some((place, piece)) = wanted.next() else { break };
            let upstream_repo = upstream_repo.clone();
            asked.spawn(async move { (place, piece, piece.is_there(&upstream_repo).await) });
        }
        match asked.join_next().await {
            None => break,
            Some(Ok((_, _, Ok(true)))) => {}
            Some(Ok((place, piece, Ok(false)))) => missing.push((place, piece)),
            Some(Ok((_, _, Err(error)))) => return Err(error),
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    missing.sort_by_key(|(place, _)| *place);
    Ok(missing.into_iter().map(|(_, piece)| piece).collect())
}

impl RequiredPart {
    /// An entry of an index: mostly a manifest. `BuildKit` lists the layers of its cache in one.
    fn listed(entry: &Descriptor) -> Self {
        match &entry.media_type {
            media_type if media_type.is_manifest() => Self::Manifest(entry.digest),
            media_type if media_type.is_blob() => Self::Blob(entry.digest),
            _ => Self::Either(entry.digest),
        }
    }

    pub(super) const fn digest(&self) -> Digest {
        match self {
            Self::Blob(digest) | Self::Manifest(digest) | Self::Either(digest) => *digest,
        }
    }

    /// Whether the repository has it as far as is known here. A blob that was evicted is at the
    /// upstream all the same; where there is none, its bytes must be here.
    fn is_here(
        self,
        store: &dyn Store,
        repo: &RepoName,
        with_bytes: bool,
    ) -> Result<bool, StoreError> {
        match self {
            Self::Blob(digest) => {
                Ok(store.has_blob(repo, &digest)?
                    && (!with_bytes || store.stat(&digest)?.is_some()))
            }
            Self::Manifest(digest) => Ok(store.manifest(repo, &digest)?.is_some()),
            Self::Either(digest) => Ok(Self::Manifest(digest).is_here(store, repo, with_bytes)?
                || Self::Blob(digest).is_here(store, repo, with_bytes)?),
        }
    }

    /// Takes the piece from the repository here, unless another client has pushed it meanwhile:
    /// then it is in the outbox, or at the upstream after all.
    pub(super) async fn forget(self, push: &UpstreamPush) -> Result<(), Error> {
        let UpstreamPush { app, party, repo, upstream_repo } = push;
        let _turn = match self {
            Self::Blob(digest) | Self::Either(digest) => {
                let target = Target::Upstream(upstream_repo.clone());
                Some(app.turns.take(party, LockSet::to_unlink(&target, repo, digest)).await?)
            }
            Self::Manifest(_) => None,
        };
        if app.outbox.owes(repo, &self.digest()) || self.is_there(upstream_repo).await? {
            return Ok(());
        }
        let forget = move |store: &dyn Store, repo: &RepoName| match self {
            Self::Blob(digest) => store.unlink_blob(repo, &digest),
            Self::Manifest(digest) => store.remove_manifest(repo, &digest),
            Self::Either(digest) => {
                store.unlink_blob(repo, &digest).and(store.remove_manifest(repo, &digest))
            }
        };
        app.cache.change(repo, Change::Removal, forget).await.map(|_| ())
    }

    async fn is_there(self, upstream_repo: &UpstreamRepo) -> Result<bool, Error> {
        match self {
            Self::Blob(digest) => {
                let there = upstream_repo
                    .upstream
                    .client
                    .blob_there(&upstream_repo.repo, &digest, Urgency::Long)
                    .await?;
                Ok(there != BlobState::Absent)
            }
            Self::Manifest(digest) => {
                let reference = Reference::Digest(digest);
                let there = upstream_repo
                    .upstream
                    .client
                    .manifest_there(&upstream_repo.repo, &reference)
                    .await?;
                Ok(there != TagState::Absent)
            }
            // As a blob first: some registries fail at a manifest request for a blob.
            Self::Either(digest) => Ok(Box::pin(Self::Blob(digest).is_there(upstream_repo))
                .await?
                || Box::pin(Self::Manifest(digest).is_there(upstream_repo)).await?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use wharf_oci::{Algorithm, Digester};

    fn digest(content: &[u8]) -> Digest {
        Digester::digest(Algorithm::Sha256, content)
    }

    fn descriptor(media_type: &str, content: &[u8]) -> Value {
        json!({ "mediaType": media_type, "digest": digest(content), "size": content.len() })
    }

    #[test]
    fn each_piece_counts_once_and_foreign_layers_do_not() {
        let mut elsewhere = descriptor("application/x", b"elsewhere");
        elsewhere["urls"] = json!(["https://example.com/layer"]);
        let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
        let layers = [
            descriptor("application/x", b"layer"),
            descriptor("application/x", b"layer"),
            descriptor(foreign, b"foreign"),
            elsewhere,
        ];
        let image = json!({
            "schemaVersion": 2, "config": descriptor("application/x", b"config"), "layers": layers,
        });
        let image = Manifest::parse(image.to_string().into(), None).unwrap();
        assert_eq!(
            pieces(&image),
            [RequiredPart::Blob(digest(b"config")), RequiredPart::Blob(digest(b"layer"))]
        );
        let child = descriptor("application/vnd.oci.image.manifest.v1+json", b"child");
        let index = json!({ "schemaVersion": 2, "manifests": [child] });
        let index = Manifest::parse(index.to_string().into(), None).unwrap();
        assert_eq!(pieces(&index), [RequiredPart::Manifest(digest(b"child"))]);
    }

    #[test]
    fn an_entry_of_an_index_is_what_its_type_says_or_either() {
        let entries = [
            descriptor("application/vnd.docker.distribution.manifest.v2+json", b"manifest"),
            descriptor("application/vnd.oci.image.layer.v1.tar+zstd", b"layer"),
            descriptor("application/vnd.docker.container.image.v1+json", b"config"),
            descriptor("application/vnd.buildkit.cacheconfig.v0", b"cache"),
            json!({ "digest": digest(b"untold") }),
        ];
        let index = json!({ "schemaVersion": 2, "manifests": entries });
        let index = Manifest::accept(index.to_string().into(), None).unwrap();
        let pieces = pieces(&index);
        assert_eq!(
            pieces,
            [
                RequiredPart::Manifest(digest(b"manifest")),
                RequiredPart::Blob(digest(b"layer")),
                RequiredPart::Blob(digest(b"config")),
                RequiredPart::Either(digest(b"cache")),
                RequiredPart::Either(digest(b"untold")),
            ]
        );
    }

    #[test]
    fn only_refusals_that_can_be_about_content_are_looked_into() {
        let refused = |status: u16, code| Error::UpstreamRefused {
            status: StatusCode::from_u16(status).unwrap(),
            code,
            message: String::new(),
        };
        assert!(is_about_content(&refused(404, ErrorCode::ManifestBlobUnknown)));
        assert!(is_about_content(&refused(400, ErrorCode::ManifestInvalid)));
        assert!(is_about_content(&refused(404, ErrorCode::NameUnknown)));
        assert!(!is_about_content(&refused(405, ErrorCode::Unsupported)));
        assert!(!is_about_content(&refused(500, ErrorCode::Unknown)));
        assert!(!is_about_content(&Error::UpstreamDenied { status: StatusCode::FORBIDDEN }));
    }
}
