//! The referrers of a manifest (distribution-spec end-12): the upstream's list, together with those
//! pushed here. An upstream without that API has none through here either: clients then keep the
//! list in a tag there, where clients of the upstream itself find it.
//!
//! A list comes in pages: the upstream's pages one by one, then the store's entries missing in
//! them. Its state is in the `Link` (`http/route/referrers.rs`), nothing of it is kept here.
//!
//! Invariant: an entry of the store that is missing in the upstream's list is listed only when the
//! upstream has its manifest all the same, and nothing is listed twice. While the upstream cannot
//! answer, the store's entries are listed as stale if the upstream is known to have the API, and
//! never otherwise: a client that believes in an API leaves the tag alone.

use std::collections::HashSet;
use std::sync::Arc;

use http::HeaderValue;
use http::header::CONTENT_TYPE;
use wharf_client::{ReferrersApi, ReferrersReader};
use wharf_oci::{Digest, PageQuery, Reference, Referrer, ReferrerList, RepoName};
use wharf_store::Page;

use super::App;
use crate::Error;
use crate::context::RequestContext;
use crate::http::response;
use crate::http::response::{Answer, OCI_FILTERS_APPLIED};
use crate::http::route::{ReferrersCursor, Route, render};
use crate::limits::{REFERRERS_ASKED_MAX, REFERRERS_INDEX_BYTES, REFERRERS_PAGE_BYTES_MAX};
use crate::observe::outcome::Outcome;
use crate::registries::{Target, UpstreamRepo};
use crate::runtime::blocking::BlockingPool;
use crate::runtime::memory_gauge::{MemoryBudget, Reservation};

/// A request for referrers: the subject, the filter, the position, and the caller.
pub(super) struct ReferrersQuery {
    pub(super) repo: RepoName,
    pub(super) subject: Digest,
    pub(super) artifact_type: Option<String>,
    pub(super) budget: MemoryBudget,
}

/// A page being built: its entries, and the cursor of the next page.
#[derive(Default)]
struct Draft {
    list: ReferrerList,
    bytes: usize,
    next: Option<ReferrersCursor>,
    /// Reservations for its sources.
    holds: Vec<Reservation>,
}

pub(super) async fn referrers(
    app: &App,
    context: &RequestContext,
    asked: ReferrersQuery,
    cursor: ReferrersCursor,
) -> Result<Answer, Error> {
    let (draft, outcome) = match context.target_for_party(&asked.repo)? {
        Target::Local(_) => (local(app, &asked, &cursor).await?, Outcome::Hit),
        Target::Upstream(upstream_repo) => {
            let there = There { app, asked: &asked, upstream_repo: &upstream_repo };
            match there.page(&cursor).await {
                Ok(draft) => (draft, Outcome::Bypass),
                Err(error) if error.is_outage() => {
                    (stale(app, &asked, &cursor, &upstream_repo, error).await?, Outcome::Stale)
                }
                Err(error) => return Err(error),
            }
        }
    };
    app.metrics.outcome(outcome);
    Ok(answer(draft, asked, outcome))
}

fn answer(draft: Draft, asked: ReferrersQuery, outcome: Outcome) -> Answer {
    let filtered = asked.artifact_type.is_some();
    let ReferrersQuery { repo, subject: digest, artifact_type, .. } = asked;
    let next = draft.next.map(|cursor| Route::Referrers { repo, digest, artifact_type, cursor });
    let mut answer = response::json(&draft.list, next.map(|route| render(&route).1));
    let media_type = HeaderValue::from_static("application/vnd.oci.image.index.v1+json");
    answer.headers_mut().insert(CONTENT_TYPE, media_type);
    if filtered {
        let filter = HeaderValue::from_static("artifactType");
        answer.headers_mut().insert(OCI_FILTERS_APPLIED, filter);
    }
    response::with_outcome(answer, outcome)
}

impl ReferrersQuery {
    fn wants(&self, entry: &Referrer) -> bool {
        self.artifact_type.is_none() || self.artifact_type.as_deref() == entry.artifact_type()
    }
}

impl Draft {
    fn room(&self) -> usize {
        REFERRERS_PAGE_BYTES_MAX - REFERRERS_INDEX_BYTES - self.bytes
    }

    /// Adds an entry if it fits.
    fn add(&mut self, entry: Referrer) -> bool {
        // With a comma.
        let bytes = entry.json().len() + 1;
        let fits = bytes <= self.room();
        if fits {
            self.bytes += bytes;
            self.list.push(entry);
        }
        fits
    }
}

