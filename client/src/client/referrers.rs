//! The referrers list of a registry (distribution-spec end-12a), and whether the registry supports
//! that API at all.
//!
//! Invariant: a failure is never taken for a missing API, because clients then keep the list in a
//! tag; nor is a web page, or any other answer without a list, taken for a failure.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU8, Ordering};

use http::{HeaderMap, Method, StatusCode, header};
use hyper::Response;
use hyper::body::Incoming;
use wharf_oci::{Digest, Endpoint, ErrorCode, PageQuery, ReferrerList, RepoName};

use crate::ClientError;
use crate::client::Client;
use crate::error::failed;
use crate::headers::next_query;
use crate::headers::text;
use crate::headers::value;
use crate::limits::{LIST_PAGES_MAX, REDIRECTS_MAX, TRIES_MAX};
use crate::memory::MemoryBudget;
use crate::offload::Offload;
use crate::retry;
use crate::scope::{Scope, ScopeAction};
use crate::transport::RegistryRequest;

const LISTING: &str = "listing referrers";

/// The last known support of a registry for the referrers API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferrersApi {
    /// Not requested yet.
    Unknown,
    /// The registry supports it.
    Present,
    /// The registry lacks it: clients keep the list in a tag.
    Absent,
}

/// The known support, which all callers share.
#[derive(Debug, Default)]
pub(crate) struct KnownApi(AtomicU8);

impl KnownApi {
    pub(crate) fn learn(&self, api: ReferrersApi) {
        let number = match api {
            ReferrersApi::Unknown => 0,
            ReferrersApi::Present => 1,
            ReferrersApi::Absent => 2,
        };
        self.0.store(number, Ordering::Relaxed);
    }

    fn get(&self) -> ReferrersApi {
        match self.0.load(Ordering::Relaxed) {
            1 => ReferrersApi::Present,
            2 => ReferrersApi::Absent,
            _ => ReferrersApi::Unknown,
        }
    }
}

/// The context for reading a list: its memory budget and where the parsing runs.
pub struct ReferrersReader<'a, M, O> {
    /// The memory budget.
    pub budget: &'a M,
    /// Where the parsing runs.
    pub offload: &'a O,
}

impl<M, O> Clone for ReferrersReader<'_, M, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M, O> Copy for ReferrersReader<'_, M, O> {}

/// A page of the list.
pub struct ReferrersPage<R> {
    /// Its entries.
    pub list: ReferrerList,
    /// The query of the next one.
    pub next: Option<PageQuery>,
    /// The memory reserved for it.
    pub hold: Option<R>,
}

impl<R> Default for ReferrersPage<R> {
    fn default() -> Self {
        Self { list: ReferrerList::default(), next: None, hold: None }
    }
}

/// The result of a request for one page.
enum Asked<R> {
    Page(ReferrersPage<R>),
    NoApi,
    /// No API either, but the answer reports only a missing repository.
    NoRepo,
}

impl Client {
    /// A page of the registry's referrers of `subject`; `None` when the registry lacks the API. A
    /// missing page after a present one ends the list.
    pub async fn referrers_page<M: MemoryBudget, O: Offload>(
        &self,
        repo: &RepoName,
        subject: &Digest,
        query: &PageQuery,
        reader: ReferrersReader<'_, M, O>,
    ) -> Result<Option<ReferrersPage<M::Reservation>>, ClientError> {
        let endpoint = Endpoint::Referrers { repo: repo.clone(), digest: *subject };
        match self.page_of_referrers(repo, &endpoint, &query.to_string(), reader).await? {
            Asked::Page(mut page) => {
                self.referrers_api.learn(ReferrersApi::Present);
                page.next = page.next.filter(|next| next != query);
                Ok(Some(page))
            }
            Asked::NoApi | Asked::NoRepo if !query.is_first() => Ok(Some(ReferrersPage::default())),
            Asked::NoRepo => Ok(None),
            Asked::NoApi => {
                self.referrers_api.learn(ReferrersApi::Absent);
                Ok(None)
            }
        }
    }

    /// The given manifests found in the registry's list, page by page; `None` when the list is
    /// longer than the bound for one answer.
    pub async fn listed_referrers<M: MemoryBudget, O: Offload>(
        &self,
        (repo, subject): (&RepoName, &Digest),
        wanted: impl IntoIterator<Item = Digest>,
        reader: ReferrersReader<'_, M, O>,
    ) -> Result<Option<HashSet<Digest>>, ClientError> {
        let mut wanted: HashSet<Digest> = wanted.into_iter().collect();
        let (mut listed, mut query) = (HashSet::new(), PageQuery::default());
        for _ in 0..LIST_PAGES_MAX {
            if wanted.is_empty() {
                return Ok(Some(listed));
            }
            let page = self.referrers_page(repo, subject, &query, reader).await?;
            let page = page.unwrap_or_default();
            let digests =
                page.list.entries().iter().filter_map(|entry| entry.digest().parse().ok());
            listed.extend(digests.filter(|digest| wanted.remove(digest)));
            match page.next {
                Some(next) => query = next,
                None => return Ok(Some(listed)),
            }
        }
        Ok(None)
    }

