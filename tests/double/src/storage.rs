//! The storage behind the redirects: signed links, and the second port as their server.
//!
//! It speaks as Azure's blob storage does: errors in XML, no digest header, and no tolerance for an
//! `Authorization` header. Bytes stream from the backing registry.

use std::sync::Arc;
use std::time::Duration;

use http::header::{
    ACCEPT_RANGES, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, RANGE,
    RETRY_AFTER,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::backing::cleaned;
use super::bodies::Counted;
use super::broken::{Surroundings, break_answer};
use super::counts::{Entry, Flow};
use super::credentials::host;
use super::fault::{Fault, Rejection};
use super::faults::Asked;
use super::heads::DIGEST;
use super::kind::Kind;
use super::listen::{Connection, HangUp, Outcome};
use super::refusal::with_header;
use super::route::Query;
use super::shared::Shared;
use super::{astray, heads};
use wharf_testkit::http::{Body, empty, full};

/// Why the storage refuses, in its own words' form.
enum Denial {
    AuthenticationInfo,
    Signature,
    Path,
    Method,
    Range,
    Blob,
    Ordered(Rejection),
    Backing,
}

impl Denial {
    fn into_response(self) -> Response<Body> {
        let (status, code, retry) = match self {
            Self::AuthenticationInfo => {
                (StatusCode::BAD_REQUEST, "InvalidAuthenticationInfo", None)
            }
            Self::Signature => (StatusCode::FORBIDDEN, "AuthenticationFailed", None),
            Self::Path => (StatusCode::BAD_REQUEST, "InvalidUri", None),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "UnsupportedHttpVerb", None),
            Self::Range => (StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange", None),
            Self::Blob => (StatusCode::NOT_FOUND, "BlobNotFound", None),
            Self::Ordered(Rejection { status, retry_after }) => {
                let status = StatusCode::from_u16(status);
                let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                (status, ordered_code(status), retry_after)
            }
            Self::Backing => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError", None),
        };
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code>\
             <Message>{code}</Message></Error>"
        );
        let mut response = Response::new(full(text));
        *response.status_mut() = status;
        let response = with_header(response, CONTENT_TYPE, "application/xml");
        match retry {
            Some(text) => with_header(response, RETRY_AFTER, &text),
            None => response,
        }
    }
}

/// The storage's error code for a status ordered by a test.
fn ordered_code(status: StatusCode) -> &'static str {
    match status.as_u16() {
        403 => "AuthenticationFailed",
        404 => "BlobNotFound",
        416 => "InvalidRange",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServerBusy",
        504 => "OperationTimedOut",
        _ => "UnknownError",
    }
}

/// One request, and the facts known before its response.
struct Call {
    request: Request<Incoming>,
    entry: Entry,
}

/// Answers one request on the storage port.
pub(crate) async fn handle(
    shared: Arc<Shared>,
    request: Request<Incoming>,
    connection: Connection,
) -> Result<Response<Body>, HangUp> {
    let digest = blob_of(request.uri().path()).map(str::to_owned);
    let kind = match request.method().as_str() {
        "GET" => Kind::StorageGet,
        "HEAD" => Kind::StorageHead,
        _ => Kind::Other,
    };
    let entry = Entry::of(request.method(), request.uri(), request.headers());
    let call = Call { request, entry: Entry { kind, digest, ..entry } };
    let around = Surroundings { connection: connection.clone(), shared: Arc::clone(&shared) };
    let answer = answer(&around, &call).await;
    let outcome = answer.unwrap_or_else(|denial| Outcome::Answer(denial.into_response()));
    shared.recorder.record(Entry { status: outcome.status(), ..call.entry });
    let answer = outcome.on(&connection)?;
    if !answer.status().is_success() {
        return Ok(answer);
    }
    let (parts, body) = answer.into_parts();
    let body = Counted::wrap(body, Arc::clone(&shared.recorder), Flow::Storage);
    Ok(Response::from_parts(parts, body))
}

fn blob_of(path: &str) -> Option<&str> {
    path.strip_prefix("/blobs/")?.strip_suffix("/data").filter(|digest| !digest.contains('/'))
}

