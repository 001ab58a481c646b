//! The client of one upstream registry: typed requests, unverified answers. An answer is the
//! upstream's claim; the callers of this module verify it.
//!
//! Invariant: of a client's request, only parsed words and bodies go upstream, and an upstream's
//! header is parsed before it becomes a header of ours.

mod accept;
mod auth;
mod breaker;
mod cancellations;
pub(crate) mod challenge;
mod chunks;
mod concurrency;
mod conditions;
mod connect;
mod credentials;
mod download;
mod egress;
mod locks;
mod login_check;
mod redirects;
mod referrers;
mod retry;
mod rights;
mod scope;
mod state;
mod tag_state;
mod tokens;
mod transport;
mod upload_session;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use wharf_oci::{Digest, Endpoint, MediaType, Reference, RepoName, Span};

use crate::Error;
use crate::limits::{BLOB_BYTES_MAX, NEGATIVES_MAX};
use crate::observe::outcome::OutcomeCounts;
use crate::runtime::body::Payload;
use crate::runtime::memory_gauge::{MemoryBudget, Reservation, cover};
use crate::runtime::party::Party;
use crate::runtime::ttl_set::TtlSet;
use crate::settings::error::ConfigError;
use crate::settings::upstream::UpstreamConfig;

use crate::caller_login::{CallerLogin, Fingerprint};
pub(crate) use accept::Accept;
pub(crate) use breaker::BreakerState;
pub(crate) use conditions::Conditions;
pub(crate) use download::Download;
use referrers::KnownApi;
pub(crate) use referrers::{ReferrersApi, ReferrersReader};
pub(crate) use rights::{ProbedRight, RequestedRight};
pub(crate) use scope::{Scope, ScopeAction};
pub(crate) use state::{Arrival, TokenResult, UpstreamState};
pub(crate) use tag_state::{BlobState, TagState};
use transport::{RetryEffort, Transport, UpstreamRequest};
pub(crate) use upload_session::{StartedUpload, UploadSession};

/// A client of one registry, with the login of this proxy, or with that of a caller. A clone is
/// another view of the same client.
#[derive(Clone)]
pub(crate) struct Upstream {
    wire: Transport,
    config: Arc<UpstreamConfig>,
    /// The upstream's name in metrics.
    label: Arc<str>,
    /// Blobs that the upstream recently did not have.
    missed: Arc<TtlSet<(RepoName, Digest)>>,
    /// The number of deletions at the upstream.
    removals: Arc<AtomicU64>,
    referrers_api: Arc<KnownApi>,
    /// The caller whose login this view sends.
    caller_fingerprint: Option<Fingerprint>,
    /// Manifest types to accept beside the known ones.
    accept: Accept,
}

/// A manifest as the upstream sent it, which the caller still has to verify.
pub(crate) struct FetchedManifest {
    /// The manifest's bytes.
    pub bytes: Bytes,
    /// The memory reserved for them.
    pub hold: Reservation,
    /// The `Content-Type` header.
    pub media_type: Option<MediaType>,
    /// The digest claimed by the upstream.
    pub digest: Option<Digest>,
}

/// How long a request can wait for the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Longer: after a failure all bytes sent so far would have to be sent again.
    Long,
    /// As long as it takes: there is no answer to fall back on.
    Patient,
    /// Briefly: a cached answer is at hand.
    Brief,
}

impl From<Urgency> for RetryEffort {
    fn from(urgency: Urgency) -> Self {
        match urgency {
            Urgency::Long => Self::Long,
            Urgency::Patient => Self::Patient,
            Urgency::Brief => Self::Brief,
        }
    }
}

/// The upstream's answer to an accepted manifest.
pub(crate) struct AcceptedManifest {
    /// Whether the upstream keeps referrers itself (`OCI-Subject`).
    pub keeps_referrers: bool,
}

/// A page of a JSON list, and the query that fetches the next page.
pub(crate) struct ListingPage {
    /// The page's bytes, which count as held memory.
    pub bytes: Bytes,
    /// The query in its `Link` header.
    pub next: Option<String>,
}

