//! The client of one registry: typed requests, unverified answers. An answer is the
//! registry's claim; the callers of this module verify it.
//!
//! Invariant: of a client's request, only parsed words and bodies go registry, and a registry's
//! header is parsed before it becomes a header of ours.

mod locks;
mod login_check;
pub(crate) mod referrers;
pub(crate) mod rights;
pub(crate) mod tag_state;
pub(crate) mod upload_session;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{Method, header};
use wharf_oci::{Digest, Endpoint, MediaType, Reference, RepoName, Span};

use crate::accept::Accept;
use crate::caller_login::{CallerLogin, Fingerprint};
use crate::conditions::Conditions;
use crate::download::Download;
use crate::error::{ClientError, absent};
use crate::headers::{content_digest, next_query, text, value};
use crate::limits::{BLOB_BYTES_MAX, MISSED_MAX};
use crate::memory::MemoryBudget;
use crate::payload::Payload;
use crate::runtime::party::Party;
use crate::runtime::ttl_set::TtlSet;
use crate::scope::{Scope, ScopeAction};
use crate::settings::{Settings, UnusableLogin};
use crate::state::{Arrival, ClientState};
use crate::transport::{RegistryRequest, RetryEffort, Transport};
use referrers::{KnownApi, ReferrersApi};

/// A client of one registry, with the login of this program, or with that of a caller. A clone is
/// another view of the same client.
#[derive(Clone)]
pub struct Client {
    pub(crate) wire: Transport,
    /// Blobs that the registry recently did not have.
    pub(crate) missed: Arc<TtlSet<(RepoName, Digest)>>,
    /// The number of deletions at the registry.
    removals: Arc<AtomicU64>,
    pub(crate) referrers_api: Arc<KnownApi>,
    /// The caller whose login this view sends.
    caller_fingerprint: Option<Fingerprint>,
    /// Manifest types to accept beside the known ones.
    accept: Accept,
}

/// A manifest as the registry sent it, which the caller still has to verify.
pub struct FetchedManifest<R> {
    /// The manifest's bytes.
    pub bytes: Bytes,
    /// The memory reserved for them.
    pub hold: R,
    /// The `Content-Type` header.
    pub media_type: Option<MediaType>,
    /// The digest claimed by the registry.
    pub digest: Option<Digest>,
}

/// How long a request can wait for the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
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

/// The registry's answer to an accepted manifest.
pub struct AcceptedManifest {
    /// Whether the registry keeps referrers itself (`OCI-Subject`).
    pub keeps_referrers: bool,
}

/// A page of a JSON list, and the query that fetches the next page.
pub struct ListingPage<R> {
    /// The page's bytes.
    pub bytes: Bytes,
    /// The memory reserved for them.
    pub hold: R,
    /// The query in its `Link` header.
    pub next: Option<String>,
}

impl Client {
    /// A client with these settings; does not connect.
    pub fn new(settings: Settings) -> Result<Self, UnusableLogin> {
        Ok(Self {
            wire: Transport::new(settings)?,
            missed: Arc::new(TtlSet::new(MISSED_MAX)),
            removals: Arc::default(),
            referrers_api: Arc::default(),
            caller_fingerprint: None,
            accept: Accept::default(),
        })
    }

    /// The same client with a caller's login, and no other. Connections, concurrency windows and
    /// the registry's recorded state are shared.
    #[must_use]
    pub fn as_caller(&self, login: &CallerLogin) -> Self {
        let (wire, caller_fingerprint) =
            (self.wire.with_login(login.login.clone()), Some(login.fingerprint()));
        Self { wire, caller_fingerprint, ..self.clone() }
    }

    /// The same client for one party: while the registry is busy, the party's requests wait in
    /// rounds with those of others.
    #[must_use]
    pub fn for_party(&self, party: Party) -> Self {
        Self { wire: self.wire.for_party(party), ..self.clone() }
    }

    /// The same client for an unproven login, apart from the shared windows and breaker.
    pub(crate) fn as_stranger(&self, login: &CallerLogin) -> Self {
        let view = self.as_caller(login);
        Self { wire: view.wire.aside(), ..view }
    }

    /// The same client for a request that accepts more manifest types.
    #[must_use]
    pub fn accepting(&self, accept: Accept) -> Self {
        Self { accept, ..self.clone() }
    }

    /// Manifest types to accept beside the known ones.
    #[must_use]
    pub const fn accept(&self) -> &Accept {
        &self.accept
    }

    /// The caller whose login this view sends; none for this program's own login.
    #[must_use]
    pub const fn caller_fingerprint(&self) -> Option<Fingerprint> {
        self.caller_fingerprint
    }

    /// A number that all callers of one registry share.
    #[must_use]
    pub fn identity(&self) -> usize {
        self.wire.identity()
    }

    /// The registry's address, for logs.
    #[must_use]
    pub fn address(&self) -> &str {
        self.wire.address()
    }

    /// Whether the registry recently did not have a blob.
    pub fn recently_missed(&self, repo: &RepoName, digest: &Digest) -> bool {
        self.missed.contains(&(repo.clone(), *digest))
    }

