//! The registry's port: credentials first, then faults on order, then the request itself.
//!
//! Every request but those to `/_double/` is recorded with the status it got.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::bodies::{drain, read_some};
use super::broken::{Surroundings, break_answer, delay_request};
use super::call::Call;
use super::config::{Redirects, Referrers};
use super::counts::Entry;
use super::fault::Fault;
use super::heads::DIGEST;
use super::listen::{Connection, HangUp, Outcome};
use super::locks::{Act, Target};
use super::refusal::{Refusal, json_response, with_header};
use super::route::Route;
use super::shared::Shared;
use super::{astray, auth, control, credentials, heads, manifests, metadata, paging, uploads};
use wharf_testkit::http::{Body, empty, streamed};

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

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
    let call = Call::new(route, parts);
    // The credentials are checked on arrival, because they may expire during the response.
    let caller = auth::caller(&shared.authority, &call.parts.headers);
    let around = Surroundings { connection: connection.clone(), shared: Arc::clone(&shared) };
    let mut outcome = match answer(&around, &call, streamed(body)).await {
        Ok(answer) => Outcome::Answer(answer),
        Err(outcome) => outcome,
    };
    shared.recorder.record(Entry { caller, status: outcome.status(), ..call.entry() });
    if let Outcome::Answer(answer) = &mut outcome {
        answer.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    }
    outcome.on(&connection)
}

/// The response to the request itself, or the earlier outcome of a fault.
async fn answer(around: &Surroundings, call: &Call, body: Body) -> Result<Response<Body>, Outcome> {
    let shared = &*around.shared;
    let host = match enter(shared, call) {
        Ok(host) => host,
        Err(refusal) => return Err(refuse(refusal, body).await),
    };
    if let Some(hop) = astray::next_hop(&call.query, &host, &call.parts.uri) {
        drain(body).await;
        return Err(Outcome::Answer(hop));
    }
    let closes = shared.habits.close_bytes_max.filter(|_| call.uploads());
    if let Some(after) = closes.filter(|max| call.length().is_some_and(|length| length > *max)) {
        read_some(body, after).await;
        return Err(Outcome::HangUp { reset: false });
    }
    let Some(fault) = shared.faults.take(&call.asked()) else {
        return Ok(dispatch(shared, call, None, body).await.unwrap_or_else(Refusal::into_response));
    };
    let body = begin_fault(around, call, fault, body).await?;
    let answer = dispatch(shared, call, Some(fault), body).await;
    if let Fault::Late { by_ms, done: true } = fault {
        late(shared, call, by_ms).await;
    }
    let answer = heads::lie(answer.unwrap_or_else(Refusal::into_response), fault);
    if call.has_body() && fault.delays_body() {
        return Ok(answer);
    }
    Ok(break_answer(answer, fault, around.clone()))
}

/// Checks the caller, the caller's rights and the quotas; returns the host name from the request.
fn enter(shared: &Shared, call: &Call) -> Result<String, Refusal> {
    let headers = &call.parts.headers;
    if shared.habits.newline_user_fails && auth::has_newline_user(headers) {
        return Err(Refusal::UserNameBroken);
    }
    let identity = match call.route {
        Route::Token | Route::Exchange => String::new(),
        _ => {
            let needed = call.route.scopes(&call.parts.method, &call.query);
            auth::admit(&shared.authority, &shared.habits, headers, &needed)?
        }
    };
    let taken = shared.meters.take(call.kind, &call.parts.method, &identity);
    taken.map_err(|retry_after_s| Refusal::TooManyRequests { retry_after_s })?;
    credentials::host(headers)
}

async fn refuse(refusal: Refusal, body: Body) -> Outcome {
    drain(body).await;
    Outcome::Answer(refusal.into_response())
}