impl Upstream {
    /// A client after its configuration; does not connect.
    pub(crate) fn new(config: &UpstreamConfig) -> Result<Self, ConfigError> {
        let missed = Arc::new(TtlSet::new(NEGATIVES_MAX));
        let (wire, config) = (Transport::new(config)?, Arc::new(config.clone()));
        let label = wire.address().into();
        Ok(Self {
            wire,
            config,
            label,
            missed,
            removals: Arc::default(),
            referrers_api: Arc::default(),
            caller_fingerprint: None,
            accept: Accept::default(),
        })
    }

    /// The same client under another name in metrics.
    pub(crate) fn labelled(self, label: &str) -> Self {
        Self { label: label.into(), ..self }
    }

    /// The upstream's name in metrics and the access log: its configured address, and one name for
    /// all registries of a pattern.
    pub(crate) fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// Outcome counters for reads of its repositories.
    pub(crate) fn reads(&self) -> &OutcomeCounts {
        &self.wire.counts().reads
    }

    /// The same client with a caller's login, and no other. Connections, concurrency windows and
    /// the upstream's recorded state are shared.
    #[must_use]
    pub(crate) fn as_caller(&self, login: &CallerLogin) -> Self {
        let (wire, caller_fingerprint) =
            (self.wire.with_login(login.login.clone()), Some(login.fingerprint()));
        Self { wire, caller_fingerprint, ..self.clone() }
    }

    /// The same client for one party: while the upstream is busy, the party's requests wait in
    /// rounds with those of others.
    #[must_use]
    pub(crate) fn for_party(&self, party: Party) -> Arc<Self> {
        Arc::new(Self { wire: self.wire.for_party(party), ..self.clone() })
    }

    /// The same client for an unproven login, apart from the shared windows and breaker.
    fn as_stranger(&self, login: &CallerLogin) -> Self {
        let view = self.as_caller(login);
        Self { wire: view.wire.aside(), ..view }
    }

    /// The same client for a request that accepts more manifest types.
    #[must_use]
    pub(crate) fn accepting(self: &Arc<Self>, accept: Accept) -> Arc<Self> {
        if accept == self.accept {
            return Arc::clone(self);
        }
        Arc::new(Self { accept, ..Self::clone(self) })
    }

    /// Manifest types to accept beside the known ones.
    #[must_use]
    pub(crate) const fn accept(&self) -> &Accept {
        &self.accept
    }

    /// The caller whose login this view sends; none for this proxy's own login.
    #[must_use]
    pub(crate) const fn caller_fingerprint(&self) -> Option<Fingerprint> {
        self.caller_fingerprint
    }

    /// A number that all callers of one upstream share.
    #[must_use]
    pub(crate) fn identity(&self) -> usize {
        self.wire.identity()
    }

    /// The upstream's configuration, such as how long a cached tag is valid.
    #[must_use]
    pub(crate) fn config(&self) -> &UpstreamConfig {
        &self.config
    }

    /// The upstream's address, for logs.
    #[must_use]
    pub(crate) fn address(&self) -> &str {
        self.wire.address()
    }

    /// Whether the upstream recently did not have a blob.
    pub(crate) fn recently_missed(&self, repo: &RepoName, digest: &Digest) -> bool {
        self.missed.contains(&(repo.clone(), *digest))
    }

    /// Records that a pushed blob is at the upstream.
    pub(crate) fn arrived(&self, repo: &RepoName, digest: &Digest, way: Arrival) {
        self.missed.remove_if(|(of, missed)| of == repo && missed == digest);
        self.wire.counts().arrived(way);
    }

    /// Grows with each deletion: content known before may be gone.
    pub(crate) fn removals(&self) -> u64 {
        self.removals.load(Ordering::SeqCst)
    }