    /// Records that a pushed blob is at the registry.
    pub fn arrived(&self, repo: &RepoName, digest: &Digest, way: Arrival) {
        self.missed.remove_if(|(of, missed)| of == repo && missed == digest);
        self.wire.counts().arrived(way);
    }

    /// Grows with each deletion: content known before may be gone.
    pub fn removals(&self) -> u64 {
        self.removals.load(Ordering::SeqCst)
    }

    /// Waits until the registry has the cancellation of every abandoned upload.
    pub async fn cancellations_sent(&self) {
        self.wire.cancellations().over().await;
    }

    /// Counts an upload that resumes after a failure.
    pub fn mended(&self) {
        self.wire.counts().mended();
    }

    /// A blob from its first byte; `None` when the registry does not have it.
    pub async fn blob(
        &self,
        repo: &RepoName,
        digest: &Digest,
    ) -> Result<Option<Download>, ClientError> {
        match Download::whole(&self.wire, self.blob_ask(Method::GET, repo, digest)).await {
            Ok(download) if download.size_bytes().is_some_and(|size| size > BLOB_BYTES_MAX) => {
                Err(ClientError::BlobTooLarge { limit_bytes: BLOB_BYTES_MAX })
            }
            Ok(download) => Ok(Some(download)),
            Err(error) => absent(error),
        }
    }

    /// A part of a blob; `None` when the registry does not have it, or does not support ranges.
    pub async fn blob_part(
        &self,
        repo: &RepoName,
        digest: &Digest,
        part: Span,
    ) -> Result<Option<Download>, ClientError> {
        let ask = self.blob_ask(Method::GET, repo, digest);
        Download::part(&self.wire, ask, part).await.or_else(absent)
    }

    /// The registry's recorded state.
    #[must_use]
    pub fn state(&self) -> ClientState {
        self.wire.state()
    }

    /// A manifest; `None` when the registry does not have it.
    pub async fn manifest<M: MemoryBudget>(
        &self,
        repo: &RepoName,
        reference: &Reference,
        urgency: Urgency,
        budget: &M,
    ) -> Result<Option<FetchedManifest<M::Reservation>>, ClientError> {
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

    /// Puts exactly these bytes registry, on these conditions.
    pub async fn put_manifest(
        &self,
        (repo, reference): (&RepoName, &Reference),
        media_type: &MediaType,
        bytes: Bytes,
        conditions: &Conditions,
    ) -> Result<AcceptedManifest, ClientError> {
        let mut ask = self.manifest_ask(Method::PUT, repo, reference);
        ask.scope = Scope::repo(repo, ScopeAction::Push);
        ask.headers.insert(header::CONTENT_TYPE, value(media_type.as_str()));
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

    /// Deletes a manifest, a tag or a blob; `false` when the registry did not have it.
    pub async fn delete(&self, endpoint: &Endpoint) -> Result<bool, ClientError> {
        let Some(repo) = endpoint.repo() else {
            return Ok(false);
        };
        let scope = Scope::repo(repo, ScopeAction::Delete);
        let mut ask =
            RegistryRequest::new(Method::DELETE, self.wire.url(&endpoint.to_string()), scope);
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
    pub async fn list<M: MemoryBudget>(
        &self,
        endpoint: &Endpoint,
        query: &str,
        budget: &M,
    ) -> Result<Option<ListingPage<M::Reservation>>, ClientError> {
        let Some(repo) = endpoint.repo() else {
            return Ok(None);
        };
        let scope = Scope::repo(repo, ScopeAction::Pull);
        let mut ask =
            RegistryRequest::new(Method::GET, self.wire.url(&format!("{endpoint}{query}")), scope);
        ask.headers.insert(header::ACCEPT, value("application/json, */*;q=0.1"));
        match self.wire.fetch(ask, "listing", budget).await {
            Ok((headers, (bytes, hold))) => {
                let next = text(&headers, header::LINK).and_then(next_query);
                Ok(Some(ListingPage { bytes, hold, next }))
            }
            Err(error) => absent(error),
        }
    }

    pub(crate) fn blob_ask(
        &self,
        method: Method,
        repo: &RepoName,
        digest: &Digest,
    ) -> RegistryRequest {
        let endpoint = Endpoint::Blob { repo: repo.clone(), digest: *digest };
        RegistryRequest::new(
            method,
            self.wire.url(&endpoint.to_string()),
            Scope::repo(repo, ScopeAction::Pull),
        )
    }

    /// Always with the whole `Accept` list: without it registries convert or refuse.
    pub(crate) fn manifest_ask(
        &self,
        method: Method,
        repo: &RepoName,
        reference: &Reference,
    ) -> RegistryRequest {
        let endpoint = Endpoint::Manifest { repo: repo.clone(), reference: reference.clone() };
        let url = self.wire.url(&endpoint.to_string());
        let mut ask = RegistryRequest::new(method, url, Scope::repo(repo, ScopeAction::Pull));
        self.accept.write(&mut ask.headers);
        ask
    }
}
