//! The record of a request when its answer is over: one line in the log, the metrics, the end of
//! its span. Handlers write their findings into [`RequestFacts`].
//!
//! Invariant: every request is recorded once, also when its client goes away before the answer or
//! in the middle of it; no header or body of a client can end the line or add a field to it.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, Uri};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;
use tracing::Span;

use crate::access::Caller;
use crate::http::response::AnswerFacts;
use crate::http::route::Route;
use crate::http::user_agent::UserAgent;
use crate::observe::metrics::{FinishedRequest, Metrics, RouteClass};
use crate::observe::outcome::Outcome;
use crate::runtime::memory_gauge::MemoryBudget;
use crate::runtime::shares::Share;
use crate::runtime::spans;
use crate::upstream::Upstream;

/// The number of the next request.
static REQUESTS: AtomicU64 = AtomicU64::new(1);
/// The number of a request, for reports of trouble.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The facts found out about a request on its way.
pub(crate) struct RequestFacts {
    /// The class of the request's route.
    pub(crate) route: RouteClass,
    /// The home of the request's repository, once it is known.
    pub(crate) home: RepoHome,
    /// The registry named by the request (`?ns=`).
    pub(crate) namespace: Option<String>,
    /// The caller, once it is proven.
    pub(crate) caller: Option<Caller>,
    /// The subject of the connection's client certificate.
    pub(crate) certificate: Option<Arc<str>>,
    /// The party's share of requests in progress, held until this is dropped.
    pub(crate) open: Option<Share>,
    /// The caller's memory budget.
    pub(crate) budget: Option<MemoryBudget>,
    /// When the hold began, for a held request.
    pub(crate) held: Option<Instant>,
}

/// Where a repository lives.
pub(crate) enum RepoHome {
    /// The request names no repository, or was refused before the look-up.
    Unknown,
    /// Here and nowhere else.
    Here,
    /// At an upstream.
    There(Arc<Upstream>),
}

/// A request from its head to the end of its answer.
pub(crate) struct RequestRecord {
    metrics: Arc<Metrics>,
    id: u64,
    started: Instant,
    peer: SocketAddr,
    client: IpAddr,
    method: Method,
    uri: Uri,
    /// Findings of the handlers.
    pub(crate) facts: RequestFacts,
    status: Option<StatusCode>,
    came_to: AnswerFacts,
    first_byte: Option<Duration>,
    sent_bytes: u64,
    complete: bool,
    agent: UserAgent,
    /// For how long the request was held before its answer.
    held: Duration,
    span: Span,
}

impl RequestFacts {
    /// The class of a route.
    pub(crate) const fn class(route: &Route) -> RouteClass {
        match route {
            Route::Base | Route::Catalog(_) => RouteClass::Other,
            Route::Blob { .. } | Route::DeleteBlob { .. } => RouteClass::Blob,
            Route::Manifest { .. }
            | Route::PutManifest { .. }
            | Route::DeleteManifest { .. }
            | Route::NoManifest { .. } => RouteClass::Manifest,
            Route::StartUpload { .. }
            | Route::UploadStatus { .. }
            | Route::PatchUpload { .. }
            | Route::FinishUpload { .. }
            | Route::CancelUpload { .. } => RouteClass::Upload,
            Route::Tags { .. } => RouteClass::Tags,
            Route::Referrers { .. } => RouteClass::Referrers,
        }
    }

    fn upstream(&self) -> &str {
        match &self.home {
            RepoHome::Unknown => "-",
            RepoHome::Here => "local",
            RepoHome::There(upstream) => upstream.label(),
        }
    }
}

impl RequestRecord {
    /// A new request. `client` is its address by the current rules of trust; `trusted` says whether
    /// its peer is believed.
    pub(crate) fn open(
        metrics: &Arc<Metrics>,
        parts: &Parts,
        peer: SocketAddr,
        client: IpAddr,
        trusted: bool,
    ) -> Self {
        metrics.began();
        let facts = RequestFacts {
            route: RouteClass::Other,
            home: RepoHome::Unknown,
            namespace: None,
            caller: None,
            certificate: None,
            open: None,
            budget: None,
            held: None,
        };
        Self {
            metrics: Arc::clone(metrics),
            id: REQUESTS.fetch_add(1, Ordering::Relaxed),
            started: Instant::now(),
            peer,
            client,
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            facts,
            status: None,
            came_to: AnswerFacts::default(),
            first_byte: None,
            sent_bytes: 0,
            complete: false,
            agent: UserAgent::of(&parts.headers),
            held: Duration::ZERO,
            span: spans::request(parts, trusted),
        }
    }