    /// The last known support for the referrers API, for when the registry cannot be asked.
    #[must_use]
    pub fn referrers_api(&self) -> ReferrersApi {
        self.referrers_api.get()
    }

    /// One page; requested again when its body breaks off.
    async fn page_of_referrers<M: MemoryBudget, O: Offload>(
        &self,
        repo: &RepoName,
        endpoint: &Endpoint,
        query: &str,
        ReferrersReader { budget, offload }: ReferrersReader<'_, M, O>,
    ) -> Result<Asked<M::Reservation>, ClientError> {
        let url = self.wire.url(&format!("{endpoint}{query}"));
        let mut ask = RegistryRequest::new(Method::GET, url, Scope::repo(repo, ScopeAction::Pull));
        // Not the index's type alone: some registries refuse an `Accept` that they do not expect
        // here.
        let accepted = "application/vnd.oci.image.index.v1+json, application/json, */*;q=0.1";
        ask.headers.insert(header::ACCEPT, value(accepted));
        let mut tries = 1;
        loop {
            let response = match self.behind_redirects(ask.clone()).await {
                Ok(Some(response)) => response,
                Ok(None) => return Ok(Asked::NoApi),
                Err(ClientError::Refused { status, code, .. }) if is_no_api(status) => {
                    let is_repo = code == ErrorCode::NameUnknown;
                    return Ok(if is_repo { Asked::NoRepo } else { Asked::NoApi });
                }
                Err(error) => return Err(error),
            };
            let headers = response.headers().clone();
            match self.wire.collect(response, LISTING, budget).await {
                Ok((bytes, hold)) => {
                    let size = bytes.len();
                    return offload.read(size, move || read(&headers, &bytes, hold)).await;
                }
                Err(error @ ClientError::MemoryFull(_)) => return Err(error),
                Err(error) if tries >= TRIES_MAX => return Err(error),
                Err(error) => {
                    tracing::warn!(upstream = self.address(), %error, tries, "trying again");
                    tokio::time::sleep(retry::pause(tries)).await;
                    tries += 1;
                }
            }
        }
    }

    /// The answer behind all redirects; `None` when they lead to a web page, or to a forbidden
    /// address.
    async fn behind_redirects(
        &self,
        mut ask: RegistryRequest,
    ) -> Result<Option<Response<Incoming>>, ClientError> {
        for _ in 0..=REDIRECTS_MAX {
            let is_own = self.wire.is_own(&ask.url);
            let response = match self.wire.answer(&ask, LISTING).await {
                Ok(response) => response,
                Err(ClientError::Astray { .. }) if !is_own => return Ok(None),
                Err(error) => return Err(error),
            };
            let status = response.status();
            if status == StatusCode::OK {
                return Ok(Some(response));
            }
            if !status.is_redirection() {
                let is_page = status.is_success() || !is_own && is_refused_page(status);
                let refusal = || self.wire.refusal(response, LISTING);
                return if is_page { Ok(None) } else { Err(refusal().await) };
            }
            let target = text(response.headers(), header::LOCATION);
            match target.map(|target| self.wire.led_to(&ask.url, target, LISTING)) {
                Some(Ok(url)) => ask.url = url,
                Some(Err(_)) | None => return Ok(None),
            }
        }
        Ok(None)
    }
}

/// Whether a status means a missing API; failures and refused access do not.
fn is_no_api(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 404 | 405 | 406 | 410 | 501)
}

/// Whether a refusal by another host counts as a web page, which is all that can be there.
fn is_refused_page(status: StatusCode) -> bool {
    let is_trouble = matches!(status.as_u16(), 408 | 429);
    status.is_client_error() && !is_trouble
}

fn read<R>(headers: &HeaderMap, bytes: &[u8], hold: R) -> Result<Asked<R>, ClientError> {
    let declared = text(headers, header::CONTENT_TYPE).and_then(|text| text.parse().ok());
    let Some(list) = ReferrerList::parse(bytes, declared.as_ref()) else {
        return Ok(Asked::NoApi);
    };
    let next = text(headers, header::LINK).and_then(next_query);
    let next = next.map(|query| {
        // Without the query, the list would be cut and look complete.
        PageQuery::parse(query.trim_start_matches('?')).map_err(|error| failed(LISTING, error))
    });
    let next = next.transpose()?.filter(|next| !next.is_first());
    Ok(Asked::Page(ReferrersPage { list, next, hold: Some(hold) }))
}
