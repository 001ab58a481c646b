//! The registry's port: credentials first, then faults on order, then the request itself.
//!
//! Every request but those to `/_double/` is recorded with the status it got.

use std::sync::Arc;

use http::header::RANGE;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::bodies::{drain, read_some};
use super::broken::{Surroundings, break_answer, delay_request};
use super::counts::{Entry, Kind};
use super::fault::Fault;
use super::faults::Asked;
use super::listen::{Connection, HangUp, Outcome};
use super::refusal::{Refusal, json_response, with_header};
use super::route::{Query, Route};
use super::shared::Shared;
use super::{astray, auth, control, heads, paging, uploads};
use crate::http::{Body, empty, full, read_to_limit, streamed};

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

impl Call {
    fn entry(&self) -> Entry {
        let entry = Entry::of(&self.parts.method, &self.parts.uri, &self.parts.headers);
        Entry { kind: self.kind, digest: self.digest.clone(), ..entry }
    }

    fn asked(&self) -> Asked<'_> {
        let ranged = self.parts.headers.contains_key(RANGE);
        Asked { kind: self.kind, digest: self.digest.as_deref(), ranged }
    }

    fn has_body(&self) -> bool {
        !matches!(self.parts.method, Method::GET | Method::HEAD | Method::DELETE)
    }

    fn target(&self) -> &str {
        self.parts.uri.path_and_query().map_or("/", |target| target.as_str())
    }
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
    let around = Surroundings { connection: connection.clone(), shared: Arc::clone(&shared) };
    let mut outcome = match answer(&around, &call, streamed(body)).await {
        Ok(answer) => Outcome::Answer(answer),
        Err(outcome) => outcome,
    };
    shared.recorder.record(Entry { status: outcome.status(), ..call.entry() });
    if let Outcome::Answer(answer) = &mut outcome {
        answer.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    }
    outcome.on(&connection)
}

/// The answer that the request itself leads to, or the outcome that came in between.
async fn answer(around: &Surroundings, call: &Call, body: Body) -> Result<Response<Body>, Outcome> {
    let shared = &*around.shared;
    if !matches!(call.route, Route::Token | Route::Exchange) {
        let needed = call.route.scopes(&call.parts.method, &call.query);
        let (accounts, tokens) = (shared.authority.accounts(), shared.authority.tokens());
        if let Err(refusal) = auth::admit(accounts, tokens, &call.parts.headers, &needed) {
            return Err(refuse(refusal, body).await);
        }
    }
    let host = match auth::host(&call.parts.headers) {
        Ok(host) => host,
        Err(refusal) => return Err(refuse(refusal, body).await),
    };
    if let Some(hop) = astray::next_hop(&call.query, &host, &call.parts.uri) {
        drain(body).await;
        return Err(Outcome::Answer(hop));
    }
    let Some(fault) = shared.faults.take(&call.asked()) else {
        return Ok(dispatch(shared, call, None, body).await.unwrap_or_else(Refusal::into_response));
    };
    let body = begin_fault(around, call, fault, body).await?;
    let answer = dispatch(shared, call, Some(fault), body).await;
    let answer = heads::lie(answer.unwrap_or_else(Refusal::into_response), fault);
    if call.has_body() && matches!(fault, Fault::Slow { .. } | Fault::Stall { .. }) {
        return Ok(answer);
    }
    Ok(break_answer(answer, fault, around.clone()))
}

async fn refuse(refusal: Refusal, body: Body) -> Outcome {
    drain(body).await;
    Outcome::Answer(refusal.into_response())
}

/// What a fault does before the request is looked at; the body of a request that goes on.
async fn begin_fault(
    around: &Surroundings,
    call: &Call,
    fault: Fault,
    body: Body,
) -> Result<Body, Outcome> {
    let shared = &*around.shared;
    if let Some(rejection) = fault.rejection() {
        return Err(refuse(Refusal::Ordered { rejection, kind: call.kind }, body).await);
    }
    let host = auth::host(&call.parts.headers).unwrap_or_default();
    if let Some(away) = astray::ordered(fault, &host, &call.parts.uri) {
        drain(body).await;
        return Err(Outcome::Answer(away));
    }
    match fault {
        Fault::RedirectElsewhere => {
            drain(body).await;
            Err(Outcome::Answer(astray::elsewhere(shared.elsewhere_addr, call.target())))
        }
        Fault::HangUp { reset } => {
            drain(body).await;
            Err(Outcome::HangUp { reset })
        }
        Fault::Hang => {
            let abandoned = shared.recorder.unless_answered(call.entry());
            shared.holds.hold().await;
            abandoned.answered();
            Ok(body)
        }
        Fault::Reset { after } if call.has_body() => {
            read_some(body, after).await;
            Err(Outcome::HangUp { reset: true })
        }
        Fault::ExpireAndCut { after } if call.has_body() => {
            read_some(body, after).await;
            shared.expire_all();
            Err(Outcome::HangUp { reset: false })
        }
        _ if call.has_body() => Ok(delay_request(body, fault, around.clone())),
        _ => Ok(body),
    }
}

async fn dispatch(
    shared: &Shared,
    call: &Call,
    fault: Option<Fault>,
    body: Body,
) -> Result<Response<Body>, Refusal> {
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
            redirect(shared, call, (name, digest), fault).await
        }
        (Route::Manifest { .. }, "PUT") => put_manifest(shared, call, body).await,
        (Route::Manifest { .. }, "GET" | "HEAD" | "DELETE")
        | (Route::Blob { .. }, "DELETE")
        | (Route::Referrers { .. }, "GET") => relay(shared, call, fault, empty()).await,
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
    body: Body,
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
    (name, digest): (&str, &str),
    fault: Option<Fault>,
) -> Result<Response<Body>, Refusal> {
    let host = auth::host(&call.parts.headers)?;
    if fault == Some(Fault::NoRedirect) {
        return relay(shared, call, fault, empty()).await;
    }
    let mut head = Request::new(empty());
    *head.method_mut() = Method::HEAD;
    let found = shared.backing.relay(head, call.parts.uri.path()).await?;
    if found.status() == StatusCode::OK {
        let expiry = match fault {
            Some(Fault::ExpiredLink) => 0,
            _ => shared.links.expiry(),
        };
        return Ok(shared.links.redirect(&shared.storage_base(&host), name, digest, expiry));
    }
    // The answer to a HEAD has no body; a GET of what is missing is answered with one.
    relay(shared, call, fault, empty()).await
}

async fn put_manifest(
    shared: &Shared,
    call: &Call,
    mut body: Body,
) -> Result<Response<Body>, Refusal> {
    let length = call.parts.headers.get(http::header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > MANIFEST_BYTES_MAX) {
        drain(body).await;
        return Err(Refusal::ManifestTooLarge);
    }
    if let Ok(manifest) = read_to_limit(&mut body, MANIFEST_BYTES_MAX).await {
        return relay(shared, call, None, full(manifest)).await;
    }
    drain(body).await;
    Err(Refusal::ManifestTooLarge)
}

async fn relay(
    shared: &Shared,
    call: &Call,
    fault: Option<Fault>,
    body: Body,
) -> Result<Response<Body>, Refusal> {
    let mut request = Request::new(body);
    *request.method_mut() = call.parts.method.clone();
    *request.headers_mut() = heads::asked_instead(&call.parts.headers, fault);
    let answer = shared.backing.relay(request, call.target()).await?;
    Ok(with_header(answer, HeaderName::from_static("x-content-type-options"), "nosniff"))
}