    pub(crate) const fn id(&self) -> u64 {
        self.id
    }

    /// The client's address.
    pub(crate) const fn client(&self) -> IpAddr {
        self.client
    }

    /// The request's span, to work in.
    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    /// Takes the answer; the record goes on with its body.
    pub(crate) fn answered<B: HttpBody>(
        mut self,
        mut answer: Response<B>,
    ) -> Response<RecordedBody<B>> {
        if let Ok(value) = HeaderValue::from_str(&self.id.to_string()) {
            answer.headers_mut().insert(X_REQUEST_ID, value);
        }
        self.held = self.facts.held.map(|since| since.elapsed()).unwrap_or_default();
        let status = answer.status();
        self.metrics.answer(status);
        self.came_to = AnswerFacts::take(&mut answer);
        if let Some(outcome) = self.came_to.outcome {
            match &self.facts.home {
                RepoHome::There(upstream) => upstream.reads().count(outcome),
                RepoHome::Here => self.metrics.local_reads.count(outcome),
                RepoHome::Unknown => {}
            }
        }
        self.status = Some(status);
        if answer.body().is_end_stream() {
            self.first_byte = Some(self.started.elapsed());
        }
        answer.map(|body| RecordedBody { body, record: Some(self), ended: false })
    }
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        let total = self.started.elapsed();
        let first_byte = self.first_byte.unwrap_or(total);
        let cut_off = !self.complete;
        let (route, sent_bytes) = (self.facts.route, self.sent_bytes);
        let over =
            FinishedRequest { route, status: self.status, first_byte, total, sent_bytes, cut_off };
        self.metrics.over(&over);
        let status = self.status.map_or(0, |status| status.as_u16());
        let outcome = self.came_to.outcome.map_or("-", Outcome::as_str);
        spans::end_request(&self.span, status, outcome, self.facts.upstream());
        let digest = self.came_to.digest.map(|digest| digest.to_string());
        tracing::info!(
            id = self.id,
            peer = %self.peer,
            client = %self.client,
            caller = self.facts.caller.as_ref().map_or("-", Caller::name),
            certificate = self.facts.certificate.as_deref().unwrap_or("-"),
            method = %self.method,
            path = self.uri.path(),
            namespace = self.facts.namespace.as_deref().unwrap_or("-"),
            route = route.as_str(),
            upstream = self.facts.upstream(),
            status,
            outcome,
            digest = digest.as_deref().unwrap_or("-"),
            sent = sent_bytes,
            agent = self.agent.as_str(),
            held_ms = milliseconds(self.held),
            first_ms = milliseconds(first_byte),
            ms = milliseconds(total),
            cut_off,
            "request"
        );
    }
}

/// With three digits, the most exact form.
#[expect(clippy::cast_precision_loss, reason = "microseconds of a request need no 53 bits")]
fn milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

/// The body of an answer, with the record of its request.
pub(crate) struct RecordedBody<B: HttpBody> {
    body: B,
    record: Option<RequestRecord>,
    ended: bool,
}

impl<B: HttpBody> RecordedBody<B> {
    /// The body of an answer without a record.
    pub(crate) const fn nobodys(body: B) -> Self {
        Self { body, record: None, ended: false }
    }

    /// Whether the whole body was given. A connection does not poll for an end that it knows of.
    fn is_complete(&self) -> bool {
        self.ended || self.body.is_end_stream() || self.body.size_hint().exact() == Some(0)
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for RecordedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let bytes = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) => 0,
            None => {
                self.ended = true;
                0
            }
        };
        if let Some(record) = &mut self.record {
            if record.first_byte.is_none() {
                record.first_byte = Some(record.started.elapsed());
            }
            record.sent_bytes += bytes as u64;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B: HttpBody> Drop for RecordedBody<B> {
    fn drop(&mut self) {
        let complete = self.is_complete();
        if let Some(record) = &mut self.record {
            record.complete = complete;
        }
    }
}