    /// Waits until the upstream has the cancellation of every abandoned upload.
    pub(crate) async fn cancellations_sent(&self) {
        self.wire.cancellations().over().await;
    }

    /// Counts an upload that resumes after a failure.
    pub(crate) fn mended(&self) {
        self.wire.counts().mended();
    }

    /// A blob from its first byte; `None` when the upstream does not have it.
    pub(crate) async fn blob(
        &self,
        repo: &RepoName,
        digest: &Digest,
    ) -> Result<Option<Download>, Error> {
        match Download::whole(&self.wire, self.blob_ask(Method::GET, repo, digest)).await {
            Ok(download) if download.size_bytes().is_some_and(|size| size > BLOB_BYTES_MAX) => {
                Err(Error::BlobTooLarge { limit_bytes: BLOB_BYTES_MAX })
            }
            Ok(download) => Ok(Some(download)),
            Err(error) => absent(error),
        }
    }

    /// A part of a blob; `None` when the upstream does not have it, or does not support ranges.
    pub(crate) async fn blob_part(
        &self,
        repo: &RepoName,
        digest: &Digest,
        part: Span,
    ) -> Result<Option<Download>, Error> {
        let ask = self.blob_ask(Method::GET, repo, digest);
        Download::part(&self.wire, ask, part).await.or_else(absent)
    }

    /// The upstream's recorded state.
    #[must_use]
    pub(crate) fn state(&self) -> UpstreamState {
        self.wire.state()
    }

    /// A manifest; `None` when the upstream does not have it.
    pub(crate) async fn manifest(
        &self,
        repo: &RepoName,
        reference: &Reference,
        urgency: Urgency,
        budget: &MemoryBudget,
    ) -> Result<Option<FetchedManifest>, Error> {
        let mut ask = self.manifest_ask(Method::GET, repo, reference);
        ask.effort = urgency.into();
        match self.wire.fetch(ask, "fetching a manifest", budget).await {
            Ok((headers, (bytes, hold))) => {
                let media_type = text(&headers, header::CONTENT_TYPE);
                let media_type = media_type.and_then(|text| text.parse().ok());
                let digest = content_digest(&headers);
                Ok(Some(FetchedManifest { bytes, hold, media_type, digest }))
            }
            Err(error) => absent(error),
        }
    }

    /// Puts exactly these bytes upstream, on these conditions.
    pub(crate) async fn put_manifest(
        &self,
        (repo, reference): (&RepoName, &Reference),
        media_type: &MediaType,
        bytes: Bytes,
        conditions: &Conditions,
    ) -> Result<AcceptedManifest, Error> {
        let mut ask = self.manifest_ask(Method::PUT, repo, reference);
        ask.scope = Scope::repo(repo, ScopeAction::Push);
        ask.headers.insert(header::CONTENT_TYPE, transport::value(media_type.as_str()));
        ask.body = Payload::Bytes(bytes);
        ask.effort = conditions.effort();
        conditions.write(&mut ask.headers);
        let response = self.wire.send(ask, "pushing a manifest").await?;
        let accepted =
            AcceptedManifest { keeps_referrers: response.headers().contains_key("oci-subject") };
        if accepted.keeps_referrers {
            self.referrers_api.learn(ReferrersApi::Present);
        }
        self.wire.drain(response, "pushing a manifest").await?;
        Ok(accepted)
    }

    /// Deletes a manifest, a tag or a blob; `false` when the upstream did not have it.
    pub(crate) async fn delete(&self, endpoint: &Endpoint) -> Result<bool, Error> {
        let Some(repo) = endpoint.repo() else {
            return Ok(false);
        };
        let scope = Scope::repo(repo, ScopeAction::Delete);
        let mut ask =
            UpstreamRequest::new(Method::DELETE, self.wire.url(&endpoint.to_string()), scope);
        ask.effort = RetryEffort::Long;
        // Counted before and after: the deletion may happen without an answer, and other requests
        // may read in between.
        self.removals.fetch_add(1, Ordering::SeqCst);
        let sent = self.wire.send(ask, "deleting").await;
        self.removals.fetch_add(1, Ordering::SeqCst);
        match sent {
            Ok(response) => self.wire.drain(response, "deleting").await.map(|()| true),
            Err(error) => {
                let absent: Option<()> = absent(error)?;
                Ok(absent.is_some())
            }
        }
    }