async fn answer(around: &Surroundings, call: &Call) -> Result<Outcome, Denial> {
    let (shared, headers) = (&*around.shared, call.request.headers());
    if headers.contains_key(AUTHORIZATION) {
        return Err(Denial::AuthenticationInfo);
    }
    if !matches!(call.entry.kind, Kind::StorageGet | Kind::StorageHead) {
        return Err(Denial::Method);
    }
    let digest = call.entry.digest.as_deref().ok_or(Denial::Path)?;
    let uri = call.request.uri();
    let query = Query::parse(uri.query().unwrap_or_default().as_bytes());
    let name = shared.links.check(digest, &query).ok_or(Denial::Signature)?;
    let host = host(headers).map_err(|_| Denial::Path)?;
    if let Some(hop) = astray::next_hop(&query, &host, uri) {
        return Ok(Outcome::Answer(hop));
    }
    let ranged = headers.contains_key(RANGE);
    let (kind, repo) = (call.entry.kind, Some(name.as_str()));
    let asked = Asked { kind, digest: Some(digest), repo, ranged };
    let Some(fault) = shared.faults.take(&asked) else {
        let blob = fetch(shared, call.request.method(), headers, &name, digest).await?;
        return Ok(Outcome::Answer(blob));
    };
    if let Some(away) = astray::ordered(fault, &host, uri) {
        return Ok(Outcome::Answer(away));
    }
    if fault == Fault::RedirectElsewhere {
        let target = format!("/v2/{name}/blobs/{digest}");
        return Ok(Outcome::Answer(astray::elsewhere(shared.elsewhere_addr, &target)));
    }
    if let Some(outcome) = begin_fault(shared, call, fault).await? {
        return Ok(outcome);
    }
    let asked = heads::asked_instead(headers, Some(fault));
    let blob = fetch(shared, call.request.method(), &asked, &name, digest).await?;
    Ok(Outcome::Answer(break_answer(heads::lie(blob, fault), fault, around.clone())))
}

/// The effect of a fault before the blob is fetched; `None` when the fetch goes on.
async fn begin_fault(
    shared: &Shared,
    call: &Call,
    fault: Fault,
) -> Result<Option<Outcome>, Denial> {
    if let Some(rejection) = fault.rejection() {
        return Err(Denial::Ordered(rejection));
    }
    match fault {
        Fault::ExpiredLink => Err(Denial::Signature),
        Fault::HangUp { reset } => Ok(Some(Outcome::HangUp { reset })),
        Fault::Hang => {
            let abandoned = shared.recorder.unless_answered(call.entry.clone());
            shared.holds.hold().await;
            abandoned.answered();
            Ok(None)
        }
        Fault::Late { by_ms, .. } => {
            let abandoned = shared.recorder.unless_answered(call.entry.clone());
            tokio::time::sleep(Duration::from_millis(by_ms)).await;
            abandoned.answered();
            Ok(None)
        }
        _ => Ok(None),
    }
}

async fn fetch(
    shared: &Shared,
    method: &Method,
    headers: &HeaderMap,
    name: &str,
    digest: &str,
) -> Result<Response<Body>, Denial> {
    let mut passed = HeaderMap::new();
    let habits = &shared.habits;
    if let Some(range) = headers.get(RANGE).filter(|_| habits.storage_ranges) {
        passed.insert(RANGE, range.clone());
    }
    let target = format!("/v2/{name}/blobs/{digest}");
    let fetched = shared.backing.send(method.clone(), &target, passed, empty()).await;
    let (mut parts, body) = cleaned(fetched.map_err(|_| Denial::Backing)?).into_parts();
    match parts.status {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => {}
        StatusCode::RANGE_NOT_SATISFIABLE => return Err(Denial::Range),
        StatusCode::NOT_FOUND => return Err(Denial::Blob),
        _ => return Err(Denial::Backing),
    }
    let mut kept = HeaderMap::new();
    for name in [ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG] {
        if let Some(value) = parts.headers.remove(&name) {
            kept.insert(name, value);
        }
    }
    parts.headers = kept;
    let response = Response::from_parts(parts, body);
    let mut response = with_header(response, CONTENT_TYPE, "application/octet-stream");
    if !habits.storage_ranges {
        response.headers_mut().remove(ACCEPT_RANGES);
    }
    if !habits.storage_etags {
        response.headers_mut().remove(ETAG);
    }
    if habits.digest_on_storage {
        response = with_header(response, DIGEST, digest);
    }
    let blob_type = http::HeaderName::from_static("x-ms-blob-type");
    Ok(with_header(response, blob_type, "BlockBlob"))
}