/// One page of the store's entries, no larger than `room`. Its size is known only after reading, so
/// few pages are read at once.
async fn here(
    app: &App,
    asked: &ReferrersQuery,
    after: Option<Digest>,
    room: usize,
) -> Result<(Page<Referrer>, Reservation), Error> {
    let (store, repo, subject) = (Arc::clone(&app.cache.store), asked.repo.clone(), asked.subject);
    let page = move || store.referrers(&repo, &subject, after.as_ref(), room);
    let _turn = app.cache.blocking.manifest_turn().await;
    let page = app.cache.blocking.run(page).await?;
    let bytes: usize = page.entries.iter().map(|entry| entry.json().len()).sum();
    Ok((page, asked.budget.take(bytes as u64)?))
}

/// The digest of an entry written by the store.
fn digest_of(entry: &Referrer) -> Option<Digest> {
    entry.digest().parse().ok()
}

/// A page of a local registry.
async fn local(
    app: &App,
    asked: &ReferrersQuery,
    cursor: &ReferrersCursor,
) -> Result<Draft, Error> {
    let after = match cursor {
        ReferrersCursor::Start => None,
        ReferrersCursor::Here(after) => *after,
        ReferrersCursor::There { .. } | ReferrersCursor::Stale(_) => {
            return Err(Error::Parameter("this registry has no such page"));
        }
    };
    all_here(app, asked, after, |last| ReferrersCursor::Here(Some(last))).await
}

/// The store's entries, while the upstream is out. A list begun with the upstream's entries goes on
/// with them only.
async fn stale(
    app: &App,
    asked: &ReferrersQuery,
    cursor: &ReferrersCursor,
    upstream_repo: &UpstreamRepo,
    error: Error,
) -> Result<Draft, Error> {
    let after = match cursor {
        ReferrersCursor::Start => None,
        ReferrersCursor::Stale(after) => Some(*after),
        ReferrersCursor::There { .. } | ReferrersCursor::Here(_) => return Err(error),
    };
    match upstream_repo.upstream.client.referrers_api() {
        ReferrersApi::Present => {}
        ReferrersApi::Absent => return Err(Error::ReferrersUnsupported(asked.repo.clone())),
        ReferrersApi::Unknown => return Err(error),
    }
    if after.is_none() && !is_any_here(app, asked).await? {
        return Err(error);
    }
    let (repo, subject) = (&asked.repo, &asked.subject);
    tracing::warn!(%repo, %subject, %error, "listing the referrers that are here");
    all_here(app, asked, after, ReferrersCursor::Stale).await
}

async fn is_any_here(app: &App, asked: &ReferrersQuery) -> Result<bool, Error> {
    // No entry fits into no room, so the result only says whether there is more.
    Ok(here(app, asked, None, 0).await?.0.more)
}

async fn all_here(
    app: &App,
    asked: &ReferrersQuery,
    after: Option<Digest>,
    goes_on: impl FnOnce(Digest) -> ReferrersCursor,
) -> Result<Draft, Error> {
    let mut draft = Draft::default();
    let (page, hold) = here(app, asked, after, draft.room()).await?;
    draft.holds.push(hold);
    let last = page.entries.last().and_then(digest_of);
    for entry in page.entries.into_iter().filter(|entry| asked.wants(entry)) {
        draft.add(entry);
    }
    draft.next = last.filter(|_| page.more).map(goes_on);
    Ok(draft)
}

/// The list of a repository with an upstream.
struct There<'a> {
    app: &'a App,
    asked: &'a ReferrersQuery,
    upstream_repo: &'a UpstreamRepo,
}

/// The store's entries that belong into a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// Entries missing in the upstream's list: the rest was in its own pages.
    Unlisted,
    /// All entries: the list was begun without the upstream's pages.
    All,
}