/// The effect of a fault before the request is read; returns the body of a continued request.
async fn begin_fault(
    around: &Surroundings,
    call: &Call,
    fault: Fault,
    body: Body,
) -> Result<Body, Outcome> {
    let shared = &*around.shared;
    if let Fault::CountingDown { delay_ms, .. } = fault {
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
    }
    if let Some(rejection) = fault.rejection() {
        return Err(refuse(Refusal::Ordered { rejection, kind: call.kind }, body).await);
    }
    let host = credentials::host(&call.parts.headers).unwrap_or_default();
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
        Fault::Late { by_ms, done: false } => {
            late(shared, call, by_ms).await;
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

/// Waits; a client gone meanwhile is recorded as one without a response.
async fn late(shared: &Shared, call: &Call, by_ms: u64) {
    let abandoned = shared.recorder.unless_answered(call.entry());
    tokio::time::sleep(Duration::from_millis(by_ms)).await;
    abandoned.answered();
}

async fn dispatch(
    shared: &Shared,
    call: &Call,
    fault: Option<Fault>,
    body: Body,
) -> Result<Response<Body>, Refusal> {
    let (query, locks) = (&call.query, &shared.locks);
    match (&call.route, call.parts.method.as_str()) {
        (Route::Token, _) => shared.authority.token(&call.parts, query, body).await,
        (Route::Exchange, _) => shared.authority.exchange(&call.parts, body).await,
        (Route::Version, "GET" | "HEAD") => {
            Ok(json_response(StatusCode::OK, &serde_json::json!({})))
        }
        (Route::Catalog | Route::MetadataCatalog, "GET") => {
            paging::catalog(shared, call.parts.uri.path(), query).await
        }
        (Route::Tags { name }, "GET") => paging::tags(shared, name, query).await,
        (Route::Metadata { name, what }, _) => {
            metadata::handle(shared, call, (name, what), body).await
        }
        (Route::Blob { name, digest }, "GET" | "HEAD") => {
            locks.check(name, &Target::Repository, Act::Read)?;
            blob(shared, call, (name, digest), fault).await
        }
        (Route::Blob { name, .. }, "DELETE") => {
            locks.check(name, &Target::Repository, Act::Delete)?;
            call.relay(shared, call.target(), fault, empty()).await
        }
        (Route::Manifest { name, reference }, "GET" | "HEAD") => {
            manifests::read(shared, call, (name, reference), fault).await
        }
        (Route::Manifest { name, reference }, "PUT") => {
            manifests::put(shared, call, (name, reference), body).await
        }
        (Route::Manifest { name, reference }, "DELETE") => {
            manifests::delete(shared, call, (name, reference), fault).await
        }
        (Route::Referrers { name, digest }, "GET") => match shared.habits.referrers {
            Referrers::Backing => call.relay(shared, call.target(), fault, empty()).await,
            Referrers::Kept => Ok(shared.referring.list(name, digest, query)),
            Referrers::Absent => Err(Refusal::RouteUnknown),
        },
        (Route::Uploads { name }, "POST") => {
            // ACR's single POST is not promised anywhere: the content is not taken, and the answer
            // names a session as the protocol allows.
            drain(body).await;
            locks.check(name, &Target::Repository, Act::Write)?;
            uploads::start(shared, name, query).await
        }
        (Route::Upload { name, id }, _) => {
            let request = uploads::UploadRequest { name, id, query, parts: &call.parts };
            if fault == Some(Fault::LoseUpload) {
                drain(body).await;
                shared.uploads.forget(id);
                return Err(Refusal::UploadUnknown);
            }
            if fault == Some(Fault::LoseChunk) && call.parts.method == Method::PATCH {
                drain(body).await;
                let mut answer = uploads::status(shared, &request).await?;
                *answer.status_mut() = StatusCode::ACCEPTED;
                return Ok(answer);
            }
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
        Method::PATCH | Method::PUT => {
            if let Err(locked) = shared.locks.check(request.name, &Target::Repository, Act::Write) {
                drain(body).await;
                return Err(locked);
            }
            uploads::receive(shared, request, body).await
        }
        _ => {
            drain(body).await;
            Err(Refusal::RouteUnknown)
        }
    }
}

/// An existing blob is usually not sent: the response redirects to the storage.
async fn blob(
    shared: &Shared,
    call: &Call,
    (name, digest): (&str, &str),
    fault: Option<Fault>,
) -> Result<Response<Body>, Refusal> {
    let here = match shared.habits.redirects {
        Redirects::GetAndHead => false,
        Redirects::GetOnly => call.parts.method == Method::HEAD,
        Redirects::Never => true,
    };
    if here || fault == Some(Fault::NoRedirect) {
        return call.relay(shared, call.target(), fault, empty()).await;
    }
    let host = credentials::host(&call.parts.headers)?;
    let mut head = Request::new(empty());
    *head.method_mut() = Method::HEAD;
    let found = shared.backing.relay(head, call.parts.uri.path()).await?;
    if found.status() != StatusCode::OK {
        // A response to HEAD has no body; a GET of a missing blob has one.
        return call.relay(shared, call.target(), fault, empty()).await;
    }
    let expiry = match fault {
        Some(Fault::ExpiredLink) => 0,
        _ => shared.links.expiry(),
    };
    let answer = shared.links.redirect(&shared.storage_base(&host), name, digest, expiry);
    if shared.habits.digest_on_redirect {
        return Ok(with_header(answer, DIGEST, digest));
    }
    Ok(answer)
}
