//! The storage behind the redirects: signed links, and the second port that serves them.
//!
//! It speaks as Azure's blob storage does: errors in XML, no digest header, and no tolerance for an
//! `Authorization` header. Bytes stream from the backing registry.

use std::sync::Arc;
use std::time::Duration;

use http::header::{
    ACCEPT_RANGES, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LOCATION,
    RANGE, RETRY_AFTER,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::auth::Authorization;
use super::backing::cleaned;
use super::bodies::{Counted, break_answer};
use super::counts::{Entry, Flow, Kind};
use super::faults::Fault;
use super::listen::{Connection, HangUp};
use super::refusal::with_header;
use super::route::Query;
use super::shared::Shared;
use super::signing::{Signer, unix_now};
use crate::http::{Body, empty, full};

/// Makes and checks links to blobs.
#[derive(Debug)]
pub(crate) struct Links {
    signer: Signer,
    life: Duration,
}

impl Links {
    pub(crate) fn new(signer: Signer, life: Duration) -> Self {
        Self { signer, life }
    }

    /// A path and query that open this blob for a while. Each one is different.
    pub(crate) fn make(&self, name: &str, digest: &str) -> String {
        let expiry = (unix_now() + self.life.as_secs()).to_string();
        let serial = self.signer.next_serial().to_string();
        let signature = self.signer.sign(&signed_text(name, digest, &expiry, &serial));
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("se", expiry.as_str()), ("sig", &signature), ("sp", "r")])
            .extend_pairs([("sr", "b"), ("regid", &serial), ("repo", name)])
            .finish();
        format!("/blobs/{digest}/data?{query}")
    }

    pub(crate) fn expire_all(&self) {
        self.signer.expire_all();
    }

    /// The repository through which the link was given out, when the link holds.
    fn check(&self, digest: &str, query: &Query) -> Option<String> {
        let field = |name| query.first(name);
        let (name, expiry, serial) = (field("repo")?, field("se")?, field("regid")?);
        let text = signed_text(&name, digest, &expiry, &serial);
        let good = self.signer.is_signature(&text, &field("sig")?)
            && unix_now() < expiry.parse().ok()?
            && self.signer.honours(serial.parse().ok()?);
        good.then_some(name)
    }

    /// The facade's answer to a GET or HEAD of a blob that exists.
    pub(crate) fn redirect(&self, base: &str, name: &str, digest: &str) -> Response<Body> {
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
        let location = format!("http://{base}{}", self.make(name, digest));
        let response = with_header(response, LOCATION, &location);
        let digest_header = http::HeaderName::from_static("docker-content-digest");
        with_header(response, digest_header, digest)
    }
}

fn signed_text(name: &str, digest: &str, expiry: &str, serial: &str) -> String {
    format!("{name}\n{digest}\n{expiry}\n{serial}")
}

/// Why the storage refuses, in its own words' form.
enum Denial {
    AuthenticationInfo,
    Signature,
    Path,
    Method,
    Range,
    Blob,
    Busy { retry_after_s: Option<u64> },
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
            Self::Busy { retry_after_s: Some(wait) } => {
                (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", Some(wait))
            }
            Self::Busy { retry_after_s: None } => {
                (StatusCode::SERVICE_UNAVAILABLE, "ServerBusy", None)
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
            Some(seconds) => with_header(response, RETRY_AFTER, &seconds.to_string()),
            None => response,
        }
    }
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
    let answer = answer(&shared, &request, kind, digest.as_deref(), &connection).await;
    let answer = answer.unwrap_or_else(Denial::into_response);
    shared.recorder.record(Entry {
        kind,
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        digest,
        credentials: Authorization::of(request.headers()).credentials(),
        status: answer.status().as_u16(),
    });
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

async fn answer(
    shared: &Shared,
    request: &Request<Incoming>,
    kind: Kind,
    digest: Option<&str>,
    connection: &Connection,
) -> Result<Response<Body>, Denial> {
    if request.headers().contains_key(AUTHORIZATION) {
        return Err(Denial::AuthenticationInfo);
    }
    if !matches!(kind, Kind::StorageGet | Kind::StorageHead) {
        return Err(Denial::Method);
    }
    let digest = digest.ok_or(Denial::Path)?;
    let query = Query::parse(request.uri().query().unwrap_or_default().as_bytes());
    let name = shared.links.check(digest, &query).ok_or(Denial::Signature)?;
    let fault = shared.faults.take(kind, Some(digest));
    match fault {
        Some(Fault::TooManyRequests { retry_after_s }) => {
            return Err(Denial::Busy { retry_after_s: Some(retry_after_s) });
        }
        Some(Fault::Unavailable) => {
            return Err(Denial::Busy { retry_after_s: None });
        }
        _ => {}
    }
    let blob = fetch(shared, request.method(), request.headers(), &name, digest).await?;
    Ok(match fault {
        Some(fault) => break_answer(blob, fault, connection),
        None => blob,
    })
}

async fn fetch(
    shared: &Shared,
    method: &Method,
    headers: &HeaderMap,
    name: &str,
    digest: &str,
) -> Result<Response<Body>, Denial> {
    let mut passed = HeaderMap::new();
    if let Some(range) = headers.get(RANGE) {
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
    let response = with_header(response, CONTENT_TYPE, "application/octet-stream");
    let blob_type = http::HeaderName::from_static("x-ms-blob-type");
    Ok(with_header(response, blob_type, "BlockBlob"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    fn check(links: &Links, link: &str, digest: &str) -> Option<String> {
        let (_, query) = link.split_once('?').unwrap();
        links.check(digest, &Query::parse(query.as_bytes()))
    }

    #[test]
    fn a_link_opens_its_blob_only_until_it_expires() {
        let links = Links::new(Signer::new().unwrap(), Duration::from_mins(1));
        let link = links.make("acme/web", "sha256:ab");
        assert_eq!(check(&links, &link, "sha256:ab").as_deref(), Some("acme/web"));
        assert_eq!(check(&links, &link, "sha256:cd"), None);
        assert_eq!(check(&links, &link.replace("acme%2Fweb", "other"), "sha256:ab"), None);
        links.expire_all();
        assert_eq!(check(&links, &link, "sha256:ab"), None);
    }

    #[test]
    fn a_link_without_life_left_opens_nothing() {
        let links = Links::new(Signer::new().unwrap(), Duration::ZERO);
        assert_eq!(check(&links, &links.make("a", "sha256:ab"), "sha256:ab"), None);
    }
}