impl There<'_> {
    fn reader(&self) -> ReferrersReader<'_, MemoryBudget, BlockingPool> {
        ReferrersReader { budget: &self.asked.budget, offload: &self.app.cache.blocking }
    }

    async fn page(&self, cursor: &ReferrersCursor) -> Result<Draft, Error> {
        match cursor {
            ReferrersCursor::Start => self.theirs(&PageQuery::default(), 0).await,
            ReferrersCursor::There { query, at } => self.theirs(query, *at).await,
            ReferrersCursor::Here(after) => self.rest(*after, Kept::Unlisted).await,
            ReferrersCursor::Stale(after) => self.rest(Some(*after), Kept::All).await,
        }
    }

    /// The upstream's page from an entry on. If the upstream's list is a single page, the store's
    /// entries follow in the same page.
    async fn theirs(&self, query: &PageQuery, at: usize) -> Result<Draft, Error> {
        let ReferrersQuery { repo, subject, .. } = self.asked;
        let (upstream, there) = (&self.upstream_repo.upstream, &self.upstream_repo.repo);
        let page = upstream.client.referrers_page(there, subject, query, self.reader()).await?;
        let page = page.ok_or_else(|| Error::ReferrersUnsupported(repo.clone()))?;
        let is_all = query.is_first() && at == 0 && page.next.is_none();
        let mut listed = HashSet::new();
        if is_all {
            listed.extend(page.list.entries().iter().filter_map(digest_of));
        }
        let mut draft = Draft::default();
        draft.holds.extend(page.hold);
        for (at, entry) in page.list.into_iter().enumerate().skip(at) {
            if self.asked.wants(&entry) && !draft.add(entry) {
                draft.next = Some(ReferrersCursor::There { query: query.clone(), at });
                return Ok(draft);
            }
        }
        if let Some(query) = page.next {
            draft.next = Some(ReferrersCursor::There { query, at: 0 });
        } else if is_all {
            let (page, hold) = here(self.app, self.asked, None, draft.room()).await?;
            draft.holds.push(hold);
            self.merge(&mut draft, page, Some(&listed), (None, Kept::Unlisted)).await;
        } else if is_any_here(self.app, self.asked).await? {
            draft.next = Some(ReferrersCursor::Here(None));
        }
        Ok(draft)
    }

    /// The store's entries after one, once all of the upstream's pages were shown; these are
    /// searched again, because none of them is kept.
    async fn rest(&self, after: Option<Digest>, kept: Kept) -> Result<Draft, Error> {
        let mut draft = Draft::default();
        let (page, hold) = here(self.app, self.asked, after, draft.room()).await?;
        draft.holds.push(hold);
        let wanted = page.entries.iter().filter(|entry| self.asked.wants(entry));
        let wanted: HashSet<Digest> = wanted.filter_map(digest_of).collect();
        let (upstream, repo) = (&self.upstream_repo.upstream, &self.upstream_repo.repo);
        let list = (repo, &self.asked.subject);
        let listed = upstream.client.listed_referrers(list, wanted, self.reader()).await?;
        if listed.is_none() && kept == Kept::Unlisted {
            let (repo, subject) = (&self.asked.repo, &self.asked.subject);
            tracing::warn!(%repo, %subject, "the upstream's list is too long to be compared with");
            return Ok(draft);
        }
        self.merge(&mut draft, page, listed.as_ref(), (after, kept)).await;
        Ok(draft)
    }

    /// Adds the matching entries from a page of the store.
    async fn merge(
        &self,
        draft: &mut Draft,
        page: Page<Referrer>,
        listed: Option<&HashSet<Digest>>,
        (mut after, kept): (Option<Digest>, Kept),
    ) {
        let goes_on = |after: Option<Digest>| match (kept, after) {
            (Kept::All, Some(after)) => Some(ReferrersCursor::Stale(after)),
            (Kept::Unlisted, after) => Some(ReferrersCursor::Here(after)),
            (Kept::All, None) => None,
        };
        let mut questions = 0;
        for entry in page.entries {
            let Some(digest) = digest_of(&entry) else { continue };
            let is_listed = listed.is_some_and(|listed| listed.contains(&digest));
            if !self.asked.wants(&entry) || is_listed && kept == Kept::Unlisted {
                after = Some(digest);
                continue;
            }
            if !is_listed {
                if questions == REFERRERS_ASKED_MAX {
                    draft.next = goes_on(after);
                    return;
                }
                questions += 1;
            }
            if is_listed || self.is_there(digest).await {
                draft.add(entry);
            }
            after = Some(digest);
        }
        if page.more {
            draft.next = goes_on(after);
        }
    }

    async fn is_there(&self, digest: Digest) -> bool {
        let reference = Reference::Digest(digest);
        let asked = self
            .upstream_repo
            .upstream
            .client
            .manifest_digest(&self.upstream_repo.repo, &reference)
            .await;
        matches!(asked, Ok(Some(there)) if there == digest)
    }
}
