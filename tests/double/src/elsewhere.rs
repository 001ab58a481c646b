//! Another host, neither registry nor storage: the target of some redirect faults.
//!
//! It serves the backing registry's content to every client, with any credentials. The journal
//! records the credentials, and a client with credentials here has leaked them.

use std::sync::Arc;

use http::{Method, Request, Response};
use hyper::body::Incoming;

use super::counts::Entry;
use super::kind::Kind;
use super::listen::HangUp;
use super::refusal::Refusal;
use super::route::{Query, Route};
use super::shared::Shared;
use wharf_testkit::http::{Body, empty, streamed};

/// Answers one request on the other host's port.
pub(crate) async fn handle(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Body>, HangUp> {
    let (parts, body) = request.into_parts();
    let digest = Route::parse(parts.uri.path()).digest(&Query::default());
    let entry = Entry::of(&parts.method, &parts.uri, &parts.headers);
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
    let reads = matches!(parts.method, Method::GET | Method::HEAD) && target.starts_with("/v2/");
    let answer = if reads {
        shared.backing.relay(Request::from_parts(parts, empty()), &target).await
    } else {
        super::bodies::drain(streamed(body)).await;
        Err(Refusal::RouteUnknown)
    };
    let answer = answer.unwrap_or_else(Refusal::into_response);
    let status = answer.status().as_u16();
    shared.recorder.record(Entry { kind: Kind::Elsewhere, digest, status, ..entry });
    Ok(answer)
}