    /// A page of tags; `None` when there is none.
    pub(crate) async fn list(
        &self,
        endpoint: &Endpoint,
        query: &str,
        budget: &MemoryBudget,
    ) -> Result<Option<ListingPage>, Error> {
        let Some(repo) = endpoint.repo() else {
            return Ok(None);
        };
        let scope = Scope::repo(repo, ScopeAction::Pull);
        let mut ask =
            UpstreamRequest::new(Method::GET, self.wire.url(&format!("{endpoint}{query}")), scope);
        ask.headers.insert(header::ACCEPT, transport::value("application/json, */*;q=0.1"));
        match self.wire.fetch(ask, "listing", budget).await {
            Ok((headers, (bytes, hold))) => {
                let next = text(&headers, header::LINK).and_then(next_query);
                Ok(Some(ListingPage { bytes: cover(bytes, hold), next }))
            }
            Err(error) => absent(error),
        }
    }

    fn blob_ask(&self, method: Method, repo: &RepoName, digest: &Digest) -> UpstreamRequest {
        let endpoint = Endpoint::Blob { repo: repo.clone(), digest: *digest };
        UpstreamRequest::new(
            method,
            self.wire.url(&endpoint.to_string()),
            Scope::repo(repo, ScopeAction::Pull),
        )
    }

    /// Always with the whole `Accept` list: without it registries convert or refuse.
    fn manifest_ask(
        &self,
        method: Method,
        repo: &RepoName,
        reference: &Reference,
    ) -> UpstreamRequest {
        let endpoint = Endpoint::Manifest { repo: repo.clone(), reference: reference.clone() };
        let url = self.wire.url(&endpoint.to_string());
        let mut ask = UpstreamRequest::new(method, url, Scope::repo(repo, ScopeAction::Pull));
        self.accept.write(&mut ask.headers);
        ask
    }
}

/// A missing resource is an answer, not an error.
fn absent<T>(error: Error) -> Result<Option<T>, Error> {
    match &error {
        Error::UpstreamRefused { status: StatusCode::NOT_FOUND, .. } => Ok(None),
        _ => Err(error),
    }
}

fn failed(operation: &'static str, reason: impl std::fmt::Display) -> Error {
    Error::UpstreamFailed { operation, reason: reason.to_string() }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn length(headers: &HeaderMap) -> Option<u64> {
    text(headers, header::CONTENT_LENGTH)?.parse().ok()
}

fn content_digest(headers: &HeaderMap) -> Option<Digest> {
    headers.get("docker-content-digest")?.to_str().ok()?.parse().ok()
}

/// The query of `Link: <...?query>; rel="next"` (RFC 8288), with its question mark.
fn next_query(link: &str) -> Option<String> {
    let (target, parameters) = link.strip_prefix('<')?.split_once('>')?;
    let next = parameters.split(';').any(|parameter| {
        let parameter = parameter.trim();
        parameter == "rel=\"next\"" || parameter == "rel=next"
    });
    let (_, query) = target.split_once('?')?;
    next.then(|| format!("?{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_read_from_any_form_of_link() {
        let relative = "</v2/a/tags/list?last=b&n=2&orderby=>; rel=\"next\"";
        assert_eq!(next_query(relative).as_deref(), Some("?last=b&n=2&orderby="));
        let absolute = "<https://host/v2/a/tags/list?last=b>; rel=next";
        assert_eq!(next_query(absolute).as_deref(), Some("?last=b"));
        assert_eq!(next_query("</v2/a/tags/list?last=b>; rel=\"prev\""), None);
        assert_eq!(next_query("nonsense"), None);
    }
}
