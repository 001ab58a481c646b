//! One request to the registry's port, read as far as its head goes.

use http::header::{AUTHORIZATION, CONTENT_LENGTH, RANGE};
use http::request::Parts;
use http::{HeaderName, Method, Request, Response};

use super::counts::Entry;
use super::fault::Fault;
use super::faults::Asked;
use super::heads;
use super::kind::Kind;
use super::refusal::{Refusal, with_header};
use super::route::{Query, Route};
use super::shared::Shared;
use wharf_testkit::http::Body;

/// A request without its body.
pub(crate) struct Call {
    pub(crate) route: Route,
    pub(crate) query: Query,
    pub(crate) kind: Kind,
    pub(crate) digest: Option<String>,
    pub(crate) repo: Option<String>,
    pub(crate) parts: Parts,
}

impl Call {
    pub(crate) fn new(route: Route, parts: Parts) -> Self {
        let query = Query::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let (kind, digest) = (route.kind(&parts.method), route.digest(&query));
        let repo = route.repo(&query);
        Self { route, query, kind, digest, repo, parts }
    }

    /// The journal's entry of this request, before its response.
    pub(crate) fn entry(&self) -> Entry {
        let entry = Entry::of(&self.parts.method, &self.parts.uri, &self.parts.headers);
        Entry { kind: self.kind, digest: self.digest.clone(), ..entry }
    }

    /// The view of this request for the fault rules.
    pub(crate) fn asked(&self) -> Asked<'_> {
        let ranged = self.parts.headers.contains_key(RANGE);
        let (digest, repo) = (self.digest.as_deref(), self.repo.as_deref());
        Asked { kind: self.kind, digest, repo, ranged }
    }

    pub(crate) fn has_body(&self) -> bool {
        !matches!(self.parts.method, Method::GET | Method::HEAD | Method::DELETE)
    }

    /// Whether it sends content of a blob.
    pub(crate) fn uploads(&self) -> bool {
        matches!(self.kind, Kind::UploadPatch | Kind::UploadPut)
    }

    pub(crate) fn length(&self) -> Option<u64> {
        self.parts.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    pub(crate) fn target(&self) -> &str {
        self.parts.uri.path_and_query().map_or("/", |target| target.as_str())
    }

    /// The same request to this target of the backing registry.
    pub(crate) async fn relay(
        &self,
        shared: &Shared,
        target: &str,
        fault: Option<Fault>,
        body: Body,
    ) -> Result<Response<Body>, Refusal> {
        let mut request = Request::new(body);
        *request.method_mut() = self.parts.method.clone();
        *request.headers_mut() = heads::asked_instead(&self.parts.headers, fault);
        request.headers_mut().remove(AUTHORIZATION);
        let answer = shared.backing.relay(request, target).await?;
        Ok(with_header(answer, HeaderName::from_static("x-content-type-options"), "nosniff"))
    }
}
