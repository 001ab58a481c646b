//! Lists of names: tags (end-8), repositories (`_catalog`). Referrers are in `referrers.rs`.

use std::sync::Arc;

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName};
use serde::{Deserialize, Serialize};
use wharf_oci::{Endpoint, RepoName, Tag};
use wharf_store::{Page, StoreError};

use super::App;
use super::namespace::Namespace;
use crate::Error;
use crate::context::RequestContext;
use crate::http::response;
use crate::http::response::Answer;
use crate::http::route::{Cursor, Route, render};
use crate::limits::{CATALOG_SCANNED_MAX, PAGE_ENTRIES_MAX};
use crate::observe::outcome::Outcome;
use crate::registries::{Target, UpstreamRepo};
use crate::runtime::body::Body;
use crate::runtime::memory_gauge::MemoryBudget;
use crate::runtime::store::Store;

#[derive(Serialize, Deserialize)]
struct TagList {
    name: String,
    tags: Option<Vec<String>>,
}

#[derive(Serialize)]
struct RepoList<'a> {
    repositories: &'a [RepoName],
}

/// A page of a repository's tags.
struct TagPage<'a> {
    repo: &'a RepoName,
    /// The caller's name of the repository.
    name: &'a RepoName,
    cursor: Cursor,
}

/// The tags of `repo`, under the name that its caller knows.
pub(super) async fn tags(
    app: &App,
    context: &RequestContext,
    repo: &RepoName,
    namespace: Option<&Namespace>,
    cursor: Cursor,
) -> Result<Answer, Error> {
    let page = TagPage { repo, name: namespace.map_or(repo, Namespace::asked), cursor };
    if let Target::Upstream(upstream_repo) = context.target_for_party(repo)? {
        app.metrics.outcome(Outcome::Bypass);
        let answer = page.of_upstream(&upstream_repo, &context.budget).await?;
        return Ok(response::with_outcome(answer, Outcome::Bypass));
    }
    let (store, of) = (Arc::clone(&app.cache.store), repo.clone());
    let (limit, last) = (page.cursor.limit, page.cursor.last.clone());
    let found = app.cache.blocking.run(move || store.tags(&of, last.as_deref(), limit)).await?;
    let found = found.ok_or_else(|| Error::NameUnknown(repo.clone()))?;
    Ok(page.answer(found.entries.iter().map(Tag::to_string).collect(), found.more))
}

impl TagPage<'_> {
    /// The upstream's page, under our name and with our link.
    async fn of_upstream(
        &self,
        upstream_repo: &UpstreamRepo,
        budget: &MemoryBudget,
    ) -> Result<Answer, Error> {
        let endpoint = Endpoint::Tags { repo: upstream_repo.repo.clone() };
        let query = self.cursor.render();
        let listing = upstream_repo.upstream.client.list(&endpoint, &query, budget).await?;
        let listing = listing.ok_or_else(|| Error::NameUnknown(self.repo.clone()))?;
        let list: TagList = serde_json::from_slice(&listing.bytes).map_err(|error| {
            Error::UpstreamFailed { operation: "listing tags", reason: error.to_string() }
        })?;
        Ok(self.answer(list.tags.unwrap_or_default(), listing.next.is_some()))
    }

    fn answer(&self, tags: Vec<String>, more: bool) -> Answer {
        let next = next_page(more, tags.last().map(String::as_str), self.cursor.limit);
        let next = next.map(|cursor| render(&Route::Tags { repo: self.repo.clone(), cursor }).1);
        response::json(&TagList { name: self.name.to_string(), tags: Some(tags) }, next)
    }
}

fn next_page(more: bool, last: Option<&str>, limit: usize) -> Option<Cursor> {
    let last = last.filter(|_| more)?;
    Some(Cursor { limit, last: Some(last.to_owned()) })
}

/// The repositories known here that the caller may pull; an upstream's others are not listed.
pub(super) async fn catalog(
    app: &App,
    context: &RequestContext,
    cursor: Cursor,
) -> Result<Answer, Error> {
    let (store, limit, last) = (Arc::clone(&app.cache.store), cursor.limit, cursor.last);
    let (config, caller) = (Arc::clone(&context.config), context.caller.clone());
    let page = app.cache.blocking.run(move || {
        if config.access.is_open() {
            return store.repos(last.as_deref(), limit);
        }
        seen(&*store, last, limit, |repo| config.access.lists(&caller, repo))
    });
    let page = page.await?;
    let next = next_page(page.more, page.entries.last().map(RepoName::as_str), limit);
    let next = next.map(|cursor| render(&Route::Catalog(cursor)).1);
    Ok(response::json(&RepoList { repositories: &page.entries }, next))
}

/// A page of the repositories accepted by `is_seen`. After very many rejected ones it ends early,
/// at an accepted one: no other may be named, not even as the cursor.
fn seen(
    store: &dyn Store,
    mut last: Option<String>,
    limit: usize,
    is_seen: impl Fn(&RepoName) -> bool,
) -> Result<Page<RepoName>, StoreError> {
    let mut entries = Vec::new();
    let mut looked_at = 0;
    while looked_at < CATALOG_SCANNED_MAX {
        let page = store.repos(last.as_deref(), PAGE_ENTRIES_MAX)?;
        last = page.entries.last().map(ToString::to_string);
        looked_at += page.entries.len();
        for repo in page.entries.into_iter().filter(&is_seen) {
            if entries.len() == limit {
                return Ok(Page { entries, more: true });
            }
            entries.push(repo);
        }
        if !page.more || last.is_none() {
            break;
        }
    }
    let more = looked_at >= CATALOG_SCANNED_MAX && !entries.is_empty();
    Ok(Page { entries, more })
}

/// Text for the admin address.
pub(super) fn plain(status: StatusCode, text: String) -> Answer {
    let headers: [(HeaderName, String); 1] =
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8".to_owned())];
    response::answer(status, &headers, Body::full(text))
}
