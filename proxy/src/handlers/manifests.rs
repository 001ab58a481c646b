//! `GET`, `HEAD`, `PUT` and `DELETE` of manifests (distribution-spec end-3, end-7, end-9).

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use wharf_oci::{
    Digest, Digester, Endpoint, MANIFEST_SIZE_BYTES_MAX, Manifest, MediaType, ParseError,
    Reference, RepoName, Tag,
};
use wharf_store::TagRecord;

use super::{App, content};
use crate::Error;
use crate::body::Body;
use crate::cache::{Store, now_ms};
use crate::limits::STALL_TIMEOUT;
use crate::response::{self, Answer, OCI_SUBJECT, OCI_TAG};
use crate::upstreams::{Remote, Site};

/// Which manifest is put where.
pub(super) struct Put {
    pub(super) repo: RepoName,
    pub(super) reference: Reference,
    pub(super) tags: Vec<Tag>,
}

pub(super) async fn get(
    app: &App,
    repo: &RepoName,
    reference: &Reference,
    head: bool,
    headers: &HeaderMap,
) -> Result<Answer, Error> {
    let (manifest, outcome) = app.cache.manifest(repo, reference).await?;
    app.metrics.outcome(outcome);
    if let Some(unchanged) = response::not_modified(headers, &manifest.digest, outcome) {
        return Ok(unchanged);
    }
    let size_bytes = manifest.bytes.len() as u64;
    let full = response::manifest(manifest, outcome);
    Ok(if head { response::head(full, size_bytes) } else { full })
}

pub(super) async fn put(
    app: &App,
    put: Put,
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Result<Answer, Error> {
    let site = app.cache.upstreams.site(&put.repo)?;
    let declared = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let declared = declared.map(str::parse::<MediaType>).transpose()?;
    let bytes = collect(headers, body).await?;
    let manifest = Manifest::parse(bytes, declared.as_ref())?;
    let digest = prove(&manifest, &put.reference)?;
    content::require(app, &put.repo, &site, &manifest).await?;
    let keeps_referrers = match &site {
        Site::Local => true,
        Site::Remote(remote) => match forward(remote, &put, &manifest).await {
            Ok(keeps_referrers) => keeps_referrers,
            Err(refusal) => {
                let repo = &put.repo;
                return Err(content::after_refusal(app, repo, remote, &manifest, refusal).await);
            }
        },
    };
    keep(app, &put, &manifest, digest).await?;
    let location = Endpoint::Manifest { repo: put.repo, reference: Reference::Digest(digest) };
    let mut created = response::created(location.to_string(), &digest);
    let subject = manifest.subject().filter(|_| keeps_referrers);
    let subject = subject.map(|subject| (OCI_SUBJECT, subject.digest.to_string()));
    let tags = put.tags.iter().map(|tag| (OCI_TAG, tag.to_string()));
    for (name, value) in subject.into_iter().chain(tags) {
        if let Ok(value) = value.parse() {
            created.headers_mut().append(name, value);
        }
    }
    Ok(created)
}

/// A manifest by digest must be that content, by the digest's own algorithm.
fn prove(manifest: &Manifest, reference: &Reference) -> Result<Digest, Error> {
    let Reference::Digest(expected) = reference else {
        return Ok(manifest.digest());
    };
    let mut digester = Digester::new(expected.algorithm());
    digester.update(manifest.bytes());
    digester.finish().expect(expected).map_err(Error::DigestMismatch)?;
    Ok(*expected)
}

/// Gives the upstream the same bytes, under every name.
async fn forward(remote: &Remote, put: &Put, manifest: &Manifest) -> Result<bool, Error> {
    let media_type = manifest.media_type();
    let send = |reference: Reference| async move {
        let bytes = manifest.bytes().clone();
        remote.upstream.put_manifest(&remote.repo, &reference, media_type, bytes).await
    };
    let accepted = send(put.reference.clone()).await?;
    for tag in &put.tags {
        send(Reference::Tag(tag.clone())).await?;
    }
    Ok(accepted.keeps_referrers)
}

async fn keep(app: &App, put: &Put, manifest: &Manifest, digest: Digest) -> Result<(), Error> {
    let record = TagRecord { digest, checked_ms: now_ms() };
    let named = match &put.reference {
        Reference::Tag(tag) => Some(tag),
        Reference::Digest(_) => None,
    };
    let tags: Vec<_> = put.tags.iter().chain(named).map(|tag| (tag.clone(), record)).collect();
    let manifest = manifest.clone();
    let change = move |store: &dyn Store, repo: &RepoName| {
        store.put_manifest(repo, &manifest, &digest, &tags)
    };
    app.cache.change(&put.repo, change).await
}

pub(super) async fn delete(
    app: &App,
    repo: &RepoName,
    reference: &Reference,
) -> Result<Answer, Error> {
    let mut known = false;
    if let Site::Remote(remote) = app.cache.upstreams.site(repo)? {
        let (repo, reference) = (remote.repo.clone(), reference.clone());
        known = remote.upstream.delete(&Endpoint::Manifest { repo, reference }).await?;
    }
    let wanted = reference.clone();
    let change = move |store: &dyn Store, repo: &RepoName| match &wanted {
        Reference::Tag(tag) => store.remove_tag(repo, tag),
        Reference::Digest(digest) => store.remove_manifest(repo, digest),
    };
    known |= app.cache.change(repo, change).await?;
    if !known {
        let reference = reference.to_string();
        return Err(Error::ManifestUnknown { repo: repo.clone(), reference });
    }
    Ok(response::answer(StatusCode::ACCEPTED, &[], Body::empty()))
}

/// The body, refused as soon as it is known to be too large.
async fn collect(headers: &HeaderMap, body: &mut Incoming) -> Result<Bytes, Error> {
    let too_large = |size_bytes| {
        Err(Error::Parse(ParseError::ManifestTooLarge {
            size_bytes,
            limit_bytes: MANIFEST_SIZE_BYTES_MAX,
        }))
    };
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    if let Some(size) = announced.filter(|size: &u64| *size > MANIFEST_SIZE_BYTES_MAX) {
        return too_large(size);
    }
    let mut collected = BytesMut::new();
    loop {
        let frame = tokio::time::timeout(STALL_TIMEOUT, body.frame()).await;
        let frame = match frame.map_err(|_| Error::BodyBroken)? {
            None => return Ok(collected.freeze()),
            Some(frame) => frame.map_err(|_| Error::BodyBroken)?,
        };
        if let Ok(bytes) = frame.into_data() {
            let size = (collected.len() + bytes.len()) as u64;
            if size > MANIFEST_SIZE_BYTES_MAX {
                return too_large(size);
            }
            collected.extend_from_slice(&bytes);
        }
    }
}
