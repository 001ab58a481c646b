//! Manifests: their size, and the time until replicas show them.

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::bodies::drain;
use super::call::Call;
use super::config::Referrers;
use super::fault::Fault;
use super::heads::DIGEST;
use super::locks::{Act, Target};
use super::referrers::SUBJECT;
use super::refusal::{Refusal, with_header};
use super::replicas::View;
use super::shared::Shared;
use wharf_testkit::http::{Body, empty, full, read_to_limit};

/// Every media type of a manifest.
const FORMS: &str = "application/vnd.oci.image.manifest.v1+json, \
    application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json";

/// GET and HEAD: a lagging replica's view of the manifest, outside of quarantine.
pub(crate) async fn read(
    shared: &Shared,
    call: &Call,
    (name, reference): (&str, &str),
    fault: Option<Fault>,
) -> Result<Response<Body>, Refusal> {
    shared.locks.check(name, &Target::of(reference), Act::Read)?;
    shared.locks.check_quarantine(name, reference)?;
    match shared.replicas.view(name, reference) {
        View::Current => call.relay(shared, call.target(), fault, empty()).await,
        View::Unknown => Err(Refusal::ManifestUnknown),
        View::Older(digest) => {
            let target = format!("/v2/{name}/manifests/{digest}");
            call.relay(shared, &target, fault, empty()).await
        }
    }
}

/// PUT.
pub(crate) async fn put(
    shared: &Shared,
    call: &Call,
    (name, reference): (&str, &str),
    mut body: Body,
) -> Result<Response<Body>, Refusal> {
    if let Err(refusal) = shared.locks.check(name, &Target::of(reference), Act::Write) {
        drain(body).await;
        return Err(refusal);
    }
    let bytes_max = shared.habits.manifest_bytes_max;
    let length = call.length().and_then(|length| usize::try_from(length).ok());
    let too_large = Refusal::ManifestTooLarge { bytes_max };
    if length.is_some_and(|length| length > bytes_max) {
        drain(body).await;
        return Err(too_large);
    }
    let Ok(manifest) = read_to_limit(&mut body, bytes_max).await else {
        drain(body).await;
        return Err(too_large);
    };
    let older = if shared.replicas.lags() { head(shared, name, reference).await? } else { None };
    let older = older.as_ref().and_then(digest_of);
    let answer = call.relay(shared, call.target(), None, full(manifest.clone())).await?;
    if answer.status() == StatusCode::CREATED {
        let digest = digest_of(answer.headers()).unwrap_or_default();
        shared.replicas.pushed(name, reference, older.filter(|older| *older != digest));
        if reference != digest {
            shared.replicas.pushed(name, &digest, None);
        }
        if shared.habits.quarantine {
            shared.locks.quarantine(name, reference, &digest)?;
        }
        if shared.habits.referrers == Referrers::Kept
            && let Some(subject) = shared.referring.pushed(name, &digest, &manifest)
        {
            return Ok(with_header(answer, SUBJECT, &subject));
        }
    }
    Ok(answer)
}

/// DELETE.
pub(crate) async fn delete(
    shared: &Shared,
    call: &Call,
    (name, reference): (&str, &str),
    fault: Option<Fault>,
) -> Result<Response<Body>, Refusal> {
    shared.locks.check(name, &Target::of(reference), Act::Delete)?;
    let target = format!("/v2/{name}/manifests/{reference}");
    let answer = call.relay(shared, &target, fault, empty()).await?;
    if answer.status().is_success() {
        shared.referring.deleted(name, reference);
    }
    Ok(answer)
}

/// The headers of a manifest in the backing registry, when it is there.
pub(crate) async fn head(
    shared: &Shared,
    name: &str,
    reference: &str,
) -> Result<Option<HeaderMap>, Refusal> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static(FORMS));
    let target = format!("/v2/{name}/manifests/{reference}");
    let answer = shared.backing.send(Method::HEAD, &target, headers, empty()).await?;
    Ok((answer.status() == StatusCode::OK).then(|| answer.headers().clone()))
}

pub(crate) fn digest_of(headers: &HeaderMap) -> Option<String> {
    Some(headers.get(DIGEST)?.to_str().ok()?.to_owned())
}
