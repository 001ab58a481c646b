//! The registry's port: credentials first, then faults on order, then the request itself.
//!
//! Every request but those to `/_double/` is recorded with the status it got.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::auth::{self, Authorization};
use super::bodies::{break_answer, drain, read_some};
use super::counts::{Entry, Kind};
use super::faults::Fault;
use super::listen::{Connection, HangUp};
use super::refusal::{Refusal, json_response, with_header};
use super::route::{Query, Route};
use super::shared::Shared;
use super::{control, paging, uploads};
use crate::http::{Body, empty, full, read_to_limit};

/// ACR's limit of a manifest.
const MANIFEST_BYTES_MAX: usize = 4 * 1024 * 1024;

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// One request, read as far as its head goes.
struct Call {
    route: Route,
    query: Query,
    kind: Kind,
    digest: Option<String>,
    parts: Parts,
}

/// What becomes of a request.
enum Outcome {
    Answer(Response<Body>),
    HangUp,
}

/// Answers one request on the registry's port.
pub(crate) async fn handle(
    shared: Arc<Shared>,
    request: Request<Incoming>,
    connection: Connection,
) -> Result<Response<Body>, HangUp> {
    let (parts, body) = request.into_parts();
    let route = Route::parse(parts.uri.path());
    if let Route::Control { action } = &route {
        let answer = control::handle(&shared, &parts.method, action, body).await;
        return Ok(answer.unwrap_or_else(Refusal::into_response));
    }
    let query = Query::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let (kind, digest) = (route.kind(&parts.method), route.digest(&query));
    let call = Call { route, query, kind, digest, parts };
    let outcome = answer(&shared, &call, body, &connection).await;
    let status = match &outcome {
        Outcome::Answer(answer) => answer.status().as_u16(),
        Outcome::HangUp => 0,
    };
    shared.recorder.record(Entry {
        kind: call.kind,
        method: call.parts.method.to_string(),
        path: call.parts.uri.path().to_owned(),
        digest: call.digest.clone(),
        credentials: Authorization::of(&call.parts.headers).credentials(),
        status,
    });
    match outcome {
        Outcome::Answer(mut answer) => {
            answer.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
            Ok(answer)
        }
        Outcome::HangUp => {
            connection.reset_when_closed();
            Err(HangUp)
        }
    }
}

async fn answer(shared: &Shared, call: &Call, body: Incoming, connection: &Connection) -> Outcome {
    if !matches!(call.route, Route::Token | Route::Exchange) {
        let needed = call.route.scopes(&call.parts.method, &call.query);
        let (accounts, tokens) = (shared.authority.accounts(), shared.authority.tokens());
        if let Err(refusal) = auth::admit(accounts, tokens, &call.parts.headers, &needed) {
            drain(body).await;
            return Outcome::Answer(refusal.into_response());
        }
    }
    let fault = shared.faults.take(call.kind, call.digest.as_deref());
    let has_body = !matches!(call.parts.method, Method::GET | Method::HEAD | Method::DELETE);
    match fault {
        Some(Fault::TooManyRequests { retry_after_s }) => {
            drain(body).await;
            return Outcome::Answer(Refusal::TooManyRequests { retry_after_s }.into_response());
        }
        Some(Fault::Unavailable) => {
            drain(body).await;
            return Outcome::Answer(Refusal::Unavailable.into_response());
        }
        Some(Fault::Reset { after }) if has_body => {
            read_some(body, after).await;
            return Outcome::HangUp;
        }
        _ => {}
    }
    let answer = dispatch(shared, call, body).await.unwrap_or_else(Refusal::into_response);
    Outcome::Answer(match fault {
        Some(fault) => break_answer(answer, fault, connection),
        None => answer,
    })
}

async fn dispatch(shared: &Shared, call: &Call, body: Incoming) -> Result<Response<Body>, Refusal> {
    let (backing, query, method) = (&shared.backing, &call.query, &call.parts.method);
    let page_size = shared.habits.page_size;
    match (&call.route, method.as_str()) {
        (Route::Token, _) => shared.authority.token(&call.parts, query, body).await,
        (Route::Exchange, _) => shared.authority.exchange(&call.parts, body).await,
        (Route::Version, "GET" | "HEAD") => {
            Ok(json_response(StatusCode::OK, &serde_json::json!({})))
        }
        (Route::Catalog, "GET") => paging::catalog(backing, query, page_size).await,
        (Route::Tags { name }, "GET") => paging::tags(backing, name, query, page_size).await,
        (Route::Blob { name, digest }, "GET" | "HEAD") => {
            redirect(shared, call, name, digest).await
        }
        (Route::Manifest { .. }, "PUT") => put_manifest(shared, call, body).await,
        (Route::Manifest { .. }, "GET" | "HEAD" | "DELETE")
        | (Route::Blob { .. }, "DELETE")
        | (Route::Referrers { .. }, "GET") => relay(shared, call, empty()).await,
        (Route::Uploads { name }, "POST") => {
            // ACR's single POST is not promised anywhere: the content is not taken, and the answer
            // names a session as the protocol allows.
            drain(body).await;
            uploads::start(shared, name, query).await
        }
        (Route::Upload { name, id }, _) => {
            let request = uploads::UploadRequest { name, id, query, parts: &call.parts };
            upload(shared, &request, body).await
        }
        _ => {
            drain(body).await;
            Err(Refusal::RouteUnknown)
        }
    }
}

async fn upload(
    shared: &Shared,
    request: &uploads::UploadRequest<'_>,
    body: Incoming,
) -> Result<Response<Body>, Refusal> {
    match request.parts.method {
        Method::GET => uploads::status(shared, request).await,
        Method::DELETE => uploads::cancel(shared, request).await,
        Method::PATCH | Method::PUT => uploads::receive(shared, request, body).await,
        _ => {
            drain(body).await;
            Err(Refusal::RouteUnknown)
        }
    }
}

/// A blob that is there is not sent: the answer says where the storage has it.
async fn redirect(
    shared: &Shared,
    call: &Call,
    name: &str,
    digest: &str,
) -> Result<Response<Body>, Refusal> {
    let host = auth::host(&call.parts.headers)?;
    let mut head = Request::new(empty());
    *head.method_mut() = Method::HEAD;
    let found = shared.backing.relay(head, call.parts.uri.path()).await?;
    if found.status() == StatusCode::OK {
        return Ok(shared.links.redirect(&shared.storage_base(&host), name, digest));
    }
    // The answer to a HEAD has no body; a GET of what is missing is answered with one.
    relay(shared, call, empty()).await
}

async fn put_manifest(
    shared: &Shared,
    call: &Call,
    mut body: Incoming,
) -> Result<Response<Body>, Refusal> {
    let length = call.parts.headers.get(http::header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > MANIFEST_BYTES_MAX) {
        drain(body).await;
        return Err(Refusal::ManifestTooLarge);
    }
    if let Ok(manifest) = read_to_limit(&mut body, MANIFEST_BYTES_MAX).await {
        return relay(shared, call, full(manifest)).await;
    }
    drain(body).await;
    Err(Refusal::ManifestTooLarge)
}

async fn relay(shared: &Shared, call: &Call, body: Body) -> Result<Response<Body>, Refusal> {
    let mut request = Request::new(body);
    *request.method_mut() = call.parts.method.clone();
    *request.headers_mut() = call.parts.headers.clone();
    let target = call.parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let answer = shared.backing.relay(request, target).await?;
    Ok(with_header(answer, HeaderName::from_static("x-content-type-options"), "nosniff"))
}
