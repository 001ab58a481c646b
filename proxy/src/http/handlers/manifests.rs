//! `GET`, `HEAD` and `PUT` of manifests (distribution-spec end-3, end-7): reading them, and the
//! checks of a body. Puts under way are in `manifest_puts.rs`, the push in `manifest_push.rs`;
//! deletions are in `deletes.rs`.

use std::sync::Arc;

use http::{HeaderMap, header};
use wharf_client::{Accept, Conditions};
use wharf_oci::{Digest, Endpoint, Manifest, MediaType, ParseError, Reference, RepoName, Tag};

use super::manifest_push::{ManifestPut, ProvenManifest};
use super::request_body::{CollectBounds, RequestBody, WholeBody};
use super::{App, Call, manifest_puts};
use crate::Error;
use crate::http::response;
use crate::http::response::{Answer, OCI_SUBJECT, OCI_TAG};
use crate::limits::MANIFEST_COUNTED_LENGTHS_MAX;
use crate::push::change_locks::RepoLocation;
use crate::registries::Target;
use crate::runtime::memory_gauge::MemoryBudget;
use crate::settings::limits::Limits;

pub(super) async fn get(
    app: &App,
    Call { context, headers, .. }: &Call,
    repo: &RepoName,
    reference: &Reference,
    head: bool,
) -> Result<Answer, Error> {
    let accept = Accept::of(headers);
    let (manifest, outcome) = app.cache.manifest(context, repo, reference, accept).await?;
    app.metrics.outcome(outcome);
    if let Some(unchanged) = response::not_modified(headers, &manifest.digest, outcome) {
        return Ok(unchanged);
    }
    let size_bytes = manifest.bytes.len() as u64;
    let full = response::manifest(manifest, outcome);
    Ok(if head { response::head(full, size_bytes) } else { full })
}

/// Puts a manifest. Once the put has its locks it goes on to its end when the caller goes away: the
/// upstream may have done its part.
pub(super) async fn put(
    app: &Arc<App>,
    call: &Call,
    put: ManifestPut,
    body: &mut RequestBody,
) -> Result<Answer, Error> {
    let change = &call.change;
    let proven = match prove_body(app, call, put, body).await {
        Ok(proven) => proven,
        Err(error) => return change.ended(Err(error)),
    };
    let receipt = Receipt::of(&proven);
    let put = manifest_puts::put(app, proven, change).await;
    match &put {
        Ok(_) => change.done(Some(&receipt.digest)),
        Err(error) => change.failed(error),
    }
    put.map(|keeps_referrers| receipt.answer(keeps_referrers))
}

/// Proves a manifest with all its bytes here.
async fn prove_body(
    app: &Arc<App>,
    Call { context, headers, .. }: &Call,
    put: ManifestPut,
    body: &mut RequestBody,
) -> Result<ProvenManifest, Error> {
    let target = context.target_for_party(&put.repo)?;
    let conditions = Conditions::of(headers)?;
    let declared = declared(headers, &target)?;
    let whole = collect(headers, body, &put.budget, &context.config.limits).await?;
    let bytes = whole.bytes.clone();
    let length = bytes.len();
    let counted = bytes.clone();
    let outline_bytes =
        app.cache.blocking.read(length, move || Manifest::outline_bytes(&counted)).await;
    let most = length as u64 * MANIFEST_COUNTED_LENGTHS_MAX;
    whole.grow_to((length as u64 + outline_bytes).min(most))?;
    let (is_local, reference) = (matches!(target, Target::Local(_)), put.reference.clone());
    let read = move || {
        let manifest = if is_local {
            Manifest::accept(bytes, declared.as_ref())?
        } else {
            // The upstream decides about the media type of a manifest.
            Manifest::read_outline(bytes, declared.as_ref())?
        };
        let digest = prove(&manifest, &reference)?;
        Ok::<_, Error>((manifest, digest))
    };
    let (manifest, digest) = app.cache.blocking.read(length, read).await?;
    let place = RepoLocation::of(&target, &put.repo);
    Ok(ProvenManifest {
        put,
        target,
        place,
        conditions,
        manifest: Arc::new(manifest),
        digest,
        _body: whole,
    })
}

/// The result of a put for the client.
struct Receipt {
    digest: Digest,
    repo: RepoName,
    subject: Option<Digest>,
    tags: Vec<Tag>,
}

impl Receipt {
    fn of(proven: &ProvenManifest) -> Self {
        let subject = proven.manifest.subject().map(|subject| subject.digest);
        let (repo, tags) = (proven.put.repo.clone(), proven.put.tags.clone());
        Self { digest: proven.digest, repo, subject, tags }
    }

    fn answer(self, keeps_referrers: bool) -> Answer {
        let Self { digest, repo, subject, tags } = self;
        let location = Endpoint::Manifest { repo, reference: Reference::Digest(digest) };
        let mut created = response::created(location.to_string(), &digest);
        let subject = subject.filter(|_| keeps_referrers);
        let subject = subject.map(|subject| (OCI_SUBJECT, subject.to_string()));
        let tags = tags.iter().map(|tag| (OCI_TAG, tag.to_string()));
        for (name, value) in subject.into_iter().chain(tags) {
            if let Ok(value) = value.parse() {
                created.headers_mut().append(name, value);
            }
        }
        created
    }
}

/// The declared media type of a manifest. A malformed media type is refused for a local registry,
/// where no upstream decides.
fn declared(headers: &HeaderMap, target: &Target) -> Result<Option<MediaType>, Error> {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    match (text.map(str::parse).transpose(), target) {
        (Ok(declared), _) => Ok(declared),
        (Err(error), Target::Local(_)) => Err(Error::Parse(error)),
        (Err(_), Target::Upstream(_)) => Ok(None),
    }
}

/// A manifest by digest must have that digest, by the digest's own algorithm.
fn prove(manifest: &Manifest, reference: &Reference) -> Result<Digest, Error> {
    let Reference::Digest(expected) = reference else {
        return Ok(manifest.digest());
    };
    manifest.prove(expected).map_err(Error::DigestMismatch)?;
    Ok(*expected)
}

/// The body, refused as soon as it is known to be too large.
async fn collect(
    headers: &HeaderMap,
    body: &mut RequestBody,
    budget: &MemoryBudget,
    limits: &Limits,
) -> Result<WholeBody, Error> {
    let limit_bytes = limits.manifest_bytes;
    let too_large =
        |size_bytes| Error::Parse(ParseError::ManifestTooLarge { size_bytes, limit_bytes });
    let min_rate = limits.min_rate;
    body.collect(headers, CollectBounds { budget, limit_bytes, min_rate, too_large }).await
}
